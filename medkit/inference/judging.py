"""How good predictions are, in the units that the contest scores, and how sure that is."""

from __future__ import annotations

from typing import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.scoring import judged_units, of_head, own_score, score_interval, score_of_rows
from medkit.datasets.task import Task
from medkit.datasets.units import judged, truth, values
from medkit.errors import ConfigError, DataError
from medkit.images.crops import LEVELS, cut_of
from medkit.metrics import (
    METRICS,
    Comparison,
    best_cut,
    best_threshold,
    difference,
    get_metric,
)
from medkit.runs.folder import Run


def concat_predictions(runs: Iterable[Run]) -> pd.DataFrame:
    """The held-out predictions of several folds' runs as one table (out-of-fold predictions).

    Example:
        >>> out_of_fold = mk.concat_predictions(runs)
        >>> len(out_of_fold) == sum(len(run.predictions) for run in runs)
        True
    """
    check_arguments(concat_predictions, locals())
    runs = list(runs)
    if not runs:
        raise ConfigError("concat_predictions: runs: found none (expected one or more).")
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

    Example:
        >>> threshold = mk.choose_threshold(task, held_out, run.predictions)
        >>> before = mk.score(task, held_out, run.predictions)
        >>> after = mk.score(task, held_out, run.predictions, threshold=threshold)
        >>> after["f1_macro"] >= before["f1_macro"]
        True
    """
    check_arguments(choose_threshold, locals())
    units = judged(task, task.to_units(cases, predictions))
    return CUTS[task.scored.kind](task, units, metric)


def score_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    metrics: Iterable[str] | str | None = None,
    threshold: Threshold = 0.5,
    n_resamples: int = 1000,
) -> pd.DataFrame:
    """`metric, value, low, high`: scores of the contest's units with 95 % intervals, drawing whole
    groups.

    Args:
        metrics: one or several of `metrics.METRICS`, any score of the task's own, or
            "<head>_<metric>"; by default the contest's own score, and the usual ones.
        n_resamples: how often groups are drawn.

    Example:
        >>> table = mk.score_table(task, held_out, run.predictions, metrics="f1_macro")
        >>> list(table.columns), table["metric"].tolist()
        (['metric', 'value', 'low', 'high'], ['f1_macro'])
    """
    check_arguments(score_table, locals())
    options = {"threshold": threshold, "n_resamples": n_resamples}
    asked, rows = [metrics] if isinstance(metrics, str) else metrics, []
    for metric in asked or _usual(task, judged_units(task, cases, predictions)):
        found = score_interval(task, cases, predictions, metric, **options)
        if metrics is None and np.isnan(found.value):
            continue  # a class is missing
        rows.append({"metric": metric, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def compare(
    task: Task,
    cases: pd.DataFrame,
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str | None = None,
    threshold: Threshold = 0.5,
) -> Comparison:
    """Is `b` better than `a`? Their difference on the same cases, drawing the same groups.

    Args:
        cases: labelled.
        a, b: predictions of the same cases.
        metric: as `score_table` takes one; by default the contest's own score.
        threshold: from which a class is called, in both.

    Returns:
        `difference` (b's score less a's), `low` and `high` (its 95 % interval, of 1,000 draws of
        whole groups), and `share_better`, the share of the draws in which b is better.

    Example:
        >>> mk.compare(task, held_out, run.predictions, run.predictions)
        Comparison(difference=0.0, low=0.0, high=0.0, share_better=0.5)
    """
    check_arguments(compare, locals())
    task, metric = of_head(task, metric)
    units_a, units_b = (judged_units(task, cases, table) for table in (a, b))
    if list(units_a["id"]) != list(units_b["id"]):
        raise DataError(
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


def _cut_of_classes(task: Task, units: pd.DataFrame, metric: str | None) -> Threshold:
    """The probability from which the last of two classes is chosen; of more, one for each."""
    every, classes = np.arange(len(units)), task.scored.classes
    if metric is None:
        metric = own_score(task, units)
        if _is_alike(task, units, metric):
            metric = "f1_macro"
    sign = 1 if task.greater_is_better(metric) else -1

    def score(threshold: Threshold) -> float:
        return sign * score_of_rows(task, units, metric, threshold)(every)

    if len(classes) > 2:
        return _climb(score, classes)
    probs = values(task, units)[:, 1]
    if metric in METRICS:
        return best_threshold(truth(task, units), probs, metric=metric)
    return best_cut(score, probs, most=OWN_CUTS)


def _cut_of_masks(task: Task, units: pd.DataFrame, metric: str | None) -> Threshold:
    """The best of all cuts for each class alone: exact, as the score is a mean over classes.

    Of equally good ones the middle of the widest stretch.
    """
    metric = metric or task.scored.answer.usual[0]
    get_metric(metric)
    task.scored.answer.check_metric(metric)
    every, areas, found = values(task, units), truth(task, units), {}
    first = cut_of(task.scored.answer.least)
    for number, name in enumerate(task.scored.classes):
        rows = every[:, 0] == number
        area, overlap = every[rows, 1 : 1 + LEVELS], every[rows, 1 + LEVELS :]
        scores = [
            METRICS[metric](areas[rows], np.stack([area[:, cut], overlap[:, cut]], 1))
            for cut in range(first, LEVELS)
        ]
        found[name] = _middle(np.array(scores if rows.any() else [0.0]), first)
    return found if len(found) > 1 else next(iter(found.values()))


def _middle(scores: np.ndarray, first: int) -> float:
    """The threshold of the middle of the longest stretch of best scores, of cuts from `first`."""
    is_best = np.concatenate([[False], scores >= scores.max() - 1e-12, [False]])
    ends = np.flatnonzero(np.diff(is_best.astype(int))).reshape(-1, 2) + first
    low, high = ends[np.argmax(ends[:, 1] - ends[:, 0])]
    return round(float((low + high - 1) // 2 - 0.5) / (LEVELS - 1), 4)


def _no_cut(task: Task, units: pd.DataFrame, metric: str | None) -> Threshold:
    raise ConfigError(
        f"choose_threshold: {task.scored.name} is {task.scored.answer.words} and needs none."
    )


def _is_alike(task: Task, units: pd.DataFrame, metric: str) -> bool:
    """Whether a score is the same at all thresholds: it goes by probabilities alone."""
    if metric in METRICS:
        return METRICS[metric].kind == "probabilities"
    classes, every = task.scored.classes, np.arange(len(units))
    tried = [{name: 1.0 + 9.0 * (name == other) for name in classes} for other in classes]
    if len(classes) == 2:
        tried = np.quantile(values(task, units)[:, 1], [0.1, 0.5, 0.9])
    return len({score_of_rows(task, units, metric, threshold)(every) for threshold in tried}) == 1


def _usual(task: Task, units: pd.DataFrame) -> list[str]:
    """The names of the scores that are worth showing."""
    return list(dict.fromkeys([own_score(task, units), *task.scored.answer.shown]))


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
    return {name: max(SMALLEST, round(number / total, 4)) for name, number in best.items()}


OWN_CUTS = 200  # thresholds tried for a score of the task's own, which may be slow
SMALLEST = 1e-4  # threshold of a class
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
CUTS = {  # of each kind of answer
    "classes": _cut_of_classes,
    "number": _no_cut,
    "masks": _cut_of_masks,
    "exclusive_masks": _cut_of_masks,
}
