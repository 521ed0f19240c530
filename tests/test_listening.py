"""A server that strangers may reach: what it takes in, how long it waits, and how it ends."""

from __future__ import annotations

import http.client
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from contests import make_contest, start, table

from medkit.files import sha256
from medkit.leaderboard import listening
from medkit.leaderboard.app import MOST_FORM
from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import STORE
from medkit.leaderboard.listening import close_slow
from medkit.leaderboard.store import Store


@contextmanager
def ended(process):
    try:
        yield
    finally:
        process.stdin.close()
        assert process.wait(120) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = make_contest(tmp_path_factory.mktemp("listening") / "contest")
    process, url = start(folder)
    with ended(process):
        yield folder, int(url.rpartition(":")[2])


def ask(port, head, body=b"", timeout=60):
    """Status and message of a request that is written by hand."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as line:
        line.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        with http.client.HTTPResponse(line) as answer:
            answer.begin()
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            return answer.status, json.loads(answer.read())["message"]


def test_headers_are_bounded(server):
    for size, status in [(12_000, 404), (16_400, 431)]:
        assert ask(server[1], f"GET /x HTTP/1.1\nHost: x\nX-Long: {'x' * size}")[0] == status


def test_a_request_of_two_lengths_is_refused(server):
    head = "POST /api/direct-report/42?password=contest HTTP/1.1\nHost: x\n"
    for order in ("Content-Length: 5\nTransfer-Encoding: chunked", "x"):
        if order == "x":
            order = "transfer-encoding : chunked\nX: y\ncontent-length: 5"
        status, message = ask(server[1], head + order, b"0\r\n\r\n")
        assert status == 400 and "요청을 읽을 수 없습니다" in message


@pytest.mark.parametrize("size", [40_000, 1_000_000, 19_000_000])
def test_a_body_that_no_table_needs_is_not_taken_in_and_told(server, size):
    answer = requests.post(
        f"http://127.0.0.1:{server[1]}/api/direct-report/42?password=contest",
        files={"files": ("s.csv", b"x" * size)},
        auth=("me@x.kr", "site"),
        timeout=120,
    )
    assert answer.status_code == 413
    assert "larger than any table of this contest" in answer.json()["message"]


def test_chunks_are_bounded_as_well(server):
    with closing(Board(server[0])) as board:
        most = board.most_bytes + MOST_FORM
    head = "POST /api/direct-report/42 HTTP/1.1\nHost: x\nTransfer-Encoding: chunked"
    chunk = f"{most + 1:x}\r\n".encode() + b"x" * most
    assert ask(server[1], head, chunk)[0] == 413


def test_the_longest_table_that_is_right_is_taken(server):
    csv = table().replace("front", '"front').replace(",", '",').replace("id", '"id', 1)
    lines = "\r\n".join(csv.splitlines()) + "\r\n"
    answer = requests.post(
        f"http://127.0.0.1:{server[1]}/api/direct-report/42?password=contest",
        files={"files": ("s.csv", lines.encode())},
        auth=("ME@x.kr", "site"),  # letters of an e-mail may be written as one likes
        timeout=120,
    )
    assert answer.status_code == 200, answer.text


def test_only_known_paths_are_logged(server):
    ask(server[1], "GET /hidden-word HTTP/1.1\nHost: x")
    ask(server[1], "GET /api/direct-report/1234567890 HTTP/1.1\nHost: x")
    ask(server[1], "HIDDEN / HTTP/1.1\nHost: x")
    log = (server[0] / "server.log").read_text()
    assert "hidden" not in log.lower() and "1234567890" not in log
    assert "GET (another path) 404" in log and "(another method) /" in log


def test_waitress_tells_no_path_of_a_client_that_left(caplog):
    record = logging.LogRecord("waitress", 20, "", 0, "gone while serving %s", ("/hidden",), None)
    assert listening._without_path(record) and record.getMessage() == "gone while serving it"
    words = ('Malformed proxy header "%s" value: %s', ("X-Forwarded-For", "hidden"))
    record = logging.LogRecord("waitress", 30, "", 0, *words, None)
    assert listening._without_path(record) and record.getMessage() == "Malformed proxy header"


class Channel:
    """A connection as the server sees it."""

    requests, total_outbufs_len, will_close = [], 0, False

    def __init__(self, age_s, got=None, **more):
        self.last_activity, self.request = 1000 - age_s, None
        if got is not None:
            self.request = type("Parser", (), {"began": 1000 - age_s, "got": got})()
        vars(self).update(more)


def closed(channels):
    close_slow(channels, 1000)
    return [channel.will_close for channel in channels]


def test_a_connection_that_says_nothing_is_closed_after_ten_seconds():
    assert closed([Channel(11), Channel(9)]) == [True, False]


def test_of_requests_that_take_long_the_fastest_go_on(monkeypatch):
    monkeypatch.setattr(listening, "MOST_SLOW", 2)
    slow = [Channel(20, got) for got in (5, 50_000, 9, 1_000_000)]
    assert closed([*slow, Channel(9, 1)]) == [True, False, True, False, False]


def test_whoever_is_served_is_let_be():
    assert closed([Channel(99, requests=[1]), Channel(99, total_outbufs_len=7)]) == [False, False]


def test_where_most_places_are_taken_patience_is_short(monkeypatch):
    monkeypatch.setattr(listening, "MOST_SLOW", 0)
    few, many = [Channel(3, 5)], [Channel(3, 5) for _ in range(700)]
    assert not any(closed(few)) and all(closed(many))


def test_pages_are_served_beside_connections_that_never_finish(server):
    """More of them than the server has places."""
    lines = []
    try:
        for _ in range(listening.MOST_CONNECTIONS + 20):
            line = socket.create_connection(("127.0.0.1", server[1]), timeout=60)
            line.sendall(b"POST /api/direct-report/42 HTTP/1.1\r\nX-")
            lines.append(line)
        assert requests.get(f"http://127.0.0.1:{server[1]}/", timeout=120).status_code == 200
    finally:
        for line in lines:
            line.close()


def test_sigterm_answers_all_that_was_kept(tmp_path):
    folder = make_contest(tmp_path / "contest", limit=500)
    process, url = start(folder)
    accepted, sent = [], threading.Semaphore(0)

    def send(k):
        csv = table() + "\n" * (k % 7)
        status = send_to(url, csv)
        sent.release()
        assert status in (200, None)
        if status == 200:
            accepted.append(sha256(csv.encode()))

    def send_on(k):
        while process.poll() is None:  # also while it ends
            send(k)

    with ThreadPoolExecutor(16) as pool:
        done = [pool.submit(send_on, k) for k in range(16)]
        for _ in range(20):
            sent.acquire()
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        for each in done:
            each.result()
    process.stdin.close()
    process.stdout.close()
    with closing(Store(folder / STORE)) as store:
        kept = [s.sha256 for s in store.submissions()]
    assert sorted(kept) == sorted(accepted) and len(kept) >= 20


def test_what_has_begun_is_answered_however_long_it_takes(tmp_path):
    """The time for what waits in line is over at once, and scoring is slow."""
    folder = make_contest(tmp_path / "contest")
    code = f"""
import time
from medkit.leaderboard import board, listening, serving
listening.DRAIN_S = 0
score = board.Answers.score
board.Answers.score = lambda *a: time.sleep(1) or score(*a)
serving.serve(board.Board({str(folder)!r}), port=0)
"""
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        url = process.stdout.readline().split()[-1]
        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(send_to, url, table() + "\n" * k) for k in range(3)]
            with closing(Store(folder / STORE)) as store:
                while not store.submissions():
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                answered = [each.result() for each in done]
                kept = len(store.submissions())
        assert process.wait(120) == 0 and answered.count(200) == kept >= 1


def send_to(url, csv):
    """The status, or None where there was no answer."""
    try:
        return requests.post(
            f"{url}/api/direct-report/42?password=contest",
            files={"files": ("s.csv", csv.encode())},
            auth=("me@x.kr", "site"),
            timeout=120,
        ).status_code
    except requests.RequestException:
        return None


def test_a_connection_is_for_one_request(server):
    with socket.create_connection(("127.0.0.1", server[1]), timeout=60) as line:
        line.sendall(b"GET /api/ranking HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        found = b""
        with suppress(ConnectionError):  # what was not read is thrown away
            while True:
                more = line.recv(65536)
                if not more:
                    break
                found += more
    assert found.count(b"HTTP/1.1 200") == 1 and b"Connection: close" in found


def test_a_second_server_on_a_folder_is_refused(server):
    command = [sys.executable, "-m", "medkit.leaderboard", "serve", str(server[0]), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert "a server has it already (process" in done.stderr and "End that one" in done.stderr


def test_the_attacks_of_the_benchmark_fail():
    script = Path(__file__).parents[1] / "benchmarks" / "attack.py"
    command = [sys.executable, str(script), "rival", "headers", "overflow", "--seconds", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rival, headers, overflow = done.stdout.splitlines()
    assert "10 of 10 right ones entered" in rival and "(statuses [200])" in rival
    assert "headers: 431" in headers and "chunks: 400" in headers
    assert ", 0 told for no slot" in overflow
    digits = int(re.search(r"at most (\d+) digits", overflow)[1])
    assert digits <= 5, overflow  # fewer where a score happens to end in a nought
