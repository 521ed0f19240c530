from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import medkit as mk
from medkit.runs.folder import data_folder, open_folder

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries")


def test_a_run_folder_is_made_and_found_again(cases, drawn, tmp_path):
    run = open_folder(tmp_path / "실행", TASK, CONFIG, cases, data=drawn, fold=1)
    assert run.config == CONFIG and run.task is TASK and run.fold == 1
    again = open_folder(tmp_path / "실행", TASK, CONFIG, cases, data=drawn, fold=1)
    assert again.path == run.path
    assert "train_data/image/" in (run.path / "cases.csv").read_text()


def test_moved_data_are_named_when_read(cases, drawn, tmp_path):
    run = open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)
    shutil.copytree(drawn, tmp_path / "moved")
    moved = run.cases(data=tmp_path / "moved")
    assert all(Path(path).is_file() for path in moved["path"])
    assert str(tmp_path / "moved") in moved["path"][0]


def test_what_is_no_run_folder_says_what_was_found(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"not a run folder.*\(found a\.txt\)"):
        mk.Run(tmp_path)


def test_an_unfinished_run_says_what_is_missing(cases, drawn, tmp_path):
    run = open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)
    with pytest.raises(FileNotFoundError, match=r"predictions\.csv: not there yet"):
        _ = run.predictions


def test_the_data_folder_is_above_all_pictures():
    paths = ["/d/train/a/1.png", "/d/train/b/2.png", "/d/train/a/3.png", None]
    assert data_folder(pd.DataFrame({"path": paths})) == Path("/d/train")
