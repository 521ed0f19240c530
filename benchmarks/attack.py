"""What a rival can do to a leaderboard: each attack once, against a server of its own, in figures.

    python benchmarks/attack.py [rival old slow bodies headers overflow] [--seconds 30]

`rival`: 50 wrong passwords a second from the address of ten teams, who then log in. `old`: the same
with hashes of the first versions. `slow`: 950 connections that never finish a request. `bodies`: 60
files of 19 MB without a password. `headers`: 100 KB of them, and a body of two lengths. `overflow`:
numbers so large that their squares are none. Nothing here is a secret: guard against it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import math
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from medkit.leaderboard.board import Board
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted

TEAMS, ROWS = 10, 300
WRONG_A_SECOND = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=30)
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for name in asked.attacks or ATTACKS:
        print(f"{name}: {ATTACKS[name](asked.seconds)}", flush=True)


def rival(seconds: float, kept: Any = salted) -> str:
    """How long ten right passwords take beside wrong ones, the last of them at the end."""
    with served(kept) as server:
        end, tried = threading.Event(), []

        def guess(name: int) -> None:
            while not end.wait(8 / WRONG_A_SECOND):
                with suppress(OSError, http.client.HTTPException):
                    email = f"{1 + len(tried) % TEAMS}@x.kr"
                    tried.append(server.post(1, email, secrets.token_hex(4))[0])

        rivals = [threading.Thread(target=guess, args=(k,)) for k in range(8)]
        for each in rivals:
            each.start()
        time.sleep(seconds / 2)
        entered = []
        for team in range(1, TEAMS + 1):
            began = time.monotonic()
            status = server.post(team, f"{team}@x.kr", "site")[0]
            entered.append((status, time.monotonic() - began))
            time.sleep(seconds / 2 / TEAMS)
        end.set()
        for each in rivals:
            each.join()
    right = [took for status, took in entered if status == 200]
    longest = f"the slowest in {max(right):.2f} s" if right else "none"
    return (
        f"{len(tried) / seconds:.0f} wrong passwords a second; {len(right)} of {TEAMS} right ones "
        f"entered, {longest} (statuses {sorted({status for status, _ in entered})})"
    )


def old(seconds: float) -> str:
    def scrypt(password: str) -> str:
        salt = secrets.token_bytes(16)
        return (
            f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, n=4096, r=8, p=1).hex()}"
        )

    return rival(seconds, scrypt)


def slow(seconds: float) -> str:
    """How many pages are served beside connections that drip, which come again when closed."""
    with served() as server:
        end, opened = threading.Event(), []

        def drip(count: int) -> None:
            lines: list[socket.socket] = []
            while not end.wait(1):
                for line in list(lines):
                    try:
                        line.send(b"X")
                        line.setblocking(False)
                        if line.recv(1) == b"":
                            raise OSError
                    except BlockingIOError:
                        continue
                    except OSError:
                        line.close()
                        lines.remove(line)
                while len(lines) < count:
                    line = socket.create_connection(("127.0.0.1", server.port), timeout=5)
                    line.send(b"POST /api/direct-report/1 HTTP/1.1\r\nX-")
                    lines.append(line)
                    opened.append(line)
            for line in lines:
                line.close()

        threads = [threading.Thread(target=drip, args=(95,)) for _ in range(10)]
        for each in threads:
            each.start()
        time.sleep(5)
        took, lost, until = [], 0, time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                server.get("/", timeout=10)
                took.append(time.monotonic() - began)
            except OSError:
                lost += 1
            time.sleep(0.2)
        end.set()
        for each in threads:
            each.join()
    times = np.array(took or [math.inf])
    return (
        f"950 slow connections ({len(opened)} opened in all); of {len(took) + lost} pages {lost} "
        f"took more than 10 s; median {np.median(times):.2f} s, slowest {times.max():.2f} s"
    )


def bodies(seconds: float) -> str:
    """What the server holds of files that came without a password."""
    with served() as server:
        sent, statuses = [], []

        def upload() -> None:
            body = b"x" * 2**16
            with suppress(OSError):
                line = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                head = "POST /api/direct-report/1 HTTP/1.1\r\nHost: x"
                line.sendall(f"{head}\r\nContent-Length: {290 * 2**16}\r\n\r\n".encode())
                for _ in range(289):  # all but the end
                    line.sendall(body)
                    sent.append(len(body))
                time.sleep(3)
                line.sendall(body)
                statuses.append(int(line.recv(100).split()[1]))

        threads = [threading.Thread(target=upload) for _ in range(60)]
        most = 0.0
        for each in threads:
            each.start()
        while any(each.is_alive() for each in threads):
            most = max(most, server.held_mb())
            time.sleep(0.2)
    return (
        f"{sum(sent) / 1e6:.0f} MB sent without a password; the server held at most {most:.0f} MB "
        f"of them (memory and temporary files); statuses {sorted(set(statuses))}"
    )


def headers(seconds: float) -> str:
    found = []
    with served() as server:
        for name, text in {
            "100 KB of headers": f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 100_000}\r\n\r\n",
            "a length and chunks": "POST /api/direct-report/1 HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        }.items():
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
                with suppress(OSError):
                    line.sendall(text.encode())
                found.append(f"{name}: {line.recv(100).split()[1].decode()}")
    return "; ".join(found)


def overflow(seconds: float) -> str:
    """What is told of the split, and of the labels, without a slot."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    told = 0
    with served(truth=truth, metrics=("mae", "rmse"), limit=50) as server:
        for row in range(0, 40, 2):
            guess = truth.round(2).copy()
            guess[row : row + 2] = 1.7e308
            status, _ = server.post(1, "1@x.kr", "site", table(guess))
            told += status == 422
        _, left = server.post(1, "1@x.kr", "site", table(truth.round(2)))
        scores = json.loads(server.get("/api/ranking"))
    digits = max(len(str(row["score"]).strip("0.").replace(".", "")) for row in scores)
    return (
        f"of 20 tables with two numbers of 1.7e308, {told} told for no slot that both are in one "
        f"part (left: {left.split('횟수는')[-1].strip()}); "
        f"the ranking shows at most {digits} digits"
    )


ATTACKS = {
    "rival": rival,
    "old": old,
    "slow": slow,
    "bodies": bodies,
    "headers": headers,
    "overflow": overflow,
}


def table(labels: np.ndarray) -> bytes:
    return ("id,y\n" + "".join(f"row_{k:04d},{label}\n" for k, label in enumerate(labels))).encode()


class Server:
    """A leaderboard in a process of its own."""

    def __init__(self, folder: Path, log: Any):
        command = [sys.executable, "-m", "medkit.leaderboard", "serve", str(folder), "--port", "0"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        self.process = subprocess.Popen([*command, "--until-stdin-closes"], text=True, **pipes)
        self.port = int(self.process.stdout.readline().rpartition(":")[2])
        self.idle_mb = self._mb()

    def post(self, team: int, email: str, password: str, csv: bytes = b"") -> tuple[int, str]:
        csv = csv or table(np.arange(ROWS) % 2)
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="s.csv"\r\n\r\n'
        who = base64.b64encode(f"{email}:{password}".encode()).decode()
        told = {"Authorization": f"Basic {who}", "Content-Type": "multipart/form-data; boundary=x"}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        path = f"/api/direct-report/{team}?password=contest"
        try:
            line.request("POST", path, head + csv + b"\r\n--x--\r\n", told)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())["message"]
        finally:
            line.close()

    def get(self, path: str, timeout: float = 60) -> bytes:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            line.request("GET", path)
            return line.getresponse().read()
        finally:
            line.close()

    def held_mb(self) -> float:
        """Memory and temporary files above those of an idle server."""
        return self._mb() - self.idle_mb

    def _mb(self) -> float:
        proc = Path("/proc", str(self.process.pid))
        lines = (proc / "status").read_text().splitlines()
        held = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
        for link in (proc / "fd").iterdir():
            with suppress(OSError):
                if "(deleted)" in os.readlink(link):
                    held += link.stat().st_size
        return held / 1e6


@contextmanager
def served(kept: Any = salted, truth: Any = None, **rules: Any) -> Iterator[Server]:
    """A contest of ten teams, whose passwords are "site" and "contest"."""
    truth = np.arange(ROWS) % 2 if truth is None else truth
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "contest"
        (Path(temporary) / "answers.csv").write_bytes(table(truth))
        new_contest(folder, Path(temporary) / "answers.csv", members=(1, 4), **rules)
        board = Board(folder)
        for team in range(1, TEAMS + 1):
            member = {"email": f"{team}@x.kr", "name": "x", "password": kept("site")}
            board.store.add_team(team, f"team {team}", kept("contest"), [member])
        board.close()
        with open(Path(temporary) / "server.log", "wb") as log:
            server = Server(folder, log)
            try:
                yield server
            finally:
                server.process.stdin.close()
                server.process.wait()
                server.process.stdout.close()


if __name__ == "__main__":
    main()
