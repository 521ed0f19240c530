from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import medkit as mk
from medkit.training import loop, probing, stepping
from medkit.training.losses import Objective
from medkit.training.probing import steepest

CONFIG = mk.Config(
    "caries", model="test_resnet", image_size=32, batch_size=16, augment="light", drop_rate=0.1
)
QUIET = {"device": "cpu", "progress": False}


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    monkeypatch.setattr(probing, "ENOUGH_S", 0.0)


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


def test_the_search_ends_when_the_loss_explodes(cases):
    found = mk.lr_find(CONFIG, cases, steps=60, largest=1e6, **QUIET)
    assert len(found.curve) < 60 and found.suggestion < 10


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
        patched.setattr(loop.Loop, "end_epoch", lambda self: next(iter(())))
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


def run_out(monkeypatch, above):
    whole = Objective.__call__

    def fail(self, logits, labels, **options):
        if len(labels) > above:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(self, logits, labels, **options)

    monkeypatch.setattr(Objective, "__call__", fail)


def test_only_batch_sizes_that_ran_are_proposed(monkeypatch):
    run_out(monkeypatch, above=9)
    monkeypatch.setattr(probing, "GAIN", 0.0)
    found = mk.find_batch_size(CONFIG, **QUIET)
    assert list(found.table["batch_size"]) == [2, 4, 8]
    assert found.suggestion == 8 and found.why == "memory ran out with 16"
    assert (found.table["images_per_s"] > 0).all()


def test_a_size_must_survive_the_optimizers_step(monkeypatch):
    whole = stepping.Stepper.descend

    def descend(self, optimizer):
        if self.config.batch_size > 4:
            raise RuntimeError("CUDA out of memory")
        whole(self, optimizer)

    monkeypatch.setattr(stepping.Stepper, "descend", descend)
    monkeypatch.setattr(probing, "GAIN", 0.0)
    models, made = [], probing.new_student
    monkeypatch.setattr(probing, "new_student", lambda *args: kept(models, made(*args)))
    found = mk.find_batch_size(CONFIG, **QUIET)
    assert list(found.table["batch_size"]) == [2, 4] and found.why == "memory ran out with 8"
    assert found.suggestion == 4 and len(models) == 4
    assert all(model() is None for model in models)


def kept(models, model):
    models.append(weakref.ref(model))
    return model


def test_no_more_is_tried_than_was_asked_for(monkeypatch):
    monkeypatch.setattr(probing, "GAIN", 0.0)
    found = mk.find_batch_size(replace(CONFIG, ema_decay=0.9, mixup=0.2), most=5, **QUIET)
    assert repr(found) == "batch_size=4 (5 was the most asked for)"
    with pytest.raises(ValueError, match=r"most=1 \(expected 2 or more\)"):
        mk.find_batch_size(CONFIG, most=1, **QUIET)


def test_what_is_no_want_of_memory_is_passed_on(monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Objective, "__call__", fail)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        mk.find_batch_size(CONFIG, **QUIET)


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


def test_the_search_for_a_size_ends_where_nothing_is_won(monkeypatch):
    rates = iter([100.0, 190.0, 195.0])
    row = {"peak_bytes": 1}
    monkeypatch.setattr(
        probing,
        "_try_steps",
        lambda config, device: {
            "batch_size": config.batch_size,
            "images_per_s": next(rates),
            **row,
        },
    )
    found = mk.find_batch_size(CONFIG, **QUIET)
    assert list(found.table["batch_size"]) == [2, 4, 8]
    assert repr(found) == "batch_size=4 (8 is hardly faster than 4)"


def test_no_size_is_tried_that_would_kill_the_kernel(monkeypatch):
    monkeypatch.setattr(probing.machine, "memory_limit", lambda: 1000)
    with pytest.raises(RuntimeError, match=r"2 would take 0\.\d GB of RAM\. Take a smaller image"):
        mk.find_batch_size(CONFIG, **QUIET)


def test_a_device_without_room_for_two_is_said(monkeypatch):
    run_out(monkeypatch, above=0)
    with pytest.raises(
        RuntimeError, match="find_batch_size: memory ran out with 2. Take a smaller"
    ):
        mk.find_batch_size(CONFIG, **QUIET)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd"}, {"peers": 2, "ema_decay": 0.9}])
def test_a_summary_tells_what_a_run_takes(cases, tmp_path, settings):
    config = replace(CONFIG, epochs=1, **settings)
    told = mk.summary(config, cases, device="cpu")
    run = mk.fit(config, cases, tmp_path / "run", num_workers=0, **QUIET)
    assert told.state_bytes == pytest.approx(run.last.stat().st_size, rel=0.1)
    assert f"{told.steps} steps of 16 images an epoch" in (run.path / "log.txt").read_text()
    assert told.run_s == pytest.approx(told.epoch_s) and told.epoch_s > 0
    lines = repr(told).splitlines()
    size = "0.7" if config.peers == 2 else "0.4"
    assert lines[0] == f"test_resnet on cpu: {size} million weights" and len(lines) == 4
    assert len(repr(mk.summary(CONFIG, device="cpu")).splitlines()) == 3


def test_a_summary_without_room_says_what_to_do(cases, monkeypatch):
    run_out(monkeypatch, above=3)
    with pytest.raises(RuntimeError, match=r"memory ran out with 16 images\. mk\.find_batch_size"):
        mk.summary(CONFIG, cases, device="cpu")


def test_the_search_is_drawn():
    losses = [1.0, 0.9, 0.7, 0.4, 0.3, 5.0, float("nan")]
    found = probing.LearningRates(curve_of(losses), 1e-3)
    assert mk.show_lr_find(found)._repr_png_()[:4] == b"\x89PNG"
