"""Predicted masks come image by image: they go on where they stopped, and keep little in memory."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mask_contests import CLASSES, TINY, draw, make_task, read

import medkit as mk
from medkit import files
from medkit.images import crops
from medkit.inference import mask_answers
from medkit.inference.mask_answers import ExclusiveMasks, Masks

QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def task():
    made = mk.add_task(make_task())
    yield made
    mk.datasets.TASKS.pop(made.name)


@pytest.fixture(scope="module")
def cases(task, tmp_path_factory):
    return read(task, draw(tmp_path_factory.mktemp("data"), 16))


@pytest.fixture(scope="module")
def trained(cases, tmp_path_factory):
    config = mk.Config("shapes", epochs=1, **TINY)
    return mk.fit(config, cases, tmp_path_factory.mktemp("runs") / "run", **QUIET)


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "run")
    return mk.Run(tmp_path / "run")


def predict(run, cases, **options):
    return mk.predict(run, cases, batch_size=1, device="cpu", progress=False, **options)


def bytes_of(predictions):
    return [Path(file).read_bytes() for file in predictions["file"]]


def failing(monkeypatch, after, error):
    """Let writing fail after so many images, and count those that are written."""
    written, whole = [], crops.Crops.write

    def write(self, path):
        if len(written) == after:
            raise error
        written.append(self.id)
        return whole(self, path)

    monkeypatch.setattr(crops.Crops, "write", write)
    return written


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no space left")])
def test_a_prediction_that_stopped_goes_on_where_it_was(run, cases, monkeypatch, error):
    with monkeypatch.context() as patched, pytest.raises((KeyboardInterrupt, OSError)):
        first = failing(patched, 5, error)
        predict(run, cases)
    rest = failing(monkeypatch, 99, error)
    predictions = predict(run, cases)
    assert first + rest == list(cases["id"]) and len(first) == 5
    straight = predict(run, cases, folder=run.path / "straight")
    assert bytes_of(predictions) == bytes_of(straight)


def test_what_is_there_is_not_predicted_again(run, cases, monkeypatch):
    first = predict(run, cases)
    monkeypatch.setattr("medkit.inference.predicting.load_model", pytest.fail)
    monkeypatch.setattr("medkit.inference.predicting.make_dataset", pytest.fail)
    pd.testing.assert_frame_equal(predict(run, cases), first)


def test_what_is_damaged_is_predicted_again(run, cases, monkeypatch):
    first = predict(run, cases)
    wanted = bytes_of(first)
    Path(first["file"][3]).write_bytes(b"half a file")
    Path(first["file"][7]).unlink()
    again = failing(monkeypatch, 99, None)
    assert bytes_of(predict(run, cases)) == wanted
    assert again == [cases["id"].iloc[3], cases["id"].iloc[7]]


def test_a_changed_file_that_is_deleted_as_told_is_predicted_as_before(run, cases, task):
    table = predict(run, cases)
    file = Path(table["file"].iloc[3])
    crops.Crops(table["id"].iloc[3], (40, 56), (23, 32), CLASSES).write(file)
    assert not predict(run, cases).equals(table)  # a whole file is taken for what was written
    with pytest.raises(ValueError, match=f"{file.name}: changed .*Delete it and predict again"):
        mk.blend(task, [table, table])
    file.unlink()
    assert predict(run, cases).equals(table)


def test_a_folder_keeps_nothing_of_other_weights_or_views(run, cases, tmp_path, monkeypatch):
    folder = tmp_path / "masks"
    plain = bytes_of(predict(run, cases, folder=folder))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        failing(patched, 2, KeyboardInterrupt)
        predict(run, cases, views="all", folder=folder)
    assert len(list(folder.glob("*.safetensors"))) == 2
    views = bytes_of(predict(run, cases, views="all", folder=folder))
    assert views == bytes_of(predict(run, cases, views="all")) != plain


def test_a_vote_of_others_in_the_folder_is_not_taken_for_a_prediction(run, cases, tmp_path):
    folder = tmp_path / "masks"
    first = predict(run, cases, folder=folder)
    wanted = bytes_of(first)
    other = predict(run, cases, views="all", folder=tmp_path / "other")
    mk.blend(run.task, [other], how="hard", folder=folder)
    assert bytes_of(first) != wanted
    assert bytes_of(predict(run, cases, folder=folder)) == wanted


def test_a_folder_that_is_a_file_is_refused(run, cases, tmp_path):
    (tmp_path / "masks").write_text("")
    with pytest.raises(ValueError, match="masks is a file .expected a folder"):
        predict(run, cases, folder=tmp_path / "masks")


def test_a_disk_without_room_for_all_is_told_after_the_first_image(run, cases, monkeypatch):
    monkeypatch.setattr(mask_answers.shutil, "disk_usage", lambda path: Usage(0, 0, 10_000))
    written = failing(monkeypatch, 99, None)
    with pytest.raises(OSError, match=r"15 more images need about .* GB .*Make room") as told:
        predict(run, cases)
    assert told.value.errno == errno.ENOSPC and len(written) == 1
    monkeypatch.setattr(mask_answers.shutil, "disk_usage", lambda path: Usage(0, 0, 10**9))
    assert len(predict(run, cases)) == len(written) == 16


def test_a_full_disk_leaves_what_is_written_and_says_what_to_do(run, cases, monkeypatch):
    whole, calls = files.os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, "no space left on device")
        return whole(handle)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="not written, .*disk"):
        patched.setattr(files.os, "fsync", full)
        predict(run, cases)
    left = sorted((run.path / "predicted").glob("*/*.safetensors"))
    assert 0 < len(left) < 16
    assert len(predict(run, cases)) == 16


@pytest.mark.parametrize("collect", [Masks, ExclusiveMasks])
def test_levels_in_strips_are_those_of_the_whole(collect, cases, tmp_path, monkeypatch):
    made = make_task(kind="masks" if collect is Masks else "exclusive_masks")
    logits = torch.randn(2, made.outputs, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    for strip in (5, 32):
        monkeypatch.setattr(mask_answers, "STRIP", strip)
        answers = collect(made, cases.iloc[:2], folder=tmp_path / str(strip))
        answers.add(logits, torch.empty(2, 0))
        found.append(bytes_of(answers.predictions(cases["id"].iloc[:2])))
    assert found[0] == found[1]


def test_a_table_has_nothing_to_go_on_with(tmp_path):
    from medkit.inference.answers import begin

    done = begin(mk.get_task("caries"), pd.DataFrame({"id": ["a", "b"]}), tmp_path, "key")
    assert not done.any() and not list(tmp_path.iterdir())
    assert np.array_equal(done, [False, False]) and len(CLASSES) == 3
