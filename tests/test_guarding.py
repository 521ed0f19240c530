from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time

import pytest
from contests import make_board

from medkit.leaderboard import guarding
from medkit.leaderboard.guarding import Guard, Waits, matches, salted, stretched
from medkit.leaderboard.refusing import Refused

RIGHT = {"email": "me@x.kr", "password": "site", "contest_password": "contest"}


def first_version(password):
    """As kept by the first versions, for passwords that the kit had made as well."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)
    return f"{salt.hex()}${digest.hex()}"


class Seconds:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def guard(tmp_path):
    board = make_board(tmp_path / "contest")
    clock = Seconds()
    yield Guard(board.store, clock), clock, board
    board.close()


def keep(board, kept, number=42, email="me@x.kr"):
    member = {"email": email, "name": "홍길동", "password": kept("site")}
    board.store.add_team(number, f"팀 {number}", kept("contest"), [member])


def status(guard, number=42, **change):
    try:
        guard.admit(number, **{**RIGHT, **change})
    except Refused as error:
        return error.status
    return 200


@pytest.mark.parametrize("kept", [salted, stretched, first_version])
def test_passwords_are_salted_hashes(kept):
    assert kept("a") != kept("a")
    assert matches("a", kept("a")) and not matches("b", kept("a"))


@pytest.mark.parametrize("kept", [salted, stretched, first_version])
def test_each_kind_of_hash_lets_the_right_one_in(guard, kept):
    guard, _, board = guard
    keep(board, kept)
    assert status(guard) == 200 == status(guard)
    assert status(guard, password="x") == 401 and status(guard, contest_password="x") == 403
    assert status(guard, email="") == 401 and status(guard, number=99) == 404
    assert guard.member("me@x.kr", "site").team == 42
    with pytest.raises(Refused, match="wrong e-mail or password"):
        guard.member("me@x.kr", "no")


@pytest.mark.parametrize("kept", [salted, first_version])
def test_a_rival_shuts_nobody_out(guard, kept):
    """The kit's passwords cannot be guessed, so no wrong one makes anybody wait."""
    guard, _, board = guard
    keep(board, kept)
    keep(board, kept, 7, "late@x.kr")
    tries = [status(guard, password=f"{k}") for k in range(70)]
    tries += [status(guard, email=f"{k}@x.kr") for k in range(70)]
    assert set(tries) == {401}
    assert status(guard) == 200 == status(guard, number=7, email="late@x.kr")


def test_the_hash_of_a_first_version_is_made_once_and_then_replaced(guard, monkeypatch):
    guard, _, board = guard
    keep(board, first_version)
    old = board.store.team(42).password, board.store.member("me@x.kr").password
    assert status(guard, password="x") == 401
    assert (board.store.team(42).password, board.store.member("me@x.kr").password) == old
    assert status(guard) == 200
    new = board.store.team(42).password, board.store.member("me@x.kr").password
    assert all(kept.startswith("sha256$") for kept in new) and matches("contest", new[0])
    monkeypatch.setattr(hashlib, "scrypt", lambda *a, **k: 1 / 0)
    assert status(guard) == 200 and status(guard, password="x") == 401


def test_a_hash_that_cannot_be_replaced_keeps_nobody_out(guard, monkeypatch, caplog):
    guard, _, board = guard
    keep(board, first_version)

    def full(*hashes):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(board.store, "replace_hash", full)
    assert status(guard) == 200 and "keeps its slow hash" in caplog.text


def test_a_chosen_password_keeps_its_slow_hash(guard, monkeypatch):
    guard, _, board = guard
    keep(board, stretched)
    assert status(guard) == 200
    assert board.store.team(42).password.startswith("scrypt$")
    monkeypatch.setattr(guarding, "matches", lambda *a: 1 / 0)
    assert status(guard) == 200  # remembered
    monkeypatch.undo()
    keep(board, lambda word: stretched({"site": "other"}.get(word, word)))
    assert status(guard) == 401 and status(guard, password="other") == 200


def test_guesses_of_a_chosen_password_make_its_own_email_wait(guard):
    guard, clock, board = guard
    keep(board, stretched)
    keep(board, stretched, 7, "late@x.kr")
    assert [status(guard, password="x") for _ in range(6)] == [401] * 5 + [429]
    assert status(guard) == 429 and status(guard, number=7, email="late@x.kr") == 200
    clock.now += 3
    assert status(guard, password="x") == 401 and status(guard) == 429
    clock.now += 3
    assert status(guard) == 429  # twice as long
    clock.now += 2
    assert status(guard) == 200
    assert [status(guard, password="x") for _ in range(5)] == [401] * 5
    assert status(guard) == 200  # let in before: its guesser does not shut it out


def test_a_log_in_tells_how_long_to_wait(guard):
    guard, _, board = guard
    keep(board, stretched)
    for _ in range(5):
        with pytest.raises(Refused, match="wrong e-mail or password"):
            guard.member("me@x.kr", "no")
    with pytest.raises(Refused, match="try again in 3 seconds") as caught:
        guard.member("me@x.kr", "site")
    assert (caught.value.status, caught.value.wait_s) == (429, 3)


def test_an_unknown_person_costs_the_same_hashes(guard, monkeypatch):
    guard, calls = guard[0], []
    original = guarding.matches
    monkeypatch.setattr(guarding, "matches", lambda *a: calls.append(1) or original(*a))
    assert status(guard, email="nobody@x.kr") == 401 and len(calls) == 1
    assert status(guard, password="wrong") == 401 and len(calls) == 2
    assert status(guard, number=99) == 404 and len(calls) == 3


def test_only_so_many_wait_for_a_slow_hash(guard, monkeypatch):
    monkeypatch.setattr(guarding, "MOST_WAITING", 3)
    _, clock, board = guard
    keep(board, first_version)
    keep(board, salted, 7, "late@x.kr")
    guard, go, found = Guard(board.store, clock), threading.Event(), []
    original = guarding.matches

    def slow(password, kept):
        if not kept.startswith("sha256$"):
            go.wait(60)
        return original(password, kept)

    monkeypatch.setattr(guarding, "matches", slow)
    threads = [
        threading.Thread(target=lambda k=k: found.append(status(guard, password=f"{k}")))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(guard._turns._waiting) < 3:
        time.sleep(0.001)
    assert status(guard) == 503  # one at work and three that wait
    assert status(guard, number=7, email="late@x.kr") == 200  # a fast one does not
    go.set()
    for thread in threads:
        thread.join()
    assert found == [401] * 4 and status(guard) == 200


def test_the_memory_of_wrong_ones_is_bounded(monkeypatch):
    monkeypatch.setattr(guarding, "MOST_KEYS", 10)
    waits = Waits(Seconds())
    for k in range(100):
        waits.note(str(k))
    assert len(waits._seen) <= 11
