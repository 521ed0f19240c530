from __future__ import annotations

import pytest
import torch

from medkit.training.schedules import warmup_cosine


def test_the_rate_rises_then_falls_to_nothing():
    rates = [warmup_cosine(s, total=100, peak=0.4, warmup=10) for s in range(100)]
    assert rates[0] == pytest.approx(0.4 / 11) and max(rates) == rates[10] == 0.4
    assert all(a < b for a, b in zip(rates[:10], rates[1:11]))
    assert all(a > b for a, b in zip(rates[10:], rates[11:])) and 0 < rates[-1] < 2e-4
    assert warmup_cosine(100, total=100, peak=0.4, warmup=10) == pytest.approx(0)
    assert all(type(rate) is float for rate in rates)


def test_the_cosine_is_that_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    for step in range(30):
        rate = warmup_cosine(step, total=30, peak=0.4, warmup=0)
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
