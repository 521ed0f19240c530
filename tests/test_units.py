"""What a contest does with its units unless it says more, and how its own functions build on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import medkit as mk
from medkit.datasets import units

SEX = mk.Head("sex", ("woman", "man"))
TASK = mk.Task("own", "own", "me", (SEX,))
CASES = pd.DataFrame(
    {
        "id": list("abcd"),
        "path": "x.png",
        "group": list("aabb"),
        "sex": ["man", "woman", None, "man"],
    }
)
GUESSES = pd.DataFrame({"id": list("dcba"), "man": [0.9, 0.8, 0.7, 0.6]}).assign(woman=0.4)


def test_a_unit_is_a_case():
    table = TASK.to_units(CASES, GUESSES)
    assert list(table) == ["id", "group", "seen", "y_true", "woman", "man"]
    assert table["man"].tolist() == [0.6, 0.7, 0.8, 0.9] and table["seen"].all()
    rows = units.judged(TASK, table)
    assert list(rows["id"]) == list("abd")
    assert units.truth(TASK, rows).tolist() == [1, 0, 1]
    assert units.chosen(TASK, rows, 0.65).tolist() == [0, 1, 1]
    assert units.values(TASK, rows).shape == (3, 2)


def test_a_method_is_replaced_and_its_default_stays_within_reach():
    """A contest's own function calls what every contest does, and adds to it."""

    def to_units(cases, predictions=None):
        table = units.cases_as_units(own, cases, predictions)
        return table[table["id"] != "d"]

    def score_units(table, threshold=0.5):
        return {"count": float(len(table)), **units.class_scores(own, table, threshold)}

    own = mk.Task("own", "own", "me", (SEX,), to_units=to_units, score_units=score_units)
    assert list(own.to_units(CASES)["id"]) == list("abc")
    scores = mk.score(own, CASES, GUESSES)
    assert list(scores)[:2] == ["count", "f1_macro"] and scores["count"] == 2
    renamed = replace(own, name="other")
    assert renamed.own == own.own and renamed.to_units(CASES).equals(own.to_units(CASES))
    assert list(own.of_head(SEX).to_units(CASES)["id"]) == list("abcd")


def test_a_replaced_score_is_given_the_threshold_by_name():
    def score(cases, predictions, *, threshold):
        return {"threshold": threshold, "cases": float(len(cases))}

    own = mk.Task("own", "own", "me", (SEX,), score=score)
    assert mk.score(own, CASES, GUESSES, threshold=0.3) == {"threshold": 0.3, "cases": 4.0}


def test_what_a_task_cannot_do_is_said():
    with pytest.raises(ValueError, match="task 'own' has no reader. .*mk.read_table"):
        TASK.read("folder", "train")
    with pytest.raises(ValueError, match="task 'own' draws no stand-in"):
        TASK.draw("folder")
    with pytest.raises(TypeError, match=r"score: found a DataFrame \(expected a task first\)"):
        mk.score(CASES, CASES, GUESSES)
    with pytest.raises(TypeError, match="mirorr"):
        mk.Task("own", "own", "me", (SEX,), mirorr=("horizontal",))


def test_rows_that_lack_a_prediction_are_named():
    with pytest.raises(ValueError, match=r"own: 1 of 4 rows lack a prediction, e\.g\. \['a'\]"):
        TASK.submission_table(CASES, GUESSES[:3])
    table = TASK.submission_table(CASES, GUESSES, threshold=0.75)
    assert table["sex"].tolist() == ["woman", "woman", "man", "man"]
    number = mk.Task("age", "age", "me", (mk.Head("age"),))
    ages = pd.DataFrame({"id": list("abcd"), "age": np.arange(4.0)})
    assert number.submission_table(CASES, ages)["age"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_the_usual_function_is_none():
    """As `replace(TASK, to_units=None)` in a file of somebody's own expects."""
    own = mk.Task("own", "own", "me", (SEX,), to_units=lambda c, p=None: c, score=lambda c, p: {})
    usual = replace(own, to_units=None)
    assert set(usual.own) == {"score"} and len(usual.to_units(CASES)) == 4
    assert replace(own, name="other").own == own.own


def test_an_own_function_keeps_its_own_threshold_unless_one_is_given():
    def score_units(table, threshold=0.3):
        return {"threshold": threshold}

    own = mk.Task("own", "own", "me", (SEX,), score_units=score_units)
    assert own.score_units(CASES) == {"threshold": 0.3}
    assert own.score_units(CASES, 0.7) == {"threshold": 0.7}
    assert own.score(CASES, GUESSES) == {"threshold": 0.5}
    bare = mk.Task("own", "own", "me", (SEX,), score=lambda cases, predictions: {"n": 1.0})
    assert bare.score(CASES, GUESSES) == {"n": 1.0}


def test_a_task_stays_as_it_was_made():
    with pytest.raises(AttributeError, match="cannot assign to field 'to_units'"):
        TASK.to_units = lambda cases, predictions=None: cases
    assert "to_units" not in vars(TASK)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nouns": "photos"}, r"nouns='photos' \(expected a tuple of texts"),
        ({"nouns": ("teeth",)}, r"nouns=\('teeth',\) \(expected two\)"),
        ({"text": "tooth_number"}, "text='tooth_number' .*with the comma"),
        ({"mirror": "horizontal"}, "mirror='horizontal' .*expected a tuple"),
        ({"own": {"to_unit": len}}, "own function 'to_unit' .*Did you mean 'to_units'"),
    ],
)
def test_what_a_task_says_is_checked_when_it_is_made(wrong, words):
    with pytest.raises(ValueError, match=words):
        mk.Task("own", "own", "me", (SEX,), **wrong)


@pytest.mark.parametrize(
    "ask",
    [
        lambda cases, guesses: mk.datasets.sleep.smooth_epochs(cases, guesses, guesses),
        lambda cases, guesses: mk.mistake_table(cases, guesses, guesses),
        lambda cases, guesses: mk.choose_threshold(cases, guesses, guesses),
        lambda cases, guesses: mk.score_table(cases, guesses, guesses),
        lambda cases, guesses: mk.calibrate(cases, guesses, guesses),
        lambda cases, guesses: mk.blend(cases, [guesses]),
        lambda cases, guesses: mk.choose_weights(cases, guesses, [guesses]),
        lambda cases, guesses: mk.compare(cases, guesses, guesses, guesses),
        lambda cases, guesses: mk.write_submission(cases, guesses, guesses, "x.csv"),
        lambda cases, guesses: mk.leaderboard.write_answers(cases, guesses, "x.csv"),
        lambda cases, guesses: mk.handin(cases, guesses, guesses, "x"),
    ],
)
def test_whatever_asks_about_a_contest_takes_the_task_first(ask):
    with pytest.raises(TypeError, match=r"found a DataFrame \(expected a task first\). Write mk\."):
        ask(CASES, GUESSES)
