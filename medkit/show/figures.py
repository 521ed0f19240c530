"""Figures of the cases and of the split, each made from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.arguments import check_arguments
from medkit.datasets.task import Head, Task
from medkit.errors import DataError
from medkit.images.decode import probe
from medkit.progress import track
from medkit.show.canvas import (
    COLOURS,
    GREY,
    UNLABELLED,
    Picture,
    check_rows,
    class_look,
    headroom,
    new_picture,
    noun_of,
    styled,
    write_above,
)
from medkit.show.kinds import SHOWN
from medkit.tables import part_column

MOST = 4  # panels of a line
WITHIN, BELOW = 3, 6  # names of a legend's line, inside a panel and below all


@styled
def show_balance(task: Task, cases: pd.DataFrame) -> Picture:
    """How often each label occurs, head by head; where cases are parts of pictures, those too.

    Example:
        >>> mk.show_balance(task, cases)
        <Picture ...>
    """
    check_arguments(show_balance, locals())
    check_rows(cases, "show_balance", [head.name for head in task.heads])
    rows, part = cases, part_column(cases) if task.whole in cases else None
    if part:
        rows = cases[cases[part].notna()]
    told = f"{len(rows):,} {noun_of(task, cases)}"
    every = {head: SHOWN[head.kind](head) for head in (*task.heads, task.scored)}
    panels = [(head, told, every[head].labels(task, rows)) for head in task.heads]
    units = task.to_units(cases) if part else None
    if part and set(units["id"]) != set(cases["id"]):
        told = f"{len(units):,} {task.nouns[1]}"
        unmarked = cases[task.whole].nunique() - rows[task.whole].nunique()
        told += f" ({unmarked:,} without marked {task.nouns[0]})" * bool(unmarked)
        panels.append((task.scored, told, units["y_true"]))
    lines = -(-len(panels) // MOST)
    page = new_picture(max(every[head].height for head, _, _ in panels) * lines)
    cells = page.subplots(lines, min(MOST, len(panels)), squeeze=False).ravel()
    for axes, (head, told, labels) in zip(cells, panels):
        every[head].balance(axes, labels)
        axes.set_title(f"{head.name}: {told}")
    for axes in cells[len(panels) :]:
        axes.remove()
    return page


@styled
def show_sizes(cases: pd.DataFrame) -> Picture:
    """Width and height of each picture, and the shapes that they make.

    Example:
        >>> mk.show_sizes(cases)
        <Picture ...>
    """
    check_arguments(show_sizes, locals())
    check_rows(cases, "show_sizes", ["path"])
    sizes, unreadable = [], 0
    for path in track(sorted(set(cases["path"].dropna())), "looking at sizes"):
        try:
            sizes.append(probe(Path(path)))
        except (OSError, ValueError):
            unreadable += 1
    if not sizes:
        raise DataError(
            f"show_sizes: none of {unreadable} pictures could be read. "
            "Look at task.inspect(data, split) for the reasons."
        )
    widths, heights = np.asarray(sizes, float).T
    page = new_picture(4.0)
    left, right = page.subplots(1, 2, width_ratios=(3, 2))
    _scatter_sizes(left, widths, heights)
    median = f"median {np.median(widths):.0f} x {np.median(heights):.0f}"
    gone = f", {unreadable} unreadable" if unreadable else ""
    left.set_title(f"{len(sizes):,} pictures, {median}{gone}")
    ratios = widths / heights
    right.hist(ratios, bins=min(30, 5 + len(ratios) // 4), color=COLOURS[4], edgecolor="white")
    right.axvline(1, color=GREY, ls=":", lw=1)
    right.set_xlabel("width / height")
    right.set_ylabel("pictures")
    right.set_title(f"from {ratios.min():.2f} to {ratios.max():.2f}")
    return page


def _scatter_sizes(axes: Axes, widths: np.ndarray, heights: np.ndarray) -> None:
    """A point a picture; logarithmic where sizes differ much."""
    axes.scatter(widths, heights, s=26, alpha=0.55, color=COLOURS[0], edgecolors="white", lw=0.5)
    low = min(widths.min(), heights.min()) * 0.8
    high = max(widths.max(), heights.max()) * 1.25
    axes.plot([low, high], [low, high], color=GREY, ls=":", lw=1, label="square")
    if high / low > 6:
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        round_ones = [m * 10**k for k in range(1, 5) for m in (1, 2, 5)]
        ticks = [tick for tick in round_ones if low < tick < high]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    axes.set(xlabel="width in pixels", ylabel="height in pixels")
    axes.legend(loc="upper left")


@styled
def show_folds(task: Task, cases: pd.DataFrame, *, label: str | None = None) -> Picture:
    """What each fold holds: cases by label, groups, and the share of the last class.

    Of a number: cases by quarters of its range, groups, and where half of the numbers lie. Of
    masks: by quarters of what they cover, groups, and how much each class covers.

    Args:
        label: the column to look at; by default the first head's, of those that the cases have.

    Example:
        >>> mk.show_folds(task, cases)
        <Picture ...>
    """
    check_arguments(show_folds, locals())
    head = _folded_head(task, cases, label)
    shown = SHOWN[head.kind](head)
    labels = shown.labels(task, cases)
    words, names = shown.parts(labels)
    if words.isna().any():
        words, names = words.where(words.notna(), UNLABELLED), [*names, UNLABELLED]
    counts = pd.crosstab(cases["fold"], words).reindex(columns=names, fill_value=0)
    lines = -(-len(names) // BELOW) if len(names) > WITHIN else 0
    page = new_picture(3.4 + 0.22 * lines)
    left, middle, right = page.subplots(1, 3, width_ratios=(4, 3, 3))
    _stacked(left, counts)
    if lines:
        page.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=BELOW)
    else:
        headroom(left, 0.2)
        left.legend(loc="upper center", ncols=WITHIN)
    left.set_title("cases")
    groups = cases.groupby("fold")["group"].nunique()
    middle.bar(range(len(counts)), groups, color=COLOURS[2], width=0.6)
    for k, total in enumerate(groups):
        write_above(middle, k, total, f"{total:,}")
    headroom(middle)
    middle.set_title("groups (mouths, people)")
    shown.folds(right, labels, cases["fold"])
    for axes in (left, middle, right):
        axes.set_xticks(range(len(counts)), [str(fold) for fold in counts.index])
        axes.set(xlabel="fold", xlim=(-0.6, len(counts) - 0.4))
    return page


def _folded_head(task: Task, cases: pd.DataFrame, label: str | None) -> Head:
    """The head at which `show_folds` looks; of another column one that is made for it."""
    check_rows(cases, "show_folds", ["fold", "group"])
    known = {head.name: head for head in task.heads}
    name = label or next((name for name in known if name in cases), task.heads[0].name)
    check_rows(cases, "show_folds", [name])
    if name in known:
        return known[name]
    if pd.api.types.is_numeric_dtype(cases[name]):
        return Head(name)
    return Head(name, tuple(sorted(cases[name].dropna().astype(str).unique())))


def _stacked(axes: Axes, counts: pd.DataFrame) -> None:
    """A bar a row, a part a column."""
    at, base = np.arange(len(counts)), np.zeros(len(counts))
    for k, name in enumerate(counts):
        height = counts[name].to_numpy(float)
        colour, hatch = class_look(name, k)
        axes.bar(
            at, height, bottom=base, color=colour, hatch=hatch, edgecolor="white", label=name
        )  # fmt: skip
        base += height
    for k, total in enumerate(base):
        write_above(axes, k, total, f"{total:,.0f}")
    headroom(axes, 0.1)
