"""What is refused of a hand-in before anything of it is trained; nothing of it is run here."""

from __future__ import annotations

import os
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, Iterator, Mapping

import pandas as pd

from medkit.errors import ConfigError, DataError, MedkitError, NotTrusted
from medkit.inference.views import VIEWS
from medkit.rules.replay.manifest import Manifest, run_folders
from medkit.rules.replay.recording import BEGUN_FROM, VOTES, read_test
from medkit.runs.folder import Run
from medkit.runs.own_tasks import code_of, trusted

MOST_RUNS = 100
NEEDED = ("run.json", "config.json", "task.json", "cases.csv", "machine.json", "history.csv")


@contextmanager
def readable(handin: Path | str) -> Iterator[None]:
    """What lies in a hand-in may be anything: what cannot be understood is the hand-in's fault."""
    try:
        yield
    except MedkitError:
        raise
    except Exception as error:
        raise DataError(
            f"{handin}: its files do not hold what a hand-in does ({type(error).__name__}: "
            f"{str(error)[:100]}). Get it anew from whoever made it."
        ) from error


def admit(folder: Path, manifest: Manifest, data: Path, trust: bool) -> set[str]:
    """Refuse what cannot be trained here, and what names files of other places.

    Returns:
        The hashes of the code that it brings.

    Raises:
        ConfigError, DataError: naming what is wrong.
        NotTrusted: it brings code, and `trust` is False.
    """
    _check_manifest(folder, manifest)
    tables, codes = [read_test(folder, manifest, data)], set()
    for place, told in zip(run_folders(folder, manifest), manifest.runs):
        lacking = [name for name in NEEDED if not (place / name).is_file()]
        if lacking:
            raise DataError(f"{place}: no {lacking[0]}, without which it cannot be trained again.")
        run = Run(place)
        _check_run(run, manifest, told)
        code = code_of(place, run.task_facts)
        strange = [path for path, digest in code.items() if digest not in trusted()]
        if strange and not trust:
            raise NotTrusted(
                f"{strange[0]}: this hand-in brings code that is not on your list of trusted code; "
                "read the file, and if you would run it, pass trust=True."
            )
        codes.update(code.values())
        tables.append(run.cases(data))
    for table in tables:
        _check_places(folder, table, data)
    return codes


def _check_manifest(folder: Path, manifest: Manifest) -> None:
    odd = [view for view in manifest.views if view not in VIEWS]
    if odd or not manifest.views:
        raise DataError(f"{folder}: views {manifest.views} (expected some of {', '.join(VIEWS)}).")
    if manifest.how not in VOTES:
        raise DataError(f"{folder}: how={manifest.how!r} (expected one of {', '.join(VOTES)}).")
    cut = manifest.threshold
    if not all(isinstance(v, Real) for v in (cut.values() if isinstance(cut, dict) else [cut])):
        raise DataError(f"{folder}: threshold {cut!r} (expected a number, or one a class).")
    places = run_folders(folder, manifest)
    if len(places) > MOST_RUNS or not places[-1].is_dir():
        raise DataError(f"{folder}: {len(places):,} runs are named, and are not there.")


def _check_run(run: Run, manifest: Manifest, told: Mapping[str, Any]) -> None:
    config = run.config
    if config.task != manifest.task or run.task_facts["name"] != manifest.task:
        raise DataError(
            f"{run.path}: a run of {config.task!r} in a hand-in of {manifest.task!r}. Get it anew."
        )
    if run.fold is not None and (isinstance(run.fold, bool) or not isinstance(run.fold, int)):
        raise DataError(f"{run.path}: fold {run.fold!r} (expected a whole number, or none).")
    if told.get("teacher") or config.teacher is not None:
        raise ConfigError(
            f"{run.path}: a teacher's answers were learned from, and they are not handed in. Have "
            "the teacher's run handed in, and train both with mk.fit."
        )
    if not config.weights:
        return
    if Path(config.weights).name != config.weights:
        raise _leads_out(run.path, config.weights)
    if not (run.path.parent / BEGUN_FROM / config.weights).is_file():
        raise DataError(
            f"{run.path}: it began with the weights {config.weights!r}, which are not handed in. "
            "Have it made anew by mk.handin(..., weights=True)."
        )


def _check_places(folder: Path, table: pd.DataFrame, data: Path) -> None:
    """Each file that a table names lies below the data folder."""
    for name in [name for name in ("path", "masks") if name in table]:
        for path in table[name].dropna():
            if data not in Path(os.path.abspath(path)).parents:
                raise _leads_out(folder, path)


def _leads_out(place: Path, name: Any) -> DataError:
    return DataError(
        f"{place}: it names {name!r} (expected what lies in the hand-in or in the data folder). "
        "Nothing was opened; have it made anew by mk.handin."
    )
