"""What the table of the hand bone contest tells of its people: an .xlsx with junk in its cells."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any, Iterable, Iterator

from medkit.datasets.reading import Records, plain
from medkit.errors import DataError

COLUMNS = {  # fact: its column in the table; the last has no name, and is called as pandas does
    "age": "나이",
    "sex": "성별",
    "weight": "체중(몸무게)",
    "height": "키(신장)",
    "nails": "Unnamed: 5",
}
FACTS, NUMBERS = tuple(COLUMNS), ("age", "weight", "height")
PAINTED = "네일있음"
JUNK = re.compile(r"_x[0-9A-Fa-f]{4}_|[\x00-\x1f\x7f]")  # control characters as Excel writes them


def read_people(
    path: Path, people: Iterable[str], records: Records
) -> dict[str, dict[str, float | str | None]]:
    """The facts of people by their ID: `age, sex, weight, height, nails`, None where unknown.

    A cell that tells none is quarantined with its row, as is a table that cannot be read. Without
    the table nothing is known; without openpyxl neither, and a warning says so.
    """
    found: dict[str, dict[str, Any]] = {}
    wanted = {_person(person): person for person in people}
    try:
        for where, row in _rows(path):
            person, facts = wanted.get(_person(row["ID"])), {}
            if person is None:  # of the other split
                continue
            for name, column in COLUMNS.items():
                try:
                    facts[name] = READ[name](_plain(row[column])) if column in row else None
                except ValueError as error:
                    facts[name] = None
                    records.refuse(person, path, f"{where}: {column} is {error}, left empty")
            if found.setdefault(person, facts) != facts:
                records.refuse(person, path, f"{where}: {person} stands above with other facts")
    except ValueError as error:
        records.refuse(path.name, path, str(error))
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, cells by column) of a table with an ID; nothing where there is no table.

    Raises:
        DataError: when it cannot be read.
    """
    if not path.is_file():
        return
    try:
        from openpyxl import load_workbook  # an extra, and only this file needs it
    except ImportError:
        warnings.warn(
            f"{path}: {', '.join(FACTS)} stay empty, since reading them needs openpyxl, which is "
            'not installed. Install it: pip install "medkit[xlsx]".',
            stacklevel=4,
        )
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles, at which nobody looks
            book = load_workbook(path, data_only=True)
        lines = list(book.worksheets[0].iter_rows(values_only=True))
    except Exception as error:  # BadZipFile, KeyError, ParseError, IndexError, ...
        raise DataError(f"the table cannot be read ({error})") from error
    header = [_plain(cell) for cell in lines[0]] if lines else []
    if "ID" not in header:
        raise DataError(f"the table has no column 'ID' (found {', '.join(header) or 'nothing'})")
    header = [name or f"Unnamed: {k}" for k, name in enumerate(header)]
    for number, cells in enumerate(lines[1:], 2):
        row = dict(zip(header, cells))
        if _plain(row["ID"]):
            yield f"row {number} of {path.name}", row


def _plain(cell: Any) -> str:
    """A cell as text, without the junk of other programs."""
    return "" if cell is None else plain(JUNK.sub("", str(cell)))


def _person(cell: Any) -> str:
    """An ID as folders have it: 1, "1" and "ID1" are "ID001"."""
    name = _plain(cell)
    number = name[2:] if name[:2].upper() == "ID" else name
    number = number[:-2] if number.endswith(".0") else number
    return f"ID{int(number):03d}" if number.isdecimal() else name


def _number(text: str) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise DataError(f"{text!r} (expected a number above 0)")
    return number


def _sex(text: str) -> str | None:
    if text.upper() not in ("F", "M", ""):
        raise DataError(f"{text!r} (expected F or M)")
    return text.upper() or None


def _nails(text: str) -> str:
    if text.replace(" ", "") not in (PAINTED, ""):
        raise DataError(f"{text!r} (expected {PAINTED} or nothing)")
    return "yes" if text else "no"


READ = {"age": _number, "sex": _sex, "weight": _number, "height": _number, "nails": _nails}
