from __future__ import annotations

import json
import re
import time

import pytest
from tiny_tables import GUESSED, TEST

import medkit as mk
from medkit.submission.cells import CHECKS, kind_of_cells, wrong_cells
from medkit.submission.checking import check_rows

TASK = mk.get_task("caries")


@pytest.fixture
def csv(tmp_path):
    return mk.write_submission(TASK, TEST, GUESSED, tmp_path / "submission.csv")


def test_a_good_table_passes(csv):
    assert mk.check_submission(csv) == ["All 3 ids and labels are as caries wants."]


def test_rows_in_another_order_pass_where_the_contest_goes_by_ids(csv):
    csv.write_text("id,decayed\nfront_2,1\nfront_1,0\nfront_10,0\n")
    told = mk.check_submission(csv)
    assert told[0] == "Its rows are in another order; the contest goes by their ids."
    assert told[1] == "All 3 ids and labels are as caries wants."
    facts = json.loads(csv.with_suffix(".json").read_text())
    del facts["layout"]["by_row"]  # of an earlier version, which could not tell
    for by_row in ({}, {"by_row": True}):
        facts["layout"].update(by_row)
        csv.with_suffix(".json").write_text(json.dumps(facts))
        with pytest.raises(ValueError, match="order is another, from 'front_2' on"):
            mk.check_submission(csv)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,decayed\nfront_1,0\nfront_10,0\n", r"1 of 3 ids are missing, e\.g\. \['front_2'\]"),
        ("id,decayed\nfront_1,0\nfront_2,1\nfront_10,0\nleft_9,0\n", r"1 ids are not of this con"),
        ("id,decayed\nfront_1,0\nfront_1,1\nfront_10,0\n", r"1 ids stand more than once.*front_1"),
        ("id,decayed\nfront_1,0\nfront_2,\nfront_10,0\n", r"1 rows have an empty cell.*front_2"),
        ("id,decayed\nfront_1,0\nfront_2,nan\nfront_10,0\n", r"1 rows have an empty cell"),
        ("id,decayed\nfront_1,0\nfront_2,2\nfront_10,0\n", r"1 labels are none of 0, 1.*\['2'\]"),
        ("id,label\nfront_1,0\nfront_2,1\nfront_10,0\n", r"columns are \['id', 'label'\] \(expect"),
        (
            "id,decayed\nfront_1,0\nfront_2,1,5\nfront_10,0\n",
            r"1 lines have another number.*line 3",
        ),
        ("id,decayed\n", "It has a header and no rows"),
        ("", "It is empty"),
        ("image,mask\na,1\n", r"columns are \['image', 'mask'\]"),
    ],
)
def test_what_would_cost_a_slot_is_named(csv, text, words):
    csv.write_text(text)
    with pytest.raises(ValueError, match=f"submission.csv would be refused: .*{words}"):
        mk.check_submission(csv)


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("utf-8-sig", "byte order mark"),
        ("cp949", r"not utf-8 \(cp949, perhaps"),
        ("utf-16", r"not utf-8 \(utf-16, perhaps"),
        ("utf-16-le", "not utf-8"),
    ],
)
def test_other_encodings_are_named(csv, codec, words):
    csv.write_bytes("id,decayed\n앞니_1,0\n".encode(codec))
    with pytest.raises(ValueError, match=words):
        mk.check_submission(csv)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id;decayed\nfront_1;0\n", "separated by ';' \\(expected ','\\); write it with commas"),
        ("id\tdecayed\nfront_1\t0\n", r"separated by '\\t'"),
        (",id,decayed\n0,front_1,0\n", "Write it with index=False"),
        ("id,decayed\nfront_1,\0\n", r"zero bytes \(utf-16, perhaps"),
        ("id,decayed\nfront_1,NULL\n", r"1 rows have an empty cell, e.g. \['front_1'\]"),
        ("id,decayed\nfront_1,<NA>\n", "1 rows have an empty cell"),
    ],
)
def test_tables_of_other_programs_are_named(csv, text, words):
    csv.write_text(text)
    with pytest.raises(ValueError, match=words):
        mk.check_submission(csv)


def test_a_label_may_be_called_none():
    expected = {"columns": ["id", "x"], "ids": ["a"], "labels": ["None", "some"]}
    assert check_rows([["id", "x"], ["a", "None"]], expected) == []


def test_windows_line_ends_are_a_note(csv):
    csv.write_bytes(csv.read_bytes().replace(b"\n", b"\r\n"))
    assert any("Careful: its lines end in" in note for note in mk.check_submission(csv))


def test_old_line_ends_are_named(csv):
    csv.write_bytes(b"id,decayed\rfront_1,0\r")
    with pytest.raises(ValueError, match=r"end in \\r alone; end them with \\n"):
        mk.check_submission(csv)


def test_a_json_of_something_else_is_named(csv):
    for text in ("{}", "[1]", "half"):
        csv.with_suffix(".json").write_text(text)
        with pytest.raises(ValueError, match=r"submission\.json: not what write_submission"):
            mk.check_submission(csv)


def test_a_hundred_thousand_rows_are_checked_at_once():
    ids = [f"record_{k}" for k in range(100_000)]
    expected = {"columns": ["id", "x"], "ids": ids, "labels": ["0"]}
    began = time.process_time()
    assert check_rows([["id", "x"], *([name, "0"] for name in ids)], expected) == []
    assert time.process_time() - began < 5


def test_one_class_only_is_a_warning_and_no_error(tmp_path):
    test = TEST.assign(photo_decayed=None, decayed=None)
    path = mk.write_submission(TASK, test, GUESSED, tmp_path / "s.csv", threshold=0.99)
    assert mk.check_submission(path)[0] == "Careful: every row has the label '0'."


def test_a_changed_file_is_noticed(csv):
    csv.write_text(csv.read_text().replace("front_1,0", "front_1,1"))
    assert "changed after write_submission" in mk.check_submission(csv)[-1]


def test_without_its_json_the_check_says_what_it_could_not_see(csv):
    (csv.parent / "submission.json").unlink()
    assert "ids and labels could not be checked" in mk.check_submission(csv)[-1]


def test_a_missing_file_says_what_is_there(csv):
    with pytest.raises(FileNotFoundError, match=r"no such file \(found submission.csv, submission"):
        mk.check_submission(csv.parent / "x.csv")


@pytest.mark.parametrize(
    ("labels", "row", "words"),
    [
        ([0, 1], "label", r"1 labels are none of 0, 1, e\.g\. \['0\.5'\]\."),
        ([], "number", r"2 answers are no numbers, e\.g\. \['x', 'inf'\]\."),
        (None, "own", None),
    ],
)
def test_what_a_cell_holds_is_told_by_the_labels(labels, row, words):
    cells = ["0", "1", " ", "0.5"] if labels else ["0.5", "-1e3", "", "x", "inf"]
    expected = {"labels": labels}
    assert kind_of_cells(expected) == row and row in CHECKS
    problems = wrong_cells(cells, expected)
    assert bool(problems) == bool(words)
    for problem in problems:
        assert re.fullmatch(words, problem)
