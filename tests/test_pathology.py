from __future__ import annotations

import numpy as np
import pytest
from drawn_contests import check_reasons, drawn_contest, grey, quarantined, units_of
from sklearn import metrics as sk

import medkit as mk
from medkit.datasets.drawing.pathology import draw_pathology
from medkit.datasets.pathology import mean_of_six
from medkit.images import decode

TASK = mk.get_task("pathology")


def patches(data, lines, *, split="train", numbers=(1, 2, 3, 4)):
    """A hand-written split: its pictures, and its label file where there are lines."""
    folder = data / split
    for number in numbers:
        grey(folder / f"{split}_data" / f"{number}.png", size=(50, 50))
    if lines is not None:
        (folder / f"{split}_label").write_bytes(lines.encode())
    return folder


def test_a_patient_is_a_group(tmp_path_factory):
    contest = drawn_contest("pathology", tmp_path_factory.getbasetemp())
    assert contest.train.groupby("group").size().eq(4).all()  # patients, not pictures
    assert contest.train["id"][0] == contest.test["id"][0] == "1"


def test_the_label_file_has_no_header_and_any_white_space(tmp_path):
    patches(tmp_path, "3 1\r\n1\t0\n\n 002   1 \n4 0")
    cases = TASK.read(tmp_path, "train")
    assert list(cases["id"]) == list(cases["group"]) == ["3", "1", "2", "4"]
    assert list(cases["tissue"]) == ["malignant", "benign", "malignant", "benign"]
    assert cases["path"][2] == str(tmp_path / "train/train_data/2.png")


def test_patients_are_groups_where_they_are_known(tmp_path):
    table = patches(tmp_path, "1 0\n2 1\n3 1\n4 0\n") / "patients.csv"
    table.write_text("id,patient\n1,0077\n2,0077\n4,5\n")
    cases, why = quarantined(TASK, tmp_path)
    assert dict(zip(cases["id"], cases["group"])) == {"1": "0077", "2": "0077", "4": "5"}
    assert why == {"3": "line 3 of train_label: no line of patients.csv names its patient"}
    table.write_text("id,patient\n1,7\n2,7\n1,8\n")
    with pytest.raises(ValueError, match=r"patients\.csv, line 4: picture '1' is of '8'"):
        TASK.read(tmp_path, "train")
    table.write_text("id,person\n1,7\n")
    with pytest.raises(ValueError, match=r"patients\.csv: no columns id, patient"):
        TASK.read(tmp_path, "train")


def test_broken_records_are_quarantined_with_file_and_line(tmp_path):
    folder = patches(
        tmp_path, "1 0\n2 2\n3 1\n3 1\n4 0\n4 1\n9 0\nx 1\n5 1 0\n", numbers=range(1, 9)
    )
    (folder / "train_data/7.png").write_bytes(b"")
    with (folder / "train_label").open("a") as file:
        file.write("7 1\n8 0\n")
    grey(folder / "train_data/08.png")
    cases, why = quarantined(TASK, tmp_path)
    assert list(cases["id"]) == ["1", "3", "8"]
    wanted = {
        "2": "line 2 of train_label: the label is '2' (expected one of 0, 1)",
        "3": "the id stands 2 times: line 3 of train_label and line 4 of train_label",
        "4": "the id stands 2 times with other labels: line 5 of train_label and line 6",
        "9": "line 7 of train_label: the picture is missing",
        "x": "line 8 of train_label: the id is 'x' (expected a whole number)",
        "line 9 of train_label": "the cells are ['5', '1', '0'] (expected 2 (id, code))",
        "5": "no line of train_label names this picture",
        "6": "no line of train_label names this picture",
        "7": "line 10 of train_label: this is not a picture",
        "8": "08.png has the same number",
    }
    check_reasons(why, wanted)


def test_a_missing_label_file_is_named(tmp_path):
    patches(tmp_path, None)
    with pytest.raises(FileNotFoundError, match=r"train_label: no such label file \(found train_"):
        TASK.read(tmp_path, "train")


def test_a_test_without_labels_is_in_the_order_of_its_numbers(tmp_path):
    patches(tmp_path, None, split="test", numbers=(10, 9, 1))
    cases, why = quarantined(TASK, tmp_path, "test")
    assert list(cases["id"]) == ["1", "9", "10"] and cases["tissue"].isna().all() and not why


def test_each_id_of_the_test_is_kept_once(tmp_path):
    folder = patches(tmp_path, "2 1\n1 0\n2 0\n3 7\n9 1\n", split="test", numbers=(1, 2, 3))
    (folder / "test_data/1.png").write_bytes(b"")
    cases, why = quarantined(TASK, tmp_path, "test")
    assert list(cases["id"]) == ["2", "1", "3", "9"]
    assert list(cases["path"].isna()) == [False, True, False, True]
    assert cases["tissue"].tolist()[:2] == ["malignant", "benign"] and cases["tissue"].isna()[2]
    assert why["2"] == "line 3 of test_label: the id stands at line 1 of test_label already"
    assert set(why) == {"1", "2", "3", "9"}


@pytest.mark.parametrize(
    ("missed", "alarms", "wanted"),
    [(2, 0, 0.9986773350), (3, 0, 0.9980581313), (2, 1, 0.9980577714)]
    + [(600, 0, 0.39999976), (0, 1400, 0.34353023)],
)
def test_the_score_of_the_contests_own_tables(missed, alarms, wanted):
    y_true = np.repeat([1, 0], [600, 1400])
    guess = np.concatenate([np.arange(600) >= missed, np.arange(1400) < alarms]).astype(int)
    scores = TASK.score_units(units_of(TASK, y_true, np.eye(2)[guess]))
    digits = 8 if wanted < 0.9 else 10
    assert round(scores["mean_of_six"], digits) == wanted
    assert list(scores)[0] == "mean_of_six" and list(scores)[-1] == "auc" and len(scores) == 8


def test_the_six_are_scikit_learns_but_for_the_thousandth():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 4000)
    probs = np.clip(0.35 * y_true + rng.random(4000) * 0.65, 0, 1)
    scores = TASK.score_units(units_of(TASK, y_true, np.stack([1 - probs, probs], axis=1)))
    guess, mean = (probs >= 0.5).astype(int), scores.pop("mean_of_six")
    by_hand = {
        "accuracy": sk.accuracy_score(y_true, guess),
        "precision": sk.precision_score(y_true, guess),
        "recall": sk.recall_score(y_true, guess),
        "specificity": sk.recall_score(y_true, guess, pos_label=0),
        "npv": sk.precision_score(y_true, guess, pos_label=0),
        "f1": sk.f1_score(y_true, guess),
        "auc": sk.roc_auc_score(y_true, probs),
    }
    assert scores == pytest.approx(by_hand, abs=1e-3)
    assert len({round(value, 3) for value in by_hand.values()}) > 4
    assert mean == pytest.approx(np.mean([scores[n] for n in by_hand if n != "auc"]), abs=1e-12)
    assert mean_of_six([0, 0], [0, 0])["f1"] == 0  # no malignant one, and no division by zero


@pytest.mark.parametrize("size", [50, 512])
def test_pictures_of_the_contests_and_of_patch_size_are_read(tmp_path, size):
    draw_pathology(tmp_path, seed=0, n_train=2, n_test=1, size=size)
    cases = TASK.read(tmp_path, "train")
    assert decode.probe(cases["path"][0]) == (size, size)
    assert len(TASK.inspect(tmp_path, "train", verify=True)[0]) == 2
