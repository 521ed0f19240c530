"""Every optimizer, schedule and loss, in runs that stop and go on to the same bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import medkit as mk
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import pacing
from medkit.training.state import State

PLAIN = {
    "model": "test_resnet",
    "image_size": 32,
    "epochs": 3,
    "batch_size": 16,
    "augment": "light",
    "drop_rate": 0.1,
    "warmup_epochs": 0.5,
    "seed": 5,
}
QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
RECIPES = {
    "sgd, restarts, focal": {
        "optimizer": "sgd",
        "peak_lr": 0.05,
        "schedule": "restarts",
        "restart_epochs": 0.7,
        "restart_factor": 1.5,
        "loss": "focal",
        "ema_decay": 0.9,
    },
    "adam, plateau, class weights": {
        "optimizer": "adam",
        "schedule": "plateau",
        "plateau_patience": 0,
        "lr_decay": 0.3,
        "class_weights": {"decayed": (1, 4)},
        "label_smoothing": {"decayed": 0.1},
        "best_by": "auc",
    },
    "arcface, one cycle, mixed": {
        "arcface_margin": 0.3,
        "peak_lr": 5e-3,
        "schedule": "one_cycle",
        "cutmix": 0.2,
        "balanced": True,
        "facts": ("view",),
    },
    "class balanced, exponential": {"loss": "class_balanced", "schedule": "exponential"},
    "peers": {"peers": 2, "mixup": 0.3, "loss": "focal", "ema_decay": 0.8},
    "constant, taught by two": {"schedule": "constant", "mixup": 0.3, "optimizer": "sgd"},
}
STOPS = list(itertools.product(range(3), (0, 1, 3)))[1:]  # (epoch, step)


class Stop(Exception):
    pass


def result(run):
    """All that must be equal bit for bit."""
    names = ("history.csv", "predictions.csv", "best.safetensors")
    return weights_hash(load_state(run.last)[0]), [(run.path / n).read_bytes() for n in names]


def stop_at(monkeypatch, *places):
    """Make `fit` stop dead right before these steps, once at each."""
    whole, left = State.set_rate, list(places)

    def set_rate(self):
        if (self.epoch, self.step) in left:
            left.remove((self.epoch, self.step))
            raise Stop
        return whole(self)

    monkeypatch.setattr(State, "set_rate", set_rate)


@pytest.fixture(scope="module")
def cases(cases):
    """Every other tooth: 4 steps an epoch."""
    return cases[::2]


@pytest.fixture(scope="module")
def teachers(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    settings = {**PLAIN, "epochs": 1}
    for name, size in (("a", 32), ("b", 48)):
        config = mk.Config("caries", **{**settings, "image_size": size})
        mk.fit(config, cases, folder / name, **QUIET)
    return str(folder / "a"), str(folder / "b")


@pytest.fixture(scope="module", params=RECIPES)
def straight(request, cases, teachers, tmp_path_factory):
    """A run without a stop."""
    more = {"teacher": teachers} if "taught" in request.param else {}
    recipe = {"name": request.param, **RECIPES[request.param], **more}
    config = mk.Config("caries", **{**PLAIN, **recipe})
    return mk.fit(config, cases, tmp_path_factory.mktemp("runs") / "straight", **QUIET)


def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(straight, cases, tmp_path, monkeypatch):
    """Stopped at four places on its way, by turns of eight; loaded by one process at the end."""
    number = list(RECIPES).index(straight.config.name)
    stops = STOPS[number % 2 :: 2]
    stop_at(monkeypatch, *stops)
    monkeypatch.setattr(pacing, "SAVES_APART", 0)
    for _ in stops:
        torch.rand(7), np.random.rand(7)
        with pytest.raises(Stop):
            mk.fit(straight.config, cases, tmp_path / "run", save_every_s=0, **QUIET)
    run = mk.fit(straight.config, cases, tmp_path / "run", **{**QUIET, "num_workers": 1})
    assert result(run) == result(straight)


def test_a_run_learns_and_predicts(straight, cases):
    history = straight.history
    assert np.isfinite(history["train_loss"]).all()
    assert history["train_loss"].iloc[1:].min() < history["train_loss"].iloc[0]
    held_out = cases[cases["fold"] == 0]
    again = mk.predict(straight, held_out, device="cpu").set_index("id")["decayed"]
    known = straight.predictions.set_index("id")["decayed"]
    assert np.allclose(again[known.index], known, atol=1e-6)


def test_the_rates_are_those_of_the_schedule(straight):
    rates = list(straight.history["lr"])
    schedule = straight.config.schedule
    if schedule == "plateau":
        auc = list(straight.history["auc"])
        falls = [auc[1] <= auc[0]]
        assert rates[2] == pytest.approx(rates[1] * (0.3 if falls[0] else 1.0))
    elif schedule == "constant":
        assert rates == [straight.config.peak_lr] * 3
    else:
        assert len(set(rates)) == 3
