from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import medkit as mk

TASK = mk.get_task("caries")


@pytest.fixture
def photos():
    """3,000 photos, 2,000 of them decayed; one false alarm, six missed."""
    truth = np.array(["decayed"] * 2000 + ["sound"] * 1000)
    prob = (truth == "decayed").astype(float)
    prob[:6], prob[2000] = 0.0, 1.0
    names = [f"front_{k}" for k in range(3000)]
    cases = pd.DataFrame({"id": names, "photo": names, "path": "x.png", "group": names})
    cases = cases.assign(photo_decayed=truth, decayed=truth)
    return cases, pd.DataFrame({"id": names, "sound": 1 - prob, "decayed": prob})


def test_both_folders_are_written_as_the_guide_wants(photos, tmp_path):
    notebook = tmp_path / "02_학습.ipynb"
    notebook.write_text("{}")
    folder = mk.handin(TASK, *photos, tmp_path / "handin", sources=[notebook])
    first = (folder / "performance_metric_dir/f1_score.txt").read_text().splitlines()[0]
    name, value = first.split()
    assert name == "f1_macro" and len(value) == 18  # 16 decimals
    assert float(value) == pytest.approx(0.997378268970877, abs=1e-15)
    names = {path.name for path in (folder / "source_dir").iterdir()}
    assert names == {"02_학습.ipynb", "medkit", "versions.txt"}
    assert (folder / "source_dir/medkit/training/loop.py").is_file()
    versions = (folder / "source_dir/versions.txt").read_text()
    assert versions.startswith("Python 3.") and "\ntorch " in versions


def test_a_task_without_the_score_that_is_asked_for_keeps_what_lies_there(photos, tmp_path):
    task = mk.get_task("pathology")
    ids = [str(k) for k in range(4)]
    cases = pd.DataFrame({"id": ids, "path": "x.png", "group": ids})
    cases["tissue"] = ["benign", "malignant"] * 2
    guesses = pd.DataFrame({"id": ids, "benign": [0.9, 0.1] * 2, "malignant": [0.1, 0.9] * 2})
    folder = mk.handin(TASK, *photos, tmp_path / "handin")
    before = sorted(path for path in folder.rglob("*"))
    with pytest.raises(ValueError, match="pathology has no f1_macro .found mean_of_six"):
        mk.handin(task, cases, guesses, folder)
    assert sorted(path for path in folder.rglob("*")) == before


def test_all_four_averages_are_named(photos, tmp_path):
    folder = mk.handin(TASK, *photos, tmp_path / "handin")
    text = (folder / "performance_metric_dir/f1_score.txt").read_text()
    for name in ("f1_macro", "f1_binary", "f1_micro", "f1_weighted"):
        assert f"{name} 0.99" in text


def test_weights_stay_out(photos, tmp_path):
    with pytest.raises(ValueError, match=r"'best\.safetensors' holds weights"):
        mk.handin(TASK, *photos, tmp_path, sources=["best.safetensors"])
    folder = mk.handin(TASK, *photos, tmp_path / "handin")
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".py", ".txt"}


def test_a_source_that_is_not_there_is_named(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such source .*x\.py"):
        mk.handin(TASK, *photos, tmp_path / "handin", sources=[tmp_path / "x.py"])
    assert not (tmp_path / "handin").exists()


def test_writing_twice_leaves_nothing_old(photos, tmp_path):
    old = tmp_path / "old.py"
    old.write_text("")
    mk.handin(TASK, *photos, tmp_path / "handin", sources=[old])
    folder = mk.handin(TASK, *photos, tmp_path / "handin")
    assert not (folder / "source_dir/old.py").exists()


def test_a_source_may_lie_in_an_earlier_folder(photos, tmp_path):
    (tmp_path / "train.py").write_text("x = 1")
    folder = mk.handin(TASK, *photos, tmp_path / "handin", sources=[tmp_path / "train.py"])
    mk.handin(TASK, *photos, folder, sources=[folder / "source_dir" / "train.py"])
    assert (folder / "source_dir" / "train.py").read_text() == "x = 1"


def test_two_sources_of_one_name_are_refused(photos, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text(name)
    with pytest.raises(ValueError, match=r"two sources have one name .*train\.py"):
        mk.handin(TASK, *photos, tmp_path, sources=[tmp_path / n / "train.py" for n in "ab"])


@pytest.mark.parametrize("name", ["source_dir", "performance_metric_dir"])
def test_folders_of_a_person_are_left_alone(photos, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.py").write_text("")
    with pytest.raises(ValueError, match=rf"{name} is there and not of .*found mine\.py"):
        mk.handin(TASK, *photos, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [name, "mine.py"]
