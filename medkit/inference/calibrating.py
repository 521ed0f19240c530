"""Probabilities that mean what they say: of ten cases given 0.7, seven are so."""

from __future__ import annotations

from typing import Dict, Mapping

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from medkit.arguments import check_arguments
from medkit.datasets.task import Head, Task
from medkit.datasets.units import judged, truth, values
from medkit.errors import ConfigError, DataError
from medkit.images.crops import LEVELS
from medkit.metrics import Interval, interval
from medkit.tables import check_columns, match

HOTTEST = 20.0  # a temperature outside 1/20 to 20 says that the labels are not of these cases
TINY = 1e-12
Z95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution


class Temperatures(Dict[str, float]):
    """What `calibrate` found: the temperature of each head, by name."""

    def __init__(self, task: Task, found: Mapping[str, float]):
        super().__init__(found)
        self._task = task

    def apply(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Predictions whose probabilities are flatter (above 1) or steeper, of each head."""
        return with_temperature(self._task, predictions, self)

    def __repr__(self) -> str:
        told = (f"{name} {value:.2f}, {_how_sure(value)}" for name, value in self.items())
        return f"temperatures: {'; '.join(told)}"


def calibrate(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> Temperatures:
    """The temperature of each head that makes held-out labels most likely.

    Above 1 the model was too sure of itself. What is the largest stays the largest. Its `apply`
    gives predictions that are as sure as they may be.

    Args:
        cases, predictions: of held-out cases only, as for `choose_threshold`.

    Raises:
        DataError: for a head without a label among the cases.
    Source: Guo et al., arXiv 1706.04599, section 4.2.

    Example:
        >>> temperatures = mk.calibrate(task, held_out, run.predictions)
        >>> flatter = temperatures.apply(predictions)
        >>> list(flatter.columns) == list(predictions.columns)
        True
    """
    check_arguments(calibrate, locals())
    if not any(head.answer.is_probability for head in task.heads):
        raise ConfigError(
            f"calibrate: {task.scored.name} is {task.scored.answer.words}, and only the "
            "probabilities of classes have a temperature. Leave it out."
        )
    check_columns("cases", cases, ["id"])
    check_columns("predictions", predictions, ["id", *task.columns])
    matched = match(cases[cases["id"].isin(predictions["id"])], predictions)
    found = {}
    for head in (head for head in task.heads if head.answer.is_probability):
        labels = matched.get(head.name, matched.get(f"{head.name}_x"))
        known = None if labels is None else labels.notna().to_numpy()
        if known is None or not known.any():
            raise DataError(
                f"calibrate: no case has a {head.name}. Pass held-out cases with labels."
            )
        logs = np.log(_values(matched, head)[known].clip(TINY))
        codes = head.answer.truth(labels[known])

        def loss(
            log_temperature: float, logs: np.ndarray = logs, codes: np.ndarray = codes
        ) -> float:
            scaled = _softmax(logs / np.exp(log_temperature))
            return -float(np.log(scaled[np.arange(len(codes)), codes].clip(TINY)).mean())

        ends = (-np.log(HOTTEST), np.log(HOTTEST))
        found[head.name] = float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded").x))
    return Temperatures(task, found)


def with_temperature(
    task: Task, predictions: pd.DataFrame, temperature: Mapping[str, float]
) -> pd.DataFrame:
    """Predictions with the probabilities of each head made flatter (above 1) or steeper."""
    check_arguments(with_temperature, locals())
    table = predictions.copy()
    for head in task.heads:
        if head.name in temperature:
            check_columns("predictions", predictions, head.columns)
            logs = np.log(_values(table, head).clip(TINY))
            table[list(head.columns)] = _softmax(logs / temperature[head.name])
    return table


def reliability(task: Task, units: pd.DataFrame, *, bins: int = 10) -> pd.DataFrame:
    """How often what was predicted with some confidence is so.

    Args:
        units: of `task.to_units`, labelled.

    Returns:
        `low, high` (ends of a bin of confidence), `cases`, `confidence` (its mean), `right` (the
        share that is so) with its 95 % interval `right_low, right_high`, for bins that hold a case.
        Of two classes the confidence is the probability of the last one, of more that of the
        largest. Of masks a case is a pixel of a class, but for those of probability 0.

    Raises:
        ConfigError: for a kind of answer that has no probability.
    """
    return RELIABLE[task.scored.kind](task, judged(task, units), bins)


def _of_classes(task: Task, rows: pd.DataFrame, bins: int) -> pd.DataFrame:
    probs, y_true = values(task, rows), truth(task, rows)
    if probs.shape[1] == 2:
        confidence, is_right = probs[:, 1], y_true == 1
    else:
        confidence, is_right = probs.max(1), probs.argmax(1) == y_true
    ends = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(confidence, ends[1:-1]), 0, bins - 1)
    table = pd.DataFrame({"place": place, "confidence": confidence, "right": is_right})
    by_bin = table.groupby("place")
    found = by_bin.mean().assign(cases=by_bin.size()).reset_index()
    found.insert(0, "low", ends[found["place"]])
    found.insert(1, "high", ends[found["place"] + 1])
    found["right_low"], found["right_high"] = share_interval(found["right"], found["cases"])
    return found[["low", "high", "cases", "confidence", "right", "right_low", "right_high"]]


def _of_masks(task: Task, rows: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Exact, from the counts of all cuts: between two of them lie the pixels of one level.

    Pixels of an image are no cases of their own, so the interval comes from drawing whole groups.
    """
    counts = values(task, rows)[:, 1:].reshape(len(rows), 2, LEVELS)[:, :, 1:]  # without level 0
    counts = -np.diff(counts, axis=2, append=0)  # (N, areas and overlaps, levels)
    names, number = np.unique(rows["group"].astype(str), return_inverse=True)
    groups = np.zeros((len(names), *counts.shape[1:]), np.int64)
    np.add.at(groups, number, counts)
    levels, ends = np.arange(1, LEVELS) / (LEVELS - 1), np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(levels, ends[1:-1]), 0, bins - 1)
    found = []
    for k in range(bins):
        pixels, so = groups[:, :, place == k].sum(2).T
        if pixels.sum():
            said = (groups[:, 0, place == k].sum(0) * levels[place == k]).sum() / pixels.sum()
            found.append((ends[k], ends[k + 1], pixels.sum(), said, *_share(so, pixels)))
    columns = ["low", "high", "cases", "confidence", "right", "right_low", "right_high"]
    return pd.DataFrame(found, columns=columns)


def _share(so: np.ndarray, pixels: np.ndarray) -> Interval:
    """Which share of all groups' pixels is so; of one group alone there is no interval."""

    def share(rows: np.ndarray) -> float:
        total = pixels[rows].sum()
        return float(so[rows].sum() / total) if total else float("nan")

    return interval(share, np.arange(len(so)))


def _no_probability(task: Task, rows: pd.DataFrame, bins: int) -> pd.DataFrame:
    raise ConfigError(
        f"reliability: {task.scored.name} is {task.scored.answer.words}, which has no probability. "
        "Use mk.show_answers."
    )


RELIABLE = {  # of each kind of answer
    "classes": _of_classes,
    "number": _no_probability,
    "masks": _of_masks,
    "exclusive_masks": _of_masks,
}


def share_interval(share: pd.Series, count: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The 95 % interval of shares of `count` cases, sound for few cases and for shares of 0 and 1.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209; for small counts advised by Brown, Cai and
    DasGupta, Statistical Science 16 (2001) 101, section 3.1.1.
    """
    weight = Z95**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = Z95 / (1 + weight) * np.sqrt(share * (1 - share) / count + weight / (4 * count))
    return (middle - half).clip(lower=0), (middle + half).clip(upper=1)


def calibration_error(table: pd.DataFrame) -> float:
    """The mean distance of confidence and share over the cases (expected calibration error)."""
    distance = (table["confidence"] - table["right"]).abs()
    return float((distance * table["cases"]).sum() / table["cases"].sum())


def _values(table: pd.DataFrame, head: Head) -> np.ndarray:
    """(N, classes) of a head; a label column of the same name may have pushed one aside."""
    return np.stack(
        [table[name if name in table else f"{name}_y"].to_numpy(float) for name in head.columns], 1
    )


def _how_sure(temperature: float) -> str:
    if round(temperature, 2) == 1:
        return "as sure as it may be"
    return "too sure of itself" if temperature > 1 else "not sure enough"


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
