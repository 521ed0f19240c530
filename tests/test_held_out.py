"""The local score of a submission: of held-out cases alone, with its interval."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import medkit as mk
from medkit.datasets.scoring import score_interval

TASK = mk.Task("x", "x", "x", (mk.Head("ill", ("no", "yes")),))


def table(names, seed, *, fold=0):
    """Labelled cases, two a group, and predictions that are right four times of five."""
    rng = np.random.default_rng(seed)
    is_ill = rng.random(len(names)) < 0.5
    right = rng.random(len(names)) < 0.8
    cases = pd.DataFrame(
        {
            "id": names,
            "path": [f"/{name}.png" for name in names],
            "group": [f"g{seed}{k // 2}" for k in range(len(names))],
            "ill": np.where(is_ill, "yes", "no"),
            "fold": fold,
        }
    )
    prob = np.where(is_ill == right, 0.9, 0.1) * 1.0
    return cases, pd.DataFrame({"id": names, "no": 1 - prob, "yes": prob})


def run_of(name, fold, seed, count=40):
    """A run that held out a fold, whose other fold was trained on."""
    held_out, predictions = table([f"{name}{seed}_{k}" for k in range(count)], seed, fold=fold)
    others, _ = table([f"{name}{seed}_t{k}" for k in range(count)], seed + 100, fold=1 - fold)
    cases = pd.concat([held_out, others], ignore_index=True)
    return SimpleNamespace(
        path=Path("runs") / name / f"fold{fold}",
        fold=fold,
        task=TASK,
        cases=lambda: cases,
        predictions=predictions,
    )


def written(tmp_path, **options):
    test, predictions = table([f"test{k}" for k in range(10)], 7)
    csv = mk.write_submission(TASK, test, predictions, tmp_path / "submission.csv", **options)
    return json.loads(csv.with_suffix(".json").read_text())


def test_the_score_is_that_of_what_the_run_held_out(tmp_path):
    run = run_of("a", 0, 1)
    found = written(tmp_path, run=run, threshold=0.4)
    held_out = run.cases().iloc[:40]
    wanted = score_interval(TASK, held_out, run.predictions, threshold=0.4)
    assert found["local_score"]["f1_macro"] == pytest.approx(wanted.value)
    assert found["local_interval"] == pytest.approx([wanted.low, wanted.high])
    assert found["held_out"] == 40 and found["run"] == "runs/a/fold0"
    assert 0 < wanted.low < wanted.value < wanted.high <= 1


def test_folds_of_one_model_are_judged_together(tmp_path):
    runs = [run_of("a", 0, 1), run_of("a", 1, 2)]
    found = written(tmp_path, run=runs)
    cases = pd.concat([run.cases().iloc[:40] for run in runs])
    predictions = pd.concat([run.predictions for run in runs], ignore_index=True)
    wanted = score_interval(TASK, cases, predictions)
    assert found["local_score"]["f1_macro"] == pytest.approx(wanted.value)
    assert found["held_out"] == 80 and found["run"] == "runs/a (2 runs)"
    assert found["runs"] == ["runs/a/fold0", "runs/a/fold1"]


def test_a_blend_gives_its_own_held_out_predictions(tmp_path):
    one, other = run_of("a", 0, 1), run_of("b", 0, 1)
    other.cases, ids = one.cases, one.predictions["id"]
    other.predictions = other.predictions.assign(id=ids)
    with pytest.raises(ValueError, match="of 2 runs several held out the same cases.*held_out="):
        written(tmp_path, run=[one, other])
    assert not (tmp_path / "submission.csv").exists()
    blended = mk.blend(TASK, [one.predictions, other.predictions])
    found = written(tmp_path, run=[one, other], held_out=(one.cases().iloc[:40], blended))
    assert found["held_out"] == 40 and found["run"] == "runs (2 runs)"


def test_labels_of_the_test_are_never_looked_at(tmp_path):
    for options in ({}, {"run": run_of("a", 0, 1)}):
        test, predictions = table([f"test{k}" for k in range(10)], 7)
        shuffled = test.assign(ill=test["ill"].to_numpy()[::-1])
        found = [
            json.loads(
                mk.write_submission(TASK, cases, predictions, tmp_path / f"{k}.csv", **options)
                .with_suffix(".json")
                .read_text()
            )
            for k, cases in enumerate((test, shuffled))
        ]
        assert found[0] == found[1]
        assert (found[0]["local_score"] is None) == (not options)


def test_a_run_on_everything_and_one_group_have_no_interval(tmp_path):
    run = run_of("a", 0, 1)
    run.fold = None
    assert written(tmp_path, run=run)["local_score"] is None
    run.fold = 0
    cases = run.cases().assign(group="one")
    run.cases = lambda: cases
    found = written(tmp_path, run=run)
    assert found["local_interval"] == [None, None] and found["local_score"]["f1_macro"] > 0.5


def test_what_is_no_run_of_this_contest_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"run='runs/a/fold0' .* Pass run=mk\.Run\(folder\)"):
        written(tmp_path, run="runs/a/fold0")
    other = run_of("a", 0, 1)
    other.task = mk.get_task("mask")
    with pytest.raises(ValueError, match="runs/a/fold0 is a run of mask, and this is for x"):
        written(tmp_path, run=[run_of("a", 1, 2), other])
