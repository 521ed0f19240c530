from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import handed_in
import numpy as np
import pandas as pd
import pytest
import timm
from safetensors.torch import save_file
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.rules import handing_in
from medkit.rules.replay.manifest import files_in, read_manifest
from medkit.rules.replay.recording import short

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


# ---- with a run


@pytest.fixture(scope="module")
def sent(drawn, cases, tmp_path_factory):
    """A run, test cases, what it says of them mirrored, too, and the CSV that was sent."""
    folder = tmp_path_factory.mktemp("sent")
    run = mk.fit(TWO_EPOCHS, cases, folder / "runs/fold0", **QUIET)
    test = TASK.read(drawn, "test")
    answers = mk.predict(run, test, views="all", device="cpu", progress=False)
    return run, test, answers, mk.write_submission(TASK, test, answers, folder / "submission.csv")


def test_with_a_run_all_is_there_that_a_replay_needs(sent, tmp_path):
    run, test, answers, csv = sent
    folder = mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all", csv=csv)
    kept = folder / "replay_dir"
    assert (kept / "submission.csv").read_bytes() == csv.read_bytes()
    assert (kept / "answers.csv").read_text() == answers.to_csv(index=False)
    records = {path.name for path in (kept / "run0").iterdir()}
    assert {"config.json", "cases.csv", "machine.json", "first_losses.csv"} <= records
    assert not [path for path in folder.rglob("*") if path.suffix == ".safetensors"]
    manifest = read_manifest(folder)
    assert manifest.views == ["as is", "mirrored"] and manifest.task == "caries"
    assert {"source_dir/versions.txt", "replay_dir/test.csv"} <= set(manifest.files)


def test_nothing_in_it_names_a_user_or_a_place(sent, drawn, tmp_path):
    run, test, answers, _ = sent
    folder = mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all", data=drawn)
    written = [path for path in folder.rglob("*") if path.suffix in (".json", ".csv", ".txt")]
    texts = "".join(path.read_text(encoding="utf-8") for path in written)
    assert drawn.parent.name not in texts and str(run.path.parent.parent) not in texts


def test_of_places_what_is_below_the_data_folder_is_told(drawn, cases, monkeypatch):
    assert short(cases, drawn) == "train_data/image"
    assert short(cases, None) == "dataset/train_data/image"
    monkeypatch.setenv("HOME", "/home/dataset")
    assert short(cases, None) == "train_data/image"


def test_weights_come_where_they_are_asked_for(sent, tmp_path):
    run, test, answers, _ = sent
    folder = mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all", weights=True)
    held = [path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")]
    assert held == ["replay_dir/run0/best.safetensors"]


def test_a_run_that_began_with_weights_of_others_keeps_their_name(sent, cases, tmp_path):
    _, test, _, _ = sent
    begun_from = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), begun_from)
    config = replace(TWO_EPOCHS, weights=str(begun_from), epochs=1)
    other = mk.fit(config, cases, tmp_path / "run", **QUIET)
    answers = mk.predict(other, test, device="cpu", progress=False)
    with pytest.raises(mk.ConfigError, match="began with 'resnet.safetensors', without which"):
        mk.handin(TASK, test, answers, tmp_path / "h", run=other)
    folder = mk.handin(TASK, test, answers, tmp_path / "h", run=other, weights=True)
    kept = json.loads((folder / "replay_dir/run0/config.json").read_text())
    assert kept["weights"] == "resnet.safetensors"
    assert (folder / "replay_dir/begun_from/resnet.safetensors").is_file()


def test_other_views_than_were_predicted_with_are_refused(sent, tmp_path):
    run, test, answers, _ = sent
    words = r"not what .*fold0 says with views=\('as is',\) .*Pass views=\.\.\."
    with pytest.raises(mk.ConfigError, match=words):
        mk.handin(TASK, test, answers, tmp_path / "h", run=run)
    assert not (tmp_path / "h").exists()


def test_data_that_has_moved_and_relative_paths_are_taken(sent, drawn, tmp_path, monkeypatch):
    run, test, answers, _ = sent
    shutil.copytree(drawn, tmp_path / "새 곳" / "dataset")
    gone = test.assign(path=[path.replace(str(drawn), "/gone") for path in test["path"]])
    with pytest.raises(mk.MissingError, match="the picture is gone"):
        mk.handin(TASK, gone, answers, tmp_path / "h", run=run, views="all")
    data = tmp_path / "새 곳" / "dataset"
    mk.handin(TASK, gone, answers, tmp_path / "h", run=run, views="all", data=data)
    monkeypatch.chdir(drawn.parent)
    near = test.assign(path=[str(Path(path).relative_to(drawn.parent)) for path in test["path"]])
    mk.handin(TASK, near, answers, tmp_path / "h", run=run, views="all")


def test_what_fails_leaves_the_earlier_folders(sent, tmp_path, monkeypatch):
    run, test, answers, _ = sent
    folder = mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all")
    before = files_in(folder)

    def fail(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(handing_in, "record", fail)
    with pytest.raises(KeyboardInterrupt):
        mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all")
    assert files_in(folder) == before and len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"run": []}, r"run=\[\] .expected a run"),
        ({"how": "loud"}, "how='loud' .expected one of soft, hard, rank"),
        ({"sources": ["versions.txt"]}, "'versions.txt' is a name of the kit's own files"),
        ({"sources": ["medkit"]}, "'medkit' is a name of the kit's own files"),
    ],
)
def test_what_cannot_be_meant_is_refused(sent, tmp_path, changed, words):
    run, test, answers, _ = sent
    with pytest.raises(mk.ConfigError, match=words):
        mk.handin(TASK, test, answers, tmp_path / "h", **{"run": run, "views": "all", **changed})
    with pytest.raises(mk.ConfigError, match="a run stands twice"):
        mk.handin(TASK, test, answers, tmp_path / "h", run=[run, run], views="all")


def test_a_csv_of_something_else_is_refused(sent, tmp_path):
    run, test, answers, csv = sent
    odd = tmp_path / "odd.csv"
    odd.write_text(csv.read_text().replace(",0", ",1", 1))
    with pytest.raises(mk.DataError, match=r"odd\.csv is not what these predictions give"):
        mk.handin(TASK, test, answers, tmp_path / "h", run=run, views="all", csv=odd)
    with pytest.raises(mk.MissingError, match="no such CSV"):
        mk.handin(TASK, test, answers, tmp_path / "h", csv=tmp_path / "none.csv")


def test_a_run_that_is_not_finished_is_refused(sent, tmp_path):
    from medkit.runs.folder import open_folder
    from medkit.runs.pictures import data_folder

    run, test, answers, _ = sent
    cases = run.cases()
    new = open_folder(tmp_path / "new", TASK, TWO_EPOCHS, cases, data=data_folder(cases), fold=0)
    with pytest.raises(mk.ConfigError, match=r"new is not finished \(found 'new'\)"):
        mk.handin(TASK, test, answers, tmp_path / "h", run=new)


def test_another_contest_hands_in_its_own_scores(tmp_path):
    folder, data = handed_in.make(tmp_path, 5)
    task, run = mk.get_task("pathology"), mk.Run(tmp_path / "runs/foldNone")
    labelled = task.read(data, "train")
    answers = mk.predict(run, labelled, device="cpu", progress=False)
    mk.handin(task, labelled, answers, folder, run=run)  # in the place of what was there
    lines = (folder / "performance_metric_dir/scores.txt").read_text().splitlines()
    names = list(mk.score(task, labelled, answers))
    assert [line.split()[0] for line in lines] == names and names[0] == "mean_of_six"
    assert (
        len(read_manifest(folder).files) == len([p for p in folder.rglob("*") if p.is_file()]) - 1
    )
