"""Drawn hands: the contest's layout with its traps, and bones that lie where the labels say."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import openpyxl
import pytest

from medkit.datasets.drawing.bones import BONES, FINGERS, bend, make_hand, rounded, turned
from medkit.datasets.drawing.handbone import (
    HEADER,
    draw_bend,
    draw_hand,
    draw_handbone,
    draw_names,
    draw_person,
)
from medkit.images.decode import read_image
from medkit.seeding import generator

STEM = re.compile(r"image\d{13}(_[RL])?")


@pytest.fixture(scope="module")
def contest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("그림") / "손 사진"  # a path in Hangul, with a space
    draw_handbone(folder, seed=3, n_train=6, n_test=2, size=128)
    return folder


def records(contest, split):
    """Each picture of a split with its JSON."""
    for path in sorted((contest / split / "DCM").rglob("*.png")):
        label = contest / split / "outputs_json" / path.parent.name / f"{path.stem}.json"
        yield path, json.loads(label.read_text(encoding="utf-8"))


def mask(points, size):
    drawn = np.zeros((size, size), np.uint8)
    cv2.fillPoly(drawn, [np.asarray(points, np.int32)], 1)
    return drawn


def axis(points):
    """The way from the lower end of a long bone to the upper, before it is marked in pixels."""
    return points[48] - points[0]


def hand(number=1, side=1, degrees=0.0):
    drawn = make_hand(generator("person", number), generator("hand", number, side))
    return bend(drawn, degrees)


def test_the_layout_is_the_contests(contest):
    ids = {s: sorted(p.name for p in (contest / s / "DCM").iterdir()) for s in ("train", "test")}
    assert ids == {
        "train": ["ID001", "ID002", "ID003", "ID005", "ID006", "ID007"],
        "test": ["ID004", "ID008"],
    }
    stems = [path.stem for split in ids for path, _ in records(contest, split)]
    assert len(stems) == len(set(stems)) == 16 and all(map(STEM.fullmatch, stems))
    assert {stem[-2:] for stem in stems if "_" in stem} == {"_R", "_L"}
    assert any("_" not in stem for stem in stems)
    for split in ids:
        for path, record in records(contest, split):
            assert set(record) == {"filename", "metadata", "annotations"}
            assert record["filename"] == path.name
            assert record["metadata"] == {"width": 128, "height": 128}
            picture = read_image(path)
            assert picture.shape == (128, 128, 3) and (picture == picture[..., :1]).all()


def test_each_picture_has_29_bones_in_an_order_of_its_own(contest):
    orders = set()
    for _, record in [*records(contest, "train"), *records(contest, "test")]:
        rows = record["annotations"]
        orders.add(tuple(row["label"] for row in rows))
        assert sorted(row["label"] for row in rows) == sorted(BONES)
        for row in rows:
            assert set(row) == {"id", "type", "attributes", "points", "label"}
            points = np.asarray(row["points"]).reshape(-1, 2)
            assert points.dtype.kind == "i" and len(points) >= 3
            assert points.min() >= 0 and points.max() <= 127
    assert len(orders) == 16


def test_in_some_files_points_lie_one_level_deeper(tmp_path):
    draw_handbone(tmp_path, n_train=20, n_test=0, size=64)
    depths = [
        {np.ndim(row["points"]) for row in record["annotations"]}
        for _, record in records(tmp_path, "train")
    ]
    assert {2} in depths and {3} in depths and depths.count({3}) < 14


@pytest.mark.parametrize("size", [64, 512])
def test_labels_lie_on_the_bones(size):
    for side, is_bent in (("right", False), ("left", True)):
        picture, bones = draw_hand(0, 5, side, is_bent, size)
        grey = picture[..., 0].astype(float)
        every = np.stack([mask(points, size) for points in bones.values()])
        one = max(1, size // 128)
        near = cv2.dilate(every.max(0), np.ones((4 * one + 1,) * 2, np.uint8)) > every.max(0)
        contrast = grey[every.max(0) > 0].mean() / grey[near].mean()
        assert contrast > 1.5
        aside = np.roll(every.max(0), 4 * one, axis=1) > 0
        assert grey[aside].mean() < 0.9 * grey[every.max(0) > 0].mean()
        for name, points in bones.items():
            assert len(points) >= 3 and mask(points, size).sum() >= 3, name


def test_bones_overlap_and_the_pisiform_lies_on_the_triquetrum():
    _, bones = draw_hand(0, 5, "right", False, 512)
    masks = {name: mask(points, 512) for name, points in bones.items()}
    assert (np.stack(list(masks.values())).sum(0) > 1).sum() > 300
    assert (masks["Pisiform"] & masks["Triquetrum"]).sum() > 0.5 * masks["Pisiform"].sum()


def test_bones_lie_where_a_doctor_expects_them():
    for side, sign in (("right", 1), ("left", -1)):
        _, bones = draw_hand(1, 9, side, False, 256)
        x = {name: sign * points[:, 0].mean() for name, points in bones.items()}
        y = {name: points[:, 1].mean() for name, points in bones.items()}
        assert x["finger-1"] < x["finger-4"] < x["finger-8"] < x["finger-12"] < x["finger-16"]
        assert x["Radius"] < x["Ulna"] and x["Scaphoid"] < x["Lunate"] < x["Triquetrum"]
        assert x["Trapezium"] < x["Trapezoid"] < x["Capitate"] < x["Hamate"]
        for names in FINGERS:
            assert [y[name] for name in names] == sorted(y[name] for name in names)
        assert y["finger-11"] < y["Capitate"] < y["Lunate"] < y["Radius"]
        assert bones["Radius"][:, 1].max() == bones["Ulna"][:, 1].max() == 255  # and on from there


def test_the_bones_of_a_hand_have_the_lengths_of_an_adult():
    lengths = {
        name: np.mean([np.hypot(*axis(hand(k)[name])) for k in range(60)])
        for name in ("finger-8", "finger-9", "finger-10", "finger-11")
    }
    assert list(lengths.values()) == pytest.approx([17.4, 26.3, 44.6, 64.6], rel=0.06)


def test_both_hands_of_a_person_have_the_same_bones():
    right, left, other = hand(1, 1), hand(1, 2), hand(2, 1)
    for name in BONES[:19]:
        length = np.hypot(*axis(right[name]))
        assert np.hypot(*axis(left[name])) == pytest.approx(length)
        assert np.hypot(*axis(other[name])) != pytest.approx(length)
    assert not np.allclose(right["finger-8"], left["finger-8"])  # held in another way


@pytest.mark.parametrize("degrees", [-30.0, 0.0, 30.0])
def test_a_bent_wrist_is_bent_by_so_much(degrees):
    straight, bent = hand(), hand(degrees=degrees)
    palms = [axis(bones["finger-11"]) for bones in (straight, bent)]
    before, after = (np.rad2deg(np.arctan2(x, -y)) for x, y in palms)
    assert after - before == pytest.approx(0.75 * degrees)
    assert np.allclose(bent["Radius"], turned(straight["Radius"], -0.25 * degrees))


def test_few_wrists_of_train_and_more_than_half_of_the_test_are_bent():
    for split, share in (("train", 0.1), ("test", 0.55)):
        for seed in range(3):
            bends = [draw_bend(seed, split, rank) for rank in range(200)]
            assert np.mean(bends) == pytest.approx(share, abs=0.02)
            assert abs(sum(bends[:20]) - 20 * share) <= 1.5


def test_names_tell_the_side_or_the_right_hand_comes_first():
    seen = set()
    for number in range(40):
        names = draw_names(0, number)
        if any("_" in stem for stem in names.values()):
            assert {side: stem[-2:] for side, stem in names.items()} == {
                "right": "_R",
                "left": "_L",
            }
            seen.add(names["left"] < names["right"])
        else:
            assert names["right"] < names["left"]
    assert seen == {True, False}


def test_corners_are_cut_off_and_the_sides_stay():
    square = np.asarray([(0, 0), (10, 0), (10, 10), (0, 10)], float)
    points = rounded(square)
    assert len(points) == 32 and points.min() == 0 and points.max() == 10
    area = cv2.contourArea(points.astype(np.float32))
    assert 85 < area < 100 and np.allclose(points.mean(0), 5)


def test_what_is_drawn_stays_when_more_is_drawn(contest, tmp_path):
    draw_handbone(tmp_path, seed=3, n_train=2, n_test=1, size=128)
    drawn = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.*"))]
    assert len(drawn) == 13
    for path in drawn[1:]:
        assert (tmp_path / path).read_bytes() == (contest / path).read_bytes(), path


def test_the_same_seed_draws_the_same_bytes_and_another_draws_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_handbone(tmp_path / name, seed=seed, n_train=1, n_test=1, size=64)
    first, again, other = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    )
    assert first == again and len(first) == len(other) == 9
    assert not set(first.values()) & set(other.values())


def test_the_table_of_people_has_the_contests_junk(contest):
    book = openpyxl.load_workbook(contest / "meta_data.xlsx")
    header, *rows = book.worksheets[0].iter_rows(values_only=True)
    assert header == HEADER and [row[0] for row in rows] == [f"ID{k:03d}" for k in range(1, 9)]
    people = [draw_person(0, number) for number in range(1, 200)]
    ages, sexes, weights, heights, nails = list(zip(*people))[1:]
    assert set(sexes) == {"_x0008_F", "_x0008_M", ""} and set(nails) == {"네일있음", None}
    assert {type(age) for age in ages} == {int, str} and " " in weights
    assert all(140 < height < 200 for height in heights)


WRONG = [({"size": size}, r"\(expected pixels, from 64\)") for size in (63, 512.0, (64, 64), None)]
WRONG += [({name: -1}, f"{name} -1 .expected a count, 0 or more") for name in ("n_train", "n_test")]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_settings_that_are_wrong_are_named(wrong, words, tmp_path):
    with pytest.raises(ValueError, match=f"^draw_handbone: .*{words}"):
        draw_handbone(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_contest_of_nothing_is_drawn(tmp_path):
    draw_handbone(tmp_path, n_train=0, n_test=0)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["meta_data.xlsx"]
