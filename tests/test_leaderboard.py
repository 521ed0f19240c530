from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

import medkit as mk
from medkit.leaderboard.app import make_app
from medkit.leaderboard.scoring import Answers, Refused
from medkit.leaderboard.store import Store, matches, salted
from medkit.submission.credentials import Credentials

IDS = [f"front_{k}" for k in range(6)]
TRUTH = [0, 1, 1, 0, 1, 0]
NIGHT = datetime(2026, 11, 20, 14, 59, 59, tzinfo=timezone.utc)  # 23:59:59 in Seoul


def table(labels, ids=IDS):
    return "id,decayed\n" + "".join(f"{name},{label}\n" for name, label in zip(ids, labels))


class Clock:
    now = NIGHT

    def __call__(self):
        return self.now


@pytest.fixture
def contest(tmp_path):
    """A server's parts: client, store, clock."""
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    store, clock = Store(tmp_path / "db" / "x.sqlite"), Clock()
    store.add_team(42, "용감한", "홍길동", "me@x.kr", "site", "contest")
    app = make_app(store, Answers(tmp_path / "answers.csv"), clock=clock)
    return app.test_client(), store, clock


def post(client, text=None, *, team=42, email="me@x.kr", password="site", contest="contest"):
    from io import BytesIO

    data = {"files": (BytesIO((text or table(TRUTH)).encode()), "s.csv")}
    return client.post(
        f"/api/direct-report/{team}?password={contest}", data=data, auth=(email, password)
    )


def test_the_answer_is_in_the_contests_words(contest):
    response = post(contest[0])
    assert response.status_code == 200 and list(response.json) == ["message"]
    wanted = "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 9회/10회 입니다."
    assert response.json["message"] == wanted


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"email": "you@x.kr"}, 401),
        ({"contest": "wrong"}, 403),
        ({"team": 43}, 404),
        ({"text": table(TRUTH[:-1])}, 400),
    ],
)
def test_what_is_wrong_is_refused_and_costs_nothing(contest, change, status):
    client, store, clock = contest
    assert post(client, **change).status_code == status
    assert store.used(42, clock.now) == 0


def test_no_authorization_and_no_file_are_refused(contest):
    client = contest[0]
    assert client.post("/api/direct-report/42?password=contest").status_code == 401
    answer = client.post("/api/direct-report/42?password=contest", auth=("me@x.kr", "site"))
    assert answer.status_code == 400 and "no file" in answer.json["message"]


def test_the_eleventh_of_a_day_is_refused_and_the_day_is_seouls(contest):
    client, _, clock = contest
    assert [post(client).status_code for _ in range(11)] == [200] * 10 + [429]
    clock.now = NIGHT + timedelta(seconds=2)
    assert "9회/10회" in post(client).json["message"]


def test_of_many_at_once_only_ten_are_taken(contest):
    _, store, clock = contest
    left = []

    def send():
        left.append(store.add(42, b"x", {"f1_macro": 0.5}, 10, clock.now))

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = sorted(value for value in left if value is not None)
    assert taken == list(range(10)) and store.used(42, clock.now) == 10


def test_the_best_counts_and_ties_go_to_the_earlier(contest):
    client, store, clock = contest
    store.add_team(7, "늦은", "x", "late@x.kr", "p", "q")
    post(client, table([0, 1, 1, 0, 1, 1]))
    post(client, table([0] * 6))
    clock.now += timedelta(minutes=1)
    post(client, table([0, 1, 1, 0, 1, 1]), team=7, email="late@x.kr", password="p", contest="q")
    ranking = store.ranking()
    assert [row["team"] for row in ranking] == ["용감한", "늦은"]
    assert ranking[0]["score"] == ranking[1]["score"] and ranking[0]["count"] == 2


def test_the_page_shows_ranks_and_escapes_names(contest):
    client, store, _ = contest
    assert "아직 제출이 없습니다" in client.get("/").text
    store.add_team(42, "<script>alert(1)</script>", "x", "me@x.kr", "site", "contest")
    post(client)
    page = client.get("/")
    assert "&lt;script&gt;" in page.text and "<script>" not in page.text
    assert "1.000000" in page.text and "default-src 'none'" in str(page.headers)


@pytest.mark.parametrize("path", ["/answers.csv", "/../answers.csv", "/static/answers.csv", "/db"])
def test_answers_are_never_served(contest, path):
    assert contest[0].get(path).status_code == 404


def test_passwords_are_salted_hashes(contest, tmp_path):
    rows = sqlite3.connect(tmp_path / "db/x.sqlite")
    kept = str(rows.execute("SELECT * FROM teams").fetchall())
    rows.close()
    assert "'site'" not in kept and "'contest'" not in kept
    assert (
        salted("a") != salted("a") and matches("a", salted("a")) and not matches("b", salted("a"))
    )
    assert stat.S_IMODE(os.stat(tmp_path / "db/x.sqlite").st_mode) == 0o600


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "not utf-8"),
        (table(TRUTH).encode("utf-8-sig"), "byte order mark"),
        (b"", "empty"),
        (table([0, 1, 2, 0, 1, 0]).encode(), r"1 labels are none of 0, 1"),
        (
            table(TRUTH, ["x"] + IDS[1:]).encode(),
            r"ids are missing.*'front_0'.*not of this contest",
        ),
        (b"id,decayed\n" + b"a,1\n" * 100, "far larger than 6 rows"),
        (b"id,decayed\na," + b"1" * 300, "far larger"),
        (b"id,decayed\n\x00,1\n", "not"),
    ],
)
def test_files_that_cannot_be_scored_say_why(tmp_path, data, words):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    with pytest.raises(Refused, match=words):
        Answers(tmp_path / "answers.csv").score(data)


def test_the_order_of_rows_does_not_matter(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    shuffled = table(TRUTH[::-1], IDS[::-1]).encode()
    scores = Answers(tmp_path / "answers.csv").score(shuffled)
    assert scores["f1_macro"] == 1.0 and list(scores)[0] == "f1_macro"


def test_answers_of_one_class_are_refused(tmp_path):
    (tmp_path / "answers.csv").write_text(table([1] * 6))
    with pytest.raises(ValueError, match=r"1 different labels \['1'\] \(expected 2\)"):
        Answers(tmp_path / "answers.csv")


def test_a_background_server_takes_a_submission(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    (tmp_path / "submission.csv").write_text(table(TRUTH))
    before = dict(os.environ)
    leaderboard = mk.start_leaderboard(tmp_path / "answers.csv", tmp_path / "board")
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
    first = mk.start_leaderboard(tmp_path / "answers.csv", tmp_path / "board")
    mk.submit(tmp_path / "submission.csv")
    second = mk.start_leaderboard(tmp_path / "answers.csv", tmp_path / "board")
    try:
        assert not listening(first.url)
        first.stop()  # has no effect any more
        assert mk.submit(tmp_path / "submission.csv").left == 8
    finally:
        second.stop()
    assert dict(os.environ) == before and not listening(second.url)


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    code = f"""
import medkit as mk, os, signal
board = mk.start_leaderboard({str(tmp_path / "answers.csv")!r}, {str(tmp_path / "board")!r})
print(board.url, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 10
    while listening(done.stdout.strip()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not listening(done.stdout.strip())


def listening(url):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


def test_requests_that_are_none_are_logged_without_the_password(tmp_path):
    (tmp_path / "answers.csv").write_text(table(TRUTH))
    board = mk.start_leaderboard(tmp_path / "answers.csv", tmp_path / "board")
    try:
        for line in (
            b"POST /x?password=a hidden ' word HTTP/1.1",
            b"POST /x?password=hidden HTTP/9",
        ):
            port = int(board.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(line + b"\r\n\r\n")
                assert client.recv(100)
    finally:
        board.stop()
    log = (tmp_path / "board" / "server.log").read_text()
    assert log.count("POST /x?...") >= 2 and "hidden" not in log and "word" not in log
    assert "Traceback" not in log


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"did not start \(.*no such table.*See .*server\.log"):
        mk.start_leaderboard(tmp_path / "nothing.csv", tmp_path / "board")
