"""tools/reference.py: the pages are those of the docstrings, and hold every public name."""

from __future__ import annotations

import re
import runpy

import pytest
from running_pages import DOCS

import medkit as mk

TOOL = runpy.run_path(str(DOCS.parent / "tools" / "reference.py"))


def test_the_pages_are_made_of_the_docstrings_of_now(tmp_path):
    TOOL["write"](tmp_path)
    kept, made = (
        {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.md")}
        for folder in (DOCS / "reference", tmp_path)
    )
    stale = sorted(name for name in {*kept, *made} if kept.get(name) != made.get(name))
    assert not stale, f"docs/reference is stale ({', '.join(stale)}). Run: make reference"


def test_every_public_name_has_its_place():
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    told = {name for name in mk.__all__ if callable(getattr(mk, name))}
    assert len(told) > 50 and told <= set(re.findall(r"^## mk\.(\w+)$", text, re.M))
    index = (DOCS / "reference" / "README.md").read_text(encoding="utf-8")
    for page in set(re.findall(r"\]\((\w+\.md)", index)):
        assert (DOCS / "reference" / page).is_file()


@pytest.mark.parametrize(
    ("docstring", "page"),
    [
        ("One line.", "One line.\n"),
        ("Of <this>, `<that>`.", "Of \\<this>, `<that>`.\n"),
        (
            "What.\n\nArgs:\n    a: one,\n        and more.\n    b: two.\nSource: a paper.",
            "What.\n\n**Args**\n\n- a: one, and more.\n- b: two.\n\nSource: a paper.\n",
        ),
        (
            "What.\n\nExample:\n    >>> 1 + 1\n    2",
            "What.\n\n**Example**\n\n```pycon\n>>> 1 + 1\n2\n```\n",
        ),
        ("What.\n\n>>> 1\n1\n\nMore.", "What.\n\n```pycon\n>>> 1\n1\n```\n\nMore.\n"),
    ],
)
def test_a_docstring_becomes_a_part_of_a_page(docstring, page):
    assert "\n".join(TOOL["rendered"](docstring)) == page


def test_a_signature_is_what_the_source_says(tmp_path):
    file = tmp_path / "m.py"
    file.write_text(
        'class A:\n    """Words."""\n\n    size: int = 3  # pixels\n\n    @property\n'
        '    def f(self):\n        """F."""\n\n\ndef g(\n    a: int,  # an argument\n) -> A:\n'
        '    """G."""\n',
        encoding="utf-8",
    )
    source = TOOL["source"](str(file))
    assert source.signature("A") == "class A:\n    size: int = 3  # pixels"
    assert source.signature("g") == "def g(\n    a: int,  # an argument\n) -> A"
