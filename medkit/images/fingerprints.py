"""Pictures that are the same or nearly so: small grey thumbnails, compared with each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Sequence

import cv2
import numpy as np

from medkit import machine
from medkit.images import decode
from medkit.progress import track

SIDE = 24  # pixels of a thumbnail
ALIKE = 0.97  # least correlation of two pictures taken for the same
BLOCK = 2048  # pictures compared at once


def fingerprint(path: str) -> np.ndarray:
    """A picture's thumbnail as a vector of mean 0 and length 1: (SIDE * SIDE,) float32.

    The dot product of two is their correlation, which neither size, quality nor brightness change.
    """
    image = decode.read_image(path, min_size=2 * SIDE)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def find_similar(paths: Sequence[str], *, alike: float = ALIKE) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures whose thumbnails correlate by at least `alike`."""
    with ThreadPoolExecutor(machine.cores()) as pool:
        found = track(pool.map(fingerprint, paths), "comparing pictures", total=len(paths))
        prints = np.stack(list(found)) if len(paths) else np.zeros((0, SIDE * SIDE), np.float32)
    pairs: list[tuple[int, int]] = []
    for first in range(0, len(prints), BLOCK):
        for second in range(first, len(prints), BLOCK):
            near = prints[first : first + BLOCK] @ prints[second : second + BLOCK].T >= alike
            pairs += [(first + i, second + j) for i, j in np.argwhere(near).tolist()]
    return sorted((i, j) for i, j in pairs if i < j)
