"""Cases of a contest of one's own whose answer is masks: pictures, and the files beside them."""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path
from typing import Any, Mapping, Sequence

import pandas as pd

from medkit import files
from medkit.arguments import check_arguments
from medkit.datasets import mask_files
from medkit.datasets.kinds import MASKS, MaskAnswer
from medkit.datasets.mask_files import CLASS
from medkit.datasets.own_tables import is_picture, readable, tell_lost
from medkit.datasets.places import find_folder
from medkit.datasets.reading import plain
from medkit.datasets.task import Task
from medkit.errors import ConfigError, DataError, MissingError
from medkit.naming import did_you_mean

PATTERNS = ("{class}/{stem}", "{stem}/{class}", "{stem}_{class}", "{class}_{stem}")  # of planes


def read_masks(
    task: Task,
    image_folder: Path | str,
    masks: Path | str | None = None,
    *,
    groups: Mapping[str, Any] | None = None,
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
        MissingError, ConfigError, DataError: naming what was found instead.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> for place in ("images", "masks"):
        ...     Path(place).mkdir()
        ...     Image.fromarray(np.eye(8, dtype=np.uint8)).save(f"{place}/one.png")
        >>> head = mk.Head("masks", ("cell",), kind="masks")
        >>> cells = mk.Task("cells", "Cells", "drawn", (head,), mask_files=mk.MaskFiles("index"))
        >>> table = mk.read_masks(cells, "images", "masks")
        >>> list(table.columns), list(table["id"])
        (['id', 'path', 'group', 'masks', 'masks_sha'], ['one.png'])
    """
    check_arguments(read_masks, locals())
    if not isinstance(task.scored.answer, MaskAnswer):
        raise ConfigError(
            f"read_masks: {task.name} asks for {task.scored.answer.words} (expected masks). Give "
            "it a head mk.Head('masks', classes, kind='masks')."
        )
    folder = find_folder(image_folder)
    found = [path for path in files.walk(folder) if is_picture(path)]
    if not found:
        raise DataError(
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
    places = _places(task, folder, found, ids, Path(masks))
    _tell_unlabelled(masks, ids, places)
    cases[MASKS] = pd.Series(places, dtype=object)
    classes = task.scored.classes
    shas = [place and mask_files.fingerprint(place, classes) for place in places]
    return cases.assign(masks_sha=pd.Series(shas, dtype=object))


def _tell_unlabelled(masks: Path | str, ids: Sequence[str], places: Sequence[str | None]) -> None:
    """Say how many pictures have no masks."""
    lost = [id for id, place in zip(ids, places) if place is None]
    if lost:
        warnings.warn(
            f"{masks}: {len(lost)} of {len(ids)} pictures have no masks, e.g. {lost[:3]}. They are "
            "unlabelled; leave them out of training: cases[cases['masks'].notna()].",
            stacklevel=3,
        )


def _groups(ids: Sequence[str], groups: Mapping[str, Any]) -> list[Any]:
    lost = [id for id in ids if id not in groups]
    if lost:
        raise DataError(
            f"read_masks: groups lacks {len(lost)} of {len(ids)} pictures, e.g. {lost[:3]}. Give "
            "each its group, by id."
        )
    return [groups[id] for id in ids]


def _places(
    task: Task, images: Path, pictures: Sequence[Path], ids: Sequence[str], masks: Path
) -> list[str | None]:
    """Where the masks of each picture lie; None where there are none."""
    form = task.mask_files.form
    if form in ("coco", "rle"):
        if not masks.is_file():
            raise MissingError(
                f"{masks}: no such file (found {files.listing(masks.parent)}). Pass the file of "
                f"all masks, or another form: mk.MaskFiles({form!r}) reads one."
            )
        path = str(masks.absolute())
        cases = [{"id": id, "path": str(picture)} for id, picture in zip(ids, pictures)]
        places = [path if mask_files.is_named(task, path, case) else None for case in cases]
        if not any(places):
            raise DataError(
                f"{masks}: nothing of {len(pictures)} pictures, such as {pictures[0].name!r}. Look "
                "whether it is the file of this split; mk.MaskFiles(..., columns=(picture, class, "
                "runs)) names its columns."
            )
        return places
    folder = find_folder(masks)
    if folder == pictures[0].parent:
        raise ConfigError(
            f"{folder}: the folder of the images themselves. Pass that of their masks."
        )
    known = {}
    for path in files.walk(folder):
        if is_picture(path):
            known.setdefault(plain(path.relative_to(folder).with_suffix("").as_posix()), path)
    stems = [plain(p.relative_to(images).with_suffix("").as_posix()) for p in pictures]
    found = _find(known, stems, task.scored.classes, form)
    _check_shared(pictures, found)
    lost = [path.name for path, place in zip(pictures, found) if place is None]
    if len(lost) == len(found):
        wanted = ", ".join(PATTERNS) if form == "planes" else f"such as {pictures[0].stem}.png"
        raise DataError(
            f"{folder}: no masks of {len(found)} pictures (found {files.listing(folder)}; expected "
            f"{wanted}). Pass the folder that holds them."
        )
    _check_classes(task, folder, found)
    return found


def _check_classes(task: Task, folder: Path, found: Sequence[str | None]) -> None:
    """Refuse a class without any picture of masks.

    Raises:
        DataError: naming it, and what there is instead.
    """
    for name in task.scored.classes:
        places = [place for place in found if place]
        if any(CLASS in p for p in places) and not any(
            Path(mask_files.place_of(place, name)).is_file() for place in places
        ):
            there = [path.name for path in folder.iterdir()]
            raise DataError(
                f"{folder}: no picture of {name!r} (found {files.listing(folder)}; expected such "
                f"as {Path(places[0].replace(CLASS, name)).relative_to(folder)}). Correct its "
                f"name, or leave the class out.{did_you_mean(name, there)}"
            )


def _check_shared(pictures: Sequence[Path], found: Sequence[str | None]) -> None:
    """Refuse pictures of one name that would have the same masks.

    Raises:
        DataError: naming two.
    """
    first: dict[str, Path] = {}
    for picture, place in zip(pictures, found):
        if place and first.setdefault(place, picture) != picture:
            raise DataError(
                f"{place}: the masks of {first[place]} and of {picture} (expected one picture). "
                "Put masks into folders as the pictures are, or rename them."
            )


def _find(
    known: Mapping[str, Path], stems: Sequence[str], classes: Sequence[str], form: str
) -> list[str | None]:
    """The masks of pictures by their places below the images' folder, else by their names alone."""
    if form == "index":
        by_name: dict[str, list[Path]] = {}
        for name, path in known.items():
            by_name.setdefault(Path(name).name, []).append(path)
        alone = {name: paths[0] for name, paths in by_name.items() if len(paths) == 1}
        return [_text(known.get(stem) or alone.get(Path(stem).name)) for stem in stems]
    best: list[str | None] = []
    for pattern in PATTERNS:
        found = [
            _open(known, pattern, stem, classes) or _open(known, pattern, Path(stem).name, classes)
            for stem in stems
        ]
        if sum(map(bool, found)) > sum(map(bool, best)):
            best = found
    return best or [None] * len(stems)


def _open(known: Mapping[str, Path], pattern: str, stem: str, classes: Sequence[str]) -> str | None:
    """The path of a picture's masks in which the class's name is left open; None without any."""
    folder, _, name = stem.rpartition("/")
    for label in classes:
        place = pattern.replace("{stem}", name).replace(CLASS, label)
        places = [place] if not folder else [f"{folder}/{place}", _below(place, folder)]
        path = next((known[p] for p in places if p in known), None)
        if path is not None:
            return _left_open(path, pattern, label)
    return None


def _below(place: str, folder: str) -> str:
    """Folders of pictures below those of classes: "bone/ward 1/007"."""
    first, _, rest = place.partition("/")
    return f"{first}/{folder}/{rest}"


def _left_open(path: Path, pattern: str, label: str) -> str:
    """A path as it stands on the disk, but for the class's name."""
    if "/" not in pattern:  # a part of the name
        written = _as_written(path.stem, label)
        return str(path.with_name(path.stem.replace(written, CLASS, 1) + path.suffix))
    if pattern.endswith(CLASS):
        return str(path.with_name(CLASS + path.suffix))
    parts = list(path.parts)
    at = max(k for k, part in enumerate(parts[:-1]) if plain(part) == label)
    return str(Path(*parts[:at], CLASS, *parts[at + 1 :]))


def _as_written(text: str, label: str) -> str:
    """A class's name as a file's name holds it, composed or decomposed."""
    decomposed = unicodedata.normalize("NFD", label)
    return decomposed if decomposed in text else label


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
