from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score
from small_runs import learn

import medkit as mk
from medkit import tables
from medkit.datasets.drawing.sinus import draw_sinus
from medkit.datasets.sinus import CLASSES
from medkit.loading.cache import open_cache
from medkit.show.samples import _case_picture

TASK = mk.get_task("sinus")
HOW = {"image_size": 32, "region_margin": 0.3, "region_mask": False, "progress": False}


@pytest.fixture(scope="module")
def contest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("대회") / "부비동"
    draw_sinus(folder, seed=1, n_train=60, n_test=20, size=120)
    return folder


def picture(data, name, *, split="train", size=(21, 16), left=200, right=40):
    """An X-ray by hand: the patient's left (in the right half) and right have one grey each."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    half = size[0] // 2
    pixels[:, :half], pixels[:, half : 2 * half], pixels[:, 2 * half :] = right, left, 255
    path = data / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")  # exact; what is in a file decides, not .jpg
    return path


def reasons(data, split="train"):
    cases, quarantine = TASK.inspect(data, split)
    return cases, dict(zip(quarantine["id"], quarantine["reason"]))


def guess(cases, seed=0):
    probs = np.random.default_rng(seed).dirichlet(np.ones(4), len(cases))
    return pd.DataFrame(probs, columns=list(CLASSES)).assign(id=cases["id"].to_numpy())


def units_of(y_true, y_pred):
    table = pd.DataFrame(np.eye(4)[y_pred], columns=list(CLASSES))
    ids = [str(k) for k in range(len(table))]
    return table.assign(id=ids, group=ids, seen=True, y_true=[CLASSES[k] for k in y_true])


def test_the_drawn_contest_is_read_without_a_word(contest):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = TASK.read(contest, "train"), TASK.read(contest, "test")
    assert set(train["sinusitis"]) == set(CLASSES) and train["id"].is_unique
    assert train["sinusitis"].notna().all() and test["sinusitis"].notna().all()
    assert train["group"].nunique() == 60 and set(train["side"]) == {"left", "right"}
    assert not set(train["group"]) & set(test["group"])
    folds = mk.assign_folds(train, n_folds=3, seed=0)
    assert folds.groupby("group")["fold"].nunique().eq(1).all()  # both sides of a head


def test_one_case_a_side_left_before_right(tmp_path):
    picture(tmp_path, "00000012_0_3.jpg")
    picture(tmp_path, "00000007_2_1.jpg")
    cases = TASK.read(tmp_path, "train")
    sides = [
        f"{number}_{side}" for number in ("00000007", "00000012") for side in ("left", "right")
    ]
    assert list(cases["id"]) == sides
    names = ["air-fluid level", "thickening", "normal", "haziness"]
    assert list(cases["sinusitis"]) == names and list(cases["group"]) == [s[:8] for s in sides]


@pytest.mark.parametrize("width", [20, 21])
def test_the_patients_left_is_the_right_half(tmp_path, width):
    picture(tmp_path, "00000001_3_0.jpg", size=(width, 16), left=200, right=40)
    cases = TASK.read(tmp_path, "train")
    assert [tuple(box) for box in cases["box"]] == [(10, 0, 20, 16), (0, 0, 10, 16)]
    cache = open_cache(cases, folder=tmp_path / "cache", **HOW)
    for row, grey in enumerate((200, 40)):  # left, right; of an odd width the last column is out
        assert set(np.unique(cache[row])) == {0, grey}, cases["id"][row]
        shown, outline = _case_picture(cases.iloc[row])
        assert set(np.unique(shown)) == {grey} and outline is None


def test_a_half_is_padded_and_never_widened(tmp_path):
    picture(tmp_path, "00000001_3_0.jpg", size=(20, 16))
    cases = TASK.read(tmp_path, "train")
    square = open_cache(cases, folder=tmp_path / "cache", **HOW)[0]
    is_shown = (square > 0).any(axis=(0, 2))  # columns
    assert is_shown.sum() == 20 and is_shown[6:26].all()  # 10 x 16 pixels in a square of 32


def test_the_drawn_sides_show_their_classes(contest):
    cases = TASK.read(contest, "train")
    cache = open_cache(cases, **HOW)
    light = np.array([cache[row][16:22, 12:20].mean() for row in range(len(cases))])
    hazy = light[(cases["sinusitis"] == "haziness").to_numpy()]
    assert np.median(hazy) > np.median(light[(cases["sinusitis"] == "normal").to_numpy()]) + 10
    torn = cases.copy()
    other = cases.groupby("group")["id"].transform("size") == 2
    torn.loc[other, "box"] = torn[other].groupby("group")["box"].transform(lambda b: b[::-1].values)
    swapped = open_cache(torn, **HOW)
    wrong = np.array([swapped[row][16:22, 12:20].mean() for row in range(len(cases))])
    alone = (other & (cases["sinusitis"] == "haziness")).to_numpy()
    assert np.median(wrong[alone]) < np.median(light[alone]) - 10


@pytest.mark.parametrize("split", ["train", "test", "test_submit"])
def test_a_side_without_label_is_no_case(tmp_path, split):
    picture(tmp_path, "00000001_x_2.jpg", split=split)
    picture(tmp_path, "00000002_1_x.jpg", split=split)
    picture(tmp_path, "00000003_x_x.jpg", split=split)
    cases, why = reasons(tmp_path, split)
    assert list(cases["id"]) == ["00000001_right", "00000002_left"] and not why


def test_broken_names_and_pictures_are_quarantined(tmp_path):
    picture(tmp_path, "00000001_0_4.jpg")
    picture(tmp_path, "00000002_0.jpg")
    picture(tmp_path, "123_0_1.jpg")
    picture(tmp_path, "00000003_1_1.jpg").write_bytes(b"")
    picture(tmp_path, "00000004_0_x.jpg")
    picture(tmp_path, "00000004_1_2.jpg")  # the same head again, with another label
    cases, why = reasons(tmp_path)
    assert list(cases["id"]) == ["00000001_left", "00000004_right"]
    for id, words in {
        "00000001_right": "train/00000001_0_4.jpg: the right label is '4' (expected 0 to 3, or x)",
        "00000002_0": "train/00000002_0.jpg: the name is '00000002_0' (expected <8 digits>_<left>",
        "123_0_1": "train/123_0_1.jpg: the name is '123_0_1'",
        "00000003": "train/00000003_1_1.jpg: this is not a picture",
        "00000004_left": "stands 2 times with other labels: train/00000004_0_x.jpg and train/0000",
    }.items():
        assert words in why.pop(id), id
    assert not why


def test_a_missing_folder_is_named(tmp_path):
    picture(tmp_path, "00000001_0_1.jpg")
    with pytest.raises(ValueError, match=r"not the layout of the sinus contest .found train/; exp"):
        TASK.read(tmp_path, "test")
    with pytest.raises(ValueError, match=r"split 'val' \(expected one of train, test, test_submit"):
        TASK.read(tmp_path, "val")


def test_every_labelled_side_of_the_test_is_kept(tmp_path):
    picture(tmp_path, "00000001_0_1.jpg", split="test")
    picture(tmp_path, "00000002_2_x.jpg", split="test").write_bytes(b"")
    cases, why = reasons(tmp_path, "test")
    assert list(cases["id"]) == ["00000001_left", "00000001_right", "00000002_left"]
    assert list(cases["path"].isna()) == list(cases["box"].isna()) == [False, False, True]
    assert list(why) == ["00000002"] and list(tables.visible(cases)["id"]) == list(cases["id"][:2])


@pytest.mark.parametrize(
    ("missed", "taken_for", "wanted"),
    [
        ((6, 3, 1), [1] * 6 + [0, 0, 2] + [1], 0.959577573),
        ((12, 6, 0), [1] * 12 + [0] * 5 + [2], 0.9473741859),
    ],
)
def test_the_score_of_the_winner_and_the_third(missed, taken_for, wanted):
    """Of 250, 40, 20 and 10 sides no other few errors by class make these scores."""
    y_true = np.repeat(range(4), (250, 40, 20, 10))
    y_pred = y_true.copy()
    rows = np.concatenate([np.flatnonzero(y_true == k)[:n] for k, n in enumerate(missed)])
    assert (y_true[rows] != taken_for).all()
    y_pred[rows] = taken_for
    scores = TASK.score_units(units_of(y_true, y_pred))
    assert scores["f1_1234"] == wanted and list(scores)[0] == "f1_1234"


def test_the_score_is_made_of_scikit_learns_f1(contest):
    cases = TASK.read(contest, "test")
    predictions = guess(cases)
    scores = mk.score(TASK, cases, predictions.sample(frac=1, random_state=0))
    labels = predictions[list(CLASSES)].idxmax(axis=1)
    f1 = [
        f1_score(cases["sinusitis"], labels, labels=[name], average="macro", zero_division=0)
        for name in CLASSES
    ]
    assert scores["f1_1234"] == round(sum(w * v for w, v in zip((1, 2, 3, 4), f1)) / 10, 10)
    assert [scores[f"f1_{name}"] for name in CLASSES] == f1
    assert scores["accuracy"] == (cases["sinusitis"].to_numpy() == labels.to_numpy()).mean()


def test_a_class_that_never_occurs_counts_nothing():
    assert TASK.score_units(units_of([0, 0, 1], [0, 0, 1]))["f1_1234"] == 0.3


def test_the_submission_has_path_side_truth_and_class(tmp_path):
    picture(tmp_path, "00000002_2_x.jpg", split="test")
    picture(tmp_path, "00000001_0_3.jpg", split="test")
    picture(tmp_path, "00000005_1_1.jpg", split="test").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 records of test are quarantined"):
        cases = TASK.read(tmp_path, "test")
    predictions = pd.DataFrame(np.eye(4)[[1, 3, 2, 0, 0]], columns=list(CLASSES))
    predictions["id"] = cases["id"]
    csv = mk.write_submission(TASK, cases, predictions.iloc[::-1], tmp_path / "pred.csv")
    assert csv.read_text().splitlines() == [
        "test/00000001_0_3.jpg,l,0,1",
        "test/00000001_0_3.jpg,r,3,3",
        "test/00000002_2_x.jpg,l,2,2",
        "test/00000005_1_1.jpg,l,1,0",
        "test/00000005_1_1.jpg,r,1,0",
    ]
    assert mk.check_submission(csv)[0].startswith("All 5 ids, their order")
    lines = csv.read_text().splitlines()
    csv.write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    with pytest.raises(ValueError, match=r"order is another, from 'test/00000001_0_3\.jpg,r' on"):
        mk.check_submission(csv)
    with pytest.raises(ValueError, match=r"1 of 5 sides lack a prediction, e\.g\. \['00000001_l"):
        TASK.submission_table(cases, predictions.iloc[1:])


def test_cases_survive_a_csv(contest, tmp_path):
    cases = TASK.read(contest, "train")
    tables.write_cases(cases, tmp_path / "cases.csv", contest)
    again = tables.read_cases(tmp_path / "cases.csv", contest)
    assert [list(box) for box in again["box"]] == [list(box) for box in cases["box"]]
    assert tables.cases_hash(again) == tables.cases_hash(cases)


def test_a_drawn_head_stays_when_others_are_drawn(contest, tmp_path):
    draw_sinus(tmp_path, seed=1, n_train=3, n_test=2, size=120)
    paths = sorted(tmp_path.rglob("*.jpg"))
    assert len(paths) == 5
    for path in paths:
        assert path.read_bytes() == (contest / path.relative_to(tmp_path)).read_bytes()


def test_classes_are_learnt_from_the_drawn_halves(contest, tmp_path):
    cases = mk.assign_folds(TASK.read(contest, "train"), n_folds=3, seed=0)
    run = learn("sinus", cases, tmp_path / "run", epochs=20, best_by="f1_1234")
    test = TASK.read(contest, "test")
    scores = mk.score(TASK, test, mk.predict(run, test, views=("as is", "mirrored"), device="cpu"))
    assert scores["f1_1234"] > 0.3 and scores["auc"] > 0.65  # all normal: about 0.08 and 0.5
