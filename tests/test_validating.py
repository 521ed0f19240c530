from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.training.plan import make_plan
from medkit.training.validating import Validation


def test_an_unknown_score_is_refused_before_training(cases, tmp_path):
    with pytest.raises(ValueError, match=r"no score 'acc' .*expected one of loss, f1_macro"):
        mk.fit(replace(TWO_EPOCHS, best_by="acc"), cases, tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "best", "value", "better"),
    [
        ("loss", None, 1.0, True),
        ("loss", 0.5, 0.4, True),
        ("loss", 0.5, 0.6, False),
        ("auc", 0.5, 0.6, True),
        ("tooth_auc", 0.5, 0.4, False),
        ("a score of my own", 0.5, 0.6, True),
        ("an error of my own", 0.5, 0.6, False),
        ("auc", None, float("nan"), True),
        ("auc", float("nan"), 0.1, True),
        ("auc", 0.5, float("nan"), False),
        ("auc", float("nan"), float("nan"), False),
    ],
)
def test_the_best_epoch_is_the_best(name, best, value, better):
    judged = object.__new__(Validation)
    judged.config, judged.rows = SimpleNamespace(best_by=name), [0]
    judged.task = replace(mk.get_task("caries"), smaller_is_better=("an error of my own",))
    assert judged.is_better(value, best) is better


def test_without_held_out_cases_the_training_loss_decides(cases):
    found = make_plan(mk.get_task("caries"), TWO_EPOCHS, cases, None).validation
    assert found.measure == "train_loss" and not found.greater_is_better
    assert found.costs([{"train_loss": 0.5}, {"train_loss": 0.4}]) == [0.5, 0.4]


def test_a_score_that_rises_is_a_cost_that_falls(cases):
    found = make_plan(mk.get_task("caries"), TWO_EPOCHS, cases, 0).validation
    assert found.measure == "tooth_auc" and found.greater_is_better
    assert found.costs([{"tooth_auc": 0.5}, {"tooth_auc": 0.8}]) == [-0.5, -0.8]
