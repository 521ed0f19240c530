"""How answers are read, by what a contest's scores take of them: a row of `READERS` each.

A reader is made of the true answers. It turns them, and those that are handed in, into what the
scores want; parsing a file comes before it, and scoring after it: see `scoring`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence, Union

import numpy as np
import pandas as pd

from medkit.datasets.kinds import ClassAnswer
from medkit.datasets.task import Head, Task
from medkit.leaderboard.contest import Contest
from medkit.metrics import METRICS
from medkit.submission.cells import is_number

TWO_CLASS = ("f1_macro", "f1_binary", "f1_micro", "f1_weighted")
MANY_CLASS = ("f1_macro", "accuracy")
MOST_CLASSES = 50  # more different whole numbers than this are numbers, not classes
BINS = 10  # of numbers, to split them alike
LARGEST = 1e12  # of a number that is handed in: squares of more could overflow a score
NUMBER_BYTES = 32  # of a number as text


class Labels:
    """Labels: true ones and those that are handed in become numbers of classes.

    Args:
        answers: the true ones.
        named: what the contest allows, in the order of the classes; by default what there is.
    """

    names_labels = True  # whether a contest's rules say what may be handed in

    def __init__(self, answers: Sequence[str], named: Sequence[str]):
        self.labels = list(named) or sorted(set(answers))
        self.truth = self._codes(answers)
        self.strata = self.truth  # what the public rows are a like share of
        self.longest = max(len(label.encode()) for label in self.labels)  # bytes of an answer

    @staticmethod
    def usual(labels: Sequence[str]) -> tuple[str, ...]:
        """The scores of a contest that names none."""
        return TWO_CLASS if len(labels) == 2 else MANY_CLASS

    @staticmethod
    def check(answers: Sequence[str], metrics: Sequence[str], path: Path | str) -> None:
        """Refuse true answers that cannot be scored.

        Raises:
            ValueError: naming the file.
        """
        found = sorted(set(answers))
        if not 2 <= len(found) <= max(2, (len(answers) + 1) // 2):
            raise ValueError(
                f"{path}: {len(found)} different labels {found[:5]} (expected at least 2, and "
                "several rows of each). Make it with medkit.write_answers(task, cases, path)."
            )

    def _codes(self, answers: Sequence[str]) -> np.ndarray:
        return ClassAnswer("answers", self.labels).truth(pd.Series(answers, dtype=object))

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        """(N,) answers that were handed in, as scores want them beside the truth."""
        return self._codes(guesses)

    def problems(self, guesses: Sequence[str]) -> list[str]:
        """What is wrong with answers of a table that is right otherwise, a sentence each."""
        return []

    def lacks(self, rows: np.ndarray) -> bool:
        """Whether a part of the rows has too little of something to be scored."""
        return len(np.unique(self.truth[rows])) < len(np.unique(self.truth))

    def units(self, scored: Head, guesses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        """Columns of units for a task's own score: the truth, and what was handed in."""
        told: dict[str, Any] = {"y_true": [scored.columns[code] for code in self.truth[rows]]}
        for code, name in zip(range(len(self.labels)), scored.columns):
            told[name] = (guesses[rows] == code).astype(float)
        return told


class Probabilities(Labels):
    """Labels of which the probability of the second is handed in."""

    names_labels = False

    def __init__(self, answers: Sequence[str], named: Sequence[str]):
        super().__init__(answers, named)
        self.longest = NUMBER_BYTES

    @staticmethod
    def usual(labels: Sequence[str]) -> tuple[str, ...]:
        return ("auc",)

    @staticmethod
    def check(answers: Sequence[str], metrics: Sequence[str], path: Path | str) -> None:
        Labels.check(answers, metrics, path)
        found = sorted(set(answers))
        is_ranked = any(METRICS[name].kind == "probabilities" for name in metrics)
        if is_ranked and len(found) != 2:
            raise ValueError(f"{path}: {metrics[0]} needs 2 labels (found {found[:5]}).")

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        return np.array(guesses, float)

    def problems(self, guesses: Sequence[str]) -> list[str]:
        wrong = [text for text in guesses if not 0 <= float(text) <= 1]
        if not wrong:
            return []
        return [f"{len(wrong)} answers are no probabilities (0 to 1), e.g. {wrong[:3]}."]


class Numbers:
    """Numbers, as they are: text is read as Python reads it, to the bit, whatever pandas there is.

    Args:
        answers: the true ones.
    """

    names_labels = False

    def __init__(self, answers: Sequence[str], named: Sequence[str] = ()):
        self.truth = self.read(answers)
        ranks = np.argsort(np.argsort(self.truth, kind="stable"), kind="stable")
        self.strata = ranks * max(1, min(BINS, len(ranks) // 4)) // max(1, len(ranks))
        self.longest = NUMBER_BYTES
        self.largest = max(LARGEST, 10 * float(np.abs(self.truth).max(initial=0)))

    @staticmethod
    def usual(labels: Sequence[str]) -> tuple[str, ...]:
        return ("mae", "rmse")

    @staticmethod
    def check(answers: Sequence[str], metrics: Sequence[str], path: Path | str) -> None:
        odd = [text for text in answers if not is_number(text)]
        if odd:
            raise ValueError(
                f"{path}: {len(odd)} of {len(answers)} answers are no numbers, e.g. {odd[0]!r}, "
                "and the contest scores numbers. Correct them, or name other metrics."
            )

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        return np.array(guesses, float)

    def problems(self, guesses: Sequence[str]) -> list[str]:
        wrong = [text for text in guesses if abs(float(text)) > self.largest]
        return [f"{len(wrong)} answers are beyond all measure, e.g. {wrong[:3]}."] if wrong else []

    def lacks(self, rows: np.ndarray) -> bool:
        return False

    def units(self, scored: Head, guesses: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        return {"y_true": self.truth[rows], scored.name: guesses[rows]}


READERS = {"numbers": Numbers, "probabilities": Probabilities, "labels": Labels}
Reader = Union[Numbers, Probabilities, Labels]


def taken(metrics: Sequence[str], task: Task | None, labels: Sequence[str]) -> str:
    """What a contest's scores take of an answer: a row of `READERS`.

    Scores of labels judge numbers and probabilities as well, so the first row that any score takes
    counts; and a contest that allows no labels is handed in numbers of some kind.
    """
    kinds = {METRICS[name].kind for name in metrics if name in METRICS}
    kinds |= {likely(task, labels)} if not kinds else set()
    kinds |= {"probabilities"} if not labels else set()
    return next(name for name in READERS if name in kinds)


def likely(task: Task | None, labels: Sequence[str]) -> str:
    """What answers are when no score says it, by the task or by their looks."""
    if task is not None:
        return task.scored.answer.takes[0]
    return "numbers" if _are_measurements(labels) else "labels"


def read_truth(contest: Contest, task: Task | None, answers: Sequence[str], path: str) -> Reader:
    """The reader of a contest with its true answers.

    Raises:
        ValueError: they cannot be scored by the contest's rules.
    """
    reader = READERS[taken(contest.metrics, task, contest.labels)]
    reader.check(answers, contest.metrics, path)
    kinds = {METRICS[name].kind for name in contest.metrics} - {"labels"}
    if len(kinds) > 1 or (kinds and contest.labels):
        raise ValueError(f"contest: metrics {list(contest.metrics)} want different answers.")
    strange = [label for label in answers if contest.labels and label not in contest.labels]
    if strange:
        raise ValueError(f"{path}: label {strange[0]!r} is none of {list(contest.labels)}.")
    return reader(answers, contest.labels)


def _are_measurements(labels: Sequence[str]) -> bool:
    """Whether labels are all numbers, some not whole or very many."""
    try:
        values = [float(label) for label in set(labels)]
    except ValueError:
        return False
    return len(values) > MOST_CLASSES or any(not value.is_integer() for value in values)
