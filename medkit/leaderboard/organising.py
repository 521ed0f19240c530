"""What the organiser does beside serving: making a contest, its teams, copies and results."""

from __future__ import annotations

import argparse
import csv
import io
import secrets
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterable, Sequence

from medkit import files
from medkit.errors import ConfigError, DataError
from medkit.leaderboard.board import BACK, Board
from medkit.leaderboard.contest import ANSWERS, SETTINGS, STORE, Contest, held, read_contest
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted
from medkit.leaderboard.standings import final_ranking
from medkit.leaderboard.store import Store
from medkit.tables import read_csv

PASSWORD_BYTES = 12
FORMULA = tuple("=+-@|%＝＋－＠")  # what begins one, in Korean and Japanese spreadsheets too


def new(arguments: argparse.Namespace) -> None:
    """Make a contest's folder and say what it holds."""
    names = {field.name for field in fields(Contest)}
    rules = {k: v for k, v in vars(arguments).items() if k in names and v is not None}
    contest = new_contest(
        arguments.folder,
        arguments.answers,
        id_column=arguments.id_column,
        label_column=arguments.label_column,
        **rules,
    )
    board = Board(arguments.folder)
    public, rows = int(board.answers.is_public.sum()), len(board.answers.ids)
    board.close()
    print(f"{arguments.folder}: {contest.name}, {rows} rows ({public} public), {contest.quota()}.")
    print(f"Rules: {arguments.folder / SETTINGS}. Next: teams add {arguments.folder} NAME ...")


def teams(arguments: argparse.Namespace) -> None:
    """Add a team or renew its passwords, which are printed once; or list the teams."""
    contest = read_contest(arguments.folder)
    store = Store(arguments.folder / STORE)
    try:
        if arguments.action == "list":
            for team in store.teams():
                members = ", ".join(f"{m.name} <{m.email}>" for m in store.members(team.number))
                print(f"{team.number}\t{team.name}\t{members}")
        elif arguments.action == "renew":
            _renew(store, arguments.team)
        elif arguments.table is not None:
            for name, members in read_teams(arguments.table).items():
                add_team(store, contest, name, members)
        else:
            add_team(store, contest, arguments.team, arguments.member)
    finally:
        store.close()


def add_team(store: Store, contest: Contest, name: str | None, members: Sequence[str]) -> None:
    """Add a team of "e-mail:name" members and print its passwords, this once.

    Raises:
        ConfigError: for a name or a number of members that the contest does not take.
    """
    few, many = contest.members
    if not name or not name.strip() or len(name) > 50 or not name.isprintable():
        raise ConfigError(f"team {name!r}: no name for a ranking. Write 1 to 50 characters.")
    if not few <= len(members) <= many:
        raise ConfigError(
            f"team {name!r}: {len(members)} members (expected {few} to {many}). "
            "Write --member E-MAIL:NAME once for each."
        )
    people = []
    for text in members:
        email, _, person = text.partition(":")
        if "@" not in email or not text.isprintable():
            raise ConfigError(f"team {name!r}: {email!r} is no e-mail. Write --member E-MAIL:NAME.")
        people.append((email.strip(), person.strip() or email.partition("@")[0]))
    _keep(store, None, name.strip(), people)


def read_teams(path: Path) -> dict[str, list[str]]:
    """Members by team, of a CSV with the columns team, email and name.

    Raises:
        DataError: columns or cells are missing.
    """
    wanted = ["team", "email", "name"]
    table = read_csv(path, text=wanted)
    missing = [name for name in wanted if name not in table]
    if missing or table[wanted].isna().any(axis=None):
        raise DataError(f"{path}: lacks {missing or 'some cells'} (expected columns {wanted}).")
    found: dict[str, list[str]] = {}
    for team, email, name in table[wanted].to_numpy().tolist():
        found.setdefault(team, []).append(f"{email}:{name}")
    return found


def _renew(store: Store, number: str | None) -> None:
    team = store.team(int(number)) if number and number.isdigit() else None
    if team is None:
        numbers = [known.number for known in store.teams()]
        raise ConfigError(f"team {number!r}: no such number (there are {numbers[:20]}).")
    people = [(member.email, member.name) for member in store.members(team.number)]
    _keep(store, team.number, team.name, people)


def _keep(store: Store, number: int | None, name: str, people: Sequence[tuple[str, str]]) -> None:
    """Store a team under new passwords, and print them."""
    contest_password = secrets.token_urlsafe(PASSWORD_BYTES)
    passwords = [secrets.token_urlsafe(PASSWORD_BYTES) for _ in people]
    rows = [
        {"email": email, "name": person, "password": salted(password)}
        for (email, person), password in zip(people, passwords)
    ]
    number = store.add_team(number, name, salted(contest_password), rows)
    print(f"team {number}: {name}\ncontest password: {contest_password}")
    for (email, _), password in zip(people, passwords):
        print(f"{email}: {password}")
    print("Only hashes are kept: hand these on now; `teams renew` makes new ones.")


def mend(arguments: argparse.Namespace) -> None:
    """Set submissions aside that lie in the future, where a wrong clock has put them."""
    read_contest(arguments.folder)
    with held(arguments.folder):
        store, now = Store(arguments.folder / STORE), datetime.now(timezone.utc)
        try:
            if arguments.back:
                print(f"{store.bring_back()} submissions count again.")
                return
            teams = {team.number: team.name for team in store.teams()}
            late = [s for s in store.submissions() if s.received > now + BACK]
            for s in late:
                print(f"{s.id}\tteam {s.team} {teams[s.team]}\t{s.received}\t{s.sha256[:12]}")
            store.set_aside([s.id for s in late])
        finally:
            store.close()
    print(f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC; {len(late)} submissions are later.")
    if late:
        print("They are set aside: they rank no more, cost no slot, and stay in the store.")
        print("If it is the clock that is wrong, set it right, and run it again with --back.")


def backup(arguments: argparse.Namespace) -> None:
    """Copy a contest, also while it is served; the copy can be served itself."""
    folder, target = arguments.folder, arguments.target
    read_contest(folder)
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target}: not empty. Choose a new folder for each backup.")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(folder / STORE)
    try:
        store.backup(target / STORE)
    finally:
        store.close()
    for name in (SETTINGS, ANSWERS):
        files.write_whole(target / name, (folder / name).read_bytes(), mode=0o600)
    print(f"{target}: {SETTINGS}, {ANSWERS} and {STORE}. It can be served as it is.")


def export(arguments: argparse.Namespace) -> None:
    """Write the ranking and all submissions as CSV that a spreadsheet opens safely."""
    target = arguments.to or arguments.folder
    board = Board(arguments.folder)
    try:
        rows = final_ranking(board)
        names = list(rows[0].scores) if rows else []
        head = ["rank", "number", "team", "final", "change", *names, "entries", "time_utc"]
        cells = [
            [r.rank, r.team, r.name, r.final, r.change, *r.scores.values(), r.entries, r.time]
            for r in rows
        ]
        _write(target / "results.csv", head, cells)
        head = ["id", "number", "email", "time_utc", "sha256", "state", "public", "private"]
        cells = [
            [s.id, s.team, s.email, s.received, s.sha256, s.state]
            + [s.score("public"), s.score("private")]
            for s in board.store.submissions()
        ]
        _write(target / "submissions.csv", head, cells)
    finally:
        board.close()
    print(f"{target / 'results.csv'}\n{target / 'submissions.csv'}")


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[safe_cell(value) for value in row] for row in rows])
    data = text.getvalue().encode("utf-8-sig")  # or Excel shows no Hangul
    files.write_whole(path, data, mode=0o600)


def safe_cell(value: Any) -> Any:
    """Text that a spreadsheet does not take for a formula; numbers as they are."""
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str):
        return "" if value is None else value
    text = " ".join(value.split())
    return "'" + text if text[:1] in FORMULA else text
