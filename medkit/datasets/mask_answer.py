"""The kinds of answers that are masks, as far as tables go."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.answer import Answer, Threshold
from medkit.errors import ConfigError, DataError
from medkit.images import crops, rle

MASKS = "masks"  # the column of cases that says where masks lie
MOST_MASKS = 100  # classes of a head of masks


class MaskAnswer(Answer):
    """Masks of classes that may overlap, each pixel by pixel.

    A label is the file in which they lie, a prediction that of their crops (`images.crops`). A unit
    is a class of an image: its true area in pixels, and for all 256 cuts the area that reaches the
    cut and how much of that is true. A threshold picks one; all scores follow from such integers.
    """

    has_classes, is_probability = True, False
    takes = ("areas",)
    columns, beside, lies_in = ("file",), ("file_sha",), "files"
    unit_columns = ("class", "area", "overlap")
    labels = ()
    usual = shown = ("dice", "iou")
    compared_by = "dice"
    layout = {"key_columns": 2, "answer": "runs"}
    least = 0.0  # of a threshold
    prior = 0.02  # of a pixel being in a mask, before anything is learnt

    def __init__(self, name: str, classes: Sequence[str]):
        super().__init__(name, classes)
        self.classes = tuple(classes)
        self.words = "masks" if len(classes) == 1 else f"masks of {len(classes)} classes"
        if name != MASKS:
            raise ConfigError(
                f"head {name!r}: a head of masks bears the name of the column that says where they "
                f"lie (expected {MASKS!r}). Write mk.Head({MASKS!r}, classes, kind='masks')."
            )
        doubled = sorted({c for c in classes if classes.count(c) > 1})
        if doubled or len(classes) > MOST_MASKS:
            found = f"{doubled[0]!r} twice" if doubled else f"{len(classes)} classes"
            raise ConfigError(
                f"head {name!r}: {found} (expected 1 to {MOST_MASKS} different classes). Name each "
                "class once."
            )

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def unlabelled(self, cases: pd.DataFrame) -> pd.DataFrame:
        """Cases without the files that hold their true masks."""
        return cases.drop(columns=MASKS, errors="ignore")

    @property
    def asked(self) -> tuple[str, ...]:
        return self.classes

    def check_planes(self, planes: Mapping[str, np.ndarray]) -> None:
        """Refuse true masks that cannot be: here none.

        Args:
            planes: runs of each class of an image.
        """

    def codes(self, labels: pd.Series) -> np.ndarray:
        """(N,) float: 1 where there is a file of masks, not a number where there is none."""
        return np.where(labels.notna(), 1.0, np.nan)

    def truth(self, labels: pd.Series) -> np.ndarray:
        """(N,) float: true areas in pixels."""
        return labels.to_numpy(float)

    def is_predicted(self, units: pd.DataFrame) -> pd.Series:
        return units["area"].notna()

    def values(self, units: pd.DataFrame) -> np.ndarray:
        """(N, 1 + 2 * 256) int: the class's number, areas and overlaps for all cuts."""
        number = {name: code for code, name in enumerate(self.classes)}
        parts = [np.stack(list(units[name])) for name in ("area", "overlap")] if len(units) else []
        codes = units["class"].map(number).to_numpy(int)[:, None]
        return np.concatenate([codes, *parts], 1)

    def chosen(self, values: np.ndarray, threshold: Threshold = 0.5) -> np.ndarray:
        """(N, 2) int: area and overlap at a threshold, one for all classes or one for each."""
        cuts = np.array([crops.cut_of(of) for of in self.thresholds(threshold)])[values[:, 0]]
        rows = np.arange(len(values))
        return np.stack([values[rows, 1 + cuts], values[rows, 1 + crops.LEVELS + cuts]], 1)

    def thresholds(self, threshold: Threshold) -> list[float]:
        """The threshold of each class, in order.

        Raises:
            ConfigError: for one that is no probability, or a class without one.
        """
        given = dict.fromkeys(self.classes, threshold)
        given = dict(threshold) if isinstance(threshold, Mapping) else given
        odd = [n for n in self.classes if not max(self.least, 1e-9) <= (given.get(n) or 0) <= 1]
        if odd or len(given) != len(self.classes):
            wanted = f"a probability from {self.least}" if self.least else "a probability above 0"
            raise ConfigError(
                f"threshold: {threshold!r} (expected {wanted}, or one for each of "
                f"{', '.join(self.classes)}). Take what mk.choose_threshold returns."
            )
        return [given[name] for name in self.classes]

    def guesses(self, values: np.ndarray, threshold: Threshold, metric: str) -> np.ndarray:
        """What a metric wants: areas and overlaps at the threshold."""
        return self.chosen(values, threshold)

    def missing(self, labels: pd.Series) -> list[str]:
        """Nothing: that a file lacks a class is told when it is read."""
        return []

    def check_learnt(self, cases: pd.DataFrame) -> None:
        """Refuse cases without masks.

        Raises:
            DataError: naming some.
        """
        lost = list(cases["id"][cases[self.name].isna()])
        if lost:
            raise DataError(
                f"cases: {len(lost)} of {len(cases)} have no masks, e.g. {lost[:3]}. Leave "
                f"them out: cases[cases[{self.name!r}].notna()]."
            )

    def strata(self, labels: pd.Series) -> pd.Series:
        """Nothing that folds could be balanced by."""
        return pd.Series(None, labels.index, dtype=object)

    def counted(self, task: Any, cases: pd.DataFrame) -> pd.Series:
        """The classes that are in each image: none of it, or several."""
        units = task.to_units(cases)
        index = np.repeat(cases.index.to_numpy(), len(self.classes))
        is_there = (units["y_true"] > 0).to_numpy()
        return pd.Series(units["class"].to_numpy()[is_there], index[is_there], dtype=object)

    def likeliest(self, labels: pd.Series) -> list[None]:
        """What to predict of a picture that nobody can look at: no mask at all."""
        return [None]


class ExclusiveMaskAnswer(MaskAnswer):
    """Masks of classes of which a pixel is in one at most.

    A model answers one number more, the first: none of the classes. Thresholds begin at one half,
    below which a pixel could be in two masks.
    """

    least, prior = 0.5, 0.5

    def __init__(self, name: str, classes: Sequence[str]):
        super().__init__(name, classes)
        self.words = f"{self.words}, one a pixel"

    @property
    def outputs(self) -> int:
        return 1 + len(self.classes)

    def check_planes(self, planes: Mapping[str, np.ndarray]) -> None:
        """Refuse masks that overlap.

        Raises:
            DataError: telling by how much.
        """
        runs = list(planes.values())
        twice = sum(map(rle.area, runs)) - rle.area(rle.vote(runs, more_than=0))
        if twice:
            raise DataError(
                f"{twice:,} pixels are in two masks (expected one a pixel). Write "
                "mk.Head('masks', classes, kind='masks') where they may overlap"
            )
