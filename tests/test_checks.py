"""tools/words.py and tools/dead_code.py: what `make check` reports beside style."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pytest
from running_pages import DOCS

TOOLS = DOCS.parent / "tools"
WORDS = runpy.run_path(str(TOOLS / "words.py"))


def test_words_that_the_glossary_has_another_one_for_are_named(tmp_path):
    package = tmp_path / "kit"
    package.mkdir()
    (package / "a.py").write_text(
        "class BestSamples:\n    def of(self, cfg):\n        self.img_list = n_ckpt = [cfg.dir]\n"
        "        return n_ckpt, cases, y_pred\n",
        encoding="utf-8",
    )
    found = WORDS["broken"](package)
    assert [re.search(r"'\w+' \(.*\?\)$", line)[0] for line in found] == [
        "'BestSamples' (case?)",
        "'cfg' (config?)",
        "'img_list' (picture, image?)",
        "'n_ckpt' (state?)",
    ]
    assert found[1].startswith("kit/a.py:2: ")


def test_the_words_of_the_table_stand_in_the_glossary():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = set(re.findall(r"^\| \*\*([\w-]+)\*\*", text, re.M))
    beside = {"picture, image", "folder, path"}  # plain words, one of which each file takes
    assert set(WORDS["INSTEAD_OF"]) - beside <= terms


@pytest.mark.parametrize("name", ["words.py", "dead_code.py"])
def test_a_report_fails_nothing(name):
    done = subprocess.run(
        [sys.executable, str(TOOLS / name)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert re.search(r"^\d+ names .*, beside \d+ known$", done.stdout, re.M)


def test_what_nothing_uses_is_named(monkeypatch):
    tool = runpy.run_path(str(TOOLS / "dead_code.py"))
    monkeypatch.delitem(tool["CALLED_BY_OTHERS"], "stretched")
    monkeypatch.setitem(tool["CALLED_BY_OTHERS"], "never_written", "nobody")
    lines, gone = tool["report"]()
    assert [line for line in lines if line.endswith("function 'stretched'")]
    assert "never_written" in gone
