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
from functools import lru_cache, reduce
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any, Iterator, NamedTuple

import medkit as mk

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
PAGES = (  # a file for each stage of `help(mk)`, in that order
    *("data", "training", "predicting", "ensembling", "figures", "submitting", "organisers"),
    *("own_contests", "modules", "errors"),
)
DEEPER = ("datasets.sleep",)  # modules that are no public name, but hold something public
NOTE = (
    "<!-- Made by tools/reference.py from the docstrings: change those, then `make reference`. -->"
)
SHARED = (
    "Examples stand on a small drawn contest of teeth: `task` and `data` (its folder), `cases` (in "
    "3 folds) and `test_cases`; `config`, and by it `run` (of fold 0) and `runs` (of all); "
    "`held_out` (the cases of fold 0, of which `run.predictions` are) and `predictions` of the "
    "test cases; `bones`, `hands` and `bone_masks` are a task of masks, its cases and predictions, "
    "`recording` is a night as EDF. Your own have the same names in the notebooks."
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
                if title in ("Returns:", "Yields:"):
                    entries = [" ".join(entries)]
                yield from (f"**{title[:-1]}**", "")
                yield from (f"- {plain(' '.join(e.split()))}" for e in entries)
                yield ""
            else:
                yield from (plain(part), "")


def plain(text: str) -> str:
    """Text in which Markdown finds no tags."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or r"\<", text)


def public() -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each stage its title, and its functions, classes and errors by name: "mk.fit"."""
    for stage, names in mk._STAGES.items():
        found = {}
        for name in (*names, *(DEEPER if stage == "modules" else ())):
            thing = reduce(getattr, name.split("."), mk)
            of_module = told_of(thing) if isinstance(thing, ModuleType) else {"": thing}
            found.update({f"mk.{name}.{own}".rstrip("."): each for own, each in of_module.items()})
        yield stage, found


def told_of(module: ModuleType) -> dict[str, Any]:
    """What a module has of its own, or lets others have by `__all__`, and is not public already."""
    names = getattr(module, "__all__", None) or [
        name for name, thing in vars(module).items() if is_own(thing, module)
    ]
    things = {name: getattr(module, name) for name in names if not name.startswith("_")}
    return {name: each for name, each in things.items() if is_told(each) and name not in mk._PUBLIC}


def is_own(thing: Any, module: ModuleType) -> bool:
    return getattr(thing, "__module__", "") == module.__name__


def is_told(thing: Any) -> bool:
    return inspect.isfunction(thing) or inspect.isclass(thing)


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    made, index = (
        {},
        [NOTE, "", "# Reference", "", "Every public name, by stage of the work.", "", SHARED],
    )
    for page, (stage, things) in zip(PAGES, public()):
        title = stage[0].upper() + stage[1:]
        lines = [NOTE, "", f"# {title}", ""]
        index += ["", f"## [{title}]({page}.md)", "", "| | |", "|---|---|"]
        for name, thing in things.items():
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
