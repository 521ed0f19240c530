"""The oral contest's own: the folders that it wants instead of a CSV (see `caries`).

They hold sources, and the score in a text. Other contests take the table of `mk.write_submission`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterable

import pandas as pd

from medkit import files, machine
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import ConfigError, MissingError

WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".onnx", ".h5")
FOLDERS = ("source_dir", "performance_metric_dir")
MARKS = ("versions.txt", "f1_score.txt")  # what shows that a folder is of an earlier call
ASKED = "f1_macro"  # the average that the teams quoted; the other three follow


def handin(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    folder: Path | str,
    *,
    threshold: Threshold = 0.5,
    sources: Iterable[Path | str] = (),
) -> Path:
    """Write `source_dir/` and `performance_metric_dir/` below a folder, ready to be copied.

    The oral contest alone asks for them; a task without its score is refused.

    Args:
        cases: the labelled test cases.
        sources: your own files (notebooks, config); medkit's sources are added.

    Raises:
        ConfigError: for weights among the sources, which the rules keep out, for two sources of
            one name, for folders there that are not of an earlier call, and for a task without
            the score that is asked for.
        MissingError: for a source that is not there.
    Source: guide of the 2023 oral-image contest, section on handing in.

    Example:
        >>> path = mk.handin(task, held_out, run.predictions, "handin")
        >>> sorted(part.name for part in path.iterdir())
        ['performance_metric_dir', 'source_dir']
    """
    check_arguments(handin, locals())
    folder = Path(folder)
    paths = [Path(source) for source in sources]
    weights = [path.name for path in paths if path.suffix.lower() in WEIGHTS]
    if weights:
        raise ConfigError(
            f"handin: {weights[0]!r} holds weights, and source_dir must not. Leave it out."
        )
    lost = [path for path in paths if not path.is_file()]
    if lost:
        raise MissingError(f"handin: no such source {lost[0]}. Correct sources=[...].")
    contents = {path.name: path.read_bytes() for path in paths}
    if len(contents) < len(paths):
        names = sorted(path.name for path in paths)
        raise ConfigError(f"handin: two sources have one name (found {names}). Rename one of them.")
    scores = task.score(cases, predictions, threshold=threshold)
    if ASKED not in scores:
        raise ConfigError(
            f"handin: {task.name} has no {ASKED} (found {', '.join(scores)}), which the oral "
            "contest asks for. Hand in the table of mk.write_submission instead."
        )
    _clear(folder)
    for name, content in contents.items():
        files.write_whole(folder / "source_dir" / name, content)
    package = Path(machine.__file__).parent
    for path in sorted(package.rglob("*.py")):
        target = folder / "source_dir" / "medkit" / path.relative_to(package)
        files.write_whole(target, path.read_bytes())
    facts = machine.record()
    versions = [f"Python {facts['python']}", f"medkit {facts['medkit']}"]
    versions += [f"{name} {version}" for name, version in facts["packages"].items() if version]
    files.write_whole(folder / "source_dir" / "versions.txt", "\n".join(versions) + "\n")
    lines = [f"{ASKED} {scores[ASKED]:.16f}"]
    lines += [f"{name} {value:.16f}" for name, value in scores.items() if name != ASKED]
    files.write_whole(folder / "performance_metric_dir" / "f1_score.txt", "\n".join(lines) + "\n")
    return folder


def _clear(folder: Path) -> None:
    """Remove what an earlier call wrote, and nothing that a person did."""
    old = [(folder / name, mark) for name, mark in zip(FOLDERS, MARKS) if (folder / name).exists()]
    for path, mark in old:
        if not (path / mark).is_file():
            raise ConfigError(
                f"handin: {path} is there and not of an earlier handin (found "
                f"{files.listing(path)}). Choose another folder."
            )
    for path, _ in old:
        shutil.rmtree(path)
