"""How well masks are found: the worst images first, Dice by class and beside what else is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import chosen, judged, truth
from medkit.errors import DataError
from medkit.images import crop, crops, rle
from medkit.metrics import Interval, interval
from medkit.progress import track
from medkit.seeding import generator
from medkit.show.canvas import (
    COLOURS,
    GREY,
    PREDICTED,
    REAL,
    Picture,
    check_rows,
    grid_of,
    new_picture,
    short,
    styled,
)
from medkit.show.kinds import check_suits
from medkit.show.masks import NAMED, dice_of, fitted, line_of, trace
from medkit.show.pictures import case_picture
from medkit.show.scores import show_intervals

DASHED = (0, (3, 2))
INSTEAD = COLOURS[1]  # where one class is missed and another is found
MOST = 300  # images whose masks `show_places` looks at
SIDE = 32  # pixels of its maps
VALUES = 8  # numbers of a column that are shown one by one, and not along an axis


@styled
def show_missed(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    n: int = 8,
    order: str = "errors first",
) -> Picture:
    """Pictures with the true outlines in red and the predicted ones in blue, and beside each which
    pixels are missed and which are false alarms; the lowest mean Dice first."""
    check_rows(cases, "show_mistakes", ["id", "path"])
    check_suits(task.scored, "show_dice")
    units = dice_table_of(task, judged(task, task.to_units(cases, predictions)), threshold)
    means = units.groupby("image", sort=False)["dice"].mean()
    ways = {"errors first": means.sort_values(kind="stable"), "as given": means}
    taken, text = ways[order].head(n), {"errors first": ", the lowest Dice first"}.get(order, "")
    by_id, files = cases.set_index("id"), tables.files_of(predictions)
    rows = [by_id.loc[id] for id in taken.index]
    images = [case_picture(row)[0] for row in rows]
    shapes = [2.03 * image.shape[1] / image.shape[0] for image in images]
    page, cells = grid_of(
        shapes,
        columns=2,
        lines=2,
        has_legend=True,
        title=f"{len(taken):,} of {len(means):,} {task.nouns[1]}{text}",
    )
    for cell, row, image, id in zip(cells, rows, images, taken.index):
        case = {**row.to_dict(), "id": id}
        planes = _both(task, case, *files[id], threshold, image.shape[:2])
        _draw(cell, image, planes)
        own = units[units["image"] == id].set_index("class")["dice"]
        cell.set_title(f"{short(id)}\n{_words(own)}", fontsize=9)
    _legend(page, has_others=len(task.scored.classes) > 1)
    return page


def _both(
    task: Task,
    case: dict[str, Any],
    file: Any,
    sha: str | None,
    threshold: Threshold,
    shape: tuple[int, int],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The true and the predicted mask of each class, at the size of a shown picture."""
    size, real = task.read_masks(case)
    classes = task.scored.classes
    nothing = crops.Crops(case["id"], size, size, classes)
    is_seen = isinstance(file, str)
    found = crops.read(file, id=case["id"], classes=classes, sha=sha) if is_seen else nothing
    cuts = [crops.cut_of(of) for of in task.scored.answer.thresholds(threshold)]
    return [
        (fitted(real[name], size, shape), fitted(found.runs(name, cut), size, shape))
        for name, cut in zip(classes, cuts)
    ]


def _draw(cell: Axes, image: np.ndarray, planes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """The picture with both outlines, and beside it where they differ."""
    height, width = image.shape[:2]
    missed, false = np.zeros((2, height, width), bool)
    for real, found in planes:
        missed |= (real > 0) & (found == 0)
        false |= (real == 0) & (found > 0)
    plain = np.repeat(image.mean(2, keepdims=True), 3, 2)
    beside = 0.35 * plain + 0.65 * 255
    for where, colour in ((missed, REAL), (false, PREDICTED), (missed & false, INSTEAD)):
        beside[where] = 0.15 * beside[where] + 0.85 * 255 * np.array(to_rgb(colour))
    gap = np.full((height, max(1, round(0.03 * width)), 3), 255)
    cell.imshow(np.concatenate([image, gap, beside], 1).round().astype(np.uint8))
    line = 1.2 if len(planes) <= NAMED else 0.9
    for real, found in planes:
        trace(cell, real, REAL, width=line)
        trace(cell, found, PREDICTED, width=line, style=DASHED)


def _words(dice: pd.Series) -> str:
    """What stands above a picture: its mean, and its worst class."""
    if len(dice) == 1:
        return f"Dice {dice.iloc[0]:.3f}"
    return f"mean Dice {dice.mean():.3f}, worst: {short(dice.idxmin(), 18)} {dice.min():.3f}"


def _legend(page: Picture, *, has_others: bool) -> None:
    told = [
        (line_of(REAL, "-"), "true outline"),
        (line_of(PREDICTED, DASHED), "predicted outline"),
        (Patch(color=REAL), "missed pixels"),
        (Patch(color=PREDICTED), "false alarms"),
        *[(Patch(color=INSTEAD), "another class instead")] * has_others,
    ]
    page.legend(*zip(*told), loc="outside lower center", ncols=len(told), fontsize=9)


def dice_table_of(task: Task, units: pd.DataFrame, threshold: Threshold) -> pd.DataFrame:
    """`image, class, group, area, found, dice` of judged units; areas in pixels."""
    areas, found = truth(task, units), chosen(task, units, threshold)
    names = [id[: -1 - len(name)] for id, name in zip(units["id"], units["class"])]
    table = units[["class", "group"]].assign(image=names, area=areas)
    return table.assign(found=found[:, 0], dice=dice_of(areas, found[:, 0], found[:, 1]))


def dice_table(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`class, images, found, area, dice, low, high`, a row a class.

    Returns:
        In how many of the images it really is, and in how many it is found; its mean area in pixels
        where it is, and its mean Dice over all images with a 95 % interval, drawing whole groups.
    """
    check_suits(task.scored, "show_dice")
    units = judged(task, task.to_units(cases, predictions))
    return _by_class(task, dice_table_of(task, units, threshold))


def _by_class(task: Task, table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in task.scored.classes:
        own = table[table["class"] == name]
        if len(own):
            there = own["area"] > 0
            area = own["area"][there].mean() if there.any() else 0.0
            counts = int(there.sum()), int((own["found"] > 0).sum())
            rows.append((name, *counts, area, *_mean(own)))
    columns = ["class", "images", "found", "area", "dice", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _mean(table: pd.DataFrame) -> Interval:
    """The mean Dice of some rows and its interval."""
    dice = table["dice"].to_numpy()
    return interval(lambda rows: float(dice[rows].mean()), table["group"].to_numpy())


def show_dice(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    by: str | None = None,
) -> Picture:
    """Dice by class, or that of images by what else is known of them, with 95 % intervals.

    Args:
        by: a column of cases, as "sex", "age" or "bent"; None shows it by class.

    Raises:
        DataError: for another kind of answer, or a column that is not there or says nothing.

    Example:
        >>> mk.show_dice(bones, hands, bone_masks)
        <Picture ...>
    """
    check_arguments(show_dice, locals())
    check_suits(task.scored, "show_dice")
    units = judged(task, task.to_units(cases, predictions))
    if by is None:
        return dice_by_class(task, units, threshold)
    check_rows(cases, "show_dice", ["id", by])
    table = dice_table_of(task, units, threshold)
    images = table.groupby("image", sort=False).agg({"dice": "mean", "group": "first"})
    images["value"] = pd.Series(cases[by].array, cases["id"]).reindex(images.index)
    if images["value"].isna().all():
        raise DataError(
            f"show_dice: {by!r} is missing in all {len(images)} images. Choose a column that says "
            "something of them."
        )
    is_number = pd.api.types.is_numeric_dtype(images["value"])
    if is_number and images["value"].nunique() > VALUES:
        return _along(images.dropna(), by)
    return _by_value(images, by)


@styled
def dice_by_class(task: Task, units: pd.DataFrame, threshold: Threshold) -> Picture:
    """The mean Dice of each class, and of all."""
    table = dice_table_of(task, units, threshold)
    rows = _by_class(task, table)
    rows = rows.rename(columns={"dice": "value"})[["class", "value", "low", "high"]]
    if len(rows) > 1:
        mean = dict(zip(("class", "value", "low", "high"), ("all classes", *_mean(table))))
        rows = pd.concat([rows, pd.DataFrame([mean])], ignore_index=True)
    page = show_intervals(rows, metric="Dice")
    count = table["image"].nunique()
    page.axes[0].set_title(f"Dice of {count:,} {task.nouns[1]} and 95 % interval", loc="left")
    return page


@styled
def _by_value(images: pd.DataFrame, by: str) -> Picture:
    """The images of each value as small dots, and their mean with its interval."""
    texts = images["value"].map(lambda value: "unknown" if pd.isna(value) else f"{value}")
    values = sorted(texts.unique(), key=lambda text: (text == "unknown", text))
    page = new_picture(1.3 + 0.5 * len(values))
    axes = page.subplots(1, 1)
    rng = generator("show dice")
    for y, text in zip(range(len(values))[::-1], values):
        own = images[texts == text]
        at = y + rng.uniform(-0.22, 0.22, len(own))
        axes.plot(own["dice"], at, "o", ms=3.5, color=COLOURS[4], alpha=0.55, mec="none")
        mean = _mean(own)
        ends = np.nan_to_num([[mean.value - mean.low], [mean.high - mean.value]])
        axes.errorbar(
            [mean.value], [y], xerr=ends, fmt="D", color=COLOURS[0], elinewidth=2, capsize=5, ms=8,
            mec="white",
        )  # fmt: skip
        width = "" if np.isnan(mean.low) else f"  ({mean.low:.3f} to {mean.high:.3f})"
        axes.annotate(
            f"{mean.value:.3f}{width}", (1.01, y), xycoords=("axes fraction", "data"), va="center",
            fontsize=9,
        )  # fmt: skip
    counts = texts.value_counts()
    names = [f"{short(text, 20)} ({counts[text]:,})" for text in values]
    axes.set_yticks(range(len(values))[::-1], names)
    axes.set(ylim=(-0.6, len(values) - 0.4), xlabel="mean Dice of an image")
    axes.set_ylabel(by)
    axes.grid(axis="x", color="#EEEEEE")
    axes.set_title(f"Dice of {len(images):,} images by {by}, means with 95 % intervals")
    return page


@styled
def _along(images: pd.DataFrame, by: str) -> Picture:
    """A dot an image over a number, and the mean of each quarter with its interval."""
    page = new_picture(3.8)
    axes = page.subplots(1, 1)
    axes.plot(
        images["value"], images["dice"], "o", ms=5, color=COLOURS[4], alpha=0.55, mec="white",
        mew=0.4, label="an image",
    )  # fmt: skip
    place = pd.qcut(images["value"], 4, labels=False, duplicates="drop")
    quarters = [images[place == number] for number in sorted(place.dropna().unique())]
    means = [_mean(own) for own in quarters]
    value, low, high = np.array(means).T
    axes.errorbar(
        [own["value"].median() for own in quarters], value,
        yerr=np.nan_to_num([value - low, high - value]), fmt="D-", color=COLOURS[0], lw=1.2,
        elinewidth=2, capsize=5, ms=8, mec="white", label="mean of a quarter, 95 % interval",
    )  # fmt: skip
    axes.axhline(images["dice"].mean(), color=GREY, ls=":", lw=1.2, label="mean of all")
    axes.set(xlabel=by, ylabel="mean Dice of an image")
    axes.grid(color="#EEEEEE")
    axes.set_title(f"Dice of {len(images):,} images over {by}")
    page.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return page


@styled
def show_places(task: Task, cases: pd.DataFrame) -> Picture:
    """Where in its pictures each class lies: how many of those that have it have it there.

    A class that always lies at one place can be guessed without looking. Of many images some are
    looked at.
    """
    check_rows(cases, "show_structure", ["id", "path", task.scored.name])
    rows = cases[cases["path"].notna() & cases[task.scored.name].notna()]
    check_rows(rows, "show_structure: cases with masks")
    rows = rows.iloc[generator("show places").permutation(len(rows))[:MOST]]
    classes = task.scored.classes
    total, count = np.zeros((len(classes), SIDE, SIDE)), np.zeros(len(classes), int)
    shapes = []
    for case in track(rows.to_dict("records"), "looking at masks"):
        shape, planes = task.read_masks(case)
        shapes.append(shape[1] / shape[0])
        for k, name in enumerate(classes):
            if rle.area(planes[name]):
                mask = crop.resize_to(255 * rle.to_mask(planes[name], shape), (SIDE, SIDE))
                total[k] += mask / 255
                count[k] += 1
    shares = total / np.maximum(count, 1)[:, None, None]
    aspect = float(np.median(shapes))
    columns = len(classes) if len(classes) <= 3 else min(6 + 2 * (len(classes) > 12), len(classes))
    page, cells = grid_of(
        [aspect] * len(classes),
        columns=max(columns, 3),
        lines=2,
        title=f"Where each class lies in {len(rows):,} images: bright is where most have it",
    )
    for k, cell in enumerate(cells):
        top = shares[k].max()
        cell.imshow(
            colormaps["inferno"](shares[k] / max(1e-9, top)), aspect=1 / aspect,
            interpolation="bilinear",
        )  # fmt: skip
        cell.set_title(f"{short(classes[k], 12)}\nup to {top:.0%} of {count[k]:,}", fontsize=8)
    return page
