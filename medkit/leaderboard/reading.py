"""How answers are read, by what a contest's scores take of them: a row of `READERS` each.

A reader is made of the true answers. It turns them, and those that are handed in, into what the
scores want; parsing a file comes before it, and scoring after it: see `scoring`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.kinds import ClassAnswer
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError, DataError
from medkit.images import crops, rle
from medkit.images.rle_texts import faults, sizes_of
from medkit.leaderboard.contest import Contest
from medkit.metrics import METRICS
from medkit.submission.cells import MOST_CELL, are_runs, is_number

TWO_CLASS = ("f1_macro", "f1_binary", "f1_micro", "f1_weighted")
MANY_CLASS = ("f1_macro", "accuracy")
MOST_CLASSES = 50  # more different whole numbers than this are numbers, not classes
BINS = 10  # of numbers, to split them alike
LARGEST = 1e12  # of a number that is handed in: squares of more could overflow a score
NUMBER_BYTES = 32  # of a number as text
MASK_BYTES = 4096  # of a mask at least: a run in each of some 400 lines
MASK_CELL = 100_000  # characters that any mask may have: four runs in each of 2,048 lines
NOISE = 8  # a mask may be as many times the longest that is true
MANY_RUNS = 3  # what has fewer may be a list of labels


class Reader:
    """What all rows share.

    Attributes:
        truth: (N,) the true answers, as scores want them.
        strata: (N,) what the public rows are a like share of.
        longest: bytes of an answer that is right, or of masks, on average, of those that could be.
        most_cell: characters that a cell may have.
        names_labels: whether a contest's rules say what may be handed in.
        cell: what a cell holds, where labels do not tell it: see `Layout.answer`.
        may_be_empty: whether an answer may be an empty text.
    """

    truth: np.ndarray
    strata: np.ndarray
    longest: int
    most_cell = MOST_CELL
    names_labels = False
    cell = ""
    may_be_empty = False

    @property
    def perfect(self) -> np.ndarray:
        """(N, ...) the true answers, as if they had been handed in."""
        return self.truth

    @staticmethod
    def columns(columns: Sequence[str], ids: Sequence[str]) -> Sequence[str]:
        """Those of a table that is handed in, by those of the true answers."""
        return columns

    def problems(self, guesses: Sequence[str]) -> list[str]:
        """What is wrong with answers of a table that is right otherwise, a sentence each."""
        return []

    def lacks(self, rows: np.ndarray) -> bool:
        """Whether a part of the rows has too little of something to be scored."""
        return False


class Labels(Reader):
    """Labels: true ones and those that are handed in become numbers of classes.

    Args:
        answers: the true ones.
        named: what the contest allows, in the order of the classes; by default what there is.
    """

    names_labels = True

    def __init__(self, answers: Sequence[str], named: Sequence[str]):
        self.labels = list(named) or sorted(set(answers))
        self.truth = self._codes(answers)
        self.strata = self.truth
        self.longest = max(len(label.encode()) for label in self.labels)

    @staticmethod
    def usual(labels: Sequence[str]) -> tuple[str, ...]:
        """The scores of a contest that names none."""
        return TWO_CLASS if len(labels) == 2 else MANY_CLASS

    @staticmethod
    def check(answers: Sequence[str], metrics: Sequence[str], path: Path | str) -> None:
        """Refuse true answers that cannot be scored.

        Raises:
            DataError: naming the file.
        """
        found = sorted(set(answers))
        if not 2 <= len(found) <= max(2, (len(answers) + 1) // 2):
            raise DataError(
                f"{path}: {len(found)} different labels {found[:5]} (expected at least 2, and "
                "several rows of each). Make it with "
                "mk.leaderboard.write_answers(task, cases, path)."
            )

    def _codes(self, answers: Sequence[str]) -> np.ndarray:
        return ClassAnswer("answers", self.labels).truth(pd.Series(answers, dtype=object))

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        """(N,) answers that were handed in, as scores want them beside the truth."""
        return self._codes(guesses)

    def lacks(self, rows: np.ndarray) -> bool:
        return len(np.unique(self.truth[rows])) < len(np.unique(self.truth))

    def units(
        self, scored: Head, ids: Sequence[str], guesses: np.ndarray, rows: np.ndarray
    ) -> dict[str, Any]:
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
            raise DataError(f"{path}: {metrics[0]} needs 2 labels (found {found[:5]}).")

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        return np.array(guesses, float)

    def problems(self, guesses: Sequence[str]) -> list[str]:
        wrong = [text for text in guesses if not 0 <= float(text) <= 1]
        if not wrong:
            return []
        return [f"{len(wrong)} answers are no probabilities (0 to 1), e.g. {wrong[:3]}."]


class Numbers(Reader):
    """Numbers, as they are: text is read as Python reads it, to the bit, whatever pandas there is.

    Args:
        answers: the true ones.
    """

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
            raise DataError(
                f"{path}: {len(odd)} of {len(answers)} answers are no numbers, e.g. {odd[0]!r}, "
                "and the contest scores numbers. Correct them, or name other metrics."
            )

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        return np.array(guesses, float)

    def problems(self, guesses: Sequence[str]) -> list[str]:
        wrong = [text for text in guesses if abs(float(text)) > self.largest]
        return [f"{len(wrong)} answers are beyond all measure, e.g. {wrong[:3]}."] if wrong else []

    def units(
        self, scored: Head, ids: Sequence[str], guesses: np.ndarray, rows: np.ndarray
    ) -> dict[str, Any]:
        return {"y_true": self.truth[rows], scored.name: guesses[rows]}


class Areas(Reader):
    """Masks as runs: areas in pixels, and how many of these are true. An empty text is no pixel.

    Whether texts are runs of their pictures is seen before, as everywhere: see `submission.cells`.

    Args:
        answers: the true ones.
    """

    cell = "runs"
    may_be_empty = True

    def __init__(self, answers: Sequence[str], named: Sequence[str] = ()):
        self._answers = list(answers)
        self.truth = self._areas([""] * len(self._answers))[0]
        self.strata = np.zeros(len(self._answers), int)
        lengths = [len(text) for text in self._answers]
        self.longest = max(MASK_BYTES, 2 * sum(lengths) // max(1, len(lengths)))
        self.most_cell = max(MASK_CELL, NOISE * max(lengths, default=0))

    @property
    def perfect(self) -> np.ndarray:
        return np.stack([self.truth, self.truth], 1)

    @staticmethod
    def usual(labels: Sequence[str]) -> tuple[str, ...]:
        return ("dice", "iou")

    @staticmethod
    def columns(columns: Sequence[str], ids: Sequence[str]) -> Sequence[str]:
        """With a class, where each id names an image and one of its classes."""
        is_named = all("," in name for name in ids)
        return [columns[0], "class", columns[1]] if is_named else columns

    @staticmethod
    def check(answers: Sequence[str], metrics: Sequence[str], path: Path | str) -> None:
        wrong = faults(answers, sizes_of(None, len(answers), "answers"), 0)
        if wrong:
            first, fault = next(iter(wrong.items()))
            raise DataError(
                f"{path}: {len(wrong)} of {len(answers)} answers are no runs of a mask, e.g. "
                f"answer {first + 1}: {fault}"
            )

    def read(self, guesses: Sequence[str]) -> np.ndarray:
        return np.stack(self._areas(guesses)[1:], 1)

    def units(
        self, scored: Head, ids: Sequence[str], guesses: np.ndarray, rows: np.ndarray
    ) -> dict[str, Any]:
        """At every cut the same, since what is handed in was cut already."""
        names = [_class_of(scored, ids[row]) for row in np.flatnonzero(rows)]
        told = {"class": names, "y_true": self.truth[rows].astype(float)}
        for name, values in zip(("area", "overlap"), guesses[rows].T):
            told[name] = list(np.broadcast_to(values[:, None], (len(values), crops.LEVELS)))
        return told

    def _areas(self, guesses: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """True areas, those handed in, and what they share; wherever the first pixel counts."""
        return rle.overlaps(self._answers, guesses, None, base=0)


READERS = {"numbers": Numbers, "areas": Areas, "probabilities": Probabilities, "labels": Labels}


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
    if _are_masks(labels):
        return "areas"
    return "numbers" if _are_measurements(labels) else "labels"


def read_truth(
    contest: Contest, task: Task | None, ids: Sequence[str], answers: Sequence[str], path: str
) -> Reader:
    """The reader of a contest with its true answers.

    Raises:
        ConfigError, DataError: they cannot be scored by the contest's rules.
    """
    reader = READERS[taken(contest.metrics, task, contest.labels)]
    empty = [name for name, text in zip(ids, answers) if not (text or reader.may_be_empty)]
    if empty:
        raise DataError(f"{path}: {len(empty)} ids have an empty cell, e.g. {empty[:3]}.")
    reader.check(answers, contest.metrics, path)
    kinds = {METRICS[name].kind for name in contest.metrics} - {"labels"}
    if len(kinds) > 1 or (kinds and contest.labels):
        raise ConfigError(f"contest: metrics {list(contest.metrics)} want different answers.")
    strange = [label for label in answers if contest.labels and label not in contest.labels]
    if strange:
        raise DataError(f"{path}: label {strange[0]!r} is none of {list(contest.labels)}.")
    return reader(answers, contest.labels)


def _class_of(scored: Head, id: str) -> str:
    """The class that a row's id names after its image's; of a single one none is named."""
    names = [name for name in scored.classes if id.endswith(f",{name}")]
    names += list(scored.classes) * (len(scored.classes) == 1)
    if not names:
        raise DataError(f"row {id!r} names none of the classes {', '.join(scored.classes)}")
    return max(names, key=len)


def _are_masks(labels: Sequence[str]) -> bool:
    """Whether labels are all runs, some of several."""
    is_long = any(text.count(" ") >= 2 * MANY_RUNS - 1 for text in labels)
    sizes = sizes_of(None, len(labels), "answers")
    return is_long and are_runs(labels) and not faults(labels, sizes, 0)


def _are_measurements(labels: Sequence[str]) -> bool:
    """Whether labels are all numbers, some not whole or very many."""
    try:
        values = [float(label) for label in set(labels)]
    except ValueError:
        return False
    return len(values) > MOST_CLASSES or any(not value.is_integer() for value in values)
