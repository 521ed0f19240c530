"""Pages of docs/ whose code runs: each block of Python in turn, in one namespace and folder."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping

import pytest

import medkit as mk
from medkit import datasets

DOCS = Path(__file__).resolve().parent.parent / "docs"


def blocks(page: str | Path) -> list[str]:
    """The blocks of Python of a page such as "how-to/masks.md", or of any other."""
    return re.findall(r"```python\n(.*?) *```", (DOCS / page).read_text(encoding="utf-8"), re.S)


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """A folder to run a page in, whose tasks and modules are forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setattr(datasets, "TASKS", dict(datasets.TASKS))
        patch.setattr("medkit.runs.own_tasks.TASKS", datasets.TASKS)
        yield folder
        for name in [path.stem for path in folder.glob("*.py")]:
            sys.modules.pop(name, None)


def run_page(page: str, folder: Path, changes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a page's code leaves behind; a block that begins with "# name.py" becomes that file.

    Args:
        folder: the working folder.
        changes: what stands in the page, and what is run instead: smaller models, fewer epochs.
    """
    changes, space = changes or {}, {"__name__": "page"}
    lost = [old for old in changes if not any(old in block for block in blocks(page))]
    assert not lost, f"{page} has no {lost}"
    for block in blocks(page):
        for old, new in changes.items():
            block = block.replace(old, new)
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            (folder / name[1]).write_text(block, encoding="utf-8")
        else:
            exec(compile(block, page, "exec"), space)
    return space


def names_that_are_not(page: str | Path) -> set[str]:
    """The names of medkit that a page uses and that do not exist, "machine.gpu" among them."""
    text = (DOCS / page).read_text(encoding="utf-8")
    names = re.findall(r"\bmk\.(\w+(?:\.\w+)*)", text, re.ASCII)
    return {name for name in set(names) if not _exists(name)}


def _exists(name: str) -> bool:
    thing = mk
    for part in name.split("."):
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True
