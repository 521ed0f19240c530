"""Making a contest's folder of a table of answers."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from medkit.datasets import get_task
from medkit.errors import ConfigError
from medkit.leaderboard.contest import (
    SETTINGS,
    Contest,
    read_answers,
    write_answer_table,
    write_contest,
)
from medkit.leaderboard.reading import READERS, likely, taken
from medkit.leaderboard.scoring import Answers

MOST_UPLOAD = 500_000_000  # bytes, whatever the answers


def new_contest(
    folder: Path | str,
    answers: Path | str,
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    **rules: Any,
) -> Contest:
    """Make a contest's folder of a table of answers; practice and real contests alike.

    Args:
        answers: any CSV with a column of ids and one of labels; by default its first two.
        rules: fields of `Contest`; what is left out is found in the answers and the task.

    Raises:
        ConfigError: when the answers cannot be scored, or the folder holds a contest already.
    """
    folder = Path(folder)
    if (folder / SETTINGS).exists():
        raise ConfigError(f"{folder}: holds a contest already. Choose another folder.")
    table = read_answers(answers, id_column, label_column)
    contest = Contest(**_completed(rules, table))
    known = Answers(contest, table, answers)  # refuses what cannot be split
    try:
        known.score([row[1] for row in table[1:]])
    except Exception as error:  # a task's own score may raise anything
        why = str(error).rstrip(".")
        raise ConfigError(
            f"{answers}: its own labels cannot be scored ({why}). Name other metrics."
        ) from error
    if "most_bytes" not in rules:  # more than the longest table, so that who sends it hears why
        most = min(MOST_UPLOAD, 3 * known.longest)
        contest = replace(contest, most_bytes=max(contest.most_bytes, most))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_answer_table(folder, table)
    write_contest(contest, folder)
    return contest


def _completed(rules: Mapping[str, Any], table: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Rules with what the answers and the task say of the others."""
    rules = {name: value for name, value in rules.items() if value is not None}
    if "window_s" in rules:
        rules["zone"] = None
    found = sorted({row[1] for row in table[1:]})
    task = get_task(rules["task"]) if "task" in rules else None
    labels = [str(label) for label in task.submission_labels] if task else found
    is_own = task is not None and "score_units" in task.own
    if not rules.get("metrics") and not is_own:
        rules["metrics"] = READERS[likely(task, found)].usual(labels)
    metrics, columns = rules.get("metrics", ()), table[0][:2]
    reader = READERS[taken(metrics, task, labels)]
    if metrics and not reader.names_labels:
        labels = []
    if task is None:  # a task's table may name its columns as it likes
        columns = reader.columns(columns, [row[0] for row in table[1:]])
    rules.setdefault("seed", secrets.randbelow(2**53))
    return {
        "name": task.title if task else "medkit",
        "columns": columns,
        "labels": labels,
        **rules,
    }
