"""The table that is handed in, written exactly; `checking` looks at it as it lies on the disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from medkit import files, tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.submission.cells import labels_of, row_of
from medkit.submission.checking import expected_path, row_key
from medkit.submission.held_out import held_out_of, local_score, run_name, runs_of

TAKEN = ("cases", "config", "history", "leaks", "machine", "predictions", "receipt", "run", "task")


def write_submission(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    path: Path | str,
    *,
    threshold: Threshold = 0.5,
    run: Any = None,
    held_out: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Path:
    """Write the contest's table, and beside it a JSON file of what it must hold.

    Args:
        cases: of the whole test split. Their labels, where they have some, are not looked at.
        threshold: from held-out cases; see `mk.choose_threshold`.
        run: the `mk.Run` that predicted, or the runs of several folds. Its score on the cases that
            it held out, with the 95 % interval, stands beside the leaderboard's in
            `mk.submissions()`.
        held_out: (cases, predictions) instead, of cases that no model had seen; for a blend.

    Returns:
        The path of the CSV. `<name>.json` beside it holds task, ids in order, labels, hash, runs
        and the held-out score; for masks also the size of each picture.

    Raises:
        ConfigError: for a name that a run folder needs for itself, or runs that are none, that
            are of another contest, or that held out the same cases.

    Example:
        >>> path = mk.write_submission(task, test_cases, predictions, "submission.csv", run=run)
        >>> path.read_text(encoding="utf-8").splitlines()[0]
        'id,decayed'
    """
    check_arguments(write_submission, locals())
    path = Path(path)
    if path.stem in TAKEN:
        raise ConfigError(
            f"{path}: a run keeps its own {path.stem!r} file. Choose another name: submission.csv."
        )
    layout = task.layout
    table, text = submission_text(task, cases, predictions, threshold)
    units = task.to_units(task.scored.answer.unlabelled(cases), predictions)
    runs = runs_of(run, task)
    expected = {
        "task": task.name,
        "columns": list(table.columns),
        "layout": asdict(layout),
        "ids": [row_key(row, layout.key_columns) for row in table.astype(str).to_numpy().tolist()],
        "labels": labels_of(task, table),
        "sha256": files.sha256(text.encode("utf-8")),
        "threshold": threshold,
        "run": run_name([str(run.path) for run in runs] or _run_folder(path)),
        "runs": [str(run.path) for run in runs],
        **local_score(task, held_out or held_out_of(runs), threshold),
        "filled": [str(name) for name in units["id"][~units["seen"]]],
        **row_of(layout).facts(cases),
    }
    files.write_whole(path, text)
    files.write_json(expected_path(path), expected)
    return path


def submission_text(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, threshold: Threshold
) -> tuple[pd.DataFrame, str]:
    """The table that is handed in, and how it is written."""
    table, layout = task.submission_table(cases, predictions, threshold=threshold), task.layout
    written = table if layout.key_columns else table.iloc[:, 1:]  # rows go by their order alone
    form = {"header": layout.header, "sep": layout.separator, "lineterminator": "\n"}
    return table, written.to_csv(index=False, **form)


def write_answers(task: Task, cases: pd.DataFrame, path: Path | str) -> Path:
    """Write the true labels of labelled cases as the practice leaderboard wants them.

    Those of masks are runs; `pixels` beside them says how large each picture is.

    Args:
        cases: labelled.
        path: of the CSV.

    Raises:
        DataError: when a unit has no label.

    Example:
        >>> path = mk.leaderboard.write_answers(task, cases, "answers.csv")
        >>> path.read_text(encoding="utf-8").splitlines()[0]
        'id,decayed'
    """
    check_arguments(write_answers, locals())
    tables.write_csv(row_of(task.layout).with_facts(task.true_table(cases), cases), path)
    return Path(path)


def _run_folder(path: Path) -> list[str]:
    """The run that a CSV was made of: the folder it lies in, when that is one."""
    return [str(path.parent)] if (path.parent / "run.json").is_file() else []
