from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from drawn_contests import huge_png
from PIL import Image

import medkit as mk


def paint(path, colour=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 12, 3), colour, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def pictures(tmp_path):
    for name in ("007.png", "010.jpg", "a/011.jpeg"):
        paint(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "._007.png").write_bytes(b"\0\5\26\7")
    return tmp_path / "pictures"


def write(folder, text, encoding="utf-8"):
    (folder / "train.csv").write_bytes(text.encode(encoding))
    return folder / "train.csv"


def test_text_stays_text_and_numbers_are_numbers(tmp_path, pictures):
    csv = write(
        tmp_path,
        "id,person,kind,wet,age,site\n007,01,0,1,61.5,3\n010,01,2,0,,4\n011,02,,1,30,4\n",
        "utf-8-sig",
    )
    cases = mk.read_table(
        csv,
        pictures,
        label_columns=["kind", "wet"],
        number_columns=["age"],
        group_column="person",
    )
    assert list(cases) == ["id", "path", "group", "kind", "wet", "age", "site"]
    assert list(cases["id"]) == ["007", "010", "011"] and list(cases["group"]) == ["01", "01", "02"]
    assert list(cases["kind"][:2]) == ["0", "2"] and cases["kind"][2] is None
    assert list(cases["wet"]) == ["1", "0", "1"] and cases["age"][0] == 61.5
    assert np.isnan(cases["age"][1]) and list(cases["site"]) == [3, 4, 4]
    assert cases["path"][2] == str(pictures / "a" / "011.jpeg")


def test_a_table_that_was_read_otherwise(pictures):
    table = pd.DataFrame({"id": ["007", "010"], "kind": [1.0, np.nan]}, index=[5, 9])
    cases = mk.read_table(table, pictures, label_columns=["kind"])
    assert cases["kind"][0] == "1" and cases["kind"][1] is None
    assert list(cases["group"]) == ["007", "010"]


@pytest.mark.parametrize("place", [r"a\011.jpeg", "./a/011.jpeg", "011.jpeg", "a/011", "011"])
def test_a_place_is_found_however_it_is_written(tmp_path, pictures, place):
    csv = write(tmp_path, f"name,file\nx,{place}\n")
    cases = mk.read_table(csv, pictures, id_column="name", path_column="file")
    assert cases["path"][0] == str(pictures / "a" / "011.jpeg")


def test_rows_without_a_picture_are_counted_and_kept(tmp_path, pictures):
    (pictures / "010.jpg").write_bytes(b"no picture")
    csv = write(tmp_path, "id\n007\n010\n012\n")
    with pytest.warns(UserWarning, match=r"2 of 3 rows .* '010' \(this is not a picture.*'012' \("):
        cases = mk.read_table(csv, pictures)
    assert list(cases["path"].isna()) == [False, True, True]
    with pytest.raises(ValueError, match=r"none of 1 rows has a picture \('8' \(no such picture"):
        mk.read_table(write(tmp_path, "id\n8\n"), pictures)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id\n007\n010\n007\n", {}, r"'id' '007' stands in line 2 and in line 4"),
        ("id,k\n007,1\n,2\n", {}, r"1 rows have no 'id', e\.g\. line 3"),
        ("name\n007\n", {}, r"no column \['id'\] \(found \['name'\]\)\. Pass the names"),
        ("id\n007\n", {"label_columns": ["kind"]}, r"no column \['kind'\]"),
        (
            "id,age\n007,61\n010,old\n",
            {"number_columns": ["age"]},
            r"train\.csv: 'age' is 'old' in line 3 \(expected a number\)",
        ),
        ("id,age\n007,inf\n", {"number_columns": ["age"]}, r"'age' is .*inf.* in line 2"),
    ],
)
def test_errors_name_file_and_line(tmp_path, pictures, text, options, message):
    with pytest.raises(ValueError, match=message):
        mk.read_table(write(tmp_path, text), pictures, **options)


@pytest.mark.parametrize("cells", [["left", "right"], [1, 2], ["", ""]])
@pytest.mark.parametrize("name", ["region", "box"])
def test_a_column_that_would_mean_a_part_is_refused(pictures, name, cells):
    table = pd.DataFrame({"id": ["1", "2"], name: cells})
    with pytest.raises(ValueError, match=f"the column '{name}' has a name that means a part"):
        mk.read_table(table, pictures)


def test_a_korean_table_of_an_older_program_is_named(tmp_path, pictures):
    with pytest.raises(ValueError, match="not UTF-8 .*cp949"):
        mk.read_table(write(tmp_path, "id,이름\n007,가\n", "cp949"), pictures)


def test_a_name_that_fits_two_pictures_is_an_error(tmp_path, pictures):
    paint(pictures / "a" / "007.png")
    with pytest.raises(ValueError, match="'007' fits 2 pictures"):
        mk.read_table(write(tmp_path, "id\n007\n"), pictures)
    csv = write(tmp_path, "id,file\n007,a/007.png\n")
    assert mk.read_table(csv, pictures, path_column="file")["path"][0].endswith("a/007.png")


def test_missing_folders_say_what_is_beside_them(tmp_path, pictures):
    with pytest.raises(FileNotFoundError, match="beside it: pictures/, train.csv"):
        mk.read_table(write(tmp_path, "id\n007\n"), tmp_path / "photos")
    with pytest.raises(FileNotFoundError, match="beside it: pictures/"):
        mk.read_folders(tmp_path / "photos")


def test_a_folder_is_a_class(tmp_path):
    for name in ("0/a.png", "0/b.jpg", "1/a.png", "1/more/c.png"):
        paint(tmp_path / "train" / name)
    cases = mk.read_folders(tmp_path / "train", label_column="kind")
    assert list(cases["id"]) == ["0/a.png", "0/b.jpg", "1/a.png", "1/more/c.png"]
    assert list(cases["kind"]) == ["0", "0", "1", "1"] and list(cases["group"]) == list(cases["id"])
    (tmp_path / "train" / "0" / "a.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 of 4 rows have no picture, e\.g\. '0/a\.png'"):
        assert mk.read_folders(tmp_path / "train")["path"].isna().sum() == 1


def test_class_folders_may_be_links_and_a_huge_picture_is_told(tmp_path, monkeypatch):
    paint(tmp_path / "far" / "a.png")
    (tmp_path / "far" / "b.png").write_bytes(huge_png())
    (tmp_path / "data" / "sound").mkdir(parents=True)
    paint(tmp_path / "data" / "sound" / "c.png")
    (tmp_path / "data" / "decayed").symlink_to(tmp_path / "far")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(
        UserWarning, match=r"1 of 3 rows .*'decayed/b.png' \(the picture is too large"
    ):
        cases = mk.read_folders("data")
    assert list(cases["label"]) == ["decayed", "decayed", "sound"]
    assert list(cases["path"].dropna()) == [
        str(tmp_path / "data" / "decayed" / "a.png"),
        str(tmp_path / "data" / "sound" / "c.png"),
    ]
    (tmp_path / "t.csv").write_text("id\na\nb\n")
    with pytest.warns(UserWarning, match="1 of 2 rows have no picture"):
        table = mk.read_table("t.csv", "data")
    assert table["path"][0] == str(tmp_path / "data" / "decayed" / "a.png")


def test_pictures_without_folders_have_no_label(tmp_path):
    paint(tmp_path / "test" / "b.png")
    paint(tmp_path / "test" / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cases = mk.read_folders(tmp_path / "test")
    assert list(cases["id"]) == ["a.png", "b.png"] and list(cases) == ["id", "path", "group"]
    paint(tmp_path / "test" / "x" / "a.png")
    with pytest.raises(ValueError, match="found 2 pictures beside folders; expected pictures in"):
        mk.read_folders(tmp_path / "test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not a folder a class .found nothing"):
        mk.read_folders(tmp_path / "empty")
