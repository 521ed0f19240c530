"""Several models' masks as one, image by image: only the boxes of their crops are looked at.

A soft vote is the mean of the models' probabilities, pixel by pixel, at the size of the largest
model's planes. A hard vote counts decided masks at the picture's own size, as runs.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from medkit import files, tables
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Head
from medkit.errors import ConfigError, DataError
from medkit.images import crops, masks, rle
from medkit.images.crops import Crop, Crops

FULL = crops.LEVELS - 1
LESS = 2**-10  # of a level: see `_mean`
ROOMS = ("valid", "predicted", "blended")  # of a run folder, where files of masks lie


def soft_masks(
    head: Head, parts: Sequence[pd.DataFrame], shares: np.ndarray, folder: Path | str | None
) -> dict[str, Any]:
    """The mean of each pixel, see `soft`; `folder` as `blend` takes it."""
    return _blend(soft, "soft", head, parts, shares, folder)


def hard_masks(
    head: Head,
    parts: Sequence[pd.DataFrame],
    shares: np.ndarray,
    folder: Path | str | None,
    *,
    more_than: float,
    threshold: Threshold | Sequence[Threshold],
    smallest: int,
) -> dict[str, Any]:
    """What more than a share of the models has inside, see `hard`.

    Raises:
        ConfigError: for thresholds that are not one for all tables or one each.
    """
    is_one = threshold is None or isinstance(threshold, (Real, Mapping))
    each = [threshold] * len(parts) if is_one else list(threshold)
    if len(each) != len(parts):
        raise ConfigError(
            f"blend: {len(each)} thresholds for {len(parts)} tables (expected one for all, or a "
            "list of one a table). Take what mk.choose_threshold returns for each."
        )
    cuts = [[crops.cut_of(of) for of in head.answer.thresholds(one)] for one in each]
    cuts = [own for own, share in zip(cuts, shares) if share]
    vote = partial(hard, cuts=cuts, more_than=more_than, smallest=smallest)
    told = f"hard {cuts} {more_than} {smallest}"
    return _blend(vote, told, head, parts, shares, folder)


def _blend(
    vote: Callable[[Sequence[Crops], np.ndarray], Crops],
    told: str,
    head: Head,
    parts: Sequence[pd.DataFrame],
    shares: np.ndarray,
    folder: Path | str | None,
) -> dict[str, Any]:
    """The masks of all images, combined and written one after the other.

    Args:
        told: what the vote goes by, the way first.
        folder: where they are written; None takes one beside the first table's.
    """
    from medkit.inference.mask_answers import disown, file_name  # torch: other votes need none

    rows = list(zip(*(tables.files_of(part).values() for part in parts)))
    is_seen = [is_known(row, shares) for row in rows]
    places, shas = [None] * len(rows), [None] * len(rows)  # of pictures nobody could look at
    if any(is_seen):
        place = _folder(told, rows, shares) if folder is None else _apart(folder, rows)
        files.make_folder(place)
        disown(place)
    for number in np.flatnonzero(is_seen):
        id = parts[0]["id"].iloc[number]
        found = vote(*opened(rows[number], shares, id, head.classes))
        shas[number] = found.write(place / file_name(id))
        places[number] = str(place / file_name(id))
    columns = {"file": places, "file_sha": shas}
    return {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}


def is_known(row: Sequence[tuple[Any, str | None]], shares: np.ndarray) -> bool:
    """Whether all models with a share in the vote have looked at an image."""
    return all(isinstance(file, str) for (file, _), share in zip(row, shares) if share)


def opened(
    row: Sequence[tuple[str, str | None]], shares: np.ndarray, id: str, classes: Sequence[str]
) -> tuple[list[Crops], np.ndarray]:
    """What the models with a share in the vote say of an image, and these shares.

    Raises:
        MissingError, DataError: as `crops.read`, and for a picture of several sizes.
    """
    named = [pair for pair, share in zip(row, shares) if share]
    votes = [crops.read(file, id=id, classes=classes, sha=sha) for file, sha in named]
    for (file, _), other in zip(named, votes):
        if other.size != votes[0].size:
            (height, width), (h, w) = votes[0].size, other.size
            raise DataError(
                f"blend: {file}: masks of a picture of {w} x {h} pixels (expected {width} x "
                f"{height}, as in {named[0][0]}). Predict the same pictures with each run."
            )
    return votes, shares[shares > 0]


def soft(votes: Sequence[Crops], shares: np.ndarray) -> Crops:
    """The mean of several models' crops of one image, at the size of the largest planes."""
    first, found = votes[0], {}
    inner = max((other.inner for other in votes), key=np.prod)
    if any(other.decided for other in votes):  # which lies at the picture's own size
        inner = first.size
    for name in first.classes:
        parts = [_part(other, name, inner) for other in votes]
        boxes = [(p.x, p.y, *np.add((p.x, p.y), p.levels.shape[::-1])) for p in parts if p]
        if not boxes:
            continue
        left, top = np.min(boxes, 0)[:2]
        right, bottom = np.max(boxes, 0)[2:]
        kind = np.result_type(*(p.levels for p in parts if p))
        planes = np.zeros((len(votes), bottom - top, right - left), kind)
        for plane, part in zip(planes, parts):
            if part is not None:
                (x, y), (h, w) = (part.x - left, part.y - top), part.levels.shape
                plane[y : y + h, x : x + w] = part.levels
        levels = _mean(planes, shares)
        if levels.any():
            found[name] = Crop(int(left), int(top), levels)
    return Crops(first.id, first.size, inner, first.classes, found)


def hard(
    votes: Sequence[Crops],
    shares: np.ndarray,
    *,
    cuts: Sequence[Sequence[int]],
    more_than: float = 0.5,
    smallest: int = 0,
) -> Crops:
    """What more than a share of the models has inside, decided at the picture's own size.

    Args:
        cuts: of each model one a class.
        smallest: pixels of the smallest part of a mask that stays.
    """
    first, found = votes[0], {}
    for number, name in enumerate(first.classes):
        each = [other.runs(name, own[number]) for other, own in zip(votes, cuts)]
        runs = each[0]
        if len(each) > 1:
            runs = rle.vote(each, weights=shares, more_than=more_than)
        if smallest > 1:
            runs = masks.without_specks(runs, first.size[1], smallest)
        if len(runs):
            found[name] = runs
    return Crops(first.id, first.size, first.size, first.classes, {}, found)


def _part(of: Crops, name: str, inner: tuple[int, int]) -> Crop | None:
    """A class at the size of other planes; its levels are float32 where they had to be made."""
    if name in of.decided:
        box, (x, y) = masks.drawn(of.decided[name], of.size[1])
        return Crop(x, y, np.float32(FULL) * box) if box.size else None
    part = of.crops.get(name)
    if part is None or of.inner == inner:
        return part
    levels, (x, y) = masks.enlarged(
        part.levels.astype(np.float32), (part.x, part.y), of.inner, inner
    )
    return Crop(x, y, levels)


def _mean(planes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(h, w) uint8 of planes (models, h, w).

    Between pixels, and of decided masks, a hair less than the mean is rounded. Where classes
    exclude each other, two levels of a pixel add up to 254 at most (see `ExclusiveMasks`), and so
    they still do; of decided masks to 255, of which no tie leaves two classes a half.
    """
    means = np.tensordot(shares.astype(np.float32), planes, 1)
    if planes.dtype != np.uint8:
        means = np.maximum(means - np.float32(LESS), 0)
    return np.rint(means).astype(np.uint8)


def _apart(folder: Path | str, rows: Sequence[Sequence[tuple[Any, str | None]]]) -> Path:
    """A folder that was asked for, in which nothing lies that is voted on.

    Raises:
        ConfigError: it holds such a file, over which the blended one could be written.
    """
    place = Path(folder).absolute()
    named = (Path(file) for row in rows for file, _ in row if isinstance(file, str))
    inside = next((file for file in named if file.parent.resolve() == place.resolve()), None)
    if inside is not None:
        raise ConfigError(
            f"blend: folder={str(folder)!r} holds {inside.name}, which is voted on. Choose another "
            "folder, or leave it out."
        )
    return place


def _folder(told: str, rows: Sequence[Sequence[Any]], shares: np.ndarray) -> Path:
    """In `blended` of the run folder, or the folder, of the first table's files; by a name that
    changes with what is blended."""
    facts = [told, *map(repr, shares.tolist()), *(str(pair) for row in rows for pair in row)]
    first = next(file for row in rows for file, _ in row if isinstance(file, str))
    key, place = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12], Path(first).parent
    place = Path(os.path.abspath(place))
    home = place.parents[1] if place.parent.name in ROOMS else place.parent
    return home / "blended" / f"{told.split()[0]}-{key}"
