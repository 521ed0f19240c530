"""What nothing in medkit uses, by vulture. A report for `make check`: it fails nothing.

    python tools/dead_code.py

Used is what medkit's own code, the notebooks and the pages' code name, and what is public. Tests
and benchmarks do not count: what only they call is dead, too.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import vulture

import medkit as mk

ROOT = Path(__file__).resolve().parent.parent
CALLED_BY_OTHERS = {  # by name: who calls it, or reads it
    "_render_traceback_": "IPython, of an error",
    "_repr_png_": "IPython, of a figure",
    "_ipython_display_": "IPython, of a form",
    "__getattr__": "Python, of a module",
    "__dir__": "Python, of a module",
    "__call__": "Python, of an object",
    "description_width": "ipywidgets",
    "placeholder": "ipywidgets",
    "trust_env": "requests",
    "proxies": "requests",
    "msg": "http.client and waitress, of what they hold",
    "debuglevel": "http.client, as an argument",
    "to_response": "waitress",
    "ident": "waitress, as an argument",
    "worker": "torch, as an argument",
    "memo": "copy, as an argument",
    "protocol": "pickle, as an argument",
    "finals": "the templates of the leaderboard",
    "focal": "getattr, of the losses of masks by name",
    "tversky": "getattr, of the losses of masks by name",
    "stretched": "organisers: docs/how-to/leaderboard.md",
    "time_utc": "who reads a receipt",
    "SUSPECT": "contestants: inspect(..., without=SUSPECT)",
}


def pages() -> dict[str, str]:
    """The code of notebooks and pages, by file."""
    code = {}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code[path.name] = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    for path in [*ROOT.glob("docs/how-to/*.md"), *ROOT.glob("docs/explanation/*.md")]:
        blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
        code[str(path.relative_to(ROOT))] = "\n".join(blocks)
    return code


def is_rule(name: str) -> bool:
    """Whether it is a method by the name of a kind of syntax: the walk of an audit calls those."""
    return name.startswith("_") and hasattr(ast, name[1:])


def report() -> tuple[list[str], list[str]]:
    """One line for each name that nothing uses, and the exceptions that are none any more."""
    seen = vulture.Vulture(ignore_names=list(mk.__all__), ignore_decorators=["@app.*"])
    for name, code in pages().items():
        seen.scan(code, filename=name)
    seen.scavenge([str(ROOT / "medkit")])
    found = [item for item in seen.get_unused_code() if Path(item.filename).is_absolute()]
    lines = [
        f"{Path(item.filename).relative_to(ROOT)}:{item.first_lineno}: {item.typ} {item.name!r}"
        for item in found
        if item.name not in CALLED_BY_OTHERS and not is_rule(item.name)
    ]
    return sorted(lines), sorted(set(CALLED_BY_OTHERS) - {item.name for item in found})


if __name__ == "__main__":
    lines, gone = report()
    for line in lines:
        print(line)
    print(f"{len(lines)} names of medkit that nothing uses, beside {len(CALLED_BY_OTHERS)} known")
    if gone:
        print(f"no exceptions any more: {', '.join(gone)}")
