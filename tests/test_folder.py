from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_runs import QUIET, TINY

import medkit as mk
from medkit import files, tables
from medkit.images import decode
from medkit.runs import holding
from medkit.runs.folder import open_folder

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


def make(number=12):
    """Cases of which each column is hard on the way through a CSV."""
    text = [None, "NA", "001", "", "1.50", "a,b", '"', "가"]
    return pd.DataFrame(
        {
            "id": [f"{k:03}" for k in range(number)],
            "path": [f"/d/{k}.png" if k else None for k in range(number)],
            "group": [k // 2 for k in range(number)],  # whole numbers
            "tissue": [text[k % 8] for k in range(number)],  # missing: NaN of pandas 3, None before
            "nothing": [None] * number,
            "gaps": pd.array([None, *range(1, number)], dtype="Int64"),
            "mixed": ["a", 1, 2.0, None] * (number // 4),
            "flags": [True, None] * (number // 2),
            7: [str(k) for k in range(number)],  # a column whose name is a number
            "small": np.linspace(0, 1, number, dtype=np.float32),
            "when": pd.date_range("2026-11-20", periods=number),
            "kind": pd.Categorical(["x", "y"] * (number // 2)),
            "region": [np.array([[0, 0], [k + 1, 0.5], [2, 3]]) for k in range(number)],
            "fold": np.arange(number) % 3,
        }
    )


def test_cases_that_came_back_from_a_run_are_the_same_cases(tmp_path):
    """Whatever `fit` took, `fit(run.config, run.cases(), run.path)` takes."""
    cases = make()
    run = open_folder(tmp_path / "run", TASK, CONFIG, cases, data="/d", fold=0)
    (run.path / "last.safetensors").write_bytes(b"begun")
    again = run.cases()
    assert tables.cases_hash(again) == tables.cases_hash(cases)
    assert open_folder(run.path, TASK, CONFIG, again, data="/d", fold=0).path == run.path
    assert list(again["group"][:3]) == ["0", "0", "1"] and again["nothing"].tolist() == [None] * 12
    assert again["tissue"].tolist()[:3] == [None, "NA", "001"]
    for column, value in {"tissue": "002", "group": 7, "mixed": 1.5, "region": None}.items():
        changed = cases.astype({column: object})
        changed.at[4, column] = value
        with pytest.raises(ValueError, match="cases: other ids, labels, regions or folds"):
            open_folder(run.path, TASK, CONFIG, changed, data="/d", fold=0)


def test_a_fold_and_settings_may_be_numbers_of_numpy(cases, drawn, tmp_path):
    config = mk.Config("caries", seed=np.int64(3), peak_lr=np.float32(0.5), balanced=np.bool_(True))
    for fold in cases["fold"].unique():
        path = tmp_path / f"fold{fold}"
        run = open_folder(path, TASK, config, cases, data=drawn, fold=fold)
        assert run.config == config and run.fold == fold and type(run.fold) is int


@pytest.mark.parametrize("name", ["task.json", "run.json", "cases.csv", "config.json"])
def test_a_disk_that_fills_up_leaves_no_half_of_a_run(cases, drawn, tmp_path, monkeypatch, name):
    whole = files.write_whole

    def full(path, data, **options):
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, data, **options)

    arguments = tmp_path / "실행", TASK, CONFIG, cases
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_whole", full)
        with pytest.raises(OSError, match="실행: not written, the disk is full"):
            open_folder(*arguments, data=drawn, fold=0)
    assert list(tmp_path.iterdir()) == []
    assert open_folder(*arguments, data=drawn, fold=0).config == CONFIG


KILLED = """
import os, signal, sys
import medkit as mk
from medkit import files, tables
from medkit.runs.folder import open_folder
whole = files.write_whole
def dies(path, data, **options):
    if path.name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, data, **options)
files.write_whole = dies
import pandas as pd
cases = pd.DataFrame({"id": ["a"], "path": ["/d/a.png"], "group": ["a"]})
open_folder(sys.argv[1], mk.get_task("caries"), mk.Config("caries"), cases, data="/d", fold=0)
"""


@pytest.mark.parametrize("name", ["run.json", "config.json"])
def test_a_kill_leaves_no_half_of_a_run(tmp_path, name):
    path = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), name], timeout=120)
    assert done.returncode < 0 and not path.exists() and mk.list_runs(tmp_path).empty
    (left,) = tmp_path.iterdir()
    cases = pd.DataFrame({"id": ["a"], "path": ["/d/a.png"], "group": ["a"]})
    assert open_folder(path, TASK, CONFIG, cases, data="/d", fold=0).config == CONFIG
    assert left.exists()  # somebody may be building there
    os.utime(left, (0, 0))
    shutil.rmtree(path)
    open_folder(path, TASK, CONFIG, cases, data="/d", fold=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_what_a_kill_of_an_earlier_version_left_is_completed(cases, drawn, tmp_path):
    run = open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)
    (run.path / "config.json").unlink()
    (run.path / ".config.json.ab12cd34").write_text("{")
    again = open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)
    assert again.config == CONFIG
    (run.path / "config.json").unlink()
    (run.path / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="neither empty nor a run .*letter.txt"):
        open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)


def test_nothing_of_others_is_taken_for_half_of_a_run(cases, drawn, tmp_path):
    others = [".env.local", ".env.settings", ".env.ab12cd34", ".env.d"]
    for name in others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    open_folder(tmp_path / "env", TASK, CONFIG, cases, data=drawn, fold=0)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "env"])


def test_folds_may_be_texts(cases, drawn, tmp_path):
    texts = cases.assign(fold=cases["fold"].map({0: "left", 1: "1", 2: "2"}))
    for fold in ("left", "1"):
        run = open_folder(tmp_path / fold, TASK, CONFIG, texts, data=drawn, fold=fold)
        assert run.fold == fold and (run.cases()["fold"] == fold).any()


def test_two_may_make_a_folder_at_once(cases, drawn, tmp_path, monkeypatch):
    path, rename = tmp_path / "run", os.rename

    def slower(old, new):
        monkeypatch.undo()
        open_folder(path, TASK, CONFIG, cases, data=drawn, fold=0)
        rename(old, new)

    monkeypatch.setattr(os, "rename", slower)
    assert open_folder(path, TASK, CONFIG, cases, data=drawn, fold=0).fold == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_the_name_of_a_recipe_does_not_stop_a_run_from_going_on(cases, drawn, tmp_path):
    run = open_folder(tmp_path / "run", TASK, CONFIG, cases, data=drawn, fold=0)
    (run.path / "last.safetensors").write_bytes(b"begun")
    other = mk.Config("caries", name="another")
    assert open_folder(run.path, TASK, other, cases, data=drawn, fold=0).config.name == "default"
    with pytest.raises(ValueError, match=r"begun with other settings \(epochs: 20 saved, 3 asked"):
        more = mk.Config("caries", name="another", epochs=3)
        open_folder(run.path, TASK, more, cases, data=drawn, fold=0)


def test_a_table_of_runs_survives_whatever_lies_there(cases, drawn, tmp_path):
    places = {name: tmp_path / name for name in ("good", "newer", "listed", "torn", "deep", "late")}
    for path in places.values():
        open_folder(path, TASK, CONFIG, cases, data=drawn, fold=0)
    settings = {**CONFIG.to_dict(), "from_tomorrow": 1}
    files.write_json(places["newer"] / "config.json", settings)
    files.write_json(places["listed"] / "status.json", [])
    (places["torn"] / "config.json").write_text('{"task": "car')
    with holding.hold(places["late"]):
        status = holding.read_status(places["late"])
    files.write_json(places["late"] / "status.json", {**status, "beat": float("inf")})
    (places["deep"] / "config.json").write_text("[" * 100_000)
    (tmp_path / "hugging-face").mkdir()
    files.write_json(tmp_path / "hugging-face" / "config.json", {"architectures": ["ViT"]})
    (tmp_path / "handin" / "source_dir").mkdir(parents=True)
    files.write_json(tmp_path / "handin" / "source_dir" / "config.json", CONFIG.to_dict())
    table = mk.list_runs(tmp_path).set_index("run")
    states = {"good": "new", "listed": "new"}
    states.update(dict.fromkeys(("newer", "torn", "deep", "late"), "unreadable"))
    assert table["state"].to_dict() == states
    assert "no setting 'from_tomorrow'" in table["reason"]["newer"]
    assert "config.json: damaged" in table["reason"]["torn"]
    assert "config.json: damaged" in table["reason"]["deep"]
    with pytest.raises(FileNotFoundError, match="not a run folder, it has no run.json"):
        mk.Run(tmp_path / "hugging-face")


@pytest.fixture
def moved(cases, drawn, tmp_path):
    """A run that was stopped after an epoch of three, and a copy of its data elsewhere."""
    here = tmp_path / "here"
    shutil.copytree(drawn, here)
    own = cases.assign(path=[path.replace(str(drawn), str(here)) for path in cases["path"]])
    config = mk.Config("caries", epochs=1, batch_size=32, **TINY)
    run = mk.fit(config, own, tmp_path / "run", **QUIET)
    more = {**config.to_dict(), "epochs": 2}  # as if it had been stopped then
    files.write_json(run.path / "config.json", more)
    status = json.loads((run.path / "status.json").read_text())
    files.write_json(run.path / "status.json", {**status, "state": "stopped"})
    here.rename(tmp_path / "there")
    return run


@pytest.mark.parametrize("way", ["data=", "cases of there"])
@pytest.mark.parametrize("begin", [mk.fit, mk.start], ids=["fit", "start"])
def test_a_run_goes_on_where_its_data_have_moved_to(moved, tmp_path, begin, way):
    there, quiet = tmp_path / "there", {"num_workers": 0, "device": "cpu"}
    if begin is mk.fit:
        quiet["progress"] = False
    with pytest.raises(FileNotFoundError, match="the picture is gone .* pass data=..."):
        begin(moved.config, moved.cases(), moved.path, **quiet)
    with pytest.raises(FileNotFoundError, match="json: it does not hold the pictures that"):
        moved.cases(tmp_path / "there" / "train_data" / "json")
    if way == "data=":
        run = begin(moved.config, moved.cases(), moved.path, data=there, **quiet)
    else:
        run = begin(moved.config, moved.cases(there), moved.path, **quiet)
    while run.state in ("new", "running"):
        time.sleep(0.05)
    assert run.state == "finished" and list(run.history["epoch"]) == [1, 2]


def test_pictures_of_another_size_than_recorded_are_refused(moved, tmp_path):
    path = Path(moved.cases(tmp_path / "there")["path"].iloc[0])
    width, height = decode.size(path)
    Image.new("RGB", (width + 1, height)).save(path)
    words = (
        rf"1 of 18 pictures have another size.*{path.name} \({width + 1} x {height} pixels, then"
    )
    with pytest.raises(ValueError, match=words):
        mk.fit(moved.config, moved.cases(), moved.path, data=tmp_path / "there", **QUIET)
    with pytest.raises(RuntimeError, match=words):
        mk.start(moved.config, moved.cases(), moved.path, data=tmp_path / "there", device="cpu")
