"""A contest as data: its heads, its source, and the functions that are its own."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Union

import numpy as np
import pandas as pd

from medkit import tables
from medkit.metrics import METRICS, decide, get_metric

Threshold = Union[float, Mapping[str, float]]
UNIT_COLUMNS = ("id", "path", "group", "fold", "seen", "y_true")  # beside the classes' own
CASE_COLUMNS = ("photo", "region", "box", "epoch", "tooth_number")  # beside the heads', also these


@dataclass(frozen=True)
class Head:
    """One question asked of each case: the column of its label, and the classes it may have.

    Without classes the answer is a number. Several labels that may hold at once are several heads
    of two classes each.
    """

    name: str
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.classes, str) or not all(isinstance(c, str) for c in self.classes):
            raise ValueError(
                f"head {self.name!r}: classes {self.classes!r} (expected a tuple of texts). "
                'Write ("0", "1"), not (0, 1) or "01".'
            )
        object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns of a table of predictions, and of the model's output."""
        return self.classes or (self.name,)


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
class Task:
    """A contest, or a question of your own.

    The functions, of which all but the first may be left out:
        inspect(data, split, **options) -> (cases, quarantine): read the contest's folder.
        to_units(cases, predictions) -> units: one row for each thing that the contest scores, by
            default a case, with `id`, `group`, `seen` (False when its picture could not be read),
            `y_true` (missing where it is unknown) and the probability of each class of `scored`
            (missing without a prediction); for a number, the column `scored.name`.
        score_units(units, threshold) -> {name: value}: the contest's own score first.
        score(cases, predictions, threshold) -> {name: value}: by default of the units.
        submission_table(cases, predictions, threshold) -> the table that is handed in: by default
            `id` and the label of `scored`.
        draw(folder, seed, **options): write a drawn stand-in in the contest's layout.

    A threshold is a number (of two classes the last is chosen from this probability on) or one for
    each class: chosen is the class whose probability is the largest multiple of its threshold.
    """

    name: str
    title: str
    source: str
    heads: tuple[Head, ...]
    inspect: Callable[..., tuple[pd.DataFrame, pd.DataFrame]] | None = None
    to_units: Callable[..., pd.DataFrame] = None
    score_units: Callable[..., dict[str, float]] = None
    score: Callable[..., dict[str, float]] = None
    submission_table: Callable[..., pd.DataFrame] = None
    draw: Callable[..., None] | None = None
    scored: Head = None  # what the contest scores: by default the first head
    smaller_is_better: tuple[str, ...] = ()  # those of its own scores that are errors
    submission_labels: tuple[Any, ...] = ()  # what its table may hold, in the order of the classes
    layout: Layout = Layout()
    mirror: tuple[str, ...] = ()  # the flips under which labels stay true: "horizontal", "vertical"
    facts: tuple[Fact, ...] = ()
    looks_alike: bool = False  # different cases do (traces, faces): near twins then mean nothing
    stratify: tuple[str, ...] = ()  # columns by which folds are balanced beside the heads'

    def __post_init__(self) -> None:
        is_list = isinstance(self.heads, (tuple, list))
        if not is_list or not self.heads or not all(isinstance(h, Head) for h in self.heads):
            raise ValueError(
                f"task {self.name!r}: heads {self.heads!r} (expected a tuple of mk.Head, one at "
                "least). Write heads=(mk.Head(name, classes),), with the comma."
            )
        object.__setattr__(self, "heads", tuple(self.heads))
        columns = list(self.columns)
        doubled = sorted({name for name in columns if columns.count(name) > 1})
        if doubled:
            raise ValueError(
                f"task {self.name!r}: {doubled[0]!r} is a class of two heads. "
                "Give each class a name of its own."
            )
        if self.scored is None:
            object.__setattr__(self, "scored", self.heads[0])
        self._check_names()
        if not self.submission_labels:
            object.__setattr__(self, "submission_labels", self.scored.classes)
        for name, function in DEFAULTS.items():
            given = getattr(self, name)
            if given is None or getattr(given, "func", None) is function:  # of a replaced task
                object.__setattr__(self, name, partial(function, self))

    def _check_names(self) -> None:
        """Refuse classes and heads that would overwrite a column of a table."""
        heads = [head.name for head in (*self.heads, self.scored)]
        for what, names, kept in (
            ("class", (*self.columns, *self.scored.columns), UNIT_COLUMNS),
            ("head", heads, UNIT_COLUMNS + CASE_COLUMNS),
        ):
            taken = [name for name in names if name in kept]
            if taken:
                raise ValueError(
                    f"task {self.name!r}: {taken[0]!r} cannot be the name of a {what}, since "
                    f"tables have a column of that name (those are {', '.join(kept)}). Rename it."
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """The classes (or number) of all heads in order: the columns of predictions and logits."""
        return tuple(name for head in self.heads for name in head.columns)

    def greater_is_better(self, score: str) -> bool:
        """Whether more of a score is better: of `metrics.METRICS`, of a head, or its own."""
        if score in self.smaller_is_better:
            return False
        names = [score, score.partition("_")[2]]  # "tooth_auc"
        names += [score[len(h.name) + 1 :] for h in self.heads if score.startswith(f"{h.name}_")]
        metric = next((METRICS[name] for name in names if name in METRICS), None)
        return metric is None or metric.greater_is_better

    def parts(self) -> Iterator[tuple[Head, slice]]:
        """Each head, and which of `columns` are its own."""
        first = 0
        for head in self.heads:
            last = first + len(head.columns)
            yield head, slice(first, last)
            first = last

    def read(self, data: Path | str, split: str, **options: Any) -> pd.DataFrame:
        """The cases of one split ("train" or "test"); warns when some records are unusable.

        Raises:
            ValueError: when the folder is not of this contest's layout, or no record is usable.
        """
        if self.inspect is None:
            raise ValueError(
                f"task {self.name!r} has no reader. Read its cases with mk.read_table(csv, ...) or "
                "mk.read_folders(folder)."
            )
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
            "scored": {"name": self.scored.name, "classes": list(self.scored.classes)},
            "smaller_is_better": list(self.smaller_is_better),
            "submission_labels": list(self.submission_labels),
            "layout": asdict(self.layout),
            "mirror": list(self.mirror),
            "looks_alike": self.looks_alike,
            "stratify": list(self.stratify),
            "facts": [
                {"name": f.name, "values": list(f.values), "mirrored": dict(f.mirrored)}
                for f in self.facts
            ],
        }

    def own_functions(self) -> dict[str, Callable[..., Any]]:
        """Those of its functions that are not the default ones."""
        found = {name: getattr(self, name) for name in (*DEFAULTS, "inspect", "draw")}
        return {
            name: f
            for name, f in found.items()
            if f and (name not in DEFAULTS or getattr(f, "func", None) is not DEFAULTS[name])
        }


class _Kept(Task):
    """A task that a run folder keeps: names that are refused by now were not always."""

    def _check_names(self) -> None:
        return


def from_description(facts: Mapping[str, Any], **functions: Callable[..., Any]) -> Task:
    """The task that `describe` described, with functions of its own."""
    return _Kept(
        name=facts["name"],
        title=facts["title"],
        source=facts["source"],
        heads=tuple(Head(head["name"], tuple(head["classes"])) for head in facts["heads"]),
        scored=Head(facts["scored"]["name"], tuple(facts["scored"]["classes"])),
        smaller_is_better=tuple(facts.get("smaller_is_better", ())),
        submission_labels=tuple(facts["submission_labels"]),
        layout=Layout(**facts["layout"]),
        mirror=tuple(facts["mirror"]),
        looks_alike=facts["looks_alike"],
        stratify=tuple(facts.get("stratify", ())),
        facts=tuple(Fact(f["name"], tuple(f["values"]), f["mirrored"]) for f in facts["facts"]),
        **functions,
    )


def score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> dict[str, float]:
    """The contest's scores by name, its own score first.

    Raises:
        ValueError: when no unit has a label, or ids of `predictions` are not those of `cases`.
    """
    return task.score(cases, predictions, threshold=threshold)


def judged(task: Task, units: pd.DataFrame) -> pd.DataFrame:
    """The units that have both a label and a prediction.

    Raises:
        ValueError: when there is none.
    """
    known = units["y_true"].notna() & units[list(task.scored.columns)].notna().all(axis=1)
    if not known.any():
        raise ValueError(
            f"{task.name}: none of {len(units)} units has both a label and a prediction. "
            "Pass cases with labels, together with predictions of all of them."
        )
    return units[known]


def truth(task: Task, units: pd.DataFrame) -> np.ndarray:
    """(N,) the labels of judged units: numbers of classes in the order of `scored`, or values."""
    if not task.scored.classes:
        return units["y_true"].to_numpy(float)
    return codes_of(task.scored, units["y_true"])


def codes_of(head: Head, labels: pd.Series) -> np.ndarray:
    """(N,) the numbers of known labels among the classes of a head.

    Raises:
        ValueError: naming a label that is none of them.
    """
    codes = labels.map({name: code for code, name in enumerate(head.classes)})
    if codes.isna().any():
        odd = labels[codes.isna()]
        raise ValueError(
            f"{head.name}: {len(odd)} of {len(labels)} labels are none of its classes, e.g. "
            f"{odd.iloc[0]!r} (expected one of {', '.join(map(repr, head.classes))}). Labels are "
            "text; mk.read_table(..., label_columns=[...]) keeps them so."
        )
    return codes.to_numpy().astype(int)


def chosen(task: Task, units: pd.DataFrame, threshold: Threshold = 0.5) -> np.ndarray:
    """(N,) what is predicted of judged units, as `truth` gives the labels."""
    values = units[list(task.scored.columns)].to_numpy(float)
    classes = task.scored.classes
    return decide(values, classes, threshold) if classes else values[:, 0]


def guesses(task: Task, units: pd.DataFrame, threshold: Threshold, metric: str) -> np.ndarray:
    """What a metric wants of judged units: what is chosen, or the probabilities."""
    if get_metric(metric).kind != "probabilities":
        return chosen(task, units, threshold)
    probs = units[list(task.scored.classes)].to_numpy(float)
    return probs[:, 1] if probs.shape[1] == 2 else probs


def class_scores(
    task: Task, units: pd.DataFrame, threshold: Threshold = 0.5, names: tuple[str, ...] = ()
) -> dict[str, float]:
    """Scores of `metrics.METRICS` by name; by default those that suit the kind of answer."""
    units = judged(task, units)
    y_true, count = truth(task, units), len(task.scored.classes)
    usual = {0: NUMBER_SCORES, 2: TWO_CLASS_SCORES}.get(count, CLASS_SCORES)
    return {
        name: METRICS[name](y_true, guesses(task, units, threshold, name))
        for name in names or usual
    }


NUMBER_SCORES = ("mae", "rmse", "r2")
TWO_CLASS_SCORES = ("f1_macro", "accuracy", "auc", "sensitivity", "specificity")
CLASS_SCORES = ("f1_macro", "accuracy", "auc", "f1_weighted", "recall_macro")


def _cases_as_units(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A unit a case."""
    units = cases[["id", "group"]].assign(seen=cases["path"].notna())
    units["y_true"] = cases[task.scored.name] if task.scored.name in cases else None
    for column in task.scored.columns:
        known = {} if predictions is None else predictions.set_index("id")[column]
        units[column] = units["id"].map(known).astype(float)
    return units.reset_index(drop=True)


def _score_of_units(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> dict[str, float]:
    """The contest's score; with several heads also those of each, as "<head>_<name>"."""
    tables.match(cases[cases["path"].notna()], predictions)  # refuses doubled and missing ids
    scores = task.score_units(judged(task, task.to_units(cases, predictions)), threshold)
    for head in task.heads if len(task.heads) > 1 else ():
        alone = replace(task, heads=(head,), scored=head, to_units=None)
        if head.name in cases and cases[head.name].notna().any():
            found = class_scores(alone, alone.to_units(cases, predictions))
            scores.update({f"{head.name}_{name}": value for name, value in found.items()})
    return scores


def _label_table(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`id` and the label of each unit."""
    units = task.to_units(cases, predictions)
    unknown = list(units["id"][units[list(task.scored.columns)].isna().any(axis=1)])
    if unknown:
        raise ValueError(
            f"{task.name}: {len(unknown)} of {len(units)} rows lack a prediction, e.g. "
            f"{unknown[:3]}. Predict the cases of the whole split: mk.predict(run, test)."
        )
    labels: Any = chosen(task, units, threshold)
    if task.scored.classes:
        labels = [task.submission_labels[code] for code in labels]
    return pd.DataFrame({"id": units["id"], task.scored.name: labels})


DEFAULTS = {
    "to_units": _cases_as_units,
    "score_units": class_scores,
    "score": _score_of_units,
    "submission_table": _label_table,
}
