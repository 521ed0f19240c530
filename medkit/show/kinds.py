"""Kinds of answers in figures: a row of `SHOWN` each.

A figure asks `SHOWN[head.kind](head)` once, at its beginning, and draws what that one says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_fscore_support

from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError
from medkit.show.canvas import (
    COLOURS,
    GREY,
    UNLABELLED,
    Picture,
    class_colour,
    class_look,
    count_mistakes,
    headroom,
    percent,
    short,
    write_above,
)
from medkit.show.cuts import of_classes
from medkit.show.masks import ShownMasks
from medkit.show.shown import Shown, quarters


class ShownClasses(Shown):
    """One of several classes; the last is the one that is looked for."""

    beside = "show_confusion"  # the figure of answers beside the truth
    figures = (beside, "show_threshold", "show_reliability", "show_hypnogram", "show_photos")
    figures += ("show_teeth", "tooth_table")

    def __init__(self, head: Head):
        super().__init__(head)
        self.classes = head.classes
        is_two = len(head.classes) == 2
        self.so = f"really {head.classes[-1]}" if is_two else "right"
        self.said = head.classes[-1] if is_two else "the class that it chooses"

    def threshold(self, task: Task, rows: pd.DataFrame, threshold: Threshold) -> Picture:
        """What a threshold does to judged units."""
        return of_classes(task, rows, threshold)

    def bright(self, name: str) -> str:
        return f"Bright: what spoke for {name}. Above each picture: the probability of {name}."

    def foretold(self, name: str, value: Any) -> str:
        return f"{short(name, 14)} {value:.2f}"

    def is_sought(self, label: Any) -> bool:
        """Whether a case of this label is what is looked for."""
        return label == self.classes[-1]

    def off(self, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """(N,) how much likelier the wrong class was said to be than the true one; right ones: -1.

        Args:
            y_true, values, guess: as `truth`, `values` and `chosen` of `datasets.units` give them.
        """
        rows = np.arange(len(guess))
        return np.where(guess == y_true, -1.0, values[rows, guess] - values[rows, y_true])

    def told(self, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray) -> list[str]:
        """What stands above each picture: the prediction, and the truth."""
        right = ["rightly" if is_right else "WRONGLY" for is_right in guess == y_true]
        names, probs = np.array(self.classes), values[np.arange(len(guess)), guess]
        rows = zip(right, names[guess], probs, names[y_true])
        return [f"{how} {name} ({prob:.2f})\ntruth: {true}" for how, name, prob, true in rows]

    def count(
        self, shown: int, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray, noun: str
    ) -> str:
        """Of how many mistakes the first are shown."""
        return count_mistakes(shown, int((guess != y_true).sum()), len(guess), noun)

    def table(self, y_true: np.ndarray, guess: np.ndarray) -> pd.DataFrame:
        """`class, cases, predicted, precision, recall, f1`, a row a class."""
        codes = range(len(self.classes))
        precision, recall, f1, support = precision_recall_fscore_support(
            y_true, guess, labels=codes, zero_division=0
        )
        counts = np.bincount(guess, minlength=len(codes))
        columns = {"class": self.classes, "cases": support, "predicted": counts}
        return pd.DataFrame({**columns, "precision": precision, "recall": recall, "f1": f1})

    def parts(self, labels: pd.Series) -> tuple[pd.Series, list[str]]:
        """Labels as words of which there are few, and these in order."""
        return labels, list(self.classes)

    def balance(self, axes: Axes, labels: pd.Series) -> None:
        """A bar a class: counts and shares."""
        counts = {name: int((labels == name).sum()) for name in self.classes}
        if labels.isna().any():
            counts[UNLABELLED] = int(labels.isna().sum())
        for k, (name, count) in enumerate(counts.items()):
            colour, hatch = class_look(name, k)
            axes.bar(k, count, color=colour, edgecolor="white", hatch=hatch, width=0.65)
            share = count / max(1, len(labels))
            write_above(axes, k, count, f"{count:,}\n{share:.1%}")
        axes.set_xticks(range(len(counts)), list(counts), rotation=0 if len(counts) < 7 else 90)
        axes.set_xlim(-0.7, len(counts) - 0.3)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        headroom(axes, 0.18)

    def groups(self, axes: Axes, labels: pd.Series, groups: pd.Series) -> None:
        """Groups of one class only, and of several: by these a model may know the group instead."""
        known = labels.notna()
        mixed = labels[known].groupby(groups[known]).agg(lambda own: tuple(sorted(set(own))))
        counts = {label: int((mixed == (label,)).sum()) for label in self.classes}
        counts["several"] = int((mixed.str.len() > 1).sum())
        for k, (label, count) in enumerate(counts.items()):
            axes.bar(k, count, width=0.6, color=class_colour(label, k), edgecolor="white")
            write_above(axes, k, count, f"{count:,}")
        axes.set_xticks(range(len(counts)), list(counts), rotation=0 if len(counts) < 6 else 90)
        axes.set_ylabel("groups")
        axes.set_title("groups whose cases are all of one class")

    def folds(self, axes: Axes, labels: pd.Series, folds: pd.Series) -> None:
        """The share of the class that is looked for, fold by fold."""
        known = labels.notna()
        is_sought = labels[known] == self.classes[-1]
        share = is_sought.groupby(folds[known]).mean().reindex(sorted(folds.unique()))
        axes.plot(range(len(share)), share, "D", color=COLOURS[5], ms=8)
        axes.axhline(is_sought.mean(), color=GREY, ls="--", lw=1, label="all folds")
        axes.set_ylim(0, max(0.02, 1.35 * share.max()))
        axes.yaxis.set_major_formatter(percent)
        axes.legend(loc="lower right")
        axes.set_title(f"share of {self.classes[-1]}")


class ShownNumber(Shown):
    """A number, which is right by more or less."""

    beside = "show_agreement"
    figures = (beside,)

    def word(self, label: Any) -> str:
        """A label as it stands beside a picture."""
        value = pd.to_numeric(label, errors="coerce")
        return f"{value:.4g}" if pd.notna(value) else UNLABELLED if pd.isna(label) else str(label)

    def is_sought(self, label: Any) -> bool:
        """No number is looked for more than another."""
        return False

    def off(self, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """(N,) how far each prediction is from the truth."""
        return np.abs(guess - y_true)

    def told(self, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray) -> list[str]:
        """What stands above each picture: the prediction, and the truth."""
        return [f"predicted {said:.3g}\ntruth: {true:.3g}" for said, true in zip(guess, y_true)]

    def count(
        self, shown: int, y_true: np.ndarray, values: np.ndarray, guess: np.ndarray, noun: str
    ) -> str:
        """How many are shown."""
        return f"{shown:,} of {len(guess):,} {noun}, the farthest off first"

    def table(self, y_true: np.ndarray, guess: np.ndarray) -> pd.DataFrame:
        """`low, high, cases, error`, by quarters of the true values."""
        place, ends = quarters(y_true)
        errors = pd.Series(np.abs(guess - y_true)).groupby(place).agg(["size", "mean"])
        low, high = ends[errors.index].T
        return pd.DataFrame(
            {"low": low, "high": high, "cases": errors["size"], "error": errors["mean"]}
        )

    def parts(self, labels: pd.Series) -> tuple[pd.Series, list[str]]:
        """Labels as words of which there are few, and these in order: the quarters of all."""
        values = self.answer.codes(labels)
        known = ~np.isnan(values)
        place, ends = quarters(values[known])
        texts = ([f"{low:.4g}", f"{high:.4g}"] for low, high in ends)
        names = np.array([" to ".join(dict.fromkeys(pair)) for pair in texts], dtype=object)
        words = pd.Series(None, labels.index, dtype=object)
        words[known] = names[place]
        return words, list(dict.fromkeys(names))

    def balance(self, axes: Axes, labels: pd.Series) -> None:
        """A histogram, with its middle marked."""
        values = pd.Series(self.answer.codes(labels)).dropna()
        axes.hist(values, bins=min(30, 5 + len(values) // 4), color=COLOURS[0], edgecolor="white")
        gone = len(labels) - len(values)
        axes.set_xlabel(self.name + f" ({gone:,} without a label)" * bool(gone))
        headroom(axes, 0.18)
        if len(values):
            text = f"median {values.median():.4g}"
            axes.axvline(values.median(), color=GREY, ls="--", lw=1.2, label=text)
            axes.legend(fontsize=9, loc="upper right")

    def groups(self, axes: Axes, labels: pd.Series, groups: pd.Series) -> None:
        """The mean of each group."""
        means = pd.Series(self.answer.codes(labels), labels.index).groupby(groups).mean().dropna()
        axes.hist(means, bins=min(30, 5 + len(means) // 4), color=COLOURS[0], edgecolor="white")
        axes.set(xlabel=f"mean {self.name} of a group", ylabel="groups")

    def folds(self, axes: Axes, labels: pd.Series, folds: pd.Series) -> None:
        """Half of each fold's numbers in a box, with their median and mean."""
        values = pd.Series(self.answer.codes(labels), labels.index).dropna()
        parts = [values[folds[values.index] == fold] for fold in sorted(folds.unique())]
        mean = {"marker": "D", "mfc": COLOURS[5], "mec": "white", "ms": 8}
        axes.boxplot(
            parts, positions=range(len(parts)), widths=0.5, showmeans=True, meanprops=mean,
            medianprops={"color": COLOURS[0], "lw": 2}, boxprops={"color": GREY},
            flierprops={"ms": 3, "mec": GREY}, manage_ticks=False,
        )  # fmt: skip
        text = "median of all folds"
        axes.axhline(values.median(), color=GREY, ls="--", lw=1, zorder=0, label=text)
        headroom(axes, 0.22)
        axes.legend(loc="upper right", fontsize=9)
        axes.set_title(f"{self.name} (diamond: mean)")


SHOWN = {  # of each kind of answer
    "classes": ShownClasses,
    "number": ShownNumber,
    "masks": ShownMasks,
    "exclusive_masks": ShownMasks,
}


def check_suits(head: Head, figure: str, instead: str = "show_answers") -> None:
    """Refuse a figure of another kind of answer.

    Args:
        instead: the figure to use.
    """
    shown = SHOWN[head.kind]
    if figure not in shown.figures:
        raise ConfigError(f"{figure}: this task asks for {head.answer.words}. Use {instead}.")


def chosen_of(head: Head, table: pd.DataFrame, threshold: Threshold) -> np.ndarray:
    """(N,) float: what is predicted, as a number; not a number in rows without a prediction.

    Args:
        table: with the head's columns of predictions.
    """
    values = table[list(head.columns)].to_numpy(float)
    known = ~np.isnan(values).any(axis=1)
    chosen = np.full(len(values), np.nan)
    chosen[known] = head.answer.chosen(values[known], threshold)
    return chosen
