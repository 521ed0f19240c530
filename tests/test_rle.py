"""Masks, runs and texts: whatever the mask, they say the same as its pixels one by one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, configuration, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medkit.images import rle

CONVENTIONS = [("C", 1), ("F", 1), ("C", 0), ("F", 0)]
tries = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
shapes = array_shapes(min_dims=2, max_dims=2, max_side=12)
masks = arrays(np.bool_, shapes)
conventions = st.sampled_from(CONVENTIONS)


@pytest.fixture(scope="module", autouse=True)
def hypothesis_home(tmp_path_factory):
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("rle") / "hypothesis")


@st.composite
def stacks(draw, least=1, most=5):
    """Masks of one shape: (N, H, W) bool."""
    return draw(arrays(np.bool_, (draw(st.integers(least, most)), *draw(shapes))))


def text_by_pixel(mask, order, base):
    """The text of a mask, one pixel after another."""
    flat, numbers = [*np.asarray(mask).astype(bool).ravel(order).tolist(), False], []
    for place, inside in enumerate(flat):
        if inside and not (place and flat[place - 1]):
            numbers += [place + base, 0]
        if inside:
            numbers[-1] += 1
    return " ".join(map(str, numbers))


@tries
@given(masks, conventions)
def test_a_text_is_that_of_the_pixels_and_leads_back(mask, convention):
    order, base = convention
    text = rle.encode(mask, order=order, base=base)
    assert text == text_by_pixel(mask, order, base)
    back = rle.decode(text, mask.shape, order=order, base=base)
    assert back.dtype == np.uint8 and back.flags.c_contiguous and (back == mask).all()
    runs = rle.to_runs(text, mask.size, base=base)
    assert runs.dtype == np.int64 and (runs == rle.runs_of(mask, order=order)).all()
    assert (rle.to_runs(text, None, base=base) == runs).all() and (np.diff(runs) > 0).all()
    assert rle.area(runs) == mask.sum() and rle.to_text(runs, base=base) == text
    other = mask[::-1] | mask[:, ::-1]
    assert rle.overlap(runs, rle.runs_of(other, order=order)) == (mask & other).sum()


def kinds(mask):
    """The same mask in the types and layouts that masks come in."""
    yield from (mask, mask.astype(np.uint8), mask * np.uint8(255), mask.astype(np.int64) << 40)
    yield from (mask.astype(np.int8) * np.int8(-128), mask.tolist(), np.asfortranarray(mask))
    wide = np.ones((2 * mask.shape[0], 3 * mask.shape[1]), np.uint8)
    wide[::2, ::3] = mask
    yield from (wide[::2, ::3], np.ascontiguousarray(mask[::-1, ::-1])[::-1, ::-1])
    fixed = mask.astype(np.uint16)
    fixed.setflags(write=False)
    yield fixed


@tries
@given(masks, conventions)
def test_neither_the_type_nor_the_layout_of_a_mask_matters(mask, convention):
    order, base = convention
    wanted = text_by_pixel(mask, order, base)
    assert all(rle.encode(kind, order=order, base=base) == wanted for kind in kinds(mask))


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (3, 64), (64, 3), (37, 41), (16, 8)])
@pytest.mark.parametrize(("order", "base"), CONVENTIONS)
def test_empty_full_and_cornered_masks(shape, order, base):
    empty = np.zeros(shape, np.uint8)
    corners = []
    for y in (0, -1):
        for x in (0, -1):
            corners.append(empty.copy())
            corners[-1][y, x] = 1
    for mask in (empty, empty + 1, *corners, sum(corners)):
        text = rle.encode(mask, order=order, base=base)
        assert text == text_by_pixel(mask, order, base)
        assert (rle.decode(text, shape, order=order, base=base) == mask.astype(bool)).all()
    assert rle.encode(empty) == "" and rle.encode(empty + 1) == f"1 {empty.size}"


@pytest.mark.parametrize(("order", "base"), CONVENTIONS)
@pytest.mark.parametrize("last", [0, 1])
def test_noise_of_many_runs_is_filled_at_once(order, base, last):
    mask = (np.random.default_rng(3).random((301, 307)) < 0.5).astype(np.uint8)
    mask[-1, -1] = last
    runs = rle.runs_of(mask, order=order)
    assert len(runs) > 2 * rle.MANY
    text = rle.encode(mask, order=order, base=base)
    assert text == text_by_pixel(mask, order, base)
    assert (rle.decode(text, mask.shape, order=order, base=base) == mask).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_mask_without_pixels_is_empty(shape):
    for order in "CF":
        assert rle.encode(np.zeros(shape, np.uint8), order=order) == ""
        assert rle.decode("", shape, order=order).shape == shape


@tries
@given(masks)
def test_the_box_is_the_least_one_around_all_that_is_inside(mask):
    rows, columns = np.nonzero(mask)
    wanted = (0, 0, 0, 0)
    if len(rows):
        x, y = columns.min(), rows.min()
        wanted = (x, y, columns.max() - x + 1, rows.max() - y + 1)
    for kind in kinds(mask):
        found = rle.box_of(kind)
        assert found == wanted and all(type(number) is int for number in found)


@tries
@given(masks, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_box_in_an_empty_picture_has_the_runs_of_that_picture(box, x, y, right):
    picture = np.zeros((y + box.shape[0] + 1, x + box.shape[1] + right), bool)
    picture[y : y + box.shape[0], x : x + box.shape[1]] = box
    runs = rle.shifted(box, x, y, picture.shape[1])
    assert runs.tolist() == rle.runs_of(picture).tolist()


@tries
@given(st.lists(stacks(2, 2), max_size=6), st.sampled_from([0, 1]), st.integers(1, 4))
def test_overlaps_of_whole_columns_are_those_row_by_row(rows, base, block):
    before, rle.BLOCK = rle.BLOCK, block
    texts, others = ([rle.encode(row[k], base=base) for row in rows] for k in (0, 1))
    sizes = [row[0].size for row in rows]
    try:
        found = [rle.overlaps(texts, others, size, base=base) for size in (sizes, None, 144)]
    finally:
        rle.BLOCK = before
    for areas, other_areas, shared in found:
        assert areas.tolist() == [row[0].sum() for row in rows] and shared.dtype == np.int64
        assert other_areas.tolist() == [row[1].sum() for row in rows]
        assert shared.tolist() == [(row[0] & row[1]).sum() for row in rows]


def test_no_row_reaches_into_the_next():
    found = rle.overlaps(["1 1", "1 1"], ["1 5", ""], 9)
    assert [column.tolist() for column in found] == [[1, 1], [5, 0], [1, 0]]
    assert rle.vote_texts([["1 9", ""], ["1 9", ""]], 9, more_than=0) == ["1 9", "1 9"]


def vote_by_pixel(stack, weights, more_than):
    """In fractions, so that a tie is one."""
    inside = np.zeros(stack.shape[1:], bool)
    for y, x in np.ndindex(*inside.shape):
        share = sum(w for mask, w in zip(stack, weights) if mask[y, x])
        inside[y, x] = share > more_than * sum(weights)
    return inside


thirds = st.integers(0, 6).map(lambda n: Fraction(n, 10))
more_thans = st.sampled_from([Fraction(n, 12) for n in range(12)])


@tries
@given(stacks(), st.lists(thirds, min_size=5, max_size=5), more_thans)
def test_a_vote_is_that_of_the_pixels_with_weights_and_ties(stack, weights, more_than):
    weights = weights[: len(stack)]
    if not any(weights):
        weights[0] = Fraction(1)
    runs = [rle.runs_of(mask) for mask in stack]
    found = rle.vote(runs, weights=[float(w) for w in weights], more_than=float(more_than))
    assert found.tolist() == rle.runs_of(vote_by_pixel(stack, weights, more_than)).tolist()
    wanted = rle.runs_of(stack.sum(0) * 2 > len(stack))
    assert rle.vote(runs).tolist() == wanted.tolist()  # of equals more than half, so no tie


def test_a_tie_is_outside_also_of_weights_that_no_float_can_hold():
    a, b, c = (rle.to_runs(text, 9) for text in ("1 3", "1 3", "4 3"))
    assert rle.to_text(rle.vote([a, c])) == ""
    assert rle.to_text(rle.vote([a, b, c], weights=[0.1, 0.2, 0.3])) == ""
    assert rle.to_text(rle.vote([a, b, c], weights=[0.1, 0.2, 0.2999])) == "1 3"
    assert rle.to_text(rle.vote([a, b, c], weights=[1e308, 1e308, 1e308])) == "1 3"
    assert rle.to_text(rle.vote([a, b, c], more_than=0)) == "1 6"


@pytest.mark.parametrize("half", range(1, 30))
def test_half_of_an_even_number_is_a_tie_and_one_more_is_not(half):
    here, there = np.array([0, 4]), np.array([6, 9])
    assert rle.vote([here] * half + [there] * half).tolist() == []
    assert rle.vote([here] * (half + 1) + [there] * (half - 1)).tolist() == [0, 4]
    third = rle.vote([here] * half + [there] * half * 2, more_than=1 / 3)
    assert third.tolist() == [6, 9]


def test_ties_stay_ties_after_a_million_runs():
    comb = np.arange(2_000_000, dtype=np.int64)
    assert len(rle.vote([comb, comb, comb[2:] + 1], weights=[0.1, 0.2, 0.3])) == 0


@tries
@given(st.lists(stacks(3, 3), max_size=7), st.sampled_from([0, 1]), st.booleans(), more_thans)
def test_the_votes_of_all_rows_are_those_of_each(rows, base, is_weighted, more_than):
    weights = [1, 2, 1.5] if is_weighted else None
    texts = [[rle.encode(mask, base=base) for mask in row] for row in rows]
    wanted = []
    for row in rows:
        runs = [rle.runs_of(mask) for mask in row]
        voted = rle.vote(runs, weights=weights, more_than=float(more_than))
        wanted.append(rle.to_text(voted, base=base))
    before, options = rle.BLOCK, dict(weights=weights, more_than=float(more_than), base=base)
    try:
        for rle.BLOCK in (1, 6, 64):
            for size in (None, 144, [row[0].size for row in rows]):
                assert rle.vote_texts(texts, size, **options) == wanted
    finally:
        rle.BLOCK = before


def test_rows_may_be_tuples_and_voters_more_than_a_block():
    columns = [["1 4", "7 2"]] * 70 + [["3 4", ""]] * 69
    assert rle.vote_texts(list(zip(*columns)), 16) == ["1 4", "7 2"]
    assert rle.vote_texts([], 16) == []
    assert rle.vote_texts([["", ""], ["5 1", "5 1"], ["", "3 1"]], 16) == ["", "5 1", ""]


REFUSED = [
    (lambda: rle.encode(np.zeros(4, bool)), r"mask: shape \(4,\) \(expected height and width\)"),
    (lambda: rle.box_of(np.zeros((1, 4, 4), bool)), r"mask: shape \(1, 4, 4\) .*one mask"),
    (lambda: rle.encode(np.zeros((2, 2))), "mask: float64 .* Compare it with a threshold"),
    (lambda: rle.encode(np.eye(2, dtype=int), order="A"), "order: 'A' .expected 'C', row by row"),
    (lambda: rle.decode("", (2, 2), order="f"), "order: 'f' .expected 'C'"),
    (lambda: rle.encode(np.eye(2, dtype=int), base=2), "base: 2 .expected 0 or 1"),
    (lambda: rle.decode("", (2, 2), base="1"), "base: '1' .expected 0 or 1"),
    (lambda: rle.vote_texts([], 4, base=-1), "base: -1 .expected 0 or 1"),
    (lambda: rle.overlaps([], [], 4, base=None), "base: None .expected 0 or 1"),
    (lambda: rle.decode("1 5", (2, 2)), "text: run 1 of 1 is '1 5' .expected the last pixel 4"),
    (lambda: rle.to_mask(np.array([0, 5]), (2, 2)), "to_mask: the last run ends at 5 .* 2 x 2"),
    (lambda: rle.shifted(np.eye(3, dtype=int), 2, 0, 4), r"a box 3 wide at \(2, 0\) leaves"),
    (lambda: rle.shifted(np.eye(3, dtype=int), 0, -1, 4), r"a box 3 wide at \(0, -1\) leaves"),
    (lambda: rle.overlaps(["", ""], [""], 4), "overlaps: 2 texts and 1 others. Pass one for each"),
    (lambda: rle.overlaps([""], [""], [4, 4]), r"overlaps: size is int64 of shape \(2,\)"),
    (lambda: rle.vote([]), "vote: no voters"),
    (lambda: rle.vote_texts([[]], 4), "vote_texts: no voters"),
    (lambda: rle.vote_texts(["1 2"], 4), "a row is one text .* zip"),
    (lambda: rle.vote_texts([["", ""], [""]], 4), "row 1 has 1 texts .expected 2, as row 0 has"),
    (lambda: rle.vote_texts([["", ""]], 4.5), "vote_texts: size is float64"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_meant_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [[1, 1]]])
def test_weights_are_one_a_voter_and_none_below_0(weights):
    with pytest.raises(ValueError, match="weights .* for 2 voters .expected one each, 0 or more"):
        rle.vote_texts([["1 2", "1 2"]], 4, weights=weights)


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_is_from_0_to_below_1(share):
    with pytest.raises(ValueError, match="vote: more_than=.* .expected 0 to below 1"):
        rle.vote([np.array([0, 4])], more_than=share)


@pytest.mark.parametrize("at", [0, 63, 64, 150])
def test_a_wrong_text_in_a_column_is_named_by_its_row(at):
    texts, wrong = ["1 2 4 1"] * 151, ["1 2"] * 151
    wrong[at] = "1 0"
    with pytest.raises(ValueError, match=f"row {at} of texts: run 1 of 1 is '1 0'"):
        rle.overlaps(wrong, texts, 8)
    with pytest.raises(ValueError, match=f"row {at} of others: run 1 of 1 is '1 0'"):
        rle.overlaps(texts, wrong, 8)
    with pytest.raises(ValueError, match=f"row {at}, voter 1: run 1 of 1 is '1 0'"):
        rle.vote_texts(list(zip(texts, wrong, texts)), 8)


def test_each_row_is_held_to_the_size_of_its_own_picture():
    with pytest.raises(ValueError, match="row 1, voter 1: run 1 of 1 is '9 1' .* last pixel 8"):
        rle.vote_texts([["9 1", ""], ["8 1", "9 1"]], [9, 8])
    with pytest.raises(ValueError, match="row 1 of others: .* last pixel 7"):
        rle.overlaps(["8 1", ""], ["", "7 2"], np.array([9, 8]), base=0)
