from __future__ import annotations

import builtins

import pytest
from drawn_contests import check_reasons

from medkit.datasets.drawing.handbone import HEADER
from medkit.datasets.drawing.writing import write_sheet
from medkit.datasets.people import COLUMNS, FACTS, read_people
from medkit.datasets.reading import Records


def table(folder, *rows, header=HEADER):
    write_sheet(folder / "meta_data.xlsx", [header, *rows])
    return folder / "meta_data.xlsx"


def read(path, people):
    """The facts in their order by person, and by id the reasons of what is quarantined."""
    records = Records("handbone", "train")
    found = read_people(path, people, records)
    reasons = {row["id"]: row["reason"] for row in records.quarantine}
    assert len(reasons) == len(records.quarantine)
    return {person: [facts[name] for name in FACTS] for person, facts in found.items()}, reasons


def test_what_is_drawn_has_the_columns_that_are_read():
    assert tuple(COLUMNS.values()) == HEADER[1:]


def test_cells_are_cleaned_of_junk_and_gaps_are_none(tmp_path):
    path = table(
        tmp_path,
        ("ID001", 30, "_x0008_F", 55.5, 160, "네일있음"),
        ("ID002", "41", " m ", "", " _x0008_ ", None),
        ("ID003", None, "_x0008_", "_x0008_70.5", "171 ", ""),
        (None, None, None, None, None, None),
        ("ID004", 30.0),
    )
    found, reasons = read(path, ["ID001", "ID002", "ID003", "ID004"])
    assert not reasons and found == {
        "ID001": [30, "F", 55.5, 160, "yes"],
        "ID002": [41, "M", None, None, "no"],
        "ID003": [None, None, 70.5, 171, "no"],
        "ID004": [30, None, None, None, "no"],
    }
    assert isinstance(found["ID001"][0], float)


@pytest.mark.parametrize("id", [7, 7.0, "7", "007", "ID7", "id007", " _x0008_ID007 "])
def test_an_id_may_be_written_otherwise(id, tmp_path):
    found, reasons = read(table(tmp_path, (id, 30)), ["ID007", "ID070"])
    assert list(found) == ["ID007"] and not reasons


def test_cells_that_tell_nothing_are_quarantined_and_left_empty(tmp_path):
    path = table(
        tmp_path,
        ("ID001", "old", "F", 55, 160, None),
        ("ID002", 30, "X", 55, 160, None),
        ("ID003", 30, "F", -1, 160, None),
        ("ID004", 30, "F", 55, "inf", None),
        ("ID005", 30, "F", 55, 160, "maybe"),
        ("ID006", "nan", "F", 55, 160, None),
        ("ID009", "old", "X", 0, 0, "of the other split"),
    )
    found, reasons = read(path, [f"ID00{k}" for k in range(1, 8)])
    wanted = {
        "ID001": "row 2 of meta_data.xlsx: 나이 is 'old' (expected a number above 0), left empty",
        "ID002": "row 3 of meta_data.xlsx: 성별 is 'X' (expected F or M), left empty",
        "ID003": "체중(몸무게) is '-1' (expected a number above 0), left empty",
        "ID004": "키(신장) is 'inf' (expected a number above 0), left empty",
        "ID005": "Unnamed: 5 is 'maybe' (expected 네일있음 or nothing), left empty",
        "ID006": "나이 is 'nan' (expected a number above 0), left empty",
    }
    check_reasons(reasons, wanted)
    assert found["ID001"] == [None, "F", 55, 160, "no"] and found["ID005"][-1] is None


def test_a_person_who_stands_twice_is_told_where_the_facts_differ(tmp_path):
    path = table(tmp_path, ("ID001", 30), ("ID001", 31), ("ID002", 30), ("2", 30))
    found, reasons = read(path, ["ID001", "ID002"])
    assert found["ID001"][0] == 30
    assert reasons == {"ID001": "row 3 of meta_data.xlsx: ID001 stands above with other facts"}


def test_columns_that_are_not_there_tell_nothing(tmp_path):
    found, reasons = read(table(tmp_path, (1, 30), header=("ID", "나이")), ["ID001"])
    assert found == {"ID001": [30, None, None, None, None]} and not reasons
    assert read(tmp_path / "none.xlsx", ["ID001"]) == ({}, {})


def test_a_table_that_cannot_be_read_is_quarantined(tmp_path):
    path = table(tmp_path, (1, 30), header=("id", "나이"))
    found, reasons = read(path, ["ID001"])
    assert not found
    check_reasons(reasons, {path.name: "the table has no column 'ID' (found id, 나이)"})
    write_sheet(path, [])
    check_reasons(read(path, ["ID001"])[1], {path.name: "no column 'ID' (found nothing)"})
    path.write_bytes(b"not a table")
    check_reasons(read(path, ["ID001"])[1], {path.name: "the table cannot be read ("})
    path.write_bytes(table(tmp_path / "other", (1, 30)).read_bytes()[:400])
    check_reasons(read(path, ["ID001"])[1], {path.name: "the table cannot be read ("})


def test_without_openpyxl_nothing_is_known_and_that_is_said(tmp_path, monkeypatch):
    path, real = table(tmp_path, (1, 30)), builtins.__import__

    def absent(name, *rest):
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    words = r"meta_data\.xlsx: age, sex, .* stay empty, .*openpyxl.*pip install \"medkit\[xlsx\]\""
    with pytest.warns(UserWarning, match=words):
        assert read(path, ["ID001"]) == ({}, {})
