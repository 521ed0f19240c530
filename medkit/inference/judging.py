"""How good predictions are, in the units that the contest scores, and how sure that is."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Callable, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.task import (
    CLASS_SCORES,
    NUMBER_SCORES,
    Task,
    Threshold,
    guesses,
    judged,
    truth,
)
from medkit.metrics import (
    METRICS,
    Comparison,
    Interval,
    best_cut,
    best_threshold,
    difference,
    interval,
)
from medkit.naming import did_you_mean
from medkit.runs.folder import Run

OF_TWO_CLASSES = ("f1_binary", "sensitivity", "specificity", "ppv", "npv")
SHOWN = ("f1_macro", "f1_binary", "accuracy", "sensitivity", "specificity", "auc")  # of two classes


def concat_predictions(runs: Sequence[Run]) -> pd.DataFrame:
    """The held-out predictions of several folds' runs as one table (out-of-fold predictions)."""
    return pd.concat([run.predictions for run in runs], ignore_index=True)


def choose_threshold(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, metric: str | None = None
) -> Threshold:
    """The threshold on the scored units that makes `metric` best: one a class where there are more
    than two.

    Args:
        cases, predictions: of held-out cases only; on others the threshold would be too bold.
        metric: of `metrics.METRICS`, or any score of the task's own; by default the contest's own
            score, or f1_macro where that one is alike for all thresholds, as AUC is.
    """
    units, classes = judged(task, task.to_units(cases, predictions)), task.scored.classes
    if not classes:
        raise ValueError(f"choose_threshold: {task.scored.name} is a number and needs none.")
    every = np.arange(len(units))
    if metric is None:
        metric = own_score(task, units)
        if _is_alike(task, units, metric):
            metric = "f1_macro"
    sign = 1 if task.greater_is_better(metric) else -1

    def score(threshold: Threshold) -> float:
        return sign * score_of_rows(task, units, metric, threshold)(every)

    if len(classes) > 2:
        return _climb(score, classes)
    probs = units[classes[1]].to_numpy(float)
    if metric in METRICS:
        return best_threshold(truth(task, units), probs, metric=metric)
    return best_cut(score, probs, most=OWN_CUTS)


def score_interval(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    metric: str | None = None,
    *,
    threshold: Threshold = 0.5,
    n_resamples: int = 1000,
) -> Interval:
    """A score of the contest's units with its 95 % interval, drawing whole groups.

    Args:
        metric: of `metrics.METRICS`, any score of the task's own, or "<head>_<metric>"; by default
            the contest's own score.
    """
    task, metric = _of_head(task, metric)
    units = judged_units(task, cases, predictions)
    metric = metric or own_score(task, units)
    score = score_of_rows(task, units, metric, threshold)
    if units["group"].nunique() < 2:
        warnings.warn(
            f"score_interval: all {len(units)} scored cases are of one group, so there is no "
            "interval. Score more groups to have one.",
            stacklevel=2,
        )
        return Interval(score(np.arange(len(units))), float("nan"), float("nan"))
    return interval(
        score,
        units["group"].to_numpy(),
        n_resamples=n_resamples,
    )


def score_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """`metric, value, low, high`: scores of the contest's units with 95 % intervals.

    Args:
        metrics: by default the contest's own score, and the usual ones.
    """
    rows = []
    for metric in metrics or _usual(task, judged_units(task, cases, predictions)):
        found = score_interval(task, cases, predictions, metric, threshold=threshold)
        if metrics is None and np.isnan(found.value):
            continue  # a class is missing
        rows.append({"metric": metric, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def compare(
    task: Task,
    cases: pd.DataFrame,
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str | None = None,
    *,
    threshold: Threshold = 0.5,
) -> Comparison:
    """Is `b` better than `a`? Their difference on the same cases, drawing the same groups.

    Args:
        metric: as `score_interval` takes it: by default the contest's own score.
    """
    task, metric = _of_head(task, metric)
    units_a, units_b = (judged_units(task, cases, table) for table in (a, b))
    if list(units_a["id"]) != list(units_b["id"]):
        raise ValueError(
            f"compare: {len(units_a)} rows of the first table and {len(units_b)} of the second are "
            "predicted, and not the same. Predict the same cases with both."
        )
    metric = metric or own_score(task, units_a)
    return difference(
        score_of_rows(task, units_a, metric, threshold),
        score_of_rows(task, units_b, metric, threshold),
        units_a["group"].to_numpy(),
        greater_is_better=task.greater_is_better(metric),
    )


def own_score(task: Task, units: pd.DataFrame) -> str:
    """The name of the contest's own score: the first that it tells."""
    return next(iter(task.score_units(units, 0.5)))


def score_of_rows(
    task: Task, units: pd.DataFrame, metric: str, threshold: Threshold
) -> Callable[[np.ndarray], float]:
    """A score by name, of `METRICS` or the task's own, as a function of the numbers of rows."""
    if metric in METRICS:
        _check_kind(task, metric)
        y_true = truth(task, units)
        guess = guesses(task, units, threshold, metric)
        return lambda rows: METRICS[metric](y_true[rows], guess[rows])
    known = task.score_units(units, threshold)
    if metric not in known:
        raise ValueError(
            f"unknown metric {metric!r} (expected one of {', '.join([*known, *METRICS])})."
            f"{did_you_mean(metric, [*known, *METRICS])}"
        )
    return lambda rows: task.score_units(units.iloc[rows], threshold)[metric]


def judged_units(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The units that have both a label and a prediction.

    Raises:
        ValueError: when there is none, or ids of `predictions` are doubled.
    """
    if predictions["id"].duplicated().any():
        doubled = predictions["id"][predictions["id"].duplicated()]
        raise ValueError(
            f"{task.name}: {len(doubled)} ids stand more than once in the predictions, e.g. "
            f"{doubled.iloc[0]!r}. Pass one prediction of each case."
        )
    return judged(task, task.to_units(cases, predictions))


def _of_head(task: Task, metric: str | None) -> tuple[Task, str | None]:
    """The task of one head alone for "<head>_<metric>", as `score` tells it; else as it is."""
    for head in task.heads if len(task.heads) > 1 and metric and metric not in METRICS else ():
        name = metric[len(head.name) + 1 :]
        if metric == f"{head.name}_{name}" and name in METRICS:
            own = {"to_units": None, "score_units": None, "score": None}
            return replace(task, heads=(head,), scored=head, submission_labels=(), **own), name
    return task, metric


def _is_alike(task: Task, units: pd.DataFrame, metric: str) -> bool:
    """Whether a score is the same at all thresholds: it goes by probabilities alone."""
    if metric in METRICS:
        return METRICS[metric].kind == "probabilities"
    classes, every = task.scored.classes, np.arange(len(units))
    tried = [{name: 1.0 + 9.0 * (name == other) for name in classes} for other in classes]
    if len(classes) == 2:
        tried = np.quantile(units[classes[1]].to_numpy(float), [0.1, 0.5, 0.9])
    return len({score_of_rows(task, units, metric, threshold)(every) for threshold in tried}) == 1


def _check_kind(task: Task, metric: str) -> None:
    """Refuse a metric that the kind of answer has not."""
    count, is_of_numbers = len(task.scored.classes), METRICS[metric].kind == "numbers"
    if is_of_numbers != (count == 0):
        kind = f"one of {count} classes" if count else "a number"
        raise ValueError(f"{metric}: {task.scored.name} is {kind}, which has no such score.")
    if count > 2 and metric in OF_TWO_CLASSES:
        raise ValueError(
            f"{metric}: {task.scored.name} has {count} classes (expected 2). Take f1_macro, "
            "recall_macro or auc."
        )


def _usual(task: Task, units: pd.DataFrame) -> list[str]:
    """The names of the scores that are worth showing."""
    usual = {0: NUMBER_SCORES, 2: SHOWN}.get(len(task.scored.classes), CLASS_SCORES)
    return list(dict.fromkeys([own_score(task, units), *usual]))


def _climb(score: Callable[[Threshold], float], classes: Sequence[str]) -> dict[str, float]:
    """Thresholds by class, improved one after the other until none brings more."""
    best = dict.fromkeys(classes, 1.0)
    value, before = score(best), -np.inf
    while value > before:
        before = value
        for name in classes:
            for factor in FACTORS:
                tried = {**best, name: best[name] * factor}
                found = score(tried)
                if found > value:
                    value, best = found, tried
    total = sum(best.values())
    return {name: round(number / total, 6) for name, number in best.items()}


OWN_CUTS = 200  # thresholds tried for a score of the task's own, which may be slow
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
