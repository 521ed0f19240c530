"""Figures of a run and of its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.arguments import check_arguments
from medkit.errors import WrongType
from medkit.metrics import METRICS
from medkit.runs.folder import Run
from medkit.show.canvas import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    REAL,
    Picture,
    check_rows,
    legend_below,
    new_picture,
    styled,
)

SCORES = ("f1_macro", "auc", "sensitivity", "specificity", "accuracy", "iou")  # shown unless asked


@styled
def show_history(
    run: Run | pd.DataFrame, *, scores: tuple[str, ...] | None = None, best_epoch: int | None = None
) -> Picture:
    """Losses, scores and learning rate by epoch, with the best epoch marked.

    Args:
        run: a run, or its history table.
        scores: columns to show; by default up to five of the usual ones.
        best_epoch: to mark; by default that of the run's `best_by`, for a table of the least
            validation loss.

    Example:
        >>> mk.show_history(run)
        <Picture ...>
    """
    check_arguments(show_history, locals())
    history = run if isinstance(run, pd.DataFrame) else run.history
    check_rows(history, "show_history", ["epoch", "lr", "train_loss"])
    names = list(scores or _shown(history))
    if best_epoch is None:
        by = "loss" if isinstance(run, pd.DataFrame) else run.config.best_by
        is_error = by == "loss" or not run.task.greater_is_better(by)
        best_epoch = _best_epoch(history, by, is_error=is_error)
    page = new_picture(4.0)
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
            legend_below(axes)
    return page


def _shown(history: pd.DataFrame) -> list[str]:
    """The contest's own score, which stands first, and the usual ones: five at most."""
    columns = list(history.columns)
    known = columns[columns.index("valid_loss") + 1 :] if "valid_loss" in columns else columns
    own = [name for name in known[:1] if name not in ("epoch", "lr", "train_loss")]
    return list(dict.fromkeys(own + [name for name in SCORES if name in known]))[:5]


def _curve(axes: Axes, history: pd.DataFrame, column: str, k: int, label: str) -> None:
    axes.plot(
        history["epoch"], history[column].astype(float), label=label,
        color=COLOURS[k % len(COLOURS)], ls=LINES[k % len(LINES)],
        marker=MARKERS[k % len(MARKERS)], ms=4 if len(history) < 40 else 0, lw=1.6,
    )  # fmt: skip


@styled
def show_lr_find(found: Any) -> Picture:
    """The losses that `lr_find` met over the learning rate, with its suggestion marked.

    Example:
        >>> mk.show_lr_find(mk.lr_find(config, cases, steps=50, progress=False))
        <Picture ...>
    """
    _check_made("show_lr_find", found, "LearningRates", "lr_find")
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


def _best_epoch(history: pd.DataFrame, by: str, *, is_error: bool) -> int | None:
    """The epoch of the least validation loss or error, or of the highest score of that name."""
    column = "valid_loss" if by == "loss" else by
    values = history[column].astype(float) if column in history else pd.Series(dtype=float)
    if values.notna().sum() == 0:
        return None
    row = values.idxmin() if is_error else values.idxmax()
    return int(history.loc[row, "epoch"])


@styled
def show_intervals(table: pd.DataFrame, *, metric: str | None = None) -> Picture:
    """Scores, or differences of scores, with their 95 % intervals, one row each.

    Args:
        table: `value` (of `score_table`) or `difference` (of `compare`), with `low, high`, and
            the rows' names in the first text column or the index.
        metric: the score that all rows tell; named on the axis.

    Example:
        >>> table = pd.DataFrame({"run": ["a"], "value": [0.8], "low": [0.7], "high": [0.9]})
        >>> mk.show_intervals(table, metric="f1_macro")
        <Picture ...>
    """
    check_arguments(show_intervals, locals())
    column = "difference" if "difference" in table and "value" not in table else "value"
    check_rows(table, "show_intervals", [column, "low", "high"])
    texts = [c for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
    names = table[texts[0]] if texts else table.index
    page = new_picture(1.0 + 0.36 * len(table))
    axes = page.subplots(1, 1)
    value, low, high = (table[c].to_numpy(float) for c in (column, "low", "high"))
    at = np.arange(len(table))[::-1]
    arms = np.nan_to_num([value - low, high - value]).clip(0)
    axes.errorbar(
        value, at, xerr=arms, fmt="o", color=COLOURS[0],
        ecolor=COLOURS[0], elinewidth=2, capsize=5, ms=7,
    )  # fmt: skip
    sign = "+" if column == "difference" else ""
    for y, (v, a, b) in zip(at, zip(value, low, high)):
        ends = "" if np.isnan(a) else f"  ({a:{sign}.3f} to {b:{sign}.3f})"
        axes.annotate(
            f"{v:{sign}.3f}{ends}", (1.01, y),
            xycoords=("axes fraction", "data"), va="center", fontsize=9,
        )  # fmt: skip
    if sign or np.nanmin([0.1, *low]) < 0 < np.nanmax([-0.1, *high]):  # is zero inside?
        axes.axvline(0, color=REAL, ls="--", lw=1)
    axes.set_yticks(at, [str(name) for name in names])
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_xlabel(_told(column, metric))
    axes.set_title(f"{'difference' if sign else 'score'} and 95 % interval")
    return page


def _told(column: str, metric: str | None) -> str:
    """The words under an axis of scores or of differences."""
    if column != "difference":
        return metric or "score"
    if metric not in METRICS:
        return f"difference in {metric or 'the score'}"
    side = "above" if METRICS[metric].greater_is_better else "below"
    return f"difference in {metric} ({side} 0 is better)"


def _check_made(where: str, found: Any, kind: str, maker: str) -> None:
    """By the kind's name: to import it would load torch."""
    if type(found).__name__ != kind:
        told = type(found).__name__
        raise WrongType(f"{where}: found a {told} (expected what mk.{maker} returns).")


@styled
def show_tuning(found: Any) -> Picture:
    """The search of `tune`: values in the order of the trials, and over each setting.

    Example:
        >>> found = mk.tune(config, cases, "runs/x", space=space)  # hours  # doctest: +SKIP
        >>> mk.show_tuning(found)  # doctest: +SKIP
    """
    _check_made("show_tuning", found, "Tuning", "tune")
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
