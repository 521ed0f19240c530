"""Units of masks: an image's classes one by one, as areas in pixels, before anything is scored.

From these integers come Dice, intervals, comparisons and thresholds by plain arithmetic. What was
predicted and what is true of an image is counted once and remembered.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.kinds import MASKS, Threshold
from medkit.datasets.task_data import TaskData
from medkit.datasets.units import class_scores, guesses, judged
from medkit.errors import ConfigError, DataError
from medkit.images import crops, decode, rle
from medkit.metrics import METRICS

COLUMNS = ("id", "group", "seen", "class", "y_true", "area", "overlap")


class _Kept:
    """Lists that were made last, by key; the oldest is forgotten first.

    Args:
        most: items of all lists together.
    """

    def __init__(self, most: int):
        self.most, self.size = most, 0
        self._kept: OrderedDict[tuple, list[Any]] = OrderedDict()

    def get(self, key: tuple, make: Callable[[], list[Any]]) -> list[Any]:
        found = self._kept.pop(key, None)
        if found is None:
            found = make()
            self.size += len(found)
        self._kept[key] = found  # the newest is last
        while self.size > self.most and len(self._kept) > 1:
            self.size -= len(self._kept.popitem(last=False)[1])
        return found


_truths = _Kept(32_768)  # runs of classes of images, about 5 KB each
_counts = _Kept(65_536)  # counts of such, 2 KB each


def mask_units(
    task: TaskData, cases: pd.DataFrame, predictions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A unit a class of an image: "image.png,finger-1".

    `y_true` is the true area in pixels; `area` and `overlap` are (256,) int32: how many pixels
    reach each cut, and how many of these are true. They are missing without a label, as is all
    without a prediction.
    """
    tables.check_columns(f"{task.name}: cases", cases, ["id", "path", "group"])
    files = {} if predictions is None else tables.files_of(predictions)
    rows = [row for case in cases.to_dict("records") for row in _units_of(task, case, files)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def mask_scores(
    task: TaskData, units: pd.DataFrame, threshold: Threshold = 0.5
) -> dict[str, float]:
    """The usual scores, means over images and classes, and of several classes the Dice of each."""
    units = judged(task, units)
    scores = class_scores(task, units, threshold)
    if len(task.scored.classes) > 1:
        areas, found = units["y_true"].to_numpy(float), guesses(task, units, threshold, "dice")
        for name in task.scored.classes:
            rows = (units["class"] == name).to_numpy()
            if rows.any():
                scores[f"{name}_dice"] = METRICS["dice"](areas[rows], found[rows])
    return scores


def mask_table(
    task: TaskData, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`id, class, rle`: a row for each class of each image, in the order of cases and classes.

    An empty mask is an empty text. A table with one key column has no `class`.

    Raises:
        DataError: naming cases without a prediction.
    """
    tables.match(cases, predictions)
    files, layout = tables.files_of(predictions), task.layout
    cuts = [crops.cut_of(of) for of in task.scored.answer.thresholds(threshold)]
    rows = []
    for id in cases["id"]:
        found = _crops(task, id, *files[id])
        for name, cut in zip(task.scored.classes, cuts):
            text = ""
            if found is not None:
                runs = found.runs(name, cut, order=layout.order)
                text = rle.to_text(runs, base=layout.base)
            rows.append((id, name, text))
    return _with_keys(task, rows)


def true_table(task: TaskData, cases: pd.DataFrame) -> pd.DataFrame:
    """`id`, by which a row of what is handed in is known, and the runs of each true mask, `rle`.

    Raises:
        DataError: naming cases without masks.
    """
    unknown = list(cases["id"][cases[MASKS].isna()]) if MASKS in cases else list(cases["id"])
    if unknown:
        raise DataError(
            f"write_answers: {len(unknown)} of {len(cases)} have no masks, e.g. {unknown[:3]}. Use "
            "a split whose masks are known."
        )
    rows, layout = [], task.layout
    for case in cases.to_dict("records"):
        shape, planes = task.read_masks(case)
        for name in task.scored.classes:
            runs = planes[name]
            if layout.order == "F":
                runs = rle.runs_of(rle.to_mask(runs, shape), order="F")
            rows.append((case["id"], name, rle.to_text(runs, base=layout.base)))
    table = _with_keys(task, rows)
    keys = table.iloc[:, : layout.key_columns].agg(",".join, axis=1)
    names = ["id", "rle"]
    if layout.key_columns == 1:  # as the table that is handed in calls them
        blank = pd.DataFrame({"id": cases["id"], "file": None})
        handed_in = task.submission_table(cases, blank)
        names = [handed_in.columns[0], handed_in.columns[-1]]
    return pd.DataFrame(dict(zip(names, (keys, table["rle"]))))


def picture_sizes(cases: pd.DataFrame) -> dict[str, list[int]]:
    """Height and width of each picture, by id."""
    seen = cases[cases["path"].notna()]
    return {id: list(decode.size(path)[::-1]) for id, path in zip(seen["id"], seen["path"])}


def _units_of(
    task: TaskData, case: dict[str, Any], predictions: Mapping[str, Any]
) -> Iterator[tuple]:
    """The rows of one image."""
    id, is_seen = case["id"], isinstance(case["path"], (str, os.PathLike))
    counted = [(np.nan, None, None)] * len(task.scored.classes)
    if is_seen and isinstance(case.get(MASKS), str):
        file, sha = predictions.get(id, (None, None))
        counted = _counted(task, case, file, sha, is_predicted=id in predictions)
    for name, counts in zip(task.scored.classes, counted):
        yield (f"{id},{name}", case["group"], is_seen, name, *counts)


def _counted(
    task: TaskData, case: dict[str, Any], file: Any, sha: str | None, *, is_predicted: bool
) -> list[tuple]:
    """Of each class of a labelled image the true area, and areas and overlaps if predicted.

    Args:
        file: of its crops, or these themselves, which are not remembered.
        sha: of the file as it was predicted.
    """
    reader = task.own.get("read_masks"), repr(task.mask_files), task.layout, task.scored.classes
    label = (case["id"], case["path"], case[MASKS], case.get("masks_sha"), *reader)

    def count() -> list[tuple]:
        truth = _truths.get(label, lambda: list(_truth(task, case)))
        return list(_count(task, case, file, sha, truth, is_predicted=is_predicted))

    if isinstance(file, crops.Crops):
        return count()
    return _counts.get((*label, is_predicted, file, sha, _stamp(file)), count)


def _truth(task: TaskData, case: dict[str, Any]) -> Iterator[Any]:
    """The size of a picture, then the runs of each class."""
    shape, planes = task.read_masks(case)
    yield shape
    yield from (planes[name] for name in task.scored.classes)


def _count(
    task: TaskData,
    case: dict[str, Any],
    file: Any,
    sha: str | None,
    truth: list[Any],
    *,
    is_predicted: bool,
) -> Iterator[tuple]:
    shape, *planes = truth
    found = _crops(task, case["id"], file, sha) if is_predicted else None
    if found is not None and found.size != shape:
        raise DataError(
            f"{file}: masks of a picture of {found.size[1]} x {found.size[0]} pixels (expected "
            f"{shape[1]} x {shape[0]}, as {case['path']} has). Predict again."
        )
    nothing = crops.Crops(case["id"], shape, shape, task.scored.classes)
    for name, runs in zip(task.scored.classes, planes):
        counts: tuple = (None, None)
        if is_predicted:
            counts = tuple(c.astype(np.int32) for c in (found or nothing).counts(name, runs))
        yield (float(rle.area(runs)), *counts)


def _crops(task: TaskData, id: str, file: Any, sha: str | None) -> crops.Crops | None:
    """What was predicted of an image; None where it could not be looked at."""
    if isinstance(file, crops.Crops):
        return file
    if not isinstance(file, str):
        return None
    return crops.read(file, id=id, classes=task.scored.classes, sha=sha)


def _stamp(file: str | None) -> tuple[int, int] | None:
    """What changes with a file that is written anew."""
    try:
        stat = os.stat(file) if isinstance(file, str) else None
    except FileNotFoundError:
        return None  # told when it is read
    return stat and (stat.st_mtime_ns, stat.st_size)


def _with_keys(task: TaskData, rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Rows of id, class and runs as a table; without the class where the contest names none.

    Raises:
        ConfigError: where it would have to.
    """
    table = pd.DataFrame(rows, columns=["id", "class", "rle"])
    if task.layout.key_columns == 2:
        return table
    if task.layout.key_columns != 1 or len(task.scored.classes) > 1:
        raise ConfigError(
            f"{task.name}: key_columns={task.layout.key_columns} with "
            f"{len(task.scored.classes)} classes of masks (expected 2: image and class). Write "
            "layout=mk.Layout(key_columns=2, answer='runs'), or a submission_table of your own."
        )
    return table.drop(columns="class")
