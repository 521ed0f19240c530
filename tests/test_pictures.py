from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from medkit.runs.pictures import data_folder, moved, place_now


@pytest.fixture
def data(tmp_path):
    for place in ("train/a/1.png", "train/b/2.png", "train/a/3.png"):
        path = tmp_path / "data" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "data"


def cases_of(data):
    return pd.DataFrame({"path": [*map(str, sorted(Path(data).rglob("*.png"))), None]})


def test_the_data_folder_is_above_all_pictures(data):
    assert data_folder(cases_of(data)) == data / "train"
    assert data_folder(cases_of(data / "train" / "b")) == data / "train" / "b"


def test_relative_and_absolute_paths_may_be_mixed(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    both = pd.concat([cases_of("data"), cases_of(data)])
    assert os.path.isabs(both["path"].iloc[-2]) and not os.path.isabs(both["path"].iloc[0])
    assert data_folder(both) == data / "train"


def test_what_has_not_moved_stays_and_paths_may_be_paths(data):
    cases = cases_of(data)
    copy = data / data.name / "train" / "a"
    copy.mkdir(parents=True)
    (copy / "1.png").write_bytes(b"of a doubled extraction")
    for table in (cases, cases.assign(path=[p and Path(p) for p in [*cases["path"][:3], None]])):
        assert list(moved(table, data)["path"].dropna()) == list(cases["path"][:3])
        assert data_folder(table) == data / "train"
    nothing = cases.iloc[3:]
    assert moved(nothing, data) is nothing
    assert place_now(data, "train/a", "1.png") == data / "train" / "a"  # as once it was saved


@pytest.mark.parametrize("above", ["", "train"], ids=["the data folder", "a folder in it"])
def test_what_has_moved_is_found_by_any_folder_above_it(data, above):
    cases, new = cases_of(data), data.parent / "neu"
    data.rename(new)
    (new / "a").mkdir()
    (new / "a" / "1.png").write_bytes(b"another picture of the same name")
    again = moved(cases, new / above)
    assert [p and str(Path(p).relative_to(new)) for p in again["path"]] == [
        *("train/a/1.png", "train/a/3.png", "train/b/2.png"),
        None,
    ]
    with pytest.raises(FileNotFoundError, match="such as '1.png'.* Pass data=... with the folder"):
        place_now(new / "train" / "b", data / "train" / "a", "1.png")
