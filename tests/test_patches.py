"""Runs that are shown windows of large pictures: exact, resumable, validated as they predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mask_contests import TINY
from test_mask_runs import QUIET, Stop, held_out, result

import medkit as mk
from medkit.loading.loader import make_dataset
from medkit.training import pacing
from medkit.training.losses import Objective
from medkit.training.plan import make_plan
from medkit.training.state import State

CONFIG = mk.Config(
    "shapes",
    epochs=2,
    seed=4,
    epoch_steps=5,
    **{**TINY, "image_size": 96, "patch_size": 32, "augment": "light"},
)


@pytest.fixture(scope="module")
def straight(shape_cases, tmp_path_factory):
    return mk.fit(CONFIG, shape_cases, tmp_path_factory.mktemp("runs") / "straight", **QUIET)


def test_an_epoch_has_as_many_steps_as_are_asked_for(straight):
    assert "5 steps of 4 images an epoch" in (straight.path / "log.txt").read_text()
    assert len(straight.history) == 2  # 8 images for 20 windows: each is shown twice, or thrice


@pytest.mark.parametrize(("epoch", "step", "workers"), [(0, 3, 2), (1, 4, 1)])
def test_a_stopped_run_goes_on_to_the_same_bits(
    straight, shape_cases, tmp_path, monkeypatch, epoch, step, workers
):
    whole = State.set_rate

    def set_rate(self):
        if (self.epoch, self.step) == (epoch, step):
            raise Stop
        return whole(self)

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(State, "set_rate", set_rate)
        patched.setattr(pacing, "SAVES_APART", 0)
        mk.fit(CONFIG, shape_cases, tmp_path / "run", save_every_s=0, **QUIET)
    run = mk.fit(CONFIG, shape_cases, tmp_path / "run", **{**QUIET, "num_workers": workers})
    assert result(run) == result(straight) and run.history["bit_exact"].all()


def test_what_is_validated_is_what_is_predicted(straight, shapes):
    cases = held_out(straight)
    told = straight.history.iloc[straight.history["valid_loss"].idxmin()]
    one = mk.predict(straight, cases, device="cpu")
    assert mk.score(shapes, cases, one)["dice"] == pytest.approx(told["dice"], abs=1e-12)
    many = mk.predict(straight, cases, device="cpu", batch_size=3, folder=straight.path / "other")
    assert mk.score(shapes, cases, many)["dice"] == pytest.approx(told["dice"], abs=1e-3)


def test_views_of_windows_are_turned_back(straight, shapes):
    cases = held_out(straight)
    predictions = mk.predict(straight, cases, views="all", device="cpu")
    plain = mk.score(shapes, cases, straight.predictions)["dice"]
    assert abs(mk.score(shapes, cases, predictions)["dice"] - plain) < 0.2


def windows_of(cases, task, **settings):
    config = replace(CONFIG, augment="none", **settings)
    data = make_dataset(task, replace(config, patch_size=0), cases)
    return data, make_dataset(task, config, cases).augmented("none")


def test_a_window_is_a_part_of_the_picture_with_its_masks(shape_cases, shapes):
    whole, shown = windows_of(shape_cases, without_mirror(shapes))
    for position in range(12):
        batch, row = shown[(0, position, 3)], 3
        image, bits = whole.cache[row], whole.labels.bits(row)
        views = np.lib.stride_tricks.sliding_window_view(image, (32, 32), axis=(0, 1))
        wanted = batch.images.numpy()  # (3, 32, 32)
        found = np.argwhere((views == wanted).all((2, 3, 4)))
        assert len(found) >= 1
        y, x = found[0]
        if len(found) == 1:
            assert torch.equal(batch.labels, torch.from_numpy(bits[y : y + 32, x : x + 32].copy()))


def without_mirror(task):
    return replace(task, mirror=())


def test_windows_have_a_key_each_and_as_much_of_masks_as_asked_for(shape_cases, shapes):
    shares = []
    for share in (0.0, 1.0):
        _, shown = windows_of(shape_cases, shapes, patch_foreground=share)
        batches = [shown[(epoch, position, 2)] for epoch in range(6) for position in range(12)]
        again = [shown[(epoch, position, 2)] for epoch in range(6) for position in range(12)]
        assert all(torch.equal(a.images, b.images) for a, b in zip(batches, again))
        assert len({batch.images.numpy().tobytes() for batch in batches}) > 40
        shares.append(np.mean([bool(batch.labels.any()) for batch in batches]))
    assert shares[1] == 1.0 > shares[0] + 0.1


def test_windows_learn(shape_cases, shapes, tmp_path):
    """At 96 px of 56, in windows of 48: what is learnt of windows holds for whole pictures."""
    settings = {"image_size": 96, "patch_size": 48, "epochs": 6, "epoch_steps": 12}
    config = replace(CONFIG, **settings, peak_lr=4e-3, batch_size=6)
    run = mk.fit(config, shape_cases, tmp_path / "run", **QUIET)
    assert mk.score(shapes, held_out(run), run.predictions)["dice"] > 0.5


def test_a_window_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="patch_size=128 .expected 0, or 16 to image_size"):
        mk.Config("shapes", image_size=96, patch_size=128)


@pytest.mark.parametrize("name", ["caries", "mask"])
def test_answers_that_are_no_masks_know_no_windows(name):
    config = mk.Config(name, patch_size=32, image_size=64)
    with pytest.raises(ValueError, match="patch_size=32 has no meaning where .* is"):
        Objective(mk.get_task(name), config, torch.zeros(4, len(mk.get_task(name).heads)))


def test_a_slot_has_room_for_all_windows_of_validation(shape_cases, shapes):
    plans = [
        make_plan(shapes, replace(CONFIG, patch_size=size), shape_cases, 0) for size in (0, 32)
    ]
    whole, parts = (plan.valid_steps for plan in plans)
    assert whole == len(plans[0].valid_rows) / 4 and parts == 25 * whole


def test_the_size_of_a_run_is_that_of_its_windows(shape_cases):
    told = mk.estimate(CONFIG, shape_cases, device="cpu")
    assert told.steps == 5
    whole = mk.estimate(replace(CONFIG, patch_size=0), device="cpu")
    assert told.training_bytes < whole.training_bytes
