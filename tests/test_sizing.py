from __future__ import annotations

import itertools
import weakref
from dataclasses import replace

import pytest
import torch
from mask_contests import TINY, make_task

import medkit as mk
from medkit.training import sizing, stepping
from medkit.training.losses import Objective
from medkit.training.stepping import Stepper

CONFIG = mk.Config(
    "caries", model="test_resnet", image_size=32, batch_size=16, augment="light", drop_rate=0.1
)
QUIET = {"device": "cpu", "progress": False}


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    monkeypatch.setattr(sizing, "ENOUGH_S", 0.0)


def run_out(monkeypatch, above):
    whole = Objective.__call__

    def fail(self, logits, labels, **options):
        if len(labels) > above and "known" in options:  # in a step
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(self, logits, labels, **options)

    monkeypatch.setattr(Objective, "__call__", fail)


def test_only_batch_sizes_that_ran_are_proposed(monkeypatch):
    run_out(monkeypatch, above=9)
    monkeypatch.setattr(sizing, "GAIN", 0.0)
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
    monkeypatch.setattr(sizing, "GAIN", 0.0)
    models, made = [], sizing.new_student
    monkeypatch.setattr(sizing, "new_student", lambda *args: kept(models, made(*args)))
    found = mk.find_batch_size(CONFIG, **QUIET)
    assert list(found.table["batch_size"]) == [2, 4] and found.why == "memory ran out with 8"
    assert found.suggestion == 4 and len(models) == 4
    assert all(model() is None for model in models)


def kept(models, model):
    models.append(weakref.ref(model))
    return model


def test_no_more_is_tried_than_was_asked_for(monkeypatch):
    monkeypatch.setattr(sizing, "GAIN", 0.0)
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


def test_the_search_for_a_size_ends_where_nothing_is_won(monkeypatch):
    rates = iter([100.0, 190.0, 195.0])
    row = {"peak_bytes": 1}
    monkeypatch.setattr(
        sizing,
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
    monkeypatch.setattr(sizing.machine, "memory_limit", lambda: 1000)
    with pytest.raises(RuntimeError, match=r"2 would take 0\.\d GB of RAM\. Take a smaller image"):
        mk.find_batch_size(CONFIG, **QUIET)


def test_a_device_without_room_for_two_is_said(monkeypatch):
    run_out(monkeypatch, above=0)
    with pytest.raises(
        RuntimeError, match="find_batch_size: memory ran out with 2. Take a smaller"
    ):
        mk.find_batch_size(CONFIG, **QUIET)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd"}, {"peers": 2, "ema_decay": 0.9}])
def test_an_estimate_tells_what_a_run_takes(cases, tmp_path, settings):
    config, cases = replace(CONFIG, epochs=1, **settings), cases[::2]
    told = mk.estimate(config, cases, device="cpu")
    run = mk.fit(config, cases, tmp_path / "run", num_workers=0, **QUIET)
    assert told.state_bytes == pytest.approx(run.last.stat().st_size, rel=0.1)
    assert f"{told.steps} steps of 16 images an epoch" in (run.path / "log.txt").read_text()
    assert told.run_s == pytest.approx(told.epoch_s) and told.epoch_s > 0
    lines = repr(told).splitlines()
    size = "0.7" if config.peers == 2 else "0.4"
    assert lines[0] == f"test_resnet on cpu: {size} million weights" and len(lines) == 4
    assert mk.estimate(config, cases, fold=None, device="cpu").steps > told.steps
    assert len(repr(mk.estimate(CONFIG, device="cpu")).splitlines()) == 3


def test_an_estimate_without_room_says_what_to_do(cases, monkeypatch):
    run_out(monkeypatch, above=3)
    with pytest.raises(RuntimeError, match=r"memory ran out with 16 images\. mk\.find_batch_size"):
        mk.estimate(CONFIG, cases, device="cpu")


def test_no_large_picture_of_masks_is_sent_through_a_cpu(monkeypatch):
    """Time and memory of 1024 px are reckoned from 256: sixteen times as much."""
    task, seen = make_task(), []
    monkeypatch.setitem(mk.datasets.TASKS, "shapes", task)
    whole = Stepper.forward_backward

    def forward_backward(self, batch, *args):
        seen.append(batch.images.shape[-1])
        return whole(self, batch, *args)

    clock = itertools.count()
    monkeypatch.setattr(Stepper, "forward_backward", forward_backward)
    monkeypatch.setattr(sizing.time, "perf_counter", lambda: float(next(clock)))
    device, settings = torch.device("cpu"), {**TINY, "batch_size": 1}
    small, large = (
        sizing._try_steps(mk.Config("shapes", **{**settings, "image_size": size}), device)
        for size in (256, 1024)
    )
    assert set(seen) == {256}
    assert small["images_per_s"] == 16 * large["images_per_s"] == 1.0
