"""The whole server over real sockets: practice in a notebook, curl, kills, hostile uploads."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from contests import TRUTH, make_contest, start, table

import medkit as mk
from medkit.leaderboard.serving import practise
from medkit.leaderboard.store import Store
from medkit.submission.credentials import Credentials


def test_a_background_server_takes_a_submission(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    (tmp_path / "submission.csv").write_text(table(TRUTH))
    before = dict(os.environ)
    leaderboard = mk.leaderboard.start(tmp_path / "answers.csv", tmp_path / "board")
    try:
        secret = json.loads((tmp_path / "board/credentials.json").read_text())
        assert stat.S_IMODE((tmp_path / "board/credentials.json").stat().st_mode) == 0o600
        receipt = mk.submit(tmp_path / "submission.csv")
        assert (receipt.left, receipt.limit) == (9, 10) and "연습팀" in receipt.message
        wrong = Credentials(**{**secret, "password": "wrong"})
        with pytest.raises(mk.SubmitError, match="e-mail or password is wrong"):
            mk.submit(tmp_path / "submission.csv", credentials=wrong, again=True)
    finally:
        leaderboard.stop()
    log = (tmp_path / "board/server.log").read_text()
    assert "POST /api/direct-report/999" in log and "password=" not in log
    assert secret["contest_password"] not in log and dict(os.environ) == before
    assert not (tmp_path / "board/credentials.json").exists()


def test_a_cell_that_is_run_again_replaces_its_server(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    (tmp_path / "submission.csv").write_text(table(TRUTH))
    before = dict(os.environ)
    first = mk.leaderboard.start(tmp_path / "answers.csv", tmp_path / "board")
    mk.submit(tmp_path / "submission.csv")
    (tmp_path / "answers.csv").write_text(table([1 - TRUTH[0], *TRUTH[1:]]))
    second = mk.leaderboard.start(tmp_path / "answers.csv", tmp_path / "board", task="caries")
    try:
        assert not listening(first.url)
        first.stop()  # has no effect any more
        assert 0.8 < mk.standing()["score"][0] < 1  # by the answers of now
        assert mk.submit(tmp_path / "submission.csv", again=True).left == 8
    finally:
        second.stop()
    assert dict(os.environ) == before and not listening(second.url)


def test_a_real_contest_is_not_practised_in(tmp_path):
    folder = make_contest(tmp_path / "real")
    with pytest.raises(ValueError, match="holds a real contest. Practise in another folder"):
        practise(tmp_path / "real.csv", folder, port=0, credentials=tmp_path / "x", task=None)


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    code = f"""
import medkit as mk, os, signal
board = mk.leaderboard.start({str(tmp_path / "answers.csv")!r}, {str(tmp_path / "board")!r})
print(board.url, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 120
    while listening(done.stdout.strip()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not listening(done.stdout.strip())


def listening(url):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


def test_requests_that_are_none_leave_no_secret_in_the_log(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    board = mk.leaderboard.start(tmp_path / "answers.csv", tmp_path / "board")
    try:
        port = int(board.url.rpartition(":")[2])
        for line in (
            b"POST /x?password=a hidden ' word HTTP/1.1",
            b"POST /x?password=hidden HTTP/9",
            b"POST /x?password=hidden HTTP/1.1",
            b"POST /%0d%0aforged?password=hidden HTTP/1.1\r\nAuthorization: Basic hidden",
            b"hidden",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
                client.sendall(line + b"\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.")
    finally:
        board.stop()
    log = (tmp_path / "board" / "server.log").read_text()
    assert log.count("POST (another path) 404") == 2 and "hidden" not in log and "word" not in log
    assert "forged" not in log and "Traceback" not in log


def test_what_was_forgotten_meanwhile_does_not_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKIT_PASSWORD", "of the real contest")
    monkeypatch.setenv("MEDKIT_TEAM", "7")
    (tmp_path / "a.csv").write_text(table(TRUTH))
    board = mk.leaderboard.start(tmp_path / "a.csv", tmp_path / "board")
    assert "real" not in str(vars(board))
    mk.forget_credentials()
    board.stop()
    assert "MEDKIT_PASSWORD" not in os.environ and os.environ["MEDKIT_TEAM"] == "7"


def test_another_notebooks_practice_server_is_let_be(tmp_path):
    (tmp_path / "a.csv").write_text(table(TRUTH))
    (tmp_path / "s.csv").write_text(table())
    board = mk.leaderboard.start(tmp_path / "a.csv", tmp_path / "board")
    try:
        code = f"import medkit as mk; mk.leaderboard.start({str(tmp_path / 'a.csv')!r}, "
        code += f"{str(tmp_path / 'board')!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1 and "a server has it already" in done.stderr
        assert mk.submit(tmp_path / "s.csv").left == 9  # its passwords still hold
        assert (tmp_path / "board" / "credentials.json").exists()
        assert "POST /api/direct-report/999 200" in (tmp_path / "board/server.log").read_text()
    finally:
        board.stop()


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"did not start \(.*no such table.*See .*server\.log"):
        mk.leaderboard.start(tmp_path / "nothing.csv", tmp_path / "board")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A contest's folder that is served, and its address."""
    folder = make_contest(tmp_path_factory.mktemp("served") / "contest")
    process, url = start(folder)
    yield folder, url
    process.stdin.close()  # it ends with whom started it
    assert process.wait(120) == 0
    process.stdout.close()


def send(url, text=None, **options):
    return requests.post(
        f"{url}/api/direct-report/42?password=contest",
        files={"files": ("s.csv", (table() if text is None else text).encode())},
        auth=("me@x.kr", "site"),
        timeout=120,
        **options,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_works_as_in_the_briefing(served, tmp_path):
    folder, url = served
    (tmp_path / "submission.csv").write_bytes(table().encode())
    command = ["curl", "-sS", "--user", "late@x.kr:site", "-X", "POST", "-F"]
    command += [f"files=@{tmp_path / 'submission.csv'}"]
    done = subprocess.run(
        [*command, f"{url}/api/direct-report/7?password=contest"],
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert done.returncode == 0
    wanted = "늦은팀 김늦음님 제출이 완료되었습니다. 남은 일일 제출 횟수는 9회/10회 입니다."
    assert json.loads(done.stdout) == {"message": wanted}
    store = Store(folder / "contest.sqlite")
    assert store.csv(store.submissions(7)[0].id) == table().encode()
    store.close()
    log = (folder / "server.log").read_text()
    assert re.search(r"127\.0\.0\.1 POST /api/direct-report/7 200 \d\.\d+ s", log)
    assert not re.search("contest=|password|site|@x", log)


def test_a_second_of_two_large_uploads_is_still_answered(served):
    _, url = served
    answer = send(url, "x" * 30_000_000)
    assert answer.status_code == 413 and "larger than any table" in answer.json()["message"]
    assert send(url).status_code == 200


def test_the_time_of_receipt_is_the_servers_own(served):
    folder, url = served
    before = time.time()
    assert send(url, headers={"Medkit-Received": "1", "MEDKIT-RECEIVED": "1"}).status_code == 200
    store = Store(folder / "contest.sqlite")
    assert before <= store.submissions()[-1].received.timestamp() <= time.time()
    store.close()


LOADS = [
    ["--teams", "10", "--files", "4", "--rows", "50"],
    pytest.param([], marks=pytest.mark.slow),  # 200 teams
]


@pytest.mark.parametrize("load", LOADS)
def test_at_closing_time_nothing_is_lost_doubled_or_over_the_limit(load):
    script = Path(__file__).parents[1] / "benchmarks" / "leaderboard.py"
    done = subprocess.run([sys.executable, str(script), *load], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0 and "limit exact" in done.stdout, done.stderr


def test_only_a_proxy_that_was_announced_is_believed(served, tmp_path):
    headers = {"X-Forwarded-For": "203.0.113.9"}
    folder, url = served
    requests.get(url, headers=headers, timeout=120)
    behind = make_contest(tmp_path / "behind")
    process, url = start(behind, "--behind-proxy")
    requests.get(url, headers=headers, timeout=120)
    process.stdin.close()
    process.wait(120)
    process.stdout.close()
    assert "203.0.113.9 GET / 200" in (behind / "server.log").read_text()
    assert "203.0.113.9" not in (folder / "server.log").read_text()


def test_a_port_that_is_taken_is_said_in_one_line(served, tmp_path):
    folder, url = make_contest(tmp_path / "contest"), served[1]
    command = [sys.executable, "-m", "medkit.leaderboard", "serve", str(folder)]
    command += ["--port", url.rpartition(":")[2]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "in use" in done.stderr and "Traceback" not in done.stderr
