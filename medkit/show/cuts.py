"""What a threshold does to classes, as `show_threshold` draws it."""

from __future__ import annotations

from typing import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import chosen, truth, values
from medkit.errors import ConfigError
from medkit.metrics import METRICS
from medkit.show.canvas import (
    COLOURS,
    GREY,
    HATCHES,
    LINES,
    MARKERS,
    Picture,
    class_colour,
    new_picture,
)


def of_classes(task: Task, rows: pd.DataFrame, threshold: Threshold) -> Picture:
    """Of two classes F1 over the threshold and the probabilities; of more, F1 by class."""
    classes = task.scored.classes
    y_true = truth(task, rows)
    page = new_picture(3.8)
    left, right = page.subplots(1, 2)
    if len(classes) == 2 and isinstance(threshold, Mapping):
        raise ConfigError(
            f"show_threshold: threshold: found {dict(threshold)!r} (expected a number, of two "
            "classes). Pass what mk.choose_threshold returns."
        )
    if len(classes) == 2:
        prob = values(task, rows)[:, 1]
        _two_thresholds(left, y_true, prob, classes, float(threshold))
        _two_histograms(right, y_true, prob, classes, float(threshold))
        left.set_title(f"F1 of {len(rows):,} scored")
        right.set_ylabel(f"scored {task.nouns[1]}")
        return page
    at = np.arange(len(classes))
    limits = threshold if isinstance(threshold, Mapping) else dict.fromkeys(classes, 1)
    left.bar(at, [limits[name] for name in classes], color=COLOURS[4], width=0.6)
    left.set_title("threshold of each class")
    for k, (limit, text) in enumerate(((0.5, "largest probability"), (threshold, "thresholds"))):
        guess = chosen(task, rows, limit)
        f1 = [METRICS["f1_binary"](y_true == c, guess == c) for c in range(len(classes))]
        right.bar(
            at + 0.38 * k - 0.19, f1, 0.36, color=COLOURS[2 * k], hatch=HATCHES[k],
            edgecolor="white", label=f"{text}: mean {np.mean(f1):.3f}",
        )  # fmt: skip
    right.set_ylim(0, 1.3)
    right.set_title(f"F1 by class of {len(rows):,} scored")
    right.legend(fontsize=9, loc="upper right")
    for axes in (left, right):
        axes.set_xticks(at, classes, rotation=90 if sum(map(len, classes)) > 40 else 0)
    return page


def _two_thresholds(
    axes: Axes, y_true: np.ndarray, prob: np.ndarray, classes: tuple[str, ...], threshold: float
) -> None:
    """F1 over the threshold, with the chosen one marked."""
    steps = np.unique(np.concatenate([np.linspace(0, 1, 101), [threshold]]))
    for k, (metric, text) in enumerate(
        (("f1_macro", "F1 macro"), ("f1_binary", f"F1 of {classes[1]}"))
    ):
        curve = [METRICS[metric](y_true, (prob >= step).astype(int)) for step in steps]
        here = METRICS[metric](y_true, (prob >= threshold).astype(int))
        axes.plot(steps, curve, color=COLOURS[k * 2], ls=LINES[k], lw=1.8, label=text)
        axes.plot(threshold, here, MARKERS[k], color=COLOURS[k * 2], ms=8, mec="white")
    axes.axvline(threshold, color=GREY, ls=":", lw=1.4, label=f"threshold {threshold:.3f}")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("threshold")
    axes.grid(color="#EEEEEE")
    axes.legend(fontsize=9)


def _two_histograms(
    axes: Axes, y_true: np.ndarray, prob: np.ndarray, classes: tuple[str, ...], threshold: float
) -> None:
    """The probabilities of the last class, by true class."""
    bins = np.linspace(0, 1, 26)
    for k, label in enumerate(classes):
        own, colour = prob[y_true == k], class_colour(label, k)
        axes.hist(
            own, bins, color=colour, alpha=0.6, hatch=HATCHES[k], edgecolor="white",
            label=f"{label} ({len(own):,})",
        )  # fmt: skip
        axes.hist(own, bins, histtype="step", color=colour, lw=1.5)
    axes.axvline(threshold, color=GREY, ls=":", lw=1.4)
    axes.set_xlabel(f"predicted probability of {classes[1]}")
    axes.set_title("probabilities by true class")
    axes.legend(fontsize=9)
