"""Texts of runs ("start length start length ...") as numbers and back, many at once and checked."""

from __future__ import annotations

import re
from itertools import islice
from typing import Callable, Sequence

import numpy as np

from medkit.errors import ConfigError, DataError

MOST = 2**40  # pixels of a picture; sums and keys made of such numbers stay below 2**63
KNOWN = b"0123456789 "
BLOCK = 64  # texts read at once: their numbers fit a processor's cache


def read(
    texts: list[str], sizes: np.ndarray, base: int, where: Callable[[int], str]
) -> tuple[np.ndarray, np.ndarray]:
    """The starts and ends of all texts, one after another, and how many each has.

    Runs that touch are not joined.

    Args:
        sizes: of each text the pixels of its picture, see `sizes_of`.
        where: what a message calls the k-th text.

    Raises:
        DataError: if a text holds no sorted runs, none overlapping, of such a picture.
    """
    parsed = _parsed(texts, sizes, base)
    if parsed is None:
        faults = (_fault(text, size, base) for text, size in zip(texts, sizes.tolist()))
        k, fault = next((k, fault) for k, fault in enumerate(faults) if fault)
        raise DataError(f"{where(k)}: {fault}")
    return parsed


def faults(texts: Sequence[str], sizes: np.ndarray, base: int) -> dict[int, str]:
    """What is wrong with each text that is no runs of its picture, by number; see `read`."""
    texts, found = list(texts), {}
    for low in range(0, len(texts), BLOCK):
        block, pixels = texts[low : low + BLOCK], sizes[low : low + BLOCK]
        if _parsed(block, pixels, base) is None:
            each = [_fault(text, size, base) for text, size in zip(block, pixels.tolist())]
            found.update({low + k: fault for k, fault in enumerate(each) if fault})
    return found


def written(pairs: np.ndarray) -> str:
    """Numbers with blanks between them."""
    numbers = pairs.tolist()  # by one format: half the time of str and join
    return ("%d " * len(numbers))[:-1] % tuple(numbers)


def sizes_of(size: int | Sequence[int] | None, rows: int, where: str) -> np.ndarray:
    """Pixels of each row's picture: (rows,) int64; MOST where they are not known."""
    sizes = np.asarray(MOST if size is None else size)
    is_whole = sizes.dtype.kind in "iu" or not sizes.size
    if sizes.shape not in ((), (rows,)) or not is_whole:
        raise ConfigError(
            f"{where}: size is {sizes.dtype} of shape {sizes.shape} (expected one whole number, or "
            f"one for each of {rows} rows). Pass height times width of the picture."
        )
    return np.broadcast_to(np.minimum(sizes, MOST).astype(np.int64), (rows,))


def named(low: int, name: str, voters: int = 1) -> Callable[[int], str]:
    """What the k-th text from `low` on is called: `name` with its row, and its voter, filled in."""
    return lambda k: name.format(*divmod(low + k, voters))


def check_base(base: int) -> None:
    if base not in (0, 1):
        raise ConfigError(
            f"base: {base!r} (expected 0 or 1, the number of the first pixel). "
            "The contest's page says where its texts begin."
        )


def _parsed(texts: list[str], sizes: np.ndarray, base: int) -> tuple[np.ndarray, np.ndarray] | None:
    """As `read`, or None if a text is wrong, whichever and however: `_fault` tells."""
    if not all(isinstance(text, str) for text in texts):
        return None
    joined = " ".join(texts)
    if not joined.isascii() or joined.encode().translate(None, KNOWN):
        return None
    places = _numbers(joined)
    counts = np.array([text.count(" ") + 1 if text else 0 for text in texts], np.int64)
    if counts.sum() != len(places):  # blanks too many somewhere
        counts = np.array([_count(text) for text in texts], np.int64)
    if (counts % 2).any() or not places[1::2].all():
        return None
    places[::2] -= base
    places[1::2] += places[::2]
    ends, some = np.cumsum(counts), counts > 0
    first, last = (ends - counts)[some], ends[some] - 1
    falls = places[1:] < places[:-1]
    falls[first[1:] - 1] = False  # there the next text begins
    if falls.any() or (places[first] < 0).any() or (places[last] > sizes[some]).any():
        return None
    return places, counts


def _fault(text: str, size: int, base: int) -> str:
    """What is wrong with a text, and what to do; empty if nothing is."""
    if not isinstance(text, str):
        return (
            f"found {text!r} (expected a text, empty for an empty mask). "
            "Read tables with keep_default_na=False."
        )
    strange = re.search("[^0-9 ]", text)
    if strange:
        return (
            f"found {strange.group()!r} (expected whole numbers with blanks between them). "
            "rle.encode writes such texts."
        )
    numbers = _numbers(text)
    if len(numbers) % 2:
        return (
            f"an odd count of numbers, {len(numbers)} (expected pairs: start, length). "
            "Look if it was cut off."
        )
    starts, lengths = numbers[::2] - base, numbers[1::2]
    ends = starts + lengths
    is_before = np.zeros(len(starts), bool)
    is_before[1:] = starts[1:] < ends[:-1]
    last = size - 1 + base
    for is_wrong, wanted in (
        (starts < 0, f"a start from {base} on). Pass the base that it was written with."),
        (lengths < 1, "a length from 1 on). Leave empty runs out."),
        (is_before, "a start after the run before). Sort the runs and let none overlap."),
        (ends > size, f"the last pixel {last} at most). Look if it is of another picture."),
    ):
        if is_wrong.any():
            k = int(is_wrong.argmax())
            words = next(islice(re.finditer("([0-9]+) +([0-9]+)", text), k, None)).groups()
            run = " ".join(word[:20] for word in words)
            return f"run {k + 1} of {len(ends)} is {run!r} (expected {wanted}"
    return ""


def _count(text: str) -> int:
    """How many numbers a text has; a split would take 20 times the memory of a long one."""
    is_digit = np.frombuffer(f"{text} ".encode(), np.uint8) > ord(" ")
    return int(np.count_nonzero(is_digit[:-1] > is_digit[1:]))


def _numbers(text: str) -> np.ndarray:
    """Whole numbers between blanks; those beyond any picture become MOST + 1."""
    if not text.strip():  # of which fromstring makes a 0
        return np.zeros(0, np.int64)
    return np.minimum(np.fromstring(text, np.int64, sep=" "), MOST + 1)
