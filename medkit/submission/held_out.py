"""What a submission promises: the score of cases that its runs had never seen."""

from __future__ import annotations

import math
import os
from typing import Any, Sequence

import pandas as pd

from medkit.datasets.kinds import Threshold
from medkit.datasets.scoring import judged_units, own_score, score_of_rows
from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.metrics import interval


def runs_of(run: Any, task: Task, *, where: str = "write_submission") -> list[Any]:
    """The runs that a person named, as a list.

    Args:
        where: the function that was given them, for messages.

    Raises:
        ConfigError: for what is no run, or a run of another contest.
    """
    runs = [] if run is None else list(run) if isinstance(run, (list, tuple)) else [run]
    for one in runs:
        if not hasattr(one, "fold"):
            raise ConfigError(
                f"{where}: run={one!r} (expected a run, or a list of some). "
                "Pass run=mk.Run(folder)."
            )
        if one.task.name != task.name:
            raise ConfigError(
                f"{where}: {one.path} is a run of {one.task.name}, and this is for {task.name}. "
                "Pass the run that predicted."
            )
    return runs


def run_name(paths: Sequence[str]) -> str | None:
    """The runs in a word: one by its path, several by the folder that they share."""
    if len(paths) < 2:
        return paths[0] if paths else None
    shared = os.path.commonpath([os.path.abspath(path) for path in paths])
    return f"{os.path.relpath(shared)} ({len(paths)} runs)"


def held_out_of(runs: Sequence[Any]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The cases that runs held out, and what they predicted of them; None for runs on everything.

    Raises:
        ConfigError: two runs held out the same cases.
    """
    tables, predictions = [], []
    for run in runs:
        if run.fold is not None:
            cases = run.cases()
            tables.append(cases[cases["fold"] == run.fold])
            predictions.append(run.predictions)
    if not tables:
        return None
    cases = pd.concat(tables, ignore_index=True)
    if cases["id"].duplicated().any():
        raise ConfigError(
            f"write_submission: of {len(runs)} runs several held out the same cases (e.g. "
            f"{cases['id'][cases['id'].duplicated()].iloc[0]!r}). For a blend of models pass "
            "held_out=(cases, predictions) with the blend's own out-of-fold predictions."
        )
    return cases, pd.concat(predictions, ignore_index=True)


def local_score(
    task: Task, held_out: tuple[pd.DataFrame, pd.DataFrame] | None, threshold: Threshold
) -> dict[str, Any]:
    """The scores of held-out cases, the contest's own first, and the interval of that one."""
    if held_out is None:
        return {"local_score": None, "local_interval": None, "held_out": 0}
    cases, predictions = held_out
    units = judged_units(task, cases, predictions)
    scores = task.score(cases, predictions, threshold=threshold)
    own = score_of_rows(task, units, own_score(task, units), threshold)
    _, low, high = interval(own, units["group"].to_numpy())
    ends = [None if math.isnan(end) else end for end in (low, high)]
    return {"local_score": scores, "local_interval": ends, "held_out": len(units)}
