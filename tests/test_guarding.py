from __future__ import annotations

import pytest
from contests import make_board

from medkit.leaderboard import guarding
from medkit.leaderboard.guarding import Guard, Waits, matches, salted
from medkit.leaderboard.refusing import Refused

RIGHT = {"email": "me@x.kr", "password": "site", "contest_password": "contest"}


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


def status(guard, number=42, address="10.0.0.1", **change):
    try:
        guard.admit(number, address=address, **{**RIGHT, **change})
    except Refused as error:
        return error.status
    return 200


def test_passwords_are_salted_hashes():
    assert salted("a") != salted("a")
    assert matches("a", salted("a")) and not matches("b", salted("a"))


def test_waits_grow_end_and_are_forgotten(guard):
    guard, clock, _ = guard
    assert [status(guard, password="x") for _ in range(6)] == [401] * 5 + [429]
    assert status(guard) == 429
    clock.now += 3
    assert status(guard, password="x") == 401 and status(guard) == 429
    clock.now += 3
    assert status(guard) == 429  # twice as long
    clock.now += 2
    assert status(guard) == 200
    assert [status(guard, password="x") for _ in range(5)] == [401] * 5


def test_another_address_does_not_wait(guard):
    guard = guard[0]
    for _ in range(7):
        status(guard, password="x")
    assert status(guard) == 429 and status(guard, address="10.0.0.2") == 200


def test_one_address_cannot_try_everybody(guard, monkeypatch):
    monkeypatch.setattr(guarding, "FREE_OF_ADDRESS", 10)
    tries = [status(guard[0], email=f"{k}@x.kr") for k in range(12)]
    assert tries == [401] * 10 + [429] * 2


def test_one_of_a_class_cannot_shut_the_others_out(guard, monkeypatch):
    monkeypatch.setattr(guarding, "FREE_OF_ADDRESS", 10)
    guard, _, board = guard
    member = {"email": "late@x.kr", "name": "김늦음", "password": salted("site")}
    board.store.add_team(7, "늦은", salted("contest"), [member])
    assert status(guard) == 200
    for k in range(12):
        status(guard, email=f"{k}@x.kr")
    late = {"number": 7, "email": "late@x.kr"}
    assert status(guard) == 200 and status(guard, **late) == 429  # not seen before
    assert [status(guard, password="x") for _ in range(6)] == [429] * 6
    assert status(guard) == 200  # a rival behind the same address gains nothing by it


def test_an_unknown_person_costs_the_same_hashes(guard, monkeypatch):
    guard, calls = guard[0], []
    original = guarding.matches
    monkeypatch.setattr(guarding, "matches", lambda *a: calls.append(1) or original(*a))
    assert status(guard, email="nobody@x.kr") == 401 and len(calls) == 1
    assert status(guard, password="wrong") == 401 and len(calls) == 2
    assert status(guard, number=99) == 404 and len(calls) == 3


def test_a_right_password_is_hashed_once_and_a_new_one_counts_at_once(guard, monkeypatch):
    guard, _, board = guard
    assert status(guard) == 200
    monkeypatch.setattr(guarding, "matches", lambda *a: 1 / 0)
    assert status(guard) == 200
    monkeypatch.undo()
    member = {"email": "me@x.kr", "name": "홍길동", "password": salted("other")}
    board.store.add_team(42, "용감한", salted("contest"), [member])
    assert status(guard) == 401 and status(guard, password="other") == 200


def test_a_log_in_tells_the_member(guard):
    guard = guard[0]
    for _ in range(5):
        with pytest.raises(Refused, match="wrong e-mail or password"):
            guard.member("me@x.kr", "no", address="a")
    with pytest.raises(Refused, match="try again in 3 seconds") as caught:
        guard.member("me@x.kr", "site", address="a")
    assert caught.value.status == 429
    assert guard.member("me@x.kr", "site", address="b").team == 42


def test_the_memory_of_wrong_ones_is_bounded(monkeypatch):
    monkeypatch.setattr(guarding, "MOST_KEYS", 10)
    clock = Seconds()
    waits = Waits(clock)
    for k in range(100):
        waits.note({(str(k),): 5})
    assert len(waits._seen) <= 11
