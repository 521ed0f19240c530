from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import medkit as mk
from medkit.training import probing, stepping
from medkit.training.probing import steepest
from medkit.training.state import State

CONFIG = mk.Config(
    "caries", model="test_resnet", image_size=32, batch_size=16, augment="light", drop_rate=0.1
)
QUIET = {"device": "cpu", "progress": False}


def test_a_learning_rate_is_found_and_found_again(cases):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    found = mk.lr_find(CONFIG, cases, steps=40, largest=10.0, **QUIET)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again = mk.lr_find(CONFIG, cases, steps=40, largest=10.0, num_workers=1, **QUIET)
    pd.testing.assert_frame_equal(found.curve, again.curve)
    assert found.suggestion == again.suggestion and found.suggestion in set(found.curve["lr"])
    assert 1e-5 < found.suggestion < 1.0
    assert (
        repr(found) == f"peak_lr={found.suggestion:.1e} ({len(found.curve)} learning rates tried)"
    )


def test_the_search_ends_when_the_loss_explodes(cases, monkeypatch):
    monkeypatch.setattr(probing, "steepest", lambda curve: 0.0)  # few steps lie where it falls
    found = mk.lr_find(CONFIG, cases, steps=60, largest=1e6, **QUIET)
    smoothed = found.curve["smoothed"]
    assert len(found.curve) < 60 and not smoothed.iloc[-1] <= probing.EXPLODED * smoothed.min()


@pytest.mark.parametrize("change", [{"seed": 1}, {"balanced": True}])
def test_the_search_sees_the_batches_that_fit_would_see(cases, change, monkeypatch, tmp_path):
    seen, whole = [], stepping.Stepper.gradients

    def gradients(self, batch, epoch, step, **options):
        seen[-1].append(batch.rows.tolist())
        return whole(self, batch, epoch, step, **options)

    monkeypatch.setattr(stepping.Stepper, "gradients", gradients)
    monkeypatch.setattr(probing, "steepest", lambda curve: 0.0)
    for config in (CONFIG, replace(CONFIG, **change)):
        seen.append([])
        mk.lr_find(config, cases, steps=10, **QUIET)
    with monkeypatch.context() as patched, pytest.raises(StopIteration):
        patched.setattr(State, "end_epoch", lambda self, scores: next(iter(())))
        seen.append([])
        mk.fit(replace(CONFIG, **change), cases, tmp_path / "run", num_workers=0, **QUIET)
    assert seen[0] != seen[1] and seen[1][: len(seen[2]) - 2] == seen[2][2:]


def curve_of(smoothed, loss=None):
    lr = np.geomspace(1e-6, 1, len(smoothed))
    return pd.DataFrame(
        {"lr": lr, "loss": smoothed if loss is None else loss, "smoothed": smoothed}
    )


def test_the_scatter_of_batches_is_no_fall():
    found = 0
    for seed in range(50):
        loss = 0.69 + 0.05 * np.random.default_rng(seed).standard_normal(100)
        try:
            steepest(curve_of(probing._smooth(list(loss)), loss))
        except ValueError:
            continue
        found += 1
    assert found <= 2
    falling = 0.3 * np.linspace(1, 0, 100) + loss
    assert steepest(curve_of(probing._smooth(list(falling)), falling)) > 1e-5


def test_the_suggestion_is_where_the_loss_falls_fastest():
    at = np.linspace(-1, 1, 101)
    falling = -np.tanh(8 * (at - 0.2))  # steepest at 0.2, which is row 60
    curve = curve_of(falling)
    assert steepest(curve) == pytest.approx(curve["lr"][60])
    exploding = np.where(at > 0.7, 50 * (at - 0.7), 0) + falling
    assert steepest(curve_of(exploding)) == pytest.approx(curve["lr"][60])
    exploding[-1] = np.nan
    assert steepest(curve_of(exploding)) == pytest.approx(curve["lr"][60])


@pytest.mark.parametrize("losses", [np.linspace(1, 2, 50), np.full(50, 0.7), np.full(50, np.nan)])
def test_a_loss_that_falls_nowhere_is_no_suggestion(losses):
    with pytest.raises(
        ValueError, match=r"falls nowhere between 1e-06 and 1e\+00 by more .* \(50 steps\)\. Take"
    ):
        steepest(curve_of(losses))


@pytest.mark.parametrize(
    "change, options, message",
    [
        ({}, {"smallest": 1.0}, r"smallest=1\.0, largest=1\.0 \(expected 10 steps or more"),
        ({}, {"steps": 3}, "lr_find: steps=3"),
        ({}, {"fold": 9}, "no fold 9"),
        ({"augment": "heavyy"}, {}, "heavyy"),
        ({"best_by": "auk"}, {}, "no score 'auk'"),
    ],
)
def test_what_fit_would_refuse_is_refused_here(cases, change, options, message):
    with pytest.raises(ValueError, match=message):
        mk.lr_find(replace(CONFIG, **change), cases, **options, **QUIET)


def test_the_search_is_drawn():
    losses = [1.0, 0.9, 0.7, 0.4, 0.3, 5.0, float("nan")]
    found = probing.LearningRates(curve_of(losses), 1e-3)
    assert mk.show_lr_find(found)._repr_png_()[:4] == b"\x89PNG"
