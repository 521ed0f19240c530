"""What all kinds of answers share in figures: each row of `show.kinds.SHOWN` begins with this."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medkit.datasets.task import Head, Task
from medkit.show.canvas import UNLABELLED, short


class Shown:
    """A head in figures.

    Attributes:
        beside: the figure of answers beside the truth.
        figures: those that only some kinds have; `check_suits` refuses others.
        row: of `structure.FIGURES`, for tasks that name none.
        height: of a panel of `show_balance`, in inches.
        has_legend: whether pictures need a legend.
        in_mixture: what is drawn on a mixed picture, in words.
    """

    beside: str
    figures: tuple[str, ...]
    row = ""
    height = 3.2
    has_legend = False
    in_mixture = ""

    def __init__(self, head: Head):
        self.name, self.answer = head.name, head.answer

    def labels(self, task: Task, cases: pd.DataFrame) -> pd.Series:
        """What `balance`, `groups`, `folds` and `parts` take, a row a case."""
        return cases[self.name]

    def word(self, label: Any) -> str:
        """A label as it stands beside a picture."""
        return UNLABELLED if pd.isna(label) else str(label)

    def told_of(self, task: Task, case: pd.Series) -> str:
        """What stands beside a case's picture."""
        return self.word(case.get(self.name))

    def overlay(self, cell: Axes, task: Task, case: pd.Series, shape: tuple[int, int]) -> None:
        """Draw on a case's picture, of this height and width, what its label says of its pixels."""

    def legend(self, page: Figure) -> None:
        """Say at the foot of a page what the colours on its pictures mean."""

    def words_of(self, labels: np.ndarray) -> list[str]:
        """Labels as a model is given them, in words."""
        known = [None if np.isnan(value) else self.answer.label(value) for value in labels]
        return [short(self.word(label), 14) for label in known]

    @staticmethod
    def mixed(own: str, other: str, share: float) -> str:
        """The words of a picture, and those of another that is mixed in, by their shares."""
        return own if own == other else f"{share:.2f} {own} + {1 - share:.2f} {other}"

    def overlay_learnt(self, cell: Axes, label: np.ndarray) -> None:
        """Draw on a picture what a model is told of its pixels."""

    def bright(self, name: str) -> str:
        """What is bright where a model is explained, and what stands above each picture."""
        return f"Bright: what spoke for {name}. Above each picture: the prediction of {name}."

    def foretold_by(self, name: str) -> str:
        """The column of predictions that says something of a class or number."""
        return name

    def foretold(self, name: str, value: Any) -> str:
        """What stands above a picture, of the value in that column."""
        return f"{short(name, 14)} {value:.4g}"

    def noun(self, task: Task) -> str:
        """What is counted where probabilities are compared with what is so."""
        return task.nouns[1]


def quarters(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) in which quarter of all each number lies, and (quarters, 2) the ends of these."""
    if not len(values):
        return np.zeros(0, int), np.zeros((0, 2))
    ends = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    low, high = (ends[:-1], ends[1:]) if len(ends) > 1 else (ends, ends)
    return np.searchsorted(high, values), np.stack([low, high], axis=1)
