"""The bones of a hand on X-rays: boostcamp AI Tech's 29 classes, which overlap.

A case is a picture, a group a person with a right and a left hand. The outlines of a picture's
bones stay in its JSON: `polygons` reads and checks them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pandas as pd

from medkit import files
from medkit.datasets.drawing.bones import BONES as BONES  # in the order that is handed in
from medkit.datasets.drawing.handbone import draw_handbone
from medkit.datasets.kinds import MASKS, Threshold
from medkit.datasets.mask_files import fingerprint
from medkit.datasets.mask_units import mask_table
from medkit.datasets.people import FACTS, NUMBERS, read_people
from medkit.datasets.reading import PICTURES, Records, contest_folder
from medkit.datasets.task import Head, Layout, Task
from medkit.errors import ConfigError, DataError
from medkit.images import decode, masks, rle
from medkit.naming import did_you_mean
from medkit.progress import track

SPLITS = {"train": "train/DCM", "test": "test/DCM"}
# People whose labels teams found to be wrong: inspect(..., without=SUSPECT) leaves them out.
SUSPECT = ("ID073", "ID288", "ID363", "ID387", "ID487", "ID523", "ID543")
SIDES = {"R": "right", "L": "left"}
COLUMNS = ("id", "path", "group", "masks", "masks_sha", "side", *FACTS, "bend", "bent")
JSON = (".json",)
PERSON = re.compile(r"ID\d{3,}")
FOREARM, PALM = ("Radius", "Ulna"), ("finger-11", "finger-15")  # long bones that go straight on
# From the tip to the palm: thumb, index, middle, ring and little finger.
FINGERS = [
    [f"finger-{n}" for n in range(a, b)] for a, b in ((1, 4), (4, 8), (8, 12), (12, 16), (16, 20))
]
THUMB = "finger-3"  # on the side of the radius
BENT = 20  # degrees between them, from which on a wrist is called bent
FAR = 1e6  # pixels: beyond this a point is a slip, and OpenCV's numbers end


def inspect(
    data: Path | str, split: str, *, verify: bool = False, without: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds `train`, `test` and `meta_data.xlsx`.
        verify: decode each picture, to find those that are broken inside.
        without: people of train to leave out, such as `SUSPECT`; of the test each row is kept.

    Returns:
        cases: `id` (the picture's name), `path, group` (the person), `masks` (its JSON; the test
            has none, unless `test/outputs_json` is there), `masks_sha` (the JSON's SHA-256, 16 hex
            digits), `side`, and where the table tells them `age, sex, weight` (kg), `height` (cm),
            `nails` (whether painted); where there is a JSON `bend` (degrees between forearm and
            palm) and `bent` ("yes" from 20 on); in the order of the sorted paths, as is handed in.
        quarantine: `id, path, reason`. A person without just two pictures stands there, too, what
            was left out of the table, and bones whose names seem to be swapped; the pictures that
            can be used are cases all the same.
    """
    folder = contest_folder("handbone", data, split, SPLITS) / SPLITS[split]
    records, left_out = Records("handbone", split, verify=verify), _left_out(without)
    pictures, labels = _below(folder, PICTURES), _below(folder.with_name("outputs_json"), JSON)
    people = {_group(place) for place in pictures}
    left_out = left_out & people if split == "train" else set()
    for person in sorted(left_out):
        records.refuse(person, folder / person, "left out, as `without` says")
    facts = read_people(folder.parent.parent / "meta_data.xlsx", people - left_out, records)
    kept = {place: path for place, path in pictures.items() if _group(place) not in left_out}
    sides, has_truth = _sides(kept, records), split == "train" or bool(labels)
    for place, path in track(sorted(kept.items()), f"reading {split}"):
        where, label = f"{SPLITS[split]}/{place}", labels.get(_stem(place))
        case = {"id": path.name, "path": records.picture(path.name, path, where)}
        case.update(group=_group(place), masks=None, masks_sha=None, side=sides[place])
        case.update(facts.get(_group(place), {}))
        try:
            if label is not None:
                told, odd = _checked(label, case["path"])
                case.update(told, masks=str(label))
                if odd:
                    records.refuse(path.name, label, f"{where}: {odd}; it is kept")
            elif has_truth:
                raise DataError("there is no JSON of its name in outputs_json")
        except (OSError, ValueError) as error:
            reason = str(error).replace(f"{label}: ", "")
            records.refuse(path.name, label or path, f"{where}: {reason}")
            if split == "train":
                continue
        if case["path"] or split == "test":
            records.add(case, where)
    for stem in sorted(set(labels) - {_stem(place) for place in pictures}):
        if _group(stem) not in left_out:
            where = f"{split}/outputs_json/{stem}.json"
            records.refuse(Path(stem).name, labels[stem], f"{where}: the picture is missing")
    cases, quarantine = records.tables(COLUMNS)
    return cases.astype({name: float for name in (*NUMBERS, "bend")}), quarantine


def read_masks(case: Mapping[str, Any]) -> tuple[tuple[int, int], dict[str, rle.Runs]]:
    """Height and width of a case's picture, and the runs of each bone."""
    size, outlines = polygons(case[MASKS])
    _check_size(size, case["path"])
    return size, {name: rle.runs_of(masks.filled(p, size)) for name, p in outlines.items()}


def submission_table(
    cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`image_name, class, rle`: images in the order of their sorted paths, as `inspect` gives them,
    and all bones of each in the order of `BONES`; as many rows as there are images in the test.
    """
    table = mask_table(TASK, cases, predictions, threshold=threshold)
    return table.rename(columns={"id": "image_name"})


def polygons(path: Path | str) -> tuple[tuple[int, int], dict[str, np.ndarray]]:
    """The outlines of a picture's bones, as its JSON tells them.

    A mask is the outline filled by the even-odd rule, with the line itself (`cv2.fillPoly`); what
    lies outside the picture is cut off there. Masks of different bones overlap.

    Returns:
        size: height and width of the picture that was marked, in pixels.
        outlines: {bone: (N, 2) float64 of x and y}, in the order of `BONES`.

    Raises:
        MissingError, DataError: naming the file, and in one sentence what is wrong with it.
    """
    size, rows = _record(Path(path))
    found: dict[str, np.ndarray] = {}
    for number, row in enumerate(rows, 1):
        label = row.get("label") if isinstance(row, dict) else None
        if label not in BONES:
            near = did_you_mean(label, BONES)
            raise DataError(f"{path}: annotation {number} is of {label!r}, which is no bone.{near}")
        if label in found:
            raise DataError(f"{path}: {label} stands twice (expected one outline a bone).")
        try:
            found[label] = _outline(row, *size)
        except ValueError as error:
            raise DataError(f"{path}: {label}: {error}.") from error
    missing = [name for name in BONES if name not in found]
    if missing:
        more = f" and {len(missing) - 3} more" * (len(missing) > 3)
        raise DataError(f"{path}: no outline of {', '.join(missing[:3])}{more}.")
    return size, {name: found[name] for name in BONES}


def _record(path: Path) -> tuple[tuple[int, int], list[Any]]:
    """Height and width, and the annotations, of a JSON file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is one too
        raise DataError(f"{path}: the JSON cannot be read ({error}).") from error
    record = record if isinstance(record, dict) else {}
    metadata, rows = record.get("metadata"), record.get("annotations")
    metadata = metadata if isinstance(metadata, dict) else {}
    size = metadata.get("height"), metadata.get("width")
    if not all(type(side) is int and side > 0 for side in size):
        raise DataError(f"{path}: 'metadata' has no height and width (found {size}).")
    if not isinstance(rows, list):
        raise DataError(f"{path}: the JSON has no list 'annotations'.")
    return size, rows


def _outline(row: dict[str, Any], height: int, width: int) -> np.ndarray:
    """The points of one annotation, (N, 2), as they are; a level that holds them all is opened."""
    if row.get("type", "poly_seg") != "poly_seg":
        raise DataError(f"the type is {row['type']!r} (expected 'poly_seg')")
    try:
        outline = np.asarray(row.get("points"), np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError("'points' is not one list of [x, y]") from error
    outline = outline[0] if outline.ndim == 3 and len(outline) == 1 else outline
    if outline.size and (outline.ndim != 2 or outline.shape[1] != 2):
        raise DataError("'points' is not one list of [x, y]")
    if len(outline) < 3:
        raise DataError(f"the outline has {len(outline)} points (expected 3 or more)")
    wild = outline[~(np.abs(outline) < FAR).all(axis=1)]  # also what is no number
    if len(wild):
        raise DataError(f"a point lies at {wild[0].tolist()}")
    last = (width - 0.5, height - 0.5)  # a pixel reaches half a pixel around its middle
    if (outline.max(0) < -0.5).any() or (outline.min(0) >= last).any():
        raise DataError(f"the outline lies outside the picture of {width} x {height} pixels")
    return outline


def _checked(label: Path, picture: str | None) -> tuple[dict[str, Any], str]:
    """What a JSON tells of a case, once it is sure that it belongs to its picture; and what is odd
    about it, if anything.
    """
    size, outlines = polygons(label)
    if picture:
        _check_size(size, picture)
    bend = _bend(outlines)
    bent = "yes" if bend >= BENT else "no"
    told = {"masks_sha": fingerprint(str(label), BONES), "bend": bend, "bent": bent}
    return told, _swapped(outlines)


def _swapped(outlines: Mapping[str, np.ndarray]) -> str:
    """A sentence on two bones that seem to bear each other's names; "" for a hand as hands are."""
    middle = {name: outline.mean(0) for name, outline in outlines.items()}

    def far(a: str, b: str) -> float:
        return float(np.linalg.norm(middle[a] - middle[b]))

    pairs = [pair for finger in FINGERS for pair in zip(finger[1:], finger)]  # the nearer one first
    wrong = [(a, b) for a, b in pairs if far(a, "Capitate") > far(b, "Capitate")]
    if far("Radius", THUMB) > far("Ulna", THUMB):
        wrong.append(("Radius", "Ulna"))
    return f"{wrong[0][0]} and {wrong[0][1]} seem to bear each other's names" if wrong else ""


def _check_size(size: tuple[int, int], picture: str) -> None:
    width, height = decode.size(picture)
    if (height, width) != size:
        raise DataError(
            f"the JSON is of a picture of {size[1]} x {size[0]} pixels (found {width} x {height})"
        )


def _bend(outlines: Mapping[str, np.ndarray]) -> float:
    """Whole degrees between forearm and palm, by the long axes of their bones."""
    arm, palm = (sum(_axis(outlines[name]) for name in bones) for bones in (FOREARM, PALM))
    cosine = arm @ palm / (np.linalg.norm(arm) * np.linalg.norm(palm) + 1e-12)
    return float(round(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))


def _axis(outline: np.ndarray) -> np.ndarray:
    """(2,) the direction in which an outline is longest, upwards on the picture."""
    _, _, axes = np.linalg.svd(outline - outline.mean(0), full_matrices=False)
    return axes[0] if axes[0][1] < 0 else -axes[0]


def _below(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Files below a folder by where they lie in it; a JSON without its ending."""
    found = {}
    for path in files.walk(folder):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            place = path.relative_to(folder).as_posix()
            found[_stem(place) if suffixes == JSON else place] = path
    return found


def _stem(place: str) -> str:
    return place.rpartition(".")[0]


def _group(place: str) -> str:
    """Whose a file is: its folder's; in none it is of a person of its own."""
    return place.rpartition("/")[0] or Path(place).stem


def _sides(pictures: dict[str, Path], records: Records) -> dict[str, str | None]:
    """The side of each picture: by its name, or else the right hand of a person comes first."""
    people: dict[str, list[str]] = {}
    for place in sorted(pictures):
        people.setdefault(_group(place), []).append(place)
    found: dict[str, str | None] = {}
    for person, places in people.items():
        sides = [SIDES.get(_stem(place).rpartition("_")[2]) for place in places]
        folder = pictures[places[0]].parent
        if len(places) != 2:
            reason = f"{len(places)} picture(s) (expected 2: the right and the left hand)"
            records.refuse(person, folder, reason)
        elif sides == [None, None]:
            sides = ["right", "left"]
        elif sides[0] == sides[1]:
            records.refuse(person, folder, f"both pictures are named as a {sides[0]} hand")
            sides = [None, None]
        elif None in sides:
            other = (set(SIDES.values()) - set(sides)).pop()
            sides = [side or other for side in sides]
        found.update(zip(places, sides))
    return found


def _left_out(without: Sequence[str] | None) -> set[str]:
    """People to leave out, each written as their folder is."""
    names = [without] if isinstance(without, str) else list(without or ())
    if isinstance(without, str) or not all(PERSON.fullmatch(str(name)) for name in names):
        raise ConfigError(f"handbone: without {without!r} (expected IDs as in ['ID363', 'ID073']).")
    return set(names)


TASK = Task(
    name="handbone",
    title="boostcamp AI Tech: the 29 bones of a hand on X-rays",
    source="boostcampaitech5/level2_cv_semanticsegmentation-cv-15",
    heads=(Head(MASKS, BONES, kind="masks"),),
    inspect=inspect,
    read_masks=read_masks,
    submission_table=submission_table,
    draw=draw_handbone,
    layout=Layout(key_columns=2, answer="runs", by_row=True),
    mirror=("horizontal",),
    looks_alike=True,
    stratify=("sex",),
    nouns=("hands", "hands"),
    text=("side",),
)
