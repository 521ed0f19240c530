from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medkit.images import windows
from medkit.images.crop import place_in_square

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(16, 96), st.integers(16, 96))
def test_windows_side_by_side_cover_the_picture_and_overlap_by_half(width, height, one, other):
    size, whole = sorted((one, other))
    picture = place_in_square(width, height, whole)
    x, y, w, h = picture
    covered = np.zeros((whole, whole), int)
    corners = windows.corners(picture, size, whole)
    for left, top in corners:
        assert 0 <= left <= whole - size and 0 <= top <= whole - size
        covered[top : top + size, left : left + size] += 1
    assert covered[y : y + h, x : x + w].all() or size == whole
    assert len(set(corners)) == len(corners)
    for axis in range(2):
        starts = sorted({corner[axis] for corner in corners})
        assert all(b - a <= np.ceil(size / 2) for a, b in zip(starts, starts[1:]))


@given(SIDES, SIDES, st.integers(16, 96), st.integers(16, 96), st.integers(0, 99))
def test_drawn_windows_keep_to_the_picture(width, height, one, other, seed):
    size, whole = sorted((one, other))
    picture = place_in_square(width, height, whole)
    bits = np.zeros((whole, whole, 2), np.uint8)
    bits[picture[1], picture[0], 1] = 4
    for given_bits in (None, bits, 0 * bits):
        corner = windows.random_corner(
            np.random.default_rng(seed), picture, size, whole, bits=given_bits
        )
        for axis in range(2):
            first, length = picture[axis], picture[2 + axis]
            assert 0 <= corner[axis] <= whole - size
            if length >= size:
                assert first <= corner[axis] <= first + length - size


def test_windows_are_laid_around_each_mask_alike_however_small_it_is():
    bits = np.zeros((200, 200, 2), np.uint8)
    bits[:, :100, 0] |= 1  # half of the picture
    bits[150, 170, 1] |= 2  # one pixel
    found = [
        windows.random_corner(np.random.default_rng(k), (0, 0, 200, 200), 20, 200, bits=bits)
        for k in range(400)
    ]
    on_small = [x <= 170 < x + 20 and y <= 150 < y + 20 for x, y in found]
    assert 0.4 < np.mean(on_small) < 0.6
    on_large = [x < 100 for x, _ in found]
    assert 0.4 < np.mean(on_large) < 0.6
    assert len({corner for corner, small in zip(found, on_small) if small}) > 100


def test_without_masks_windows_lie_anywhere():
    found = {
        windows.random_corner(np.random.default_rng(k), (0, 5, 40, 30), 30, 40) for k in range(200)
    }
    assert found == {(x, 5) for x in range(11)}


def test_a_pixel_in_the_middle_of_a_window_counts_most():
    for size in (16, 33):
        found = windows.weights(size)
        assert found.shape == (size, size) and found.dtype == np.float32
        assert found.max() == found[size // 2, size // 2] <= 1
        assert found.min() == pytest.approx(1e-3)
        assert np.array_equal(found, found.T) and np.array_equal(found, found[::-1])
