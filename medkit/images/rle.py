"""Masks as runs of pixels and as the texts of contests: votes and overlaps without a pixel drawn.

A text is "start length start length ...". Contests differ in where they go along (order "C" is row
by row, "F" column by column) and in the number of the first pixel (base 1 or 0).
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from medkit.errors import ConfigError
from medkit.images.rle_texts import BLOCK, check_base, named, read, sizes_of, written

Runs = np.ndarray  # (2 n,) int64: start, end, start, end ... from 0 on, sorted, none touching
MANY = 20_000  # runs from which on a mask is filled all at once
WHOLE = 2**40  # parts of a vote: as whole numbers, weights add up the same in any order


def runs_of(mask: np.ndarray, *, order: str = "C") -> Runs:
    """The runs of a mask (H, W) of bool or whole numbers, where all but 0 is inside."""
    _check_order(order)
    mask = _plane(mask)
    x, y, w, h = box_of(mask)
    box, (height, width) = mask[y : y + h, x : x + w], mask.shape
    return shifted(box, x, y, width) if order == "C" else shifted(box.T, y, x, height)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(x, y, w, h) of the box around all that is inside; all 0 where nothing is.

    By NumPy: cv2.boundingRect misses parts of narrow masks in OpenCV 4.9 (its issue 24217).
    """
    mask = _plane(mask)
    rows = np.flatnonzero(np.bitwise_or.reduce(mask, axis=1))
    if not len(rows):
        return 0, 0, 0, 0
    y, last = int(rows[0]), int(rows[-1])
    columns = np.flatnonzero(np.bitwise_or.reduce(mask[y : last + 1], axis=0))
    return int(columns[0]), y, int(columns[-1] - columns[0] + 1), last - y + 1


def shifted(box: np.ndarray, x: int, y: int, width: int) -> Runs:
    """The runs, row by row, of a picture of this width that is empty but for a box at (x, y)."""
    box = _plane(box)
    if min(x, y) < 0 or x + box.shape[1] > width:
        raise ConfigError(
            f"shifted: a box {box.shape[1]} wide at {(x, y)} leaves a picture {width} wide. "
            "Cut the box at the picture's edge first."
        )
    if box.shape[1] == width:  # a run may go on in the next row
        box = box.reshape(1, -1)
    h, w = box.shape
    flat = np.zeros(h * (w + 1) + 1, bool)  # nothing before each row and after the last
    flat[:-1].reshape(h, w + 1)[:, 1:] = box
    change = np.flatnonzero(flat[1:] != flat[:-1])
    return change + change // (w + 1) * (width - w - 1) + (y * width + x)


def to_mask(runs: Runs, shape: tuple[int, int], *, order: str = "C") -> np.ndarray:
    """The mask of runs: (H, W) uint8 of 0 and 1."""
    _check_order(order)
    height, width = shape
    if len(runs) and runs[-1] > height * width:
        raise ConfigError(
            f"to_mask: the last run ends at {runs[-1]} (expected at most {height * width}, for "
            f"{height} x {width} pixels). Pass the shape of the picture that the runs are of."
        )
    flat = np.zeros(height * width, np.uint8)
    if len(runs) > 2 * MANY:
        flat[runs[runs < len(flat)]] = 1
        np.bitwise_xor.accumulate(flat, out=flat)
    else:
        for start, end in zip(runs[::2].tolist(), runs[1::2].tolist()):
            flat[start:end] = 1
    if order == "C":
        return flat.reshape(height, width)
    mask = np.zeros((height, width), np.uint8)
    if len(runs):  # only the columns in which there is something: turning all takes longest
        first, last = int(runs[0]) // height, (int(runs[-1]) - 1) // height + 1
        mask[:, first:last] = flat.reshape(width, height)[first:last].T
    return mask


def to_text(runs: Runs, *, base: int = 1) -> str:
    """Runs as "start length start length ...", where the first pixel has the number `base`."""
    check_base(base)
    pairs = np.array(runs)
    pairs[1::2] -= pairs[::2]
    pairs[::2] += base
    return written(pairs)


def to_runs(text: str, size: int | None, *, base: int = 1) -> Runs:
    """A text's runs, checked; runs that touch are joined.

    Args:
        size: pixels of the picture; None where it is not known.

    Raises:
        DataError: if the text holds no sorted runs, none overlapping, of such a picture.
    """
    check_base(base)
    places, _ = read([text], sizes_of(size, 1, "to_runs"), base, lambda k: "text")
    touching = np.flatnonzero(places[2::2] == places[1:-1:2]) * 2 + 1
    if not len(touching):
        return places
    return np.delete(places, np.concatenate([touching, touching + 1]))


def encode(mask: np.ndarray, *, order: str = "C", base: int = 1) -> str:
    """The text of a mask, see `runs_of` and `to_text`."""
    return to_text(runs_of(mask, order=order), base=base)


def decode(text: str, shape: tuple[int, int], *, order: str = "C", base: int = 1) -> np.ndarray:
    """The mask of a text: (H, W) uint8 of 0 and 1."""
    return to_mask(to_runs(text, shape[0] * shape[1], base=base), shape, order=order)


def area(runs: Runs) -> int:
    """Pixels inside."""
    return int((runs[1::2] - runs[::2]).sum())


def overlap(runs: Runs, other: Runs) -> int:
    """Pixels inside both."""
    return int(_shared(runs, other).sum())


def overlaps(
    texts: Sequence[str],
    others: Sequence[str],
    size: int | Sequence[int] | None,
    *,
    base: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas of the one, areas of the other, and of what they share, row by row: (n,) int64 each.

    Args:
        size: pixels of the picture, one for all rows or one a row; None where it is not known.

    Raises:
        ConfigError: naming a row, counted from 0, whose text holds no runs of such a picture.
    """
    check_base(base)
    texts, others = list(texts), list(others)
    if len(texts) != len(others):
        raise ConfigError(
            f"overlaps: {len(texts)} texts and {len(others)} others. Pass one for each."
        )
    sizes, found = sizes_of(size, len(texts), "overlaps"), np.zeros((3, len(texts)), np.int64)
    for low in range(0, len(texts), BLOCK):
        rows = slice(low, low + BLOCK)
        a, a_counts = read(texts[rows], sizes[rows], base, named(low, "row {} of texts"))
        b, b_counts = read(others[rows], sizes[rows], base, named(low, "row {} of others"))
        found[0, rows] = _sums(a[1::2] - a[::2], a_counts // 2)
        found[1, rows] = _sums(b[1::2] - b[::2], b_counts // 2)
        # All rows as one: each begins where no run of the row before can reach.
        begins = np.arange(len(a_counts)) * max(a.max(initial=0), b.max(initial=0))
        a, b = a + np.repeat(begins, a_counts), b + np.repeat(begins, b_counts)
        found[2, rows] = _sums(_shared(a, b), a_counts // 2)
    return found[0], found[1], found[2]


def vote(
    many: Sequence[Runs], *, weights: Sequence[float] | None = None, more_than: float = 0.5
) -> Runs:
    """The runs of what more than a share of the voters has inside; a tie is outside.

    Args:
        weights: one a voter; None counts all alike.
        more_than: share of the sum of the weights, from 0 (inside of any) to below 1.
    """
    shares = _shares("vote", len(many), weights, more_than)
    voters = np.repeat(np.arange(len(many)), [len(runs) for runs in many])
    return _voted(np.concatenate(many), voters, shares, more_than)


def vote_texts(
    rows: Sequence[Sequence[str]],
    size: int | Sequence[int] | None,
    *,
    weights: Sequence[float] | None = None,
    more_than: float = 0.5,
    base: int = 1,
) -> list[str]:
    """The text of each row's vote, see `vote`.

    Args:
        rows: of each mask one text a voter, the voters in the same order.
        size: pixels of the picture, one for all rows or one a row; None where it is not known.

    Raises:
        ConfigError: naming the row and voter, counted from 0, whose text holds no such runs.
    """
    check_base(base)
    rows = list(rows)
    if any(isinstance(row, str) for row in rows):
        raise ConfigError(
            "vote_texts: a row is one text (expected a list of texts, one a voter). "
            "From a list of texts a voter, make rows by zip(*columns)."
        )
    if not rows:
        return []
    n = len(rows[0])
    other = next((k for k, row in enumerate(rows) if len(row) != n), None)
    if other is not None:
        raise ConfigError(
            f"vote_texts: row {other} has {len(rows[other])} texts (expected {n}, as row 0 has). "
            "Pass an empty text where a voter found nothing."
        )
    shares = _shares("vote_texts", n, weights, more_than)
    sizes, step, answers = sizes_of(size, len(rows), "vote_texts"), max(1, BLOCK // n), []
    for low in range(0, len(rows), step):
        block = rows[low : low + step]
        texts = [text for row in block for text in row]
        where = named(low * n, "row {}, voter {}", n)
        places, counts = read(texts, np.repeat(sizes[low : low + step], n), base, where)
        reach = places.max(initial=0) + 1  # all rows as one: each begins beyond the row before
        row, voter = np.divmod(np.arange(len(texts)), n)
        places += np.repeat(row * reach, counts)
        row, pairs = np.divmod(_voted(places, np.repeat(voter, counts), shares, more_than), reach)
        pairs[1::2] -= pairs[::2]
        pairs[::2] += base
        cuts = np.searchsorted(row, np.arange(len(block) + 1)).tolist()
        answers += [written(pairs[first:last]) for first, last in zip(cuts, cuts[1:])]
    return answers


def _voted(places: np.ndarray, voters: np.ndarray, shares: np.ndarray, more_than: float) -> Runs:
    """Where the level changes that all voters' starts (up) and ends (down) make together."""
    bits = (2 * len(shares) - 1).bit_length()
    keys = (places << bits) + 2 * voters  # place, voter, start or end: sorted as one number
    keys[1::2] += 1
    keys.sort(kind="stable")  # merges what is sorted in parts, 9 to 17 times as fast here
    steps = np.stack([shares, -shares], axis=1).ravel()[keys & ((1 << bits) - 1)]
    places, level = keys >> bits, np.cumsum(steps)
    is_last = np.append(places[1:] != places[:-1], True)[: len(places)]
    # Each share was rounded by half a part at most: what is nearer than that is a tie.
    inside = level[is_last] > more_than * WHOLE + len(shares)
    return places[is_last][np.diff(inside, prepend=False)]


def _shares(where: str, n: int, weights: Sequence[float] | None, more_than: float) -> np.ndarray:
    """What each voter counts for, in parts of WHOLE."""
    given = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if not n:
        raise ConfigError(f"{where}: no voters (expected 1 or more). Pass the masks to vote on.")
    if given.shape != (n,) or not np.isfinite(given).all() or min(given) < 0 or not given.any():
        raise ConfigError(
            f"{where}: weights {weights!r} for {n} voters (expected one each, 0 or more, not all "
            "0). Leave them out to count all alike."
        )
    if not 0 <= more_than < 1:
        raise ConfigError(
            f"{where}: more_than={more_than!r} (expected 0 to below 1). For what all have inside, "
            "pass a number just below 1."
        )
    given = given / given.max()  # whose sum is finite
    return np.rint(given / given.sum() * WHOLE).astype(np.int64)


def _shared(a: Runs, b: Runs) -> np.ndarray:
    """Of each run of `a` what is in `b` too: pixels of `b` up to its end, less up to its start."""
    if not len(b):
        return np.zeros(len(a) // 2, np.int64)
    before = np.append(0, np.cumsum(b[1::2] - b[::2]))
    at = np.searchsorted(b, a, side="right")  # odd: within a run of b
    covered = before[at // 2] + (at & 1) * (a - b[at - 1])
    return covered[1::2] - covered[::2]


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of the first counts[0] values, of the next counts[1], and so on."""
    total = np.append(0, np.cumsum(values))
    return np.diff(total[np.append(0, np.cumsum(counts))])


def _plane(mask: np.ndarray) -> np.ndarray:
    """A mask as whole numbers, two-dimensional."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ConfigError(
            f"mask: shape {mask.shape} (expected height and width). Pass one mask at a time."
        )
    if mask.dtype.kind not in "bui":
        raise ConfigError(
            f"mask: {mask.dtype} (expected bool or whole numbers). Compare it with a threshold "
            "first: mask >= 0.5."
        )
    return mask.view(np.uint8) if mask.dtype == bool else mask


def _check_order(order: str) -> None:
    if order not in ("C", "F"):
        raise ConfigError(
            f"order: {order!r} (expected 'C', row by row, or 'F', column by column). "
            "The contest's page says which one its texts have."
        )
