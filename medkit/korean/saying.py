"""The Korean of what people are told most: why nothing was sent, what became of a file, its form.

English is what is raised, matched and kept; Korean is only ever shown below it. It is made of the
English words, after secrets were taken out of them, so it holds none either.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Mapping

from medkit.korean.checks import NOTES, PROBLEMS, REFUSED_TABLES
from medkit.korean.refusals import FORM, PARTS, REFUSALS

SENTENCES = {**REFUSALS, **REFUSED_TABLES, **PARTS["room"], **NOTES, **FORM}
BETWEEN = re.compile(r"(?<=[.:]) (?=(?:Its?|An|Some|Write|\d+) )")  # two problems of one table


def in_korean(text: str) -> str:
    """What the kit says, in Korean, line by line; "" for what has no Korean.

    Example:
        >>> in_korean("Choose a file.")
        '파일을 고르세요.'
    """
    lines = [_said(line, SENTENCES) for line in text.splitlines()]
    return "\n".join(line for line in lines if line)


def both(text: str) -> str:
    """What the kit says, and below it the same in Korean.

    Example:
        >>> print(both("Choose a file."))
        Choose a file.
        파일을 고르세요.
    """
    return "\n".join(filter(None, [text, in_korean(text)]))


def accepted(csv: str, time: str, left: int | None, limit: int | None, next_free: str) -> str:
    """The last line of a receipt."""
    words = f"접수되었습니다: {csv}, {time}."
    words += "" if left is None else f" 오늘 남은 제출은 {limit}번 중 {left}번입니다."
    return words + (f" 다음 제출은 {next_free}부터 할 수 있습니다." if next_free else "")


def _said(text: str, table: Mapping[str, str]) -> str | None:
    """The Korean of a sentence by the first row that fits, with the values that stand in it."""
    for english, korean in table.items():
        found = _pattern(english).fullmatch(text)
        values = _values(found.groupdict()) if found else None
        if values is not None:
            return korean.format(**values)
    return None


def _values(found: Mapping[str, str]) -> dict[str, str] | None:
    """What stands in a sentence, in Korean where a row of `PARTS` says it; None if none does."""
    values = dict(found)
    for name in set(values) & set(PARTS):
        said = _said(values[name], PARTS[name])
        if said is None:
            return None
        values[name] = said
    if "problems" in values:
        parts = BETWEEN.split(values["problems"])
        values["problems"] = " ".join(_said(part, PROBLEMS) or part for part in parts)
    return values


@lru_cache(maxsize=None)
def _pattern(english: str) -> re.Pattern:
    """A row as a pattern: {name} is any text, {name:d} a number."""
    pattern = re.escape(english)
    pattern = re.sub(r"\\{(\w+):d\\}", r"(?P<\1>\\d+)", pattern)
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", pattern))
