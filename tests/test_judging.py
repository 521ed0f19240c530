from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_runs import draw_few

import medkit as mk
from medkit.datasets.scoring import score_interval
from medkit.metrics import METRICS

TASK = mk.get_task("caries")


def photos(n=80, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"front_{k}" for k in range(n)]
    truth = np.where(rng.random(n) < 0.6, "decayed", "sound")
    prob = np.clip((truth == "decayed") * 0.4 + rng.random(n) * 0.6, 0, 1)
    groups = [str(k // 4) for k in range(n)]
    cases = pd.DataFrame({"id": names, "photo": names, "path": "x.png", "group": groups})
    cases = cases.assign(photo_decayed=truth, decayed=truth)
    return cases, pd.DataFrame({"id": names, "sound": 1 - prob, "decayed": prob})


CASES, GUESSED = photos()


def test_the_threshold_is_the_best_on_the_contests_units():
    found = mk.choose_threshold(TASK, CASES, GUESSED)
    best = mk.score(TASK, CASES, GUESSED, threshold=found)["f1_macro"]
    for other in np.linspace(0, 1, 41):
        assert mk.score(TASK, CASES, GUESSED, threshold=other)["f1_macro"] <= best


def test_the_table_holds_scores_and_their_intervals(monkeypatch):
    draw_few(monkeypatch)
    table = mk.score_table(TASK, CASES, GUESSED, threshold=0.5).set_index("metric")
    scores = mk.score(TASK, CASES, GUESSED, threshold=0.5)
    for name, row in table.iterrows():
        assert row["value"] == scores[name] and row["low"] <= row["value"] <= row["high"]


def test_missing_labels_are_left_out():
    blind = CASES.copy()
    blind.loc[:9, "photo_decayed"] = None
    found = score_interval(TASK, blind, GUESSED, "accuracy", n_resamples=20)
    kept = score_interval(TASK, CASES.iloc[10:], GUESSED, "accuracy", n_resamples=20)
    assert found == kept
    with pytest.raises(ValueError, match="none of .* units has both a label and a prediction"):
        mk.choose_threshold(TASK, CASES.assign(photo_decayed=None), GUESSED)


def test_a_comparison_asks_whether_the_second_is_better(monkeypatch):
    draw_few(monkeypatch, 120)
    noise = GUESSED.assign(decayed=np.random.default_rng(1).random(len(GUESSED)))
    found = mk.compare(TASK, CASES, noise, GUESSED, metric="auc")
    assert found.low > 0 and found.share_better > 0.99
    assert mk.compare(TASK, CASES, GUESSED, GUESSED, metric="f1_macro").difference == 0


def test_a_thousand_resamples_are_drawn():
    calls = []

    def own(units, threshold):
        calls.append(len(units))
        return {"own": 0.5}

    task = mk.Task("own", "x", "x", (mk.Head("decayed", ("sound", "decayed")),), score_units=own)
    found = mk.compare(task, CASES, GUESSED, GUESSED, metric="own")
    assert found == (0.0, 0.0, 0.0, 0.5) and len(calls) == 2 * 1002  # twice of all cases
    table = mk.score_table(task, CASES, GUESSED, metrics=["own"])
    assert list(table.loc[0]) == ["own", 0.5, 0.5, 0.5] and len(calls) == 3 * 1002


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match=r"unknown metric 'f3' \(expected one of"):
        score_interval(TASK, CASES, GUESSED, "f3")
    assert "f1_macro" in METRICS


def test_folds_are_joined():
    class Half(mk.Run):
        predictions = None

        def __init__(self, rows):
            self.predictions = GUESSED.iloc[rows]

    joined = mk.concat_predictions([Half(slice(0, 40)), Half(slice(40, 80))])
    assert joined.equals(GUESSED)
