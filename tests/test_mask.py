from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_contests import answer, check_reasons, drawn_contest, grey, guess, quarantined
from sklearn.metrics import f1_score

import medkit as mk
from medkit.datasets.drawing.mask import VIEWS, draw_face
from medkit.datasets.mask import AGE, ANSWERS, GENDER, MASK

TASK, TASK18 = mk.get_task("mask"), mk.get_task("mask18")


@pytest.fixture
def contest(tmp_path_factory):
    return drawn_contest("mask", tmp_path_factory.getbasetemp())


def person(data, id, age, *, gender="male", views=VIEWS, path=None, listed=True):
    """One person by hand, with a line in train.csv."""
    path = path or f"{id}_{gender}_Asian_{age}"
    for number, view in enumerate(views):
        grey(data / "train/images" / path / f"{view}{('.jpg', '.png', '.jpeg')[number % 3]}")
    table = data / "train" / "train.csv"
    if not table.is_file():
        table.write_text("id,gender,race,age,path\n")
    if listed:
        with table.open("a") as file:
            file.write(f"{id},{gender},Asian,{age},{path}\n")
    return data / "train/images" / path


def test_the_drawn_contest_has_all_traps(contest):
    train = contest.train
    assert train["group"].nunique() == 30 and set(train.groupby("group").size()) == {7}
    assert list((contest.data / "train/images" / train["group"][0]).glob("._mask1.*"))
    doubled = [group for group in train["group"].unique() if group.startswith("000001_")]
    assert len(doubled) == 2  # one id, two ages: two folders
    assert {path.rpartition(".")[2] for path in train["path"]} == {"jpg", "png", "jpeg"}
    assert set(train["ans"]) == set(contest.test["ans"]) == set(ANSWERS)


def test_folds_hold_kinds_alike(contest):
    cases = mk.assign_folds(contest.task, contest.train, n_folds=5, seed=0)
    assert cases.groupby(["fold", "gender", "age"]).size().eq(7).all()  # a person of each kind


@pytest.mark.parametrize(
    ("age", "gender", "answers"),
    [(29, "male", "0 6 12"), (30, "male", "1 7 13"), (59, "female", "4 10 16")]
    + [(60, "female", "5 11 17")],
)
def test_the_answer_is_mask_times_6_plus_gender_times_3_plus_age(tmp_path, age, gender, answers):
    person(tmp_path, "000001", age, gender=gender)
    cases = TASK.read(tmp_path, "train")
    assert list(cases["ans"]) == [answers.split()[k] for k in (0, 0, 0, 0, 0, 1, 2)]
    assert list(cases["combined"]) == list(cases["ans"]) and set(cases["years"]) == {age}


@pytest.mark.parametrize(("old_from", "trained"), [(60, "middle"), (59, "middle"), (58, "old")])
def test_the_age_boundary_is_for_training_only(tmp_path, old_from, trained):
    person(tmp_path, "000001", 58)
    cases = TASK.read(tmp_path, "train", old_from=old_from)
    assert set(cases["age"]) == {trained} and cases["ans"][0] == "1"  # the contest's
    assert cases["combined"][0] == ("2" if trained == "old" else "1")
    with pytest.raises(ValueError, match="old_from 30 .expected an age from 31"):
        TASK.read(tmp_path, "train", old_from=30)


def test_known_errors_are_corrected_on_demand(tmp_path):
    for id in ("000020", "001498-1", "001009", "000021"):
        person(tmp_path, id, 30)
    as_given = TASK.read(tmp_path, "train").set_index("id")["ans"]
    fixed = TASK.read(tmp_path, "train", fixes=True).set_index("id")["ans"]
    changed = {id: (as_given[id], fixed[id]) for id in fixed.index if as_given[id] != fixed[id]}
    assert changed.pop("000020_male_Asian_30/incorrect_mask") == ("7", "13")
    assert changed.pop("000020_male_Asian_30/normal") == ("13", "7")
    assert {id.partition("_")[0] for id in changed} == {"001498-1", "001009"}
    assert changed["001498-1_male_Asian_30/mask1"] == ("1", "4")
    assert changed["001009_male_Asian_30/mask1"] == ("1", "0") and len(changed) == 14


def test_broken_records_are_quarantined_with_file_and_line(tmp_path):
    person(tmp_path, "000001", 20)
    person(tmp_path, "000002", 20, views=VIEWS[1:])  # a label without image
    person(tmp_path, "000003", "old")
    person(tmp_path, "000004", 20, gender="other")
    person(tmp_path, "000005", 20, listed=False)  # images without label
    extra = person(tmp_path, "000006", 20, views=(*VIEWS, "mask6"))
    (extra / "mask1.jpg").write_bytes(b"no picture")
    person(tmp_path, "000007", 20)
    with (tmp_path / "train/train.csv").open("a") as file:
        file.write("000007,male,Asian,20,000007_male_Asian_20\n")
    cases, why = quarantined(TASK, tmp_path)
    assert cases.groupby("group").size().to_dict() == {
        "000001_male_Asian_20": 7,
        "000002_male_Asian_20": 6,
        "000006_male_Asian_20": 6,
        "000007_male_Asian_20": 7,
    }
    wanted = {
        "000002_male_Asian_20/mask1": "line 3 of train.csv: the picture is missing",
        "000003_male_Asian_old": "line 4 of train.csv: age is 'old' (expected a number of years)",
        "000004_other_Asian_20": "gender is 'other' (expected one of male, female)",
        "000005_male_Asian_20": "no line of train.csv names this folder",
        "000006_male_Asian_20/mask6": "line 6 of train.csv: no photo of this name",
        "000006_male_Asian_20/mask1": "not a picture",
    }
    doubled = "the id stands 2 times: line 7 of train.csv and line 8"
    wanted.update({f"000007_male_Asian_20/{view}": doubled for view in VIEWS})
    check_reasons(why, wanted)
    with (tmp_path / "train/train.csv").open("a") as file:
        file.write("000001,male,Asian,40,000001_male_Asian_20\n")
    cases, why = quarantined(TASK, tmp_path)
    assert "000001_male_Asian_20" not in set(cases["group"])
    assert "2 times with other labels" in why["000001_male_Asian_20/mask1"]


def test_a_missing_column_is_named(tmp_path):
    person(tmp_path, "000001", 20)
    (tmp_path / "train/train.csv").write_text("id,sex,age,path\n")
    with pytest.raises(ValueError, match=r"train\.csv: no column \['gender'\]"):
        TASK.read(tmp_path, "train")


def test_every_row_of_the_test_is_kept_in_order(tmp_path):
    names = ["c.jpg", "a.png", "b.jpg", "x.jpg"]
    for name in names:
        grey(tmp_path / "eval/images" / name)
    (tmp_path / "eval/info.csv").write_text("ImageID,ans\n" + "".join(f"{n},0\n" for n in names))
    (tmp_path / "eval/images/x.jpg").rename(tmp_path / "eval/images/y.jpg")
    (tmp_path / "eval/images/b.jpg").write_bytes(b"")
    cases, why = quarantined(TASK, tmp_path, "test")
    assert list(cases["id"]) == names and cases["ans"].isna().all()
    assert list(cases["path"].isna()) == [False, False, True, True]
    assert why["x.jpg"] == "line 5 of info.csv: the picture is missing"
    assert why["y"] == "no line of info.csv names this picture"
    (tmp_path / "eval/answers.csv").write_text("ImageID,ans\na.png,18\n")
    with pytest.raises(ValueError, match=r"ans of 'a\.png' in answers\.csv is '18' .expected"):
        TASK.read(tmp_path, "test")


def test_answers_that_do_not_occur_count_and_each_head_is_scored(contest):
    cases = contest.test.iloc[:9]  # half of the classes do not occur
    predictions = guess(TASK, cases)
    predictions.loc[:4] = answer(TASK, cases[:5])[predictions.columns]  # five are right
    parts = [predictions[list(names)].to_numpy().argmax(1) for names in (MASK, GENDER, AGE)]
    answers, truth = parts[0] * 6 + parts[1] * 3 + parts[2], cases["ans"].astype(int).to_numpy()
    scores = mk.score(TASK, cases, predictions.sample(frac=1, random_state=0))
    assert list(scores)[:2] == ["f1_18", "accuracy"]
    every = {"labels": range(18), "average": "macro", "zero_division": 0}
    assert scores["f1_18"] == pytest.approx(f1_score(truth, answers, **every), abs=1e-12)
    assert scores["f1_18"] < f1_score(truth, answers, average="macro", zero_division=0)
    assert scores["accuracy"] == (answers == truth).mean()
    assert scores["f1_age"] == f1_score(truth % 3, answers % 3, average="macro")
    assert scores["f1_mask"] == f1_score(truth // 6, answers // 6, **{**every, "labels": range(3)})
    assert {"mask_f1_macro", "gender_auc", "age_accuracy"} <= set(scores)


def test_one_head_and_three_heads_make_the_same_units(contest):
    cases = contest.test
    three = guess(TASK, cases)
    units = TASK.to_units(cases, three)
    assert np.allclose(units[list(ANSWERS)].sum(axis=1), 1)
    row = three.iloc[4]
    assert units["11"][4] == pytest.approx(row["incorrect"] * row["female"] * row["old"])
    one = units[["id", *ANSWERS]]
    pd.testing.assert_frame_equal(TASK18.to_units(cases, one), units)
    scores, of_three = mk.score(TASK18, cases, one), mk.score(TASK, cases, three)
    assert scores == {name: of_three[name] for name in scores}


def test_every_drawn_face_is_another():
    assert draw_face(0, "mask1").shape == (512, 384, 3)
    assert np.abs(draw_face(0, "mask1").astype(int) - draw_face(6, "mask1")).mean() > 10
