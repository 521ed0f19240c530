"""Folders that a person names: looked for upwards, and named exactly where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import medkit as mk
from medkit.datasets.places import find_folder


@pytest.fixture
def work(monkeypatch):
    """A notebook's folder, two floors below the home."""
    folder = Path.home() / "대회" / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_is_found_from_the_notebook_upwards_and_told_once(work, capsys):
    (Path.home() / "dataset" / "train").mkdir(parents=True)
    assert find_folder("dataset") == Path.home() / "dataset"
    assert capsys.readouterr().out == f"dataset: taken from {Path.home() / 'dataset'}\n"
    assert find_folder("dataset/") == Path.home() / "dataset"
    assert find_folder("dataset/train") == Path.home() / "dataset" / "train"
    assert capsys.readouterr().out.count("taken from") == 1  # of the second place
    (work / "here").mkdir()
    assert find_folder("here") == work / "here" and capsys.readouterr().out == ""


def test_two_are_refused_with_both(work):
    (work / "dataset").mkdir()
    (Path.home() / "dataset").mkdir()
    with pytest.raises(ValueError, match="there are 2 such folders") as caught:
        find_folder("dataset")
    assert str(work / "dataset") in str(caught.value)
    assert str(Path.home() / "dataset") in str(caught.value)
    assert find_folder("./dataset") == work / "dataset"
    assert find_folder("~/dataset") == Path.home() / "dataset"
    (work / "dataset").rmdir()
    (work / "dataset").symlink_to(Path.home() / "dataset")  # one folder by two names
    assert find_folder("dataset") == work / "dataset"


def test_nothing_above_the_home_is_taken(work, monkeypatch, tmp_path):
    (Path.home().parent / "dataset").mkdir(exist_ok=True)  # anyone's
    with pytest.raises(FileNotFoundError):
        find_folder("dataset")
    outside = tmp_path / "a" / "b"
    outside.mkdir(parents=True)
    (tmp_path / "dataset").mkdir()
    monkeypatch.chdir(outside)
    with pytest.raises(FileNotFoundError, match="no such folder .in "):
        find_folder("dataset")
    assert find_folder("../../dataset") == tmp_path / "dataset"
    (tmp_path / "a" / "dataset").mkdir()  # beside the notebook's folder: as the kit lies
    assert find_folder("dataset") == tmp_path / "a" / "dataset"
    (Path.home().parent / "dataset").rmdir()


def test_the_message_names_places_and_near_names_but_nothing_hidden(work):
    for name in (".cache", ".dataset", "Dataset_2022", "notes"):
        (Path.home() / name).mkdir()
    (work.parent / "data" / "dataset").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as caught:
        find_folder("dataset", "Set DATA to the contest's folder.")
    words = str(caught.value)
    assert f"dataset: no such folder (in {work}: nothing;" in words
    assert f"above it as far as {Path.home()}: Dataset_2022/, notes/, 대회/)." in words
    assert ".cache" not in words and ".dataset" not in words
    assert str(Path.home() / "Dataset_2022") in words.partition("Did you mean")[2]
    assert str(work.parent / "data" / "dataset") in words.partition("Did you mean")[2]
    assert "Set DATA to the contest's folder." in words


def test_a_link_to_the_home_is_the_home(work, monkeypatch, tmp_path):
    link = tmp_path / "home"
    link.symlink_to(Path.home())
    (Path.home() / "dataset").mkdir()
    monkeypatch.setenv("HOME", str(link))
    assert os.path.samefile(find_folder("dataset"), link / "dataset")


def test_contests_and_tables_of_ones_own_look_upwards(work, drawn, tmp_path):
    (Path.home() / "dataset").symlink_to(drawn)
    assert len(mk.get_task("caries").read("dataset", "train"))
    with pytest.raises(ValueError, match="not the layout of the sinus contest"):
        mk.get_task("sinus").read("dataset", "train")
    assert mk.read_folders("dataset/train_data/image")["path"].notna().all()


def test_odd_names_and_places_are_told(work, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="an empty name of a folder. Set DATA"):
        find_folder(" ", "Set DATA.")
    (work / "dataset").write_text("a file")
    with pytest.raises(FileNotFoundError, match=r"no such folder \(in .*: dataset;"):
        find_folder("dataset")
    monkeypatch.setattr("os.listdir", lambda path: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(FileNotFoundError, match=r"a folder that cannot be read \(no\)"):
        find_folder(tmp_path / "x")
