"""What all kinds of answers share; the kinds themselves are in `kinds`."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Union

import numpy as np
import pandas as pd

from medkit.errors import ConfigError
from medkit.metrics import METRICS

Threshold = Union[float, Mapping[str, float]]


class Answer:
    """What all kinds share.

    Attributes:
        columns: of a table of predictions or units, and of the model's output.
        beside: columns that a table of predictions may have beside these.
        labels: what a contest's table may hold unless it says otherwise; none: any number.
        words: what a label is, for messages.
        takes: the kinds of metrics that score it (`metrics.Metric.kind`).
        unit_columns: of a table of units, beside what all units have.
        lies_in: what holds an answer: the "table" of predictions, or "files" that it names.
        outputs: how many numbers a model answers, of each case or each pixel of it.
        layout: of the table that is handed in, as far as it differs: fields of `Layout`.
        has_classes: whether a head of this kind has classes.
        is_probability: whether its columns of predictions are probabilities that add up to 1.
        usual, shown: the scores that are told, and those that are shown with their intervals.
        compared_by: the score by which recipes are compared unless one is asked for.
        asked: the classes, or the number, by name, as `explain` is asked for one.
    """

    columns: tuple[str, ...]
    labels: tuple[str, ...]
    words: str
    takes: tuple[str, ...]
    has_classes: bool
    is_probability: bool
    usual: tuple[str, ...]
    shown: tuple[str, ...]
    beside: tuple[str, ...] = ()
    lies_in = "table"

    compared_by: str
    layout: Mapping[str, Any] = {}

    def __init__(self, name: str, classes: Sequence[str]):
        self.name = name

    @property
    def unit_columns(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> int:
        return len(self.columns)

    @property
    def asked(self) -> tuple[str, ...]:
        return self.columns

    def is_of(self, labels: pd.Series, name: str) -> pd.Series:
        """(N,) bool: which labels are of a class; without classes to tell apart, all known ones."""
        return labels.notna()

    def counted(self, task: Any, cases: pd.DataFrame) -> pd.Series:
        """What `counting.summarize` counts, with the index of the cases: what folds go by."""
        return self.strata(cases[self.name])

    def is_predicted(self, units: pd.DataFrame) -> pd.Series:
        """(N,) bool: which units have a prediction."""
        return units[list(self.columns)].notna().all(axis=1)

    def values(self, units: pd.DataFrame) -> np.ndarray:
        """(N, ...) what was predicted of each unit, as `chosen` and `guesses` take it."""
        return units[list(self.columns)].to_numpy(float)

    def check_learnt(self, cases: pd.DataFrame) -> None:
        """Refuse cases from which nothing can be learnt; those without a label are passed over."""

    def unlabelled(self, cases: pd.DataFrame) -> pd.DataFrame:
        """Cases of which units are made without reading labels that it takes time to read."""
        return cases

    def chances(self, codes: np.ndarray) -> np.ndarray:
        """Refused: only classes can be drawn equally often."""
        raise ConfigError(
            "Config: balanced=True draws each class of the first head equally often, and "
            f"{self.name} is {self.words}. Leave it off."
        )

    def check_metric(self, metric: str) -> None:
        """Refuse a metric of another kind of answer."""
        if METRICS[metric].kind not in self.takes:
            raise ConfigError(
                f"{metric}: {self.name} is {self.words}, which has no such score. Take "
                f"{', '.join(self.usual)}."
            )
