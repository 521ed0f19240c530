"""What all contests share when they are read: folders, label files, and the two tables."""

from __future__ import annotations

import csv
import unicodedata
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import pandas as pd

from medkit import files
from medkit.datasets.places import find_folder
from medkit.errors import ConfigError, DataError, MissingError
from medkit.images import decode
from medkit.naming import did_you_mean

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def contest_folder(contest: str, data: Path | str, split: str, parts: Mapping[str, str]) -> Path:
    """The data folder, when it holds what a split needs.

    Args:
        parts: for each split the file or folder, relative to `data`, without which it is not there.

    Raises:
        MissingError, ConfigError: naming what was found instead.
    """
    if split not in parts:
        raise ConfigError(
            f"{contest}: split {split!r} (expected one of {', '.join(parts)})."
            f"{did_you_mean(split, parts)}"
        )
    data = find_folder(data, f"Set DATA to the folder that holds {' and '.join(parts.values())}.")
    if not (data / parts[split]).exists():
        raise not_the_layout(contest, data, parts[split])
    return data


def not_the_layout(contest: str, data: Path, expected: str) -> DataError:
    """The error for a folder that is another one."""
    return DataError(
        f"{data}: not the layout of the {contest} contest (found {files.listing(data)}; expected "
        f"{expected}). Set DATA to the folder that holds it."
    )


def find_files(*roots: Path, suffixes: Sequence[str] = PICTURES) -> dict[str, Path]:
    """Files below folders by stem, in one Unicode form; the first folder outranks the second.

    Those that begin with "." are left out: macOS puts one beside each file that it copies. Of two
    with one stem in one folder, or in folders below it, the first is taken, with a warning.
    """
    found: dict[str, Path] = {}
    for root in roots:
        own: dict[str, Path] = {}
        doubled = []
        for path in files.walk(root):
            if path.suffix.lower() in suffixes and not path.name.startswith("."):
                if own.setdefault(plain(path.stem), path) is not path:
                    doubled.append(path)
        if doubled:
            first = own[plain(doubled[0].stem)]
            warnings.warn(
                f"{root}: {len(doubled)} files bear the name of another and are left out, e.g. "
                f"{doubled[0].relative_to(root)} beside {first.relative_to(root)}. Rename or "
                "remove one of each pair.",
                stacklevel=2,
            )
        found.update((stem, path) for stem, path in own.items() if stem not in found)
    return found


def plain(text: str) -> str:
    """A name in the one Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", text.strip())


class Records:
    """What reading one split has found: cases, and what cannot be used, with the reason.

    An id that stands twice: in train the first stays when all its columns agree, else none does;
    in test both stay, the second as "<id> (<where>)", since the table that is handed in needs it.
    """

    def __init__(self, contest: str, split: str, *, verify: bool = False):
        self.contest, self.split, self.verify = contest, split, verify
        self.cases: list[dict[str, Any]] = []
        self.quarantine: list[dict[str, Any]] = []
        self._where: list[str] = []

    def add(self, case: dict[str, Any], where: str) -> None:
        """Keep a case; `where` is the file and line that it stands in."""
        self.cases.append(case)
        self._where.append(where)

    def refuse(self, id: str, path: Path | str, reason: str) -> None:
        """Put something into quarantine."""
        self.quarantine.append({"id": id, "path": str(path), "reason": reason})

    def lines(
        self, table: Path, columns: Sequence[str], *, separator: str | None = ","
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """(where, cells by column) of a label file without header; wrong lines are quarantined.

        In test these come all the same, filled up with "": each line has a place in what is
        handed in.

        Args:
            separator: None takes any white space.

        Raises:
            MissingError, DataError: for a file that is missing, or not in UTF-8.
        """
        for number, cells in enumerate(read_lines(table, separator), 1):
            where = f"line {number} of {table.name}"
            if len(cells) == len(columns) and all(cells):
                yield where, dict(zip(columns, cells))
            elif any(cells):
                wanted = f"{len(columns)} ({', '.join(columns)})"
                self.refuse(where, table, f"{where}: the cells are {cells} (expected {wanted})")
                if self.split == "test":
                    yield where, dict(zip_longest(columns, cells[: len(columns)], fillvalue=""))

    def picture(self, id: str, path: Path | None, where: str) -> str | None:
        """A case's picture, or None with a line in quarantine when it cannot be read."""
        try:
            if path is None:
                raise DataError("the picture is missing")
            decode.probe(path)
            if self.verify:
                decode.read_image(path)
            return str(path)
        except (OSError, ValueError) as error:
            reason = str(error).replace(f"{path}: ", "")
            self.refuse(id, path or where, f"{where}: {reason}")
            return None

    def tables(self, columns: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The cases and the quarantine.

        Raises:
            DataError: when no case has a picture.
        """
        self._settle_doubled()
        if not any(case["path"] for case in self.cases):
            raise DataError(all_quarantined(self.contest, self.split, self.quarantine))
        return (
            pd.DataFrame(self.cases, columns=list(columns)),
            pd.DataFrame(self.quarantine, columns=["id", "path", "reason"]),
        )

    def _settle_doubled(self) -> None:
        rows: dict[str, list[int]] = {}
        for row, case in enumerate(self.cases):
            rows.setdefault(case["id"], []).append(row)
        dropped = set()
        for name, same in rows.items():
            if len(same) == 1:
                continue
            agree = all(self.cases[row] == self.cases[same[0]] for row in same)
            places = " and ".join(self._where[row] for row in same)
            reason = f"the id stands {len(same)} times" + ("" if agree else " with other labels")
            self.refuse(name, self.cases[same[0]]["path"] or "", f"{reason}: {places}")
            if self.split == "test":
                for row in same[1:]:
                    self.cases[row] = {**self.cases[row], "id": f"{name} ({self._where[row]})"}
            else:
                dropped.update(same[1:] if agree else same)
        self.cases = [case for row, case in enumerate(self.cases) if row not in dropped]


def all_quarantined(contest: str, split: str, quarantine: Sequence[Mapping[str, Any]]) -> str:
    """The message for a split of which nothing is left, with the most frequent reasons."""
    reasons = pd.Series([str(row["reason"]).rpartition(": ")[2] for row in quarantine], dtype=str)
    found = "; ".join(f"{n} x {reason}" for reason, n in reasons.value_counts().head(3).items())
    return (
        f"{contest}: every record of {split} is quarantined ({found or 'there is none'}). "
        "Look at one such file, and check that the files lie in the contest's layout."
    )


def read_lines(table: Path, separator: str | None = ",") -> Iterator[list[str]]:
    """The lines of a text file as lists of stripped cells, an empty line as an empty list.

    Raises:
        MissingError, DataError: naming the file.
    """
    if not table.is_file():
        raise MissingError(
            f"{table}: no such label file (found {files.listing(table.parent)}). Check its name."
        )
    try:
        lines = table.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table}: not UTF-8 (found byte {error.object[error.start]:#x}). "
            'Save it as "CSV UTF-8"; older Korean programs write cp949.'
        ) from error
    for cells in csv.reader(lines, delimiter=separator) if separator else map(str.split, lines):
        yield [plain(cell) for cell in cells]


def one_of(label: Any, classes: Sequence[str], name: str) -> str:
    """A label that is one of the classes.

    Raises:
        DataError: naming the column and the classes.
    """
    if label not in classes:
        raise DataError(f"{name} is {label!r} (expected one of {', '.join(classes)})")
    return label
