from __future__ import annotations

import importlib
import json
import re
from datetime import datetime, timedelta

import pytest

import medkit as mk
from medkit.submission.answers import Answer
from medkit.submission.ledger import Ledger, clock, ledger_path, opened

standing = importlib.import_module("medkit.submission.standing")


@pytest.fixture
def board(tmp_path):
    (tmp_path / "answers.csv").write_text("id,decayed\na,0\nb,1\n")
    (tmp_path / "submission.csv").write_text("id,decayed\na,0\nb,1\n")
    leaderboard = mk.start_leaderboard(tmp_path / "answers.csv", tmp_path / "board")
    yield leaderboard, tmp_path / "submission.csv"
    leaderboard.stop()


def test_the_practice_server_tells_its_ranking(board):
    _, csv = board
    assert list(mk.standing()) == ["rank", "team", "score", "entries", "time"]
    assert mk.standing().empty
    mk.submit(csv)
    row = mk.standing().iloc[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row["time"])
    assert (row["rank"], row["team"], row["score"], row["entries"]) == (1, "연습", 1.0, 1)
    assert list(mk.submissions()["leaderboard_score"]) == [1.0]  # beside the local score


def test_a_server_without_a_ranking_is_a_warning(board):
    leaderboard, _ = board
    with pytest.warns(UserWarning, match=r"tells no ranking \(HTTP 404\)"):
        assert mk.standing(leaderboard.url + "/other").empty


def test_a_server_that_is_not_there_is_a_warning():
    with pytest.warns(UserWarning, match=r"tells no ranking \(no answer\)"):
        assert mk.standing("http://127.0.0.1:9").empty


def test_an_open_address_is_refused():
    with pytest.raises(mk.SubmitError, match="expected https"):
        mk.standing("http://example.org")


@pytest.mark.parametrize(
    ("score", "after_s", "team", "noted"),
    [
        (0.5, 1, "연습", True),
        (0.5, 60, "연습", False),  # another time: somebody else's of the team
        (0.5, 1, "남", False),
        (None, 1, "연습", False),  # not scored yet
    ],
)
def test_only_a_score_that_is_surely_ours_is_noted(monkeypatch, score, after_s, team, noted):
    facts = {"id": "x", "host": "host", "team": "1", "sha256": "ab", **clock()}
    words = "연습팀 홍길동님 제출이 완료되었습니다."
    with opened() as ledger:
        ledger.append({**facts, "event": "outcome", "outcome": "accepted", "words": words})
    sent = datetime.fromisoformat(facts["time_utc"]) + timedelta(seconds=after_s)
    row = {"rank": 1, "team": team, "score": score, "entries": 1, "time": sent.isoformat()}
    monkeypatch.setattr(standing, "get", lambda *a, **b: Answer(200, json.dumps([row])))
    for _ in range(2):
        assert len(mk.standing("https://host")) == 1
    lines = [event["event"] for _, event in Ledger(ledger_path()).events]
    assert lines == ["outcome", "score"][: 1 + noted]  # once


@pytest.mark.parametrize("text", ["<html>", "[1]", '{"a": 1}', '[{"rank": 1}]', "[" * 60_000])
def test_another_kind_of_page_is_a_warning(monkeypatch, text):
    monkeypatch.setattr(standing, "get", lambda *a, **b: Answer(200, text))
    with pytest.warns(UserWarning, match=r"tells no ranking \(not the JSON of one\)"):
        assert mk.standing("https://host").empty
