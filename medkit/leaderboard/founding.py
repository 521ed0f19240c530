"""Making a contest's folder of a table of answers."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Mapping, Sequence

from medkit.datasets import get_task
from medkit.leaderboard.contest import (
    SETTINGS,
    Contest,
    read_answers,
    write_answer_table,
    write_contest,
)
from medkit.leaderboard.scoring import Answers
from medkit.metrics import METRICS

TWO_CLASS = ("f1_macro", "f1_binary", "f1_micro", "f1_weighted")
MANY_CLASS = ("f1_macro", "accuracy")
NUMBERS = ("mae", "rmse")
MOST_CLASSES = 50  # more different whole numbers than this are numbers, not classes


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
        ValueError: when the answers cannot be scored, or the folder holds a contest already.
    """
    folder = Path(folder)
    if (folder / SETTINGS).exists():
        raise ValueError(f"{folder}: holds a contest already. Choose another folder.")
    table = read_answers(answers, id_column, label_column)
    contest = Contest(**_completed(rules, table))
    known = Answers(contest, table, answers)  # refuses what cannot be split
    try:
        known.score([row[1] for row in table[1:]])
    except Exception as error:  # a task's own score may raise anything
        raise ValueError(
            f"{answers}: its own labels cannot be scored ({error}). Name other metrics."
        ) from error
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
        usual = {2: TWO_CLASS}.get(len(labels), MANY_CLASS)
        rules["metrics"] = NUMBERS if _are_numbers(found) and not (task and labels) else usual
    kinds = {METRICS[name].kind for name in rules.get("metrics", ()) if name in METRICS}
    if kinds - {"labels"}:
        labels = []
    rules.setdefault("seed", secrets.randbelow(2**53))
    return {
        "name": task.title if task else "medkit",
        "columns": table[0],
        "labels": labels,
        **rules,
    }


def _are_numbers(labels: Sequence[str]) -> bool:
    """Whether labels are measurements: all numbers, some not whole or very many."""
    try:
        values = [float(label) for label in labels]
    except ValueError:
        return False
    return len(values) > MOST_CLASSES or any(not value.is_integer() for value in values)
