"""A contest as an object: data, and methods that its own functions can replace."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple

import pandas as pd

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets import mask_files, mask_units
from medkit.datasets import units as usual
from medkit.datasets.kinds import Threshold
from medkit.datasets.mask_files import MaskFiles
from medkit.datasets.task_data import Fact, Head, Layout, TaskData
from medkit.datasets.units import chosen as chosen  # which contests of one's own import from here
from medkit.datasets.units import class_scores as class_scores
from medkit.datasets.units import guesses as guesses
from medkit.datasets.units import judged as judged
from medkit.datasets.units import truth as truth
from medkit.errors import ConfigError, DataError
from medkit.naming import did_you_mean

METHODS = ("inspect", "to_units", "score_units", "score", "submission_table", "draw", "read_masks")


class Usual(NamedTuple):
    """What a contest does with a kind of answer unless it says more; its task stands first."""

    to_units: Callable[..., pd.DataFrame]  # cases, predictions -> units
    score_units: Callable[..., dict[str, float]]  # units, threshold -> {name: value}
    submission_table: Callable[..., pd.DataFrame]  # cases, predictions, threshold=... -> a table
    true_table: Callable[..., pd.DataFrame]  # labelled cases -> `id` of each row, and what is true


USUAL = {  # by `Answer.lies_in`
    "table": Usual(usual.cases_as_units, usual.class_scores, usual.case_table, usual.true_table),
    "files": Usual(
        mask_units.mask_units, mask_units.mask_scores, mask_units.mask_table, mask_units.true_table
    ),
}


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Task(TaskData):
    """A contest, or a question of your own.

    Args:
        name, title, source, heads, more: the fields of `TaskData`.
        inspect: (data, split, **options) -> (cases, quarantine): read the contest's folder.
        to_units: (cases, predictions) -> units: one row for each thing that the contest scores, by
            default a case, with `id`, `group`, `seen` (False when its picture could not be read),
            `y_true` (missing where it is unknown) and the probability of each class of `scored`
            (missing without a prediction); for a number, the column `scored.name`.
        score_units: (units, threshold) -> {name: value}: the contest's own score first.
        score: (cases, predictions, threshold=...) -> {name: value}: by default of the units.
        submission_table: (cases, predictions, threshold=...) -> the table that is handed in: by
            default `id` and the label of `scored`.
        draw: (folder, seed=..., **options): write a drawn stand-in in the contest's layout.
        read_masks: (case) -> (height and width of its picture, {class: runs}): what is true of a
            case whose answer is masks, row by row (`images.rle`); by default as `mask_files` says.

    Each of these functions replaces the method of its name; None stands for the usual one, also in
    `dataclasses.replace`, where one that is left out stays. What a method does otherwise stands in
    `medkit.datasets.units`, for a function that only adds to it.

    A threshold is a number (of two classes the last is chosen from this probability on) or one for
    each class: chosen is the class whose probability is the largest multiple of its threshold.

    Example:
        >>> scan = mk.Task("scans", "Scans", "our ward", (mk.Head("finding", ("none", "cyst")),))
        >>> scan.columns, scan.scored.name
        (('none', 'cyst'), 'finding')
    """

    def __init__(
        self,
        name: str,
        title: str,
        source: str,
        heads: tuple[Head, ...],
        *,
        inspect: Callable[..., tuple[pd.DataFrame, pd.DataFrame]] | None = ...,
        to_units: Callable[..., pd.DataFrame] | None = ...,
        score_units: Callable[..., dict[str, float]] | None = ...,
        score: Callable[..., dict[str, float]] | None = ...,
        submission_table: Callable[..., pd.DataFrame] | None = ...,
        draw: Callable[..., None] | None = ...,
        read_masks: Callable[..., tuple[tuple[int, int], dict[str, Any]]] | None = ...,
        own: Mapping[str, Callable[..., Any] | None] | None = None,
        **more: Any,
    ):
        check_arguments(Task, {"name": name, "own": own})
        functions = (inspect, to_units, score_units, score, submission_table, draw, read_masks)
        given = {name: f for name, f in zip(METHODS, functions) if f is not ...}
        own = {name: f for name, f in {**(own or {}), **given}.items() if f is not None}
        unknown = [name for name in own if name not in METHODS]
        if unknown:
            raise ConfigError(
                f"task {name!r}: own function {unknown[0]!r} (expected one of "
                f"{', '.join(METHODS)}).{did_you_mean(unknown[0], METHODS)}"
            )
        super().__init__(name, title, source, heads, own=own, **more)

    # from a folder to the table that is handed in

    def inspect(
        self, data: Path | str, split: str, **options: Any
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The cases of one split, and what cannot be used, with the reason: (cases, quarantine).

        Raises:
            ConfigError: when the folder is not of this contest's layout, or no record is usable.
        """
        check_arguments(Task.inspect, locals())
        if "inspect" not in self.own:
            raise ConfigError(
                f"task {self.name!r} has no reader. Read its cases with mk.read_table(csv, ...), "
                "mk.read_folders(folder) or mk.read_masks(task, ...), or give it a reader: "
                "mk.Task(..., inspect=function)."
            )
        return self.own["inspect"](data, split, **options)

    def read(self, data: Path | str, split: str, **options: Any) -> pd.DataFrame:
        """The cases of one split ("train" or "test"); warns when some records are unusable.

        Raises:
            ConfigError, DataError: as `inspect` does.
        """
        check_arguments(Task.read, locals())
        cases, quarantine = self.inspect(data, split, **options)
        if len(quarantine):
            row = quarantine.iloc[0]
            warnings.warn(
                f"{self.name}: {len(quarantine)} records of {split} are quarantined, e.g. "
                f"{row['id']!r} ({row['reason']}). task.inspect(data, {split!r}) lists them all.",
                stacklevel=2,
            )
        return cases

    def draw(self, folder: Path | str, **options: Any) -> None:
        """Write a drawn stand-in of the contest; see its own function for the options."""
        check_arguments(Task.draw, locals())
        if "draw" not in self.own:
            raise ConfigError(f"task {self.name!r} draws no stand-in. Use its real pictures.")
        self.own["draw"](folder, **options)

    @property
    def _usual(self) -> Usual:
        return USUAL[self.scored.answer.lies_in]

    def to_units(
        self, cases: pd.DataFrame, predictions: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """One row for each thing that the contest scores."""
        check_arguments(Task.to_units, locals())
        if predictions is not None:
            self._check_numbers(predictions)
        if "to_units" in self.own:
            return self.own["to_units"](cases, predictions)
        return self._usual.to_units(self, cases, predictions)

    def _check_numbers(self, predictions: pd.DataFrame) -> None:
        """Labels in place of probabilities: cases have a column of the same name."""
        for name in self.columns:
            words = [v for v in predictions.get(name, ())[:1] if isinstance(v, str)]
            if words and self.scored.answer.lies_in != "files":
                raise DataError(
                    f"predictions: column {name!r} holds {words[0]!r} (expected numbers). "
                    "Pass what mk.predict(run, cases) returns, not the cases."
                )

    def score_units(
        self, units: pd.DataFrame, threshold: Threshold | None = None
    ) -> dict[str, float]:
        """The scores of units by name, the contest's own first.

        Args:
            threshold: None takes 0.5, or what its own function takes.
        """
        given = () if threshold is None else (threshold,)
        if "score_units" in self.own:
            return self.own["score_units"](units, *given)
        return self._usual.score_units(self, units, *given)

    def score(
        self,
        cases: pd.DataFrame,
        predictions: pd.DataFrame,
        *,
        threshold: Threshold | None = None,
    ) -> dict[str, float]:
        """The scores of predictions by name: of units, the contest's own first, then by head.

        Args:
            threshold: as `score_units` takes it.
        """
        check_arguments(Task.score, locals())
        if "score" in self.own:
            given = {} if threshold is None else {"threshold": threshold}
            return self.own["score"](cases, predictions, **given)
        tables.check_columns(f"{self.name}: cases", cases, ["id", "path", "group"])
        tables.match(cases[cases["path"].notna()], predictions)  # refuses doubled and missing ids
        units = usual.judged(self, self.to_units(cases, predictions))
        scores = self.score_units(units, 0.5 if threshold is None else threshold)
        return {**scores, **usual.scores_by_head(self, cases, predictions)}

    def submission_table(
        self,
        cases: pd.DataFrame,
        predictions: pd.DataFrame,
        *,
        threshold: Threshold | None = None,
    ) -> pd.DataFrame:
        """The table that is handed in.

        Args:
            threshold: as `score_units` takes it.
        """
        check_arguments(Task.submission_table, locals())
        given = {} if threshold is None else {"threshold": threshold}
        if "submission_table" in self.own:
            return self.own["submission_table"](cases, predictions, **given)
        return self._usual.submission_table(self, cases, predictions, **given)

    def true_table(self, cases: pd.DataFrame) -> pd.DataFrame:
        """`id`, by which a row of what is handed in is known, and what is true of each."""
        return self._usual.true_table(self, cases)

    def read_masks(self, case: Mapping[str, Any]) -> tuple[tuple[int, int], dict[str, Any]]:
        """Height and width of a case's picture, and the runs of each class, row by row.

        Raises:
            MissingError: the files are gone.
            DataError: they cannot be read, or have changed since the cases were read.
        """
        mask_files.check_unchanged(self, case)
        found = self.own.get("read_masks", partial(mask_files.read_case, self))(case)
        return mask_files.checked(self, case, found)


class _Kept(Task):
    """A task that a run folder keeps: names that are refused by now were not always."""

    def _check_names(self) -> None:
        return


def from_description(facts: Mapping[str, Any], **functions: Callable[..., Any]) -> Task:
    """The task that `describe` described, also as JSON gives it back, with functions of its own."""
    built = {
        "heads": tuple(Head(**head) for head in facts["heads"]),
        "scored": Head(**facts["scored"]),
        "layout": Layout(**facts["layout"]),
        "mask_files": MaskFiles(**facts.get("mask_files", {})),
        "facts": tuple(Fact(**{**f, "values": tuple(f["values"])}) for f in facts["facts"]),
    }
    names = {known.name for known in fields(TaskData)} & set(facts) - set(built)
    plain = {name: facts[name] for name in names}
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
    return _Kept(**plain, **built, **functions)


def score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> dict[str, float]:
    """The contest's scores by name, its own score first.

    Args:
        cases: labelled.
        predictions: of these cases, as `mk.predict` returns them.
        threshold: a number, or one for each class; see `mk.choose_threshold`.

    Raises:
        DataError: when no unit has a label, or ids of `predictions` are not those of `cases`.

    Example:
        >>> scores = mk.score(task, held_out, run.predictions)
        >>> list(scores)[:2]
        ['f1_macro', 'f1_binary']
    """
    check_arguments(score, locals())
    return task.score(cases, predictions, threshold=threshold)
