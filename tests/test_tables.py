from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_tables import make

from medkit import tables


def test_floats_and_ids_survive_a_csv(tmp_path):
    values = np.random.default_rng(0).random(2000) * 10.0 ** np.arange(-10, 10).repeat(100)
    table = pd.DataFrame({"id": [f"{k:06d}" for k in range(2000)], "p": values})
    table.loc[0, "id"], table.loc[1, "id"] = "NA", "null"
    tables.write_csv(table, tmp_path / "t.csv")
    again = tables.read_csv(tmp_path / "t.csv")
    assert list(again["id"]) == list(table["id"]) and (again["p"] == table["p"]).all()
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()


def test_a_byte_order_mark_is_tolerated(tmp_path):
    (tmp_path / "t.csv").write_bytes("id,이름\n007,가\n".encode("utf-8-sig"))
    assert tables.read_csv(tmp_path / "t.csv").to_dict("list") == {"id": ["007"], "이름": ["가"]}


def test_cases_survive_a_csv_and_a_move(tmp_path):
    cases = make(6).assign(tooth_number=["11", None, "21", "36", None, "48"])
    cases.loc[2, "path"] = None
    cases["region"] = pd.Series([*cases["region"][:5], None], dtype=object)
    tables.write_cases(cases, tmp_path / "cases.csv", "/d")
    assert "앞니/0.png" in (tmp_path / "cases.csv").read_text(encoding="utf-8")
    again = tables.read_cases(tmp_path / "cases.csv", "/elsewhere", text=["tooth_number"])
    assert again["path"][0] == "/elsewhere/앞니/0.png" and pd.isna(again["path"][2])
    assert again["region"][1] == [[0, 0], [1, 1.5], [3, 1]] and again["region"][5] is None
    assert again["tooth_number"][0] == "11" and pd.isna(again["tooth_number"][1])
    tables.write_cases(again, tmp_path / "again.csv", "/elsewhere")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "cases.csv").read_bytes()


def test_the_hash_of_cases_knows_all_but_the_place(tmp_path):
    cases = tables.visible(make(6)).assign(fold=0)
    tables.write_cases(cases, tmp_path / "cases.csv", "/d")
    kept = tables.cases_hash(cases)
    assert tables.cases_hash(tables.read_cases(tmp_path / "cases.csv", "/other")) == kept
    for column, value in {"id": "x", "group": "g", "decayed": None, "fold": 1}.items():
        changed = cases.copy()
        changed.loc[3, column] = value
        assert tables.cases_hash(changed) != kept, column


def test_what_cannot_be_looked_at_is_not_visible():
    cases = make(4)
    cases.loc[0, "path"] = None
    cases["region"] = pd.Series([*cases["region"][:3], None], dtype=object)
    assert list(tables.visible(cases)["id"]) == ["000001", "000002"]
    assert len(tables.visible(cases.drop(columns="region"))) == 3


def test_groups_take_turns():
    cases = pd.DataFrame({"id": list("abcdef"), "group": ["1", "1", None, "2", "1", "2"]})
    assert "".join(tables.by_turns(cases)["id"]) == "acdbfe"
    assert "".join(tables.by_turns(cases.assign(other=list("xyxyxy")), "other")["id"]) == "abcdef"


def test_rows_are_matched_by_id():
    cases = make(4)
    predictions = pd.DataFrame({"id": cases["id"][::-1], "p": [3.0, 2.0, 1.0, 0.0]})
    assert list(tables.match(cases, predictions)["p"]) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"1 of 4 ids have none, e\.g\. \['000003'\]"):
        tables.match(cases, predictions.iloc[1:])
    doubled = pd.concat([predictions, predictions.iloc[:1]])
    with pytest.raises(ValueError, match=r"predictions: 1 ids stand more than once.*'000003'"):
        tables.match(cases, doubled)


def test_counts_that_differ_are_explained():
    cases = make(6)
    assert tables.counted(cases) == "6 cases"
    cases["region"] = pd.Series([*cases["region"][:4], None, None], dtype=object)
    assert tables.counted(cases) == "6 cases (2 of them without a marked part)"
    cases.loc[0, "path"] = None
    told = "6 cases (2 of them without a marked part and 1 without a picture)"
    assert tables.counted(cases) == told


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.csv: no such table \(found nothing\)"):
        tables.read_csv(tmp_path / "no.csv")
    (tmp_path / "k.csv").write_bytes("id,이\n1,빨\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"k\.csv: not UTF-8 \(found byte 0x.*cp949"):
        tables.read_csv(tmp_path / "k.csv")
    (tmp_path / "e.csv").write_text("")
    with pytest.raises(ValueError, match=r"e\.csv: not a table \(No columns"):
        tables.read_csv(tmp_path / "e.csv")


def test_pictures_outside_the_data_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"0\.png: not below the data folder '/elsewhere'"):
        tables.write_cases(make(2), tmp_path / "cases.csv", "/elsewhere")


def test_boxes_survive_a_csv_and_come_back_to_the_same_hash(tmp_path):
    boxes = [(0, 0, 5, 9), (np.int64(5), 0, 10, 9), None]
    cases = make(3).drop(columns="region").assign(box=pd.Series(boxes, dtype=object))
    tables.write_cases(cases, tmp_path / "cases.csv", "/d")
    assert ',"[5, 0, 10, 9]"\n' in (tmp_path / "cases.csv").read_text(encoding="utf-8")
    again = tables.read_cases(tmp_path / "cases.csv", "/d")
    assert list(again["box"]) == [[0, 0, 5, 9], [5, 0, 10, 9], None]
    assert tables.cases_hash(again) == tables.cases_hash(cases)
    assert list(tables.visible(again)["id"]) == ["000000", "000001"]
    moved = cases.assign(box=pd.Series([(0, 0, 5, 8), *boxes[1:]], dtype=object))
    assert tables.cases_hash(moved) != tables.cases_hash(cases)


def test_a_case_has_a_region_or_a_box(tmp_path):
    cases = make(2).assign(box=pd.Series([(0, 0, 5, 9)] * 2, dtype=object))
    for use in (tables.visible, lambda cases: tables.write_cases(cases, tmp_path / "c.csv", "/d")):
        with pytest.raises(ValueError, match=r"both a 'region' and a 'box'.*Drop the column"):
            use(cases)


def test_what_only_bears_the_name_of_masks_or_files_is_no_place(tmp_path):
    cases = pd.DataFrame({"id": ["a", "b"], "path": [str(tmp_path / "x.png")] * 2, "group": "g"})
    cases["masks"] = [3, 4]
    tables.write_cases(cases, tmp_path / "cases.csv", tmp_path)
    again = tables.read_cases(tmp_path / "cases.csv", tmp_path)
    assert list(again["masks"]) == [3, 4]
    assert tables.cases_hash(cases) != tables.cases_hash(cases.assign(masks=[3, 5]))
    for columns in (["file", "folder"], ["file"]):
        predictions = pd.DataFrame({"id": ["a", "b"], **{name: [0.25, 0.75] for name in columns}})
        tables.write_predictions(predictions, tmp_path / "predictions.csv")
        again = tables.read_predictions(tmp_path / "predictions.csv")
        assert again.to_dict("list") == predictions.to_dict("list")


def test_places_of_masks_and_of_predicted_files_are_relative_on_the_disk(tmp_path):
    cases = pd.DataFrame({"id": ["a", "b"], "path": [str(tmp_path / "x.png")] * 2, "group": "g"})
    cases["masks"] = pd.Series([str(tmp_path / "labels" / "{class}" / "x.png"), None], dtype=object)
    cases["masks_sha"] = pd.Series(["0123456789012345", None], dtype=object)
    tables.write_cases(cases, tmp_path / "cases.csv", tmp_path)
    assert str(tmp_path) not in (tmp_path / "cases.csv").read_text()
    again = tables.read_cases(tmp_path / "cases.csv", tmp_path, text=tables.text_columns(cases))
    assert again["masks"].iloc[0] == cases["masks"].iloc[0] and again["masks"].isna()[1]
    assert again["masks_sha"].isna().tolist() == [False, True]
    assert again["masks_sha"].iloc[0] == "0123456789012345"
    assert tables.cases_hash(again) == tables.cases_hash(cases)
    moved = cases.assign(masks=["elsewhere", None])
    assert tables.cases_hash(moved) == tables.cases_hash(cases)
    predictions = pd.DataFrame({"id": ["a", "b"], "file": [str(tmp_path / "p" / "a"), None]})
    (tmp_path / "run").mkdir()
    tables.write_predictions(predictions, tmp_path / "run" / "predictions.csv")
    assert "../p/a" in (tmp_path / "run" / "predictions.csv").read_text()
    found = tables.read_predictions(tmp_path / "run" / "predictions.csv")
    assert found["file"].iloc[0] == predictions["file"].iloc[0] and found["file"].isna()[1]
