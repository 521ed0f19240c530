from __future__ import annotations

import cv2
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


def test_the_mask_is_the_region_dilated_by_a_disc_to_a_pixel():
    region = [[12, 18], [55, 10], [70, 44], [30, 60]]
    image, size, margin = np.full((200, 200, 3), 90, np.uint8), 200, 0.2
    region = np.asarray(region) + 60  # the window lies inside the picture
    masked = crop_region(image, region, size=size, margin=margin, mask=True)[:, :, 0]
    left, top, side = window(region, margin)
    wanted = np.zeros((size, size), np.uint8)
    points = (region - (left, top)) * size / side
    cv2.fillPoly(wanted, [np.round(points).astype(np.int32)], 90)
    reach = round(size * margin / (1 + 2 * margin))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    wanted, pixel = cv2.dilate(wanted, disc), np.ones((3, 3), np.uint8)
    assert (cv2.erode(wanted, pixel) <= masked).all()
    assert (masked <= cv2.dilate(wanted, pixel)).all()
    assert 0.2 < (masked > 0).mean() < 0.95
