from __future__ import annotations

import importlib
import json
import re

import pytest

import medkit as mk
from medkit.submission.answers import Answer
from medkit.submission.ledger import Ledger, clock, ledger_path, opened

standing = importlib.import_module("medkit.submission.standing")


@pytest.fixture
def board(tmp_path):
    (tmp_path / "answers.csv").write_text("id,decayed\na,0\nb,1\n")
    (tmp_path / "submission.csv").write_text("id,decayed\na,0\nb,1\n")
    leaderboard = mk.leaderboard.start(tmp_path / "answers.csv", tmp_path / "board")
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
    assert list(mk.submissions()["leaderboard_score"]) == [1.0]  # by the hash of the file


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


def sent(name, *, host="host", outcome="accepted", **facts):
    """A line of the ledger about a file, by the beginning of its hash."""
    facts = {"id": name, "host": host, "team": "1", "sha256": name * 32, **clock(), **facts}
    with opened() as ledger:
        ledger.append({**facts, "event": "outcome", "outcome": outcome, "words": ""})


def answering(monkeypatch, answers):
    """Let the server give these answers by path, and 404 elsewhere; returns what was asked for."""
    asked = []

    def get(url, **options):
        asked.append(url.partition("https://host")[2])
        text = answers.get(asked[-1])
        return Answer(404, "") if text is None else Answer(200, text)

    monkeypatch.setattr(standing, "get", get)
    return asked


IS_OURS = json.dumps({"leaderboard": "medkit", "version": "0.1.0"})


def test_scores_come_by_the_hash_of_the_file_also_those_that_do_not_rank(board):
    _, csv = board
    mk.submit(csv, note="두 번째보다 낫다")
    worse = csv.with_name("worse.csv")
    worse.write_text("id,decayed\na,1\nb,1\n")
    mk.submit(worse)
    assert mk.submissions()["leaderboard_score"].isna().all()
    assert len(mk.standing()) == 1
    found = mk.submissions()
    assert list(found["leaderboard_score"]) == [1.0, pytest.approx(1 / 3, abs=1e-4)]
    assert list(found["note"]) == ["두 번째보다 낫다", ""]
    lines = len(Ledger(ledger_path()).events)
    mk.standing()
    assert len(Ledger(ledger_path()).events) == lines  # once


def test_only_a_board_that_says_that_it_is_ours_is_asked_for_scores(monkeypatch):
    sent("ab")
    score = {f"/api/medkit/scores/1/{'ab' * 32}": '{"score": 0.5}', "/api/ranking": "[]"}
    for says in (None, "<html>", "[]", '{"leaderboard": "other"}', "[" * 60_000):
        asked = answering(monkeypatch, {**score, "/api/medkit": says} if says else score)
        mk.standing("https://host")
        assert asked == ["/api/ranking", "/api/medkit"]
        assert mk.submissions()["leaderboard_score"].isna().all()
    answering(monkeypatch, {**score, "/api/medkit": IS_OURS})
    mk.standing("https://host")
    assert list(mk.submissions()["leaderboard_score"]) == [0.5]


def test_what_is_no_score_is_not_noted(monkeypatch):
    for name, text in zip("abcdef", ('{"score": null}', '{"score": true}', "{}", "[1]", "NaN", "")):
        sent(name * 2)
        answering(
            monkeypatch,
            {
                "/api/medkit": IS_OURS,
                "/api/ranking": "[]",
                f"/api/medkit/scores/1/{name * 64}": text,
            },
        )
        mk.standing("https://host")
    assert mk.submissions()["leaderboard_score"].isna().all()


def test_neither_refused_files_nor_those_of_other_servers_are_asked_for(monkeypatch):
    sent("aa", outcome="refused")
    sent("bb", host="other")
    asked = answering(monkeypatch, {"/api/medkit": IS_OURS, "/api/ranking": "[]"})
    mk.standing("https://host")
    assert asked == ["/api/ranking"]
    sent("cc", outcome="unknown")  # it may have arrived
    mk.standing("https://host")
    assert f"/api/medkit/scores/1/{'c' * 64}" in asked


@pytest.mark.parametrize("text", ["<html>", "[1]", '{"a": 1}', '[{"rank": 1}]', "[" * 60_000])
def test_another_kind_of_page_is_a_warning(monkeypatch, text):
    monkeypatch.setattr(standing, "get", lambda *a, **b: Answer(200, text))
    with pytest.warns(UserWarning, match=r"tells no ranking \(not the JSON of one\)"):
        assert mk.standing("https://host").empty


def test_after_one_answer_that_does_not_come_nothing_more_is_asked(monkeypatch):
    for name in "abcd":
        sent(name * 2)
    answers = {"/api/medkit": IS_OURS, "/api/ranking": "[]"}
    answers.update({f"/api/medkit/scores/1/{name * 64}": '{"score": 0.5}' for name in "abcd"})
    asked = answering(monkeypatch, answers)
    reply, limits = standing.get, []

    def get(url, **options):
        limits.append(options["timeout_s"])
        if url.endswith("c" * 64):
            raise mk.SubmitError("no answer", outcome="not sent")
        return reply(url, **options)

    monkeypatch.setattr(standing, "get", get)
    mk.standing("https://host", timeout_s=0.5)
    assert asked == ["/api/ranking", "/api/medkit", f"/api/medkit/scores/1/{'d' * 64}"]
    assert set(limits) == {0.5} and len(limits) == 4
    assert list(mk.submissions()["leaderboard_score"].fillna(-1)) == [-1, -1, -1, 0.5]
