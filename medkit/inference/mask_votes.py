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

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (models, h, w), shares -> (h, w)
FULL = crops.LEVELS - 1
HALF = crops.cut_of(0.5)
IN_MEMORY = ""  # in place of a folder


def _blend(
    combine: Combine,
    how: str,
    head: Head,
    tables: Sequence[pd.DataFrame],
    shares: np.ndarray,
    folder: Path | str | None,
) -> dict[str, Any]:
    """The masks of all images, combined one after the other.

    Args:
        folder: where they are written; None takes one beside the first table's, and IN_MEMORY
            leaves them in the table, for a look that is not worth a file.
    """
    rows = [list(files) for files in zip(*(table["file"] for table in tables))]
    is_seen = [all(isinstance(file, (str, Crops)) for file in files) for files in rows]
    place = None
    if any(is_seen) and folder != IN_MEMORY:
        place = _folder(how, rows, shares) if folder is None else Path(folder).absolute()
        place.mkdir(parents=True, exist_ok=True)
    found: list[Any] = [None] * len(rows)  # of pictures that nobody could look at
    for number in np.flatnonzero(is_seen):
        id = tables[0]["id"].iloc[number]
        found[number] = vote([_opened(f, id, head) for f in rows[number]], shares, combine)
        if place is not None:
            found[number].write(place / file_name(id))
            found[number] = str(place / file_name(id))
    return {"file": pd.Series(found, dtype=object)}


def vote(votes: Sequence[Crops], shares: np.ndarray, combine: Combine) -> Crops:
    """The crops of one image from those of several models.

    Raises:
        ValueError: their planes differ in size.
    """
    first, found = votes[0], {}
    for other in votes[1:]:
        if (other.size, other.inner) != (first.size, first.inner):
            raise ValueError(
                f"blend: {first.id!r} has planes of {first.inner} pixels by one model and "
                f"{other.inner} by another (pictures of {first.size} and {other.size}). Blend "
                "models of one image_size."
            )
    for name in first.classes:
        parts = [other.crops.get(name) for other in votes]
        boxes = [(p.x, p.y, *np.add((p.x, p.y), p.levels.shape[::-1])) for p in parts if p]
        if not boxes:
            continue
        left, top = np.min(boxes, 0)[:2]
        right, bottom = np.max(boxes, 0)[2:]
        planes = np.zeros((len(votes), bottom - top, right - left), np.uint8)
        for plane, part in zip(planes, parts):
            if part is not None:
                (x, y), (h, w) = (part.x - left, part.y - top), part.levels.shape
                plane[y : y + h, x : x + w] = part.levels
        levels = combine(planes, shares)
        if levels.any():
            found[name] = Crop(int(left), int(top), levels)
    return Crops(first.id, first.size, first.inner, first.classes, found)


def _opened(file: str | Crops, id: str, head: Head) -> Crops:
    return file if isinstance(file, Crops) else crops.read(file, id=id, classes=head.classes)


def _mean(planes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.rint(np.tensordot(shares.astype(np.float32), planes, 1)).astype(np.uint8)


def _majority(planes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """255 where more than half of the shares are above one half, else 0."""
    votes = np.tensordot(shares, planes >= HALF, 1)
    return np.where(votes > 0.5 + 1e-9, np.uint8(FULL), np.uint8(0))


def _folder(how: str, rows: Sequence[Sequence[Any]], shares: np.ndarray) -> Path:
    """Beside the folder of the first table's, by a name that changes with what is blended."""
    told = [how, *map(repr, shares.tolist()), *(str(file) for row in rows for file in row)]
    first = next(file for row in rows for file in row if isinstance(file, str))
    key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
    return Path(os.path.abspath(first)).parents[1].with_name("blended") / f"{how}-{key}"


soft_masks = partial(_blend, _mean, "soft")
hard_masks = partial(_blend, _majority, "hard")
