from __future__ import annotations

import json
import shutil
import unicodedata

import pandas as pd
import pytest
from drawn_contests import check_reasons, grey, quarantined

import medkit as mk

TASK = mk.get_task("caries")
BOX = [[5, 5], [25, 5], [25, 25], [5, 25]]


def tooth(number=16, decayed=False, segmentation=BOX):
    return {"teeth_num": number, "segmentation": segmentation, "decayed": decayed}


def write(data, stem, teeth, *, split="train_data", folder="image", named=None):
    """One record in the contest's layout."""
    (data / split / "json").mkdir(parents=True, exist_ok=True)
    picture = grey(data / split / folder / f"{stem}.png", size=(60, 40))
    view, _, number = stem.partition("_")
    record = {"image_filepath": named or f"images/{view}/{number}/{stem}.png", "tooth": teeth}
    (data / split / "json" / f"{stem}.json").write_text(json.dumps(record), encoding="utf-8")
    return picture


def test_a_tooth_is_a_case(tmp_path):
    write(tmp_path, "front_7", [tooth(11), tooth(21, True)])
    (cases, quarantine) = TASK.inspect(tmp_path, "train")
    assert list(cases["id"]) == ["front_7_00", "front_7_01"]
    assert list(cases["decayed"]) == ["sound", "decayed"]
    assert list(cases["tooth_number"]) == ["11", "21"]
    assert set(cases["photo_decayed"]) == {"decayed"} and set(cases["view"]) == {"front"}
    assert set(cases["group"]) == {"7"} and cases["region"][0] == BOX and quarantine.empty


def test_a_photo_is_a_case_with_the_other_unit(tmp_path):
    write(tmp_path, "front_7", [tooth(), tooth(decayed=True)])
    write(tmp_path, "left_8", [tooth()])
    cases = TASK.read(tmp_path, "train", unit="image")
    assert list(cases["id"]) == ["front_7", "left_8"] and "region" not in cases
    assert list(cases["decayed"]) == ["decayed", "sound"]


@pytest.mark.parametrize("folder", ["image", "images", "images/upper/501"])
@pytest.mark.parametrize("named", [None, r"images\upper\501\upper_501.png", "upper_501.png"])
def test_the_picture_is_found_by_its_base_name(tmp_path, folder, named):
    picture = write(tmp_path, "upper_501", [tooth()], folder=folder, named=named)
    assert list(TASK.read(tmp_path, "train")["path"]) == [str(picture)]


def test_the_public_release_has_another_layout(tmp_path):
    write(tmp_path, "upper_5", [tooth()])
    old, new = tmp_path / "train_data", tmp_path / "Training"
    hangul = unicodedata.normalize("NFD", "1.원천데이터")  # as macOS unpacks it
    (new / hangul).mkdir(parents=True)
    shutil.move(str(old / "image"), str(new / hangul / "4.upper"))
    (new / "2.라벨링데이터").mkdir()
    shutil.move(str(old / "json"), str(new / "2.라벨링데이터" / "4.upper"))
    old.rmdir()
    assert list(TASK.read(tmp_path, "train")["photo"]) == ["upper_5"]


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 1], [2, 2]], "2 points"),
        ([], "not a list of"),
        (None, "not a list of"),
        ([[1, 1], [2]], "not a list of"),
        ([[1, 1], [2, "x"], [3, 3]], "not a list of"),
        ([[70, 1], [80, 1], [80, 30]], "outside the picture of 60 x 40"),
    ],
)
def test_a_tooth_without_a_usable_polygon_is_quarantined(tmp_path, segmentation, reason):
    write(tmp_path, "front_1", [tooth(), tooth(decayed=True, segmentation=segmentation)])
    cases, why = quarantined(TASK, tmp_path)
    assert list(cases["id"]) == ["front_1_00"] and reason in why["front_1_01"]
    assert list(cases["photo_decayed"]) == ["decayed"]  # the photo's label still counts it


def test_a_polygon_that_leaves_the_picture_is_clipped(tmp_path):
    write(tmp_path, "front_1", [tooth(segmentation=[[[-5, 3], [90, 3], [90, 30]]])])
    assert TASK.read(tmp_path, "train")["region"][0] == [[0, 3], [59, 3], [59, 30]]


@pytest.mark.parametrize("number", [None, "", 99, "16"])
def test_tooth_numbers_may_be_missing(tmp_path, number):
    write(tmp_path, "front_1", [tooth(number), {"segmentation": BOX, "decayed": 0}])
    numbers = TASK.read(tmp_path, "train")["tooth_number"]
    assert (numbers[0] == "16") == (number == "16") and pd.isna(numbers[1])


def test_broken_records_are_quarantined_with_a_reason(tmp_path):
    write(tmp_path, "front_1", [tooth()])
    write(tmp_path, "lower_2", [tooth()]).unlink()
    write(tmp_path, "lower_3", [tooth()], named="images/lower/9/lower_9.png")
    cut = write(tmp_path, "lower_4", [tooth()])
    cut.write_bytes(cut.read_bytes()[:60])
    write(tmp_path, "lower_5", [tooth()])
    (tmp_path / "train_data/json/lower_5.json").write_text('{"tooth": [')
    write(tmp_path, "lower_6", [tooth()])
    (tmp_path / "train_data/json/lower_6.json").write_text('{"teeth": []}')
    write(tmp_path, "lower_7", [{"segmentation": BOX, "decayed": "yes"}])
    write(tmp_path, "lower_8", [tooth()])
    (tmp_path / "train_data/json/lower_8.json").unlink()
    write(tmp_path, "lower_9", [tooth()])
    (tmp_path / "train_data/json/lower_9.json").write_text("[" * 100_000)
    cases, why = quarantined(TASK, tmp_path)
    assert list(cases["id"]) == ["front_1_00"]
    wanted = {
        2: "the picture is missing",
        3: "another picture",
        4: "cut off",
        5: "cannot be read",
        6: "no list 'tooth'",
        7: "'decayed' is 'yes'",
        8: "no JSON",
        9: "cannot be read",
    }
    check_reasons(why, {f"lower_{number}": words for number, words in wanted.items()})
    with pytest.warns(UserWarning, match=r"8 records of train are quarantined, e\.g\. 'lower_2'"):
        TASK.read(tmp_path, "train")


def test_verify_finds_pictures_that_are_broken_inside(tmp_path):
    write(tmp_path, "front_1", [tooth()])
    picture = write(tmp_path, "front_2", [tooth()])
    data = bytearray(picture.read_bytes())
    data[60:70] = bytes(10)
    picture.write_bytes(bytes(data))
    assert quarantined(TASK, tmp_path)[1] == {}
    assert "broken" in quarantined(TASK, tmp_path, verify=True)[1]["front_2"]


def test_every_test_photo_keeps_a_row(tmp_path):
    write(tmp_path, "front_1", [tooth()], split="test_data")
    write(tmp_path, "front_2", [], split="test_data")
    write(tmp_path, "front_10", [tooth(decayed=True)], split="test_data").unlink()
    cases, why = quarantined(TASK, tmp_path, "test")
    assert list(cases["photo"]) == ["front_1", "front_2", "front_10"] and "front_10" in why
    units = TASK.to_units(cases)
    assert list(units["y_true"]) == ["sound", "sound", "decayed"]
    assert list(units["seen"]) == [True, True, False]
    predictions = pd.DataFrame(
        {"id": ["front_1_00", "front_10"], "sound": [0.3, 0.0], "decayed": [0.7, 1.0]}
    )
    units = TASK.to_units(cases, predictions)
    assert list(units["decayed"]) == [0.7, 0.0, 1.0]
    table = TASK.submission_table(cases, predictions, threshold=0.5)
    assert table.to_dict("list") == {"id": list(cases["photo"]), "decayed": [1, 0, 1]}


def test_a_photo_takes_its_largest_tooth(tmp_path):
    write(tmp_path, "front_1", [tooth(), tooth(decayed=True), tooth()])
    write(tmp_path, "front_2", [tooth()])
    cases = TASK.read(tmp_path, "train")
    predictions = pd.DataFrame(
        {"id": cases["id"][::-1], "sound": 0.5, "decayed": [0.1, 0.2, 0.9, 0.3]}
    )
    assert list(TASK.to_units(cases, predictions)["decayed"]) == [0.9, 0.1]
    scores = mk.score(TASK, cases, predictions, threshold=0.5)
    assert list(scores)[:4] == ["f1_macro", "f1_binary", "f1_micro", "f1_weighted"]
    assert scores["f1_macro"] == 1.0 and scores["tooth_f1_binary"] == 1.0


def test_groups_come_from_the_table_where_there_is_one(tmp_path):
    write(tmp_path, "front_1", [tooth()])
    write(tmp_path, "front_02", [tooth()])
    (tmp_path / "train_data/groups.csv").write_text("id,group\nfront_1,007\n")
    assert list(TASK.read(tmp_path, "train")["group"]) == ["007", "02"]


def test_every_record_quarantined_gives_the_reasons(tmp_path):
    for stem in ("front_1", "front_2"):
        write(tmp_path, stem, [tooth()]).unlink()
    write(tmp_path, "front_3", [tooth()])
    (tmp_path / "train_data/json/front_3.json").unlink()
    with pytest.raises(ValueError, match=r"every record of train is quarantined .*1 x no JSON"):
        TASK.read(tmp_path, "train")


def test_an_unknown_unit_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="unit 'mouth'"):
        TASK.read(tmp_path, "train", unit="mouth")


def test_mirroring_takes_a_tooth_to_the_other_side():
    number = next(fact for fact in TASK.facts if fact.name == "tooth_number")
    assert number.mirrored["11"] == "21" and number.mirrored["38"] == "48"
