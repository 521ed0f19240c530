from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from medkit.datasets.drawing.mouths import VIEWS, make_mouth, place_teeth
from medkit.datasets.drawing.photos import draw_caries, draw_photo
from medkit.images.decode import read_image
from medkit.seeding import generator

SMALL = (120, 180)
QUADRANTS = {
    "front": {1, 2, 3, 4},
    "left": {2, 3},
    "right": {1, 4},
    "upper": {1, 2},
    "lower": {3, 4},
}


@pytest.fixture(scope="module")
def contest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("그림") / "치아 사진"  # a path in Hangul, with a space
    draw_caries(folder, seed=3, n_train=12, n_test=4, widths=SMALL, broken=2)
    return folder


def _records(contest, split):
    paths = sorted((contest / f"{split}_data" / "json").iterdir())
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def _usable(contest, split):
    for stem, record in _records(contest, split).items():
        path = contest / f"{split}_data" / "image" / f"{stem}.png"
        if path.is_file() and record["image_filepath"].endswith(f"/{stem}.png"):
            yield stem, record, path


def test_the_layout_is_the_contests(contest):
    assert len(list(_usable(contest, "train"))) == 12
    assert len(list(_usable(contest, "test"))) == 4
    for stem, record in _records(contest, "test").items():
        view, number = re.fullmatch(r"(front|left|right|upper|lower)_(\d+)", stem).groups()
        assert record["image_filepath"] == f"images/{view}/{number}/{stem}.png"
        assert set(record["tooth"][0]) == {"teeth_num", "segmentation", "decayed"}


def test_teeth_and_sizes_are_those_of_the_contest(contest):
    for stem, record, path in _usable(contest, "train"):
        height, width = read_image(path).shape[:2]
        assert 1.15 < width / height < 2.45 and SMALL[0] <= width <= SMALL[1]
        view, numbers = stem.partition("_")[0], [tooth["teeth_num"] for tooth in record["tooth"]]
        assert len(numbers) == 16 if view == "front" else 10 <= len(numbers) <= 12
        assert len(set(numbers)) == len(numbers)
        assert {number // 10 for number in numbers} == QUADRANTS[view]
        for tooth in record["tooth"]:
            assert 8 <= len(tooth["segmentation"]) <= 14
            middle = np.mean(tooth["segmentation"], 0)
            assert (0 < middle).all() and (middle < (width, height)).all()
            assert isinstance(tooth["decayed"], bool)


def test_numbers_stand_where_a_dentist_expects_them():
    x = {}
    for view in VIEWS:
        _, record = draw_photo(1, view, widths=SMALL)
        x[view] = {t["teeth_num"]: np.mean(t["segmentation"], 0) for t in record["tooth"]}
    assert x["front"][11][0] < x["front"][21][0]  # the patient's right is left in the picture
    assert x["front"][11][1] < x["front"][41][1]
    assert x["upper"][11][1] < x["upper"][15][1] and x["lower"][41][1] > x["lower"][45][1]
    assert x["upper"][15][0] < x["upper"][25][0] and x["lower"][45][0] < x["lower"][35][0]
    assert x["left"][21][0] < x["left"][25][0] and x["right"][11][0] > x["right"][15][0]


def test_premolars_are_seen_at_a_slant_from_the_front_and_straight_from_the_side():
    mouth = make_mouth(1, seed=0, decayed_share=0.0)
    teeth = {v: place_teeth(mouth, v, generator(v)) for v in ("front", "left")}
    slants = {v: {t.number: t.width / t.length for t in teeth[v]} for v in teeth}
    assert slants["front"][24] < 0.8 * slants["left"][24]
    assert slants["left"][21] < 0.8 * slants["front"][21]


def test_splits_share_no_mouth(contest):
    train, test = ({stem.split("_")[1] for stem in _records(contest, s)} for s in ("train", "test"))
    assert train and test and not train & test


def test_a_photo_is_the_same_however_many_are_drawn(contest, tmp_path):
    draw_caries(tmp_path, seed=3, n_train=3, n_test=1, widths=SMALL)
    drawn = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(drawn) == 8
    for path in drawn:
        assert (tmp_path / path).read_bytes() == (contest / path).read_bytes()


def test_another_seed_draws_other_photos():
    images = [draw_photo(1, "front", seed=seed, widths=(150, 150))[0] for seed in (0, 1)]
    assert images[0].shape != images[1].shape or (images[0] != images[1]).any()


def test_decay_is_seen_on_decayed_teeth_and_nowhere_else():
    for view in VIEWS:
        sound, _ = draw_photo(4, view, decayed_share=0.0, widths=(400, 400))
        image, record = draw_photo(4, view, decayed_share=0.8, widths=(400, 400))
        changed = np.abs(image.astype(int) - sound).max(2) > 2
        where = np.zeros(changed.shape, np.uint8)
        for tooth in record["tooth"]:
            shape = np.zeros(changed.shape, np.uint8)
            cv2.fillPoly(shape, [np.asarray(tooth["segmentation"], np.int32)], 1)
            if tooth["decayed"]:
                where |= cv2.dilate(shape, np.ones((15, 15), np.uint8))
        assert any(tooth["decayed"] for tooth in record["tooth"])
        assert changed.sum() > 200 and not (changed & (where == 0)).any()


def test_a_mouth_has_the_same_teeth_in_all_views():
    mouth = make_mouth(8, seed=5, decayed_share=0.5)
    assert mouth.decayed
    for view in VIEWS:
        _, record = draw_photo(8, view, seed=5, decayed_share=0.5, widths=SMALL)
        for tooth in record["tooth"]:
            assert tooth["decayed"] == (tooth["teeth_num"] in mouth.decayed)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_the_share_of_decayed_teeth_is_kept(share):
    counts = [len(make_mouth(n, seed=0, decayed_share=share).decayed) / 28 for n in range(300)]
    assert np.mean(counts) == pytest.approx(share, abs=0.02)


def test_a_few_mouths_hold_sound_and_decayed_ones():
    for seed in range(20):
        mouths = [make_mouth(n, seed=seed, decayed_share=0.1).decayed for n in range(1, 9)]
        assert any(mouths) and not all(mouths)


def test_broken_records_are_as_asked(contest):
    usable = {stem for stem, _, _ in _usable(contest, "train")}
    broken = {s: r for s, r in _records(contest, "train").items() if s not in usable}
    assert len(broken) == 2 and all(stem.startswith("lower_") for stem in broken)
    image = contest / "train_data" / "image"
    assert sorted((image / f"{stem}.png").is_file() for stem in broken) == [False, True]
