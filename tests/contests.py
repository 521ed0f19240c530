"""A small contest to test the leaderboard with: eight rows, a clock that stands, two teams."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from io import BytesIO

from medkit.leaderboard.board import Board
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted

IDS = [f"front_{k}" for k in range(8)]
TRUTH = [0, 1, 1, 0, 1, 0, 0, 1]
NIGHT = datetime(2026, 11, 20, 14, 59, 59, tzinfo=timezone.utc)  # 23:59:59 in Seoul
SITE, CONTEST = salted("site"), salted("contest")
HOUR = timedelta(hours=1)
TEAMS = {42: ("용감한", "me@x.kr", "홍길동"), 7: ("늦은", "late@x.kr", "김늦음")}


def table(labels=TRUTH, ids=IDS):
    return "id,decayed\n" + "".join(f"{name},{label}\n" for name, label in zip(ids, labels))


class Clock:
    now = NIGHT

    def __call__(self):
        return self.now


def make_contest(folder, answers=None, **rules):
    """A contest's folder with two teams; the passwords are "site" and "contest"."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.csv"
    path.write_text(table() if answers is None else answers, encoding="utf-8")
    new_contest(folder, path, **{"public_share": 0.5, "seed": 1, "members": (1, 4), **rules})
    board = Board(folder)
    for number, (team, email, name) in TEAMS.items():
        member = {"email": email, "name": name, "password": SITE}
        board.store.add_team(number, team, CONTEST, [member])
    board.close()
    return folder


def make_board(folder, answers=None, clock=None, **rules):
    return Board(make_contest(folder, answers, **rules), clock=clock or Clock())


def post(client, text=None, *, team=42, email=None, password="site", contest="contest", files=None):
    """Send a CSV as a contest's client does."""
    data = table() if text is None else text
    data = data if isinstance(data, bytes) else data.encode()
    email = TEAMS.get(team, TEAMS[42])[1] if email is None else email
    return client.post(
        f"/api/direct-report/{team}?password={contest}",
        data=files or {"files": (BytesIO(data), "s.csv")},
        auth=(email, password),
    )


def send(board, labels=TRUTH, team=42):
    """Hand a table in, as the server does after the passwords."""
    member = board.store.member(TEAMS[team][1])
    return board.receive(board.store.team(team), member, table(labels).encode(), board.now())


def start(folder, *options):
    """The server as an organiser starts it, in a process of its own."""
    command = [sys.executable, "-m", "medkit.leaderboard", "serve", str(folder), "--port", "0"]
    with open(folder / "server.log", "ab") as log:
        process = subprocess.Popen(
            [*command, "--until-stdin-closes", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    line = process.stdout.readline()
    assert line.startswith("listening on "), (folder / "server.log").read_text()
    return process, line.split()[-1]
