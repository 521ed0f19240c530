from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.optim import lr_scheduler

import medkit as mk
from medkit.runs.config import SCHEDULES
from medkit.training.schedules import falls, learning_rate, warmup_cosine

CONFIG = mk.Config("caries", epochs=10, peak_lr=0.4, warmup_epochs=0.0)
STEPS = 7  # of an epoch


def test_the_rate_rises_then_falls_to_nothing():
    rates = [warmup_cosine(s, total=100, peak=0.4, warmup=10) for s in range(100)]
    assert rates[0] == pytest.approx(0.4 / 11) and max(rates) == rates[10] == 0.4
    assert all(a < b for a, b in zip(rates[:10], rates[1:11]))
    assert all(a > b for a, b in zip(rates[10:], rates[11:])) and 0 < rates[-1] < 2e-4
    assert warmup_cosine(100, total=100, peak=0.4, warmup=10) == pytest.approx(0)


def rates_of(config, values=()):
    """Of all steps of a run, which has seen the values of the epochs before each."""
    return [
        learning_rate(config, step, steps=STEPS, values=list(values)[: step // STEPS])
        for step in range(config.epochs * STEPS)
    ]


def rates_of_torch(make, *, every=1, values=None):
    """The same by one of torch's schedulers, which is told after every so many steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], CONFIG.peak_lr)
    schedule, rates = make(optimizer), []
    for step in range(CONFIG.epochs * STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            schedule.step(*([] if values is None else [values[step // STEPS]]))
    return rates


@pytest.mark.parametrize(
    ("settings", "make", "every"),
    [
        ({}, lambda o: lr_scheduler.CosineAnnealingLR(o, 70), 1),
        (
            {"schedule": "restarts", "restart_epochs": 2, "restart_factor": 2},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 14, T_mult=2),
            1,
        ),
        (
            {"schedule": "restarts", "restart_epochs": 3, "restart_factor": 1},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 21),
            1,
        ),
        (
            {"schedule": "one_cycle"},
            lambda o: lr_scheduler.OneCycleLR(o, 0.4, total_steps=70, cycle_momentum=False),
            1,
        ),
        (
            {"schedule": "exponential", "lr_decay": 0.7},
            lambda o: lr_scheduler.ExponentialLR(o, 0.7),
            STEPS,
        ),
        ({"schedule": "constant"}, lambda o: lr_scheduler.LambdaLR(o, lambda step: 1.0), 1),
    ],
)
def test_each_schedule_is_that_of_torch(settings, make, every):
    found = rates_of(replace(CONFIG, **settings))
    assert found == pytest.approx(rates_of_torch(make, every=every), rel=1e-9, abs=1e-12)


VALUES = [0.9, 0.8, 0.8, 0.85, 0.81, 0.7, 0.72, float("nan"), 0.75, 0.71]


@pytest.mark.parametrize("patience", [0, 1, 2])
@pytest.mark.parametrize("values", [VALUES, VALUES[::-1], [1.0] * 10])
def test_the_plateau_is_that_of_torch(patience, values):
    config = replace(CONFIG, schedule="plateau", plateau_patience=patience, lr_decay=0.5)
    wanted = rates_of_torch(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=patience, threshold=0),
        every=STEPS,
        values=values,
    )
    assert rates_of(config, values) == pytest.approx(wanted)
    assert min(wanted) < 0.4 or patience == 2


def test_a_plateau_without_history_has_not_fallen():
    assert falls([], 0) == 0 and falls([0.5], 0) == 0 and falls([0.5, 0.5], 0) == 1


@pytest.mark.parametrize("schedule", sorted(set(SCHEDULES) - {"one_cycle"}))
def test_every_schedule_warms_up_first(schedule):
    config = replace(CONFIG, schedule=schedule, warmup_epochs=2.0)
    rates = rates_of(config)
    assert rates[:14] == pytest.approx([0.4 * (step + 1) / 15 for step in range(14)])
    assert rates[14] == pytest.approx(0.4)
    later = [learning_rate(config, step + 14, steps=STEPS) for step in range(14)]
    cold = replace(config, warmup_epochs=0.0, epochs=8)  # as many epochs as are left
    assert later == pytest.approx([learning_rate(cold, step, steps=STEPS) for step in range(14)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 3), (3, 1), (2, 5)])
def test_short_runs_have_rates_that_torch_takes(schedule, epochs, steps):
    config = replace(CONFIG, schedule=schedule, epochs=epochs, warmup_epochs=0.5)
    rates = [learning_rate(config, step, steps=steps) for step in range(epochs * steps)]
    assert all(type(rate) is float and 0 <= rate <= 0.4 for rate in rates) and max(rates) > 0
