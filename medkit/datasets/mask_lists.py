"""Files that hold the masks of many pictures, each read once: a JSON of polygons, a CSV of runs."""

from __future__ import annotations

import csv
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterable, Mapping

from medkit import tables
from medkit.errors import DataError


def name_in(case: Mapping[str, Any], known: Iterable[str], path: str) -> str:
    """What a file calls a case's picture: its id, or its name with or without its ending."""
    place = Path(case["path"])
    for name in (str(case["id"]), place.name, place.stem):
        if name in known:
            return name
    raise DataError(
        f"{path}: nothing of {place.name!r} (found {', '.join(list(known)[:3])}, ...). Look "
        "whether it is the file of this split."
    )


def stamp(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size


def _short(places: dict[Any, str]) -> dict[Any, str]:
    """Names without folders, as far as no two are alike."""
    short = {key: Path(place).name for key, place in places.items()}
    return short if len(set(short.values())) == len(short) else places


@lru_cache(maxsize=4)
def coco_file(
    path: str, *stamp: int
) -> tuple[dict[str, tuple[int, int]], dict[str, list[tuple[str, list]]]]:
    """Size of each picture by name, and of each its (category, polygons)."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        categories = {row["id"]: str(row["name"]) for row in found["categories"]}
        names = _short({row["id"]: str(row["file_name"]) for row in found["images"]})
        sizes = {names[r["id"]]: (int(r["height"]), int(r["width"])) for r in found["images"]}
        polygons: dict[str, list[tuple[str, list]]] = {}
        for row in found["annotations"]:
            parts = row["segmentation"]
            if isinstance(parts, dict):
                raise DataError("runs in place of polygons")
            place = polygons.setdefault(names[row["image_id"]], [])
            place.append((categories[row["category_id"]], parts))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{path}: not a JSON as COCO has them ({what}; expected images, categories, and "
            "annotations with polygons)."
        ) from error
    return sizes, polygons


@lru_cache(maxsize=4)
def rle_file(
    path: str, columns: tuple[str, ...], is_single: bool, *stamp: int
) -> dict[str, list[tuple[str | None, str]]]:
    """(class, runs) of each picture; of a single class without its name, unless it is asked for."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    table = tables.read_csv(path, text=header)  # "0001" is no 1
    count = 2 if is_single and len(columns) != 3 else 3
    names = columns or tuple(table)[:count]
    if len(names) != count or not set(names) <= set(table):
        wanted = "picture and runs" if count == 2 else "picture, class and runs"
        raise DataError(
            f"{path}: columns {', '.join(map(str, table))} (expected {wanted}). Name them in "
            "order: mk.MaskFiles('rle', columns=(...))."
        )
    table = table[list(names)].astype(object).where(table[list(names)].notna(), "")
    rows: dict[str, list[tuple[str | None, str]]] = {}
    for picture, *category, text in table.astype(str).itertuples(index=False):
        rows.setdefault(picture, []).append((category[0] if category else None, text))
    return rows
