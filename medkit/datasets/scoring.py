"""A score by name of predictions, in the units that the contest scores, and how sure it is."""

from __future__ import annotations

import warnings
from typing import Callable

import numpy as np
import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import guesses, judged, truth
from medkit.errors import ConfigError, DataError
from medkit.metrics import METRICS, Interval, interval
from medkit.naming import did_you_mean
from medkit.tables import check_columns


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
    check_arguments(score_interval, locals())
    task, metric = of_head(task, metric)
    units = judged_units(task, cases, predictions)
    metric = metric or own_score(task, units)
    if units["group"].nunique() < 2:
        warnings.warn(
            f"score_table: all {len(units)} scored cases are of one group, so there is no "
            "interval. Score more groups to have one.",
            stacklevel=3,
        )
    score = score_of_rows(task, units, metric, threshold)
    return interval(score, units["group"].to_numpy(), n_resamples=n_resamples)


def own_score(task: Task, units: pd.DataFrame) -> str:
    """The name of the contest's own score: the first that it tells."""
    return next(iter(task.score_units(units, 0.5)))


def score_of_rows(
    task: Task, units: pd.DataFrame, metric: str, threshold: Threshold
) -> Callable[[np.ndarray], float]:
    """A score by name, of `METRICS` or the task's own, as a function of the numbers of rows."""
    if metric in METRICS:
        task.scored.answer.check_metric(metric)
        y_true = truth(task, units)
        guess = guesses(task, units, threshold, metric)
        return lambda rows: METRICS[metric](y_true[rows], guess[rows])
    known = task.score_units(units, threshold)
    if metric not in known:
        raise ConfigError(
            f"unknown metric {metric!r} (expected one of {', '.join([*known, *METRICS])})."
            f"{did_you_mean(metric, [*known, *METRICS])}"
        )
    return lambda rows: task.score_units(units.iloc[rows], threshold)[metric]


def judged_units(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The units that have both a label and a prediction.

    Raises:
        DataError: when there is none, or ids of `predictions` are doubled.
    """
    check_columns(f"{task.name}: predictions", predictions, ["id"])
    if predictions["id"].duplicated().any():
        doubled = predictions["id"][predictions["id"].duplicated()]
        raise DataError(
            f"{task.name}: {len(doubled)} ids stand more than once in the predictions, e.g. "
            f"{doubled.iloc[0]!r}. Pass one prediction of each case."
        )
    return judged(task, task.to_units(cases, predictions))


def of_head(task: Task, metric: str | None) -> tuple[Task, str | None]:
    """The task of one head alone for "<head>_<metric>", as `score` tells it; else as it is."""
    for head in task.heads if len(task.heads) > 1 and metric and metric not in METRICS else ():
        name = metric[len(head.name) + 1 :]
        if metric == f"{head.name}_{name}" and name in METRICS:
            return task.of_head(head), name
    return task, metric
