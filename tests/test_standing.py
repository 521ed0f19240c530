from __future__ import annotations

import re

import pytest

import medkit as mk


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


def test_a_server_without_a_ranking_is_a_warning(board):
    leaderboard, _ = board
    with pytest.warns(UserWarning, match=r"tells no ranking \(HTTPError\)"):
        assert mk.standing(leaderboard.url + "/other").empty


def test_a_server_that_is_not_there_is_a_warning():
    with pytest.warns(UserWarning, match=r"tells no ranking \(URLError\)"):
        assert mk.standing("http://127.0.0.1:9").empty


def test_an_open_address_is_refused():
    with pytest.raises(mk.SubmitError, match="expected https"):
        mk.standing("http://example.org")
