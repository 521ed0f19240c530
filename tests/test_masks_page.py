"""docs/masks.md, word for word, with a smaller model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import medkit as mk
from medkit import datasets

PAGE = Path(__file__).resolve().parent.parent / "docs" / "masks.md"
SMALLER = {
    '"resnet18"': '"test_resnet", decoder_channels=(32, 16, 16, 8, 8)',
    "fold=0)": "fold=0, num_workers=0, progress=False)",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    text, space = PAGE.read_text(encoding="utf-8"), {"__name__": "page"}
    assert all(old in text for old in SMALLER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.setattr(datasets, "TASKS", dict(datasets.TASKS))
        patch.setattr("medkit.runs.own_tasks.TASKS", datasets.TASKS)
        for block in re.findall(r"```python\n(.*?)```", text, re.S):
            for old, new in SMALLER.items():
                block = block.replace(old, new)
            exec(compile(block, str(PAGE), "exec"), space)
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
    text = PAGE.read_text(encoding="utf-8")
    names = set(re.findall(r"mk\.(\w+)", text))
    assert len(names) > 10 and not {name for name in names if not hasattr(mk, name)}
    known = {field for field in mk.Config.__dataclass_fields__}
    told = set(re.findall(r"`(\w+)=", text)) - {"kind", "values", "ignore", "columns", "how"}
    assert told - known <= {"order", "base", "more_than", "smallest"}
