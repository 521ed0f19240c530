from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from medkit.datasets.reading import (
    Records,
    all_quarantined,
    contest_folder,
    find_files,
    one_of,
    read_lines,
)


def paint(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 12, 3), 90, np.uint8)).save(path)
    return path


def case(id, label="0", path="x.png"):
    return {"id": id, "path": path, "label": label}


def test_files_are_found_by_stem_in_one_unicode_form(tmp_path):
    hangul = unicodedata.normalize("NFD", "가")  # as macOS writes it
    for place in (f"a/{hangul}.PNG", "a/deep/1.jpeg", "b/1.png", "a/._1.png", "a/note.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    found = find_files(tmp_path / "a", tmp_path / "b", tmp_path / "none")
    assert set(found) == {"가", "1"} and found["1"] == tmp_path / "a/deep/1.jpeg"
    assert list(find_files(tmp_path, suffixes=(".txt",))) == ["note"]


def test_of_two_pictures_with_one_name_the_first_is_taken_and_that_is_said(tmp_path):
    for place in ("1.png", "1.jpg", "deep/1.bmp", "2.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    with pytest.warns(UserWarning, match=r"2 files bear .* e\.g\. 1\.png beside 1\.jpg\. Rename"):
        found = find_files(tmp_path)
    assert found == {"1": tmp_path / "1.jpg", "2": tmp_path / "2.png"}


@pytest.mark.parametrize(
    ("data", "separator"),
    [
        (b"\xef\xbb\xbf1, \xea\xb0\x80\r\n\r\n2,b\r\n", ","),
        (b"1  \xea\xb0\x80\n\n2\tb", None),
        (b'"1","\xe1\x84\x80\xe1\x85\xa1"\n\n2,b', ","),
    ],
)
def test_lines_are_cells_of_plain_text(tmp_path, data, separator):
    (tmp_path / "labels").write_bytes(data)
    assert list(read_lines(tmp_path / "labels", separator)) == [["1", "가"], [], ["2", "b"]]


def test_label_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels: no such label file .found nothing"):
        list(read_lines(tmp_path / "labels"))
    (tmp_path / "labels").write_bytes("1,가\n".encode("cp949"))
    with pytest.raises(ValueError, match="labels: not UTF-8 .found byte 0xb0.*cp949"):
        list(read_lines(tmp_path / "labels"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_lines_of_another_shape_are_quarantined(tmp_path, split):
    (tmp_path / "labels").write_text("a 1\n\nb\nc 1 2\n")
    records = Records("x", split)
    found = list(records.lines(tmp_path / "labels", ("id", "label"), separator=None))
    assert found[0] == ("line 1 of labels", {"id": "a", "label": "1"})
    rest = [{"id": "b", "label": ""}, {"id": "c", "label": "1"}]
    assert [cells for _, cells in found[1:]] == (rest if split == "test" else [])
    assert [row["reason"] for row in records.quarantine] == [
        "line 3 of labels: the cells are ['b'] (expected 2 (id, label))",
        "line 4 of labels: the cells are ['c', '1', '2'] (expected 2 (id, label))",
    ]


def test_pictures_are_looked_at(tmp_path):
    records = Records("x", "train", verify=True)
    assert records.picture("a", paint(tmp_path / "a.png"), "line 1") == str(tmp_path / "a.png")
    broken = bytearray((tmp_path / "a.png").read_bytes())
    broken[45:50] = bytes(5)
    (tmp_path / "b.png").write_bytes(bytes(broken))
    assert records.picture("b", tmp_path / "b.png", "line 2") is None
    assert records.picture("c", None, "line 3") is None
    first, second = (row["reason"] for row in records.quarantine)
    assert first.startswith("line 2: the picture is broken (")
    assert second == "line 3: the picture is missing"


def test_doubled_ids_of_train_stay_once_when_they_agree():
    records = Records("x", "train")
    for line, (id, label) in enumerate([("a", "0"), ("b", "0"), ("a", "0"), ("b", "1")], 1):
        records.add(case(id, label), f"line {line} of labels")
    cases, quarantine = records.tables(("id", "path", "label"))
    assert list(cases["id"]) == ["a"]
    assert list(quarantine["reason"]) == [
        "the id stands 2 times: line 1 of labels and line 3 of labels",
        "the id stands 2 times with other labels: line 2 of labels and line 4 of labels",
    ]


def test_doubled_ids_of_test_keep_their_rows():
    records = Records("x", "test")
    for line, id in enumerate("aba", 1):
        records.add(case(id, None), f"line {line} of labels")
    cases, quarantine = records.tables(("id", "path", "label"))
    assert list(cases["id"]) == ["a", "b", "a (line 3 of labels)"] and len(quarantine) == 1


def test_nothing_left_gives_the_reasons():
    records = Records("x", "train")
    records.refuse("a", "", "line 1 of labels: the picture is missing")
    records.refuse("b", "", "line 2 of labels: the picture is missing")
    with pytest.raises(
        ValueError, match=r"x: every record of train .*\(2 x the picture is missing"
    ):
        records.tables(("id", "path"))
    assert "(there is none)" in all_quarantined("x", "train", [])


def test_another_folder_says_what_was_found_and_expected(tmp_path):
    parts = {"train": "train/labels.csv", "test": "test"}
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=r"x: split 'valid' .expected one of train, test"):
        contest_folder("x", tmp_path, "valid", parts)
    with pytest.raises(
        FileNotFoundError, match=r"beside it: images/\)\. Set DATA to .*labels\.csv"
    ):
        contest_folder("x", tmp_path / "data", "train", parts)
    with pytest.raises(ValueError, match=r"of the x contest \(found images/; expected train/lab"):
        contest_folder("x", tmp_path, "train", parts)
    (tmp_path / "test").mkdir()
    assert contest_folder("x", str(tmp_path), "test", parts) == tmp_path


def test_a_label_is_one_of_its_classes():
    assert one_of("1", ("0", "1"), "the label") == "1"
    with pytest.raises(ValueError, match=r"the label is '2' \(expected one of 0, 1\)"):
        one_of("2", ("0", "1"), "the label")
