"""Weights for a vote of several tables of predictions, chosen on labelled cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np
import pandas as pd

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.scoring import judged_units, score_of_rows
from medkit.datasets.task import Task, judged
from medkit.errors import DataError
from medkit.images import crops
from medkit.inference.ensembling import aligned, blend
from medkit.inference.mask_votes import hard, is_known, opened, soft

Score = Callable[[np.ndarray, Any], float]  # votes, a fold to leave out or None -> their score


@dataclass(frozen=True)
class Weights:
    """What `choose_weights` found.

    Attributes:
        weights: of the tables, adding up to 1.
        predictions: out-of-fold, by the final weights.
        score: of these; the weights have seen the labels, so it is too good.
        nested: predictions of each fold by weights that were chosen on the other folds.
        nested_score: of these; report this one.
    """

    weights: tuple[float, ...]
    predictions: pd.DataFrame
    score: float
    nested: pd.DataFrame
    nested_score: float

    def __repr__(self) -> str:
        shares = ", ".join(f"{weight:.2f}" for weight in self.weights)
        return f"weights {shares}: {self.nested_score:.4f} nested, {self.score:.4f} on what chose"


def choose_weights(
    task: Task,
    cases: pd.DataFrame,
    predictions: Sequence[pd.DataFrame],
    *,
    metric: str | None = None,
    threshold: Threshold = 0.5,
    rounds: int = 20,
) -> Weights:
    """Greedy weights: again and again the table that helps the score most gets one vote more.

    Args:
        cases: labelled, with `fold`.
        predictions: out-of-fold tables, as `fit_folds` makes them; of cases that a model was
            trained on, its weight would be too large.
        metric: of `metrics.METRICS` or of the task; by default the contest's own score.
        rounds: votes to give.

    Source: Caruana et al., Ensemble selection from libraries of models, ICML 2004.

    Example:
        >>> table = mk.concat_predictions(runs)
        >>> mk.choose_weights(task, cases, [table, table], rounds=4)
        weights 1.00, 0.00: ...
    """
    check_arguments(choose_weights, locals())
    if "fold" not in cases:
        raise DataError("choose_weights: no column 'fold'. Pass the cases of mk.fit_folds.")
    if cases["fold"].nunique() < 2:
        raise DataError(
            f"choose_weights: all {len(cases)} cases are of one fold (expected 2 or more, of which "
            "one chooses for the other). Pass the cases of mk.fit_folds."
        )
    aligned(task, predictions)  # refuses tables that do not fit together
    metric = metric or next(iter(task.score(cases, predictions[0])))
    sign = 1 if task.greater_is_better(metric) else -1
    trials = TRIALS[task.scored.answer.lies_in]
    score = trials(task, cases, predictions, metric, threshold)
    facts = {"count": len(predictions), "sign": sign, "rounds": rounds}
    weights = _greedy(score, None, **facts)
    parts = []
    for fold in sorted(cases["fold"].unique()):
        held_out = cases[cases["fold"] == fold]
        chosen = _greedy(score, fold, **facts)
        of_fold = [table[table["id"].isin(held_out["id"])] for table in predictions]
        parts.append(blend(task, of_fold, weights=chosen))
    blended, nested = blend(task, predictions, weights=weights), pd.concat(parts, ignore_index=True)
    return Weights(
        tuple(float(weight) for weight in weights),
        blended,
        _score(task, cases, blended, metric, threshold),
        nested,
        _score(task, cases, nested, metric, threshold),
    )


def _greedy(score: Score, without: Any, *, count: int, sign: int, rounds: int) -> np.ndarray:
    """Votes of each table; those that brought nothing better are taken back.

    Where the score has no value (a class is missing), all tables count alike.
    """
    votes, best, kept = np.zeros(count), -np.inf, np.ones(count)
    for _ in range(rounds):
        tried = [votes + row for row in np.eye(count)]
        found = [sign * score(each, without) for each in tried]
        found = [-np.inf if np.isnan(value) else value for value in found]  # a class is missing
        votes = tried[int(np.argmax(found))]
        if max(found) > best:
            best, kept = max(found), votes
    return kept / kept.sum()


def _of_tables(
    task: Task,
    cases: pd.DataFrame,
    predictions: Sequence[pd.DataFrame],
    metric: str,
    threshold: Threshold,
) -> Score:
    """Votes of tables, blended and scored."""

    def score(votes: np.ndarray, without: Any) -> float:
        some = cases if without is None else cases[cases["fold"] != without]
        parts = [table[table["id"].isin(some["id"])] for table in predictions]
        return _score(task, some, blend(task, parts, weights=votes), metric, threshold)

    return score


class _OfMasks:
    """Votes of masks, scored image by image; what some weights scored is remembered.

    Neither crops nor counts are kept: of each image the vote is decided at the threshold, and of
    all weights only the scores stay, without each of the folds.
    """

    def __init__(
        self,
        task: Task,
        cases: pd.DataFrame,
        predictions: Sequence[pd.DataFrame],
        metric: str,
        threshold: Threshold,
    ):
        self.task, self.metric, self.threshold = task, metric, threshold
        self._cases = [cases.iloc[[row]] for row in range(len(cases))]
        self._folds = cases["fold"].to_numpy()
        self._files = [tables.files_of(table) for table in aligned(task, predictions)]
        self._cuts = [crops.cut_of(of) for of in task.scored.answer.thresholds(threshold)]
        self._known: dict[tuple[int, ...], dict[Any, float]] = {}

    def __call__(self, votes: np.ndarray, without: Any) -> float:
        whole = votes.astype(int)
        key = tuple((whole // np.gcd.reduce(whole)).tolist())  # 2 of 4 are 1 of 2
        if key not in self._known:
            self._known[key] = self._scores(np.array(key) / sum(key))
        return self._known[key][without]

    def _scores(self, shares: np.ndarray) -> dict[Any, float]:
        """The score of all cases, and of those without each fold."""
        found = [self.task.to_units(case, self._decided(case, shares)) for case in self._cases]
        folds = np.repeat(self._folds, [len(units) for units in found])
        units = judged(self.task, pd.concat(found, ignore_index=True))
        folds = folds[units.index]
        score = score_of_rows(self.task, units, self.metric, self.threshold)
        rows = {fold: np.flatnonzero(folds != fold) for fold in np.unique(self._folds)}
        rows[None] = np.arange(len(units))
        return {fold: float(score(of)) if len(of) else np.nan for fold, of in rows.items()}

    def _decided(self, case: pd.DataFrame, shares: np.ndarray) -> pd.DataFrame:
        """The vote on an image at the threshold, in a table of one row or none."""
        id, found = case["id"].iloc[0], None
        row = [files[id] for files in self._files if id in files]
        if row and is_known(row, shares):
            classes = self.task.scored.classes
            mean = soft(*opened(row, shares, id, classes))
            found = hard([mean], np.ones(1), cuts=[self._cuts])
        table = pd.DataFrame({"id": [id], "file": pd.Series([found], dtype=object)})
        return table if row else table.iloc[:0]


TRIALS = {"table": _of_tables, "files": _OfMasks}  # by `Answer.lies_in`


def _score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, metric: str, threshold: Threshold
) -> float:
    units = judged_units(task, cases, predictions)
    return float(score_of_rows(task, units, metric, threshold)(np.arange(len(units))))
