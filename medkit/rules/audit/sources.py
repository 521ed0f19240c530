"""Notebooks and .py files as what can be audited: cells with their code, outputs and metadata."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping

from medkit import files
from medkit.errors import ConfigError, DataError, MissingError

PARAMETERS = {"parameters", "injected-parameters"}  # tags of the cell where places are set


@dataclass(frozen=True)
class Finding:
    """A row of the audit: what was found, in one sentence, and where."""

    verdict: str  # "kept", "broken" or "unclear"
    found: str
    where: str = ""


@dataclass(eq=False)
class Cell:
    """A cell of a notebook, or all of a .py file.

    Attributes:
        number: its place among all cells, from 1; 0 of a .py file.
        tree: its code; None where there is none, or none that can be read (`unread` says why).
        count: its execution count, if it was run.
        outputs: text and the text of its HTML.
    """

    home: Path
    number: int
    kind: str
    text: str
    tree: ast.Module | None = None
    unread: str = ""
    count: int | None = None
    outputs: list[str] = field(default_factory=list)
    output_counts: list[int] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def where(self, line: int = 0) -> str:
        """As the table tells it: "02_training.ipynb, cell 4, line 3"."""
        parts = [self.home.name, f"cell {self.number}" if self.number else ""]
        return ", ".join(filter(None, [*parts, f"line {line}" if line else ""]))

    @property
    def is_parameters(self) -> bool:
        tags = self.metadata.get("tags", ())
        return isinstance(tags, list) and any(tag in PARAMETERS for tag in tags)

    @property
    def lines(self) -> set[int]:
        """The numbers of the lines that hold code."""
        told = enumerate(self.text.splitlines(), 1)
        return {n for n, line in told if line.strip() and not line.lstrip().startswith("#")}


@dataclass(eq=False)
class Source:
    """A notebook or a .py file."""

    path: Path
    cells: list[Cell]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_notebook(self) -> bool:
        return self.path.suffix != ".py"

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code" and cell.text.strip()]


def read_sources(notebooks: Any, run: Path) -> list[Source]:
    """The notebooks, the .py files beside them, and those that came with the run.

    Raises:
        ConfigError, MissingError: no notebook, or none there.
        DataError: naming a notebook that is none.
    """
    found = _listed(notebooks)
    beside = {path for home in found for path in home.parent.glob("*.py")}
    beside |= {path for home in found for path in home.parent.glob("*/*.py") if _is_used(path)}
    modules = sorted((beside | set(run.glob("task_*.py"))) - set(found))
    return [_notebook(p) if p.suffix != ".py" else _module(p) for p in [*found, *modules]]


def _listed(notebooks: Any) -> list[Path]:
    is_one = isinstance(notebooks, (str, os.PathLike))
    given = [notebooks] if is_one else list(notebooks)
    if not given or not all(isinstance(path, (str, os.PathLike)) for path in given):
        raise ConfigError(
            f"audit: notebooks: found {str(notebooks)[:40]!r} (expected paths of notebooks). "
            'Pass a folder, or a list such as ["02_training.ipynb"].'
        )
    paths: list[Path] = []
    for path in map(Path, given):
        inside = sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            near = files.listing(path if path.is_dir() else path.parent)
            raise MissingError(f"audit: {path}: no notebook there (found {near}). Check the path.")
        paths += inside
    return list(dict.fromkeys(paths))


def _is_used(path: Path) -> bool:
    """Whether a file in a folder beside the notebooks is of a package of theirs."""
    return (path.parent / "__init__.py").is_file() and path.parent.name not in ("medkit", "tests")


def _notebook(path: Path) -> Source:
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
        cells = whole["cells"]
        read = [_cell(path, number, cell) for number, cell in enumerate(cells, 1)]
        metadata = whole.get("metadata", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"audit: {path}: not a notebook ({type(error).__name__}: {str(error)[:80]}; expected "
            "JSON with cells). Save it again in Jupyter, format 4."
        ) from error
    return Source(path, read, metadata if isinstance(metadata, dict) else {})


def _module(path: Path) -> Source:
    text = path.read_text(encoding="utf-8", errors="replace")
    cell = Cell(path, 0, "code", text)
    _parse(cell)
    return Source(path, [cell])


def _cell(path: Path, number: int, facts: Mapping[str, Any]) -> Cell:
    cell = Cell(path, number, facts["cell_type"], _joined(facts.get("source", "")))
    cell.metadata = facts.get("metadata") or {}
    cell.count = facts.get("execution_count")
    for output in facts.get("outputs", ()):
        data = {**output.get("data", {}), "": output.get("text", "")}
        cell.outputs += [_joined(part) for kind, part in data.items() if not _is_binary(kind)]
        cell.outputs += [_joined(output.get("evalue", "")), *output.get("traceback", ())]
        if output.get("metadata"):
            cell.outputs.append(json.dumps(output["metadata"], ensure_ascii=False))
        if output.get("execution_count") is not None:
            cell.output_counts.append(output["execution_count"])
    cell.outputs = [re.sub(r"\x1b\[[\d;]*m", "", text) for text in cell.outputs if text]
    if cell.kind == "code":
        _parse(cell)
    return cell


def _is_binary(kind: str) -> bool:
    return kind.startswith(("image/", "audio/", "video/")) and kind != "image/svg+xml"


def _joined(text: Any) -> str:
    if isinstance(text, (dict, int, float)):  # widgets, JSON
        return json.dumps(text, ensure_ascii=False)
    return text if isinstance(text, str) else "".join(text)


def _parse(cell: Cell) -> None:
    """The tree of a cell; its magics become calls, as IPython would make them."""
    cell.tree, cell.unread = parse(cell.text)


def parse(text: str) -> tuple[ast.Module | None, str]:
    """The tree of some code, or why there is none. Nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a text
            try:
                return ast.parse(text), ""
            except SyntaxError:
                from IPython.core.inputtransformer2 import TransformerManager

                return ast.parse(TransformerManager().transform_cell(text)), ""
    except ImportError:
        return None, "it holds magics, and IPython, which reads them, is not installed here"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, f"it is no Python ({type(error).__name__})"


def sentence_of(names: Iterable[str], most: int = 3) -> str:
    """Some names and how many more: "a, b, c and 4 more"."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
