"""Cases of a contest of one's own: from a table beside pictures, or from a folder a class."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Iterable, Sequence

import numpy as np
import pandas as pd

from medkit import files, tables
from medkit.arguments import check_arguments
from medkit.datasets.places import find_folder
from medkit.datasets.reading import PICTURES, plain
from medkit.errors import DataError
from medkit.images import decode
from medkit.naming import did_you_mean

SIGNALS = (".edf", ".bdf")  # of sleep studies: mk.edf.pictures makes pictures of them


def read_table(
    table: Path | str | pd.DataFrame,
    image_folder: Path | str,
    *,
    id_column: str | int = "id",
    path_column: str | int | None = None,
    label_columns: Iterable[str | int] = (),
    number_columns: Iterable[str | int] = (),
    group_column: str | int | None = None,
) -> pd.DataFrame:
    """Cases of a table with a row a picture, in its order.

    Args:
        table: a CSV in UTF-8, or a table that was read otherwise (an Excel sheet, say).
        path_column: the picture's place below `image_folder`; by default the picture is found by
            its name or stem, which is the id.
        label_columns: for heads with classes; kept as text, so that "0" stays "0".
        number_columns: for heads without classes.
        group_column: what must not be split (the patient); by default each case is its own.

    Returns:
        `id, path, group`, the labels, and the table's other columns as they are. A row whose
        picture is missing or cannot be read has no path; a warning counts them.

    Raises:
        DataError: naming file and line, for doubled or missing ids, values that are no numbers,
            names that fit two pictures, and when no row has a picture.

    Example:
        >>> from PIL import Image
        >>> Image.new("RGB", (8, 8)).save("a.png")
        >>> table = pd.DataFrame({"id": ["a"], "finding": ["cyst"], "patient": ["7"]})
        >>> table = mk.read_table(table, ".", label_columns=["finding"], group_column="patient")
        >>> table.loc[0, ["id", "group", "finding"]].tolist()
        ['a', '7', 'cyst']
    """
    check_arguments(read_table, locals())
    label_columns, number_columns = tuple(label_columns), tuple(number_columns)
    where = "table" if isinstance(table, pd.DataFrame) else str(table)
    texts = [id_column, path_column, group_column, *label_columns]
    if not isinstance(table, pd.DataFrame):
        table = tables.read_csv(table, text=[name for name in texts if name])
    wanted = [name for name in [*texts, *number_columns] if name]
    _check_columns(where, table, wanted)
    for name in set(tables.PARTS) & set(table):
        if not table[name].map(lambda value: isinstance(value, (list, tuple, np.ndarray))).any():
            raise DataError(
                f"{where}: the column {name!r} has a name that means a part of the picture (a "
                "polygon, or a box). Rename it, or drop it, before it is read."
            )
    ids = _ids(where, table[id_column])
    groups = ids if group_column is None else [_text(value) for value in table[group_column]]
    names = ids if path_column is None else [_text(value) for value in table[path_column]]
    paths, lost = _paths(find_folder(image_folder), names)
    tell_lost(where, ids, paths, lost)
    cases = pd.DataFrame({"id": ids, "path": pd.Series(paths, dtype=object), "group": groups})
    for name in table:
        if name in cases or name in (id_column, path_column, group_column):
            continue
        values = table[name].reset_index(drop=True)
        if name in label_columns:
            values = pd.Series([_text(value) for value in values], dtype=object)
        elif name in number_columns:
            values = _numbers(where, values)
        cases[name] = values
    return cases


def read_folders(folder: Path | str, *, label_column: str = "label") -> pd.DataFrame:
    """Cases of pictures that lie in a folder a class; without such folders, of unlabelled ones.

    Returns:
        `id` (the place below `folder`), `path`, `group` (the id: set it to the patient's, if
        pictures of one belong together) and the label, which is the folder's name.

    Raises:
        MissingError, DataError: naming what was found instead of pictures.

    Example:
        >>> from PIL import Image
        >>> for name in ("cyst", "none"):
        ...     Path("scans", name).mkdir(parents=True)
        ...     Image.new("RGB", (8, 8)).save(f"scans/{name}/1.png")
        >>> mk.read_folders("scans", label_column="finding")[["id", "finding"]]
                   id finding
        0  cyst/1.png    cyst
        1  none/1.png    none
    """
    check_arguments(read_folders, locals())
    folder = find_folder(folder)
    found = [path for path in files.walk(folder) if is_picture(path)]
    places = [path.relative_to(folder) for path in found]
    loose = [place for place in places if len(place.parts) == 1]
    if not found or 0 < len(loose) < len(found):
        beside = f"{len(loose)} pictures beside folders" if loose else files.listing(folder)
        raise DataError(
            f"{folder}: not a folder a class (found {beside}; expected pictures in folders, or "
            "pictures only). Pass the folder that holds the classes' folders."
        )
    ids = [plain(place.as_posix()) for place in places]
    paths, reasons = readable(found)
    tell_lost(str(folder), ids, paths, reasons)
    cases = pd.DataFrame({"id": ids, "path": pd.Series(paths, dtype=object), "group": ids})
    if not loose:
        cases[label_column] = [plain(place.parts[0]) for place in places]
    return cases


def _check_columns(where: str, table: pd.DataFrame, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in table]
    if missing:
        raise DataError(
            f"{where}: no column {missing} (found {list(table)}). Pass the names that the table "
            "has: id_column=..., path_column=..., label_columns=[...]."
            f"{did_you_mean(missing[0], table)}"
        )


def _ids(where: str, column: pd.Series) -> list[str]:
    ids = [_text(value) for value in column]
    empty = [row + 2 for row, value in enumerate(ids) if not value]
    if empty:
        raise DataError(
            f"{where}: {len(empty)} rows have no {column.name!r}, e.g. line {empty[0]}. "
            "Give each row an id, or leave it out."
        )
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            raise DataError(
                f"{where}: {column.name!r} {name!r} stands in line {first[name] + 2} and in line "
                f"{row + 2}. Keep one row for each id, or choose another id_column."
            )
    return ids


def _numbers(where: str, column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = column[column.notna() & ~numbers.map(math.isfinite)]
    if len(wrong):
        raise DataError(
            f"{where}: {column.name!r} is {wrong.iloc[0]!r} in line {wrong.index[0] + 2} (expected "
            "a number). Correct it, or name the column in label_columns."
        )
    return numbers


def _paths(folder: Path, names: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """The file of each name below a folder, and for those without one the reason."""
    known: dict[str, list[Path]] = {}
    for path in files.walk(folder):
        if is_picture(path):
            place = path.relative_to(folder)
            for name in {place.as_posix(), place.with_suffix("").as_posix(), path.name, path.stem}:
                known.setdefault(plain(name), []).append(path)
    found: list[Path | None] = []
    for name in names:
        fitting = known.get(Path((name or "").replace("\\", "/")).as_posix(), [])
        if len(fitting) > 1:
            raise DataError(
                f"{folder}: {name!r} fits {len(fitting)} pictures ({fitting[0]}, {fitting[1]}). "
                "Pass path_column=..., with places below image_folder and their endings."
            )
        found.append(fitting[0] if fitting else None)
    return readable(found)


def readable(paths: Sequence[Path | None]) -> tuple[list[str | None], list[str]]:
    """Paths, None for those that cannot be opened, and the reasons of these."""
    kept: list[str | None] = []
    reasons = []
    for path in paths:
        try:
            if path is None:
                raise DataError("no such picture")
            if path.suffix.lower() not in SIGNALS:
                decode.probe(path)
            kept.append(str(path))
        except (OSError, ValueError) as error:
            kept.append(None)
            reasons.append(str(error).replace(f"{path}: ", ""))
    return kept, reasons


def tell_lost(
    where: str, ids: Sequence[str], paths: Sequence[str | None], reasons: Sequence[str]
) -> None:
    """Say how many rows have no picture.

    Raises:
        DataError: when none has one.
    """
    lost = [name for name, path in zip(ids, paths) if path is None]
    if not lost and ids:
        return
    examples = ", ".join(f"{name!r} ({reason})" for name, reason in zip(lost[:3], reasons))
    if len(lost) == len(ids):
        raise DataError(
            f"{where}: none of {len(ids)} rows has a picture ({examples or 'no rows'}). Pass the "
            "folder that holds them, and path_column=... when they are not named by their id."
        )
    warnings.warn(
        f"{where}: {len(lost)} of {len(ids)} rows have no picture, e.g. {examples}. They keep "
        "their row, without a path: training leaves them out.",
        stacklevel=3,
    )


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES + SIGNALS and not path.name.startswith(".")


def _text(value: Any) -> str | None:
    """A cell as text: 1.0 of a column with gaps is "1" again."""
    if pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return plain(str(value))
