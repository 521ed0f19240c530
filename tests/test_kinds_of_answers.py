"""docs/explanation/kinds_of_answers.md: its kind in every table, from labels to a board."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from running_pages import run_page
from test_kinds import TABLES

import medkit as mk
from medkit import datasets
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.scoring import Answers

PAGE = "explanation/kinds_of_answers.md"
GRADES = tuple("12345")


@pytest.fixture
def rank(monkeypatch, tmp_path):
    """The task of a rank, whose kind the page adds; all other rows are those of a number."""
    found = run_page(PAGE, tmp_path)
    for module, name in TABLES.items():
        table = getattr(importlib.import_module(f"medkit.{module}"), name)
        monkeypatch.setitem(table, "rank", table["number"])
    monkeypatch.setitem(datasets.kinds.KINDS, "rank", found["RankAnswer"])
    task = mk.Task("ranks", "Ranks", "me", (mk.Head("grade", GRADES, kind="rank"),))
    monkeypatch.setitem(datasets.TASKS, "ranks", task)
    return task


def graded(cases, seed=0):
    """Cases with grades, and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 6, len(cases))
    table = cases.assign(grade=codes.astype(str))
    guesses = pd.DataFrame({"id": table["id"], "grade": codes + rng.normal(0, 0.4, len(cases))})
    return table, guesses


CASES = pd.DataFrame({"id": [f"{k:02}" for k in range(60)], "path": "x.png"})
CASES["group"] = CASES["id"]


def test_a_rank_goes_from_labels_to_the_board(rank, tmp_path):
    cases, guesses = graded(CASES)
    scores = mk.score(rank, cases, guesses)
    assert list(scores) == ["mae", "rmse", "r2"] and scores["mae"] < 0.4
    assert mk.score(rank, cases, mk.blend(rank, [guesses, guesses])) == scores
    with pytest.raises(ValueError, match="grade is a rank from 1 to 5 and needs none"):
        mk.choose_threshold(rank, cases, guesses)
    assert set(mk.assign_folds(rank, cases, n_folds=3)["fold"]) == {0, 1, 2}
    csv = mk.write_submission(rank, cases, guesses, tmp_path / "submission.csv")
    assert mk.check_submission(csv)[-1] == "All 60 ids and labels are as ranks wants."
    answers = mk.leaderboard.write_answers(rank, cases, tmp_path / "answers.csv")
    assert set(mk.tables.read_csv(answers, text=["grade"])["grade"]) == set(GRADES)
    contest = new_contest(tmp_path / "contest", answers, task="ranks", public_share=1.0)
    assert contest.metrics == ("mae", "rmse")
    board = Answers(contest, read_answers(answers, None, None), answers)
    told = board.score(board.check(csv.read_bytes()))["public"]
    assert told == {name: pytest.approx(scores[name]) for name in ("mae", "rmse")}


def test_a_rank_is_shown(rank):
    cases, guesses = graded(CASES)
    folds = mk.assign_folds(rank, cases, n_folds=3)
    for page in (mk.show_balance(rank, cases), mk.show_folds(rank, folds)):
        assert len(page._repr_png_()) > 5_000
    assert mk.show_answers(rank, rank.to_units(cases, guesses))._repr_png_()
    assert mk.mistake_table(rank, cases, guesses)["cases"].sum() == 60
    with pytest.raises(ValueError, match="asks for a rank from 1 to 5. Use show_answers"):
        mk.show_threshold(rank, rank.to_units(cases, guesses))


def test_a_rank_is_learnt(rank, cases, tmp_path):
    seen = mk.tables.visible(cases).head(60).reset_index(drop=True)
    table = mk.assign_folds(rank, graded(seen)[0].drop(columns="fold", errors="ignore"), n_folds=2)
    config = mk.Config(
        "ranks", model="test_resnet", image_size=32, batch_size=16, epochs=1, mixup=0.4
    )
    quiet = {"num_workers": 0, "progress": False, "device": "cpu"}
    run = mk.fit(config, table, tmp_path / "run", fold=0, **quiet)
    held_out = table[table["fold"] == 0]
    assert "mae" in run.history and mk.score(rank, held_out, run.predictions)["mae"] < 4
    lost = held_out.head(2).assign(path=None)
    with pytest.warns(UserWarning, match="2 cases cannot be looked at"):
        found = mk.predict(run, pd.concat([held_out[2:4], lost]), device="cpu")
    assert found["grade"].between(1, 5).all() and len(found) == 4
    with pytest.raises(ValueError, match="grade is a rank from 1 to 5. Leave it off"):
        mk.fit(replace(config, balanced=True), table, tmp_path / "other", fold=0, **quiet)
