"""Who may submit: passwords compared in constant time, and nobody shut out by another's guesses.

The kit makes passwords of 96 random bits. No number of guesses finds one, so a fast salted hash is
enough for them, and nobody waits: a rival who guesses all day, from the address of a whole class,
keeps nobody out. A password that a person chose can be guessed: it has a slow hash, and wrong ones
make its own e-mail wait.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
import threading
import time
from typing import Callable

from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.store import Member, Store, Team
from medkit.leaderboard.turns import Turns

FAST, SLOW = "sha256", "scrypt"  # how a kept hash begins; the first versions' scrypt has no name
FREE = 5  # wrong passwords of one e-mail before a wait
FIRST_WAIT_S, LONGEST_WAIT_S = 2, 300
FORGET_S = 900
MOST_KEYS = 10_000  # remembered; an attacker can make any number
MOST_WAITING = 64  # for a slow hash, which are made one at a time
WRONG = "이메일 또는 비밀번호가 올바르지 않습니다. (wrong e-mail or password)"
log = logging.getLogger(__name__)


def salted(password: str) -> str:
    """What is kept of a password that the kit made at random: SHA-256 with a salt of its own."""
    return _hashed(FAST, password, secrets.token_bytes(16))


def stretched(password: str) -> str:
    """What is kept of a password that a person chose: scrypt, which makes guessing slow."""
    return _hashed(SLOW, password, secrets.token_bytes(16))


def matches(password: str, kept: str) -> bool:
    """Whether a password is the one that was hashed, in time that tells nothing."""
    kind, salt, _ = _parts(kept)
    return hmac.compare_digest(_hashed(kind, password, salt), kept)


def _hashed(kind: str, password: str, salt: bytes) -> str:
    if kind == FAST:
        digest = hashlib.sha256(salt + password.encode()).digest()
    else:
        digest = hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)
    return "$".join(filter(None, (kind, salt.hex(), digest.hex())))


def _parts(kept: str) -> tuple[str, bytes, str]:
    """Kind ("" of the first versions), salt and digest."""
    parts = kept.split("$")
    kind, salt, digest = parts if len(parts) == 3 else ("", *parts)
    return kind, bytes.fromhex(salt), digest


class Guard:
    """Checks passwords against a store.

    Slow hashes are made one at a time. A password that had one and was right is remembered as a
    keyed hash, in memory only and with a key of this process; one of the first versions, which the
    kit had made as well, gets the fast hash then.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._key = secrets.token_bytes(32)
        self._nobody = salted(secrets.token_hex(8))  # takes the time of a real one of the kit's
        self._right: set[bytes] = set()
        self._waits = Waits(clock)
        self._turns = Turns(1, MOST_WAITING)

    def admit(
        self, number: int, *, email: str, password: str, contest_password: str
    ) -> tuple[Team, Member]:
        """The team and the member that may submit.

        Raises:
            Refused: a wrong password, or no such team.
        """
        team, member = self._store.team(number), self._member(email, password)
        if not email:
            raise Refused(WRONG, 401)
        if team is None:
            raise Refused(f"{number}번 팀이 없습니다. (no team {number}; look up your number)", 404)
        if member is None or member.team != team.number:
            raise Refused(WRONG, 401)
        if not self._is_right(contest_password, team.password, member.email):
            raise Refused("대회 비밀번호가 올바르지 않습니다. (wrong contest password)", 403)
        return team, member

    def member(self, email: str, password: str) -> Member:
        """Whoever logs in to a page.

        Raises:
            Refused: a wrong password.
        """
        member = self._member(email, password)
        if member is None:
            raise Refused(WRONG, 401)
        return member

    def _member(self, email: str, password: str) -> Member | None:
        member = self._store.member(email) if email else None
        kept, key = (member.password, member.email) if member else (self._nobody, email)
        return member if self._is_right(password, kept, key) else None

    def _is_right(self, password: str, kept: str, email: str) -> bool:
        kind = _parts(kept)[0]
        if kind == FAST:
            return matches(password, kept)
        text = f"{len(kept)}:{kept}{password}".encode()
        mark = hmac.new(self._key, text, hashlib.sha256).digest()
        if mark in self._right:
            return True
        if kind == SLOW:
            self._check_wait(email)
        with self._turns:
            is_right = matches(password, kept)
        if is_right:
            self._right.add(mark)
            self._waits.forget(email)
            if kind != SLOW:
                self._convert(kept, salted(password))
        elif kind == SLOW:
            self._waits.note(email)
        return is_right

    def _check_wait(self, email: str) -> None:
        wait_s = self._waits.left(email)
        if wait_s:
            raise Refused(
                f"비밀번호가 여러 번 틀렸습니다. {wait_s}초 뒤에 다시 시도하세요. "
                f"(too many wrong passwords; try again in {wait_s} seconds)",
                429,
                wait_s,
            )

    def _convert(self, kept: str, faster: str) -> None:
        try:
            self._store.replace_hash(kept, faster)
        except sqlite3.Error as error:  # it was right all the same; the next time, perhaps
            log.warning("a password keeps its slow hash: %s", error)


class Waits:
    """How long keys have to wait: not at all at first, then twice as long each time."""

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[str, tuple[int, float]] = {}  # how often, until when

    def left(self, key: str) -> int:
        """Whole seconds that a key still has to wait."""
        now = self._clock()
        with self._lock:
            until = self._seen.get(key, (0, now))[1]
        return int(until - now) + 1 if until > now else 0

    def note(self, key: str) -> None:
        """Count something wrong."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= MOST_KEYS:
                self._seen = {k: v for k, v in self._seen.items() if v[1] > now}
            count, until = self._seen.get(key, (0, now))
            count = 1 if now - until > FORGET_S else count + 1
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(20, count - FREE))
            self._seen[key] = (count, now + (wait_s if count >= FREE else 0))

    def forget(self, key: str) -> None:
        """Begin anew with a key that was right."""
        with self._lock:
            self._seen.pop(key, None)
