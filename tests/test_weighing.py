"""Weights that are chosen on labelled cases, of tables and of masks."""

from __future__ import annotations

import gc
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from mask_contests import draw, make_task, read

import medkit as mk
from medkit.images import rle
from medkit.images.crops import Crops, cropped
from medkit.inference import weighing

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


# masks


CLASSES = ("disc", "bar", "both")


def mask_case(folder, n=6, models=3):
    """Cases with masks, and tables of models of other sizes, skilled each at something else."""
    task = make_task()
    cases = mk.assign_folds(
        task, read(task, draw(folder / "data", n)).drop(columns="fold"), n_folds=3, seed=0
    )
    made = []
    for model in range(models):
        rows = []
        for number, case in enumerate(cases.to_dict("records")):
            rng = np.random.default_rng((model, number))
            size, planes = task.read_masks(case)
            inner = tuple(np.array(size) // (1 + model % 2))
            levels = np.zeros((3, *inner), np.uint8)
            for k, name in enumerate(CLASSES):
                mask = cv2.resize(255 * rle.to_mask(planes[name], size), inner[::-1])
                noise = rng.normal(0, 60 + 60 * (k == model), inner)
                levels[k] = np.clip(mask * (0.75 if k == model else 0.55) + noise, 0, 255)
            path = folder / str(model) / f"{case['id']}.safetensors"
            rows.append(
                (case["id"], str(path), cropped(case["id"], levels, size, CLASSES).write(path))
            )
        made.append(pd.DataFrame(rows, columns=["id", "file", "file_sha"]))
    return task, cases, made


def plainly(task, cases, made, metric, threshold, rounds):
    """As the book has it: every vote blended and scored anew."""

    def greedy(some):
        parts = [one[one["id"].isin(some["id"])] for one in made]
        votes, best, kept = np.zeros(len(made)), -np.inf, np.ones(len(made))
        for _ in range(rounds):
            tried = [votes + row for row in np.eye(len(made))]
            tables = [mk.blend(task, parts, weights=weights) for weights in tried]
            found = [mk.score(task, some, one, threshold=threshold)[metric] for one in tables]
            votes = tried[int(np.argmax(found))]
            if max(found) > best:
                best, kept = max(found), votes
        return kept / kept.sum()

    nested = []
    for fold in sorted(cases["fold"].unique()):
        held_out = cases[cases["fold"] == fold]
        parts = [one[one["id"].isin(held_out["id"])] for one in made]
        weights = greedy(cases[cases["fold"] != fold])
        nested.append(mk.blend(task, parts, weights=weights))
    return tuple(greedy(cases)), pd.concat(nested, ignore_index=True)


@pytest.mark.parametrize(
    ("metric", "threshold"),
    [("dice", 0.5), ("bar_dice", dict(zip(CLASSES, (0.3, 0.5, 0.6))))],
)
def test_weights_of_masks_are_those_of_votes_scored_one_by_one(tmp_path, metric, threshold):
    task, cases, made = mask_case(tmp_path)
    facts = {"metric": metric, "threshold": threshold, "rounds": 4}
    found = mk.choose_weights(task, cases, made, **facts)
    weights, nested = plainly(task, cases, made, **facts)
    assert found.weights == weights and found.nested.equals(nested)
    assert found.nested_score == mk.score(task, cases, nested, threshold=threshold)[metric]
    blended = mk.blend(task, made, weights=weights)
    assert found.predictions.equals(blended)
    assert found.score == mk.score(task, cases, blended, threshold=threshold)[metric]


def test_what_weights_scored_is_remembered_and_no_crops_are(tmp_path, monkeypatch):
    task, cases, made = mask_case(tmp_path, models=2)
    asked, at_once = [], []
    whole = weighing.soft

    def soft(votes, shares):
        asked.append((votes[0].id, *(of.inner for of in votes), *shares))
        at_once.append(sum(isinstance(of, Crops) and bool(of.crops) for of in gc.get_objects()))
        return whole(votes, shares)

    monkeypatch.setattr(weighing, "soft", soft)
    mk.choose_weights(task, cases, made, rounds=4)
    assert len(asked) == len(set(asked)) > 2 * len(cases)
    assert max(at_once) <= 4  # those of one image, and what they were made of


def test_pictures_that_nobody_could_look_at_do_not_matter(tmp_path):
    task, cases, made = mask_case(tmp_path, models=2)
    some = [one[one["id"] != cases["id"].iloc[0]] for one in made]
    blind = [
        one.assign(file=one["file"].where(one["id"] != cases["id"].iloc[0], None)) for one in made
    ]
    one, other = (
        mk.choose_weights(task, cases, each, metric="dice", rounds=2) for each in (some, blind)
    )
    assert one.weights == other.weights and np.isfinite(one.nested_score)


def test_a_table_that_has_looked_at_nothing_gets_no_weight_and_hides_nothing(tmp_path):
    task, cases, made = mask_case(tmp_path, models=1)
    blind = made[0].assign(file=pd.Series([None] * len(made[0]), dtype=object))
    found = mk.choose_weights(task, cases, [blind, *made], metric="dice", rounds=2)
    assert found.weights == (0.0, 1.0)
    assert found.score == found.nested_score == mk.score(task, cases, made[0])["dice"]


def test_one_fold_cannot_be_nested(tmp_path):
    cases, made = labelled(40)
    with pytest.raises(ValueError, match="all 40 cases are of one fold .expected 2 or more"):
        mk.choose_weights(TASK, cases.assign(fold=0), made)
