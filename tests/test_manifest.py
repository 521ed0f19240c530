from __future__ import annotations

import json
import os

import pytest

import medkit as mk
from medkit.rules.replay.manifest import MARK, Manifest, files_in, read_manifest, run_folders

FACTS = {
    "medkit": "0.1.0",
    "task": "caries",
    "runs": [{"seed": 0, "weights": "ab"}],
    "views": ["as is"],
    "how": "soft",
    "threshold": {"age": 0.3},
    "test": {"data": "dataset", "text": ["id"], "cases": "cd"},
    "pictures": {},
    "files": {},
}


def written(folder, **changed):
    path = folder / MARK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**FACTS, **changed}))
    return folder


def test_what_is_written_is_read(tmp_path):
    manifest = Manifest(**FACTS)
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert run_folders(tmp_path, manifest) == [tmp_path / "replay_dir/run0"]


def test_files_are_named_by_their_place_without_the_manifest_itself(tmp_path):
    written(tmp_path)
    (tmp_path / "source_dir").mkdir()
    for name in ("source_dir/소스.py", "source_dir/.DS_Store", "beside.txt"):
        (tmp_path / name).write_text("x = 1")
    assert set(files_in(tmp_path)) == {"source_dir/소스.py"}


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    written(tmp_path)
    os.mkfifo(tmp_path / "replay_dir/pipe")
    with pytest.raises(mk.DataError, match=r"'replay_dir/pipe' is no file \(expected files alone"):
        files_in(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"runs": []}, "names no runs"),
        ({"runs": ["run0"]}, "names no runs"),
        ({"test": {}}, "names no runs or no test"),
        ({"views": "all"}, r"its 'views' is 'all' \(expected a list\)"),
        ({"files": None}, r"its 'files' is 'None' \(expected a dict\)"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, changed, words):
    with pytest.raises(mk.DataError, match=words):
        read_manifest(written(tmp_path, **changed))


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_what_is_no_manifest_is_named(tmp_path, text):
    written(tmp_path)
    (tmp_path / MARK).write_text(text)
    with pytest.raises(mk.DataError, match="manifest.json: .*Get the hand-in anew"):
        read_manifest(tmp_path)
