"""Weights that are chosen on labelled cases, of tables and of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import medkit as mk

TASK = mk.Task("three", "Three classes", "a test", (mk.Head("kind", ("a", "b", "c")),))
RNG = np.random.default_rng(0)


def table(rows, ids):
    return pd.DataFrame({"id": list(ids), **dict(zip("abc", np.asarray(rows, float).T))})


def labelled(count=240):
    labels = RNG.integers(0, 3, count)
    ids = [f"{k:03}" for k in range(count)]
    cases = pd.DataFrame(
        {
            "id": ids,
            "group": ids,
            "path": "x.png",
            "kind": np.array(list("abc"))[labels],
            "fold": np.arange(count) % 4,
        }
    )
    hint = np.eye(3)[labels]
    made = []
    for skill in (0.8, 0.7, 0.0):
        values = RNG.dirichlet(np.ones(3), count) + skill * hint
        made.append(table(values / values.sum(1, keepdims=True), ids))
    return cases, made


def test_greedy_weights_are_scored_on_folds_that_did_not_choose_them():
    cases, made = labelled()
    found = mk.choose_weights(TASK, cases, made, metric="accuracy", rounds=7)
    assert sum(found.weights) == pytest.approx(1) and found.weights[2] < min(found.weights[:2])
    alone = [mk.score(TASK, cases, one)["accuracy"] for one in made]
    assert found.score >= max(alone) and found.nested_score <= found.score
    assert mk.score(TASK, cases, found.nested)["accuracy"] == pytest.approx(found.nested_score)
    assert sorted(found.nested["id"]) == sorted(cases["id"])
    shuffled = cases.assign(kind=RNG.permutation(cases["kind"]))  # nothing to be learnt
    fooled = mk.choose_weights(TASK, shuffled, made, metric="accuracy", rounds=7)
    assert fooled.nested_score < fooled.score
    with pytest.raises(ValueError, match="no column 'fold'"):
        mk.choose_weights(TASK, cases.drop(columns="fold"), made)


def test_votes_that_brought_nothing_better_are_taken_back():
    cases, _ = labelled(40)
    right = np.eye(3)[cases["kind"].map({"a": 0, "b": 1, "c": 2})]
    timid = table(0.9 / 3 + 0.1 * right[:, ::-1], cases["id"])  # often wrong, and never loudly
    made = [timid, table(right, cases["id"])]
    found = mk.choose_weights(TASK, cases, made, metric="accuracy", rounds=6)
    assert found.weights == (0.0, 1.0) and found.score == found.nested_score == 1.0


def test_a_table_whose_score_is_no_number_gets_no_vote():
    cases, (good, *_) = labelled(40)
    constant = table(np.tile([1.0, 0.0, 0.0], (40, 1)), cases["id"])

    def own(units, threshold):
        is_right = units[list("abc")].idxmax(axis=1) == units["y_true"]
        return {"own": np.nan if (units["a"] == 1).all() else is_right.mean()}

    task = replace(TASK, score_units=own, score=None)
    found = mk.choose_weights(task, cases, [good, constant], metric="own", rounds=1)
    assert found.weights == (1.0, 0.0)
