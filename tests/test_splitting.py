from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.training.splitting import split


def test_a_fold_is_held_out_and_what_has_no_picture_is_left_out(cases):
    task, lost = mk.get_task("caries"), cases.copy()
    lost.loc[cases.index[3], "path"] = None
    seen, held_out = split(task, lost, 1)
    assert set(seen["id"]) == set(cases["id"]) - {cases["id"].iloc[3]}
    assert (held_out == (seen["fold"] == 1)).all() and held_out.any()
    assert not set(seen["group"][held_out]) & set(seen["group"][~held_out])
    everything, none = split(task, cases, None)
    assert len(everything) == len(cases) and not none.any()


def test_more_than_two_classes_may_lack_one_in_a_fold(cases):
    task = replace(mk.get_task("caries"), heads=(mk.Head("view", ("front", "left", "upper")),))
    task = replace(task, scored=task.heads[0])
    few = cases[cases["view"].isin(["front", "upper"])].assign(view="front", fold=1)
    few.loc[few.index[::3], "view"] = "upper"
    other = few.assign(group="another", fold=0, id=few["id"] + "+")
    other.loc[other.index[::2], "view"] = "left"
    with pytest.raises(ValueError, match="the training cases of caries hold no case labelled"):
        split(task, pd.concat([few, other]), 0)
    with pytest.warns(UserWarning, match="fold 1 holds no view 'left'"):
        split(task, pd.concat([few, other]), 1)


def test_cases_without_folds_are_refused(cases, tmp_path):
    with pytest.raises(ValueError, match="no column 'fold'"):
        mk.fit(TWO_EPOCHS, cases.drop(columns="fold"), tmp_path / "run", **QUIET)
    with pytest.raises(ValueError, match=r"no fold 8 \(found \[0, 1, 2\]\)"):
        mk.fit(TWO_EPOCHS, cases, tmp_path / "run", fold=8, **QUIET)


def test_a_group_on_both_sides_is_refused(cases, tmp_path):
    torn = cases.assign(fold=np.arange(len(cases)) % 3)
    with pytest.raises(ValueError, match="groups are on both sides of fold 0"):
        mk.fit(TWO_EPOCHS, torn, tmp_path / "run", **QUIET)


def test_a_missing_class_is_refused(cases, tmp_path):
    sound = cases[cases["decayed"] == "sound"]
    with pytest.raises(ValueError, match="the training cases of caries hold no case .*'decayed'"):
        mk.fit(TWO_EPOCHS, sound, tmp_path / "run", **QUIET)
    lacking = cases[(cases["decayed"] == "sound") | (cases["fold"] != 0)]
    with pytest.raises(ValueError, match="fold 0 of caries hold no case labelled 'decayed'"):
        mk.fit(TWO_EPOCHS, lacking, tmp_path / "run", **QUIET)
