"""A task of the user's own travels with its run: its data as JSON, its functions as .py files."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any, Callable

from medkit import files
from medkit.datasets import CONTESTS, TASKS
from medkit.datasets.task import Task, from_description


def save_task(task: Task, folder: Path) -> None:
    """Write task.json, and copy the files in which functions of its own stand beside it."""
    facts = task.describe()
    if task.name not in CONTESTS:
        facts["functions"] = {
            name: _kept(function, folder) for name, function in task.own_functions().items()
        }
    files.write_json(folder / "task.json", facts)


def load_task(facts: dict[str, Any], folder: Path) -> Task:
    """The task of a run folder's task.json: the one of that name in this kernel, else rebuilt.

    Raises:
        ValueError: when a function of its own stood in a notebook cell of another kernel, or the
            task of that name in this kernel asks something else.
    """
    if facts["name"] in TASKS:
        task = TASKS[facts["name"]]
        told = task.describe()
        for name in ("heads", "scored", "facts"):
            if told[name] != facts[name]:
                raise ValueError(
                    f"{folder}: its task {task.name!r} had other {name} ({facts[name]}) than the "
                    f"task of that name in this kernel ({told[name]}). Give the new task another "
                    "name, or restart the kernel to have the old one."
                )
        return task
    functions = facts.get("functions", {})
    lost = [name for name, place in functions.items() if place is None]
    if lost:
        raise ValueError(
            f"{folder}: {lost[0]} of task {facts['name']!r} stood in a notebook cell, and no other "
            "kernel knows it. Run that cell and mk.add_task(task) here, or put the function into "
            "a .py file, import it, and train in a new folder."
        )
    return from_description(facts, **{k: _loaded(place, folder) for k, place in functions.items()})


def _kept(function: Callable[..., Any], folder: Path) -> list[str] | None:
    """[file or module, name] by which another process finds a function; None where it cannot."""
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():  # a lambda, or a function inside another
        return None
    module = getattr(function, "__module__", "")
    if module.partition(".")[0] == "medkit":
        return [module, name]
    source = inspect.getsourcefile(inspect.unwrap(function))
    if source is None or not source.endswith(".py") or not Path(source).is_file():
        return None
    copy = f"task_{Path(source).name}"
    files.write_whole(folder / copy, Path(source).read_bytes())
    return [copy, name]


def _loaded(place: list[str], folder: Path) -> Callable[..., Any]:
    home, name = place
    if not home.endswith(".py"):
        return getattr(importlib.import_module(home), name)
    spec = importlib.util.spec_from_file_location(Path(home).stem, folder / home)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)
