"""What notebook 01 tells the others: set once, None elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import medkit as mk


@pytest.fixture
def work(monkeypatch):
    """A notebook's folder, a floor below the home."""
    folder = Path.home() / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_notebook_01_tells_the_others(work, capsys):
    (Path.home() / "dataset").mkdir()
    with pytest.raises(FileNotFoundError, match="None means nothing here.*Run 01_eda.ipynb first"):
        mk.recall(None, None, None)
    first = mk.remember("sinus", "dataset", "runs")
    assert first == ("sinus", str(Path.home() / "dataset"), "runs") == mk.recall(None, None, None)
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"sinus, data in {Path.home() / 'dataset'}, runs in runs"
    (work / "copy").mkdir()
    assert mk.recall("mask", "copy", None) == ("mask", str(work / "copy"), "runs")
    assert mk.recall() == first  # what one notebook sets is its own
    with pytest.raises(FileNotFoundError, match="Set DATA"):
        mk.recall(None, "nowhere", None)


def test_runs_elsewhere_are_remembered_too(work, tmp_path):
    (Path.home() / "dataset").mkdir()
    first = mk.remember("caries", "dataset", tmp_path / "big disk")
    assert first[2] == str(tmp_path / "big disk") and mk.recall() == first
    assert mk.recall(runs=tmp_path / "big disk") == first
    assert mk.remember("caries", "dataset", "runs") == mk.recall()  # and back
    mk.remember("caries", "dataset", "~/all runs")
    assert (Path.home() / "all runs" / "contest.json").is_file() and not (work / "~").exists()


def test_what_cannot_be_is_not_remembered(work):
    with pytest.raises(ValueError, match="Did you mean 'caries'"):
        mk.remember("carries", ".", "runs")
    with pytest.raises(FileNotFoundError):
        mk.remember("caries", "dataset", "runs")
    assert not (work / "runs").exists()
    (work / "runs").mkdir()
    nulls = '{"task": null, "data": null, "runs": null}'
    for text in ("{}", "[]", "{", "[" * 100_000, nulls):
        (work / "runs" / "contest.json").write_text(text)
        with pytest.raises(ValueError, match=r"contest\.json: damaged\. Run 01_eda\.ipynb again"):
            mk.recall()
