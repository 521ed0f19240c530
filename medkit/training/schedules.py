"""The learning rate is a function of the step: it needs no state, and can be plotted beforehand."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, total: int, peak: float, warmup: float) -> float:
    """Learning rate at one step: linear warm-up to `peak`, then a cosine down to zero.

    Args:
        step: counted from 0 over all epochs, of `total`.
        warmup: steps of the warm-up.
    Source: Loshchilov and Hutter, arXiv 1608.03983, equation 5 with one period.
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))  # math: a NumPy float in the
    # optimizer's state would be refused by newer torch
