from __future__ import annotations

import numpy as np

from medkit.images.crop import crop_region, pad_to_square, window

BOX = [[20, 10], [40, 10], [40, 30], [20, 30]]


def test_the_window_is_square_around_the_middle():
    assert window([[0, 0], [10, 0], [10, 4]], 0.1) == (-1.0, -4.0, 12.0)


def test_a_crop_shows_the_region_and_its_margin():
    image = np.zeros((60, 80, 3), np.uint8)
    image[10:30, 20:40] = 200
    crop = crop_region(image, BOX, size=40, margin=0.5, mask=False)
    assert crop.shape == (40, 40, 3)
    assert crop[20, 20].tolist() == [200, 200, 200] and crop[2, 2].max() == 0
    assert abs((crop[:, :, 0] > 100).mean() - 0.25) < 0.03


def test_the_mask_blacks_out_what_lies_beyond_the_dilated_region():
    image = np.full((60, 80, 3), 90, np.uint8)
    shown = crop_region(image, BOX, size=64, margin=0.25, mask=False)
    masked = crop_region(image, BOX, size=64, margin=0.25, mask=True)
    assert (shown == 90).all() and masked[0, 0].max() == 0 and masked[32, 32, 0] == 90
    reached = masked[32, :, 0] > 0  # the region's 43 px and 11 px on either side
    assert 60 <= reached.sum() <= 64


def test_a_region_at_the_edge_is_padded_with_black():
    image = np.full((30, 30, 3), 255, np.uint8)
    crop = crop_region(image, [[0, 0], [10, 0], [10, 10]], size=20, margin=0.5, mask=False)
    assert crop[1, 1].max() == 0 and crop[12, 12].min() == 255


def test_a_whole_picture_keeps_its_shape():
    square = pad_to_square(np.full((20, 40, 3), 255, np.uint8), size=32)
    rows = square[:, :, 0].max(1) > 0
    assert square.shape == (32, 32, 3) and rows.sum() == 16 and rows[8] and not rows[7]
