from __future__ import annotations

from datetime import timedelta

import pytest
from contests import NIGHT, TEAMS, TRUTH, Clock, make_board, send, table

import medkit as mk
from medkit.datasets import TASKS
from medkit.leaderboard.standings import final_ranking, history, ranking, remaining

CLOSES = "2026-11-21T09:00:00+09:00"
AFTER = NIGHT + timedelta(days=1)


@pytest.fixture
def clock():
    return Clock()


def wrong(board, public=0, private=0):
    """Labels with so many wrong in each part."""
    labels = list(TRUTH)
    for is_public, count in ((True, public), (False, private)):
        rows = [k for k in range(8) if board.answers.is_public[k] == is_public]
        for k in rows[:count]:
            labels[k] = 1 - labels[k]
    return labels


def test_the_best_counts_and_ties_go_to_the_earlier(tmp_path, clock):
    board = make_board(tmp_path / "contest", clock=clock)
    send(board, wrong(board, public=1))
    send(board, [0] * 8)
    clock.now += timedelta(minutes=1)
    send(board, wrong(board, public=1), team=7)
    rows = ranking(board, clock.now)
    assert [(row.rank, row.name, row.entries) for row in rows] == [(1, "용감한", 2), (2, "늦은", 1)]
    assert rows[0].score == rows[1].score and rows[0].time == NIGHT
    board.close()


def test_of_errors_the_smallest_ranks_first(tmp_path, clock, monkeypatch):
    def cost(units, threshold):
        return {"cost": float((units["y_true"] - units["amount"]).abs().mean())}

    heads, smaller = (mk.Head("amount"),), ("cost",)
    task = mk.Task("costs", "c", "c", heads, score_units=cost, smaller_is_better=smaller)
    monkeypatch.setitem(TASKS, "costs", task)
    truth = [0.5 + k for k in range(8)]
    answers = table(truth).replace("decayed", "amount")
    board = make_board(tmp_path / "contest", answers, clock, task="costs")
    for team, off in ((42, 2.0), (42, 1.0), (7, 0.25)):
        sent = table([value + off for value in truth]).replace("decayed", "amount")
        member = board.store.member(TEAMS[team][1])
        board.receive(board.store.team(team), member, sent.encode(), clock.now)
    rows = ranking(board, clock.now)
    assert [(row.name, row.score) for row in rows] == [("늦은", 0.25), ("용감한", 1.0)]
    board.close()


def test_the_last_counts_where_the_contest_says_so(tmp_path, clock):
    board = make_board(tmp_path / "contest", clock=clock, counts="last")
    send(board)
    send(board, wrong(board, public=1), team=7)
    send(board, [0] * 8)
    assert [row.name for row in ranking(board, clock.now)] == ["늦은", "용감한"]
    assert [entry.counts for entry in history(board, 42, clock.now)] == [False, True]
    board.close()


def test_after_closing_private_scores_rank_and_changes_are_told(tmp_path, clock):
    board = make_board(tmp_path / "contest", clock=clock, closes=CLOSES)
    send(board, wrong(board, private=2))
    send(board, wrong(board, public=1), team=7)
    before = ranking(board, clock.now)
    assert [row.name for row in before] == ["용감한", "늦은"]
    assert {row.final for row in before} | {row.change for row in before} == {None}
    after = ranking(board, AFTER)
    assert [(row.name, row.change, row.final) for row in after] == [
        ("늦은", 1, 1.0),
        ("용감한", -1, pytest.approx(0.3333, abs=0.2)),
    ]
    assert after == final_ranking(board)
    board.close()


def test_smaller_is_better_where_the_metric_says_so(tmp_path, clock):
    values = [1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    board = make_board(tmp_path / "contest", table(values), clock=clock, metrics=["mae"])
    send(board, [value + 1 for value in values])
    send(board, [value + 0.5 for value in values], team=7)
    assert [row.name for row in ranking(board, clock.now)] == ["늦은", "용감한"]
    board.close()


def test_a_team_sees_its_own_and_no_private_score_before_closing(tmp_path, clock):
    board = make_board(tmp_path / "contest", clock=clock, closes=CLOSES)
    send(board, wrong(board, private=1))
    send(board, team=7)
    entries = history(board, 42, clock.now)
    assert [(e.score, e.final, e.by, e.counts) for e in entries] == [(1.0, None, "홍길동", True)]
    assert history(board, 42, AFTER)[0].final < 1
    assert history(board, 1, clock.now) == []
    board.close()


def test_what_is_left_is_told_for_the_day(tmp_path, clock):
    board = make_board(tmp_path / "contest", clock=clock)
    send(board)
    assert remaining(board, 42, clock.now)[0] == 9 and remaining(board, 7, clock.now)[0] == 10
    assert remaining(board, 42, clock.now + timedelta(seconds=1))[0] == 10
    board.close()
