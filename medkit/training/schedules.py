"""The learning rate is a function of the step and the history: it needs no state of its own.

Steps are counted from 0 over all epochs. Rates are Python's floats: a NumPy float in the
optimizer's state would be refused by newer torch.
"""

from __future__ import annotations

import math
from typing import Sequence

from medkit.runs.config import Config

RISE = 0.3  # of one cycle's steps go up
LOW, LOWEST = 25.0, 1e4  # what one cycle begins at is peak / LOW, and ends at is that / LOWEST


def learning_rate(config: Config, step: int, *, steps: int, values: Sequence[float] = ()) -> float:
    """The rate at one step of a run, by the schedule that its config names.

    Args:
        step: of all steps of the run.
        steps: of an epoch.
        values: what epochs are compared by, of each epoch done; the less the better.
    """
    total, peak = config.epochs * steps, config.peak_lr
    if config.schedule == "one_cycle":
        return one_cycle(step, total=total, peak=peak)
    warmup = config.warmup_epochs * steps
    if config.schedule == "cosine":
        return warmup_cosine(step, total=total, peak=peak, warmup=warmup)
    if step < warmup:
        return _rising(step, peak, warmup)
    step = step - warmup
    if config.schedule == "restarts":
        first = config.restart_epochs * steps
        return restarts(step, peak=peak, first=first, factor=config.restart_factor)
    if config.schedule == "exponential":
        return peak * config.lr_decay ** math.floor(step / steps)
    if config.schedule == "plateau":
        return peak * config.lr_decay ** falls(values, config.plateau_patience)
    return peak


def warmup_cosine(step: int, *, total: int, peak: float, warmup: float) -> float:
    """Linear warm-up to `peak`, then a cosine down to zero.

    Args:
        warmup: steps of the warm-up, of `total`.
    Source: Loshchilov and Hutter, arXiv 1608.03983, equation 5 with one period.
    """
    if step < warmup:
        return _rising(step, peak, warmup)
    progress = (step - warmup) / max(1.0, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def restarts(step: float, *, peak: float, first: float, factor: float) -> float:
    """Cosines from `peak` down to zero, one after the other.

    Args:
        first: steps of the first; each next one takes `factor` times as many.
    Source: Loshchilov and Hutter, arXiv 1608.03983, equation 5.
    """
    length = first
    while step >= length:
        step, length = step - length, length * factor
    return peak * 0.5 * (1 + math.cos(math.pi * step / length))


def one_cycle(step: int, *, total: int, peak: float) -> float:
    """Half a cosine up to `peak`, then one down to nearly nothing, over the whole run.

    Source: Smith and Topin, arXiv 1708.07120, with the numbers and the shape of torch's OneCycleLR.
    """
    top, low = RISE * total - 1, peak / LOW
    if step <= top:
        return _between(low, peak, step / max(1e-9, top))
    return _between(peak, low / LOWEST, (step - top) / max(1e-9, total - 1 - top))


def falls(values: Sequence[float], patience: int) -> int:
    """How often the rate has fallen by now.

    It falls after more than `patience` epochs in a row without a new least value, as torch's
    ReduceLROnPlateau does with threshold 0.
    """
    count, bad, best = 0, 0, math.inf
    for value in values:
        bad = 0 if value < best else bad + 1
        best = value if value < best else best
        if bad > patience:
            count, bad = count + 1, 0
    return count


def _rising(step: int, peak: float, warmup: float) -> float:
    return peak * (step + 1) / (warmup + 1)


def _between(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` to `end`."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))
