"""Decode once: the pictures of a table of cases as one memory-mapped uint8 array.

A store is named by what it was made of: each file's path, size and time of change, each region or
box, the size in pixels and this file's version. A changed source file therefore makes another
store. Where the answer is masks, those lie beside the pictures as bits, and what their files hold
is a part of the name.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medkit import files, machine, tables
from medkit.datasets.task import Task
from medkit.errors import DataError, PlaceError
from medkit.images import crop, decode
from medkit.loading.stored_labels import StoredLabels
from medkit.progress import track
from medkit.runs.pictures import gone

VERSION = 2  # of what a store holds; another number rebuilds all of them
FORGOTTEN_S = 24 * 3600  # a half-built store this old has lost its builder


class Cache:
    """Pictures by row: `cache[i]` is (S, S, 3) uint8. Opened anew in each worker process.

    Attributes:
        labels: their masks as bits (S, S, ceil(C / 8)) uint8 (see `images.masks`), where they are.
        never: classes of which no picture of the store has a pixel.
    """

    def __init__(self, path: Path, count: int, size: int, *, depth: int = 3):
        self.path, self.shape = Path(path), (count, size, size, depth)
        self.labels: Cache | None = None
        self.never: tuple[str, ...] = ()
        self._array: np.ndarray | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        return self.view(index).copy()

    def view(self, index: int) -> np.ndarray:
        """A picture as it lies in the store: read where it is looked at, and not to be written."""
        if self._array is None:
            self._array = np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.shape))
        return self._array[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}


def default_folder() -> Path:
    """Where stores lie: `MEDKIT_CACHE`, else `~/.cache/medkit`. Never in the data folder."""
    return Path(os.environ.get("MEDKIT_CACHE") or Path.home() / ".cache" / "medkit")


def open_cache(
    cases: pd.DataFrame,
    *,
    image_size: int,
    region_margin: float,
    region_mask: bool,
    contrast: str = "",
    aligned: bool = False,
    masks_of: Task | None = None,
    folder: Path | str | None = None,
    progress: bool = True,
) -> Cache:
    """The pictures of `cases`, row by row; built when there is no store of exactly these.

    Args:
        cases: with `path`, and `region` or `box` where a part of the picture is meant (see
            `tables.part_column`); all of them visible.
        contrast: "clahe" evens it out over each picture; "" leaves it.
        aligned: whether a pixel of what is shown must lie where it is reckoned to, as masks need
            it, also in a picture that was decoded smaller.
        masks_of: the task by which their masks are read, where they have some.
        folder: where stores lie; see `default_folder`.

    Raises:
        PlaceError: when the disk has no room (how much is needed, how much is there).
        DataError: naming the pictures that cannot be decoded.
    """
    settings = {"size": image_size, "margin": region_margin, "mask": region_mask}
    settings.update({"contrast": contrast} if contrast else {})
    settings.update({"aligned": True} if aligned else {})
    root = Path(folder) if folder is not None else default_folder()
    labels = None if masks_of is None else StoredLabels(masks_of, cases, image_size)
    store = root / _key(cases, settings, labels)
    cache = Cache(store / "images.u8", len(cases), image_size)
    if labels is not None:
        cache.labels = Cache(store / "labels.u8", len(cases), image_size, depth=labels.depth)
    if _is_there(cache.path):
        cache.never = _never(store)
        return cache
    stores = [each for each in (cache, cache.labels) if each is not None]
    needed = sum(int(np.prod(each.shape, dtype=np.int64)) for each in stores)
    _make_room(root, needed, len(cases), progress)
    partial = root / f"{store.name}.partial-{secrets.token_hex(4)}"
    try:
        partial.mkdir()  # readable by others, as far as the umask allows
        _build(cases, partial / "images.u8", settings, progress)
        if labels is not None:
            labels.build(partial / "labels.u8", progress)
        facts = {"cases": len(cases), "never": [] if labels is None else labels.never}
        files.write_json(partial / "store.json", {**settings, **facts})
        os.rename(partial, store)
    except OSError as error:
        if not _is_there(cache.path):  # or another process was faster: its store is as good
            raise _explain(error, store) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    cache.never = _never(store)
    return cache


def _never(store: Path) -> tuple[str, ...]:
    """Classes of masks that are nowhere in a store."""
    told = store / "store.json"
    return tuple(json.loads(told.read_text(encoding="utf-8")).get("never", ()))


def _is_there(path: Path) -> bool:
    """Whether a store is there, to be read.

    Raises:
        PlaceError: for one that another user keeps to themselves.
    """
    if path.parent.is_dir() and not os.access(path.parent, os.R_OK | os.X_OK):
        raise PlaceError(
            errno.EACCES,
            f"{path.parent}: another user's, which only they may read; set MEDKIT_CACHE, or pass "
            "cache_folder=..., with a folder of yours",
            str(path.parent),
        )
    return path.is_file()


def _key(cases: pd.DataFrame, settings: dict[str, Any], labels: StoredLabels | None = None) -> str:
    """A name for a store that changes with everything that decides its bytes.

    A polygon has one name, whether it is a list, a tuple or an array, of whole numbers or not.
    """
    digest = hashlib.sha256(json.dumps([VERSION, settings], sort_keys=True).encode())
    identity = {}
    for path in cases["path"].unique():
        try:
            stat = os.stat(path)
        except FileNotFoundError as error:
            raise gone(path) from error
        identity[path] = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    part = tables.part_column(cases)
    shown: Any = [None] * len(cases)
    if part == "box":
        shown = [("box", *map(int, box)) for box in cases[part]]
    elif part:
        shown = map(_points, cases[part])
    for path, piece in zip(cases["path"], shown):
        digest.update(f"{identity[path]}|{piece}\n".encode())
    if labels is not None:
        digest.update(labels.key.encode())
    return digest.hexdigest()[:24]


def _points(region: Any) -> list[list[float]]:
    """A polygon in one form; + 0.0 makes -0.0 the 0.0 that it equals."""
    try:
        return [[float(x) + 0.0, float(y) + 0.0] for x, y in region]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"cases: the region {str(region)[:60]!r} is no polygon (expected points [x, y] in "
            "pixels). Correct the column 'region'."
        ) from error


def _make_room(root: Path, needed: int, count: int, progress: bool) -> None:
    """Say how large the store will be, and refuse when the disk cannot hold it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        for partial in root.glob("*.partial-*"):
            if time.time() - partial.stat().st_mtime > FORGOTTEN_S:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise _explain(error, root) from error
    free = shutil.disk_usage(root).free
    if needed > free:
        raise PlaceError(
            errno.ENOSPC,
            f"{root}: {count:,} pictures need {needed / 1e9:.2f} GB, and the disk has "
            f"{free / 1e9:.2f} GB left. Use a smaller image_size, delete old stores there, "
            "or set MEDKIT_CACHE to a folder on another disk.",
        )
    if progress and needed > 1e8:
        print(f"cache: {count:,} pictures, {needed / 1e9:.2f} GB in {root}")


def _explain(error: OSError, path: Path) -> PlaceError:
    """The error, with the two ways to another folder."""
    told = files.explain(error, path)
    told.strerror += "; set MEDKIT_CACHE, or pass cache_folder=..., with a folder of yours"
    return told


def _build(cases: pd.DataFrame, path: Path, settings: dict[str, Any], progress: bool) -> None:
    """Decode each photo once, and write all its crops where their rows are.

    Rows are written, not mapped: a full disk is then an error, and not the end of the process.
    """
    size = settings["size"]
    row_bytes = size * size * 3
    part = tables.part_column(cases)
    parts = list(cases[part]) if part else None
    cut = boxed if part == "box" else squares
    photos = list(cases.reset_index(drop=True).groupby("path", sort=False).indices.items())
    broken, lock = [], threading.Lock()

    def write(photo: tuple[str, np.ndarray]) -> None:
        source, rows = photo
        try:
            shown = cut(source, [parts[i] for i in rows] if parts else None, settings)
        except ValueError as error:
            with lock:
                broken.append(str(error).rstrip("."))
            return
        shown = shown if parts else shown * len(rows)  # several cases may be one whole picture
        for row, square in zip(rows, shown):
            square = crop.CONTRASTS[settings.get("contrast", "")](square)
            _write_at(handle, square.reshape(-1).data, int(row) * row_bytes)

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with ThreadPoolExecutor(machine.cores()) as pool:  # decoding and resizing free the GIL
            done = pool.map(write, photos)
            for _ in track(done, "decoding", total=len(photos), enabled=progress):
                continue
        os.fsync(handle)
    finally:
        os.close(handle)
    if broken:
        raise DataError(
            f"{len(broken)} pictures cannot be decoded: {'; '.join(sorted(broken)[:3])}. "
            "task.inspect(data, split, verify=True) quarantines them."
        )


def squares(source: str, regions: list[Any] | None, settings: dict[str, Any]) -> list[np.ndarray]:
    """What the model is shown of one photo: a square for each region, or the whole."""
    size, margin, mask = settings["size"], settings["margin"], settings["mask"]
    width, height = decode.probe(source)
    if regions is None:
        min_size = size * min(width, height) / max(width, height)
        image = decode.read_image(source, min_size=min_size)
        whole = (width, height) if settings.get("aligned") else None
        return [crop.pad_to_square(image, size=size, whole=whole)]
    smallest = min(crop.window(region, margin)[2] for region in regions)
    image = decode.read_image(source, min_size=min(width, height) * size / smallest)
    scale = np.array([image.shape[1] / width, image.shape[0] / height])
    return [
        crop.crop_region(image, np.asarray(region) * scale, size=size, margin=margin, mask=mask)
        for region in regions
    ]


def boxed(source: str, boxes: list[Any], settings: dict[str, Any]) -> list[np.ndarray]:
    """What the model is shown of one photo: for each box what is inside it, and nothing else.

    Decoded at full size: at a smaller one the pixels at a box's edge hold some of what is outside.

    Raises:
        DataError: for a box that is empty, or that leaves the photo.
    """
    image = decode.read_image(source)
    height, width = image.shape[:2]
    shown = []
    for box in boxes:
        left, top, right, bottom = (*map(int, box), 0, 0, 0, 0)[:4]
        is_inside = 0 <= left < right <= width and 0 <= top < bottom <= height
        if not is_inside or (left, top, right, bottom) != tuple(box):
            raise DataError(
                f"{source}: the box is {tuple(box)} (expected left, top, right and bottom in whole "
                f"pixels, within {width} x {height})"
            )
        shown.append(crop.pad_to_square(image[top:bottom, left:right], size=settings["size"]))
    return shown


def _write_at(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
