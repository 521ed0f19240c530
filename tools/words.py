"""Names of medkit that call a thing by another word than docs/glossary.md. A report: fails nothing.

python tools/words.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent
INSTEAD_OF = {  # the glossary's word: words that are not used for it
    "task": ("challenge", "competition"),
    "case": ("sample", "item", "example", "instance"),
    "head": ("question",),
    "label": ("annotation", "gt", "groundtruth"),
    "prediction": ("pred", "preds", "inference"),
    "group": ("subject", "cluster"),
    "fold": ("kfold", "partition"),
    "config": ("cfg", "params", "hparams", "opts"),
    "run": ("experiment", "job", "exp"),
    "state": ("checkpoint", "ckpt", "snapshot"),
    "fact": ("metadata", "meta", "covariate"),
    "region": ("roi", "bbox"),
    "view": ("tta",),
    "window": ("tile",),
    "quarantine": ("rejects", "invalid"),
    "ledger": ("journal",),
    "picture, image": ("img", "imgs", "pic"),
    "folder, path": ("dir", "directory", "dirname", "fname", "filename", "filepath"),
}
FINE = {  # names that mean something else, or that others gave
    "__dir__": "Python's",
    "examples": "of what is wrong, in a message",
    "item": "whatever is counted while it goes by, in progress",
    "items": "the same",
    "Item": "the same",
    "annotation": "Python's, of a type",
    "annotations": "the same",
    "metadata": "a word of the files that are read",
    "_metadata": "the same",
    "y_pred": "scikit-learn's",
}


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What a file names itself: functions, classes, arguments, variables, attributes of its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield node.lineno, getattr(node, "id", getattr(node, "attr", ""))


def words(name: str) -> list[str]:
    """The words of a name: "n_bestImages" is n, best, images."""
    return re.findall(r"[a-z]+|[A-Z][a-z]*|[A-Z]+", name.replace("_", " "))


def broken(root: Path = ROOT / "medkit") -> list[str]:
    """One line for each name of a file that breaks the glossary."""
    better = {word: right for right, wrong in INSTEAD_OF.items() for word in wrong}
    lines = {}
    for path in sorted(root.rglob("*.py")):
        for line, name in names(ast.parse(path.read_text(encoding="utf-8"))):
            for word in words(name):
                word = word.lower()
                word = word if word in better else word.rstrip("s")
                if word in better and name not in FINE:
                    place = f"{path.relative_to(root.parent)}:{line}"
                    lines.setdefault((path, name), f"{place}: {name!r} ({better[word]}?)")
    return list(lines.values())


if __name__ == "__main__":
    found = broken()
    for line in found:
        print(line)
    print(f"{len(found)} names that break docs/glossary.md, beside {len(FINE)} known")
