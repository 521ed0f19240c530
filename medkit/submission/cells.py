"""What a cell of an answer may hold: a row of `CHECKS` each, told by the JSON beside a CSV.

Its `layout` says whether cells hold runs of masks (`answer` is "runs"); its `sizes` are then height
and width of each picture, by id. All else is told by its key `labels`, the same in every version,
which lists what a cell may hold; [] means any number, and null something that labels cannot tell:
runs, or a table of the task's own, such as probabilities.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.mask_units import picture_sizes
from medkit.datasets.task import Layout, Task
from medkit.images.rle_texts import KNOWN, MOST, faults
from medkit.submission.parsing import ANY_LENGTH

NAMED = 3  # examples in a message
MOST_CELL = 200  # characters of a label or a number


class Cell:
    """What all rows share.

    Attributes:
        note: what a person is told of a good table.
        checked: what of it was checked, in a word.
        may_be_empty: whether an empty cell is an answer.
        most_cell: characters that a cell of a table may have.
    """

    note = ""
    checked = "labels"
    may_be_empty = False
    most_cell = ANY_LENGTH

    def problems(
        self, cells: Sequence[str], keys: Sequence[str], expected: Mapping[str, Any]
    ) -> list[str]:
        """What is wrong with cells that are not empty, a sentence each; keys name their rows."""
        return []

    def alike(self, text: str) -> str:
        """What a table says in which all cells are this one."""
        return f"every row has the label {text!r}"

    def odd(self, keys: Sequence[str], cells: Sequence[str]) -> str:
        """What is worth a word of a table that is as it must be."""
        return ""

    def facts(self, cases: pd.DataFrame) -> dict[str, Any]:
        """What stands in the JSON for such cells alone."""
        return {}

    def with_facts(self, answers: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
        """The table of true answers with what a leaderboard needs to check others."""
        return answers


class LabelCell(Cell):
    """One of the labels."""

    most_cell = MOST_CELL

    def problems(
        self, cells: Sequence[str], keys: Sequence[str], expected: Mapping[str, Any]
    ) -> list[str]:
        labels = [str(label) for label in expected["labels"]]
        known = set(labels)
        wrong = [text for text in cells if text not in known]
        if not wrong:
            return []
        examples = sorted(set(wrong))[:NAMED]
        return [f"{len(wrong)} labels are none of {', '.join(labels)}, e.g. {examples}."]


class NumberCell(Cell):
    """Any number that is finite."""

    most_cell = MOST_CELL

    def problems(
        self, cells: Sequence[str], keys: Sequence[str], expected: Mapping[str, Any]
    ) -> list[str]:
        wrong = [text for text in cells if not is_number(text)]
        return [f"{len(wrong)} answers are no numbers, e.g. {wrong[:NAMED]}."] if wrong else []


class RunCell(Cell):
    """Runs of a mask, see `images.rle`; an empty cell is an empty mask."""

    checked = "masks"
    may_be_empty = True

    def problems(
        self, cells: Sequence[str], keys: Sequence[str], expected: Mapping[str, Any]
    ) -> list[str]:
        sizes = pixels_of(keys, expected.get("sizes", {}))
        wrong = faults(cells, sizes, expected.get("layout", {}).get("base", 0))
        if not wrong:
            return []
        first, fault = next(iter(wrong.items()))
        return [f"{len(wrong)} masks are no runs of their pictures, e.g. {keys[first]!r}: {fault}"]

    def alike(self, text: str) -> str:
        return "every mask is the same" if text.strip() else "every mask is empty"

    def odd(self, keys: Sequence[str], cells: Sequence[str]) -> str:
        there = {key.rpartition(",")[2] for key, text in zip(keys, cells) if text.strip()}
        empty = [n for n in dict.fromkeys(key.rpartition(",")[2] for key in keys) if n not in there]
        if not empty or not all("," in key for key in keys):
            return ""
        return f"Careful: every mask of {', '.join(map(repr, empty[:NAMED]))} is empty."

    def facts(self, cases: pd.DataFrame) -> dict[str, Any]:
        return {"sizes": picture_sizes(cases)}

    def with_facts(self, answers: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
        return answers.assign(pixels=pixels_of(list(answers.iloc[:, 0]), picture_sizes(cases)))


class OwnCell(Cell):
    """What the task alone knows."""

    note = "What it answers could not be checked: the table is the task's own."
    checked = ""


CHECKS = {"label": LabelCell(), "number": NumberCell(), "runs": RunCell(), "own": OwnCell()}


def labels_of(task: Task, table: pd.DataFrame) -> list[Any] | None:
    """What stands as `labels` beside a table that is handed in."""
    labels = list(task.submission_labels)
    own = "submission_table" in task.own
    known = set(table.iloc[:, -1].astype(str)) <= {str(label) for label in labels}
    return None if task.layout.answer or (own and not known) else labels


def row_of(layout: Layout) -> Cell:
    """The row of `CHECKS` that knows what a layout needs beside its table."""
    return CHECKS[layout.answer or "own"]


def kind_of_cells(expected: Mapping[str, Any] | None, cells: Sequence[str] = ()) -> str:
    """What the cells of a table hold, by what stands beside it: a row of `CHECKS`.

    Where nothing does, by their looks.
    """
    if expected is None:
        return "runs" if are_runs(cells) else "own"
    answer = expected.get("layout", {}).get("answer")
    if answer or expected["labels"] is None:
        return answer or "own"
    return "label" if expected["labels"] else "number"


def wrong_cells(
    cells: Sequence[str], expected: Mapping[str, Any] | None, keys: Sequence[str] = ()
) -> list[str]:
    """What is wrong with answers, a sentence each; empty cells are told elsewhere.

    Args:
        keys: what names the row of each cell; by default its number.
    """
    keys = keys or [f"row {k}" for k in range(1, len(cells) + 1)]
    some = [(text, key) for text, key in zip(cells, keys) if text.strip()]
    texts, keys = [text for text, _ in some], [key for _, key in some]
    return CHECKS[kind_of_cells(expected, texts)].problems(texts, keys, expected or {})


def are_runs(cells: Sequence[str]) -> bool:
    """Whether cells look like runs, some of them perhaps empty."""
    is_several = any(" " in text.strip() for text in cells)
    return is_several and not "".join(cells).encode().translate(None, KNOWN)


def pixels_of(keys: Sequence[str], sizes: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Pixels of the picture that each row is of, by its key or how that begins: (N,) int64.

    They are `MOST` where nobody knows.
    """
    known = {name: math.prod(size) for name, size in sizes.items()}
    return np.array([known.get(_begin(key, known), MOST) for key in keys], np.int64)


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _begin(key: str, known: Mapping[str, int]) -> str:
    """A key without its last cells, until it is known."""
    while key not in known and "," in key:
        key = key.rpartition(",")[0]
    return key
