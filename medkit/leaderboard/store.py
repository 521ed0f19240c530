"""Teams and submissions in SQLite. Passwords are kept as salted hashes only."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Iterator

SEOUL = timezone(timedelta(hours=9), "Asia/Seoul")
SCHEMA = """
CREATE TABLE IF NOT EXISTS teams (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, email TEXT NOT NULL,
    password TEXT NOT NULL, contest_password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY, team INTEGER NOT NULL REFERENCES teams, day TEXT NOT NULL,
    time TEXT NOT NULL, sha256 TEXT NOT NULL, csv BLOB NOT NULL, scores TEXT NOT NULL,
    score REAL NOT NULL);
"""


@dataclass(frozen=True)
class Team:
    number: int
    name: str
    user: str
    email: str
    password: str  # salted hash
    contest_password: str  # salted hash


class Store:
    """One contest's database. A connection a call: threads share nothing."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(SCHEMA)
        os.chmod(self.path, 0o600)

    def add_team(
        self, number: int, name: str, user: str, email: str, password: str, contest_password: str
    ) -> None:
        """Add a team, or give it new names and passwords."""
        row = (number, name, user, email, salted(password), salted(contest_password))
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO teams VALUES (?, ?, ?, ?, ?, ?)", row)

    def team(self, number: int) -> Team | None:
        with self._open() as database:
            row = database.execute("SELECT * FROM teams WHERE number = ?", (number,)).fetchone()
        return Team(*row) if row else None

    def used(self, team: int, now: datetime) -> int:
        """Accepted submissions of a team on the calendar day of `now` in Seoul."""
        with self._open() as database:
            return self._count(database, team, now)

    def add(self, team: int, csv: bytes, scores: dict, limit: int, now: datetime) -> int | None:
        """Keep a submission unless the day is used up; returns how many are left, or None.

        Counting and keeping are one transaction: of two at once, only one takes the last slot.
        """
        row = (team, _day(now), now.isoformat(), hashlib.sha256(csv).hexdigest(), csv)
        row += (json.dumps(scores), next(iter(scores.values())))
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            used = self._count(database, team, now)
            if used >= limit:
                return None
            columns = "team, day, time, sha256, csv, scores, score"
            database.execute(f"INSERT INTO submissions ({columns}) VALUES (?,?,?,?,?,?,?)", row)
            return limit - used - 1

    def ranking(self) -> list[dict]:
        """Teams by their best score; of equal ones the earlier submission ranks higher."""
        query = """
            SELECT teams.name, s.score, s.time, s.scores,
                   (SELECT COUNT(*) FROM submissions WHERE team = teams.number)
            FROM teams JOIN submissions s ON s.id = (
                SELECT id FROM submissions WHERE team = teams.number
                ORDER BY score DESC, id LIMIT 1)
            ORDER BY s.score DESC, s.id"""
        with self._open() as database:
            rows = database.execute(query).fetchall()
        names = ("team", "score", "time", "scores", "count")
        return [{**dict(zip(names, row)), "scores": json.loads(row[3])} for row in rows]

    @staticmethod
    def _count(database: sqlite3.Connection, team: int, now: datetime) -> int:
        query = "SELECT COUNT(*) FROM submissions WHERE team = ? AND day = ?"
        return database.execute(query, (team, _day(now))).fetchone()[0]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            yield database
            if database.in_transaction:
                database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        finally:
            database.close()


def salted(password: str, salt: bytes | None = None) -> str:
    """A hash to keep instead of a password: scrypt with a salt of its own."""
    salt = secrets.token_bytes(16) if salt is None else salt
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)
    return f"{salt.hex()}${digest.hex()}"


def matches(password: str, kept: str) -> bool:
    """Whether a password is the one that was hashed, in time that tells nothing."""
    salt = bytes.fromhex(kept.partition("$")[0])
    return hmac.compare_digest(salted(password, salt), kept)


def _day(now: datetime) -> str:
    return now.astimezone(SEOUL).date().isoformat()
