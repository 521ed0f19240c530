"""The usual figure of mistakes, a grid of cases, and the usual table of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import chosen, judged, truth, values
from medkit.errors import DataError
from medkit.show.canvas import Picture, check_rows, grid_of, short, styled, whole_of
from medkit.show.kinds import SHOWN
from medkit.show.pictures import case_picture, draw_case
from medkit.tables import PARTS


@styled
def show_grid(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    n: int = 8,
    order: str = "errors first",
) -> Picture:
    """Pictures with prediction and truth above them."""
    check_rows(cases, "show_mistakes", ["id", "path"])
    head, noun = task.scored, task.nouns[1]
    shown, units = SHOWN[head.kind](head), judged(task, task.to_units(cases, predictions))
    answers = truth(task, units), values(task, units), chosen(task, units, threshold)
    rows, count = np.arange(len(units)), min(n, len(units))
    title = f"{count:,} of {len(units):,} {noun}"
    if order == "errors first":
        rows = np.argsort(-shown.off(*answers), kind="stable")
        title = shown.count(count, *answers, noun)
    rows = rows[:n]
    names = units["id"].iloc[rows]
    told = shown.told(*(answer[rows] for answer in answers))
    seen = [_pictured(task, cases, name) for name in names]
    pictures = [case_picture(case) for case in seen]
    shapes = [image.shape[1] / image.shape[0] for image, _ in pictures]
    page, cells = grid_of(shapes, columns=4, title=title)
    for cell, case, picture, name, words in zip(cells, seen, pictures, names, told):
        draw_case(cell, task, head, case, picture)
        cell.set_title(f"{short(name)}\n{words}", fontsize=9)
    return page


def _pictured(task: Task, cases: pd.DataFrame, name: str) -> pd.Series:
    """The case that a unit is; where it is a picture of which cases are parts, all of that."""
    own = cases[cases["id"] == name]
    if len(own):
        return own.iloc[0]
    parts = cases[whole_of(task, cases) == name]
    if parts.empty:
        raise DataError(
            f"show_mistakes: unit {name!r} is no case, and no picture of which cases are parts. "
            "Say which column names those: mk.Task(..., whole=...)."
        )
    return parts.iloc[0].drop([part for part in PARTS if part in parts])


def answer_table(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """What is scored, by class, or by quarters of a number."""
    head, units = task.scored, judged(task, task.to_units(cases, predictions))
    return SHOWN[head.kind](head).table(truth(task, units), chosen(task, units, threshold))
