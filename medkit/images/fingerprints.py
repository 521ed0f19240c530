"""Pictures that are the same or nearly so, by their bytes or by small grey thumbnails."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from medkit import files, machine
from medkit.images import decode
from medkit.progress import track

SIDE = 24  # pixels of a thumbnail
# Least correlation of two pictures taken for the same. On 347 real photos: copies of another size
# reach 0.99, copies recoloured or cropped a little 0.95, other mouths at most 0.85.
ALIKE = 0.94
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


def find_similar(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures whose thumbnails correlate by at least `ALIKE`.

    A picture that cannot be read is like no other; a warning counts them.
    """
    with ThreadPoolExecutor(machine.cores()) as pool:
        found = list(track(pool.map(_try, paths), "comparing pictures", total=len(paths)))
    broken = [str(error) for error in found if isinstance(error, Exception)]
    if broken:
        warnings.warn(
            f"find_similar: {len(broken)} of {len(paths)} pictures cannot be compared, "
            f"e.g. {broken[0]} Replace these files, or leave their cases out.",
            stacklevel=2,
        )
    nothing = np.zeros(SIDE * SIDE, np.float32)
    prints = [nothing if isinstance(vector, Exception) else vector for vector in found]
    prints = np.reshape(prints, (len(paths), SIDE * SIDE)).astype(np.float32)
    pairs: list[tuple[int, int]] = []
    for first in range(0, len(prints), BLOCK):
        for second in range(first, len(prints), BLOCK):
            near = prints[first : first + BLOCK] @ prints[second : second + BLOCK].T >= ALIKE
            pairs += [(first + i, second + j) for i, j in np.argwhere(near).tolist()]
    return sorted((i, j) for i, j in pairs if i < j)


def find_equal(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of files that hold the same bytes; only files of one size are read."""
    by_size: dict[int, list[int]] = {}
    for number, path in enumerate(paths):
        by_size.setdefault(Path(path).stat().st_size, []).append(number)
    pairs = []
    for numbers in by_size.values():
        seen: dict[str, int] = {}
        for number in numbers if len(numbers) > 1 else ():
            digest = files.sha256_file(Path(paths[number]))
            if digest in seen:
                pairs.append((seen[digest], number))
            seen.setdefault(digest, number)
    return pairs


def _try(path: str) -> np.ndarray | Exception:
    try:
        return fingerprint(path)
    except (OSError, ValueError) as error:
        return error
