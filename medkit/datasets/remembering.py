"""What notebook 01 tells the others: the contest, its folder, and where runs go."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

from medkit import files
from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.datasets.places import find_folder
from medkit.errors import DataError, MissingError

MEMORY = "contest.json"
RUNS = "runs"  # the folder of runs where none is named


def remember(task: str, data: Path | str, runs: Path | str = RUNS) -> tuple[str, str, str]:
    """Keep where everything lies for the other notebooks, as `contest.json` beside the runs.

    Where the runs lie elsewhere, `runs/contest.json` here says where.

    Args:
        task: a contest's name, see `mk.get_task`.
        data: its folder; a relative one is looked for from here upwards, as far as the home.
        runs: a folder for everything that is written; it is made.

    Returns:
        The three of them, the data folder in full: what `mk.recall()` returns in the others.

    Raises:
        MissingError, ConfigError: no such folder, two of them, or no such contest.

    Example:
        >>> TASK, DATA, RUNS = mk.remember("caries", data, "runs")
        caries, data in ...: kept in runs/contest.json for the other notebooks
    """
    check_arguments(remember, locals())
    get_task(task)
    runs = Path(runs).expanduser()
    folder = find_folder(data, "Set DATA to the contest's folder.")
    known = {"task": task, "data": str(folder), "runs": str(runs)}
    path = Path(runs) / MEMORY
    files.write_json(path, known)
    if os.path.abspath(runs) != os.path.abspath(RUNS):
        try:
            files.write_json(Path(RUNS) / MEMORY, known)
        except OSError as error:
            warnings.warn(f"Set RUNS in each notebook: it is not remembered. {error}", stacklevel=2)
    print(f"{task}, data in {folder}: kept in {path} for the other notebooks")
    return task, str(folder), str(runs)


def recall(
    task: str | None = None, data: Path | str | None = None, runs: Path | str | None = None
) -> tuple[str, str, str]:
    """What `mk.remember` kept, but for what is given here instead.

    Args:
        task: a contest's name.
        data: its folder, as `mk.remember` takes it.
        runs: the folder where `mk.remember` kept it; None looks in `runs` here.

    Raises:
        MissingError: nothing was kept, or a folder that is given is not there.
        DataError: `contest.json` is damaged.

    Example:
        >>> TASK, DATA, RUNS = mk.remember("caries", data, "runs")
        caries, data in ...
        >>> mk.recall(runs="runs") == (TASK, DATA, RUNS)
        caries, data in ...
        True
    """
    check_arguments(recall, locals())
    known: dict[str, str] = {}
    runs = None if runs is None else Path(runs).expanduser()
    if task is None or data is None or runs is None:
        known = _read(Path(RUNS if runs is None else runs) / MEMORY)
    if data is not None:
        data = find_folder(data, "Set DATA to the contest's folder.")
    given = {"task": task, "data": data, "runs": runs}
    chosen = {name: str(known[name] if value is None else value) for name, value in given.items()}
    print("{task}, data in {data}, runs in {runs}".format(**chosen))
    return chosen["task"], chosen["data"], chosen["runs"]


def _read(path: Path) -> dict[str, str]:
    """The task, data and runs of a file that `remember` wrote."""
    if not path.is_file():
        raise MissingError(
            f"{path}: not there, so None means nothing here (found {files.listing(path.parent)}). "
            "Run 01_eda.ipynb first, which sets TASK, DATA and RUNS, or set them here."
        )
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        known = None
    wanted = ("task", "data", "runs")
    if not isinstance(known, dict) or not all(isinstance(known.get(n), str) for n in wanted):
        raise DataError(f"{path}: damaged. Run 01_eda.ipynb again, which writes it.")
    return {name: known[name] for name in wanted}
