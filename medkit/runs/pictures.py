"""The sizes of a run's pictures in pixels, in which regions are counted: `pictures.csv`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable

import pandas as pd

from medkit import files, machine, tables
from medkit.errors import DataError, MissingError
from medkit.images import decode

FILE = "pictures.csv"


def data_folder(cases: pd.DataFrame) -> Path:
    """The folder above all pictures, and the files of their masks.

    Raises:
        MissingError: when the first picture is not there.
    """
    if not _paths(cases):
        raise DataError(f"cases: none of {len(cases)} has a picture. Pass others.")
    first = Path(os.path.abspath(_paths(cases)[0]))
    if not first.is_file():
        raise gone(first)
    return above(Path(os.path.abspath(path)) for path in _paths(cases, *tables.places_of(cases)))


def placed(cases: pd.DataFrame, data: Path | str | None = None) -> tuple[pd.DataFrame, Path]:
    """Cases with their pictures where they lie now, and the folder above these.

    Args:
        data: the data folder, when it has moved.

    Raises:
        MissingError: when the first picture is not there.
    """
    cases = cases if data is None else moved(cases, data)
    return cases, data_folder(cases)


def gone(path: Path | str) -> MissingError:
    """The error for a picture that is not where the cases say."""
    return MissingError(
        f"{path}: the picture is gone (found {files.listing(Path(path).parent)}). Read the cases "
        "again with task.read, or pass data=... with the place of the data folder now."
    )


def above(paths: Iterable[Path]) -> Path:
    """The folder above all files."""
    return Path(os.path.commonpath({str(path.parent) for path in paths}))


def moved(cases: pd.DataFrame, data: Path | str) -> pd.DataFrame:
    """Cases whose pictures lie below another folder now.

    Raises:
        MissingError: when the first picture is not there.
    """
    if not _paths(cases):
        return cases
    columns = tables.places_of(cases)
    old = above(Path(os.path.abspath(path)) for path in _paths(cases, *columns))
    new = place_now(data, old, os.path.relpath(_paths(cases)[0], old))
    moved_to = {
        name: [path and str(new / os.path.relpath(path, old)) for path in _plain(cases[name])]
        for name in columns
    }
    return cases.assign(
        **{name: pd.Series(v, cases.index, dtype=object) for name, v in moved_to.items()}
    )


def absolute(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases whose files are named from the root, wherever they were read."""
    changed = {
        name: [path and os.path.abspath(path) for path in _plain(cases[name])]
        for name in tables.places_of(cases)
    }
    return cases.assign(
        **{name: pd.Series(v, cases.index, dtype=object) for name, v in changed.items()}
    )


def place_now(data: Path | str, saved: Path | str, first: str) -> Path:
    """Where a folder lies now, of which a folder above it has moved to `data`.

    Of "/old/train/image" that is "train/image" below `data`, or "image", or `data` itself.

    Args:
        saved: where it was.
        first: a file in it.

    Raises:
        MissingError: naming what was looked for.
    """
    data, saved = Path(os.path.abspath(data)), Path(saved)
    if data in (saved, *saved.parents) and (saved / first).is_file():
        return saved  # it has not moved at all
    parts = saved.parts[1:] if saved.is_absolute() else saved.parts
    for count in range(len(parts) + 1):
        place = data.joinpath(*parts[count:])
        if (place / first).is_file():
            return place
    raise MissingError(
        f"{data}: it does not hold the pictures that were in {str(saved)!r}, such as {first!r}. "
        "Pass data=... with the folder that DATA was, where it is now."
    )


def check_pictures(run: Path, cases: pd.DataFrame, *, is_begun: bool) -> None:
    """Note the size of each picture when a run begins, and compare it when it goes on.

    Raises:
        MissingError, DataError: for pictures that are gone, cannot be opened, or have another
            size than when the run began.
    """
    path = run / FILE
    if is_begun and not path.is_file():
        return  # begun by a version that noted no sizes
    paths, data = _paths(cases), data_folder(cases)
    with ThreadPoolExecutor(4 * machine.cores()) as pool:  # mostly it waits for the disk
        sizes = pd.DataFrame(pool.map(_size, paths), columns=["width", "height"])
    sizes.insert(0, "path", [Path(os.path.relpath(path, data)).as_posix() for path in paths])
    if not is_begun:
        tables.write_csv(sizes, path)
        return
    both = tables.read_csv(path).merge(sizes, on="path", suffixes=("", "_now"))
    odd = both[(both["width"] != both["width_now"]) | (both["height"] != both["height_now"])]
    if len(odd):
        first = odd.iloc[0]
        raise DataError(
            f"{run}: {len(odd)} of {len(both)} pictures have another size than when this run "
            f"began, e.g. {data / first['path']} ({first['width_now']} x {first['height_now']} "
            f"pixels, then {first['width']} x {first['height']}). Pass the data folder of then, or "
            "train in a new folder."
        )


def _size(path: str) -> tuple[int, int]:
    try:
        return decode.size(path)
    except FileNotFoundError as error:
        raise gone(path) from error


def _plain(paths: pd.Series) -> list[str | None]:
    is_path = (str, os.PathLike)
    return [os.fspath(path) if isinstance(path, is_path) else None for path in paths]


def _paths(cases: pd.DataFrame, *columns: str) -> list[str]:
    """The files of some columns of cases, by default their pictures, each once."""
    tables.check_columns("cases", cases, ["path"])
    every = [path for name in columns or ("path",) for path in _plain(cases[name])]
    return list(dict.fromkeys(filter(None, every)))
