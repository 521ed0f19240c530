"""Files that hold true masks: pictures, polygons, runs. A row of `FORMS` each reads one form.

Cases say in `masks` where their masks lie, and in `masks_sha` what the file held when it was found,
so that a changed label is another label. Whatever the form, what is read are runs of each class at
the picture's own size, row by row; a class of which nothing is said is nowhere.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from medkit.arguments import check_arguments
from medkit.datasets.mask_lists import coco_file, name_in, rle_file, stamp
from medkit.errors import ConfigError, DataError, MissingError
from medkit.images import decode, masks, rle
from medkit.naming import did_you_mean

CLASS = "{class}"  # stands in a path for the name of each class
Planes = Mapping[str, rle.Runs]


@dataclass(frozen=True)
class MaskFiles:
    """How the files are read that hold true masks.

    Args:
        form: "index" (a picture whose pixels are numbers of classes), "planes" (a picture a class:
            0 is outside), "coco" (a JSON of polygons as COCO has them) or "rle" (a CSV of runs, in
            the order and from the number on that the task's layout says).
        values: of "index" the numbers of each class, {"bone": 1, "metal": (2, 3)}, or "any" for
            all but the ignored; by default 1, 2, ... in the order of the classes. Of "coco" and
            "rle" what a class is called there, where it has another name.
        ignore: of "index" the numbers that are none of the classes.
        columns: of "rle" the columns of the picture, the class and the runs; of a single class
            only those of picture and runs. By default the first ones.

    Example:
        >>> mk.MaskFiles("index", values={"bone": 1, "metal": (2, 3)}).form
        'index'
    """

    form: str = "index"
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    ignore: tuple[int, ...] = (0,)
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_arguments(MaskFiles, vars(self))
        if self.form not in FORMS:
            raise ConfigError(
                f"mask_files: form {self.form!r} (expected one of {', '.join(FORMS)})."
                f"{did_you_mean(self.form, FORMS)}"
            )
        kept = {"ignore": tuple(self.ignore), "columns": tuple(self.columns)}
        kept["values"] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.values.items()
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)


def read_case(task: Any, case: Mapping[str, Any]) -> tuple[tuple[int, int], Planes]:
    """Height and width of a case's picture, and the runs of each class of the task, row by row.

    Raises:
        MissingError: the masks are gone.
        DataError: they are of another picture, damaged, or of classes that are not known.
    """
    shape = decode.size(case["path"])[::-1]
    return shape, FORMS[task.mask_files.form](task, case, str(case["masks"]), shape)


def check_unchanged(task: Any, case: Mapping[str, Any]) -> None:
    """Refuse masks that are gone, or others than when their case was read.

    Raises:
        MissingError, DataError: naming the file.
    """
    path, sha = str(case["masks"]), case.get("masks_sha")
    if not any(os.path.isfile(place) for place in _every_place(path, task.scored.classes)):
        raise MissingError(
            f"{path}: the masks of {case['id']!r} are gone. Read the cases again, or pass data=... "
            "with the place of the data folder now."
        )
    if isinstance(sha, str) and fingerprint(path, task.scored.classes) != sha:
        raise DataError(f"{path}: changed since the cases were read. Read them again.")


def checked(
    task: Any, case: Mapping[str, Any], found: tuple[tuple[int, int], Planes]
) -> tuple[tuple[int, int], dict[str, rle.Runs]]:
    """What a reader of masks has found, as it must be; a class of which it says nothing is nowhere.

    Raises:
        DataError: it is of another size, of a class that is not known, or no runs.
    """
    where, classes = f"{case['masks']}: what read_masks returns", task.scored.classes
    try:
        (height, width), planes = found
        names, shape = list(planes), (int(height), int(width))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where} is {type(found).__name__} (expected ((height, width), {{class: runs}}))."
        ) from error
    size = decode.size(case["path"])[::-1]
    if shape != size:
        raise _another_size(str(case["masks"]), shape, size)
    odd = [name for name in names if name not in classes]
    if odd:
        raise DataError(f"{where} has {odd[0]!r} (expected some of {', '.join(classes)}).")
    for name, runs in planes.items():
        is_one = isinstance(runs, np.ndarray) and runs.ndim == 1 and len(runs) % 2 == 0
        steps = np.diff(runs, prepend=0, append=shape[0] * shape[1]) if is_one else [-1]
        if min(steps) < 0:
            raise DataError(
                f"{where} of {name!r} are no runs in order, within {width} x {height} pixels. Make "
                "them with medkit.images.rle.runs_of(mask)."
            )
    nothing = np.zeros(0, np.int64)
    return shape, {name: planes.get(name, nothing) for name in classes}


def fingerprint(path: str, classes: Sequence[str]) -> str:
    """16 hex digits of what a case's masks hold: of one file's SHA-256 the first."""
    if CLASS not in path:
        return _digest(path, *stamp(path)).hex()[:16]
    digest = hashlib.sha256()
    for place in _every_place(path, classes):
        if os.path.isfile(place):
            digest.update(_digest(place, *stamp(place)))
        digest.update(b"|")
    return digest.hexdigest()[:16]


def _index(
    task: Any, case: Mapping[str, Any], path: str, shape: tuple[int, int]
) -> dict[str, rle.Runs]:
    """Of a picture whose pixels are numbers."""
    numbers = _pixels(path, shape)
    files, classes = task.mask_files, task.scored.classes
    values = {name: files.values.get(name, number) for number, name in enumerate(classes, 1)}
    found = {
        name: ~np.isin(numbers, files.ignore) if value == "any" else np.isin(numbers, value)
        for name, value in values.items()
    }
    unknown = ~np.isin(numbers, files.ignore)
    for mask in found.values():
        unknown &= ~mask
    if unknown.any():
        odd = int(numbers[unknown][0])
        raise DataError(
            f"{path}: {int(unknown.sum())} pixels are {odd}, which is none of the classes "
            f"(expected {values}). Name it in mk.MaskFiles(values=..., ignore=...)."
        )
    return {name: rle.runs_of(mask) for name, mask in found.items()}


def _planes(
    task: Any, case: Mapping[str, Any], path: str, shape: tuple[int, int]
) -> dict[str, rle.Runs]:
    """Of a picture a class."""
    places = {name: place_of(path, name) for name in task.scored.classes}
    return {
        name: rle.runs_of(_pixels(place, shape, is_lossy=True))
        for name, place in places.items()
        if os.path.isfile(place)
    }


def _coco(
    task: Any, case: Mapping[str, Any], path: str, shape: tuple[int, int]
) -> dict[str, rle.Runs]:
    """Of polygons; those of one class are put together."""
    pictures, polygons = coco_file(path, *stamp(path))
    name = name_in(case, pictures, path)
    if pictures[name] != shape:
        raise _another_size(path, pictures[name], shape)
    found: dict[str, np.ndarray] = {}
    for category, parts in polygons.get(name, ()):
        label = _class_of(task, category, path)
        mask = found.setdefault(label, np.zeros(shape, np.uint8))
        for part in parts:
            polygon = check_polygon(part, shape, f"{path}: {name}, {category}")
            mask |= masks.covered(polygon, shape)
    return {name: rle.runs_of(mask) for name, mask in found.items()}


def _rle(
    task: Any, case: Mapping[str, Any], path: str, shape: tuple[int, int]
) -> dict[str, rle.Runs]:
    """Of a table of runs; those of one class, in several rows perhaps, are put together."""
    layout = task.layout
    rows = rle_file(path, task.mask_files.columns, len(task.scored.classes) == 1, *stamp(path))
    texts: dict[str, list[str]] = {}
    for category, text in rows[name_in(case, rows, path)]:
        label = task.scored.classes[0] if category is None else _class_of(task, category, path)
        texts.setdefault(label, []).append(text)
    found = {}
    for label, parts in texts.items():
        mask = np.zeros(shape, bool)
        for text in parts:
            try:
                runs = rle.to_runs(text, shape[0] * shape[1], base=layout.base)
            except ValueError as error:
                raise DataError(f"{path}: {case['id']}, {label}: {error}") from error
            mask |= rle.to_mask(runs, shape, order=layout.order).astype(bool)
        found[label] = rle.runs_of(mask)
    return found


def check_values(task: Any) -> None:
    """Refuse values of something that is no class.

    Raises:
        ConfigError: naming it.
    """
    classes = task.scored.classes
    values, form = task.mask_files.values, task.mask_files.form
    odd = [name for name in values if name not in classes]
    if form == "index" and values and not odd and len(values) < len(classes):
        lost = next(name for name in classes if name not in values)
        raise ConfigError(
            f"task {task.name!r}: mask_files has no value of {lost!r} (found {dict(values)}). Give "
            "each class its number, or leave values out."
        )
    if odd:
        raise ConfigError(
            f"task {task.name!r}: mask_files names {odd[0]!r}, which is no class of its head "
            f"(expected some of {', '.join(classes)}). Write values={{class: number}}."
            f"{did_you_mean(odd[0], classes)}"
        )


FORMS: dict[str, Callable[..., dict[str, rle.Runs]]] = {
    "index": _index,
    "planes": _planes,
    "coco": _coco,
    "rle": _rle,
}


def check_polygon(points: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    """(n, 2) points of a polygon that encloses something of its picture.

    Raises:
        DataError: it does not.
    """
    try:
        polygon = np.asarray(points, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: the polygon is no list of [x, y].") from error
    if polygon.ndim == 1 and len(polygon) % 2 == 0:  # x, y, x, y, ...
        polygon = polygon.reshape(-1, 2)
    if polygon.ndim != 2 or polygon.shape[1] != 2 or not np.isfinite(polygon).all():
        raise DataError(f"{where}: the polygon is no list of [x, y].")
    if len(polygon) < 3:
        raise DataError(f"{where}: the polygon has {len(polygon)} points (expected 3 or more).")
    low, high = polygon.min(0), polygon.max(0)
    if (high < 0).any() or (low > (shape[1], shape[0])).any():
        raise DataError(
            f"{where}: the polygon lies outside the picture of {shape[1]} x {shape[0]} pixels (its "
            f"x are {low[0]:g} to {high[0]:g}, its y {low[1]:g} to {high[1]:g})."
        )
    return polygon


def _pixels(path: str, shape: tuple[int, int], *, is_lossy: bool = False) -> np.ndarray:
    """(H, W) numbers of a picture, as they are in the file.

    Args:
        is_lossy: whether a JPEG may be taken, of which what is brighter than half is inside.
    """
    try:
        with Image.open(path) as image:
            pixels, is_jpeg = np.asarray(image), image.format == "JPEG"
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: the masks cannot be read ({error}).") from error
    if is_jpeg and not is_lossy:
        raise DataError(
            f"{path}: a JPEG changes the numbers of its pixels (expected a PNG). Save the masks "
            "again from where they were made."
        )
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and (pixels[..., -1] == 255).all():
        pixels = pixels[..., :-1]  # nothing is transparent
    pixels = (pixels >= 128).astype(np.uint8) if is_jpeg else pixels
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():  # grey as several channels
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise DataError(
            f"{path}: a picture of {pixels.shape[2]} channels (expected one, of numbers). Save the "
            "masks as grey or palette PNG."
        )
    if pixels.shape != shape:
        raise _another_size(path, pixels.shape, shape)
    return pixels


def _another_size(path: str, found: Sequence[int], shape: tuple[int, int]) -> DataError:
    return DataError(
        f"{path}: masks of {found[1]} x {found[0]} pixels (expected {shape[1]} x {shape[0]}, as "
        "the picture has). Look whether they belong together."
    )


def _class_of(task: Any, category: str, path: str) -> str:
    """The class that a file calls so."""
    called = {str(task.mask_files.values.get(n, n)): n for n in task.scored.classes}
    if category not in called:
        raise DataError(
            f"{path}: class {category!r} (expected one of {', '.join(called)}). Correct it, or say "
            f"which class is meant: mk.MaskFiles(values={{...}}).{did_you_mean(category, called)}"
        )
    return called[category]


def place_of(path: str, name: str) -> str:
    """The file of a class; its name may stand decomposed on the disk, as macOS writes it."""
    decomposed = path.replace(CLASS, unicodedata.normalize("NFD", name))
    return decomposed if os.path.isfile(decomposed) else path.replace(CLASS, name)


def _every_place(path: str, classes: Sequence[str]) -> list[str]:
    """The files of all classes, each once."""
    return list(dict.fromkeys(place_of(path, name) for name in classes))


@lru_cache(maxsize=4096)
def _digest(path: str, *stamp: int) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


def is_named(task: Any, path: str, case: Mapping[str, Any]) -> bool:
    """Whether a file of all masks, a JSON or CSV, says something of a case's picture."""
    if task.mask_files.form == "coco":
        known: Iterable[str] = coco_file(path, *stamp(path))[0]
    else:
        is_single = len(task.scored.classes) == 1
        known = rle_file(path, task.mask_files.columns, is_single, *stamp(path))
    try:
        return bool(name_in(case, known, path))
    except ValueError:
        return False
