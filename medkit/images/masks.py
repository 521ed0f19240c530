"""Masks on the way to a model and back: polygons filled, planes packed as bits, crops enlarged.

A picture lies in the middle of a model's square (`crop.pad_to_square`); `inner` is the height and
width that it has there. Bits: class c of a pixel is bit c % 8 of byte c // 8.
"""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

from medkit.images import crop, rle

HALF = 128  # of 255: what covers half of a pixel, or more, is in it
PARTS = 32  # of a pixel, in which places between pixels are reckoned, as OpenCV does


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A polygon's inside as (H, W) uint8 of 0 and 1; what lies beyond the picture is cut off.

    Where it crosses itself, what is enclosed twice is outside.

    Args:
        polygon: (n, 2) points x, y in pixels.
    """
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return mask


def covered(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle a polygon encloses: (H, W) uint8 of 0 and 1.

    Its points are places in a plane in which the first pixel reaches from 0 to 1, as COCO has them;
    a square with sides of 10 covers 100 pixels. What is enclosed twice is outside.

    Args:
        polygon: (n, 2) points x, y.
    """
    mask, (height, width) = np.zeros(shape, np.uint8), shape
    (x0, y0), (x1, y1) = polygon.T[:, :, None], np.roll(polygon, -1, axis=0).T[:, :, None]
    first = max(0, int(np.floor(polygon[:, 1].min())))
    rows = np.arange(first, min(height, int(np.ceil(polygon[:, 1].max()))))
    at = rows[None] + 0.5  # the middles of lines
    crosses = (y0 <= at) != (y1 <= at)  # (edges, rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = x0 + (at - y0) / (y1 - y0) * (x1 - x0)
    for row, there, places in zip(rows, crosses.T, x.T):
        ends = np.clip(np.ceil(np.sort(places[there]) - 0.5), 0, width).astype(int)
        for start, end in zip(ends[::2], ends[1::2]):
            mask[row, start:end] ^= 1
    return mask


def bytes_of(classes: int) -> int:
    """Bytes a pixel that hold a bit of each class."""
    return -(-classes // 8)


def to_bits(planes: Sequence[rle.Runs], shape: tuple[int, int], size: int) -> np.ndarray:
    """Masks of a picture as a model of this size learns them: (size, size, ceil(C / 8)) uint8.

    A pixel is in a mask when half of it, or more, is.

    Args:
        planes: runs of each of C masks, row by row, at the picture's own size.
        shape: height and width of the picture.
    """
    x, y, width, height = crop.place_in_square(shape[1], shape[0], size)
    bits = np.zeros((size, size, bytes_of(len(planes))), np.uint8)
    for number, runs in enumerate(planes):
        if len(runs):
            mask = crop.resize_to(255 * rle.to_mask(runs, shape), (width, height)) >= HALF
            byte = bits[y : y + height, x : x + width, number // 8]
            byte |= mask.astype(np.uint8) << np.uint8(number % 8)
    return bits


def unpacked(bits: np.ndarray, classes: int) -> np.ndarray:
    """(..., classes) uint8 of 0 and 1 of bits (..., ceil(classes / 8))."""
    return np.unpackbits(bits, axis=-1, count=classes, bitorder="little")


def mirrored(bits: np.ndarray, axis: int) -> np.ndarray:
    """Bits of a mirrored picture: axis 1 is left and right, 0 is up and down."""
    return cv2.flip(bits, axis).reshape(bits.shape)  # which drops an axis of length 1


def drawn(runs: rle.Runs, width: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The box around runs, row by row, of a picture of this width: (h, w) uint8 of 0 and 1, and the
    x, y of its corner."""
    if not len(runs):
        return np.zeros((0, 0), np.uint8), (0, 0)
    top, bottom = int(runs[0]) // width, (int(runs[-1]) - 1) // width + 1
    rows = rle.to_mask(runs - top * width, (bottom - top, width))
    x, _, w, _ = rle.box_of(rows)
    return rows[:, x : x + w], (x, top)


def turned(runs: rle.Runs, size: tuple[int, int], order: str) -> rle.Runs:
    """Runs, row by row, of a picture in another order: "F" is column by column."""
    if order == "C":
        return runs
    box, (x, y) = drawn(runs, size[1])
    return rle.shifted(np.ascontiguousarray(box.T), y, x, size[0])


def without_specks(runs: rle.Runs, width: int, smallest: int) -> rle.Runs:
    """Runs, row by row, without the parts that have fewer pixels than the smallest that may stay.

    Pixels that touch at a side or a corner are of one part.
    """
    box, (x, y) = drawn(runs, width)
    if not box.size:
        return runs
    _, labels, facts, _ = cv2.connectedComponentsWithStats(box, connectivity=8)
    stays = facts[:, cv2.CC_STAT_AREA] >= smallest
    stays[0] = False  # what is outside
    return runs if stays[1:].all() else rle.shifted(stays[labels], x, y, width)


def enlarged(
    part: np.ndarray, corner: tuple[int, int], inner: tuple[int, int], size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """A part of a plane at the picture's own size, and the x, y of its corner there.

    Between pixels it is linear, beyond the picture's edge as at the edge; outside of the part the
    plane is 0. So the parts of a plane give what the whole plane would, value for value.

    Args:
        part: (h, w) uint8, at x, y = `corner` of a plane of height and width `inner`.
        size: height and width of the picture.
    """
    (x, y), (h, w) = corner, part.shape
    left, across = _places(x, w, inner[1], size[1])
    top, down = _places(y, h, inner[0], size[0])
    maps = np.empty((2, len(down), len(across)), np.float32)
    maps[0], maps[1] = across, down[:, None]
    return cv2.remap(part, maps[0], maps[1], cv2.INTER_LINEAR, borderValue=0), (left, top)


def _places(first: int, count: int, inner: int, size: int) -> tuple[int, np.ndarray]:
    """Along one axis: the first pixel of the picture that a part touches, and of it and those
    after it the place in the part.

    Places are whole 32nds of a pixel: numbers that OpenCV reckons with whatever the part.
    """
    step = size / inner
    low = 0 if first == 0 else max(0, int((first - 0.5) * step - 0.5))
    end = first + count
    high = size if end == inner else min(size, int(np.ceil((end + 0.5) * step)))
    places = ((np.arange(low, high) + 0.5) / step - 0.5) * PARTS
    places = np.clip(np.floor(places + 0.5), 0, PARTS * (inner - 1))
    return low, ((places - PARTS * first) / PARTS).astype(np.float32)
