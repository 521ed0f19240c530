"""The bytes of a table as rows of text, by the same rules for who sends it and who takes it."""

from __future__ import annotations

import csv
import re
import threading
from typing import Iterator, NamedTuple

from medkit.datasets.task import Layout

ANY_LENGTH = 2**31 - 1  # of a cell, as far as Python goes
PYTHONS_CELL = 131_072  # characters, from which on the csv module takes a table for none

_limit = threading.Lock()  # of cells: one for all that Python reads


class Limits(NamedTuple):
    """How large a table can be, that could be meant."""

    rows: int
    columns: int
    longest: int  # characters of an answer
    spare: int = 10  # separators more a row, before it is parsed


def parsed(
    data: bytes, layout: Layout, limits: Limits | None = None
) -> tuple[list[list[str]], list[str]]:
    """The rows in which there is something, and what is wrong with the bytes, a sentence each.

    What is far larger than its limits is told before it is parsed. None are needed of a table of
    one's own, which only its maker knows.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        return [], ["It begins with a byte order mark; write it as plain utf-8."]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [], [f"It is not utf-8 ({_charset(data)}, perhaps); write it as utf-8."]
    if not text.strip():
        return [], ["It is empty."]
    if "\0" in text:
        return [], ["It holds zero bytes (utf-16, perhaps); write it as utf-8."]
    if re.search(r"\r(?!\n)", text):
        return [], ["Some of its lines end in \\r alone; end them with \\n."]
    longest = ANY_LENGTH if limits is None else limits.longest
    if limits is not None:
        lines = text.count("\n") - len(re.findall(r"^\r?\n", text, re.MULTILINE))  # not the blank
        separators, most = text.count(layout.separator), 2 * limits.rows + 10
        if lines > most or separators > most * (limits.columns + limits.spare):
            return [], [f"It is far larger than {limits.rows} rows of {limits.columns} cells."]
    try:
        rows = csv_rows(text, layout.separator, longest=max(longest, PYTHONS_CELL))
    except csv.Error as error:
        return [], [f"It is not a CSV ({error}); end its lines with \\n."]
    found = max(len(row[-1]) for row in rows)
    if found > longest:
        return [], [f"An answer has {found} characters (expected at most {longest})."]
    return rows, []


def csv_rows(text: str, separator: str, *, longest: int = ANY_LENGTH) -> list[list[str]]:
    """The rows of a CSV in which there is something, as text.

    Args:
        longest: characters that a cell may have; the runs of a mask are often more than Python's
            own 131,072.

    Raises:
        csv.Error: it is none.
    """
    with _limit:
        before = csv.field_size_limit(longest)
        try:
            return [row for row in csv.reader(_lines(text), delimiter=separator) if row]
        finally:
            csv.field_size_limit(before)


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends; io.StringIO would take four bytes a character."""
    first = 0
    while first < len(text):
        last = text.find("\n", first) + 1 or len(text)
        yield text[first:last]
        first = last


def _charset(data: bytes) -> str:
    """In what bytes that are no utf-8 seem to be written."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        return "cp949" if re.search("[가-힣]", data.decode("cp949")) else "latin-1"
    except UnicodeDecodeError:
        return "latin-1"
