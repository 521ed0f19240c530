"""Kinds of answers, as far as tables go: a row of `KINDS` each. Layers above have tables of theirs.

Whoever needs to know which kind a head is asks `head.answer`, and is given one of these.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Union

import numpy as np
import pandas as pd

from medkit.images import crops, rle
from medkit.metrics import METRICS, decide, get_metric

Threshold = Union[float, Mapping[str, float]]
OF_TWO_CLASSES = ("f1_binary", "sensitivity", "specificity", "ppv", "npv")
USUAL_OF_TWO = ("f1_macro", "accuracy", "auc", "sensitivity", "specificity")
USUAL_OF_MORE = ("f1_macro", "accuracy", "auc", "f1_weighted", "recall_macro")
SHOWN_OF_TWO = ("f1_macro", "f1_binary", "accuracy", "sensitivity", "specificity", "auc")
MASKS = "masks"  # the column of cases that says where masks lie
MOST_MASKS = 100  # classes of a head of masks
QUARTERS = ("low", "below", "above", "high")  # of the values of a number


class Answer:
    """What all kinds share.

    Attributes:
        columns: of a table of predictions or units, and of the model's output.
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
        """What `folding.summarize` counts, with the index of the cases: what folds go by."""
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
        raise ValueError(
            "Config: balanced=True draws each class of the first head equally often, and "
            f"{self.name} is {self.words}. Leave it off."
        )

    def check_metric(self, metric: str) -> None:
        """Refuse a metric of another kind of answer."""
        if METRICS[metric].kind not in self.takes:
            raise ValueError(
                f"{metric}: {self.name} is {self.words}, which has no such score. Take "
                f"{', '.join(self.usual)}."
            )


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
            ValueError: naming a label that is none of the classes.
        """
        codes = labels.map({name: code for code, name in enumerate(self.columns)})
        odd = labels[codes.isna()].dropna()
        if len(odd):
            raise ValueError(
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
            raise ValueError(
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
            ValueError: naming a label that is no number.
        """
        values = pd.to_numeric(labels, errors="coerce")
        odd = labels[labels.notna() & values.isna()]
        if len(odd):
            raise ValueError(
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


class MaskAnswer(Answer):
    """Masks of classes that may overlap, each pixel by pixel.

    A label is the file in which they lie, a prediction that of their crops (`images.crops`). A unit
    is a class of an image: its true area in pixels, and for all 256 cuts the area that reaches the
    cut and how much of that is true. A threshold picks one; all scores follow from such integers.
    """

    has_classes, is_probability = True, False
    takes = ("areas",)
    columns, lies_in = ("file",), "files"
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
            raise ValueError(
                f"head {name!r}: a head of masks bears the name of the column that says where they "
                f"lie (expected {MASKS!r}). Write mk.Head({MASKS!r}, classes, kind='masks')."
            )
        doubled = sorted({c for c in classes if classes.count(c) > 1})
        if doubled or len(classes) > MOST_MASKS:
            found = f"{doubled[0]!r} twice" if doubled else f"{len(classes)} classes"
            raise ValueError(
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
            ValueError: for one that is no probability, or a class without one.
        """
        given = dict.fromkeys(self.classes, threshold)
        given = dict(threshold) if isinstance(threshold, Mapping) else given
        odd = [n for n in self.classes if not max(self.least, 1e-9) <= (given.get(n) or 0) <= 1]
        if odd or len(given) != len(self.classes):
            wanted = f"a probability from {self.least}" if self.least else "a probability above 0"
            raise ValueError(
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
            ValueError: naming some.
        """
        lost = list(cases["id"][cases[self.name].isna()])
        if lost:
            raise ValueError(
                f"fit: {len(lost)} of {len(cases)} cases have no masks, e.g. {lost[:3]}. Leave "
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
            ValueError: telling by how much.
        """
        runs = list(planes.values())
        twice = sum(map(rle.area, runs)) - rle.area(rle.vote(runs, more_than=0))
        if twice:
            raise ValueError(
                f"{twice:,} pixels are in two masks (expected one a pixel). Write "
                "mk.Head('masks', classes, kind='masks') where they may overlap"
            )


KINDS = {
    "classes": ClassAnswer,
    "number": NumberAnswer,
    "masks": MaskAnswer,
    "exclusive_masks": ExclusiveMaskAnswer,
}
