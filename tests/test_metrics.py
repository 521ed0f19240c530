from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from medkit.metrics import (
    METRICS,
    Comparison,
    best_cut,
    best_threshold,
    decide,
    difference,
    interval,
)

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 300)
PROB = np.clip(Y * 0.3 + RNG.random(300) * 0.7, 0, 1)
GUESS = (PROB >= 0.5).astype(int)
CASES = np.arange(300)  # each a group of its own
SAME = {  # name: scikit-learn's
    "f1_binary": lambda: sk.f1_score(Y, GUESS),
    "f1_macro": lambda: sk.f1_score(Y, GUESS, average="macro"),
    "f1_micro": lambda: sk.f1_score(Y, GUESS, average="micro"),
    "f1_weighted": lambda: sk.f1_score(Y, GUESS, average="weighted"),
    "accuracy": lambda: sk.accuracy_score(Y, GUESS),
    "sensitivity": lambda: sk.recall_score(Y, GUESS),
    "specificity": lambda: sk.recall_score(1 - Y, 1 - GUESS),
    "ppv": lambda: sk.precision_score(Y, GUESS),
    "npv": lambda: sk.precision_score(1 - Y, 1 - GUESS),
    "auc": lambda: sk.roc_auc_score(Y, PROB),
    "average_precision": lambda: sk.average_precision_score(Y, PROB),
    "recall_macro": lambda: sk.balanced_accuracy_score(Y, GUESS),
    "mae": lambda: np.abs(Y - PROB).mean(),
    "rmse": lambda: np.sqrt(((Y - PROB) ** 2).mean()),
    "r2": lambda: 1 - ((Y - PROB) ** 2).sum() / ((Y - Y.mean()) ** 2).sum(),
}


AREAS = ("dice", "iou")


@pytest.mark.parametrize("name", [name for name in METRICS if name not in AREAS])
def test_every_score_is_scikit_learns(name):
    guess = GUESS if METRICS[name].kind == "labels" else PROB
    assert METRICS[name](Y, guess) == pytest.approx(SAME[name](), abs=1e-12)


@pytest.mark.parametrize(
    ("false_alarms", "missed", "wanted"), [(1, 6, 0.997378268970877), (2, 28, 0.98882171429196)]
)
def test_the_contests_golden_values(false_alarms, missed, wanted):
    y = np.repeat([1, 0], [2000, 1000])
    guess = y.copy()
    guess[:missed], guess[2000 : 2000 + false_alarms] = 0, 1
    assert METRICS["f1_macro"](y, guess) == pytest.approx(wanted, abs=1e-14)


def test_a_ranking_of_many_classes_is_the_mean_of_each_against_the_rest():
    rng = np.random.default_rng(1)
    y, probs = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), 200)
    wanted = sk.roc_auc_score(y, probs, multi_class="ovr", average="macro")
    assert METRICS["auc"](y, probs) == pytest.approx(wanted, abs=1e-12)
    assert math.isnan(METRICS["auc"](np.minimum(y, 2), probs))


def test_a_threshold_of_two_classes_is_one_of_many():
    probs = RNG.dirichlet(np.ones(2), 500)
    for t in (0.2, 0.5, 0.77):
        one = decide(probs, ("a", "b"), t)
        assert np.array_equal(one, decide(probs, ("a", "b"), {"a": 1 - t, "b": t}))
    three = RNG.dirichlet(np.ones(3), 50)
    assert np.array_equal(decide(three, "abc"), three.argmax(1))
    with pytest.raises(ValueError, match="threshold: 0.3 for 3 classes .expected one a class"):
        decide(three, "abc", 0.3)
    with pytest.raises(ValueError, match="expected a number above 0 for each of a, b, c"):
        decide(three, "abc", {"a": 1.0, "b": 0.0, "c": 1.0})


def test_what_is_not_there_cannot_be_found():
    assert math.isnan(METRICS["sensitivity"]([0, 0], [0, 1]))
    assert math.isnan(METRICS["specificity"]([1, 1], [0, 1]))


def test_a_class_that_was_guessed_and_never_there_counts_nothing():
    y, guess = [0, 0, 0, 0], [0, 0, 0, 1]
    assert METRICS["recall_macro"](y, guess) == pytest.approx(0.75 / 2)
    assert METRICS["f1_macro"](y, guess) == pytest.approx((6 / 7) / 2)


def test_text_labels_have_averages_of_f1():
    y, guess = ["a", "b", "c", "a"], ["a", "b", "a", "a"]
    assert METRICS["f1_macro"](y, guess) == pytest.approx((0.8 + 1 + 0) / 3)


def score_of(name, y_true=Y, guess=GUESS):
    return lambda rows: METRICS[name](y_true[rows], guess[rows])


def test_a_ranking_of_one_class_is_not_a_number():
    assert math.isnan(METRICS["auc"]([1, 1], [0.2, 0.3]))
    assert math.isnan(METRICS["average_precision"]([0, 0], [0.2, 0.3]))


def test_what_does_not_match_is_refused():
    with pytest.raises(ValueError, match="accuracy: 2 labels and 3 guesses"):
        METRICS["accuracy"]([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match=r"unknown metric 'f2' \(expected one of f1_macro"):
        best_threshold(Y, PROB, metric="f2")


def test_an_interval_holds_its_value_and_is_the_same_each_time():
    first = interval(score_of("f1_macro"), CASES, n_resamples=200)
    assert first.low < first.value < first.high and "(" in str(first)
    assert first == interval(score_of("f1_macro"), CASES, n_resamples=200)


def test_draws_are_those_of_earlier_versions():
    kept = (0.7, 0.6459166666666667, 0.7568333333333334)
    assert interval(score_of("accuracy"), CASES, n_resamples=40) == pytest.approx(kept, abs=1e-12)


def test_an_interval_has_the_width_of_theory():
    right = np.repeat([1.0, 0.0], [300, 100])
    found = interval(lambda rows: right[rows].mean(), np.arange(400), n_resamples=2000)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)


def test_drawing_groups_widens_the_interval():
    """Ten copies of each case are no more evidence than one."""
    few = interval(score_of("accuracy"), CASES[:40], n_resamples=500)
    y, guess, groups = (np.repeat(x, 10) for x in (Y[:40], GUESS[:40], CASES[:40]))
    grouped = interval(score_of("accuracy", y, guess), groups, n_resamples=500)
    single = interval(score_of("accuracy", y, guess), np.arange(400), n_resamples=500)
    assert grouped == few
    assert (single.high - single.low) < 0.5 * (grouped.high - grouped.low)


def test_resamples_that_lack_a_class_are_left_out():
    y, groups = np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"])
    assert interval(score_of("sensitivity", y, y), groups, n_resamples=50) == (1.0, 1.0, 1.0)
    assert interval(score_of("auc", y, y * 1.0), groups, n_resamples=50).low == 1.0


def test_one_group_has_a_value_and_no_interval():
    value, low, high = interval(score_of("accuracy"), ["a"] * 300)
    assert value == sk.accuracy_score(Y, GUESS) and math.isnan(low) and math.isnan(high)
    with pytest.raises(ValueError, match=r"needs 2 or more groups \(found 1\)"):
        difference(score_of("accuracy"), score_of("accuracy"), ["a"] * 300)


def test_a_comparison_is_paired():
    worse = GUESS.copy()
    worse[:30] = 1 - Y[:30]
    a, b = score_of("accuracy", Y, worse), score_of("accuracy")
    found = difference(a, b, CASES, n_resamples=300)
    assert found.low > 0 and found.share_better == 1.0
    assert found.difference == pytest.approx(
        sk.accuracy_score(Y, GUESS) - sk.accuracy_score(Y, worse)
    )
    back = difference(b, a, CASES, n_resamples=300)
    assert back.difference == -found.difference and back.share_better == 0.0
    error = difference(a, b, CASES, n_resamples=300, greater_is_better=False)
    assert error == (*found[:3], 0.0)
    same = difference(b, b, CASES, n_resamples=50)
    assert same == (0.0, 0.0, 0.0, 0.5) and "50%" in str(same)


def test_the_best_threshold_is_the_best_of_all():
    found = best_threshold(Y, PROB)
    score = METRICS["f1_macro"]
    best = max(score(Y, (PROB >= cut).astype(int)) for cut in np.linspace(0, 1, 501))
    assert score(Y, (PROB >= found).astype(int)) >= best


def test_of_equal_thresholds_the_middle_of_the_widest_gap_wins():
    assert best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == pytest.approx(0.5)


def test_a_threshold_needs_both_classes_and_a_score_of_labels():
    with pytest.raises(ValueError, match=r"all 2 cases are of one class"):
        best_threshold([1, 1], [0.2, 0.3])
    with pytest.raises(ValueError, match="auc needs no threshold"):
        best_threshold([0, 1], [0.2, 0.3], metric="auc")


def test_many_probabilities_are_searched_in_bounded_time():
    y = RNG.integers(0, 2, 6000)
    prob = np.where(y == 1, 0.6, 0.4) + RNG.random(6000) * 1e-3
    assert 0.401 < best_threshold(y, prob, metric="accuracy") < 0.6


def test_no_more_cuts_are_tried_than_asked():
    tried = []

    def score(cut):
        tried.append(cut)
        return -abs(cut - 0.3)

    found = best_cut(score, np.random.default_rng(2).random(500), most=50)
    assert len(tried) <= 50 and found == pytest.approx(0.3, abs=0.03)


def test_gaps_are_refused_before_they_become_a_score():
    with pytest.raises(ValueError, match="f1_macro: 1 of 2 values of y_true are missing"):
        METRICS["f1_macro"](np.array(["a", None], object), ["a", "a"])
    with pytest.raises(ValueError, match="auc: 1 of 2 values of guess are missing"):
        METRICS["auc"]([0, 1], [0.2, math.nan])
    with pytest.raises(ValueError, match="best_threshold: 1 of 3 values of y_prob are missing"):
        best_threshold([0, 1, 1], [0.2, math.nan, 0.9])


@pytest.mark.parametrize(
    ("low", "high", "better", "sure"),
    [
        (0.01, 0.05, 0.99, True),
        (-0.05, -0.01, 0.99, True),  # of an error, less is better
        (-0.05, -0.01, 0.01, False),
        (-0.01, 0.05, 0.9, False),
        (0.0, 0.05, 0.98, False),
        (float("nan"), float("nan"), 0.5, False),
    ],
)
def test_a_gain_is_sure_when_its_interval_holds_no_zero(low, high, better, sure):
    assert Comparison((low + high) / 2, low, high, better).is_sure is sure


def test_a_threshold_is_as_short_as_it_parts_the_same_probabilities():
    y_true = np.array([0, 0, 1, 1])
    assert best_threshold(y_true, np.array([0.1, 0.2, 0.71234567, 0.9])) == 0.4562
    near = np.array([0.1, 0.700001, 0.700003, 0.9])
    assert best_threshold(y_true, near) == 0.700002
    rng = np.random.default_rng(0)
    for _ in range(20):
        y_true, y_prob = rng.integers(0, 2, 400), rng.random(400) ** 4 / 100

        def f1(cut, y_true=y_true, y_prob=y_prob):
            return METRICS["f1_macro"](y_true, (y_prob >= cut).astype(int))

        found = best_cut(f1, y_prob, most=100)
        cuts = np.unique(np.concatenate([[0.0], y_prob, [1.0]]))
        cuts = np.unique(np.quantile(cuts, np.linspace(0, 1, 101)))
        middles = [f1(cut) for cut in (cuts[1:] + cuts[:-1]) / 2]
        assert f1(found) == max(middles)  # rounding changes no case


@pytest.mark.parametrize("name", AREAS)
def test_scores_of_masks_are_those_of_their_pixels(name):
    rng = np.random.default_rng(2)
    real, found = rng.random((2, 9, 12, 15)) < 0.3
    real[0] = found[0] = real[1] = found[2] = False  # both, none found, none there
    same = {"dice": sk.f1_score, "iou": sk.jaccard_score}[name]
    each = [
        1.0,
        *(same(a.ravel(), b.ravel(), zero_division=0) for a, b in zip(real[1:], found[1:])),
    ]
    areas = np.stack([found.sum((1, 2)), (real & found).sum((1, 2))], 1)
    value = METRICS[name](real.sum((1, 2)), areas)
    assert value == pytest.approx(np.mean(each), abs=1e-5)  # 1e-4 pixels above and below
    assert METRICS[name].kind == "areas" and METRICS[name].greater_is_better
