"""Who may submit: passwords compared in constant time, and guessing made slow."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from typing import Callable

from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.store import Member, Store, Team

FREE = 5  # wrong passwords of one person from one address before a wait
FREE_OF_ADDRESS = 60  # of all persons from one address: a class may sit behind one
FIRST_WAIT_S, LONGEST_WAIT_S = 2, 300
FORGET_S = 900
MOST_KEYS = 10_000  # remembered; an attacker can make any number
WRONG = "이메일 또는 비밀번호가 올바르지 않습니다. (wrong e-mail or password)"


def salted(password: str, salt: bytes | None = None) -> str:
    """A hash to keep instead of a password: scrypt with a salt of its own."""
    salt = secrets.token_bytes(16) if salt is None else salt
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)
    return f"{salt.hex()}${digest.hex()}"


def matches(password: str, kept: str) -> bool:
    """Whether a password is the one that was hashed, in time that tells nothing."""
    salt = bytes.fromhex(kept.partition("$")[0])
    return hmac.compare_digest(salted(password, salt), kept)


class Guard:
    """Checks passwords against a store, and lets an address wait after wrong ones.

    A password that was right once is remembered as a keyed hash, in memory only and with a key of
    this process: the slow hash would cost seconds when two hundred teams send at once.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self._store, self._clock = store, clock
        self._key = secrets.token_bytes(32)
        self._nobody = salted(secrets.token_hex(8))  # takes the same time as a real one
        self._right: set[bytes] = set()
        self._waits = Waits(clock)

    def admit(
        self, number: int, *, email: str, password: str, contest_password: str, address: str
    ) -> tuple[Team, Member]:
        """The team and the member that may submit.

        Raises:
            Refused: wrong or too many wrong passwords, or no such team.
        """
        keys = self._watched(email, password, address)
        team, member = self._store.team(number), self._member(email, password)
        try:
            if not email:
                raise Refused(WRONG, 401)
            if team is None:
                raise Refused(
                    f"{number}번 팀이 없습니다. (no team {number}; look up your number)", 404
                )
            if member is None or member.team != team.number:
                raise Refused(WRONG, 401)
            if not self._is_right(contest_password, team.password):
                raise Refused("대회 비밀번호가 올바르지 않습니다. (wrong contest password)", 403)
        except Refused:
            self._waits.note(keys)
            raise
        self._waits.forget((address, email))
        return team, member

    def member(self, email: str, password: str, *, address: str) -> Member:
        """Whoever logs in to a page.

        Raises:
            Refused: wrong or too many wrong passwords.
        """
        keys = self._watched(email, password, address)
        member = self._member(email, password)
        if member is None:
            self._waits.note(keys)
            raise Refused(WRONG, 401)
        self._waits.forget((address, email))
        return member

    def _watched(self, email: str, password: str, address: str) -> dict[tuple[str, ...], int]:
        """What wrong passwords are counted by, and how many are free.

        While a person or an address waits, those whose password was right before are let through:
        one in a class, behind one address, must not be able to shut the others out. That opens no
        door to guessing, since passwords are long and random.

        Raises:
            Refused: the person or the address has to wait.
        """
        person, place = {(address, email): FREE}, {(address,): FREE_OF_ADDRESS}
        wait_s = self._waits.left({**person, **place})
        if wait_s and not self._is_proven(email, password):
            if not self._waits.left(person):
                self._waits.note(person)
            raise Refused(
                f"비밀번호가 여러 번 틀렸습니다. {wait_s}초 뒤에 다시 시도하세요. "
                f"(too many wrong passwords; try again in {wait_s} seconds)",
                429,
                wait_s,
            )
        return {**person, **place}

    def _member(self, email: str, password: str) -> Member | None:
        member = self._store.member(email) if email else None
        is_right = self._is_right(password, member.password if member else self._nobody)
        return member if is_right else None

    def _is_proven(self, email: str, password: str) -> bool:
        member = self._store.member(email)
        return member is not None and self._mark(password, member.password) in self._right

    def _mark(self, password: str, kept: str) -> bytes:
        text = f"{len(kept)}:{kept}{password}".encode()
        return hmac.new(self._key, text, hashlib.sha256).digest()

    def _is_right(self, password: str, kept: str) -> bool:
        mark = self._mark(password, kept)
        if mark in self._right:
            return True
        is_right = matches(password, kept)
        if is_right:
            self._right.add(mark)
        return is_right


class Waits:
    """How long keys have to wait: not at all at first, then twice as long each time."""

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[tuple[str, ...], tuple[int, float]] = {}  # how often, until when

    def left(self, keys: dict[tuple[str, ...], int]) -> int:
        """Whole seconds that the first of `keys` still has to wait."""
        now = self._clock()
        with self._lock:
            untils = [self._seen[key][1] for key in keys if key in self._seen]
        return max([0, *(int(until - now) + 1 for until in untils if until > now)])

    def note(self, keys: dict[tuple[str, ...], int]) -> None:
        """Count something wrong; `keys` says how often each is free."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= MOST_KEYS:
                self._seen = {k: v for k, v in self._seen.items() if v[1] > now}
            for key, free in keys.items():
                count, until = self._seen.get(key, (0, now))
                count = 1 if now - until > FORGET_S else count + 1
                wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(20, count - free))
                self._seen[key] = (count, now + (wait_s if count >= free else 0))

    def forget(self, key: tuple[str, ...]) -> None:
        """Begin anew with a key that was right."""
        with self._lock:
            self._seen.pop(key, None)
