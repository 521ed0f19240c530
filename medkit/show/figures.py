"""Figures of the cases and of the split, each made from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.datasets import TASKS
from medkit.datasets.task import Task
from medkit.images.decode import probe
from medkit.progress import track
from medkit.show.canvas import (
    COLOURS,
    GREY,
    HATCHES,
    Picture,
    check_rows,
    class_colour,
    headroom,
    new_picture,
    percent,
    styled,
    write_above,
)

UNLABELLED = "no label"


@styled
def show_balance(task: Task, cases: pd.DataFrame) -> Picture:
    """How many cases each class has, head by head; where cases are parts of photos, photos too."""
    check_rows(cases, "show_balance", [head.name for head in task.heads])
    panels = []
    parts = "region" in cases and "photo" in cases
    for head in task.heads:
        rows = cases[cases["region"].notna()] if parts else cases
        noun = "teeth" if parts and "tooth_number" in cases else "cases"
        panels.append((f"{head.name}: {len(rows):,} {noun}", rows[head.name], head.classes))
    if "photo" in cases:
        photos = task.to_units(cases, None)["y_true"]
        classes = task.heads[0].classes
        title = f"{task.heads[0].name}: {len(photos):,} photos"
        unmarked = cases["photo"].nunique() - rows["photo"].nunique() if parts else 0
        title += f" ({unmarked:,} without a marked tooth)" * bool(unmarked)
        panels = panels + [(title, photos, classes)] if parts else [(title, photos, classes)]
    page = new_picture(3.2)
    for axes, (title, labels, classes) in zip(
        page.subplots(1, len(panels), squeeze=False)[0], panels
    ):
        _bars(axes, labels, classes)
        axes.set_title(title)
    return page


def _bars(axes: Axes, labels: pd.Series, classes: tuple[str, ...]) -> None:
    """Counts and shares of a column of labels."""
    counts = {name: int((labels == name).sum()) for name in classes}
    if labels.isna().any():
        counts[UNLABELLED] = int(labels.isna().sum())
    for k, (name, count) in enumerate(counts.items()):
        colour, hatch = _class_look(name, k)
        axes.bar(k, count, color=colour, edgecolor="white", hatch=hatch, width=0.65)
        share = count / max(1, len(labels))
        write_above(axes, k, count, f"{count:,}\n{share:.1%}")
    axes.set_xticks(range(len(counts)), list(counts), rotation=0 if len(counts) < 7 else 90)
    axes.set_xlim(-0.7, len(counts) - 0.3)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    headroom(axes, 0.18)


@styled
def show_sizes(cases: pd.DataFrame) -> Picture:
    """Width and height of each picture, and the shapes that they make."""
    check_rows(cases, "show_sizes", ["path"])
    sizes, unreadable = [], 0
    for path in track(sorted(set(cases["path"].dropna())), "looking at sizes"):
        try:
            sizes.append(probe(Path(path)))
        except (OSError, ValueError):
            unreadable += 1
    if not sizes:
        raise ValueError(
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
def show_folds(cases: pd.DataFrame, *, label: str | None = None) -> Picture:
    """What each fold holds: cases by class, groups, and the share of the last class.

    Args:
        label: the column to count; by default the first head of a task that these cases have.
    """
    check_rows(cases, "show_folds", ["fold", "group"])
    column, classes = _label_column(cases, label)
    labels = cases[column].where(cases[column].notna(), UNLABELLED)
    names = [*classes, *([UNLABELLED] if (labels == UNLABELLED).any() else [])]
    counts = pd.crosstab(cases["fold"], labels).reindex(columns=names, fill_value=0)
    page = new_picture(3.4)
    left, middle, right = page.subplots(1, 3, width_ratios=(4, 3, 3))
    _stacked(left, counts)
    left.set_title("cases")
    at = np.arange(len(counts))
    groups = cases.groupby("fold")["group"].nunique()
    middle.bar(at, groups, color=COLOURS[2], width=0.6)
    for k, total in enumerate(groups):
        write_above(middle, k, total, f"{total:,}")
    headroom(middle)
    middle.set_title("groups (mouths, people)")
    labelled, target = counts[list(classes)].sum(axis=1).clip(lower=1), counts[classes[-1]]
    share = target / labelled
    right.plot(at, share, "D", color=COLOURS[5], ms=8)
    overall = target.sum() / labelled.sum()
    right.axhline(overall, color=GREY, ls="--", lw=1, label="all folds")
    right.set_ylim(0, max(0.02, share.max() * 1.35))
    right.yaxis.set_major_formatter(percent)
    right.legend(loc="lower right")
    right.set_title(f"share of {classes[-1]}")
    for axes in (left, middle, right):
        axes.set_xticks(at, [str(fold) for fold in counts.index])
        axes.set(xlabel="fold", xlim=(-0.6, len(counts) - 0.4))
    return page


def _stacked(axes: Axes, counts: pd.DataFrame) -> None:
    """A bar a row, a part a column."""
    at, base = np.arange(len(counts)), np.zeros(len(counts))
    for k, name in enumerate(counts):
        height = counts[name].to_numpy(float)
        colour, hatch = _class_look(name, k)
        axes.bar(
            at, height, bottom=base, color=colour, hatch=hatch, edgecolor="white", label=name
        )  # fmt: skip
        base += height
    for k, total in enumerate(base):
        write_above(axes, k, total, f"{total:,.0f}")
    headroom(axes, 0.30)
    axes.legend(loc="upper center", ncols=min(3, counts.shape[1]))


def _class_look(name: str, k: int) -> tuple[str, str]:
    """Colour and hatch of a class's bar."""
    if name == UNLABELLED:
        return "#DDDDDD", ""
    return class_colour(name, k), HATCHES[k % len(HATCHES)]


def _label_column(cases: pd.DataFrame, label: str | None) -> tuple[str, tuple[str, ...]]:
    """The column that `show_folds` counts, and its classes in order."""
    heads = {head.name: head.classes for task in TASKS.values() for head in task.heads}
    name = label or next((name for name in heads if name in cases), None)
    if name is None or name not in cases:
        raise ValueError(
            f"show_folds: no label column {label!r} (found {list(cases.columns)}). "
            "Pass label= the column of the classes."
        )
    return name, heads.get(name) or tuple(sorted(cases[name].dropna().unique()))
