"""Cases of a contest of one's own whose answer is masks: pictures, and the files beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence

import pandas as pd

from medkit import files
from medkit.datasets import mask_files
from medkit.datasets.kinds import MASKS, MaskAnswer
from medkit.datasets.mask_files import CLASS
from medkit.datasets.own_tables import is_picture, readable, tell_lost
from medkit.datasets.places import find_folder
from medkit.datasets.reading import plain
from medkit.datasets.task import Task, check_task

PLACES = ("{class}/{stem}", "{stem}/{class}", "{stem}_{class}", "{class}_{stem}")  # of planes


def read_masks(
    task: Task,
    image_folder: Path | str,
    masks: Path | str | None = None,
    *,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Cases of a folder of pictures, and where the masks of each lie.

    Args:
        task: with a head of masks; its `mask_files` says what the files are like.
        masks: a folder of pictures of masks, which bear the names of the images (and of the
            classes: "bone/007.png", "007/bone.png", "007_bone.png"); or a JSON or CSV of all. None:
            nothing is labelled, as in a test.
        groups: what each picture must not be parted from, by id; by default each is by itself.

    Returns:
        `id` (the picture's name, or where two have one its place), `path`, `group`, and where masks
        are given `masks` and `masks_sha`, missing for pictures without.

    Raises:
        FileNotFoundError, ValueError: naming what was found instead.

    Example:
        >>> cases = mk.read_masks(task, DATA / "images", DATA / "nuclei")  # doctest: +SKIP
    """
    check_task(task, "read_masks")
    if not isinstance(task.scored.answer, MaskAnswer):
        raise ValueError(
            f"read_masks: {task.name} asks for {task.scored.answer.words} (expected masks). Give "
            "it a head mk.Head('masks', classes, kind='masks')."
        )
    folder = find_folder(image_folder)
    found = [path for path in files.walk(folder) if is_picture(path)]
    if not found:
        raise ValueError(
            f"{folder}: no pictures (found {files.listing(folder)}). Pass the folder that holds "
            "them."
        )
    names = [path.name for path in found]
    is_single = len(set(names)) == len(names)
    ids = names if is_single else [path.relative_to(folder).as_posix() for path in found]
    ids = [plain(id) for id in ids]
    paths, reasons = readable(found)
    tell_lost(str(folder), ids, paths, reasons)
    cases = pd.DataFrame({"id": ids, "path": pd.Series(paths, dtype=object)})
    cases["group"] = ids if groups is None else _groups(ids, groups)
    if masks is None:
        return cases
    places = _places(task, found, Path(masks))
    cases[MASKS] = pd.Series(places, dtype=object)
    classes = task.scored.classes
    shas = [place and mask_files.fingerprint(place, classes) for place in places]
    return cases.assign(masks_sha=pd.Series(shas, dtype=object))


def _groups(ids: Sequence[str], groups: Mapping[str, str]) -> list[str]:
    lost = [id for id in ids if id not in groups]
    if lost:
        raise ValueError(
            f"read_masks: groups lacks {len(lost)} of {len(ids)} pictures, e.g. {lost[:3]}. Give "
            "each its group, by id."
        )
    return [groups[id] for id in ids]


def _places(task: Task, pictures: Sequence[Path], masks: Path) -> list[str | None]:
    """Where the masks of each picture lie; None where there are none."""
    form = task.mask_files.form
    if form in ("coco", "rle"):
        if not masks.is_file():
            raise FileNotFoundError(
                f"{masks}: no such file (found {files.listing(masks.parent)}). Pass the file of "
                f"all masks, or another form: mk.MaskFiles({form!r}) reads one."
            )
        path = str(masks.absolute())
        return [path if mask_files.names(task, path, picture) else None for picture in pictures]
    folder = find_folder(masks)
    known = {}
    for path in files.walk(folder):
        if is_picture(path):
            known.setdefault(plain(path.relative_to(folder).with_suffix("").as_posix()), path)
    found = _find(known, pictures, task.scored.classes, form)
    lost = [path.name for path, place in zip(pictures, found) if place is None]
    if len(lost) == len(found):
        wanted = ", ".join(PLACES) if form == "planes" else f"such as {pictures[0].stem}.png"
        raise ValueError(
            f"{folder}: no masks of {len(found)} pictures (found {files.listing(folder)}; expected "
            f"{wanted}). Pass the folder that holds them."
        )
    return found


def _find(
    known: Mapping[str, Path], pictures: Sequence[Path], classes: Sequence[str], form: str
) -> list[str | None]:
    if form == "index":
        by_stem = {Path(name).name: path for name, path in known.items()}
        return [str(p) if (p := by_stem.get(plain(i.stem))) else None for i in pictures]
    best: list[str | None] = []
    for pattern in PLACES:
        found: list[str | None] = []
        for picture in pictures:
            place = pattern.replace("{stem}", plain(picture.stem))
            there = [known[n] for n in (place.replace(CLASS, c) for c in classes) if n in known]
            found.append(_with_class(there[0], place) if there else None)
        if sum(map(bool, found)) > sum(map(bool, best)):
            best = found
    return best or [None] * len(pictures)


def _with_class(path: Path, place: str) -> str:
    """A path in which the class's name is left open."""
    parts = place.split("/")
    root = path.parents[len(parts) - 1]
    return str(root.joinpath(*parts)) + path.suffix
