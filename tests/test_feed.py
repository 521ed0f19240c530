from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import medkit as mk
from medkit.tables import visible

SOURCE = Path(mk.__file__).parents[1] / "benchmarks" / "feed.py"
SPEC = importlib.util.spec_from_file_location("feed", SOURCE)
feed = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(feed)


@pytest.mark.parametrize("whole", [True, False])
def test_the_home_made_script_shows_the_same_pictures(cases, tmp_path, whole):
    """Else the ratio would compare two different tasks."""
    table = visible(cases)
    if whole:
        table = table.drop_duplicates("path").drop(columns="region")
    table = table.reset_index(drop=True)
    config = mk.Config("caries", image_size=64)
    theirs = feed.plain(table, config, tmp_path)
    ours = feed.Originals(table, config)
    assert len(theirs) == len(table) == len(ours)
    theirs.transform = np.asarray
    for row in (0, len(table) // 2, len(table) - 1):
        picture = feed.crop.pad_to_square(theirs[row][0], size=64).astype(float)
        apart = [np.abs(picture - ours[other]).mean() for other in range(len(table))]
        assert np.argmin(apart) == row and apart[row] < 10


def test_measurements_take_turns_from_either_end():
    said = []
    ways = {name: lambda name=name: said.append(name) or 1.0 for name in "ab"}
    assert feed.take_turns(ways, 2, lambda: None) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert said == ["a", "b", "b", "a"]


def test_the_first_batch_is_not_counted(monkeypatch):
    clock = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(feed.time, "perf_counter", lambda: next(clock))
    assert feed.rate([[[0] * 8]] * 3, 100) == 16 / 4
