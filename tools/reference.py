"""docs/reference, a page a stage of the work, from signatures and docstrings: `make reference`.

    python tools/reference.py [FOLDER]

Signatures are copied from the source as they stand there, so that every version of Python writes
the same pages. `tests/test_reference.py` says when they are stale.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import lru_cache
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any, Iterator, NamedTuple

import medkit as mk

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
STAGES = {  # page: its title, and the rooms of the package whose public names stand there
    "contests": ("Contests and their cases", ("datasets",)),
    "splitting": ("Folds and leaks", ("splitting",)),
    "training": ("Settings, runs, training", ("runs", "training", "models")),
    "predicting": ("Predictions, scores, votes", ("inference", "metrics")),
    "figures": ("Figures", ("show",)),
    "submitting": ("Submitting", ("submission",)),
    "leaderboard": ("A leaderboard", ("leaderboard",)),
    "below": ("What lies below: tables, files, keys, the machine, errors", ()),  # all the rest
}
NOTE = (
    "<!-- Made by tools/reference.py from the docstrings: change those, then `make reference`. -->"
)
SECTION = re.compile("(?:Args|Returns|Yields|Raises|Attributes|Examples?|Notes?):")


class Source(NamedTuple):
    """A file's lines, and its definitions by name: "Run", "Run.cases"."""

    lines: list
    nodes: dict

    def signature(self, name: str) -> str:
        """A function up to its docstring; a class with what stands before its first method."""
        node = self.nodes[name]
        if isinstance(node, ast.FunctionDef):
            return dedent("\n".join(self.lines[node.lineno - 1 : _body(node) - 1])).rstrip(":")
        methods = (n.lineno - 1 - len(n.decorator_list) for n in node.body if is_function(n))
        last = next(methods, node.end_lineno)
        fields = self.lines[_body(node) - 1 + _length(node.body[0]) : last]
        fields = [line for line in fields if line.strip()]
        return "\n".join([*self.lines[node.lineno - 1 : _body(node) - 1], *fields]).rstrip(":")


@lru_cache(maxsize=None)
def source(path: str) -> Source:
    text, nodes = Path(path).read_text(encoding="utf-8"), {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            nodes[node.name] = node
            for inner in filter(is_function, node.body if isinstance(node, ast.ClassDef) else ()):
                nodes[f"{node.name}.{inner.name}"] = inner
    return Source(text.splitlines(), nodes)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


def _body(node: Any) -> int:
    """The line on which a definition's body begins."""
    return node.body[0].lineno


def _length(node: Any) -> int:
    """How many lines a docstring has; none of what is no docstring."""
    is_text = isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
    return node.end_lineno - node.lineno + 1 if is_text else 0


def entry(name: str, thing: Any) -> Iterator[str]:
    """A name's part of a page: its signature and docstring, and those of a class's methods."""
    own, file = thing.__qualname__, source(sys.modules[thing.__module__].__file__)
    yield from (f"## {name}", "", "```python", file.signature(own), "```", "")
    yield from rendered(ast.get_docstring(file.nodes[own]) or "")
    for full, node in file.nodes.items():
        method = full[len(own) + 1 :]
        if full.startswith(f"{own}.") and ast.get_docstring(node):
            is_property = any(
                getattr(d, "id", "") in ("property", "cached_property") for d in node.decorator_list
            )
            told = method if is_property else file.signature(full)
            if method == "__init__" or not method.startswith("_"):
                yield from (f"### {name}.{method}", "")
                yield from () if is_property else ("```python", told, "```", "")
                yield from rendered(ast.get_docstring(node))


def rendered(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: sections in bold, their entries as lists, examples as code."""
    for block in re.split(r"\n\n(?=\S)", docstring.strip()):
        for part in re.split(rf"\n(?={SECTION.pattern}|Source:)", block):
            title, _, rest = part.partition("\n")
            if ">>>" in part:
                if SECTION.fullmatch(title):
                    yield from (f"**{title[:-1]}**", "")
                    part = dedent(rest)
                yield from ("```pycon", part, "```", "")
            elif SECTION.fullmatch(title):
                entries = re.split(r"\n(?=\S)", dedent(rest))
                yield from (f"**{title[:-1]}**", "")
                yield from (f"- {plain(' '.join(e.split()))}" for e in entries)
                yield ""
            else:
                yield from (plain(part), "")


def plain(text: str) -> str:
    """Text in which Markdown finds no tags."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or r"\<", text)


def public() -> dict[str, Any]:
    """The functions, classes and errors that people reach, by name: "mk.fit", "mk.metrics.dice"."""
    things = {name: getattr(mk, name) for name in mk.__all__ if not name.startswith("_")}
    found = {f"mk.{name}": thing for name, thing in things.items() if is_told(thing)}
    for name, module in things.items():
        if isinstance(module, ModuleType):
            names = getattr(module, "__all__", None) or list(vars(module))
            inner = {own: getattr(module, own) for own in names if not own.startswith("_")}
            for own, thing in inner.items():
                is_own = is_told(thing) and thing.__module__.startswith(module.__name__)
                if is_own and own not in things:
                    found[f"mk.{name}.{own}"] = thing
    return found


def is_told(thing: Any) -> bool:
    return inspect.isfunction(thing) or inspect.isclass(thing)


def stage(name: str, thing: Any) -> str:
    """The page on which a name stands."""
    room = thing.__module__.split(".")[1]
    return next((page for page, (_, rooms) in STAGES.items() if room in rooms), "below")


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    things = sorted(public().items(), key=lambda item: item[0].lower())
    made, index = {}, [NOTE, "", "# Reference", "", "Every public name, by stage of the work."]
    for page, (title, _) in STAGES.items():
        of_page = {name: thing for name, thing in things if stage(name, thing) == page}
        lines = [NOTE, "", f"# {title}", ""]
        index += ["", f"## [{title}]({page}.md)", "", "| | |", "|---|---|"]
        for name, thing in of_page.items():
            lines += entry(name, thing)
            first = (inspect.getdoc(thing) or "").partition("\n\n")[0]
            anchor = re.sub(r"[^\w-]", "", name.lower())
            told = plain(" ".join(first.split())).replace("|", r"\|")
            index.append(f"| [`{name}`]({page}.md#{anchor}) | {told} |")
        made[f"{page}.md"] = "\n".join(lines).rstrip() + "\n"
    return {**made, "README.md": "\n".join(index) + "\n"}


def write(folder: Path) -> None:
    """Write the pages, and remove those of before."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
