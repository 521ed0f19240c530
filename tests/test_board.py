from __future__ import annotations

import logging
import threading

import pytest
from contests import TRUTH, Clock, make_board, make_contest, send, table

from medkit.leaderboard.board import Board
from medkit.leaderboard.refusing import Refused


def test_what_a_killed_server_left_is_scored_at_the_next_start(tmp_path):
    board = make_board(tmp_path / "contest")
    member = board.store.member("me@x.kr")
    board.store.add(member, table().encode(), board.contest.quota(), board.now())
    assert [s.state for s in board.store.submissions()] == ["received"]
    board.close()
    board = Board(tmp_path / "contest", clock=Clock())
    board.catch_up()
    found = board.store.submissions()
    assert [s.state for s in found] == ["scored"] and found[0].score("public") == 1.0
    board.close()


def test_a_scoring_that_fails_costs_no_slot_and_stops_nobody_else(tmp_path, monkeypatch, caplog):
    board = make_board(tmp_path / "contest")
    score = board.answers.score
    monkeypatch.setattr(board.answers, "score", lambda guesses: 1 / 0)
    with pytest.raises(Refused, match="could not be scored; no submission was used") as caught:
        send(board)
    assert caught.value.status == 422 and "division" in caplog.text
    assert board.store.used(42, board.contest.quota(), board.now()) == 0
    monkeypatch.setattr(board.answers, "score", score)
    assert "9회/10회" in send(board)
    assert [s.state for s in board.store.submissions()] == ["failed", "scored"]
    board.close()


def test_answers_that_were_corrected_score_everything_anew(tmp_path, caplog):
    folder = make_contest(tmp_path / "contest", public_share=1.0)
    for _ in range(2):
        board = Board(folder, clock=Clock())
        board.catch_up()
        send(board)
        board.close()
    assert "anew" not in caplog.text
    caplog.set_level(logging.WARNING)
    corrected = [1 - TRUTH[0], *TRUTH[1:]]
    (folder / "answers.csv").write_text(table(corrected))
    board = Board(folder, clock=Clock())
    board.catch_up()
    assert "scoring everything anew" in caplog.text
    assert all(0.8 < one.score("public") < 1 for one in board.store.submissions())
    board.close()


def test_the_limit_is_exact_when_a_team_sends_at_once(tmp_path):
    board = make_board(tmp_path / "contest", limit=5)
    outcomes = []

    def one():
        try:
            outcomes.append(send(board))
        except Refused as error:
            outcomes.append(error.status)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = sorted(words.partition("횟수는 ")[2][0] for words in outcomes if words != 429)
    assert taken == list("01234") and outcomes.count(429) == 15
    assert [s.state for s in board.store.submissions()] == ["scored"] * 5
    board.close()


def test_a_store_that_fails_while_scoring_is_tried_again(tmp_path, monkeypatch, caplog):
    import sqlite3

    board = make_board(tmp_path / "contest")
    set_scores = board.store.set_scores

    def fail(results):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(board.store, "set_scores", fail)
    assert "9회/10회" in send(board) and "waits for its score" in caplog.text
    monkeypatch.setattr(board.store, "set_scores", set_scores)
    assert "8회/10회" in send(board)
    assert [s.state for s in board.store.submissions()] == ["scored"] * 2
    board.close()
