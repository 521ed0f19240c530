"""A contest as data: its heads, its source, and the functions that are its own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping

import pandas as pd


@dataclass(frozen=True)
class Head:
    """One question asked of each case: the column of its label, and the classes it may have."""

    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """Something known of each case that a model may be told, one-hot, beside the picture.

    `mirrored` names the values that change places when the picture is mirrored: {"11": "21"}.
    """

    name: str
    values: tuple[str, ...]
    mirrored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A contest, or a question of your own.

    The functions:
        inspect(data, split, **options) -> (cases, quarantine): read the contest's folder.
        to_units(cases, predictions) -> table: one row for each thing that the contest scores, with
            `id`, `group`, `y_true` (the label, missing where it is unknown) and `y_prob`
            (probability of the last class of a two-class head; missing without a prediction) and
            `seen` (False when its picture could not be read).
        score(cases, predictions, threshold) -> {name: value}: the contest's own score first.
        submission_table(cases, predictions, threshold) -> the table that is handed in.
        draw(folder, seed, **options): write a drawn stand-in in the contest's layout.
    """

    name: str
    title: str
    source: str
    heads: tuple[Head, ...]
    inspect: Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
    to_units: Callable[..., pd.DataFrame]
    score: Callable[..., dict[str, float]]
    submission_table: Callable[..., pd.DataFrame]
    draw: Callable[..., None]
    submission_labels: tuple[Any, ...] = ()  # what its table may hold, in the order of the classes
    mirror: tuple[str, ...] = ()  # the flips under which labels stay true: "horizontal", "vertical"
    facts: tuple[Fact, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of all heads in order: the columns of predictions and of logits."""
        return tuple(name for head in self.heads for name in head.classes)

    def read(self, data: Path | str, split: str, **options: Any) -> pd.DataFrame:
        """The cases of one split ("train" or "test"); warns when some records are unusable.

        Raises:
            ValueError: when the folder is not of this contest's layout, or no record is usable.
        """
        cases, quarantine = self.inspect(data, split, **options)
        if len(quarantine):
            row = quarantine.iloc[0]
            warnings.warn(
                f"{self.name}: {len(quarantine)} records of {split} are quarantined, e.g. "
                f"{row['id']!r} ({row['reason']}). task.inspect(data, {split!r}) lists them all.",
                stacklevel=2,
            )
        return cases

    def describe(self) -> dict[str, Any]:
        """What is data in this task, for task.json."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "heads": [{"name": head.name, "classes": list(head.classes)} for head in self.heads],
            "mirror": list(self.mirror),
            "facts": [
                {"name": f.name, "values": list(f.values), "mirrored": dict(f.mirrored)}
                for f in self.facts
            ],
        }


def score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: float = 0.5
) -> dict[str, float]:
    """The contest's scores by name, its own score first.

    Args:
        threshold: a unit is positive when its probability is at least this.

    Raises:
        ValueError: when no unit has a label, or ids of `predictions` are not those of `cases`.
    """
    return task.score(cases, predictions, threshold=threshold)
