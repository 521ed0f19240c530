"""Pictures and lines of drawn contests on the disk, and the settings that all of them check."""

from __future__ import annotations

import io
import zipfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Iterable, Sequence
from xml.sax.saxutils import escape

import cv2
import numpy as np

from medkit import files
from medkit.errors import ConfigError

PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
KINDS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
BOOK = {  # the fewest files of which an .xlsx consists, beside its sheet
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{KINDS}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{KINDS}.worksheet+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{OFFICE}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{OFFICE}/relationships"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship '
    f'Id="rId1" Type="{OFFICE}/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, as PNG or JPEG by the file's ending."""
    _, payload = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    files.write_whole(path, payload.tobytes())


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a table's lines, each with its end."""
    files.write_whole(path, "".join(f"{line}\n" for line in lines))


def write_sheet(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as an .xlsx of one sheet, with no library: numbers, texts, and None as gaps.

    The same rows make the same bytes. A table has at most 26 columns.
    """
    lines = []
    for row, cells in enumerate(rows, 1):
        texts = []
        for column, cell in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", cells):
            if isinstance(cell, Real):
                texts.append(f'<c r="{column}{row}"><v>{cell}</v></c>')
            elif cell is not None:
                text = f'<is><t xml:space="preserve">{escape(cell)}</t></is>'
                texts.append(f'<c r="{column}{row}" t="inlineStr">{text}</c>')
        lines.append(f'<row r="{row}">{"".join(texts)}</row>')
    sheet = f'<worksheet xmlns="{SHEETS}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {**BOOK, "xl/worksheets/sheet1.xml": sheet}.items():
            entry = zipfile.ZipInfo(name)  # of 1980: a time would make other bytes
            archive.writestr(entry, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}')
    files.write_whole(path, buffer.getvalue())


def check(where: str, wanted: str, is_good: bool, **setting: Any) -> None:
    """Refuse a setting by its name; `where` is the function that was given it."""
    for name, value in setting.items():
        if not is_good:
            raise ConfigError(f"{where}: {name} {value!r} (expected {wanted}).")


def check_counts(where: str, **counts: Any) -> None:
    """Refuse what is no count, by its name."""
    for name, count in counts.items():
        check(where, "a count, 0 or more", _is_whole(count, 0), **{name: count})


def check_size(where: str, size: Any, *, sides: int) -> None:
    """Refuse what is not the size of a picture: one number of pixels, or width and height."""
    wanted = "width and height in pixels" if sides == 2 else "pixels"
    check(where, f"{wanted}, from 16", is_size(size, sides, least=16), size=size)


def is_size(size: Any, sides: int, *, least: int) -> bool:
    """Whether it is one whole number, or a pair of them, none below `least`."""
    numbers = [size] if sides == 1 else size if isinstance(size, (tuple, list)) else []
    return len(numbers) == sides and all(_is_whole(number, least) for number in numbers)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and value >= least
