"""The contests, by name. A seventh contest is a seventh file and a row here."""

from __future__ import annotations

from medkit.arguments import check_arguments
from medkit.datasets import caries, handbone, mask, pathology, sinus, sleep
from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.naming import did_you_mean

_ALL = (
    caries.TASK,
    pathology.TASK,
    sinus.TASK,
    mask.TASK,
    mask.MASK18,
    sleep.TASK,
    handbone.TASK,
)
TASKS = {task.name: task for task in _ALL}
CONTESTS = tuple(TASKS)  # the kit's own


def get_task(name: str) -> Task:
    """Look a task up by name.

    Raises:
        ConfigError: naming the tasks that there are.

    Example:
        >>> mk.get_task("caries").scored.classes
        ('sound', 'decayed')
    """
    check_arguments(get_task, locals())
    if name not in TASKS:
        near = did_you_mean(name, TASKS)
        raise ConfigError(
            f"unknown task {name!r} (expected one of {', '.join(TASKS)}). One of your own is made "
            f"known by mk.add_task(task).{near}"
        )
    return TASKS[name]


def add_task(task: Task) -> Task:
    """Make a task of your own known by its name, in this kernel; run folders keep it.

    Its own functions must stand in a .py file when another process is to use them.

    Raises:
        ConfigError: for a name that one of the kit's contests has.

    Example:
        >>> scan = mk.Task("scans", "Scans", "our ward", (mk.Head("finding", ("none", "cyst")),))
        >>> mk.add_task(scan) is mk.get_task("scans")
        True
        >>> del mk.datasets.TASKS["scans"]
    """
    check_arguments(add_task, locals())
    if task.name in CONTESTS:
        raise ConfigError(f"task {task.name!r} is one of the kit's. Give yours another name.")
    TASKS[task.name] = task
    return task
