"""docs/: pages whose code runs, links that lead somewhere, and a drawing that is true."""

from __future__ import annotations

import re
import warnings

import pytest
from running_pages import DOCS, run_page, working_folder
from test_package import SOURCES, imported, package

PAGES = ("explanation/house.md",)  # the others have tests of their own


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path, capsys):
    with working_folder(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few photos, not all of each fold
        run_page(page, tmp_path)


def test_the_drawing_of_the_house_is_true():
    text = (DOCS / "explanation/house.md").read_text(encoding="utf-8")
    drawing = re.search(r"```text\n(.*?)```", text, re.S)[1]
    floors = [line[:38].split() for line in drawing.splitlines()]
    floors[-1] = drawing.splitlines()[-1].split()
    rooms = [room for floor in floors for room in floor]
    assert sorted(rooms) == sorted({package(path) for path in SOURCES} - {"__init__"})
    for path in SOURCES:
        for height, floor in enumerate(floors):
            if package(path) in floor:
                above = {room for other in floors[:height] for room in other}
                assert not set(imported(path)) & above, path
