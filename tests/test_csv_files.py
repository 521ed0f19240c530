from __future__ import annotations

import json

import pytest
from tiny_tables import GUESSED, TEST

import medkit as mk

TASK = mk.get_task("caries")


@pytest.fixture
def csv(tmp_path):
    return mk.write_submission(TASK, TEST, GUESSED, tmp_path / "submission.csv")


def test_rows_are_in_the_order_of_the_cases_whatever_that_of_the_predictions(csv):
    assert csv.read_bytes() == b"id,decayed\nfront_1,0\nfront_2,1\nfront_10,0\n"


def test_beside_it_stands_what_it_must_hold(csv):
    expected = json.loads((csv.parent / "submission.json").read_text())
    assert expected["ids"] == ["front_1", "front_2", "front_10"]
    assert expected["labels"] == [0, 1] and expected["run"] is None and expected["filled"] == []
    assert expected["local_score"] is None and expected["held_out"] == 0  # of test labels: never


def test_the_threshold_decides(tmp_path):
    path = mk.write_submission(TASK, TEST, GUESSED, tmp_path / "x.csv", threshold=0.35)
    assert path.read_text().splitlines()[1:] == ["front_1,1", "front_2,1", "front_10,0"]
    assert (tmp_path / "x.json").is_file()


def test_photos_that_could_not_be_read_are_listed(tmp_path):
    test = TEST.copy()
    test.loc[0, "path"] = None
    path = mk.write_submission(TASK, test, GUESSED, tmp_path / "submission.csv")
    assert json.loads(path.with_suffix(".json").read_text())["filled"] == ["front_1"]
    assert any("1 could not be looked at (front_1)" in note for note in mk.check_submission(path))


def test_the_run_is_the_folder_that_it_lies_in(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    path = mk.write_submission(TASK, TEST, GUESSED, tmp_path / "submission.csv")
    assert json.loads(path.with_suffix(".json").read_text())["run"] == str(tmp_path)


@pytest.mark.parametrize("name", ["predictions.csv", "task.csv", "receipt.csv"])
def test_files_of_a_run_are_not_overwritten(tmp_path, name):
    with pytest.raises(ValueError, match="a run keeps its own .* Choose another name"):
        mk.write_submission(TASK, TEST, GUESSED, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_answers_are_the_truth_and_need_all_labels(tmp_path):
    path = mk.leaderboard.write_answers(TASK, TEST, tmp_path / "answers.csv")
    assert path.read_text() == "id,decayed\nfront_1,0\nfront_2,1\nfront_10,0\n"
    with pytest.raises(ValueError, match=r"1 of 3 have no label, e\.g\. \['front_1'\]"):
        blind = TEST.assign(photo_decayed=[None, "sound", "sound"])
        mk.leaderboard.write_answers(TASK, blind, tmp_path / "answers.csv")
