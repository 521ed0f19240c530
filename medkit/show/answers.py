"""Figures of answers beside the truth: confusion, agreement, threshold, reliability."""

from __future__ import annotations

from typing import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import chosen, judged, truth
from medkit.inference.calibrating import calibration_error, reliability
from medkit.show.canvas import (
    COLOURS,
    GREY,
    Picture,
    headroom,
    new_picture,
    percent,
    styled,
    write_above,
)
from medkit.show.kinds import SHOWN, check_suits
from medkit.show.missed import dice_by_class

MILLION = 1_000_000


@styled
def show_confusion(task: Task, units: pd.DataFrame, threshold: Threshold = 0.5) -> Picture:
    """Truth against prediction: counts, and shares of each true class."""
    check_arguments(show_confusion, locals())
    rows, classes = _judged(task, units, "show_confusion"), task.scored.classes
    table = np.zeros((len(classes), len(classes)), int)
    np.add.at(table, (truth(task, rows), chosen(task, rows, threshold)), 1)
    shares = table / table.sum(1, keepdims=True).clip(min=1)
    side = min(9.0, 3.2 + 0.55 * len(classes))
    page = new_picture(side, width=side + 1.2)
    axes = page.subplots(1, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    for (y, x), count in np.ndenumerate(table):
        if count or len(classes) <= 6:
            ink = "white" if shares[y, x] > 0.6 else "#222222"
            text = _cell_text(count, shares[y, x], y, x, len(classes))
            size = 12 if len(classes) == 2 else max(8, 12 - len(classes) // 2)
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=size)
    at = range(len(classes))
    names = [name if len(name) < 14 else f"{name[:12]}.." for name in classes]
    axes.set_xticks(at, names, rotation=90 if sum(map(len, names)) > 60 else 0)
    is_long = len(classes) == 2  # room enough for a name along the side
    axes.set_yticks(at, names, rotation=90 if is_long else 0, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    how = ""
    if isinstance(threshold, Mapping):
        how = " (by thresholds of their own)"
    elif len(classes) == 2:
        how = f" ({classes[-1]} from a probability of {threshold:.3g})"
    axes.set_xlabel(f"predicted{how}")
    axes.set_ylabel("true")
    axes.set_title(f"{len(rows):,} scored")
    return page


def _judged(task: Task, units: pd.DataFrame, figure: str) -> pd.DataFrame:
    """The units that have a label and a prediction, for a figure that suits the kind of answer."""
    check_suits(task.scored, figure)
    return judged(task, units)


def _cell_text(count: int, share: float, y: int, x: int, classes: int) -> str:
    """What stands in a cell of a confusion matrix."""
    if classes == 2:
        name = (("right", "false alarm"), ("missed", "found"))[y][x]
        return f"{count:,}\n{name}, {share:.1%}"
    return f"{count:,}\n{share:.0%}" if classes <= 8 else f"{count:,}"


@styled
def show_agreement(task: Task, units: pd.DataFrame) -> Picture:
    """Predicted numbers over the true ones, and how far they are off."""
    check_arguments(show_agreement, locals())
    rows = _judged(task, units, "show_agreement")
    y_true, guess = truth(task, rows), chosen(task, rows)
    page = new_picture(3.8)
    left, right = page.subplots(1, 2)
    ends = [min(y_true.min(), guess.min()), max(y_true.max(), guess.max())]
    left.plot(ends, ends, color=GREY, ls=":", lw=1.2)
    left.scatter(y_true, guess, s=18, alpha=0.5, color=COLOURS[0], edgecolors="white", lw=0.4)
    left.set(xlabel=f"true {task.scored.name}", ylabel="predicted")
    left.set_title(f"{len(rows):,} {task.nouns[1]}")
    right.hist(guess - y_true, bins=30, color=COLOURS[4], edgecolor="white")
    right.axvline(0, color=GREY, ls=":", lw=1.2)
    right.set(xlabel="predicted less true", ylabel=task.nouns[1])
    right.set_title(f"mean absolute error {np.abs(guess - y_true).mean():.3g}")
    return page


def show_answers(task: Task, units: pd.DataFrame, *, threshold: Threshold = 0.5) -> Picture:
    """Answers beside the truth: of classes a confusion matrix, of a number what was predicted over
    what is so, of masks Dice by class (see `show_dice`).

    Args:
        units: labelled and predicted, of `task.to_units(cases, predictions)`.
        threshold: from which a class is called, or one for each class.

    Example:
        >>> units = task.to_units(held_out, run.predictions)
        >>> mk.show_answers(task, units)
        <Picture ...>
    """
    check_arguments(show_answers, locals())
    draw = BESIDE[SHOWN[task.scored.kind].beside]
    return draw(task, judged(task, units), threshold=threshold)


BESIDE = {  # by `beside` of a row of `SHOWN`
    "show_confusion": show_confusion,
    "show_agreement": lambda task, units, *, threshold: show_agreement(task, units),
    "show_dice": dice_by_class,
}


@styled
def show_threshold(task: Task, units: pd.DataFrame, *, threshold: Threshold = 0.5) -> Picture:
    """What a threshold does: F1 over it and the probabilities of two classes; of more, F1 by class
    with and without it; of masks, Dice over it.

    Args:
        units: labelled and predicted, of `task.to_units(cases, predictions)`.
        threshold: that is marked, as `mk.choose_threshold` returns it.

    Example:
        >>> units = task.to_units(held_out, run.predictions)
        >>> mk.show_threshold(task, units, threshold=0.4)
        <Picture ...>
    """
    check_arguments(show_threshold, locals())
    rows = _judged(task, units, "show_threshold")
    return SHOWN[task.scored.kind](task.scored).threshold(task, rows, threshold)


@styled
def show_reliability(task: Task, units: pd.DataFrame, *, bins: int = 10) -> Picture:
    """Of the cases that were given some probability, how many are so; and how many cases these are.

    Each point has its 95 % interval, wide where cases are few (see `share_interval`). The "points
    off" are the expected calibration error.

    Args:
        units: labelled and predicted, of `task.to_units(cases, predictions)`.
        bins: parts of 0 to 1, of equal width.

    Example:
        >>> mk.show_reliability(task, task.to_units(held_out, run.predictions))
        <Picture ...>
    """
    check_arguments(show_reliability, locals())
    rows, shown = _judged(task, units, "show_reliability"), SHOWN[task.scored.kind](task.scored)
    table = reliability(task, rows, bins=bins)
    page = new_picture(5.0, width=6.5)
    above, below = page.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    _said_and_so(above, table, shown.so)
    off, count = 100 * calibration_error(table), _brief(int(table["cases"].sum()))
    points = "point" if round(off) == 1 else "points"
    above.set_title(
        f"Does 70% mean 70 of 100? Here it is {off:.0f} {points} off on average ({count} scored).\n"
        "Above the dotted line the model says too little, below it too much.",
        fontsize=10,
    )
    middle = (table["low"] + table["high"]) / 2
    below.bar(middle, table["cases"], 0.9 / bins, color=COLOURS[4])
    for x, cases in zip(middle, table["cases"]):
        write_above(below, x, cases, _brief(cases))
    headroom(below, 0.45)
    below.set_ylabel(shown.noun(task))
    below.yaxis.set_major_formatter(lambda value, _: _brief(int(value)))
    below.set_xlabel(f"probability of {shown.said}, as the model says")
    below.xaxis.set_major_formatter(percent)
    page.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return page


def _brief(count: int) -> str:
    """A count that fits above a bar: 12,345 or 123k or 3.21M."""
    if count < MILLION / 10:
        return f"{count:,}"
    return f"{count / 1000:.3g}k" if count < MILLION else f"{count / MILLION:.3g}M"


def _said_and_so(axes: Axes, table: pd.DataFrame, so: str) -> None:
    """What is so over what was said, with the line on which both are alike."""
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1.4, label="ideal: so as often as it says")
    ends = table["right"] - table["right_low"], table["right_high"] - table["right"]
    axes.errorbar(
        table["confidence"], table["right"], np.clip(ends, 0, None), fmt="o-", color=COLOURS[0],
        lw=1.4, elinewidth=1.6, capsize=4, label="this model (long bars: few cases, 95% interval)",
    )  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=f"of these, {so}")
    axes.yaxis.set_major_formatter(percent)
    axes.grid(color="#EEEEEE")
