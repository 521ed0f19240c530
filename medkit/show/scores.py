"""Figures of a run and of its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.datasets.task import Task
from medkit.metrics import METRICS
from medkit.show.canvas import (
    COLOURS,
    GREY,
    HATCHES,
    LINES,
    MARKERS,
    REAL,
    Picture,
    check_rows,
    class_colour,
    new_picture,
    positive,
    scored_rows,
    styled,
)

SCORES = ("f1_macro", "auc", "sensitivity", "specificity", "accuracy")  # shown unless asked


@styled
def show_history(
    run: Any, *, scores: tuple[str, ...] | None = None, best_epoch: int | None = None
) -> Picture:
    """Losses, scores and learning rate by epoch, with the best epoch marked.

    Args:
        run: a run, or its history table.
        scores: columns to show; by default up to five of the usual ones.
        best_epoch: to mark; by default that of the run's `best_by`, for a table of the least
            validation loss.
    """
    history = run if isinstance(run, pd.DataFrame) else run.history
    check_rows(history, "show_history", ["epoch", "lr", "train_loss"])
    names = [name for name in scores or SCORES if name in history]
    if best_epoch is None:
        by = "loss" if isinstance(run, pd.DataFrame) else run.config.best_by
        best_epoch = _best_epoch(history, by)
    page = new_picture(3.6)
    left, middle, right = page.subplots(1, 3, width_ratios=(4, 4, 3))
    for k, (column, text) in enumerate((("train_loss", "training"), ("valid_loss", "validation"))):
        if column in history:
            _curve(left, history, column, k, text)
    left.set_title("loss")
    for k, name in enumerate(names):
        _curve(middle, history, name, k + 2, name)
    if not names:
        middle.text(0.5, 0.5, "no scores in the history", ha="center", transform=middle.transAxes)
    middle.set_title("validation scores")
    _curve(right, history, "lr", 0, "")
    right.set_ylim(0, 1.08 * history["lr"].max() or 1)
    right.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=True)
    right.set_title("learning rate", loc="right")  # the left corner holds the power of ten
    for axes in (left, middle, right):
        if best_epoch is not None:
            text = f"best epoch, {best_epoch}" if axes is left else None
            axes.axvline(best_epoch, color=GREY, ls="--", lw=1.2, zorder=0, label=text)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(axis="y", color="#EEEEEE")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=9)
    return page


def _curve(axes: Axes, history: pd.DataFrame, column: str, k: int, label: str) -> None:
    axes.plot(
        history["epoch"], history[column].astype(float), label=label,
        color=COLOURS[k % len(COLOURS)], ls=LINES[k % len(LINES)],
        marker=MARKERS[k % len(MARKERS)], ms=4 if len(history) < 40 else 0, lw=1.6,
    )  # fmt: skip


@styled
def show_lr_find(found: Any) -> Picture:
    """The losses that `lr_find` met over the learning rate, with its suggestion marked."""
    curve = found.curve
    check_rows(curve, "show_lr_find", ["lr", "loss", "smoothed"])
    page = new_picture(3.6, width=6.5)
    axes = page.subplots(1, 1)
    axes.plot(curve["lr"], curve["loss"], color=COLOURS[4], lw=1, label="loss of a step")
    axes.plot(curve["lr"], curve["smoothed"], color=COLOURS[0], lw=2, label="smoothed")
    axes.axvline(found.suggestion, color=REAL, ls="--", lw=1.4)
    text = f"steepest: peak_lr={found.suggestion:.1e}"
    axes.plot([], [], color=REAL, ls="--", lw=1.4, label=text)
    known = curve["smoothed"][np.isfinite(curve["smoothed"])]
    low, high = known.min(), max(known.iloc[: max(1, len(known) // 2)])
    axes.set_ylim(low - 0.3 * (high - low), high + 0.7 * (high - low))
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_title("loss while the learning rate grows")
    axes.grid(color="#EEEEEE")
    axes.legend(fontsize=9, loc="lower left")
    return page


def _best_epoch(history: pd.DataFrame, by: str) -> int | None:
    """The epoch of the least validation loss, or of the highest score of that name."""
    column = "valid_loss" if by == "loss" else by
    values = history[column].astype(float) if column in history else pd.Series(dtype=float)
    if values.notna().sum() == 0:
        return None
    row = values.idxmin() if by == "loss" else values.idxmax()
    return int(history.loc[row, "epoch"])


@styled
def show_confusion(task: Task, units: pd.DataFrame, threshold: float = 0.5) -> Picture:
    """Truth against prediction at a threshold: counts, and shares of each true class."""
    classes = task.heads[0].classes
    rows = scored_rows(units, classes, "show_confusion")
    called = (rows["y_prob"] >= threshold).astype(int)
    table = np.zeros((2, 2), int)
    np.add.at(table, (rows["truth"].to_numpy(), called.to_numpy()), 1)
    shares = table / table.sum(1, keepdims=True).clip(min=1)
    page = new_picture(4.0, width=5.2)
    axes = page.subplots(1, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    names = [["right", "false alarm"], ["missed", "found"]]
    for y in range(2):
        for x in range(2):
            ink = "white" if shares[y, x] > 0.6 else "#222222"
            axes.text(
                x, y, f"{table[y, x]:,}\n{names[y][x]}, {shares[y, x]:.1%}",
                ha="center", va="center", color=ink, fontsize=12,
            )  # fmt: skip
    axes.set_xticks([0, 1], classes)
    axes.set_yticks([0, 1], classes, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"predicted ({classes[-1]} from a probability of {threshold:.3g})")
    axes.set_ylabel("true")
    axes.set_title(f"{len(rows):,} {_noun(units)}")
    return page


@styled
def show_threshold(task: Task, units: pd.DataFrame, threshold: float) -> Picture:
    """F1 over the threshold with the chosen one marked, and the probabilities of both classes."""
    name, target = positive(task)
    classes = task.heads[0].classes
    rows = scored_rows(units, classes, "show_threshold")
    y_true, y_prob = rows["truth"].to_numpy(), rows["y_prob"].to_numpy()
    page = new_picture(3.8)
    left, right = page.subplots(1, 2)
    steps = np.unique(np.concatenate([np.linspace(0, 1, 101), [threshold]]))
    for k, (metric, text) in enumerate(
        (("f1_macro", "F1 macro"), ("f1_binary", f"F1 of {target}"))
    ):
        curve = [METRICS[metric](y_true, (y_prob >= step).astype(int)) for step in steps]
        here = METRICS[metric](y_true, (y_prob >= threshold).astype(int))
        left.plot(steps, curve, color=COLOURS[k * 2], ls=LINES[k], lw=1.8, label=text)
        left.plot(threshold, here, MARKERS[k], color=COLOURS[k * 2], ms=8, mec="white")
    left.axvline(threshold, color=GREY, ls=":", lw=1.4, label=f"threshold {threshold:.3f}")
    left.set_ylim(0, 1.02)
    left.set_xlabel("threshold")
    left.set_title(f"F1 of {len(rows):,} {_noun(units)}")
    left.grid(color="#EEEEEE")
    left.legend(fontsize=9)
    bins = np.linspace(0, 1, 26)
    for k, label in enumerate(classes):
        values = y_prob[y_true == k]
        colour = class_colour(label, k)
        right.hist(
            values, bins, color=colour, alpha=0.6, hatch=HATCHES[k], edgecolor="white",
            label=f"{label} ({len(values):,})",
        )  # fmt: skip
        right.hist(values, bins, histtype="step", color=colour, lw=1.5)
    right.axvline(threshold, color=GREY, ls=":", lw=1.4)
    right.set_xlabel(f"predicted probability of {target}")
    right.set_ylabel(_noun(units))
    right.set_title("probabilities by true class")
    right.legend(fontsize=9)
    return page


def _noun(units: pd.DataFrame) -> str:
    return "photos" if "seen" in units else "units"


@styled
def show_intervals(table: pd.DataFrame) -> Picture:
    """Values with their 95 % intervals, one row each.

    Args:
        table: `value, low, high` and the rows' names in the first text column or the index.
    """
    check_rows(table, "show_intervals", ["value", "low", "high"])
    texts = [c for c in table.columns if c not in ("value", "low", "high")]
    names = table[texts[0]] if texts else table.index
    page = new_picture(1.0 + 0.36 * len(table))
    axes = page.subplots(1, 1)
    value, low, high = (table[c].to_numpy(float) for c in ("value", "low", "high"))
    at = np.arange(len(table))[::-1]
    axes.errorbar(
        value, at, xerr=[value - low, high - value], fmt="o", color=COLOURS[0],
        ecolor=COLOURS[0], elinewidth=2, capsize=5, ms=7,
    )  # fmt: skip
    for y, (v, a, b) in zip(at, zip(value, low, high)):
        axes.annotate(
            f"{v:.3f}  ({a:.3f} to {b:.3f})", (1.01, y),
            xycoords=("axes fraction", "data"), va="center", fontsize=9,
        )  # fmt: skip
    if low.min() < 0 < high.max():  # differences: is zero inside?
        axes.axvline(0, color=REAL, ls="--", lw=1)
    axes.set_yticks(at, [str(name) for name in names])
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_title("value and 95 % interval")
    return page
