from __future__ import annotations

import gc
import weakref
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import timm
import torch
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.runs.tensor_files import weights_hash
from medkit.training import preparing
from medkit.training.plan import make_plan
from medkit.training.state import State

TASK = mk.get_task("caries")


@pytest.fixture
def no_network(monkeypatch):
    """Whoever builds a network fails."""
    monkeypatch.setattr(timm, "create_model", lambda *args, **options: pytest.fail("built one"))


def test_a_plan_is_made_without_a_network(cases, no_network):
    plan = make_plan(TASK, TWO_EPOCHS, cases, 0)
    seen = cases[cases["region"].notna()]
    assert list(plan.seen["id"]) == list(seen["id"])
    assert set(plan.seen["fold"].iloc[plan.valid_rows]) == {0}
    assert not set(plan.train_rows) & set(plan.valid_rows)
    assert plan.steps == len(plan.train_rows) // TWO_EPOCHS.batch_size and plan.step_size == 8
    assert plan.labels.shape == (len(plan.train_rows), 1) and plan.chances is None
    assert plan.validation.measure == "tooth_auc"
    with pytest.raises(FrozenInstanceError):
        plan.steps = 1


def test_without_a_fold_nothing_is_held_out(cases, no_network):
    plan = make_plan(TASK, TWO_EPOCHS, cases, None)
    assert not len(plan.valid_rows) and plan.valid_steps == 0
    assert len(plan.train_rows) == len(plan.seen) and plan.validation.measure == "train_loss"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "resnet81"}, "unknown model 'resnet81'"),
        ({"facts": ("age",)}, "no fact 'age'"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors: no such file"),
        ({"weights": "hf://somewhere"}, "would be downloaded"),
        ({"augment": "wild"}, "unknown augmentation 'wild'"),
        ({"best_by": "beauty"}, "no score 'beauty'"),
        ({"class_weights": (1, 2, 3)}, "class_weights"),
    ],
)
def test_a_plan_refuses_what_does_not_go_together(cases, no_network, change, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        make_plan(TASK, replace(TWO_EPOCHS, **change), cases, 0)


def test_a_plan_gives_the_batches_and_the_model_of_its_run(cases):
    plan = make_plan(TASK, TWO_EPOCHS, cases, 0)
    first, again = plan.new_model(), plan.new_model()
    assert weights_hash(first.state_dict()) == weights_hash(again.state_dict())
    data = preparing.make_dataset(TASK, TWO_EPOCHS, plan.seen, progress=False)
    batch = plan.batch(data, epoch=1, step=2)
    assert list(plan.seen["id"].iloc[batch.rows.numpy()]) == plan.ids(1, 2)
    assert set(np.asarray(batch.rows)) <= set(plan.train_rows)


def test_a_kept_traceback_holds_no_model(cases, tmp_path, monkeypatch):
    """As a notebook keeps the last one: what it holds would stay on the device."""
    models, whole = [], State.set_rate

    def set_rate(self):
        models.append(weakref.ref(self.model))
        if self.step == 2:
            torch.zeros(2) @ torch.zeros(3)
        return whole(self)

    monkeypatch.setattr(State, "set_rate", set_rate)
    with pytest.raises(RuntimeError, match="inconsistent tensor size|size mismatch") as kept:
        mk.fit(TWO_EPOCHS, cases, tmp_path / "run", **QUIET)
    gc.collect()
    assert kept.value.__traceback__ is not None and len(models) == 3
    assert not [model for model in models if model() is not None]
