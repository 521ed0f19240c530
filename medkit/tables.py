"""The two tables: read and written exactly, and matched by id."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, Iterable, Sequence

import numpy as np
import pandas as pd

from medkit import files
from medkit.errors import DataError, MissingError, WrongType
from medkit.naming import did_you_mean

TEXT = ("id", "group", "path", "photo", "view", "tooth_number")  # columns that stay text
TEXT += ("masks_sha", "file_sha")
PARTS = ("region", "box")  # columns that say which part of its picture a case is
_EXACT = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}  # 3 is exact as it is
COLUMNS = {  # where those come from that every table of cases has
    "id": " It is the case's name, of which no two are alike.",
    "path": " It is where the picture lies.",
    "group": " It says what must not be parted, such as the patient; set it to the id if nothing.",
    "fold": " mk.assign_folds(task, cases) makes it.",
}


def read_csv(path: Path | str, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV as it was written: ids stay text, "NA" stays "NA", floats keep their bits.

    Args:
        text: more columns that stay text, such as labels "0" and "1".

    Raises:
        MissingError, DataError: naming the file, and what is wrong with it.
    """
    if not Path(path).is_file():
        raise MissingError(
            f"{path}: no such table (found {files.listing(Path(path).parent)}). Check its name."
        )
    try:
        header = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        return _parsed(path, header, text)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 (found byte {error.object[error.start]:#x}). "
            'Save it as "CSV UTF-8"; older Korean programs write cp949.'
        ) from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a table ({str(error).strip()}). Look at the file.") from error


def _parsed(csv: Any, header: Sequence[str], text: Sequence[str]) -> pd.DataFrame:
    return pd.read_csv(
        csv,
        dtype={name: object for name in header if name in TEXT or name in text},
        keep_default_na=False,
        na_values={name: [""] for name in header},
        encoding="utf-8-sig",
        **_EXACT,
    )


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as UTF-8 with "\\n", whole or not at all; floats so that they read back."""
    files.write_whole(Path(path), table.to_csv(index=False, lineterminator="\n"))


def write_cases(cases: pd.DataFrame, path: Path | str, data: Path | str) -> dict[str, Any]:
    """Write cases with paths relative to the data folder, regions and boxes as JSON.

    Returns:
        What is to be kept beside them: `cases`, the hash that they are known by, and `text`, which
        `read_cases` takes.
    """
    data = Path(os.path.abspath(data))
    places = {name: [_relative(value, data) for value in cases[name]] for name in places_of(cases)}
    write_csv(_flat(cases.assign(**places)), path)
    return {"cases": cases_hash(cases), "text": text_columns(cases)}


def places_of(cases: pd.DataFrame) -> list[str]:
    """The columns of cases that say where something lies: `masks` only beside its `masks_sha`."""
    return ["path", *["masks"] * ({"masks", "masks_sha"} <= set(cases))]


def text_columns(cases: pd.DataFrame) -> list[str]:
    """The columns that hold text, whatever it looks like, and those that hold nothing."""
    return [
        str(name)
        for name in cases
        if not pd.api.types.is_numeric_dtype(cases[name])
        and (any(isinstance(cell, str) for cell in cases[name]) or cases[name].isna().all())
    ]


def read_cases(path: Path | str, data: Path | str, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Cases that `write_cases` wrote, with absolute paths below `data`.

    Args:
        text: the columns that were text; see `text_columns`.
    """
    table, data = read_csv(path, text=text), os.path.abspath(data)
    for name in table:
        if pd.api.types.is_object_dtype(table[name]):
            table[name] = table[name].where(table[name].notna(), None)
    for name in places_of(table):
        places = [None if _is_missing(p) else os.path.join(data, p) for p in table[name]]
        table[name] = pd.Series(places, table.index, dtype=object)
    part = part_column(table)
    if part:
        values = [None if _is_missing(text) else json.loads(text) for text in table[part]]
        table[part] = pd.Series(values, table.index, dtype=object)
    return table


def cases_hash(cases: pd.DataFrame) -> str:
    """SHA-256 over everything of the cases but where their pictures and masks lie.

    Of the cells as `read_cases` would give them back: on the way through a CSV whole numbers of a
    column with gaps become floats, groups become text, and every gap is the same.
    """
    cases, part = cases.rename(columns=str), part_column(cases)
    flat = cases.drop(columns=[*places_of(cases), *([part] if part else [])])
    csv = io.StringIO(flat.to_csv(index=False))
    table = _parsed(csv, list(flat.columns), text_columns(cases))
    kept = [name for name in cases if name not in places_of(cases)]
    columns = {name: cases[name] if name == part else table[name] for name in kept}
    rows = {
        name: [None if _is_missing(cell) else cell for cell in column.tolist()]
        for name, column in columns.items()
    }
    return hashlib.sha256(json.dumps(rows, default=files.plain).encode()).hexdigest()


def are_known_by(cases: pd.DataFrame, saved: str) -> bool:
    """Whether a hash is of these cases: by `cases_hash`, or as version 0.1 hashed them."""
    return saved == cases_hash(cases) or saved == _earlier_hash(cases)


def _earlier_hash(cases: pd.DataFrame) -> str:
    """As version 0.1 hashed cases, with whose runs and searches this one goes on."""
    table = cases.drop(columns="path").reset_index(drop=True)
    rows = table.where(table.notna(), None).to_dict("list")
    plain = {"default": lambda v: v.item() if isinstance(v, np.generic) else str(v)}
    return hashlib.sha256(json.dumps(rows, **plain).encode()).hexdigest()


def write_predictions(predictions: pd.DataFrame, path: Path | str) -> None:
    """Write predictions; files that they name relative to the table's own folder."""
    if _names_files(predictions):
        folder = Path(path).parent
        names = [
            None if _is_missing(file) else Path(os.path.relpath(file, folder)).as_posix()
            for file in predictions["file"]
        ]
        predictions = predictions.assign(file=pd.Series(names, predictions.index, dtype=object))
    write_csv(predictions, path)


def read_predictions(path: Path | str) -> pd.DataFrame:
    """Predictions that `write_predictions` wrote, with absolute names of files."""
    table = read_csv(path)
    if _names_files(table):
        folder = os.path.abspath(Path(path).parent)
        names = [
            None if _is_missing(file) else os.path.normpath(os.path.join(folder, file))
            for file in table["file"]
        ]
        table["file"] = pd.Series(names, table.index, dtype=object)
    return table


def files_of(predictions: pd.DataFrame) -> dict[str, tuple[Any, str | None]]:
    """By id the file of an answer, and its `file_sha`: None where the table does not tell it."""
    check_columns("predictions", predictions, ["id", "file"])
    shas = predictions.get("file_sha", [None] * len(predictions))
    shas = [None if _is_missing(sha) else str(sha) for sha in shas]
    return dict(zip(predictions["id"], zip(predictions["file"], shas)))


def _names_files(predictions: pd.DataFrame) -> bool:
    """Whether answers lie in files that a table names, and not in the table."""
    is_named = list(predictions) in (["id", "file"], ["id", "file", "file_sha"])
    return is_named and not pd.api.types.is_numeric_dtype(predictions["file"])


def _flat(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases as cells of a CSV: a region or box as JSON."""
    part = part_column(cases)
    if part is None:
        return cases
    texts = [None if _is_missing(v) else json.dumps(v, default=files.plain) for v in cases[part]]
    return cases.assign(**{part: pd.Series(texts, cases.index, dtype=object)})


def visible(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases that a model can be shown: with a picture and, where parts are meant, a part."""
    check_columns("cases", cases, ["id", "path"])
    keep, part = cases["path"].notna(), part_column(cases)
    return cases[keep & cases[part].notna()] if part else cases[keep]


def by_turns(cases: pd.DataFrame, column: str = "group") -> pd.DataFrame:
    """All rows, the values of a column taking turns: the first few are of as many as there are.

    Example:
        >>> mouths = pd.DataFrame({"id": [1, 2, 3, 4], "group": ["a", "a", "a", "b"]})
        >>> list(by_turns(mouths)["id"])
        [1, 4, 2, 3]
    """
    turn = cases.groupby(column, sort=False, dropna=False).cumcount()
    return cases.iloc[np.argsort(turn.to_numpy(), kind="stable")]


def counted(cases: pd.DataFrame) -> str:
    """How many cases there are, in words that explain what else is counted.

    A photo in which no tooth is marked is a case, and one of the photos; it is no tooth, nothing is
    learned from it, and in the test it is taken for sound.
    """
    part, text = part_column(cases), f"{len(cases):,} cases"
    unread = int(cases["path"].isna().sum())
    unmarked = int((cases["path"].notna() & cases[part].isna()).sum()) if part else 0
    pieces = [f"{unmarked:,} of them without a marked part"] * bool(unmarked)
    pieces += [f"{unread:,} without a picture"] * bool(unread)
    return f"{text} ({' and '.join(pieces)})" if pieces else text


def part_column(cases: pd.DataFrame) -> str | None:
    """The column that says which part of its picture a case is; None where it is the whole.

    "region" is a polygon, shown with a margin around it. "box" is (left, top, right, bottom) in
    pixels, beyond which nothing is shown: its part of the picture is the case's picture.

    Raises:
        DataError: when there are both.
    """
    there = [name for name in PARTS if name in cases]
    if len(there) > 1:
        raise DataError(
            "cases: they have both a 'region' and a 'box' (expected one of them). "
            "Drop the column that does not say what the model is shown."
        )
    return there[0] if there else None


def check_columns(where: str, table: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse what is no table, or one without some of the columns that are needed.

    Raises:
        DataError: naming the first that is missing, and what there is.
        WrongType: it is none.
    """
    if not isinstance(table, pd.DataFrame):
        raise WrongType(f"{where}: found a {type(table).__name__} (expected a table).")
    missing = [name for name in names if name not in table]
    if missing:
        raise DataError(
            f"{where}: no column {missing[0]!r} (found {', '.join(map(str, table)) or 'none'})."
            f"{did_you_mean(missing[0], table) or COLUMNS.get(missing[0], '')}"
        )


def match(cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Cases with their predictions beside them, matched by id, in the order of the cases.

    Columns of one name get "_x" (cases) and "_y" (predictions).

    Raises:
        DataError: when an id is doubled, or has no prediction.
    """
    for name, table in (("cases", cases), ("predictions", predictions)):
        check_columns(name, table, ["id"])
        doubled = table["id"][table["id"].duplicated()].unique()
        if len(doubled):
            raise DataError(
                f"{name}: {len(doubled)} ids stand more than once, e.g. {list(doubled[:3])}. "
                "Keep one row for each id."
            )
    missing = cases["id"][~cases["id"].isin(predictions["id"])]
    if len(missing):
        raise DataError(
            f"predictions: {len(missing)} of {len(cases)} ids have none, e.g. {list(missing[:3])}. "
            "Predict the same cases that are scored."
        )
    return cases.merge(predictions, on="id", how="left", validate="one_to_one")


def _relative(path: Any, data: Path) -> str | None:
    if _is_missing(path):
        return None
    try:
        return Path(os.path.abspath(path)).relative_to(data).as_posix()
    except ValueError as error:
        raise DataError(
            f"{path}: not below the data folder {str(data)!r}. Pass the folder above all pictures."
        ) from error


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
