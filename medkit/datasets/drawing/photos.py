"""Drawn photos of mouths, in the layout of the caries contest with its traps.

Every photo has a key, (seed, number, view): it is the same however many others are drawn.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Iterator

import numpy as np

from medkit.datasets.drawing.mouths import VIEWS, Tooth, make_mouth
from medkit.datasets.drawing.painting import paint_photo
from medkit.datasets.drawing.writing import (
    check,
    check_counts,
    is_size,
    write_lines,
    write_picture,
)
from medkit.progress import track
from medkit.seeding import generator

TEST_EVERY = 10  # mouths 10, 20, ... are test: so numbers never meet, whatever the counts
RATIOS = {"front": (1.6, 2.4), "left": (1.4, 2.1), "right": (1.4, 2.1)}  # width / height
RATIOS.update(upper=(1.2, 1.5), lower=(1.2, 1.5))


def draw_caries(
    folder: Path | str,
    *,
    seed: int = 0,
    n_train: int = 60,
    n_test: int = 20,
    decayed_share: float = 0.1,
    widths: tuple[int, int] = (480, 900),
    broken: int = 0,
) -> None:
    """Write a drawn caries contest: `{train_data,test_data}/{image,json}/<view>_<number>.*`.

    A number is a mouth, with one to five views; the last mouth of a split may lack some. Files that
    are there already are written again, others are left alone.

    Args:
        n_train, n_test: photos.
        decayed_share: of the teeth. At 0.1 about six photos of ten have one, as in the contest,
            where two teeth of a hundred are decayed.
        widths: of the pictures in pixels, smallest and largest.
        broken: this many records more in train that cannot be used: by turns a missing picture,
            and a JSON that names another picture.
    """
    check_counts("draw_caries", n_train=n_train, n_test=n_test, broken=broken)
    check("draw_caries", "0 to 1", 0 <= decayed_share <= 1, decayed_share=decayed_share)
    ascending = is_size(widths, 2, least=100) and widths[0] <= widths[1]
    check("draw_caries", "smallest and largest in pixels, from 100", ascending, widths=widths)
    plan = [("train", *photo, None) for photo in _photos("train", n_train, seed)]
    last = max((number for _, number, _, _ in plan), default=0)
    free = (number for number in itertools.count(last + 1) if number % TEST_EVERY)
    traps = itertools.cycle(("no picture", "another's name"))
    plan += [("train", n, "lower", next(traps)) for n in itertools.islice(free, broken)]
    plan += [("test", *photo, None) for photo in _photos("test", n_test, seed)]
    options = {"seed": seed, "decayed_share": decayed_share, "widths": widths}
    for split, number, view, trap in track(plan, "drawing photos"):
        image, record = draw_photo(number, view, **options)
        if trap == "another's name":
            record["image_filepath"] = _image_path(number + 1, view)
        root, stem = Path(folder) / f"{split}_data", f"{view}_{number}"
        if trap != "no picture":
            write_picture(root / "image" / f"{stem}.png", image)
        write_lines(root / "json" / f"{stem}.json", [json.dumps(record)])


def draw_photo(
    number: int,
    view: str,
    *,
    seed: int = 0,
    decayed_share: float = 0.1,
    widths: tuple[int, int] = (480, 900),
) -> tuple[np.ndarray, dict]:
    """One photo, (H, W, 3) uint8 RGB, and its record as the contest's JSON has it."""
    rng = generator("drawn photo", seed, number, view)
    width = int(rng.integers(widths[0], widths[1] + 1))
    height = int(round(width / rng.uniform(*RATIOS[view])))
    mouth = make_mouth(number, seed=seed, decayed_share=decayed_share)
    image, teeth = paint_photo(mouth, view, (width, height), rng)
    rows = [_tooth_row(tooth, outline, rng) for tooth, outline in teeth]
    order = rng.permutation(len(rows))
    return image, {"image_filepath": _image_path(number, view), "tooth": [rows[k] for k in order]}


def _photos(split: str, count: int, seed: int) -> Iterator[tuple[int, str]]:
    """Number and view of the first `count` photos of a split."""
    number = 0
    while count > 0:
        number += 1
        if (number % TEST_EVERY == 0) != (split == "test"):
            continue
        rng = generator("drawn views", seed, number)
        views = rng.permutation(len(VIEWS))[: rng.integers(1, len(VIEWS) + 1)]
        for view in sorted(views)[:count]:
            yield number, VIEWS[view]
        count -= len(views)


def _tooth_row(tooth: Tooth, outline: np.ndarray, rng: np.random.Generator) -> dict:
    """A tooth as an annotator would mark it: 8 to 14 points near its outline."""
    points = int(rng.integers(8, 15))
    start = rng.integers(len(outline))
    at = (start + np.linspace(0, len(outline), points, endpoint=False).astype(int)) % len(outline)
    middle = outline.mean(0)
    loose = 1 + rng.normal(0.02, 0.015, (points, 1))
    polygon = np.round(middle + (outline[at] - middle) * loose).astype(int)
    return {
        "teeth_num": tooth.number,
        "segmentation": polygon.tolist(),
        "decayed": bool(tooth.decayed),
    }


def _image_path(number: int, view: str) -> str:
    return f"images/{view}/{number}/{view}_{number}.png"
