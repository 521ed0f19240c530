"""Tasks of every kind through scores, intervals, thresholds, votes and the table handed in."""

from __future__ import annotations

import functools
import json

import numpy as np
import pandas as pd
import pytest
from small_runs import draw_few

import medkit as mk
from medkit import datasets
from medkit.datasets.scoring import score_interval
from medkit.datasets.task import from_description
from medkit.metrics import METRICS
from medkit.runs.own_tasks import load_task
from medkit.submission.csv_files import expected_path

CASES = [f"{k:02}" for k in range(60)]


def own(*heads, name="own", **facts):
    return mk.Task(name, "A task of my own", "a test", heads, **facts)


def drawn(task, seed=0, noise=1.0):
    """Cases with labels of every head, and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    cases = pd.DataFrame({"id": CASES, "path": "x.png", "group": [n[0] for n in CASES]})
    guesses = {"id": CASES}
    for head in task.heads:
        if not head.classes:
            cases[head.name] = rng.normal(size=60)
            guesses[head.name] = cases[head.name] + noise * rng.normal(size=60)
            continue
        codes = rng.integers(0, len(head.classes), 60)
        cases[head.name] = [head.classes[code] for code in codes]
        values = np.eye(len(head.classes))[codes] + noise * rng.random((60, len(head.classes)))
        guesses.update(zip(head.classes, (values / values.sum(1, keepdims=True)).T))
    return cases, pd.DataFrame(guesses)


AGE, SEX = mk.Head("bone_age"), mk.Head("sex", ("woman", "man"))
KIND = mk.Head("kind", ("a", "b", "c"))


def test_errors_are_known_by_the_names_of_their_heads():
    task = own(KIND, AGE, smaller_is_better=("my_cost",))
    assert not task.greater_is_better("bone_age_mae") and not task.greater_is_better("my_cost")
    assert task.greater_is_better("bone_age_r2") and task.greater_is_better("kind_auc")
    assert task.greater_is_better("my_score") and not own(AGE).greater_is_better("mae")
    told = json.loads(json.dumps(task.describe()))
    assert from_description(told).smaller_is_better == ("my_cost",)
    del told["smaller_is_better"]  # as older run folders have it
    assert from_description(told).smaller_is_better == ()


@pytest.mark.parametrize("missing", ["kind", "sex"])
def test_of_two_heads_one_may_have_no_column_of_labels(tmp_path, missing):
    task = own(KIND, SEX)
    cases, guesses = drawn(task)
    cases = cases.drop(columns=missing)
    if missing == "sex":
        scores = mk.score(task, cases, guesses)
        assert "kind_auc" in scores and not any(name.startswith("sex") for name in scores)
    else:
        with pytest.raises(ValueError, match="none of 60 units has both a label and a prediction"):
            mk.score(task, cases, guesses)
    csv = mk.write_submission(task, cases, guesses, tmp_path / "submission.csv")
    assert len(csv.read_text().splitlines()) == 61


@pytest.mark.parametrize("name", ["group", "seen", "id", "fold", "y_true", "path"])
def test_no_class_takes_the_name_of_a_column(name):
    for head in (mk.Head("kind", (name, "b")), mk.Head(name)):
        with pytest.raises(ValueError, match=f"'{name}' cannot be the name of a .*id, path, group"):
            own(SEX, head)


@pytest.mark.parametrize("name", ["group", "region", "box", "film", "scanner"])
def test_no_head_takes_the_name_of_a_column(name):
    with pytest.raises(ValueError, match=f"'{name}' cannot be the name of a head.*region, box"):
        own(mk.Head(name, ("a", "b")), whole="film", text=("scanner",))
    with pytest.raises(ValueError, match="'seen' cannot be the name of a class"):
        own(SEX, scored=mk.Head("both", ("seen", "unseen")))
    assert name == "group" or own(mk.Head("kind", (name, "b"))).columns == (name, "b")


def test_every_default_metric_is_the_contests_own(monkeypatch):
    """Of a score of one's own, which nobody else would choose."""

    def first(units, threshold):
        guess = units["man"] >= threshold
        missed = float(((units["y_true"] == "man") & ~guess).mean())
        return {"missed": missed, "called": float(guess.mean())}

    task = own(SEX, score_units=first, smaller_is_better=("missed",))
    (cases, a), (_, b) = drawn(task), drawn(task, noise=0.2)
    threshold = mk.choose_threshold(task, cases, a)
    assert threshold == mk.choose_threshold(task, cases, a, metric="missed")
    assert mk.score(task, cases, a, threshold=threshold)["missed"] == 0
    draw_few(monkeypatch)
    assert score_interval(task, cases, a) == score_interval(task, cases, a, "missed")
    assert mk.compare(task, cases, a, b) == mk.compare(task, cases, a, b, metric="missed")
    assert mk.score_table(task, cases, a)["metric"][0] == "missed"
    folds = cases.assign(fold=cases["id"].astype(int) % 3)
    usual = mk.choose_weights(task, folds, [a, b], rounds=2)
    assert usual.score == mk.choose_weights(task, folds, [a, b], metric="missed", rounds=2).score


def test_a_score_of_probabilities_alone_chooses_no_threshold():
    def ranks(units, threshold):
        return {"my_auc": METRICS["auc"]((units["y_true"] == "man").to_numpy(), units["man"])}

    for task in (own(SEX, score_units=ranks), own(SEX, score_units=only_auc)):
        cases, guesses = drawn(task)
        assert mk.choose_threshold(task, cases, guesses) == mk.choose_threshold(
            task, cases, guesses, metric="f1_macro"
        )


def only_auc(units, threshold):
    return {"auc": METRICS["auc"]((units["y_true"] == "man").to_numpy(), units["man"])}


def test_heads_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"classes \(0, 1\) .*Write \(\"0\", \"1\"\)"):
        mk.Head("y", (0, 1))
    with pytest.raises(ValueError, match="classes '01'"):
        mk.Head("y", "01")
    assert mk.Head("y", ["a", "b"]) == mk.Head("y", ("a", "b"))
    with pytest.raises(ValueError, match="with the comma"):
        mk.Task("own", "x", "x", KIND)


@pytest.mark.parametrize("head", [SEX, KIND])
def test_labels_that_are_no_classes_are_refused(head):
    task = own(head)
    cases, guesses = drawn(task)
    cases.loc[3, head.name] = "neither"
    asked = (
        lambda: mk.score(task, cases, guesses),
        lambda: score_interval(task, cases, guesses, "accuracy"),
        lambda: mk.calibrate(task, cases, guesses),
        lambda: mk.choose_threshold(task, cases, guesses),
    )
    for ask in asked:
        with pytest.raises(ValueError, match=r"1 of 60 labels are none of .* 'neither' \(expected"):
            ask()


@pytest.mark.parametrize("heads", [(KIND, AGE), (AGE, SEX), (SEX, KIND, AGE)])
def test_every_score_that_is_told_has_an_interval_and_can_be_compared(heads, monkeypatch):
    draw_few(monkeypatch)
    task = own(*heads)
    (cases, good), (_, poor) = drawn(task), drawn(task, noise=3.0)
    for name, value in mk.score(task, cases, good).items():
        found = score_interval(task, cases, good, name, n_resamples=20)
        assert found.value == pytest.approx(value, nan_ok=True)
    for metric in (name for name in mk.score(task, cases, good) if name.startswith("sex_")):
        assert mk.compare(task, cases, poor, good, metric=metric).share_better >= 0.5
    if AGE in heads and heads[0] != AGE:
        found = mk.compare(task, cases, poor, good, metric="bone_age_mae")
        assert found.difference < 0 and found.share_better > 0.9  # less is better


def test_scores_of_another_kind_of_answer_are_refused():
    number, three = own(AGE), own(KIND)
    with pytest.raises(ValueError, match="auc: bone_age is a number, which has no such score"):
        mk.compare(number, *drawn(number), drawn(number)[1], metric="auc")
    with pytest.raises(ValueError, match="mae: kind is one of 3 classes"):
        score_interval(three, *drawn(three), "mae")
    with pytest.raises(ValueError, match=r"sensitivity: kind has 3 classes \(expected 2\)"):
        score_interval(three, *drawn(three), "sensitivity")
    with pytest.raises(ValueError, match="2 ids stand more than once in the predictions"):
        cases, guesses = drawn(three)
        score_interval(three, cases, pd.concat([guesses, guesses[:2]]), "auc")


def men(units, threshold=0.5):
    return {"men": float((units["man"] >= threshold).mean())}


def test_an_own_score_of_two_classes_chooses_a_threshold():
    task = own(SEX, score_units=men)
    cases, guesses = drawn(task)
    low = mk.choose_threshold(task, cases, guesses, metric="men")
    fewest = own(SEX, score_units=men, smaller_is_better=("men",))
    assert low < guesses["man"].min()
    assert mk.choose_threshold(fewest, cases, guesses, metric="men") > guesses["man"].max()


def exactly(units, threshold=0.5):
    right = units[["a", "b", "c"]].to_numpy().argmax(1) == units["y_true"].map("abc".index)
    return {"right": float(right.mean())}


def test_own_scores_see_what_can_be_judged_only():
    task = own(KIND, score_units=exactly)
    cases, guesses = drawn(task)
    cases.loc[0, "kind"], cases.loc[5:30, "path"] = None, None
    guesses = guesses.drop(index=range(5, 31))
    whole = mk.score(task, cases, guesses)["right"]
    assert whole == score_interval(task, cases, guesses, "right", n_resamples=5).value


def test_weights_are_alike_where_a_class_is_missing():
    task = own(KIND)
    cases, guesses = drawn(task)
    cases["fold"] = (cases["kind"] == "c").astype(int)  # without fold 1 there is no "c"
    _, other = drawn(task, seed=1)
    found = mk.choose_weights(task, cases, [guesses, other], metric="auc", rounds=3)
    nested = found.nested[found.nested["id"].isin(cases["id"][cases["fold"] == 1])]
    wanted = mk.blend(task, [guesses, other]).set_index("id").loc[nested["id"], "a"]
    assert nested["a"].tolist() == pytest.approx(wanted.tolist())
    assert np.isfinite(found.score)


def chances(cases, predictions, threshold=0.5):
    return predictions[["id", "man"]]


def answers(cases, predictions, threshold=0.5):
    return pd.DataFrame({"id": cases["id"], "sex": "man"})


def test_a_table_of_ones_own_may_hold_probabilities(tmp_path):
    task = own(SEX, submission_table=chances)
    csv = mk.write_submission(task, *drawn(task), tmp_path / "submission.csv")
    assert json.loads(expected_path(csv).read_text())["labels"] is None
    told = mk.check_submission(csv)
    assert told[0].startswith("What it answers could not be checked")
    assert told[1] == "All 60 ids are as own wants."
    csv.write_text(csv.read_text().replace("\n07,", "\n7,"))
    with pytest.raises(ValueError, match=r"1 of 60 ids are missing, e\.g\. ..07"):
        mk.check_submission(csv)


def test_a_table_of_ones_own_that_holds_the_labels_is_checked(tmp_path):
    task = own(SEX, submission_table=answers)
    csv = mk.write_submission(task, *drawn(task), tmp_path / "submission.csv")
    csv.write_text(csv.read_text().replace("07,man", "07,men"))
    with pytest.raises(ValueError, match="1 labels are none of woman, man, e.g. .'men'"):
        mk.check_submission(csv)


def test_a_function_made_of_another_is_ones_own():
    assert set(own(SEX, score_units=functools.partial(men, threshold=0.7)).own) == {"score_units"}
    assert own(SEX).own == {}


def test_a_run_does_not_take_another_task_of_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr("medkit.runs.own_tasks.TASKS", dict(datasets.TASKS))
    tasks = load_task.__globals__["TASKS"]
    old = own(SEX).describe()
    tasks["own"] = own(SEX)
    assert load_task(old, tmp_path) is tasks["own"]
    tasks["own"] = own(mk.Head("sex", ("man", "woman")))
    with pytest.raises(ValueError, match="its task 'own' had other heads .* another name"):
        load_task(old, tmp_path)


def test_cases_are_no_predictions(cases):
    with pytest.raises(mk.DataError, match="'decayed' holds 'sound' .expected numbers.*mk.predict"):
        mk.compare(mk.get_task("caries"), cases, cases, cases)
