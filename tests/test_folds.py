from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.errors import Stopped
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import folds, following, launching

TASK = mk.get_task("caries")


@pytest.fixture(scope="module")
def cases(cases):
    """Two folds: each run is a process that takes seconds to start."""
    return cases.assign(fold=cases["fold"].clip(upper=1))


def best_hash(run):
    return weights_hash(load_state(run.best)[0])


def test_all_folds_and_a_run_on_everything(cases, tmp_path):
    found = mk.fit_folds(TWO_EPOCHS, cases, tmp_path, full_train=True, **QUIET)
    assert [run.fold for run in found.runs] == [0, 1]
    seen = cases[cases["region"].notna()]
    assert sorted(found.predictions["id"]) == sorted(seen["id"])
    for run in found.runs:  # each by the run that has not seen it
        held_out = set(cases["id"][cases["fold"] == run.fold])
        assert set(run.predictions["id"]) <= held_out
    assert list(found.scores["fold"]) == ["0", "1", "all"]
    own = mk.score(TASK, cases, found.predictions)["f1_macro"]
    assert found.scores["value"].iloc[-1] == own
    assert found.full.fold is None and found.full.state == "finished"
    bests = [load_state(run.best)[1]["epoch"] for run in found.runs]
    assert found.full.config.epochs == max(1, round(float(np.mean(bests))))
    assert len(mk.predict(found.full, cases)) == len(seen)
    assert repr(found).startswith("2 folds, f1_macro ")
    kept = {run.path: best_hash(run) for run in found.runs}
    again = mk.fit_folds(TWO_EPOCHS, cases, tmp_path, **QUIET)  # nothing is trained twice
    assert {run.path: best_hash(run) for run in again.runs} == kept
    pd.testing.assert_frame_equal(again.scores, found.scores)
    alone = mk.fit(TWO_EPOCHS, cases, tmp_path / "alone", fold=1, **QUIET)
    assert best_hash(alone) == kept[tmp_path / "fold1"]


def test_a_run_on_everything_repeats_and_resumes(cases, tmp_path):
    straight = mk.fit(TWO_EPOCHS, cases, tmp_path / "a", fold=None, **QUIET)
    assert "valid_loss" not in straight.history and not (straight.path / "predictions.csv").exists()
    assert load_state(straight.best)[1]["epoch"] == TWO_EPOCHS.epochs
    longer = mk.fit(TWO_EPOCHS, cases, tmp_path / "b", fold=None, save_every_s=0, **QUIET)
    assert best_hash(longer) == best_hash(straight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mk.show_history(straight)


def test_a_fold_that_fails_is_named_and_the_others_go_on(cases, tmp_path, monkeypatch):
    whole = launching.command

    def command(run, launch, **more):
        called = whole(run, launch, **more)
        return [*called, "--no-such-option"] if run.fold == 1 else called

    monkeypatch.setattr(launching, "command", command)
    with pytest.raises(RuntimeError, match=r"(?s)fold1: the run failed.*no-such-option"):
        mk.fit_folds(replace(TWO_EPOCHS, epochs=1), cases, tmp_path, at_once=2, **QUIET)
    states = mk.list_runs(tmp_path).set_index("run")["state"]
    assert states["fold0"] == "finished"


def test_runs_side_by_side_have_a_gpu_each(cases, tmp_path, monkeypatch):
    told, going = [], set()
    monkeypatch.setattr(folds.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        folds, "spawn", lambda run, launch, gpu: (told.append(gpu), going.add(run.path))
    )
    for name in ("check_finished", "raise_if_failed"):
        monkeypatch.setattr(folds, name, lambda run: None)
    runs = [folds._open(TWO_EPOCHS, cases, tmp_path / str(k), k % 2) for k in range(3)]
    monkeypatch.setattr(following, "is_going", lambda run: going.discard(run.path) or False)
    folds._run_all(runs, launching.Launch(), None, False)
    assert told[:2] == [0, 1] and len(told) == 3


def test_what_is_wrong_shows_before_the_first_run(cases, tmp_path):
    with pytest.raises(ValueError, match="no score 'beauty'"):
        mk.fit_folds(replace(TWO_EPOCHS, best_by="beauty"), cases, tmp_path / "x", **QUIET)
    assert not (tmp_path / "x").exists()


def test_folds_for_which_the_slot_has_no_room_are_told_as_waiting(cases, tmp_path, monkeypatch):
    left = iter([100.0, 100.0, *[0.0] * 99])  # when it is called, for the first fold, and then

    def spawn(run, launch, gpu):
        mk.fit(run.config, cases, run.path, fold=run.fold, **QUIET)

    monkeypatch.setattr(folds.slots, "left_s", lambda until: next(left) if until else 1e9)
    monkeypatch.setattr(folds, "spawn", spawn)
    config = replace(TWO_EPOCHS, epochs=1)
    with pytest.raises(Stopped, match="00:00 came before .*fold1 had begun. Call it again"):
        mk.fit_folds(config, cases, tmp_path, until="2099-01-01 00:00", **QUIET)
    assert list(mk.list_runs(tmp_path).sort_values("run")["state"]) == ["finished", "new"]
