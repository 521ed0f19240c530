"""What is particular to a contest: teeth, halves of a picture, nights, heads, patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from medkit.datasets.sleep import night_column
from medkit.datasets.task import Task
from medkit.images.decode import probe, read_image
from medkit.show.canvas import (
    COLOURS,
    PREDICTED,
    REAL,
    Picture,
    check_rows,
    class_colour,
    grid_of,
    new_picture,
    styled,
    write_above,
)
from medkit.show.photos import SIZE, shrink
from medkit.show.teeth import show_teeth

EPOCH_S = 30  # of sleep


def show_structure(task: Task, cases: pd.DataFrame) -> Picture:
    """The figure that suits these cases.

    Teeth by number where they have one, nights as hypnograms where epochs are counted, halves where
    pictures are divided, heads against each other where there are several; else classes by group.
    """
    check_rows(cases, "show_structure", ["id", "group"])
    if "tooth_number" in cases:
        return show_teeth(task, cases)
    if "epoch" in cases:
        return show_hypnogram(task, cases)
    if "box" in cases:
        return show_halves(task, cases)
    return show_heads(task, cases) if len(task.heads) > 1 else show_groups(task, cases)


@styled
def show_hypnogram(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame | None = None, *, n: int = 3
) -> Picture:
    """Stages over the hours of some nights; what was predicted is blue and dashed.

    Args:
        cases: with `record` or `group` (the night) and `epoch` (30 s each).
        n: nights; the longest ones are shown.
    """
    which = night_column(cases)
    check_rows(cases, "show_hypnogram", ["id", which, "epoch"])
    head, rows = task.heads[0], cases[cases["epoch"].notna()]
    nights = rows[which].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    page = new_picture(1.9 * min(n, len(nights)) + 0.5)
    cells = page.subplots(min(n, len(nights)), 1, squeeze=False, sharex=True).ravel()
    places = {name: len(head.classes) - k for k, name in enumerate(head.classes)}  # first on top
    for axes, name in zip(cells, nights.index):
        night = rows[rows[which] == name].sort_values("epoch")
        hours = night["epoch"].astype(float) * EPOCH_S / 3600
        axes.step(
            hours, night[head.name].map(places), where="post", color=REAL, lw=1.6, label="true"
        )
        if predictions is not None:
            probs = night[["id"]].merge(predictions, on="id", how="left")[list(head.classes)]
            is_known = probs.notna().all(axis=1).to_numpy()
            guess = np.full(len(night), np.nan)
            guess[is_known] = [places[c] for c in probs[is_known].idxmax(axis=1)]
            axes.step(
                hours, guess + 0.12, where="post", color=PREDICTED, lw=1.3, ls="--",
                label="predicted",
            )  # fmt: skip
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(0.5, len(places) + 0.5)
        axes.set_title(f"{name}: {len(night):,} epochs", fontsize=10)
        axes.grid(axis="y", color="#EEEEEE")
    cells[-1].set_xlabel("hours")
    if predictions is not None:
        cells[0].legend(fontsize=9, loc="upper right", ncols=2)
    return page


@styled
def show_halves(task: Task, cases: pd.DataFrame, *, n: int = 6) -> Picture:
    """Whole pictures with the part that each case is, and its label."""
    check_rows(cases, "show_halves", ["id", "path", "box"])
    head = task.heads[0]
    rows = cases[cases["path"].notna() & cases["box"].notna()]
    check_rows(rows, "show_halves: cases with a picture")
    rarest = rows[head.name].map(rows[head.name].value_counts()).fillna(np.inf)
    paths = rows.assign(rarity=rarest).groupby("path", sort=False)["rarity"].min()
    paths = paths.sort_values(kind="stable").index[:: max(1, len(paths) // n)][:n]  # from rare on
    shapes = [np.divide(*probe(path)) for path in paths]
    page, cells = grid_of(shapes, columns=3)
    for cell, path in zip(cells, paths):
        image = shrink(read_image(path, min_size=SIZE // 2), SIZE // 2)
        scale = image.shape[1] / probe(path)[0]
        cell.imshow(image)
        for number, (_, row) in enumerate(rows[rows["path"] == path].iterrows()):
            left, top, right, bottom = (value * scale for value in row["box"])
            colour = COLOURS[number % 2]
            frame = Rectangle(
                (left + 2, top + 2), right - left - 4, bottom - top - 4, fill=False, ec=colour, lw=2
            )
            cell.add_patch(frame)
            label = "no label" if pd.isna(row[head.name]) else row[head.name]
            part = str(row["id"]).rpartition("_")[2]
            cell.text(
                (left + right) / 2, top + 0.06 * image.shape[0], f"{part}\n{label}", color="white",
                ha="center", va="top", fontsize=9, bbox={"fc": colour, "ec": "none", "pad": 2},
            )  # fmt: skip
        cell.set_title(str(rows["group"][rows["path"] == path].iloc[0]), fontsize=9)
    return page


@styled
def show_heads(task: Task, cases: pd.DataFrame) -> Picture:
    """Classes of each pair of heads against each other: how many cases have both."""
    heads = [head for head in task.heads if head.classes]
    check_rows(cases, "show_heads", [head.name for head in heads])
    pairs = [(a, b) for k, a in enumerate(heads) for b in heads[k + 1 :]]
    if not pairs:
        raise ValueError("show_heads: fewer than two heads have classes. Use show_balance.")
    pairs = pairs[:6]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    page = new_picture(3.1 * rows)
    cells = page.subplots(rows, columns, squeeze=False).ravel()
    for axes, (a, b) in zip(cells, pairs):
        counts = pd.crosstab(cases[a.name], cases[b.name])
        counts = counts.reindex(index=a.classes, columns=b.classes, fill_value=0)
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=1.2 * max(1, counts.to_numpy().max()))
        for (y, x), count in np.ndenumerate(counts.to_numpy()):
            ink = "white" if count > 0.7 * counts.to_numpy().max() else "#222222"
            axes.text(x, y, f"{count:,}", ha="center", va="center", color=ink)
        axes.set_xticks(range(len(b.classes)), b.classes)
        axes.set_yticks(range(len(a.classes)), a.classes)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=b.name, ylabel=a.name)
    for axes in cells[len(pairs) :]:
        axes.axis("off")
    return page


@styled
def show_groups(task: Task, cases: pd.DataFrame) -> Picture:
    """How many cases a group (a patient, a record) has, and how its classes are mixed.

    Groups that are all of one size are told in words: their one bar would say no more.
    """
    head = task.heads[0]
    check_rows(cases, "show_groups", ["group", head.name])
    sizes = cases["group"].value_counts()
    page = new_picture(3.4)
    *others, right = page.subplots(1, min(2, sizes.nunique()), squeeze=False)[0]
    bins = min(30, max(3, sizes.nunique()))
    for left in others:
        left.hist(sizes, bins=bins, color=COLOURS[2], edgecolor="white")
        left.set(xlabel="cases of a group", ylabel="groups")
        left.set_title(f"{len(sizes):,} groups, median {sizes.median():.0f} cases")
    if not others:
        noun = "case" if sizes.iloc[0] == 1 else "cases"
        text = f"{len(sizes):,} groups, of {sizes.iloc[0]:,} {noun} each"
        page.suptitle(text, x=0.01, ha="left", fontsize=11)
    if not head.classes:
        right.hist(cases.groupby("group")[head.name].mean(), bins=bins, color=COLOURS[0])
        right.set(xlabel=f"mean {head.name} of a group", ylabel="groups")
        return page
    _by_mixture(right, cases, head.name, head.classes)
    return page


def _by_mixture(axes: Axes, cases: pd.DataFrame, name: str, classes: tuple[str, ...]) -> None:
    """Groups of one class only, and of several: by these a model may know the group instead."""
    labelled = cases[cases[name].notna()]
    kinds = labelled.groupby("group")[name].agg(lambda labels: tuple(sorted(set(labels))))
    counts = {label: int((kinds == (label,)).sum()) for label in classes}
    counts["several"] = int((kinds.str.len() > 1).sum())
    for k, (label, count) in enumerate(counts.items()):
        axes.bar(k, count, width=0.6, color=class_colour(label, k), edgecolor="white")
        write_above(axes, k, count, f"{count:,}")
    axes.set_xticks(range(len(counts)), list(counts), rotation=0 if len(counts) < 6 else 90)
    axes.set_ylabel("groups")
    axes.set_title("groups whose cases are all of one class")
