"""What a model says of an image's classes, pixel by pixel: crops of probabilities in a small file.

Of each class the box is kept in which its level is above 0, at the model's size, as bytes of
0 to 255; a class without one is nowhere. A class that was decided, as by a vote, is kept as runs of
the picture's own size instead. From both come the rows that are handed in and the counts that are
scored, so what is validated is what is submitted.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from medkit import files
from medkit.errors import DataError, MissingError
from medkit.images import masks, rle

LEVELS = 256  # of a probability; a cut is one of them, from 1 on
VERSION, DECIDED = 1, 2  # of the file: with crops alone, and with runs
SHA = 16  # hex digits of a file's SHA-256 by which predictions know it


class Crop(NamedTuple):
    """A class's probabilities where they are above 0."""

    x: int
    y: int
    levels: np.ndarray  # (h, w) uint8


@dataclass(frozen=True)
class Crops:
    """The classes of one image.

    Attributes:
        id: of the case.
        size: height and width of the picture; `inner`: those of the planes.
        classes: all that there are.
        crops: by class, of those that are somewhere.
        decided: by class its runs, row by row, which are the answer at every cut from 1 on.
    """

    id: str
    size: tuple[int, int]
    inner: tuple[int, int]
    classes: tuple[str, ...]
    crops: Mapping[str, Crop] = field(default_factory=dict)
    decided: Mapping[str, rle.Runs] = field(default_factory=dict)

    def write(self, path: Path) -> str:
        """Write the file, whole or not at all; the same bytes for the same crops.

        Returns:
            What predictions know it by, see `sha_of`.
        """
        boxes = {name: [crop.x, crop.y] for name, crop in self.crops.items()}
        version = DECIDED if self.decided else VERSION
        state = {"version": version, "id": self.id, "size": self.size, "inner": self.inner}
        state.update(classes=self.classes, boxes=boxes)
        tensors = {name: np.ascontiguousarray(crop.levels) for name, crop in self.crops.items()}
        whole = np.int32 if self.size[0] * self.size[1] < 2**31 else np.int64
        tensors.update({name: runs.astype(whole) for name, runs in self.decided.items()})
        text = json.dumps(state, sort_keys=True, ensure_ascii=False)
        data = save(tensors, {"state": text})
        files.write_whole(path, data)
        return files.sha256(data)[:SHA]

    def runs(self, name: str, cut: int, *, order: str = "C") -> rle.Runs:
        """Where a class's level reaches a cut, at the picture's own size.

        Only the box in which that is possible is enlarged: between pixels a level is never above
        those around it.
        """
        if name in self.decided:
            return masks.turned(self.decided[name], self.size, order)
        crop = self.crops.get(name)
        if crop is None:
            return np.zeros(0, np.int64)
        x, y, w, h = rle.box_of((crop.levels >= cut).view(np.uint8))
        if not w:
            return np.zeros(0, np.int64)
        x0, y0 = max(0, x - 1), max(0, y - 1)
        part = crop.levels[y0 : y + h + 1, x0 : x + w + 1]
        levels, (left, top) = self._enlarged(part, (crop.x + x0, crop.y + y0))
        inside = (levels >= cut).view(np.uint8)
        if order == "F":
            return rle.shifted(np.ascontiguousarray(inside.T), top, left, self.size[0])
        return rle.shifted(inside, left, top, self.size[1])

    def counts(self, name: str, truth: rle.Runs) -> tuple[np.ndarray, np.ndarray]:
        """For all cuts from 0 to 255 how many pixels reach it, and how many of these are true.

        Args:
            truth: runs of the true mask, row by row.
        """
        area, overlap = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
        crop = self.crops.get(name)
        if name in self.decided:
            area[1:] = rle.area(self.decided[name])
            overlap[1:] = rle.overlap(self.decided[name], truth)
        elif crop is not None:
            levels, (left, top) = self._enlarged(crop.levels, (crop.x, crop.y))
            is_true = rle.to_mask(truth, self.size)
            is_true = is_true[top : top + levels.shape[0], left : left + levels.shape[1]]
            joint = np.bincount(
                (levels + is_true * np.uint16(LEVELS)).ravel(), minlength=2 * LEVELS
            ).reshape(2, LEVELS)
            area[1:] = joint.sum(0)[:0:-1].cumsum()[::-1]
            overlap[1:] = joint[1][:0:-1].cumsum()[::-1]
        area[0], overlap[0] = self.size[0] * self.size[1], rle.area(truth)
        return area, overlap

    def _enlarged(
        self, part: np.ndarray, corner: tuple[int, int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        return masks.enlarged(part, corner, self.inner, self.size)


def cropped(id: str, planes: np.ndarray, size: tuple[int, int], classes: Sequence[str]) -> Crops:
    """Crops of whole planes.

    Args:
        planes: (classes, h, w) uint8, of the picture alone: without what pads it to a square.
        size: height and width of the picture.
    """
    found = {}
    for name, plane in zip(classes, planes):
        x, y, w, h = rle.box_of(plane)
        if w:
            found[name] = Crop(x, y, plane[y : y + h, x : x + w])
    return Crops(id, tuple(size), planes.shape[1:], tuple(classes), found)


def sha_of(path: Path | str) -> str:
    """What predictions know a file by: 16 hex digits of its SHA-256."""
    return files.sha256_file(Path(path))[:SHA]


def read(path: Path | str, *, id: str, classes: Sequence[str], sha: str | None = None) -> Crops:
    """The crops of a file.

    Args:
        id: of the case that it must be of; classes: those that it must know.
        sha: what `sha_of` told when it was written; None where nobody knows.

    Raises:
        MissingError: there is none.
        DataError: it is damaged, of another image, of other classes, or has changed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(
            f"{path}: the predicted masks of {id!r} are gone (found {files.listing(path.parent)})."
            " Predict again with mk.predict(run, cases)."
        )
    held = None if sha is None else sha_of(path)
    if held != sha:
        raise DataError(
            f"{path}: changed since it was predicted (found sha {held}, expected {sha}). "
            "Delete it and predict again."
        )
    known = _whole(path)
    if known.id != id:
        raise DataError(f"{path}: the masks of {known.id!r} (expected {id!r}). Predict again.")
    if known.classes != tuple(classes):
        raise DataError(
            f"{path}: masks of the classes {', '.join(known.classes)} (expected "
            f"{', '.join(classes)}). Predict with a run of this task."
        )
    return known


def cut_of(threshold: float) -> int:
    """The least level, of 1 to 255, that reaches a probability of 0 to 1."""
    return min(LEVELS - 1, max(1, math.ceil(threshold * (LEVELS - 1) - 1e-9)))


def _whole(path: Path) -> Crops:
    """What a file holds, checked by itself."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            state = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        decided = {name: of for name, of in tensors.items() if of.ndim == 1}
        levels = {name: of for name, of in tensors.items() if of.ndim != 1}
        found = _crops(state, levels), _decided(state, decided)
        return Crops(state["id"], *_facts(state), *found)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged, or no predicted masks ({error}). Delete it and predict again."
        ) from error


def _facts(state: Mapping[str, Any]) -> tuple[tuple, tuple, tuple]:
    size, inner = tuple(state["size"]), tuple(state["inner"])
    if state["version"] not in (VERSION, DECIDED) or min(*size, *inner) < 1:
        known = f"{VERSION} or {DECIDED}"
        raise DataError(f"version {state['version']} (expected {known}), size {size}, {inner}")
    return size, inner, tuple(state["classes"])


def _crops(state: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, Crop]:
    """The crops, each within its plane."""
    found, (height, width) = {}, state["inner"]
    for name, levels in tensors.items():
        x, y = state["boxes"][name]
        if levels.ndim != 2 or levels.dtype != np.uint8:
            raise DataError(f"{name!r} is {levels.dtype} {levels.shape}")
        if min(x, y) < 0 or y + levels.shape[0] > height or x + levels.shape[1] > width:
            raise DataError(f"{name!r} leaves its plane of {width} x {height}")
        found[name] = Crop(x, y, levels)
    return found


def _decided(state: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, rle.Runs]:
    """The runs of classes that were decided, in order and within the picture."""
    found, (height, width) = {}, state["size"]
    for name, values in tensors.items():
        if name not in state["classes"] or values.dtype.kind not in "iu":
            raise DataError(f"{name!r} is {values.dtype} {values.shape}")
        runs = values.astype(np.int64)
        if len(runs) % 2 or (np.diff(runs) <= 0).any() or (runs[:1] < 0).any():
            raise DataError(f"{name!r}: {len(runs)} ends that are no runs in order")
        if len(runs) and runs[-1] > height * width:
            raise DataError(f"{name!r} ends at {runs[-1]}, beyond {height} x {width} pixels")
        found[name] = runs
    return found
