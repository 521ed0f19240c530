"""A task of the user's own travels with its run: its data as JSON, its functions as .py files.

Whoever opens a run folder would run these files. They are loaded when this user trusts them: `fit`
trusts what it copies, `mk.Run(folder, trust=True)` what came from somebody else.
"""

from __future__ import annotations

import importlib
import inspect
import os
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterable, Mapping

from medkit import files
from medkit.datasets import CONTESTS, TASKS
from medkit.datasets.task import Task, from_description
from medkit.errors import ConfigError, DataError, NotTrusted

TRUSTED = "MEDKIT_TRUSTED"  # hashes: what this process trusts, and the processes that it starts
KEPT = "__medkit_source__"  # in such a module: the bytes that it was made of
KNOWN = ("medkit.datasets", "medkit.metrics")  # of medkit a task may use functions of these


def save_task(task: Task, folder: Path) -> None:
    """Write task.json, and copy the files in which functions of its own stand beside it."""
    facts = task.describe()
    if task.name not in CONTESTS:
        facts["functions"] = {name: _kept(function, folder) for name, function in task.own.items()}
    files.write_json(folder / "task.json", facts)


def load_task(facts: dict[str, Any], folder: Path) -> Task:
    """The task of a run folder's task.json: the one of that name in this kernel, else rebuilt.

    Raises:
        ConfigError: when a function of its own stood in a notebook cell of another kernel, or the
            task of that name in this kernel asks something else.
        NotTrusted: when a file with its functions is not trusted.
    """
    if facts["name"] in TASKS:
        task = TASKS[facts["name"]]
        kept = from_description(facts)
        for name in ("heads", "scored", "facts"):
            was, now = getattr(kept, name), getattr(task, name)
            if was != now:
                raise ConfigError(
                    f"{folder}: its task {task.name!r} had other {name} ({was}) than the task of "
                    f"that name in this kernel ({now}). Give the new task another name, or restart "
                    "the kernel to have the old one."
                )
        return task
    functions = _functions(facts, folder)
    lost = [name for name, place in functions.items() if place is None]
    if lost:
        raise ConfigError(
            f"{folder}: {lost[0]} of task {facts['name']!r} stood in a notebook cell, and no other "
            "kernel knows it. Run that cell and mk.add_task(task) here, or put the function into "
            "a .py file, import it, and train in a new folder."
        )
    return from_description(facts, **{k: _loaded(place, folder) for k, place in functions.items()})


def trust_own(task: Task) -> None:
    """Put the files in which a task's functions stand on the list: this kernel has run them."""
    sources = map(_source, task.own.values() if task.name not in CONTESTS else ())
    trust(sorted({files.sha256(found[1]) for found in sources if found is not None}))


def trust_code(folder: Path, facts: Mapping[str, Any]) -> None:
    """Put the files with a task's functions on this user's list of trusted code."""
    trust(code_of(folder, facts).values())


def code_of(folder: Path, facts: Mapping[str, Any]) -> dict[Path, str]:
    """The files with a task's functions, and their hashes; none of them is run."""
    homes = {_place(place, folder)[0] for place in _functions(facts, folder).values() if place}
    paths = [_inside(home, folder) for home in sorted(homes) if home.endswith(".py")]
    return {path: files.sha256_file(path) for path in paths}


def trust(hashes: Iterable[str]) -> None:
    """Put hashes of files on this user's list, where this process and its children find them."""
    for new in [digest for digest in hashes if digest not in trusted()]:
        os.environ[TRUSTED] = f"{os.environ.get(TRUSTED, '')} {new}".strip()
        path = trusted_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.append_line(path, new, mode=0o600)
        except OSError as error:
            warnings.warn(
                f"{path}: the list of trusted code cannot be written ({error.strerror}), so that "
                "the next kernel will ask for mk.Run(folder, trust=True).",
                stacklevel=4,
            )


def trusted() -> set[str]:
    """The hashes of all files that this user trusts."""
    path = trusted_path()
    listed = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {*listed.split(), *os.environ.get(TRUSTED, "").split()}


def trusted_path() -> Path:
    """`~/.config/medkit/trusted.txt`."""
    return Path.home() / ".config" / "medkit" / "trusted.txt"


def _kept(function: Callable[..., Any], folder: Path) -> list[str] | None:
    """[file or module, name] by which another process finds a function; None where it cannot."""
    name = getattr(function, "__qualname__", "")
    if name.isidentifier() and _is_known(getattr(function, "__module__", "")):
        return [function.__module__, name]
    found = _source(function)
    if found is None:
        return None
    file, source = found
    copy = file if file.startswith("task_") else f"task_{file}"
    files.write_whole(folder / copy, source)
    return [copy, name]


def _source(function: Callable[..., Any]) -> tuple[str, bytes] | None:
    """Name and bytes of the .py file in which a function stands; None where there is none.

    Of one that came with a run folder the bytes that were trusted, whatever lies there by now.
    """
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if not name.isidentifier() or _is_known(module):  # a lambda, or a function inside another
        return None
    own = inspect.unwrap(function)
    source = inspect.getsourcefile(own)
    kept = getattr(own, "__globals__", {}).get(KEPT)
    if kept is not None:
        return Path(source).name, kept
    is_file = source is not None and source.endswith(".py") and Path(source).is_file()
    return (Path(source).name, Path(source).read_bytes()) if is_file else None


def _loaded(place: Any, folder: Path) -> Callable[..., Any]:
    """The function that a task.json names, if it may be used.

    Raises:
        DataError, PlaceError: naming the place.
    """
    home, name = _place(place, folder)
    module = None
    if home.endswith(".py"):
        module = _module(_inside(home, folder), folder)
    elif _is_known(home):
        with suppress(ModuleNotFoundError):  # then the place is named below
            module = importlib.import_module(home)
    found = getattr(module, name, None)
    is_own = module is not None and getattr(found, "__module__", "") == module.__name__
    if not is_own or not callable(found) or isinstance(found, type):
        raise _no_function(place, folder)
    return found


def _functions(facts: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Where the functions of a task.json stand, by their names."""
    functions = facts.get("functions", {})
    if not isinstance(functions, dict):
        raise _no_function(functions, folder)
    return functions


def _place(place: Any, folder: Path) -> tuple[str, str]:
    """[file or module, name] of a task.json."""
    is_pair = isinstance(place, list) and len(place) == 2
    if not is_pair or not all(isinstance(part, str) for part in place):
        raise _no_function(place, folder)
    return place[0], place[1]


def _no_function(place: Any, folder: Path) -> DataError:
    return DataError(
        f"{folder}: its task.json names {place!r} for a function (expected one of "
        f"{' or '.join(KNOWN)}, or of a .py file in this folder). Get the folder anew."
    )


def _is_known(module: str) -> bool:
    return any(module == known or module.startswith(f"{known}.") for known in KNOWN)


def _inside(home: str, folder: Path) -> Path:
    """A file that lies in the folder itself."""
    path = folder / home
    if Path(home).name != home or path.resolve().parent != folder.resolve():
        raise DataError(
            f"{folder}: its task.json names the file {home!r} (expected one in this folder). "
            "Get the folder anew from whoever made it."
        )
    return path


def _module(path: Path, folder: Path) -> ModuleType:
    """A trusted file as a module, made of the very bytes whose hash is trusted."""
    source = path.read_bytes()
    if files.sha256(source) not in trusted():
        raise NotTrusted(
            f"{path}: this run brings code that is not on your list of trusted code; read the "
            f"file, and if you would run it, open the run by mk.Run({str(folder)!r}, trust=True)."
        )
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    module.__dict__[KEPT] = source
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except ImportError as error:
        raise DataError(
            f"{path}: this task's code needs what is not here ({error}). Open the run with the "
            "versions of its machine.json, or make the task anew and call mk.add_task(task) first."
        ) from error
    return module
