"""The contests, by name. A seventh contest is a seventh file and a row here."""

from __future__ import annotations

from medkit.datasets import caries
from medkit.datasets.task import Task

TASKS = {task.name: task for task in (caries.TASK,)}


def get_task(name: str) -> Task:
    """Look a task up by name.

    Raises:
        ValueError: naming the tasks that there are.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r} (expected one of {', '.join(TASKS)}).")
    return TASKS[name]
