"""How good predictions are, in the units that the contest scores, and how sure that is."""

from __future__ import annotations

from typing import Sequence

import pandas as pd

from medkit.datasets.task import Task
from medkit.metrics import METRICS, Comparison, Interval, best_threshold, bootstrap_interval
from medkit.metrics import compare as compare_guesses
from medkit.runs.folder import Run

SHOWN = ("f1_macro", "f1_binary", "accuracy", "sensitivity", "specificity", "auc")


def concat_predictions(runs: Sequence[Run]) -> pd.DataFrame:
    """The held-out predictions of several folds' runs as one table (out-of-fold predictions)."""
    return pd.concat([run.predictions for run in runs], ignore_index=True)


def choose_threshold(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, metric: str = "f1_macro"
) -> float:
    """The threshold on the scored units that makes `metric` largest.

    Args:
        cases, predictions: of held-out cases only; on others the threshold would be too bold.
    """
    units = _judged(task, cases, predictions)
    return best_threshold(_truth(task, units), units["y_prob"].to_numpy(float), metric=metric)


def score_interval(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    metric: str,
    *,
    threshold: float = 0.5,
    n_resamples: int = 1000,
) -> Interval:
    """A score of the contest's units with its 95 % interval, drawing whole groups."""
    units = _judged(task, cases, predictions)
    return bootstrap_interval(
        metric,
        _truth(task, units),
        _guess(metric, units, threshold),
        groups=units["group"].to_numpy(),
        n_resamples=n_resamples,
    )


def score_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: float = 0.5,
    metrics: Sequence[str] = SHOWN,
) -> pd.DataFrame:
    """`metric, value, low, high`: scores of the contest's units with 95 % intervals."""
    rows = []
    for metric in metrics:
        found = score_interval(task, cases, predictions, metric, threshold=threshold)
        rows.append({"metric": metric, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def compare(
    task: Task,
    cases: pd.DataFrame,
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str = "auc",
    *,
    threshold: float = 0.5,
) -> Comparison:
    """Is `b` better than `a`? Their difference on the same cases, drawing the same groups."""
    units_a, units_b = _judged(task, cases, a), _judged(task, cases, b)
    return compare_guesses(
        metric,
        _truth(task, units_a),
        _guess(metric, units_a, threshold),
        _guess(metric, units_b, threshold),
        groups=units_a["group"].to_numpy(),
    )


def _judged(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Units that have a label and a prediction, in the order of the cases."""
    units = task.to_units(cases, predictions)
    units = units[units["y_true"].notna() & units["y_prob"].notna()]
    if units.empty:
        raise ValueError(
            f"{task.name}: no unit has both a label and a prediction. "
            "Pass the held-out cases together with their predictions."
        )
    return units


def _truth(task: Task, units: pd.DataFrame):
    return (units["y_true"] == task.classes[-1]).to_numpy().astype(int)


def _guess(metric: str, units: pd.DataFrame, threshold: float):
    prob = units["y_prob"].to_numpy(float)
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r} (expected one of {', '.join(METRICS)}).")
    is_rank = METRICS[metric].kind == "probabilities"
    return prob if is_rank else (prob >= threshold).astype(int)
