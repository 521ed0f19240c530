"""Kinds of answers, as far as tables go: a row of `KINDS` each. Layers above have tables of theirs.

Whoever needs to know which kind a head is asks `head.answer`, and is given one of these.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.answer import Answer
from medkit.datasets.answer import Threshold as Threshold
from medkit.datasets.mask_answer import MASKS as MASKS
from medkit.datasets.mask_answer import ExclusiveMaskAnswer, MaskAnswer
from medkit.errors import ConfigError, DataError
from medkit.metrics import decide, get_metric

OF_TWO_CLASSES = ("f1_binary", "sensitivity", "specificity", "ppv", "npv")
USUAL_OF_TWO = ("f1_macro", "accuracy", "auc", "sensitivity", "specificity")
USUAL_OF_MORE = ("f1_macro", "accuracy", "auc", "f1_weighted", "recall_macro")
SHOWN_OF_TWO = ("f1_macro", "f1_binary", "accuracy", "sensitivity", "specificity", "auc")
QUARTERS = ("low", "below", "above", "high")  # of the values of a number


class ClassAnswer(Answer):
    """One of several classes: a label is a name, a prediction the probability of each class."""

    has_classes = is_probability = True
    takes = ("labels", "probabilities")
    compared_by = "auc"

    def __init__(self, name: str, classes: Sequence[str]):
        super().__init__(name, classes)
        self.columns = self.labels = tuple(classes)
        self.words = f"one of {len(self.columns)} classes"
        is_two = len(self.columns) == 2
        self.usual = USUAL_OF_TWO if is_two else USUAL_OF_MORE
        self.shown = SHOWN_OF_TWO if is_two else USUAL_OF_MORE

    def codes(self, labels: pd.Series) -> np.ndarray:
        """(N,) float: the number of each label among the classes, not a number where it is missing.

        Raises:
            DataError: naming a label that is none of the classes.
        """
        codes = labels.map({name: code for code, name in enumerate(self.columns)})
        odd = labels[codes.isna()].dropna()
        if len(odd):
            raise DataError(
                f"{self.name}: {len(odd)} of {len(labels)} labels are none of its classes, e.g. "
                f"{odd.iloc[0]!r} (expected one of {', '.join(map(repr, self.columns))}). Labels "
                "are text; mk.read_table(..., label_columns=[...]) keeps them so."
            )
        return codes.to_numpy(float, na_value=np.nan)

    def is_of(self, labels: pd.Series, name: str) -> pd.Series:
        return labels == name

    def read(self, labels: pd.Series) -> pd.Series:
        """Labels as units have them: as they are."""
        return labels

    def truth(self, labels: pd.Series) -> np.ndarray:
        """(N,) int: known labels as metrics want them."""
        return self.codes(labels).astype(int)

    def label(self, code: float) -> str:
        """The label whose number this is."""
        return self.columns[int(code)]

    def chosen(self, values: np.ndarray, threshold: Threshold = 0.5) -> np.ndarray:
        """(N,) int: the class that is predicted by (N, classes) probabilities."""
        return decide(values, self.columns, threshold)

    def guesses(self, values: np.ndarray, threshold: Threshold, metric: str) -> np.ndarray:
        """What a metric wants of (N, classes) probabilities: these themselves, or the choice."""
        if get_metric(metric).kind != "probabilities":
            return self.chosen(values, threshold)
        return values[:, 1] if values.shape[1] == 2 else values

    def check_metric(self, metric: str) -> None:
        """Refuse a metric of another kind of answer, or of two classes where there are more."""
        super().check_metric(metric)
        if len(self.columns) > 2 and metric in OF_TWO_CLASSES:
            raise ConfigError(
                f"{metric}: {self.name} has {len(self.columns)} classes (expected 2). Take "
                "f1_macro, recall_macro or auc."
            )

    def missing(self, labels: pd.Series) -> list[str]:
        """The classes of which there is no label."""
        there = set(labels)
        return [name for name in self.columns if name not in there]

    def strata(self, labels: pd.Series) -> pd.Series:
        """What folds are balanced by."""
        return labels

    def chances(self, codes: np.ndarray) -> np.ndarray:
        """(N,) chances that draw each class equally often; 0 without a label."""
        first = np.nan_to_num(codes, nan=-1).astype(int)
        counts = np.bincount(first[first >= 0])
        return np.where(first >= 0, 1.0 / np.maximum(counts, 1)[np.maximum(first, 0)], 0.0)

    def likeliest(self, labels: pd.Series) -> np.ndarray:
        """(classes,) what to predict of a case that nobody can look at: the most frequent class."""
        most = labels.value_counts().index[0]
        return np.array([float(name == most) for name in self.columns])

    def written(self, labels: Sequence[str], words: Sequence[Any]) -> list[Any]:
        """Labels as the contest's table has them.

        Args:
            words: one a class, in the order of the classes.
        """
        return [words[code] for code in self.truth(pd.Series(labels, dtype=object))]


class NumberAnswer(Answer):
    """A number: labels and predictions are values of the one column that has the head's name."""

    has_classes = is_probability = False
    takes = ("numbers",)
    labels = ()
    words = "a number"
    usual = shown = ("mae", "rmse", "r2")
    compared_by = "mae"

    def __init__(self, name: str, classes: Sequence[str] = ()):
        super().__init__(name, classes)
        self.columns = (name,)

    def codes(self, labels: pd.Series) -> np.ndarray:
        """(N,) float: the values, not a number where one is missing.

        Raises:
            DataError: naming a label that is no number.
        """
        values = pd.to_numeric(labels, errors="coerce")
        odd = labels[labels.notna() & values.isna()]
        if len(odd):
            raise DataError(
                f"{self.name}: {len(odd)} of {len(labels)} labels are no numbers, e.g. "
                f"{odd.iloc[0]!r} (expected a number). Correct the table of cases; "
                "mk.read_table(..., number_columns=[...]) reads them."
            )
        return values.to_numpy(float, na_value=np.nan)

    def read(self, labels: pd.Series) -> pd.Series:
        """Labels as units have them: numbers, also where a table has them as text."""
        self.codes(labels)  # refuses what is none
        return pd.to_numeric(labels)

    def truth(self, labels: pd.Series) -> np.ndarray:
        """(N,) float: known labels as metrics want them."""
        return self.codes(labels)

    def label(self, code: float) -> float:
        """The label itself."""
        return float(code)

    def chosen(self, values: np.ndarray, threshold: Threshold = 0.5) -> np.ndarray:
        """(N,) float: the predicted numbers; a threshold changes nothing."""
        return values[:, 0]

    def guesses(self, values: np.ndarray, threshold: Threshold, metric: str) -> np.ndarray:
        """What a metric wants of (N, 1) predictions: what is chosen."""
        return self.chosen(values, threshold)

    def missing(self, labels: pd.Series) -> list[str]:
        """Nothing: a number has no classes that could be missing."""
        return []

    def strata(self, labels: pd.Series) -> pd.Series:
        """What folds are balanced by: in which quarter of all values each lies."""
        values = pd.to_numeric(labels, errors="coerce")
        ranks = values.rank(pct=True)
        quarters = np.select([ranks <= k / 4 for k in (1, 2, 3, 4)], QUARTERS, None)
        return pd.Series(quarters if values.nunique() > 1 else None, labels.index, dtype=object)

    def likeliest(self, labels: pd.Series) -> np.ndarray:
        """(1,) what to predict of a case that cannot be looked at: the median."""
        return np.array([np.nanmedian(self.codes(labels))])

    def written(self, labels: Sequence[float], words: Sequence[Any]) -> list[Any]:
        """Labels as the contest's table has them: as they are."""
        return list(labels)


KINDS = {
    "classes": ClassAnswer,
    "number": NumberAnswer,
    "masks": MaskAnswer,
    "exclusive_masks": ExclusiveMaskAnswer,
}
