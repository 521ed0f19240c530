"""Figures of a run and of its scores."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.datasets.task import Task, Threshold, chosen, judged, truth
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
def show_confusion(task: Task, units: pd.DataFrame, threshold: Threshold = 0.5) -> Picture:
    """Truth against prediction: counts, and shares of each true class."""
    classes = task.scored.classes
    if not classes:
        raise ValueError("show_confusion: this task asks for a number. Use show_agreement.")
    rows = scored_rows(units, classes, "show_confusion")
    table = np.zeros((len(classes), len(classes)), int)
    np.add.at(table, (rows["truth"].to_numpy(), chosen(task, rows, threshold)), 1)
    shares = table / table.sum(1, keepdims=True).clip(min=1)
    side = min(9.0, 3.2 + 0.55 * len(classes))
    page = new_picture(side, width=side + 1.2)
    axes = page.subplots(1, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    for (y, x), count in np.ndenumerate(table):
        if count or len(classes) <= 6:
            ink = "white" if shares[y, x] > 0.6 else "#222222"
            text = _cell_text(count, shares[y, x], y, x, len(classes))
            size = 12 if len(classes) == 2 else max(6, 12 - len(classes) // 2)
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


def _cell_text(count: int, share: float, y: int, x: int, classes: int) -> str:
    """What stands in a cell of a confusion matrix."""
    if classes == 2:
        name = (("right", "false alarm"), ("missed", "found"))[y][x]
        return f"{count:,}\n{name}, {share:.1%}"
    return f"{count:,}\n{share:.0%}" if classes <= 8 else f"{count:,}"


@styled
def show_agreement(task: Task, units: pd.DataFrame) -> Picture:
    """Predicted numbers over the true ones, and how far they are off."""
    rows = judged(task, units)
    y_true, guess = truth(task, rows), rows[task.scored.name].to_numpy(float)
    page = new_picture(3.8)
    left, right = page.subplots(1, 2)
    ends = [min(y_true.min(), guess.min()), max(y_true.max(), guess.max())]
    left.plot(ends, ends, color=GREY, ls=":", lw=1.2)
    left.scatter(y_true, guess, s=18, alpha=0.5, color=COLOURS[0], edgecolors="white", lw=0.4)
    left.set(xlabel=f"true {task.scored.name}", ylabel="predicted")
    left.set_title(f"{len(rows):,} cases")
    right.hist(guess - y_true, bins=30, color=COLOURS[4], edgecolor="white")
    right.axvline(0, color=GREY, ls=":", lw=1.2)
    right.set(xlabel="predicted less true", ylabel="cases")
    right.set_title(f"mean absolute error {np.abs(guess - y_true).mean():.3g}")
    return page


@styled
def show_threshold(task: Task, units: pd.DataFrame, threshold: Threshold) -> Picture:
    """What a threshold does: F1 over it and the probabilities of two classes; of more, F1 by class
    with and without it."""
    classes = task.scored.classes
    rows = scored_rows(units, classes, "show_threshold")
    page = new_picture(3.8)
    left, right = page.subplots(1, 2)
    if len(classes) == 2:
        _two_thresholds(left, rows, classes, float(threshold))
        _two_histograms(right, rows, classes, float(threshold))
        left.set_title(f"F1 of {len(rows):,} scored")
        right.set_ylabel("scored cases or photos")
        return page
    at, y_true = np.arange(len(classes)), rows["truth"].to_numpy()
    values = threshold if isinstance(threshold, Mapping) else dict.fromkeys(classes, 1)
    left.bar(at, [values[name] for name in classes], color=COLOURS[4], width=0.6)
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
    axes: Axes, rows: pd.DataFrame, classes: tuple[str, ...], threshold: float
) -> None:
    """F1 over the threshold, with the chosen one marked."""
    y_true, prob = rows["truth"].to_numpy(), rows[classes[1]].to_numpy(float)
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
    axes: Axes, rows: pd.DataFrame, classes: tuple[str, ...], threshold: float
) -> None:
    """The probabilities of the last class, by true class."""
    bins = np.linspace(0, 1, 26)
    for k, label in enumerate(classes):
        values = rows[classes[1]][rows["truth"] == k].to_numpy(float)
        colour = class_colour(label, k)
        axes.hist(
            values, bins, color=colour, alpha=0.6, hatch=HATCHES[k], edgecolor="white",
            label=f"{label} ({len(values):,})",
        )  # fmt: skip
        axes.hist(values, bins, histtype="step", color=colour, lw=1.5)
    axes.axvline(threshold, color=GREY, ls=":", lw=1.4)
    axes.set_xlabel(f"predicted probability of {classes[1]}")
    axes.set_title("probabilities by true class")
    axes.legend(fontsize=9)


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


@styled
def show_tuning(found: Any) -> Picture:
    """The search of `tune`: values in the order of the trials, and over each setting."""
    names, table = list(found.space), found.trials
    check_rows(table, "show_tuning", ["trial", "state", "value", *names])
    done, score = table[table["state"] == "finished"], found.best.best_by
    best = done[done["run"] == found.run.path.name].iloc[:1]
    columns = min(4, 1 + len(names))
    rows = -(-(1 + len(names)) // columns)
    page = new_picture(2.9 * rows)
    cells = page.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(cells, ["trial", *names]):
        at, labels = _positions(table[name])
        axes.scatter(at[done.index], done["value"], s=34, color=COLOURS[0], alpha=0.75)
        axes.scatter(at[best.index], best["value"], s=110, marker="*", color=REAL, zorder=3)
        if labels is not None:
            axes.set_xticks(range(len(labels)), labels)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        elif isinstance(found.space.get(name), tuple) and len(found.space[name]) == 3:
            axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(axis="y", color="#EEEEEE")
    for axes in cells[1 + len(names) :]:
        axes.axis("off")
    for number, row in enumerate(cells[: 1 + len(names)]):
        row.set_ylabel(score if number % columns == 0 else "")
    counts = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
    cells[0].set_title(counts, fontsize=10)
    return page


def _positions(values: pd.Series) -> tuple[pd.Series, list[str] | None]:
    """Where values stand on an axis, and the names of choices that are no numbers."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype(float), None
    labels = sorted(values.astype(str).unique())
    return values.astype(str).map({name: k for k, name in enumerate(labels)}), labels
