"""Teams and submissions in SQLite: what is committed here survives a killed server.

Passwords come in as salted hashes only.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from medkit import files
from medkit.errors import ConfigError, DataError
from medkit.files import beside, sha256, write_whole
from medkit.leaderboard.refusing import Refused
from medkit.submission.quota import Quota, span_of

WAIT_S = 10.0  # for another writer
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS teams (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    email TEXT PRIMARY KEY, team INTEGER NOT NULL REFERENCES teams, name TEXT NOT NULL,
    password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, team INTEGER NOT NULL REFERENCES teams,
    email TEXT NOT NULL, received TEXT NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('received', 'scored', 'failed')),
    scores TEXT, reason TEXT NOT NULL DEFAULT '', csv BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS aside AS SELECT * FROM submissions WHERE 0;
CREATE INDEX IF NOT EXISTS by_team ON submissions (team, received);
CREATE INDEX IF NOT EXISTS by_state ON submissions (state) WHERE state = 'received';
"""


@dataclass(frozen=True)
class Member:
    email: str
    team: int
    name: str
    password: str  # salted hash


@dataclass(frozen=True)
class Team:
    number: int
    name: str
    password: str  # salted hash, of the contest password


@dataclass(frozen=True)
class Submission:
    """One accepted file, without its bytes. `scores` is by part, then by metric."""

    id: int
    team: int
    email: str
    received: datetime
    sha256: str
    state: str  # "received" (not scored yet), "scored" or "failed" (which costs no slot)
    scores: Mapping[str, Mapping[str, float]]
    reason: str

    def score(self, part: str) -> float | None:
        """The score that ranks, of the public or the private part."""
        return next(iter(self.scores.get(part, {}).values()), None)


class Store:
    """One contest's database. Threads share a few connections, one a call.

    Raises:
        DataError: the file is damaged, with what to do.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        files.make_folder(self.path.parent)
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = threading.Event()
        self._watch: sqlite3.Connection | None = None
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._open() as database:
                found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(found)
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(SCHEMA)
            self._watch, self._watching = self._connect(), threading.Lock()
        except sqlite3.OperationalError as error:
            self.close()
            raise DataError(f"{self.path}: cannot be opened ({error}).") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise DataError(
                f"{self.path}: the store is damaged ({error}). Move it away, with its -wal and "
                "-shm, and put a backup in its place."
            ) from error

    def close(self) -> None:
        """Close what is open; the store cannot be used after."""
        self._is_closed.set()
        if self._watch is not None:
            with self._watching:
                self._watch.close()
        while self._idle:
            self._idle.pop().close()

    def version(self) -> int:
        """Another number after each change, whoever made it; till then what was read holds."""
        with self._watching:
            return self._watch.execute("PRAGMA data_version").fetchone()[0]

    def add_team(
        self, number: int | None, name: str, password: str, members: Sequence[Mapping[str, str]]
    ) -> int:
        """Add a team, or replace that of a number; returns its number.

        Args:
            members: `email`, `name`, `password` of each.

        Raises:
            ConfigError: the name or an e-mail is taken.
        """
        with self._change() as database:
            if number is None:
                query = "SELECT COALESCE(MAX(number), 0) + 1 FROM teams"
                number = database.execute(query).fetchone()[0]
            self._check_free(database, number, name, [m["email"] for m in members])
            database.execute(
                "INSERT INTO teams VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE SET "
                "name = excluded.name, password = excluded.password",
                (number, name, password),
            )
            database.execute("DELETE FROM members WHERE team = ?", (number,))
            rows = [(m["email"], number, m["name"], m["password"]) for m in members]
            database.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", rows)
        return number

    def teams(self) -> list[Team]:
        """All teams by number."""
        rows = self._rows("SELECT number, name, password FROM teams ORDER BY number")
        return [Team(*row) for row in rows]

    def team(self, number: int) -> Team | None:
        rows = self._rows("SELECT number, name, password FROM teams WHERE number = ?", number)
        return Team(*rows[0]) if rows else None

    def member(self, email: str) -> Member | None:
        """Whoever has an e-mail, however its letters are written."""
        query = "SELECT email, team, name, password FROM members WHERE "
        rows = self._rows(query + "email = ?", email)
        rows = rows or self._rows(query + "folded(email) = ?", folded(email))
        return Member(*rows[0]) if len(rows) == 1 else None

    def members(self, team: int) -> list[Member]:
        query = "SELECT email, team, name, password FROM members WHERE team = ? ORDER BY rowid"
        return [Member(*row) for row in self._rows(query, team)]

    def replace_hash(self, kept: str, other: str) -> None:
        """Keep another hash of the same password; hashes are salted, so that each is one's own."""
        with self._change() as database:
            for table in ("members", "teams"):
                query = f"UPDATE {table} SET password = ? WHERE password = ?"
                database.execute(query, (other, kept))

    def add(
        self, member: Member, csv: bytes, quota: Quota, received: datetime
    ) -> tuple[int, int] | None:
        """Keep a submission unless the quota is used up: its id, and how many are left.

        Counting and keeping are one transaction: of two at once, only one takes the last slot.
        """
        with self._change() as database:
            used = self._used(database, member.team, quota, received)
            if used >= quota.limit:
                return None
            row = (member.team, member.email, _text(received), sha256(csv), "received", csv)
            done = database.execute(
                "INSERT INTO submissions (team, email, received, sha256, state, csv) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            return done.lastrowid, quota.limit - used - 1

    def used(self, team: int, quota: Quota, now: datetime) -> int:
        """How many slots of the quota a team has used."""
        with self._open() as database:
            return self._used(database, team, quota, now)

    def latest(self) -> datetime | None:
        """When the last submission was received."""
        found = self._rows("SELECT MAX(received) FROM submissions")[0][0]
        return _moment(found) if found else None

    def unscored(self, most: int) -> list[tuple[int, bytes]]:
        """The first submissions that still wait for their score, in the order of receipt."""
        query = "SELECT id, csv FROM submissions WHERE state = 'received' "
        return self._rows(query + "ORDER BY received, id LIMIT ?", most)

    def set_scores(self, results: Sequence[tuple[int, Mapping[str, Any] | None, str]]) -> None:
        """Write (id, scores, reason) of each down, as one step; without scores it failed.

        What failed cost no slot, so its bytes are not kept: nobody can fill the disk with them.
        """
        rows = [
            ("failed" if scores is None else "scored", json.dumps(scores or {}), reason, name)
            for name, scores, reason in results
        ]
        with self._change() as database:
            query = "UPDATE submissions SET state = ?, scores = ?, reason = ? WHERE id = ?"
            database.executemany(query, rows)
            failed = [(name,) for name, scores, _ in results if scores is None]
            database.executemany("UPDATE submissions SET csv = x'' WHERE id = ?", failed)

    def score_again(self, fingerprint: str) -> bool:
        """Let all be scored anew when answers or rules are others than last time."""
        before = self._rows("SELECT value FROM facts WHERE name = 'answers'")
        if before == [(fingerprint,)]:
            return False
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO facts VALUES ('answers', ?)", (fingerprint,))
            if before:
                query = "UPDATE submissions SET state = 'received', scores = NULL "
                database.execute(query + "WHERE state != 'failed'")
        return bool(before)

    def submissions(self, team: int | None = None) -> list[Submission]:
        """All, or those of one team, in the order of receipt."""
        where = "" if team is None else "WHERE team = ?"
        query = (
            "SELECT id, team, email, received, sha256, state, scores, reason FROM submissions "
            f"{where} ORDER BY received, id"
        )
        rows = self._rows(query, *([] if team is None else [team]))
        return [
            Submission(*row[:3], _moment(row[3]), *row[4:6], json.loads(row[6] or "{}"), row[7])
            for row in rows
        ]

    def score_of(self, team: int, digest: str) -> float | None:
        """The public score of a team's file by its hash; None while it has none."""
        scored = [s for s in self.submissions(team) if (s.sha256, s.state) == (digest, "scored")]
        return scored[-1].score("public") if scored else None

    def set_aside(self, names: Sequence[int]) -> None:
        """Let submissions count no more, without losing them."""
        with self._change() as database:
            for name in names:
                query = "INSERT INTO aside SELECT * FROM submissions WHERE id = ?"
                database.execute(query, (name,))
                database.execute("DELETE FROM submissions WHERE id = ?", (name,))

    def bring_back(self) -> int:
        """Let all that was set aside count again, and be scored anew; returns how many."""
        with self._change() as database:
            query = "UPDATE aside SET state = 'received', scores = NULL WHERE state != 'failed'"
            database.execute(query)  # the answers may be others by now
            database.execute("INSERT INTO submissions SELECT * FROM aside")
            return database.execute("DELETE FROM aside").rowcount

    def state(self, name: int) -> str:
        return self._rows("SELECT state FROM submissions WHERE id = ?", name)[0][0]

    def csv(self, name: int) -> bytes:
        """The bytes of a submission, as they came."""
        return self._rows("SELECT csv FROM submissions WHERE id = ?", name)[0][0]

    def backup(self, path: Path | str) -> None:
        """Write a whole copy of the store as it stands, also while it is served."""
        path = Path(path)
        copy = beside(path)
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with self._open() as database:
            target = sqlite3.connect(copy)
            try:
                database.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
            finally:
                target.close()
        write_whole(path, copy.read_bytes(), mode=0o600)
        copy.unlink()

    @staticmethod
    def _check_free(
        database: sqlite3.Connection, number: int, name: str, emails: Sequence[str]
    ) -> None:
        """Refuse a name or an e-mail that would be mistaken for another's.

        What a team has already it keeps: earlier versions let names differ in letters alone.
        """
        teams = dict(database.execute("SELECT number, name FROM teams"))
        members = database.execute("SELECT email, team FROM members").fetchall()
        own = {email for email, team in members if team == number}
        theirs = {folded(email) for email, team in members if team != number}
        others = {folded(known) for key, known in teams.items() if key != number}
        is_name = folded(name) in others and teams.get(number) != name
        new = [folded(email) for email in emails if email not in own]
        taken_keys = theirs | {folded(email) for email in emails if email in own}
        is_email = len(set(new)) < len(new) or not taken_keys.isdisjoint(new)
        if is_name or is_email:
            taken = "name" if is_name else "e-mail"
            raise ConfigError(f"team {name!r}: its {taken} is another team's. Choose another.")

    @staticmethod
    def _used(database: sqlite3.Connection, team: int, quota: Quota, now: datetime) -> int:
        first, end = span_of(quota, now)
        query = "SELECT COUNT(*) FROM submissions WHERE team = ? AND state != 'failed' "
        query += "AND received >= ? AND received < ?"
        return database.execute(query, (team, _text(first), _text(end))).fetchone()[0]

    def _rows(self, query: str, *values: Any) -> list[tuple]:
        with self._open() as database:
            return database.execute(query, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in: all of it is kept, or nothing."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = self._idle.pop()
        except IndexError:
            database = self._connect()
        try:
            yield database
        finally:
            if self._is_closed.is_set():
                database.close()
            else:
                self._idle.append(database)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
        )
        database.create_function("folded", 1, folded, deterministic=True)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        return database


def folded(text: str) -> str:
    """A name or an e-mail as it is compared: width, case and spaces around it make no other."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def told(error: sqlite3.Error) -> Refused:
    """What a failing store means for the participant: nothing was kept, nothing is spent."""
    spent = "제출 횟수는 차감되지 않았습니다."
    if "full" in str(error) or "disk I/O" in str(error):
        return Refused(
            f"서버의 디스크가 가득 찼습니다. {spent} (The server's disk is full; no submission "
            "was used. Tell the organisers.)",
            507,
        )
    return Refused(
        f"서버가 지금 저장할 수 없습니다. {spent} (The server cannot write now; no submission was "
        "used. Send it again in a minute.)",
        503,
        60,
    )


def _text(moment: datetime) -> str:
    """Of one length and zone, so that the order of the texts is that of the times."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
