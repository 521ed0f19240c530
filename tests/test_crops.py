"""Crops of probabilities: one small file an image, from which rows and counts are made."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from medkit.images import crops, masks, rle
from medkit.images.crops import Crops, cropped, cut_of, read

CLASSES = ("a", "b")


def some(seed=0, inner=(12, 16), size=(30, 40)):
    rng = np.random.default_rng(seed)
    planes = np.zeros((2, *inner), np.uint8)
    planes[0, 3:9, 4:12] = rng.integers(0, 256, (6, 8))
    return cropped("x.png", planes, size, CLASSES), planes


def test_a_file_holds_boxes_and_gives_them_back(tmp_path):
    found, planes = some()
    found.write(tmp_path / "f.safetensors")
    again = read(tmp_path / "f.safetensors", id="x.png", classes=CLASSES)
    assert (again.id, again.size, again.inner) == ("x.png", (30, 40), (12, 16))
    assert list(again.crops) == ["a"]  # nothing of b is anywhere
    assert np.array_equal(again.crops["a"].levels, found.crops["a"].levels)
    x, y, levels = again.crops["a"]
    assert np.array_equal(planes[0, y : y + levels.shape[0], x : x + levels.shape[1]], levels)
    payload = (tmp_path / "f.safetensors").read_bytes()
    found.write(tmp_path / "g.safetensors")
    assert (tmp_path / "g.safetensors").read_bytes() == payload


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_runs_and_counts_are_those_of_whole_planes(data):
    size = data.draw(st.tuples(st.integers(4, 60), st.integers(4, 60)))
    inner = data.draw(st.tuples(st.integers(3, 40), st.integers(3, 40)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    plane = rng.integers(0, 256, inner, dtype=np.uint8)
    plane[rng.random(inner) < data.draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))] = 0
    found = cropped("x", plane[None], size, ("a",))
    whole, _ = masks.enlarged(plane, (0, 0), inner, size)
    truth = rng.random(size) < 0.4
    area, overlap = found.counts("a", rle.runs_of(truth))
    assert (area[0], overlap[0]) == (whole.size, truth.sum())
    for cut in (1, 2, 77, 128, 254, 255):
        inside = whole >= cut
        assert (area[cut], overlap[cut]) == (inside.sum(), (inside & truth).sum())
        for order in "CF":
            runs = found.runs("a", cut, order=order)
            assert np.array_equal(runs, rle.runs_of(inside, order=order))


def test_a_class_that_is_nowhere_has_no_pixel():
    found, _ = some()
    area, overlap = found.counts("b", rle.runs_of(np.ones((30, 40), np.uint8)))
    assert len(found.runs("b", 1)) == 0 and area[1:].sum() == overlap[1:].sum() == 0


@pytest.mark.parametrize(
    ("threshold", "cut"), [(0.5, 128), (0.5 / 255, 1), (1e-9, 1), (1.0, 255), (0.4980, 127)]
)
def test_a_threshold_is_the_least_level_that_reaches_it(threshold, cut):
    assert cut_of(threshold) == cut
    assert cut_of(round((cut - 0.5) / 255, 4)) == cut  # as thresholds are written


def damaged(path, found):
    found.write(path)
    path.write_bytes(path.read_bytes()[:-7])


def foreign(path, found):
    path.write_bytes(b"no such file at all")


def beyond(path, found):
    crop = found.crops["a"]
    Crops(found.id, found.size, (4, 4), CLASSES, {"a": crop}).write(path)


def whole(path, found):
    found.write(path)


@pytest.mark.parametrize(
    ("write", "asked", "words"),
    [
        (damaged, {}, "damaged, or no predicted masks .*Delete it and predict again"),
        (foreign, {}, "damaged, or no predicted masks"),
        (beyond, {}, "'a' leaves its plane of 4 x 4"),
        (whole, {"id": "y.png"}, "the masks of 'x.png' .expected 'y.png'.*Predict again"),
        (whole, {"classes": ("b", "a")}, "masks of the classes a, b .expected b, a"),
    ],
    ids=["cut off", "no safetensors", "outside", "another image", "another order"],
)
def test_a_file_that_is_not_of_the_case_is_refused(tmp_path, write, asked, words):
    path = tmp_path / "f.safetensors"
    write(path, some()[0])
    with pytest.raises(ValueError, match=words):
        read(path, **{"id": "x.png", "classes": CLASSES, **asked})


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="the predicted masks of 'x.png' are gone"):
        read(tmp_path / "f.safetensors", id="x.png", classes=CLASSES)


def test_levels_are_of_a_byte():
    assert crops.LEVELS == 256


# classes that were decided


def decided(runs, size=(30, 40), inner=None):
    return Crops("x.png", size, inner or size, CLASSES, {}, {"a": np.asarray(runs, np.int64)})


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_decided_classes_have_the_runs_and_counts_of_the_drawn_mask(data):
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mask, truth = (rng.random(size) < data.draw(st.sampled_from([0, 0.1, 0.6, 1])) for _ in "ab")
    found = decided(rle.runs_of(mask), size)
    area, overlap = found.counts("a", rle.runs_of(truth))
    assert (area[0], overlap[0]) == (mask.size, truth.sum())
    assert (area[1:] == mask.sum()).all() and (overlap[1:] == (mask & truth).sum()).all()
    for cut in (1, 128, 255):
        for order in "CF":
            assert np.array_equal(found.runs("a", cut, order=order), rle.runs_of(mask, order=order))


def test_a_file_holds_both_crops_and_runs(tmp_path):
    plain, _ = some()
    both = Crops(
        "x.png", (30, 40), (12, 16), CLASSES, plain.crops, {"b": np.array([0, 3, 9, 1200])}
    )
    sha = both.write(tmp_path / "f.safetensors")
    assert sha == crops.sha_of(tmp_path / "f.safetensors") and len(sha) == 16
    again = read(tmp_path / "f.safetensors", id="x.png", classes=CLASSES, sha=sha)
    assert list(again.crops) == ["a"] and again.decided["b"].tolist() == [0, 3, 9, 1200]
    assert again.decided["b"].dtype == np.int64
    payload = (tmp_path / "f.safetensors").read_bytes()
    assert b'\\"version\\": 2' in payload
    plain.write(tmp_path / "g.safetensors")  # as ever
    assert b'\\"version\\": 1' in (tmp_path / "g.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([0, 3, 9], "'a': 3 ends that are no runs in order"),
        ([5, 9, 2, 4], "'a': 4 ends that are no runs in order"),
        ([0, 3, 3, 5], "no runs in order"),
        ([-1, 3], "no runs in order"),
        ([0, 1201], "'a' ends at 1201, beyond 30 x 40 pixels"),
    ],
    ids=["odd", "unsorted", "touching", "before the first", "beyond"],
)
def test_runs_that_cannot_be_are_refused(tmp_path, runs, words):
    decided(runs).write(tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match=f"damaged, or no predicted masks .*{words}"):
        read(tmp_path / "f.safetensors", id="x.png", classes=CLASSES)


@pytest.mark.parametrize("name", ["a", "c"])
def test_runs_of_no_class_or_no_whole_numbers_are_refused(tmp_path, name):
    state = {"version": 2, "id": "x.png", "size": (30, 40), "inner": (30, 40), "boxes": {}}
    values = {name: np.array([0, 3], np.int64 if name == "c" else np.float32)}
    payload = save(values, {"state": json.dumps({**state, "classes": CLASSES})})
    (tmp_path / "f.safetensors").write_bytes(payload)
    with pytest.raises(ValueError, match=rf"damaged, .*'{name}' is (int64|float32) \(2,\)"):
        read(tmp_path / "f.safetensors", id="x.png", classes=CLASSES)


def test_a_file_that_has_changed_is_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    sha = some(0)[0].write(path)
    other = some(1)[0].write(path)
    words = rf"changed since it was predicted \(found sha {other}, expected {sha}\). Delete it and"
    with pytest.raises(ValueError, match=words):
        read(path, id="x.png", classes=CLASSES, sha=sha)
    assert read(path, id="x.png", classes=CLASSES)  # who does not know, does not ask
