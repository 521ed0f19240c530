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
from mask_contests import CLASSES, TINY, make_task

import medkit as mk
from medkit import files
from medkit.images import crops
from medkit.inference import mask_answers
from medkit.inference.mask_answers import ExclusiveMasks, Masks

QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def trained(shape_cases, tmp_path_factory):
    config = mk.Config("shapes", epochs=1, **TINY)
    return mk.fit(config, shape_cases, tmp_path_factory.mktemp("runs") / "run", **QUIET)


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
def test_a_prediction_that_stopped_goes_on_where_it_was(run, shape_cases, monkeypatch, error):
    with monkeypatch.context() as patched, pytest.raises((KeyboardInterrupt, OSError)):
        first = failing(patched, 5, error)
        predict(run, shape_cases)
    rest = failing(monkeypatch, 99, error)
    predictions = predict(run, shape_cases)
    assert first + rest == list(shape_cases["id"]) and len(first) == 5
    straight = predict(run, shape_cases, folder=run.path / "straight")
    assert bytes_of(predictions) == bytes_of(straight)


def test_what_is_there_is_not_predicted_again(run, shape_cases, monkeypatch):
    first = predict(run, shape_cases)
    monkeypatch.setattr("medkit.inference.predicting.load_model", pytest.fail)
    monkeypatch.setattr("medkit.inference.predicting.make_dataset", pytest.fail)
    pd.testing.assert_frame_equal(predict(run, shape_cases), first)


def test_what_is_damaged_is_predicted_again(run, shape_cases, monkeypatch):
    first = predict(run, shape_cases)
    wanted = bytes_of(first)
    Path(first["file"][3]).write_bytes(b"half a file")
    Path(first["file"][7]).unlink()
    again = failing(monkeypatch, 99, None)
    assert bytes_of(predict(run, shape_cases)) == wanted
    assert again == [shape_cases["id"].iloc[3], shape_cases["id"].iloc[7]]


def test_a_changed_file_that_is_deleted_as_told_is_predicted_as_before(run, shape_cases, shapes):
    table = predict(run, shape_cases)
    file = Path(table["file"].iloc[3])
    crops.Crops(table["id"].iloc[3], (40, 56), (23, 32), CLASSES).write(file)
    assert not predict(run, shape_cases).equals(table)  # a whole file is taken for what was written
    with pytest.raises(ValueError, match=f"{file.name}: changed .*Delete it and predict again"):
        mk.blend(shapes, [table, table])
    file.unlink()
    assert predict(run, shape_cases).equals(table)


def test_a_folder_keeps_nothing_of_other_weights_or_views(run, shape_cases, tmp_path, monkeypatch):
    folder = tmp_path / "masks"
    plain = bytes_of(predict(run, shape_cases, folder=folder))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        failing(patched, 2, KeyboardInterrupt)
        predict(run, shape_cases, views="all", folder=folder)
    assert len(list(folder.glob("*.safetensors"))) == 2
    views = bytes_of(predict(run, shape_cases, views="all", folder=folder))
    assert views == bytes_of(predict(run, shape_cases, views="all")) != plain


def test_a_vote_of_others_in_the_folder_is_not_taken_for_a_prediction(run, shape_cases, tmp_path):
    folder = tmp_path / "masks"
    first = predict(run, shape_cases, folder=folder)
    wanted = bytes_of(first)
    other = predict(run, shape_cases, views="all", folder=tmp_path / "other")
    mk.blend(run.task, [other], how="hard", folder=folder)
    assert bytes_of(first) != wanted
    assert bytes_of(predict(run, shape_cases, folder=folder)) == wanted


def test_a_folder_that_is_a_file_is_refused(run, shape_cases, tmp_path):
    (tmp_path / "masks").write_text("")
    with pytest.raises(ValueError, match="masks is a file .expected a folder"):
        predict(run, shape_cases, folder=tmp_path / "masks")


def test_a_disk_without_room_for_all_is_told_after_the_first_image(run, shape_cases, monkeypatch):
    monkeypatch.setattr(mask_answers.shutil, "disk_usage", lambda path: Usage(0, 0, 10_000))
    written = failing(monkeypatch, 99, None)
    with pytest.raises(OSError, match=r"15 more images need about .* GB .*Make room") as told:
        predict(run, shape_cases)
    assert told.value.errno == errno.ENOSPC and len(written) == 1
    monkeypatch.setattr(mask_answers.shutil, "disk_usage", lambda path: Usage(0, 0, 10**9))
    assert len(predict(run, shape_cases)) == len(written) == 16


def test_a_full_disk_leaves_what_is_written_and_says_what_to_do(run, shape_cases, monkeypatch):
    whole, calls = files.os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, "no space left on device")
        return whole(handle)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="not written, .*disk"):
        patched.setattr(files.os, "fsync", full)
        predict(run, shape_cases)
    left = sorted((run.path / "predicted").glob("*/*.safetensors"))
    assert 0 < len(left) < 16
    assert len(predict(run, shape_cases)) == 16


@pytest.mark.parametrize("collect", [Masks, ExclusiveMasks])
def test_levels_in_strips_are_those_of_the_whole(collect, shape_cases, tmp_path, monkeypatch):
    made = make_task(kind="masks" if collect is Masks else "exclusive_masks")
    logits = torch.randn(2, made.outputs, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    for strip in (5, 32):
        monkeypatch.setattr(mask_answers, "STRIP", strip)
        answers = collect(made, shape_cases.iloc[:2], folder=tmp_path / str(strip))
        answers.add(logits, torch.empty(2, 0))
        found.append(bytes_of(answers.predictions(shape_cases["id"].iloc[:2])))
    assert found[0] == found[1]


def test_what_is_hardly_believed_makes_no_box_larger(shape_cases, tmp_path):
    """Faint everywhere, sure in a square: the square alone is kept."""
    made, probs = make_task(), torch.full((1, 3, 32, 32), 3.4 / 255)
    probs[..., 14:18, 14:20] = 0.9
    probs[0, 2] = 3.6 / 255  # which is level 4
    answers = Masks(made, shape_cases.iloc[:1], folder=tmp_path)
    answers.add(torch.logit(probs), torch.empty(1, 0))
    id = shape_cases["id"].iloc[0]
    found = crops.read(tmp_path / mask_answers.file_name(id), id=id, classes=CLASSES).crops
    assert found[CLASSES[0]].levels.shape == (4, 6) and (found[CLASSES[0]].levels == 230).all()
    assert found[CLASSES[2]].levels.max() == 4 and found[CLASSES[2]].levels.size > 400


def test_a_table_has_nothing_to_go_on_with(tmp_path):
    from medkit.inference.answers import begin

    done = begin(mk.get_task("caries"), pd.DataFrame({"id": ["a", "b"]}), tmp_path, "key")
    assert not done.any() and not list(tmp_path.iterdir())
    assert np.array_equal(done, [False, False]) and len(CLASSES) == 3
