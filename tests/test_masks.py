"""Masks on the way to a model and back, and as units of a contest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_contests import CLASSES, draw, make_task, planes, read

import medkit as mk
from medkit.datasets import mask_units
from medkit.datasets.mask_units import picture_sizes, true_table
from medkit.datasets.scoring import score_interval
from medkit.datasets.units import chosen, values
from medkit.images import crops, masks, rle
from medkit.images.crop import pad_to_square, place_in_square

SMALL = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize(("width", "height"), [(56, 40), (40, 56), (33, 64), (64, 64), (9, 200)])
def test_bits_lie_where_the_picture_lies(width, height):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 3 :] = 1
    bits = masks.to_bits([rle.runs_of(mask)], mask.shape, 32)
    shown = pad_to_square(np.repeat(255 * mask[..., None], 3, 2), size=32)[..., 0] >= 128
    assert np.array_equal(bits[..., 0].astype(bool), shown)


def test_a_pixel_is_inside_when_half_of_it_is():
    mask = np.zeros((8, 8), np.uint8)
    mask[0, :2] = 1  # half of the first of 4 x 4 pixels
    mask[4, 4] = 1  # a fourth of another
    small = masks.to_bits([rle.runs_of(mask)], (8, 8), 4)[..., 0]
    assert small[0, 0] == 1 and small.sum() == 1


@pytest.mark.parametrize("count", [1, 3, 8, 9, 29, 100])
def test_bits_are_unpacked_class_by_class(count):
    rng = np.random.default_rng(count)
    wanted = rng.random((count, 16, 16)) < 0.3
    bits = masks.to_bits([rle.runs_of(mask) for mask in wanted], (16, 16), 16)
    assert bits.shape == (16, 16, -(-count // 8)) == (16, 16, masks.bytes_of(count))
    assert np.array_equal(masks.unpacked(bits, count).transpose(2, 0, 1), wanted)
    for axis in (0, 1):
        flipped = masks.unpacked(masks.mirrored(bits, axis), count).transpose(2, 0, 1)
        assert np.array_equal(flipped, np.flip(wanted, axis + 1))


def test_a_polygon_is_filled_and_cut_off_at_the_edge():
    square = masks.filled(np.array([[-5, -5], [3, -5], [3, 3], [-5, 3]]), (10, 12))
    assert square.sum() == 16 and square[:4, :4].all()
    bow = masks.filled(np.array([[1, 1], [9, 9], [9, 1], [1, 9]]), (11, 11))  # crosses itself
    assert bow[5, 2] and bow[5, 8] and not bow[2, 5] and not bow[8, 5]


def test_what_a_polygon_covers_is_what_its_middles_say():
    square = np.array([[2, 3], [12, 3], [12, 13], [2, 13]], float)
    assert masks.covered(square, (20, 20)).sum() == 100
    assert masks.covered(square + 0.4, (20, 20)).sum() == 100
    assert masks.covered(square - 100, (20, 20)).sum() == 0
    assert masks.covered(square, (8, 8)).sum() == 5 * 6
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float)
    there = masks.covered(bow, (10, 10))
    assert there[5, 0] and there[5, 9] and not there[0, 5] and not there[9, 5]


@pytest.mark.parametrize("seed", range(5))
def test_what_a_polygon_covers_is_what_crossings_say(seed):
    polygon = np.random.default_rng(seed).uniform(-5, 40, (7, 2))
    y, x = np.mgrid[:30, :35]
    middles = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1)
    winding = np.zeros(30 * 35, bool)  # by crossings, edge after edge
    for a, b in zip(polygon, np.roll(polygon, -1, 0)):
        crosses = (a[1] <= middles[:, 1]) != (b[1] <= middles[:, 1])
        at = a[0] + (middles[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        winding ^= crosses & (middles[:, 0] > at)
    assert np.array_equal(masks.covered(polygon, (30, 35)).ravel() > 0, winding)


@SMALL
@given(st.data())
def test_a_part_is_enlarged_as_the_whole_would_be(data):
    size = data.draw(st.tuples(st.integers(5, 90), st.integers(5, 90)))
    side = data.draw(st.integers(4, 64))
    _, _, w, h = place_in_square(size[1], size[0], side)
    x, y = data.draw(st.integers(0, w - 1)), data.draw(st.integers(0, h - 1))
    shape = data.draw(st.integers(1, h - y)), data.draw(st.integers(1, w - x))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    part = rng.integers(0, 256, shape, dtype=np.uint8)
    plane = np.zeros((h, w), np.uint8)
    plane[y : y + shape[0], x : x + shape[1]] = part
    whole, corner = masks.enlarged(plane, (0, 0), (h, w), size)
    assert whole.shape == size and corner == (0, 0)
    own, (left, top) = masks.enlarged(part, (x, y), (h, w), size)
    found = np.zeros(size, np.uint8)
    found[top : top + own.shape[0], left : left + own.shape[1]] = own
    assert np.array_equal(found, whole)


def test_enlarging_is_linear_as_opencvs_is():
    plane = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8), (0, 0), 1.5
    )
    own, _ = masks.enlarged(plane, (0, 0), (40, 30), (80, 60))
    theirs = cv2.resize(plane, (60, 80), interpolation=cv2.INTER_LINEAR)
    assert np.abs(own.astype(int) - theirs).max() <= 1
    same, _ = masks.enlarged(plane, (0, 0), (40, 30), (40, 30))
    assert np.array_equal(same, plane)


# units


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    task = make_task()
    folder = draw(tmp_path_factory.mktemp("shapes"), 8)
    return task, read(task, folder)


def predicted(task, cases, folder, change=lambda levels: levels):
    """Predictions that are the truth at the pictures' own size, but for `change`."""
    folder.mkdir(exist_ok=True)
    files = []
    for number, case in enumerate(cases.to_dict("records")):
        shape, truth = task.read_masks(case)
        levels = np.stack([255 * rle.to_mask(truth[name], shape) for name in CLASSES])
        path = folder / f"{number}.safetensors"
        crops.cropped(case["id"], change(levels), shape, CLASSES).write(path)
        files.append(str(path))
    return cases[["id"]].assign(file=files)


def test_units_are_classes_of_images_as_areas(shapes, tmp_path):
    task, cases = shapes
    units = task.to_units(cases, predicted(task, cases, tmp_path / "true"))
    assert list(units["id"][:3]) == ["p00.png,disc", "p00.png,bar", "p00.png,both"]
    areas = [int(mask.sum()) for seed in range(8) for mask in planes(seed, size_of(seed))]
    assert list(units["y_true"]) == areas
    at_half = chosen(task, units)
    assert at_half[:, 0].tolist() == at_half[:, 1].tolist() == areas
    assert values(task, units).shape == (24, 513)
    scores = mk.score(task, cases, predicted(task, cases, tmp_path / "true"))
    assert scores == {"dice": 1.0, "iou": 1.0, **{f"{name}_dice": 1.0 for name in CLASSES}}


def size_of(seed):
    return ((40, 56), (48, 32))[seed % 2]


def test_the_score_is_the_mean_dice_of_pixels(shapes, tmp_path):
    task, cases = shapes

    def halved(levels):
        levels = levels.copy()
        levels[:, ::2] = 0
        return levels

    scores = mk.score(task, cases, predicted(task, cases, tmp_path / "half", halved))
    wanted = []
    for seed in range(8):
        for mask in planes(seed, size_of(seed)):
            found = mask.copy()
            found[::2] = 0
            both, either = (mask & found).sum(), mask.sum() + found.sum()
            wanted.append((2 * both + 1e-4) / (either + 1e-4))
    assert scores["dice"] == pytest.approx(np.mean(wanted), abs=1e-12)
    assert scores["disc_dice"] == pytest.approx(np.mean(wanted[::3]), abs=1e-12)


def test_thresholds_are_the_best_of_all_cuts(shapes, tmp_path):
    task, cases = shapes

    def soft(levels):  # true pixels of a disc reach 100, others up to 90
        rng = np.random.default_rng(0)
        levels = np.where(levels > 0, 100, rng.integers(0, 91, levels.shape)).astype(np.uint8)
        levels[1:] = 255 * (levels[1:] > 90)
        return levels

    predictions = predicted(task, cases, tmp_path / "soft", soft)
    threshold = mk.choose_threshold(task, cases, predictions)
    assert list(threshold) == list(CLASSES) and 90 / 255 < threshold["disc"] < 100 / 255
    assert mk.score(task, cases, predictions, threshold=threshold)["dice"] == 1.0
    assert mk.score(task, cases, predictions)["disc_dice"] < 0.01
    iou = mk.choose_threshold(task, cases, predictions, metric="iou")
    assert mk.score(task, cases, predictions, threshold=iou)["iou"] == 1.0
    with pytest.raises(ValueError, match="auc: masks is masks of 3 classes"):
        mk.choose_threshold(task, cases, predictions, metric="auc")


@pytest.mark.parametrize("threshold", [0, 1.5, {"disc": 0.5}, {"disc": 0.5, "bar": 0.5, "x": 1}])
def test_a_threshold_is_a_probability_for_each_class(shapes, tmp_path, threshold):
    task, cases = shapes
    with pytest.raises(ValueError, match="expected a probability above 0, or one for each of disc"):
        mk.score(task, cases, predicted(task, cases, tmp_path / "p"), threshold=threshold)


def test_intervals_and_comparisons_are_of_groups_of_images(shapes, tmp_path):
    task, cases = shapes
    good = predicted(task, cases, tmp_path / "good")
    poor = predicted(task, cases, tmp_path / "poor", lambda levels: levels // 3)
    found = score_interval(task, cases, good)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    gain = mk.compare(task, cases, poor, good)
    assert gain.is_sure and gain.difference > 0.9


def test_what_could_not_be_looked_at_is_an_empty_mask(shapes, tmp_path):
    task, cases = shapes
    predictions = predicted(task, cases, tmp_path / "p")
    predictions.loc[0, "file"] = None
    table = task.submission_table(cases, predictions)
    assert list(table["rle"][:3]) == ["", "", ""] and (table["rle"][3:] != "").any()
    assert mk.score(task, cases, predictions)["dice"] < 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("base", [0, 1])
def test_the_table_holds_runs_as_the_contest_counts_them(shapes, tmp_path, order, base):
    _, cases = shapes
    layout = mk.Layout(key_columns=2, answer="runs", order=order, base=base)
    task = make_task(layout=layout)
    table = task.submission_table(cases, predicted(task, cases, tmp_path / "p"))
    assert list(table) == ["id", "class", "rle"] and len(table) == 24
    for row, mask in zip(table.itertuples(), (m for k in range(8) for m in planes(k, size_of(k)))):
        assert np.array_equal(rle.decode(row.rle, mask.shape, order=order, base=base), mask)
    truth = true_table(task, cases)
    assert list(truth["rle"]) == list(table["rle"])
    assert list(truth["id"][:2]) == ["p00.png,disc", "p00.png,bar"]


def named(cases, predictions, threshold=0.5):
    """A table as a contest names its columns."""
    one = make_task("one", ("disc",), layout=mk.Layout(key_columns=1, answer="runs"))
    table = one.submission_table(cases, predictions, threshold=threshold)
    return table.set_axis(["ImageId", "EncodedPixels"], axis=1)


def test_a_table_of_one_class_needs_no_class(tmp_path):
    layout = mk.Layout(key_columns=1, answer="runs")
    task = make_task("one", ("disc",), layout=layout)
    cases = read(task, draw(tmp_path, 2))
    assert list(true_table(task, cases)) == ["id", "rle"]
    own = make_task("named", ("disc",), layout=layout, submission_table=named)
    assert list(true_table(own, cases)) == ["ImageId", "EncodedPixels"]
    many = make_task("many", layout=layout)
    with pytest.raises(ValueError, match="key_columns=1 with 3 classes of masks"):
        true_table(many, read(many, tmp_path))
    blind = mk.read_masks(task, tmp_path / "images")
    with pytest.raises(ValueError, match="2 of 2 have no masks"):
        true_table(task, blind)


def test_masks_of_another_size_are_refused(shapes, tmp_path):
    task, cases = shapes
    predictions = predicted(task, cases, tmp_path / "p")
    wrong = crops.Crops("p00.png", (50, 50), (50, 50), CLASSES)
    wrong.write(tmp_path / "p" / "0.safetensors")
    with pytest.raises(ValueError, match="a picture of 50 x 50 pixels .expected 56 x 40"):
        task.to_units(cases, predictions)


def test_a_file_that_is_written_anew_is_counted_anew(shapes, tmp_path):
    task, cases = shapes
    predictions = predicted(task, cases, tmp_path / "p")
    assert mk.score(task, cases, predictions)["dice"] == 1.0
    predicted(task, cases, tmp_path / "p", lambda levels: 0 * levels)
    assert mk.score(task, cases, predictions)["dice"] < 0.01


def test_sizes_are_those_of_the_pictures(shapes):
    _, cases = shapes
    assert picture_sizes(cases.head(2)) == {"p00.png": [40, 56], "p01.png": [48, 32]}


def test_what_was_counted_last_is_remembered():
    kept, made = mask_units._Kept(5), []

    def get(key, count=2):
        return kept.get((key,), lambda: made.append(key) or [key] * count)

    assert get("a") == ["a", "a"] and get("b") == ["b", "b"] and get("a") == ["a", "a"]
    assert made == ["a", "b"]
    get("c")  # six are too many: b was used longest ago
    assert kept.size == 4
    get("a"), get("b")
    assert made == ["a", "b", "c", "b"]
    get("large", 9)  # one list stays, however long it is
    assert kept.size == 9 and get("large", 9) and made[-1] == "large"


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_parts_that_are_too_small_are_gone(data):
    size = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mask = (rng.random(size) < data.draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))).astype(np.uint8)
    smallest = data.draw(st.integers(0, 12))
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    wanted = sum(
        [labels == k for k in range(1, count) if (labels == k).sum() >= smallest],
        np.zeros(size, bool),
    )
    found = masks.without_specks(rle.runs_of(mask), size[1], smallest)
    assert np.array_equal(rle.to_mask(found, size), wanted)
    assert np.array_equal(found, rle.runs_of(wanted))
