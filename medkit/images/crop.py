"""A part of a picture, or all of it, as a square of a model's size."""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

Polygon = Sequence[Sequence[float]]


def window(region: Polygon, margin: float) -> tuple[float, float, float]:
    """Left, top and side of the square around a polygon, in pixels; it may leave the picture.

    Args:
        margin: how far the square reaches beyond the polygon, as a share of its longer side.
    """
    points = np.asarray(region, np.float64)
    low, high = points.min(0), points.max(0)
    longer = max(float((high - low).max()), 1.0)
    side = longer * (1 + 2 * margin)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side


def crop_region(
    image: np.ndarray, region: Polygon, *, size: int, margin: float, mask: bool
) -> np.ndarray:
    """The square around a polygon, resized; black where the picture ends.

    Args:
        image: (H, W, 3) uint8.
        region: points [x, y] in pixels of `image`.
        size: pixels a side of the result.
        margin: see `window`; the polygon is dilated as far.
        mask: black out what is outside the dilated polygon.

    Returns:
        (size, size, 3) uint8.
    """
    left, top, side = window(region, margin)
    crop = resize(_cut(image, left, top, side), size)
    if mask:
        points = (np.asarray(region, np.float64) - (left, top)) * (size / side)
        shape = [np.round(points).astype(np.int32)]
        shown = np.zeros((size, size), np.uint8)
        cv2.fillPoly(shown, shape, 1)
        # A thick outline dilates as a round kernel does, whose cost grows with its area.
        reach = max(1, int(round(size * margin / (1 + 2 * margin))))
        cv2.polylines(shown, shape, True, 1, thickness=2 * reach + 1)
        crop = cv2.bitwise_and(crop, crop, mask=shown)
    return crop


def pad_to_square(
    image: np.ndarray, *, size: int, whole: tuple[int, int] | None = None
) -> np.ndarray:
    """The whole picture in the middle of a black square: (size, size, 3) uint8.

    Args:
        whole: width and height of the picture itself, where `image` was decoded smaller; sides that
            are halved and rounded can lie a pixel elsewhere.
    """
    x, y, width, height = place_in_square(*(whole or image.shape[1::-1]), size)
    square = np.zeros((size, size, 3), np.uint8)
    square[y : y + height, x : x + width] = resize_to(image, (width, height))
    return square


def place_in_square(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """x, y, width and height that a picture has in the middle of a square."""
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return (size - inner[0]) // 2, (size - inner[1]) // 2, *inner


def resize_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture at another width and height; each new pixel is the mean of what it covers."""
    scale = max(size) / max(image.shape[:2])
    return cv2.resize(image, size, interpolation=_interpolation(scale))


def clahe(image: np.ndarray) -> np.ndarray:
    """A picture whose contrast is evened out in 8 x 8 tiles; its colours stay.

    Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV (1994).
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


CONTRASTS = {"": lambda image: image, "clahe": clahe}  # of whole pictures, by name


def resize(square: np.ndarray, size: int) -> np.ndarray:
    """A square picture at another size: (size, size, 3) uint8."""
    return cv2.resize(
        square, (size, size), interpolation=_interpolation(size / max(1, square.shape[0]))
    )


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _cut(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """A square of whole pixels, black beyond the picture's edge."""
    height, width = image.shape[:2]
    x, y, n = int(round(left)), int(round(top)), max(1, int(round(side)))
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + n, width), min(y + n, height)
    if (x0, y0, x1, y1) == (x, y, x + n, y + n):
        return image[y0:y1, x0:x1]
    square = np.zeros((n, n, 3), np.uint8)
    if x1 > x0 and y1 > y0:
        square[y0 - y : y1 - y, x0 - x : x1 - x] = image[y0:y1, x0:x1]
    return square
