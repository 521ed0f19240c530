"""The Korean notebooks: the code of the English ones, cell by cell, and prose of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import run_notebooks  # noqa: E402
import sync_korean  # noqa: E402

NAMES = [path.name for path in run_notebooks.NOTEBOOKS]
SYNC = "python tools/sync_korean.py brings code over"


def book(name):
    return json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))


def pairs(name, kind):
    """(where, an English cell's text, its twin's) of each cell of a kind."""
    both = zip(book(name)["cells"], book(f"ko/{name}")["cells"])
    return [
        (f"ko/{name}, cell {number} ({ours['id']})", *("".join(c["source"]) for c in (ours, twin)))
        for number, (ours, twin) in enumerate(both)
        if ours["cell_type"] == kind
    ]


def test_each_notebook_has_its_twin():
    there = sorted(path.name for path in (ROOT / "notebooks" / "ko").glob("*.ipynb"))
    assert there == NAMES, SYNC


@pytest.mark.parametrize("name", NAMES)
def test_the_code_is_the_same_cell_by_cell(name):
    english, korean = book(name), book(f"ko/{name}")
    for number, (cell, twin) in enumerate(zip(english["cells"], korean["cells"])):
        where = f"ko/{name}, cell {number} ({cell['id']}): {SYNC}"
        assert (cell["id"], cell["cell_type"]) == (twin["id"], twin["cell_type"]), where
        assert cell["cell_type"] == "markdown" or cell == twin, where
    assert len(english["cells"]) == len(korean["cells"]), f"ko/{name}: {SYNC}"
    assert {**english, "cells": []} == {**korean, "cells": []}, f"ko/{name}: {SYNC}"


@pytest.mark.parametrize("name", NAMES)
def test_the_prose_is_korean_and_holds_the_same_names_and_numbers(name):
    for where, english, korean in pairs(name, "markdown"):
        assert re.search("[가-힣]", korean), f"{where} is not translated"
        assert not held(english) ^ held(korean), f"{where} has drifted: {english}"
        assert numbers(english) <= numbers(korean), f"{where} has drifted: {english}"
        assert shape(english) == shape(korean), where


def held(text):
    """Code in a text, and what it shows in quotes."""
    return set(re.findall(r"`[^`]+`", text)) | set(re.findall(r'"[^"]+"', text))


def numbers(text):
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def shape(text):
    """Headings, paragraphs, and how often something is emphasised."""
    lines = text.split("\n")
    return [re.match("#*", line).group(0) for line in lines], len(lines), text.count("*")


def test_syncing_takes_the_code_and_keeps_the_prose(tmp_path):
    def cells(*given):
        made = [dict(zip(("id", "cell_type", "source"), cell)) for cell in given]
        return {"cells": made, "nbformat": 4}

    code, prose = ("a", "code", ["x = 2"]), ("b", "markdown", ["Look."])
    here = cells(("b", "markdown", ["보세요."]), ("a", "code", ["x = 1"]), ("z", "code", ["old"]))
    new = ("c", "markdown", ["New."])
    wanted = cells(code, ("b", "markdown", ["보세요."]), new)
    assert sync_korean.synced(cells(code, prose, new), here) == wanted
    english, korean = tmp_path / "01.ipynb", tmp_path / "ko.ipynb"
    english.write_text(json.dumps(cells(code, prose)), encoding="utf-8")
    assert sync_korean.sync(english, korean) and not sync_korean.sync(english, korean)
    assert json.loads(korean.read_text(encoding="utf-8")) == cells(code, prose)


def test_make_run_takes_the_language_from_its_command_line_alone(monkeypatch):
    assert set(run_notebooks.LANGUAGES) == {"en", "ko"}
    assert [path.parent.name for path in run_notebooks.LANGUAGES["ko"]] == ["ko"] * len(NAMES)
    for given, wanted in (["LANGUAGE=ko"], "ko"), ([], "en"):
        monkeypatch.setenv("LANGUAGE", "de_DE:de")  # as desktops set it
        command = ["make", "-n", "run", *given]
        said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
        assert f"run_notebooks.py  --language {wanted}" in said.stdout


def test_a_korean_notebook_runs_where_it_lies_and_where_it_is_uploaded(
    drawn, tmp_path, monkeypatch
):
    monkeypatch.setenv("MEDKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    kept = tmp_path / "home" / "dataset"
    kept.parent.mkdir()
    kept.symlink_to(drawn)
    path = run_notebooks.LANGUAGES["ko"][0]
    for place in ("home", "home/medkit/notebooks/ko"):  # "dataset" lies in it, or above
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        copy = run_notebooks.run_notebook(path, tmp_path / place, {"N_FOLDS": 2})
        told = json.loads((copy.parent / "runs" / "contest.json").read_text(encoding="utf-8"))
        assert Path(told["data"]).samefile(drawn)
        assert "먼저 살펴보기" in copy.read_text(encoding="utf-8")
