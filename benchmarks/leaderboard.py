"""How a leaderboard stands the last minute: 200 teams send at once, 10 files each.

    python benchmarks/leaderboard.py [--teams 200] [--files 10] [--rows 3000]

The server runs in a process of its own; each team sends its files one after the other, and the
limit is one less than it sends. Exits with 1 when a submission was lost, doubled, out of order or
over the limit.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medkit.files import sha256
from medkit.leaderboard.board import Board
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted
from medkit.leaderboard.standings import ranking


class Sent(NamedTuple):
    """One file of a team, and what became of it; times by the client's clock."""

    team: int
    sha256: str
    began: float
    ended: float
    status: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teams", type=int, default=200)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rows", type=int, default=3000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "contest"
        make_contest(folder, asked)
        with open(Path(temporary) / "server.log", "wb") as log:
            command = [sys.executable, "-m", "medkit.leaderboard", "serve", str(folder)]
            command += ["--port", "0", "--until-stdin-closes"]
            server = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
            port = int(server.stdout.readline().rpartition(":")[2])
            sent = send_all(port, asked)
            server.stdin.close()
            server.wait()
        problems = compare(folder, sent, asked.files - 1)
    report(sent)
    print("\n".join(problems) or "none lost, none doubled, order kept, limit exact")
    sys.exit(bool(problems))


def make_contest(folder: Path, asked: argparse.Namespace) -> None:
    """A contest of two classes, and its teams; their passwords are all alike."""
    rng = np.random.default_rng(0)
    answers = folder.parent / "answers.csv"
    answers.write_bytes(table(rng.integers(0, 2, asked.rows)))
    new_contest(folder, answers, limit=asked.files - 1, members=(1, 4))
    board, site, contest = Board(folder), salted("site"), salted("contest")
    for number in range(1, asked.teams + 1):
        member = {"email": f"{number}@example.org", "name": "x", "password": site}
        board.store.add_team(number, f"team {number}", contest, [member])
    board.close()


def table(labels: np.ndarray) -> bytes:
    lines = (f"upper_{row:05d},{label}\n" for row, label in enumerate(labels))
    return ("id,decayed\n" + "".join(lines)).encode()


def send_all(port: int, asked: argparse.Namespace) -> list[Sent]:
    """All teams at once, from one moment on."""
    rng = np.random.default_rng(1)
    files = [[table(rng.integers(0, 2, asked.rows)) for _ in range(asked.files)] for _ in "abcd"]
    ready = threading.Barrier(asked.teams)

    def team(number: int) -> list[Sent]:
        own = [csv + b"\n" * (number // 4 % 50 + 1) for csv in files[number % 4]]
        bodies = [(sha256(csv), request_body(csv)) for csv in own]
        ready.wait()
        return [send(port, number, digest, body) for digest, body in bodies]

    with ThreadPoolExecutor(asked.teams) as pool:
        return [one for own in pool.map(team, range(1, asked.teams + 1)) for one in own]


def request_body(csv: bytes) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="s.csv"\r\n\r\n'
    return head + csv + b"\r\n--x--\r\n"


def send(port: int, team: int, digest: str, body: bytes) -> Sent:
    who = base64.b64encode(f"{team}@example.org:site".encode()).decode()
    headers = {"Authorization": f"Basic {who}", "Content-Type": "multipart/form-data; boundary=x"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    began = time.time()
    path = f"/api/direct-report/{team}?password=contest"
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    json.loads(answer.read())
    connection.close()
    return Sent(team, digest, began, time.time(), answer.status)


def compare(folder: Path, sent: list[Sent], limit: int) -> list[str]:
    """What the store holds against what the clients were told: a sentence for each difference."""
    board = Board(folder)
    kept = board.store.submissions()
    rows = ranking(board, board.now())
    board.close()
    accepted = Counter((one.team, one.sha256) for one in sent if one.status == 200)
    stored = Counter((one.team, one.sha256) for one in kept)
    problems = [f"status {one.status}" for one in sent if one.status not in (200, 429)]
    problems += [f"lost: {key}" for key in accepted - stored]
    problems += [f"doubled or never accepted: {key}" for key in stored - accepted]
    per_team = Counter(one.team for one in kept)
    teams = {one.team for one in sent}
    problems += [f"team {t} has {per_team[t]}" for t in teams if per_team[t] != limit]
    problems += [f"{one.id} is {one.state}" for one in kept if one.state != "scored"]
    received = {(one.team, one.sha256): one.received.timestamp() for one in kept}
    for one in sent:
        at = received.get((one.team, one.sha256))
        if at is not None and not one.began <= at <= one.ended:
            problems.append(f"received outside of its request: {one}")
    if len(rows) != len(teams) or [row.rank for row in rows] != list(range(1, len(teams) + 1)):
        problems.append("the ranking lacks teams")
    return problems


def report(sent: list[Sent]) -> None:
    took = np.array([one.ended - one.began for one in sent])
    wall = max(one.ended for one in sent) - min(one.began for one in sent)
    counts = Counter(one.status for one in sent)
    print(f"{len(sent)} files of {len({one.team for one in sent})} teams: {dict(counts)}")
    print(
        f"{len(sent) / wall:.0f} submissions/s over {wall:.1f} s; latency median "
        f"{np.median(took):.2f} s, p95 {np.percentile(took, 95):.2f} s, max {took.max():.2f} s"
    )


if __name__ == "__main__":
    main()
