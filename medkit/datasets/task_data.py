"""What of a contest is data: its heads, what its columns mean, how its table is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Callable, Iterator, Mapping, TypeVar

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import KINDS, Answer
from medkit.datasets.mask_files import MaskFiles, check_values
from medkit.errors import ConfigError
from medkit.metrics import METRICS
from medkit.naming import did_you_mean

Row = TypeVar("Row")
UNIT_COLUMNS = ("id", "path", "group", "fold", "seen", "y_true")  # beside the classes' own


@dataclass(frozen=True)
class Head:
    """One question asked of each case: the column of its label, and the classes it may have.

    Without classes the answer is a number. Several labels that may hold at once are several heads
    of two classes each. `kind` is a row of `kinds.KINDS`, told by the classes where it is left out.

    Example:
        >>> mk.Head("age").kind, mk.Head("stage", ("low", "mid", "high")).kind
        ('number', 'classes')
    """

    name: str
    classes: tuple[str, ...] = ()
    kind: str = ""

    def __post_init__(self) -> None:
        check_arguments(Head, {"name": self.name, "kind": self.kind})
        is_list = hasattr(self.classes, "__iter__") and not isinstance(self.classes, str)
        if not is_list or not all(isinstance(c, str) for c in self.classes):
            raise ConfigError(
                f"head {self.name!r}: classes {self.classes!r} (expected a tuple of texts). "
                'Write ("0", "1"), not (0, 1) or "01".'
            )
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.kind:
            object.__setattr__(self, "kind", "classes" if self.classes else "number")
        if self.kind not in KINDS:
            raise ConfigError(
                f"head {self.name!r}: kind {self.kind!r} (expected one of {', '.join(KINDS)})."
                f"{did_you_mean(self.kind, KINDS)}"
            )

        if KINDS[self.kind].has_classes != bool(self.classes):
            wanted = "some classes" if KINDS[self.kind].has_classes else "none"
            raise ConfigError(
                f"head {self.name!r}: kind {self.kind!r} with classes {self.classes!r} (expected "
                f"{wanted}). Leave kind out, or set it to '', to have it told by the classes."
            )
        _ = self.answer  # which refuses what suits no answer of its kind

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

    Example:
        >>> side = mk.Fact("side", ("left", "right"), mirrored={"left": "right", "right": "left"})
        >>> side.mirrored["left"]
        'right'
    """

    name: str
    values: tuple[str, ...]
    mirrored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How the table that is handed in is written.

    Args:
        header: whether its first line names the columns.
        separator: between cells.
        key_columns: how many of the first columns name a row; with none only the order does.
        by_row: whether the contest goes by the order of the rows all the same.
        answer: what the last column holds: "" a label or a number, "runs" those of a mask. Of a
            head of masks it is "runs" by itself.
        order: of runs: "C" row by row, "F" column by column.
        base: of runs: the number of the first pixel, 0 or 1.

    Names of columns are those of `Task(submission_table=...)`.

    Example:
        >>> mk.Layout(header=False, separator=" ").key_columns  # "front_1 decayed"
        1
    """

    header: bool = True
    separator: str = ","
    key_columns: int = 1
    by_row: bool = False
    answer: str = ""
    order: str = "C"
    base: int = 1

    def __post_init__(self) -> None:
        check_arguments(Layout, vars(self))
        known = {"answer": ("", "runs"), "order": ("C", "F"), "base": (0, 1)}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(
                    f"layout: {name}={getattr(self, name)!r} (expected one of "
                    f"{', '.join(map(repr, values))}). Look at what the contest's rules say."
                )


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
    layout: Layout = None  # by default what suits the kind of answer
    mask_files: MaskFiles = MaskFiles()  # how the files are read that hold true masks
    mirror: tuple[str, ...] = ()  # the flips under which labels stay true: "horizontal", "vertical"
    facts: tuple[Fact, ...] = ()
    looks_alike: bool = False  # different cases do (traces, faces): near twins then mean nothing
    stratify: tuple[str, ...] = ()  # columns by which folds are balanced beside the heads'
    whole: str = ""  # the column that names the picture of which cases are parts: "photo"
    nouns: tuple[str, str] = ("cases", "cases")  # what its cases are, and its units: teeth, photos
    text: tuple[str, ...] = ()  # columns that figures write beside a case's name
    figures: str = ""  # the figures that are its own: a row of `show.structure.FIGURES`
    own: Mapping[str, Callable[..., Any]] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        self._check_texts()
        is_list = isinstance(self.heads, (tuple, list))
        if not is_list or not self.heads or not all(isinstance(h, Head) for h in self.heads):
            raise ConfigError(
                f"task {self.name!r}: heads {self.heads!r} (expected a tuple of mk.Head, one at "
                "least). Write heads=(mk.Head(name, classes),), with the comma."
            )
        self._fill(heads=tuple(self.heads), scored=self.scored or self.heads[0])
        usual = self.scored.answer.layout
        self._fill(layout=self.layout or Layout(**usual))
        if not self.layout.answer:  # which only the kind of answer tells
            self._fill(layout=replace(self.layout, answer=usual.get("answer", "")))
        self._fill(submission_labels=self.submission_labels or self.scored.answer.labels)
        columns = list(self.columns)
        doubled = sorted({name for name in columns if columns.count(name) > 1})
        if doubled:
            raise ConfigError(
                f"task {self.name!r}: {doubled[0]!r} is a class of two heads. "
                "Give each class a name of its own."
            )
        self._check_names()
        check_values(self)

    def _check_texts(self) -> None:
        """Refuse one text where several are meant: it would be read letter by letter."""
        for name in ("smaller_is_better", "mirror", "stratify", "nouns", "text"):
            value = getattr(self, name)
            if not isinstance(value, (tuple, list)) or not all(isinstance(v, str) for v in value):
                raise ConfigError(
                    f"task {self.name!r}: {name}={value!r} (expected a tuple of texts). Write "
                    f'{name}=("...",), with the comma.'
                )
            self._fill(**{name: tuple(value)})
        if len(self.nouns) != 2:
            raise ConfigError(
                f"task {self.name!r}: nouns={self.nouns!r} (expected two). Write what its cases "
                'are, and what it scores: nouns=("teeth", "photos").'
            )

    def _fill(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        """Refuse classes and heads that would overwrite a column of a table."""
        heads = [head.name for head in (*self.heads, self.scored)]
        meant = [name for name in (*tables.PARTS, *self.text, self.whole) if name]
        for what, names, kept in (
            ("class", (*self.columns, *self.scored.columns), UNIT_COLUMNS),
            ("head", heads, (*UNIT_COLUMNS, *meant)),
        ):
            taken = [name for name in names if name in kept]
            if taken:
                raise ConfigError(
                    f"task {self.name!r}: {taken[0]!r} cannot be the name of a {what}, since "
                    f"tables have a column of that name (those are {', '.join(kept)}). Rename it."
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """The classes (or number) of all heads in order: the columns of predictions and logits."""
        return tuple(name for head in self.heads for name in head.columns)

    @property
    def outputs(self) -> int:
        """How many numbers a model answers: channels of its logits."""
        return sum(head.answer.outputs for head in self.heads)

    def parts(self) -> Iterator[tuple[Head, slice]]:
        """Each head, and which of `outputs` are its own."""
        first = 0
        for head in self.heads:
            last = first + head.answer.outputs
            yield head, slice(first, last)
            first = last

    def common(self, table: Mapping[str, Row]) -> Row:
        """The row that all heads share, of a table by kind of answer."""
        rows = {table[head.kind] for head in self.heads}
        if len(rows) > 1:
            raise ConfigError(
                f"task {self.name!r}: heads of the kinds {[h.kind for h in self.heads]} cannot be "
                "asked by one model. Make a task of each."
            )
        return rows.pop()

    def of_head(self, head: Head) -> TaskData:
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
