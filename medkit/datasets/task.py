"""A contest as an object: what is data in it, and methods that its own functions can replace."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import pandas as pd

from medkit import tables
from medkit.datasets import units as usual
from medkit.datasets.kinds import KINDS, Answer, Threshold
from medkit.datasets.units import chosen as chosen  # which contests of one's own import from here
from medkit.datasets.units import class_scores as class_scores
from medkit.datasets.units import guesses as guesses
from medkit.datasets.units import judged as judged
from medkit.datasets.units import truth as truth
from medkit.metrics import METRICS
from medkit.naming import did_you_mean

UNIT_COLUMNS = ("id", "path", "group", "fold", "seen", "y_true")  # beside the classes' own


@dataclass(frozen=True)
class Head:
    """One question asked of each case: the column of its label, and the classes it may have.

    Without classes the answer is a number. Several labels that may hold at once are several heads
    of two classes each. `kind` is a row of `kinds.KINDS`, told by the classes where it is left out.
    """

    name: str
    classes: tuple[str, ...] = ()
    kind: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.classes, str) or not all(isinstance(c, str) for c in self.classes):
            raise ValueError(
                f"head {self.name!r}: classes {self.classes!r} (expected a tuple of texts). "
                'Write ("0", "1"), not (0, 1) or "01".'
            )
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.kind:
            object.__setattr__(self, "kind", "classes" if self.classes else "number")
        if self.kind not in KINDS:
            raise ValueError(
                f"head {self.name!r}: kind {self.kind!r} (expected one of {', '.join(KINDS)})."
                f"{did_you_mean(self.kind, KINDS)}"
            )

    @cached_property
    def answer(self) -> Answer:
        """How its labels and predictions are read and scored."""
        return KINDS[self.kind](self.name, self.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns of a table of predictions, and of the model's output."""
        return self.answer.columns


@dataclass(frozen=True)
class Fact:
    """Something known of each case that a model may be told, one-hot, beside the picture.

    `mirrored` names the values that change places when the picture is mirrored: {"11": "21"}.
    """

    name: str
    values: tuple[str, ...]
    mirrored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How the table that is handed in is written."""

    header: bool = True
    separator: str = ","
    key_columns: int = 1  # the first columns, which name a row; none: only the order does
    by_row: bool = False  # whether the contest goes by the order of the rows all the same


@dataclass(frozen=True)
class TaskData:
    """What is data in a contest: it goes into a run folder's task.json, and comes back."""

    name: str
    title: str
    source: str
    heads: tuple[Head, ...]
    scored: Head = None  # what the contest scores: by default the first head
    smaller_is_better: tuple[str, ...] = ()  # those of its own scores that are errors
    submission_labels: tuple[Any, ...] = ()  # what its table may hold, in the order of the classes
    layout: Layout = Layout()
    mirror: tuple[str, ...] = ()  # the flips under which labels stay true: "horizontal", "vertical"
    facts: tuple[Fact, ...] = ()
    looks_alike: bool = False  # different cases do (traces, faces): near twins then mean nothing
    stratify: tuple[str, ...] = ()  # columns by which folds are balanced beside the heads'
    whole: str = ""  # the column that names the picture of which cases are parts: "photo"
    nouns: tuple[str, str] = ("cases", "cases")  # what its cases are, and its units: teeth, photos
    text: tuple[str, ...] = ()  # columns that figures write beside a case's name
    figures: str = ""  # the figures that are its own: a row of `show.structure.FIGURES`
    own: Mapping[str, Callable[..., Any]] = field(default_factory=dict, repr=False, hash=False)


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

    Each of these functions replaces the method of its name. What a method does otherwise stands in
    `medkit.datasets.units`, for a function that only adds to it.

    A threshold is a number (of two classes the last is chosen from this probability on) or one for
    each class: chosen is the class whose probability is the largest multiple of its threshold.
    """

    def __init__(
        self,
        name: str,
        title: str,
        source: str,
        heads: tuple[Head, ...],
        *,
        inspect: Callable[..., tuple[pd.DataFrame, pd.DataFrame]] | None = None,
        to_units: Callable[..., pd.DataFrame] | None = None,
        score_units: Callable[..., dict[str, float]] | None = None,
        score: Callable[..., dict[str, float]] | None = None,
        submission_table: Callable[..., pd.DataFrame] | None = None,
        draw: Callable[..., None] | None = None,
        own: Mapping[str, Callable[..., Any]] | None = None,
        **more: Any,
    ):
        given = {
            "inspect": inspect,
            "to_units": to_units,
            "score_units": score_units,
            "score": score,
            "submission_table": submission_table,
            "draw": draw,
        }
        functions = {name: function for name, function in given.items() if function is not None}
        super().__init__(name, title, source, heads, own={**(own or {}), **functions}, **more)
        is_list = isinstance(heads, (tuple, list))
        if not is_list or not heads or not all(isinstance(head, Head) for head in heads):
            raise ValueError(
                f"task {name!r}: heads {heads!r} (expected a tuple of mk.Head, one at "
                "least). Write heads=(mk.Head(name, classes),), with the comma."
            )
        self._fill(heads=tuple(self.heads), scored=self.scored or self.heads[0])
        self._fill(submission_labels=self.submission_labels or self.scored.classes)
        columns = list(self.columns)
        doubled = sorted({name for name in columns if columns.count(name) > 1})
        if doubled:
            raise ValueError(
                f"task {self.name!r}: {doubled[0]!r} is a class of two heads. "
                "Give each class a name of its own."
            )
        self._check_names()

    def _fill(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        """Refuse classes and heads that would overwrite a column of a table."""
        heads = [head.name for head in (*self.heads, self.scored)]
        for what, names, kept in (
            ("class", (*self.columns, *self.scored.columns), UNIT_COLUMNS),
            (
                "head",
                heads,
                (*UNIT_COLUMNS, *tables.PARTS, *self.text, *filter(None, [self.whole])),
            ),
        ):
            taken = [name for name in names if name in kept]
            if taken:
                raise ValueError(
                    f"task {self.name!r}: {taken[0]!r} cannot be the name of a {what}, since "
                    f"tables have a column of that name (those are {', '.join(kept)}). Rename it."
                )

    # from a folder to the table that is handed in

    def inspect(
        self, data: Path | str, split: str, **options: Any
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The cases of one split, and what cannot be used, with the reason: (cases, quarantine).

        Raises:
            ValueError: when the folder is not of this contest's layout, or no record is usable.
        """
        if "inspect" not in self.own:
            raise ValueError(
                f"task {self.name!r} has no reader. Read its cases with mk.read_table(csv, ...) or "
                "mk.read_folders(folder)."
            )
        return self.own["inspect"](data, split, **options)

    def read(self, data: Path | str, split: str, **options: Any) -> pd.DataFrame:
        """The cases of one split ("train" or "test"); warns when some records are unusable.

        Raises:
            ValueError: as `inspect` does.
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

    def draw(self, folder: Path | str, **options: Any) -> None:
        """Write a drawn stand-in of the contest; see its own function for the options."""
        if "draw" not in self.own:
            raise ValueError(f"task {self.name!r} draws no stand-in. Use its real pictures.")
        self.own["draw"](folder, **options)

    def to_units(
        self, cases: pd.DataFrame, predictions: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """One row for each thing that the contest scores."""
        own = self.own.get("to_units")
        given = cases, predictions
        return own(*given) if own else usual.cases_as_units(self, *given)

    def score_units(self, units: pd.DataFrame, threshold: Threshold = 0.5) -> dict[str, float]:
        """The scores of units by name, the contest's own first."""
        own = self.own.get("score_units")
        return own(units, threshold) if own else usual.class_scores(self, units, threshold)

    def score(
        self, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
    ) -> dict[str, float]:
        """The scores of predictions by name, the contest's own first."""
        own, given = self.own.get("score"), (cases, predictions)
        if own:
            return own(*given, threshold=threshold)
        return usual.score_of_cases(self, *given, threshold=threshold)

    def submission_table(
        self, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
    ) -> pd.DataFrame:
        """The table that is handed in."""
        own, given = self.own.get("submission_table"), (cases, predictions)
        if own:
            return own(*given, threshold=threshold)
        return usual.label_table(self, *given, threshold=threshold)

    # what it consists of

    @property
    def columns(self) -> tuple[str, ...]:
        """The classes (or number) of all heads in order: the columns of predictions and logits."""
        return tuple(name for head in self.heads for name in head.columns)

    def parts(self) -> Iterator[tuple[Head, slice]]:
        """Each head, and which of `columns` are its own."""
        first = 0
        for head in self.heads:
            last = first + len(head.columns)
            yield head, slice(first, last)
            first = last

    def of_head(self, head: Head) -> Task:
        """The question of one head alone, with a unit a case and the usual scores."""
        return replace(self, heads=(head,), scored=head, submission_labels=(), own={})

    def greater_is_better(self, score: str) -> bool:
        """Whether more of a score is better: of `metrics.METRICS`, of a head, or its own."""
        if score in self.smaller_is_better:
            return False
        names = [score, score.partition("_")[2]]  # "tooth_auc"
        names += [score[len(h.name) + 1 :] for h in self.heads if score.startswith(f"{h.name}_")]
        metric = next((METRICS[name] for name in names if name in METRICS), None)
        return metric is None or metric.greater_is_better

    def describe(self) -> dict[str, Any]:
        """What is data in this task, for task.json."""
        facts = asdict(replace(self, own={}))
        del facts["own"]
        return json.loads(json.dumps(facts))  # lists for tuples, as the file has them


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
        "facts": tuple(Fact(**{**f, "values": tuple(f["values"])}) for f in facts["facts"]),
    }
    names = {known.name for known in fields(TaskData)} & set(facts) - set(built)
    plain = {name: facts[name] for name in names}
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
    return _Kept(**plain, **built, **functions)


def check_task(task: Any, where: str) -> None:
    """Refuse what is no task: it stands first wherever a contest is asked about.

    Raises:
        TypeError: naming what was given instead.
    """
    if not isinstance(task, TaskData):
        raise TypeError(
            f"{where}: found a {type(task).__name__} (expected a task first). Write "
            f"mk.{where}(task, ...) with task = mk.get_task(name), or a mk.Task of your own."
        )


def score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> dict[str, float]:
    """The contest's scores by name, its own score first.

    Raises:
        ValueError: when no unit has a label, or ids of `predictions` are not those of `cases`.
    """
    check_task(task, "score")
    return task.score(cases, predictions, threshold=threshold)
