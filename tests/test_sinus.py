from __future__ import annotations

import numpy as np
import pytest
from drawn_contests import check_reasons, drawn_contest, quarantined, units_of
from PIL import Image

import medkit as mk
from medkit import tables
from medkit.loading.cache import open_cache
from medkit.show.pictures import case_picture

TASK = mk.get_task("sinus")
HOW = {"image_size": 32, "region_margin": 0.3, "region_mask": False, "progress": False}


@pytest.fixture
def cases(tmp_path_factory):
    return drawn_contest("sinus", tmp_path_factory.getbasetemp()).train


def picture(data, name, *, split="train", size=(21, 16), left=200, right=40):
    """An X-ray by hand: the patient's left (in the right half) and right have one grey each."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    half = size[0] // 2
    pixels[:, :half], pixels[:, half : 2 * half], pixels[:, 2 * half :] = right, left, 255
    path = data / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")  # exact; what is in a file decides, not .jpg
    return path


def test_both_sides_of_a_head_are_a_group(cases):
    assert cases["group"].nunique() == 60 and set(cases["side"]) == {"left", "right"}


def test_one_case_a_side_left_before_right(tmp_path):
    picture(tmp_path, "00000012_0_3.jpg")
    picture(tmp_path, "00000007_2_1.jpg")
    cases = TASK.read(tmp_path, "train")
    sides = ["00000007_left", "00000007_right", "00000012_left", "00000012_right"]
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
        shown, outline = case_picture(cases.iloc[row])
        assert set(np.unique(shown)) == {grey} and outline is None


def test_a_half_is_padded_and_never_widened(tmp_path):
    picture(tmp_path, "00000001_3_0.jpg", size=(20, 16))
    cases = TASK.read(tmp_path, "train")
    square = open_cache(cases, folder=tmp_path / "cache", **HOW)[0]
    is_shown = (square > 0).any(axis=(0, 2))  # columns
    assert is_shown.sum() == 20 and is_shown[6:26].all()  # 10 x 16 pixels in a square of 32


def test_the_drawn_sides_show_their_classes(cases):
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
    cases, why = quarantined(TASK, tmp_path, split)
    assert list(cases["id"]) == ["00000001_right", "00000002_left"] and not why


def test_broken_names_and_pictures_are_quarantined(tmp_path):
    picture(tmp_path, "00000001_0_4.jpg")
    picture(tmp_path, "00000002_0.jpg")
    picture(tmp_path, "123_0_1.jpg")
    picture(tmp_path, "00000003_1_1.jpg").write_bytes(b"")
    picture(tmp_path, "00000004_0_x.jpg")
    picture(tmp_path, "00000004_1_2.jpg")  # the same head again, with another label
    cases, why = quarantined(TASK, tmp_path)
    assert list(cases["id"]) == ["00000001_left", "00000004_right"]
    wanted = {
        "00000001_right": "train/00000001_0_4.jpg: the right label is '4' (expected 0 to 3, or x)",
        "00000002_0": "train/00000002_0.jpg: the name is '00000002_0' (expected <8 digits>_<left>",
        "123_0_1": "train/123_0_1.jpg: the name is '123_0_1'",
        "00000003": "train/00000003_1_1.jpg: this is not a picture",
        "00000004_left": "stands 2 times with other labels: train/00000004_0_x.jpg and train/0000",
    }
    check_reasons(why, wanted)


def test_every_labelled_side_of_the_test_is_kept(tmp_path):
    picture(tmp_path, "00000001_0_1.jpg", split="test")
    picture(tmp_path, "00000002_2_x.jpg", split="test").write_bytes(b"")
    cases, why = quarantined(TASK, tmp_path, "test")
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
    scores = TASK.score_units(units_of(TASK, y_true, np.eye(4)[y_pred]))
    assert scores["f1_1234"] == wanted and list(scores)[0] == "f1_1234"


def test_a_class_that_never_occurs_counts_nothing():
    assert TASK.score_units(units_of(TASK, [0, 0, 1], np.eye(4)[[0, 0, 1]]))["f1_1234"] == 0.3
