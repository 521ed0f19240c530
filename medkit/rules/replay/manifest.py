"""manifest.json: what of a hand-in is needed to train, predict and write again, and its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from medkit import files
from medkit.errors import DataError

FOLDER = "replay_dir"
FOLDERS = (
    "source_dir",
    "performance_metric_dir",
    FOLDER,
)  # of a hand-in; beside them lies what may
WEIGHTS = (  # endings of files that sources must not hold
    *(".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".onnx", ".h5", ".pkl"),
)
LEFT = (".DS_Store", "Thumbs.db")  # what file browsers leave
MARK = f"{FOLDER}/manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a hand-in says of itself.

    Attributes:
        runs: each run's `seed`, `weights` (the hash of its best ones) and `bit_exact`.
        views, how, threshold: as `predict`, `blend` and `write_submission` took them.
        test: where the test pictures lay, the text columns of test.csv and its hash.
        pictures: bytes of all pictures, and the hashes of a few.
        files: the hash of each file of the hand-in, by its path.
    """

    medkit: str
    task: str
    runs: list
    views: list
    how: str
    threshold: Any
    test: dict
    pictures: dict
    files: dict

    def write(self, folder: Path) -> None:
        files.write_json(folder / MARK, asdict(self))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a hand-in.

    Raises:
        DataError: it is damaged, naming what is wrong.
    """
    path = folder / MARK
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}). Get the hand-in anew.") from error
    kinds = {"list": list, "dict": dict, "str": str}
    for field in fields(Manifest):
        found = facts.get(field.name) if isinstance(facts, dict) else None
        if field.type in kinds and not isinstance(found, kinds[field.type]):
            raise DataError(
                f"{path}: its {field.name!r} is {str(found)[:40]!r} (expected a {field.type}). "
                "Get the hand-in anew."
            )
    known = {field.name for field in fields(Manifest)}
    manifest = Manifest(**{name: facts.get(name) for name in known})
    whole = [isinstance(run, dict) and {"seed", "weights"} <= set(run) for run in manifest.runs]
    if not whole or not all(whole) or not {"data", "text", "cases"} <= set(manifest.test):
        raise DataError(f"{path}: it names no runs or no test. Get the hand-in anew.")
    return manifest


def run_folders(folder: Path, manifest: Manifest) -> list[Path]:
    """Where the records of its runs lie."""
    return [folder / FOLDER / f"run{number}" for number in range(len(manifest.runs))]


def files_in(folder: Path) -> dict[str, str]:
    """The hash of each file of a hand-in's folders by its path, but for the manifest itself.

    Raises:
        DataError: for what is neither a file nor a folder.
    """
    found: dict[str, str] = {}
    for path in [path for name in FOLDERS for path in files.walk(folder / name)]:
        name = path.relative_to(folder).as_posix()
        if not path.is_file():  # a pipe would be waited for
            raise DataError(f"{folder}: {name!r} is no file (expected files alone). Remove it.")
        if name != MARK and path.name not in LEFT:
            found[name] = files.sha256_file(path)
    return found
