"""The server is killed with SIGKILL while teams send: what was answered with success is there."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests
from contests import make_contest, start, table

from medkit.files import sha256
from medkit.leaderboard.contest import STORE
from medkit.leaderboard.store import Store

TEAMS = 4  # new ones each time, so that the limit is always near
LIMIT = 3
TRIES = 6


def add_teams(folder, numbers):
    with closing(Store(folder / STORE)) as store:
        kept = store.team(42).password, store.member("me@x.kr").password
        for number in numbers:
            member = {"email": f"{number}@x.kr", "name": "x", "password": kept[1]}
            store.add_team(number, f"팀 {number}", kept[0], [member])


def send(url, number, csv):
    """The server's answer, and None when there was none."""
    try:
        return requests.post(
            f"{url}/api/direct-report/{number}?password=contest",
            files={"files": ("s.csv", csv)},
            auth=(f"{number}@x.kr", "site"),
            timeout=120,
        )
    except requests.RequestException:
        return None


def kill_while_teams_send(folder, numbers, rng):
    """(team, SHA-256) of what was accepted and of what was refused, and how many got no answer."""
    process, url = start(folder)
    tasks = [(number, table().encode() + b"\n" * k) for k in range(TRIES) for number in numbers]
    count, after, delay_s = itertools.count(1), rng.randint(1, 12), rng.uniform(0, 0.02)
    killer = threading.Timer(delay_s, process.kill)

    def one(task):
        answer = send(url, *task)
        if next(count) == after:
            killer.start()
        return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, tasks))
    process.wait(120)
    process.stdin.close()
    process.stdout.close()
    told = {200: [], 429: [], 503: []}  # the last is of a disk that does not answer in time
    for (number, csv), answer in zip(tasks, answers):
        if answer is not None:
            assert answer.status_code in told, answer.text
            told[answer.status_code].append((number, sha256(csv)))
    return told[200], told[429] + told[503], answers.count(None)


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_no_kill_loses_an_accepted_submission_or_overruns_a_limit(tmp_path, kills):
    folder = make_contest(tmp_path / "contest", limit=LIMIT)
    rng = random.Random(kills)
    accepted, refused, lost = [], [], 0
    add_teams(folder, range(1000, 1000 + kills * TEAMS))
    for k in range(kills):
        numbers = range(1000 + k * TEAMS, 1000 + (k + 1) * TEAMS)
        found, not_taken, unanswered = kill_while_teams_send(folder, numbers, rng)
        accepted += found
        refused += not_taken
        lost += unanswered
    process, _ = start(folder)  # scores what the last one left
    process.stdin.close()
    process.wait()
    process.stdout.close()
    with closing(Store(folder / STORE)) as store:
        kept = [(s.team, s.sha256) for s in store.submissions()]
        states = Counter(s.state for s in store.submissions())
    assert set(states) == {"scored"} and len(kept) == len(set(kept))
    assert set(accepted) <= set(kept) and len(accepted) == len(set(accepted))
    assert not set(refused) & set(kept)  # what was said to be unspent is so
    assert max(Counter(team for team, _ in kept).values()) <= LIMIT
    assert lost >= kills and len(accepted) >= kills  # it was killed in the middle
    print(f"{kills} kills: {len(accepted)} accepted, {lost} unanswered, {len(kept)} kept")
