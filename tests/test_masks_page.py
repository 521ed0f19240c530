"""docs/how-to/masks.md, word for word, with a smaller model."""

from __future__ import annotations

import re

import pytest
from running_pages import DOCS, names_that_are_not, run_page, working_folder

import medkit as mk

PAGE = "how-to/masks.md"
SMALLER = {
    '"resnet18"': '"test_resnet", decoder_channels=(32, 16, 16, 8, 8)',
    "fold=0)": "fold=0, num_workers=0, progress=False)",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    with working_folder(tmp_path_factory.mktemp("page")) as folder:
        space = run_page(PAGE, folder, SMALLER)
        space["csv"] = space["csv"].resolve()
        yield space


def test_the_page_goes_from_files_to_a_checked_table(done):
    lines = done["csv"].read_text().splitlines()
    assert lines[0] == "id,class,rle" and len(lines) == 1 + 8 * 2
    assert lines[1].startswith("32.png,disc,")


def test_the_shapes_are_learnt(done):
    task, held_out, run = done["task"], done["held_out"], done["run"]
    scores = mk.score(task, held_out, run.predictions, threshold=done["threshold"])
    assert scores["dice"] > 0.5, scores


def test_the_page_names_only_what_there_is():
    assert not names_that_are_not(PAGE)
    known = {field for field in mk.Config.__dataclass_fields__}
    told = set(re.findall(r"`(\w+)=", (DOCS / PAGE).read_text(encoding="utf-8")))
    told -= {"kind", "values", "ignore", "columns", "how"}
    assert told - known <= {"order", "base", "more_than", "smallest"}
