"""Folders to be handed in: sources, scores, and all that somebody needs to train it again.

The oral contest wants the first two instead of a CSV (see `caries`); `mk.replay` reads the third.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Iterable, Sequence

import pandas as pd

from medkit import files, machine
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import ConfigError, DataError, MissingError
from medkit.rules.replay.manifest import FOLDERS, WEIGHTS
from medkit.rules.replay.recording import (
    VOTES,
    check_predictions,
    fingerprint,
    finished,
    record,
)
from medkit.rules.replay.scoring import ASKED, file_of, scores_of, told
from medkit.runs.pictures import absolute, moved
from medkit.submission.csv_files import submission_text
from medkit.submission.held_out import runs_of

MARKS = ("versions.txt", "scores.txt", "manifest.json")  # what shows that a folder is ours
EARLIER = "f1_score.txt"  # the second mark, of the oral contest
OURS = ("medkit", "versions.txt")  # names in source_dir


def handin(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    folder: Path | str,
    *,
    threshold: Threshold = 0.5,
    sources: Iterable[Path | str] = (),
    run: Any = None,
    views: Sequence[str] | str = ("as is",),
    how: str = "soft",
    weights: bool = False,
    csv: Path | str | None = None,
    data: Path | str | None = None,
) -> Path:
    """Write the folders that are handed in, ready to be copied.

    `source_dir/` holds sources and versions, `performance_metric_dir/` the scores of labelled
    cases, as the oral contest asks; with `run`, `replay_dir/` holds what `mk.replay` needs to train
    the run again and compare, to the byte. What the kit writes names no machine and no user.

    Args:
        cases: the test cases; labelled where the contest gives the labels.
        sources: your own files (notebooks, the report); medkit's sources are added.
        run: the `mk.Run` that predicted, or several that `mk.blend` made one table of.
        views, how: as `mk.predict` and `mk.blend` were given them.
        weights: whether `replay_dir` holds the weights, too. Their hash is there in any case.
        csv: the table that was sent, which must be what these predictions give.
        data: the data folder, to tell where pictures lie in it; and when it has moved.

    Raises:
        ConfigError: for weights among the sources, which the rules keep out, for two sources of
            one name, for folders there that are not of an earlier call, for a task without
            the score that is asked for, and for a run that is not finished, or predicts something
            else with these views.
        DataError: when `csv` holds something else.
        MissingError: for a source that is not there.
    Source: guide of the 2023 oral-image contest, section on handing in.

    Example:
        >>> path = mk.handin(task, held_out, run.predictions, "handin", run=run)
        >>> sorted(part.name for part in path.iterdir())
        ['performance_metric_dir', 'replay_dir', 'source_dir']
    """
    check_arguments(handin, locals())
    folder, runs = Path(folder), _runs(run, task, how)
    if runs:
        cases = absolute(cases if data is None else moved(cases, data))
    contents = _sources(sources)
    scores = _scores(task, cases, predictions, threshold, is_needed=not runs)
    text = submission_text(task, cases, predictions, threshold)[1]
    if csv is not None:
        _check_csv(Path(csv), text)
    shown = fingerprint(runs, cases, data) if runs else {}
    if runs:
        check_predictions(task, cases, predictions, runs, views, how)
    _check_folder(folder)
    half = files.beside(folder / "half")
    try:
        for name, content in {**contents, **_kit()}.items():
            files.write_whole(half / FOLDERS[0] / name, content)
        if scores:
            files.write_whole(half / FOLDERS[1] / file_of(scores), told(scores))
        if runs:
            asked = {"views": views, "how": how, "threshold": threshold, "weights": weights}
            asked.update(text=text, pictures=shown, moved_to=data)
            record(half, task, cases, predictions, runs, **asked)
        _put(half, folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return folder


def _runs(run: Any, task: Task, how: str) -> list[Any]:
    """The runs that are handed in, none where only scores are asked for."""
    runs = finished(runs_of(run, task, where="handin"))
    if run is not None and not runs:
        raise ConfigError("handin: run=[] (expected a run, or some). Leave it out for the scores.")
    if how not in VOTES:
        raise ConfigError(f"handin: how={how!r} (expected one of {', '.join(VOTES)}).")
    return runs


def _sources(sources: Iterable[Path | str]) -> dict[str, bytes]:
    """The participant's own files by name."""
    paths = [Path(source) for source in sources]
    weights = [path.name for path in paths if path.suffix.lower() in WEIGHTS]
    if weights:
        raise ConfigError(
            f"handin: {weights[0]!r} holds weights, and source_dir must not. Leave it out."
        )
    ours = [path.name for path in paths if path.name in OURS]
    if ours:
        raise ConfigError(f"handin: {ours[0]!r} is a name of the kit's own files. Rename yours.")
    lost = [path for path in paths if not path.is_file()]
    if lost:
        raise MissingError(f"handin: no such source {lost[0]}. Correct sources=[...].")
    contents = {path.name: path.read_bytes() for path in paths}
    if len(contents) < len(paths):
        names = sorted(path.name for path in paths)
        raise ConfigError(f"handin: two sources have one name (found {names}). Rename one of them.")
    return contents


def _kit() -> dict[str, bytes | str]:
    """medkit's own sources, and the versions of what they ran on."""
    package, facts = Path(machine.__file__).parent, machine.record()
    contents: dict[str, bytes | str] = {
        f"medkit/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*.py"))
    }
    versions = [f"Python {facts['python']}", f"medkit {facts['medkit']}"]
    versions += [f"{name} {version}" for name, version in facts["packages"].items() if version]
    return {**contents, MARKS[0]: "\n".join(versions) + "\n"}


def _scores(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    threshold: Threshold,
    *,
    is_needed: bool,
) -> dict[str, float]:
    """The scores of labelled cases, those that are asked for first; none without labels."""
    if not is_needed:
        return scores_of(task, cases, predictions, threshold)
    scores = task.score(cases, predictions, threshold=threshold)
    if ASKED not in scores:
        raise ConfigError(
            f"handin: {task.name} has no {ASKED} (found {', '.join(scores)}), which the oral "
            "contest asks for. Hand in the table of mk.write_submission instead, or pass run=... "
            "for what mk.replay needs."
        )
    return scores_of(task, cases, predictions, threshold)


def _check_csv(csv: Path, text: str) -> None:
    """Refuse a table that these predictions do not give."""
    if not csv.is_file():
        raise MissingError(f"handin: no such CSV {csv}. Pass what mk.write_submission returned.")
    if csv.read_bytes() != text.encode("utf-8"):
        raise DataError(
            f"handin: {csv} is not what these predictions give with this threshold. Pass those "
            "that it was written of, or write it anew with mk.write_submission."
        )


def _check_folder(folder: Path) -> None:
    """Refuse a place where folders of these names are a person's."""
    for name, mark in zip(FOLDERS, MARKS):
        path = folder / name
        if path.exists() and not any((path / each).is_file() for each in (mark, EARLIER)):
            raise ConfigError(
                f"handin: {path} is there and not of an earlier handin (found "
                f"{files.listing(path)}). Choose another folder."
            )


def _put(half: Path, folder: Path) -> None:
    """Put what was made beside it into its place, and take away what an earlier call wrote."""
    for name in FOLDERS:
        if (folder / name).exists():
            shutil.rmtree(folder / name)
        if (half / name).exists():
            (half / name).rename(folder / name)
