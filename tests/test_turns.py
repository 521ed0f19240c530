from __future__ import annotations

import threading
import time

import pytest

from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.turns import Turns


def enter(turns, order, k, go):
    with turns:
        order.append(k)
        go.wait(60)


def wait_until(met):
    while not met():
        time.sleep(0.001)


def test_who_came_first_goes_first_and_only_so_many_at_a_time():
    turns, order, go = Turns(2), [], [threading.Event() for _ in range(8)]
    threads = [threading.Thread(target=enter, args=(turns, order, k, go[k])) for k in range(8)]
    for k, thread in enumerate(threads):
        thread.start()
        wait_until(lambda came=k + 1: len(order) + len(turns._waiting) == came)
    assert order == [0, 1]
    for k in range(8):  # one leaves, and the next in the row stands inside
        go[k].set()
        entered = list(range(min(k + 3, 8)))
        wait_until(lambda entered=entered: len(order) >= len(entered))
        assert order == entered
    for thread in threads:
        thread.join()
    assert turns._free == 2 and not turns._waiting


def test_where_too_many_wait_one_more_is_refused():
    turns, order, go = Turns(1, most_waiting=0), [], threading.Event()
    thread = threading.Thread(target=enter, args=(turns, order, 0, go))
    thread.start()
    wait_until(lambda: order)
    with pytest.raises(Refused, match="The server is busy; no submission was used") as caught:
        with turns:
            raise AssertionError("not let in")
    assert (caught.value.status, caught.value.wait_s) == (503, 2)
    go.set()
    thread.join()
    with turns:  # free again, also after an error
        with pytest.raises(KeyError):
            raise KeyError
    assert turns._free == 1
