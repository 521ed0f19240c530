"""Windows of a large picture, which a model is shown one at a time: where they lie.

A picture lies in the middle of a square (`crop.pad_to_square`), and windows keep to it as far as
it is larger than they are: nothing is learnt from what pads it.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

Box = Tuple[int, int, int, int]  # x, y, width, height of the picture within its square

STEP = 0.5  # of a window's side, at most, from one to the next where they are laid side by side
SIGMA = 0.125  # of a window's side: the standard deviation of the weight of its pixels


def random_corner(
    rng: np.random.Generator,
    picture: Box,
    size: int,
    whole: int,
    *,
    bits: np.ndarray | None = None,
) -> tuple[int, int]:
    """x, y of the corner of a window of `size` pixels a side, somewhere in a picture.

    Args:
        whole: pixels a side of the square.
        bits: (whole, whole, bytes) of masks (see `images.masks`): the window is laid around a pixel
            of one of them, each as likely as the others; None, or of empty masks, anywhere.
    """
    middle = None if bits is None else _pixel(rng, bits)
    corner = []
    for axis in range(2):
        first, length = picture[axis], picture[2 + axis]
        if middle is not None:  # anywhere in the window
            start = middle[axis] - int(rng.integers(0, size))
        else:
            start = first + int(rng.integers(0, max(1, length - size + 1)))
        corner.append(_within(start, first, length, size, whole))
    return corner[0], corner[1]


def corners(picture: Box, size: int, whole: int) -> list[tuple[int, int]]:
    """Corners x, y of windows that overlap by half, or more, and cover a picture, row by row."""
    across, down = (_starts(picture[k], picture[2 + k], size, whole) for k in range(2))
    return [(x, y) for y in down for x in across]


def weights(size: int) -> np.ndarray:
    """(size, size) float32: how much a window's pixel counts where several overlap.

    A Gaussian around the middle, nowhere below a thousandth of it.
    Source: Isensee et al., Nature Methods 2021 (nnU-Net), supplementary note 4.
    """
    at = (np.arange(size) - (size - 1) / 2) / (SIGMA * size)
    line = np.exp(-(at**2) / 2)
    return np.maximum(np.outer(line, line), 1e-3).astype(np.float32)


def _pixel(rng: np.random.Generator, bits: np.ndarray) -> tuple[int, int] | None:
    """x, y of a pixel of a mask: one of the masks, one of its columns, one of its pixels there."""
    columns = np.bitwise_or.reduce(bits.reshape(len(bits), -1), 0).reshape(bits.shape[1:])
    here = np.unpackbits(columns, axis=1, bitorder="little")  # (columns, masks)
    masks = np.flatnonzero(here.any(0))
    if not len(masks):
        return None
    number = int(rng.choice(masks))
    x = int(rng.choice(np.flatnonzero(here[:, number])))
    y = int(rng.choice(np.flatnonzero(bits[:, x, number // 8] >> (number % 8) & 1)))
    return x, y


def _within(start: int, first: int, length: int, size: int, whole: int) -> int:
    """The nearest start of a window that keeps to the picture, or has a small one in the middle."""
    if length < size:
        return min(max(0, first + (length - size) // 2), whole - size)
    return min(max(first, start), first + length - size)


def _starts(first: int, length: int, size: int, whole: int) -> list[int]:
    """Along one axis."""
    if length <= size:
        return [_within(first, first, length, size, whole)]
    count = int(np.ceil((length - size) / (STEP * size)))
    return [first + round(k * (length - size) / count) for k in range(count + 1)]
