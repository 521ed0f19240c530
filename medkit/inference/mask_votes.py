"""Several models' masks as one, image by image: only the boxes of their crops are looked at."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.task import Head
from medkit.images import crops
from medkit.images.crops import Crop, Crops
from medkit.inference.mask_answers import file_name

FULL = crops.LEVELS - 1
HALF = crops.cut_of(0.5)


def _blend(
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
    how: str,
    head: Head,
    tables: Sequence[pd.DataFrame],
    shares: np.ndarray,
    folder: Path | str | None,
) -> dict[str, Any]:
    """The files of all images, combined and written.

    Args:
        combine: (models, h, w) levels of a class and the models' shares -> (h, w) levels.
    """
    rows = [list(files) for files in zip(*(table["file"] for table in tables))]
    place = _folder(how, rows, shares) if folder is None else Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for id, files in zip(tables[0]["id"], rows):
        if not all(isinstance(file, str) for file in files):  # nobody could look at it
            found.append(None)
            continue
        path = place.absolute() / file_name(id)
        one([crops.read(f, id=id, classes=head.classes) for f in files], shares, combine).write(
            path
        )
        found.append(str(path))
    return {"file": pd.Series(found, dtype=object)}


def one(
    votes: Sequence[Crops],
    shares: np.ndarray,
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Crops:
    """The crops of one image from those of several models.

    Raises:
        ValueError: their planes differ in size.
    """
    first, found = votes[0], {}
    for vote in votes[1:]:
        if (vote.size, vote.inner) != (first.size, first.inner):
            raise ValueError(
                f"blend: {first.id!r} has planes of {first.inner} pixels by one model and "
                f"{vote.inner} by another (pictures of {first.size} and {vote.size}). Blend models "
                "of one image_size."
            )
    for name in first.classes:
        there = [vote.crops.get(name) for vote in votes]
        boxes = [(c.x, c.y, c.x + c.levels.shape[1], c.y + c.levels.shape[0]) for c in there if c]
        if not boxes:
            continue
        left, top = np.min(boxes, 0)[:2]
        right, bottom = np.max(boxes, 0)[2:]
        planes = np.zeros((len(votes), bottom - top, right - left), np.uint8)
        for plane, crop in zip(planes, there):
            if crop is not None:
                h, w = crop.levels.shape
                plane[crop.y - top : crop.y - top + h, crop.x - left : crop.x - left + w] = (
                    crop.levels
                )
        levels = combine(planes, shares)
        if levels.any():
            found[name] = Crop(int(left), int(top), levels)
    return Crops(first.id, first.size, first.inner, first.classes, found)


def _mean(planes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.rint(np.tensordot(shares.astype(np.float32), planes, 1)).astype(np.uint8)


def _majority(planes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """255 where more than half of the shares are above one half, else 0."""
    votes = np.tensordot(shares, planes >= HALF, 1)
    return np.where(votes > 0.5 + 1e-9, np.uint8(FULL), np.uint8(0))


def _folder(how: str, rows: Sequence[Sequence[Any]], shares: np.ndarray) -> Path:
    """Beside the first table's files, by a name that changes with what is blended."""
    told = [how, *map(repr, shares.tolist()), *(str(file) for row in rows for file in row)]
    first = next(file for row in rows for file in row if isinstance(file, str))
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
    return Path(os.path.abspath(first)).parent.with_name(f"{how}-{key}")


soft_masks = partial(_blend, _mean, "soft")
hard_masks = partial(_blend, _majority, "hard")
