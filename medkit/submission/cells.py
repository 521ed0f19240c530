"""What a cell of an answer may hold: a row of `CHECKS` each, told by the JSON beside a CSV.

Its key `labels`, the same in every version, lists what a cell may hold; [] means any number, and
null a table of the task's own that holds something else, such as probabilities.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

import pandas as pd

from medkit.datasets.task import Task

NAMED = 3  # examples in a message


class LabelCell:
    """One of the labels."""

    note = ""  # what a person is told of a good table

    def problems(self, cells: Sequence[str], labels: Sequence[str]) -> list[str]:
        """What is wrong with cells that are not empty, a sentence each."""
        known = set(labels)
        wrong = [text for text in cells if text not in known]
        if not wrong:
            return []
        examples = sorted(set(wrong))[:NAMED]
        return [f"{len(wrong)} labels are none of {', '.join(labels)}, e.g. {examples}."]


class NumberCell:
    """Any number that is finite."""

    note = ""

    def problems(self, cells: Sequence[str], labels: Sequence[str]) -> list[str]:
        wrong = [text for text in cells if not is_number(text)]
        return [f"{len(wrong)} answers are no numbers, e.g. {wrong[:NAMED]}."] if wrong else []


class OwnCell:
    """What the task alone knows."""

    note = "What it answers could not be checked: the table is the task's own."

    def problems(self, cells: Sequence[str], labels: Sequence[str]) -> list[str]:
        return []


CHECKS = {"label": LabelCell(), "number": NumberCell(), "own": OwnCell()}


def labels_of(task: Task, table: pd.DataFrame) -> list[Any] | None:
    """What stands as `labels` beside a table that is handed in."""
    labels = list(task.submission_labels)
    own = "submission_table" in task.own
    known = set(table.iloc[:, -1].astype(str)) <= {str(label) for label in labels}
    return None if own and not known else labels


def held(expected: Mapping[str, Any]) -> str:
    """What the cells of a table hold, by what stands beside it: a row of `CHECKS`."""
    if expected["labels"] is None:
        return "own"
    return "label" if expected["labels"] else "number"


def wrong_cells(cells: Sequence[str], expected: Mapping[str, Any]) -> list[str]:
    """What is wrong with answers, a sentence each; empty cells are told elsewhere."""
    labels = [str(label) for label in expected["labels"] or ()]
    return CHECKS[held(expected)].problems([text for text in cells if text.strip()], labels)


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
