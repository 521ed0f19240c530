"""Teeth with decay: the 2023 oral-image contest of Seoul National University Dental Hospital.

Two units: a tooth (a crop of the photo) or a photo. The contest scores photos: one is positive
when any of its teeth is decayed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.drawing.photos import draw_caries
from medkit.datasets.kinds import Threshold
from medkit.datasets.places import find_folder
from medkit.datasets.reading import all_quarantined, find_files, not_the_layout
from medkit.datasets.task import Fact, Head, Task
from medkit.datasets.units import cases_as_units, class_scores
from medkit.errors import ConfigError, DataError
from medkit.images import decode
from medkit.naming import did_you_mean
from medkit.progress import track

FOLDERS = {  # split: its folder in the contest's layout
    "train": "train_data",
    "test": "test_data",
    "sample": "sample_data",
}
PUBLIC_FOLDERS = {"train": "Training", "test": "Validation"}  # the public release of the project
IMAGES, LABELS = "1.원천데이터", "2.라벨링데이터"
VIEWS = ("front", "left", "right", "upper", "lower")
TOOTH_NUMBERS = tuple(str(10 * quadrant + n) for quadrant in (1, 2, 3, 4) for n in range(1, 9))
SUFFIXES = (".png", ".jpg", ".jpeg")
CLASSES = ("sound", "decayed")
SCORES = (
    *("f1_macro", "f1_binary", "f1_micro", "f1_weighted", "accuracy", "sensitivity"),
    *("specificity", "auc", "average_precision"),
)


def inspect(
    data: Path | str, split: str, *, unit: str = "tooth", verify: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds `train_data` and `test_data` (or `Training`, `Validation`).
        unit: "tooth" (a case a tooth, with `region`) or "image" (a case a photo).
        verify: decode each picture, to find those that are broken inside; minutes instead of
            seconds. Without it only headers and ends of files are looked at.

    Returns:
        cases: `id, photo, path, group, view, photo_decayed, decayed`, for teeth also
            `tooth_number, region`. A photo without a marked tooth keeps one row without region, a
            test photo that cannot be read one row without path.
        quarantine: `id, path, reason`.
    """
    if unit not in ("tooth", "image"):
        near = did_you_mean(unit, ("tooth", "image"))
        raise ConfigError(f"caries: unit {unit!r} (expected 'tooth' or 'image').{near}")
    pictures, labels, groups = _find(data, split)
    cases: list[dict[str, Any]] = []
    quarantine: list[dict[str, Any]] = []
    for stem in track(sorted({*pictures, *labels}, key=_natural), f"reading {split}"):
        photo: dict[str, Any] = {"id": stem, "photo": stem, "path": None, "region": None}
        photo.update(view=stem.partition("_")[0], tooth_number=None, decayed=None)
        photo.update(photo_decayed=None, group=groups.get(stem) or _mouth(stem))
        teeth: list[dict[str, Any]] = []
        path = pictures.get(stem)
        try:
            if stem not in labels:
                raise DataError("no JSON for this picture")
            record = _record(labels[stem])
            photo["photo_decayed"] = _any_decayed(record["tooth"])
            path = _picture(record, stem, pictures)
            photo["path"], (width, height) = str(path), decode.probe(path)
            if verify:
                decode.read_image(path)
            teeth, unusable = _teeth(record["tooth"], photo, width, height)
            quarantine += unusable
        except (OSError, ValueError) as error:
            reason = str(error).replace(f"{path}: ", "")
            quarantine.append({"id": stem, "path": str(path or labels[stem]), "reason": reason})
            photo["path"] = None
            if split != "test":
                continue
        photo["decayed"] = photo["photo_decayed"]
        cases += teeth if unit == "tooth" and teeth else [photo]
    if not any(case["path"] for case in cases):
        raise DataError(all_quarantined("caries", split, quarantine))
    columns = ["id", "photo", "path", "group", "view", "photo_decayed", "decayed"]
    columns += ["tooth_number", "region"] if unit == "tooth" else []
    return (
        pd.DataFrame(cases, columns=columns),
        pd.DataFrame(quarantine, columns=["id", "path", "reason"]),
    )


def to_units(cases: pd.DataFrame, predictions: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a photo: its truth, and the largest probability of decay among its teeth.

    Returns:
        `id, group, seen` (whether the photo could be read), `y_true` (class or missing), `sound`
        and `decayed` (0 where no tooth is marked, missing where a tooth has no prediction).
    """
    columns = ["id", "photo", "group", "photo_decayed"]
    tables.check_columns("caries: cases", cases, [*columns, "path"])
    if predictions is not None:
        tables.check_columns("caries: predictions", predictions, ["id", "decayed"])
    rows = cases[columns].copy()
    rows["seen"] = cases["path"].notna()
    marked = rows["seen"] if "region" not in cases else rows["seen"] & cases["region"].notna()
    rows["decayed"] = np.where(marked | ~rows["seen"], np.nan, 0.0)
    if predictions is not None:
        known = predictions.set_index("id")["decayed"]
        rows["decayed"] = rows["id"].map(known).astype(float).fillna(rows["decayed"])
    photos = rows.groupby("photo", sort=False)
    is_whole = photos["decayed"].count() == photos.size()  # a tooth without a prediction hides all
    units = photos[["group", "seen"]].first()
    units["y_true"] = photos["photo_decayed"].first()
    units["decayed"] = photos["decayed"].max().where(is_whole)
    units["sound"] = 1 - units["decayed"]
    return units.rename_axis("id").reset_index()


def score(
    cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> dict[str, float]:
    """F1 of photos in its four averages (the rules name none; teams quoted macro), then the rest.

    Teeth, where there are any, follow with names that begin with `tooth_`.
    """
    scores = class_scores(TASK, to_units(cases, predictions), threshold, SCORES)
    if "region" in cases:
        teeth = tables.visible(cases)
        tables.match(teeth, predictions)  # refuses ids without a prediction
        of_teeth = class_scores(TASK, cases_as_units(TASK, teeth, predictions), threshold, SCORES)
        scores.update({f"tooth_{name}": value for name, value in of_teeth.items()})
    return scores


def _find(data: Path | str, split: str) -> tuple[dict[str, Path], dict[str, Path], dict[str, str]]:
    """Pictures and JSON files of a split by stem, and the groups of `groups.csv`."""
    if split not in FOLDERS:
        raise ConfigError(
            f"caries: split {split!r} (expected one of {', '.join(FOLDERS)})."
            f"{did_you_mean(split, FOLDERS)}"
        )
    data = find_folder(data, "Set DATA to the folder that holds train_data and test_data.")
    folder = data / FOLDERS[split]
    if folder.is_dir():
        roots = [folder / "image", folder / "images"], [folder / "json"]
    else:
        folder = data / PUBLIC_FOLDERS.get(split, FOLDERS[split])
        roots = [_child(folder, IMAGES)], [_child(folder, LABELS)]
    pictures = find_files(*roots[0], suffixes=SUFFIXES)
    labels = find_files(*roots[1], suffixes=(".json",))
    if not pictures and not labels:
        expected = f"{FOLDERS[split]}/image/*.png and {FOLDERS[split]}/json/*.json"
        raise not_the_layout("caries", data, expected)
    table = folder / "groups.csv"
    groups = tables.read_csv(table) if table.is_file() else None
    return pictures, labels, {} if groups is None else dict(zip(groups["id"], groups["group"]))


def _child(folder: Path, name: str) -> Path:
    """A folder inside another by its Hangul name, in whichever Unicode form the disk keeps it."""
    inside = folder.iterdir() if folder.is_dir() else ()
    same = (path for path in inside if unicodedata.normalize("NFC", path.name) == name)
    return next(same, folder / name)


def _record(path: Path) -> dict[str, Any]:
    """A JSON file's content, checked as far as the photo's label needs it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is one too
        raise DataError(f"the JSON cannot be read ({error})") from error
    teeth = record.get("tooth") if isinstance(record, dict) else None
    if not isinstance(teeth, list) or not all(isinstance(tooth, dict) for tooth in teeth):
        raise DataError("the JSON has no list 'tooth'")
    wrong = [tooth.get("decayed") for tooth in teeth if tooth.get("decayed") not in (0, 1, None)]
    if wrong:
        raise DataError(f"'decayed' is {wrong[0]!r} (expected true or false)")
    return record


def _any_decayed(teeth: list[dict[str, Any]]) -> str | None:
    """The photo's label; None when a tooth has no label and no other is decayed."""
    labels = [tooth.get("decayed") for tooth in teeth]
    if any(labels):
        return "decayed"
    return None if None in labels else "sound"


def _picture(record: dict[str, Any], stem: str, pictures: dict[str, Path]) -> Path:
    """The picture that a record means, by its base name wherever it lies."""
    named = str(record.get("image_filepath") or stem).replace("\\", "/")
    name = unicodedata.normalize("NFC", named.rpartition("/")[2])
    target = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in SUFFIXES else name
    if target != stem:
        raise DataError(f"the JSON is of another picture ({name})")
    if stem not in pictures:
        raise DataError(f"the picture is missing ({name})")
    return pictures[stem]


def _teeth(
    teeth: list[dict[str, Any]], photo: dict[str, Any], width: int, height: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A case for each tooth, and a quarantine row for each that cannot be cut out."""
    cases, unusable = [], []
    for k, tooth in enumerate(teeth):
        name = f"{photo['id']}_{k:02d}"
        try:
            region = _polygon(tooth.get("segmentation"), width, height)
        except ValueError as error:
            unusable.append({"id": name, "path": photo["path"], "reason": str(error)})
            continue
        number = str(tooth.get("teeth_num"))
        label = tooth.get("decayed")
        cases.append(
            {
                **photo,
                "id": name,
                "region": region,
                "tooth_number": number if number in TOOTH_NUMBERS else None,
                "decayed": None if label is None else CLASSES[int(label)],
            }
        )
    return cases, unusable


def _polygon(points: Any, width: int, height: int) -> list[list[float]]:
    """A polygon clipped to the picture: at least 3 points [x, y] and an area."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError("the polygon is not a list of [x, y]") from error
    array = array[0] if array.ndim == 3 and len(array) == 1 else array
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise DataError("the polygon is not a list of [x, y]")
    if len(array) < 3:
        raise DataError(f"the polygon has {len(array)} points (expected 3 or more)")
    array = np.clip(array, 0, (width - 1, height - 1))
    if np.ptp(array, axis=0).min() < 1:
        raise DataError(f"the polygon lies outside the picture of {width} x {height} pixels")
    return array.tolist()


def _mouth(stem: str) -> str:
    """The number in `<view>_<number>`, cautiously taken for one mouth."""
    return stem.rpartition("_")[2]


def _natural(stem: str) -> list[Any]:
    """Sort key under which front_9 comes before front_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", stem)]


_MIRRORED = {"1": "2", "2": "1", "3": "4", "4": "3"}  # quadrants, as the dentist counts them

TASK = Task(
    name="caries",
    title="2023 oral-image synthetic data contest: teeth with decay",
    source="bab-korea/healthcare-ai-contest, guide p. 7",
    heads=(Head("decayed", CLASSES),),
    inspect=inspect,
    to_units=to_units,
    score=score,
    draw=draw_caries,
    submission_labels=(0, 1),
    mirror=("horizontal",),
    stratify=("photo_decayed",),
    whole="photo",
    nouns=("teeth", "photos"),
    text=("tooth_number",),
    figures="teeth",
    facts=(
        Fact("view", VIEWS, mirrored={"left": "right", "right": "left"}),
        Fact("tooth_number", TOOTH_NUMBERS, {n: _MIRRORED[n[0]] + n[1] for n in TOOTH_NUMBERS}),
    ),
)
