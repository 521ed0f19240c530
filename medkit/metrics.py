"""Scores by name, their intervals, the comparison of two predictions, and the best threshold.

Each is scikit-learn's; what is ours is the drawing of whole groups: two photos of one mouth are
not two independent cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np
import pandas as pd

from medkit import seeding
from medkit.errors import ConfigError, DataError
from medkit.naming import did_you_mean

CONFIDENCE = 0.95  # of an interval
SMOOTH = 1e-4  # pixels, added above and below: a mask that is rightly empty scores 1


@dataclass(frozen=True)
class Metric:
    """A score: `metric(y_true, guess)` is a float.

    `y_true` is (N,) codes of classes, 0 and 1 where a score asks for two; `guess` is (N,) labels,
    or where `kind` is "probabilities" (N,) those of class 1 or (N, C) those of all, or where it is
    "numbers" (N,) numbers like `y_true`. Where it is "areas", `y_true` is (N,) true areas of masks
    in pixels, and `guess` (N, 2) the areas found, and how much of them is true.
    """

    name: str
    function: Callable[[np.ndarray, np.ndarray], float]
    kind: str = "labels"
    greater_is_better: bool = True

    def __call__(self, y_true: np.ndarray, guess: np.ndarray) -> float:
        y_true, guess = np.asarray(y_true), np.asarray(guess)
        if len(y_true) != len(guess) or not len(y_true):
            raise DataError(
                f"{self.name}: {len(y_true)} labels and {len(guess)} guesses. Pass one for each."
            )
        for name, values in (("y_true", y_true), ("guess", guess)):
            _check_no_gaps(self.name, name, values)
        if self.kind == "probabilities" and len(np.unique(y_true)) < _classes(guess):
            return float("nan")  # a ranking that lacks a class has no score
        return float(self.function(y_true, guess))


def sk() -> Any:
    """scikit-learn's scores. Their import takes a second, so it waits for the first score."""
    from sklearn import metrics

    return metrics


def _of_sk(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """A score of scikit-learn as it is."""
    return lambda y, guess: getattr(sk(), name)(y, guess)


def _f1(average: str) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda y, guess: sk().f1_score(y, guess, average=average, zero_division=0)


def _recall(of: int) -> Callable[[np.ndarray, np.ndarray], float]:
    def recall(y: np.ndarray, guess: np.ndarray) -> float:
        is_none = not (y == of).any()  # to be found: no score, and not a bad one
        return float("nan") if is_none else sk().recall_score(y, guess, pos_label=of)

    return recall


def _precision(of: int) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda y, guess: sk().precision_score(y, guess, pos_label=of, zero_division=0)


def _ranked(function: Callable) -> Callable[[np.ndarray, np.ndarray], float]:
    """Of more than two classes, the mean over each class against the rest."""

    def mean(y: np.ndarray, probs: np.ndarray) -> float:
        if probs.ndim == 1:
            return function(y, probs)
        return float(np.mean([function(y == code, p) for code, p in enumerate(probs.T)]))

    return mean


def _overlap(y_true: np.ndarray, found: np.ndarray, *, of_both: int) -> float:
    """Mean share of true and found area that is common; of a mask that is empty in both it is 1."""
    area, common = found[:, 0].astype(float), found[:, 1].astype(float)
    either = y_true + area - (2 - of_both) * common
    return float(np.mean((of_both * common + SMOOTH) / (either + SMOOTH)))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("f1_macro", _f1("macro")),
        Metric("f1_binary", _f1("binary")),
        Metric("f1_micro", _f1("micro")),
        Metric("f1_weighted", _f1("weighted")),
        Metric("accuracy", _of_sk("accuracy_score")),
        Metric("sensitivity", _recall(1)),
        Metric("specificity", _recall(0)),
        Metric("ppv", _precision(1)),
        Metric("npv", _precision(0)),
        Metric(
            "recall_macro", lambda y, g: sk().recall_score(y, g, average="macro", zero_division=0)
        ),
        Metric("auc", _ranked(_of_sk("roc_auc_score")), "probabilities"),
        Metric("average_precision", _ranked(_of_sk("average_precision_score")), "probabilities"),
        Metric("mae", _of_sk("mean_absolute_error"), "numbers", greater_is_better=False),
        Metric("rmse", lambda y, g: np.sqrt(sk().mean_squared_error(y, g)), "numbers", False),
        Metric("r2", _of_sk("r2_score"), "numbers"),
        Metric("dice", partial(_overlap, of_both=2), "areas"),
        Metric("iou", partial(_overlap, of_both=1), "areas"),
    )
}


class Interval(NamedTuple):
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


class Comparison(NamedTuple):
    """How much better the second is, its interval, and how often it was better."""

    difference: float
    low: float
    high: float
    share_better: float

    @property
    def is_sure(self) -> bool:
        """Whether the second is better all over the interval; False where it holds 0."""
        return self.low * self.high > 0 and self.share_better > 0.5

    def __str__(self) -> str:
        share = f"better in {self.share_better:.0%} of resamples"
        return f"{self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f}), {share}"


def get_metric(name: str) -> Metric:
    """A metric by name.

    Raises:
        ConfigError: naming those that there are.
    """
    if name not in METRICS:
        raise ConfigError(
            f"unknown metric {name!r} (expected one of {', '.join(METRICS)})."
            f"{did_you_mean(name, METRICS)}"
        )
    return METRICS[name]


def decide(
    probs: np.ndarray, classes: Sequence[str], threshold: float | Mapping[str, float] = 0.5
) -> np.ndarray:
    """(N,) the class chosen of (N, C) probabilities.

    Args:
        threshold: of two classes the last is chosen from this probability on; or one for each
            class by name: chosen is the class whose probability is the largest multiple of its own.

    Raises:
        ConfigError: for a number other than 0.5 with more than two classes, or a missing class.
    """
    probs = np.asarray(probs, float)
    if isinstance(threshold, Mapping):
        missing = [name for name in classes if not threshold.get(name, 0) > 0]
        if missing or len(threshold) != len(classes):
            raise ConfigError(
                f"threshold: {dict(threshold)!r} (expected a number above 0 for each of "
                f"{', '.join(classes)}). Take the one that mk.choose_threshold returns."
            )
        return np.argmax(probs / [threshold[name] for name in classes], axis=1)
    if len(classes) == 2:
        return (probs[:, 1] >= threshold).astype(int)
    if threshold != 0.5:
        raise ConfigError(
            f"threshold: {threshold!r} for {len(classes)} classes (expected one a class). "
            "Take the mapping that mk.choose_threshold returns, or leave it out."
        )
    return np.argmax(probs, axis=1)


def interval(
    score: Callable[[np.ndarray], float], groups: np.ndarray, *, n_resamples: int = 1000
) -> Interval:
    """Any score with its 95 % interval, which of one group alone is not a number.

    Args:
        score: called with numbers of rows: of all, and of each resample.
        groups: (N,) names; whole groups are drawn.
    """
    several = pd.Series(groups).nunique() > 1
    draws = _draws(score, groups, n_resamples) if several else np.empty(0)
    return Interval(score(np.arange(len(groups))), *_ends(draws))


def difference(
    a: Callable[[np.ndarray], float],
    b: Callable[[np.ndarray], float],
    groups: np.ndarray,
    *,
    greater_is_better: bool = True,
    n_resamples: int = 1000,
) -> Comparison:
    """Any score `b` minus any score `a`, both of the same drawn rows; see `interval`.

    Raises:
        DataError: with one group alone.
    """

    def gain(rows: np.ndarray) -> float:
        return b(rows) - a(rows)

    gains, sign = _draws(gain, groups, n_resamples), 1 if greater_is_better else -1
    better = float((sign * gains > 0).mean() + 0.5 * (gains == 0).mean()) if len(gains) else 0.5
    return Comparison(gain(np.arange(len(groups))), *_ends(gains), better)


def best_threshold(y_true: np.ndarray, y_prob: np.ndarray, *, metric: str = "f1_macro") -> float:
    """The threshold at and above which "positive" makes a score of labels largest.

    It lies in the middle between two probabilities; of equally good ones, the widest gap wins.

    Raises:
        ConfigError, DataError: with one class only, or a metric of probabilities.
    """
    score = get_metric(metric)
    y_true, y_prob = np.asarray(y_true), np.asarray(y_prob, float)
    if score.kind != "labels":
        raise ConfigError(f"best_threshold: {metric} needs no threshold. Use f1_macro, say.")
    _check_no_gaps("best_threshold", "y_prob", y_prob)
    if len(np.unique(y_true)) < 2:
        raise DataError(
            f"best_threshold: all {len(y_true)} cases are of one class ({np.unique(y_true)}). "
            "Choose the threshold on held-out cases of both classes."
        )
    return best_cut(lambda cut: score(y_true, (y_prob >= cut).astype(int)), y_prob)


def best_cut(score: Callable[[float], float], y_prob: np.ndarray, *, most: int = 2000) -> float:
    """The cut between probabilities that makes a score largest, of `most` that are tried."""
    cuts = np.unique(np.concatenate([[0.0], y_prob, [1.0]]))
    if len(cuts) > most + 1:  # so many change a score by less than one case in a thousand
        cuts = np.unique(np.quantile(cuts, np.linspace(0, 1, most + 1)))
    middles, widths = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    values = np.array([score(cut) for cut in middles])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    cut = float(middles[best[np.argmax(widths[best])]])
    below, above = y_prob[y_prob < cut], y_prob[y_prob >= cut]
    return _short(cut, below.max(initial=0.0), above.min(initial=1.0))


def _short(middle: float, low: float, high: float) -> float:
    """The middle with 4 decimals, or as many as it takes to part the same probabilities."""
    rounded = (round(float(middle), digits) for digits in range(4, 17))
    return next((value for value in rounded if low < value <= high), float(middle))


def _draws(
    score: Callable[[np.ndarray], float], groups: np.ndarray, n_resamples: int
) -> np.ndarray:
    """The scores of resamples: of as many groups as there are, drawn with replacement.

    A resample whose score is no number is left out.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    rng = seeding.generator("bootstrap", 0)
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    if codes.max(initial=0) < 1:
        raise DataError(
            "groups: an interval needs 2 or more groups (found 1). "
            "Score more groups, or report the score without an interval."
        )
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    drawn = (rng.integers(0, len(rows), len(rows)) for _ in range(n_resamples))
    draws = np.array([score(np.concatenate([rows[k] for k in some])) for some in drawn], float)
    return draws[np.isfinite(draws)]


def _check_no_gaps(where: str, name: str, values: np.ndarray) -> None:
    gaps = int(pd.isna(values).sum())
    if gaps:
        raise DataError(
            f"{where}: {gaps} of {len(values)} values of {name} are missing. "
            "Leave out the cases without a label or a prediction first."
        )


def _classes(probs: np.ndarray) -> int:
    return 2 if probs.ndim == 1 else probs.shape[1]


def _ends(draws: np.ndarray) -> tuple[float, float]:
    """Low and high end of scores; not a number where there are none."""
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
