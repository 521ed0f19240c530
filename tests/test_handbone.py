from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn_contests import check_reasons, drawn_contest, grey, right_masks, some_masks

import medkit as mk
from medkit import tables
from medkit.datasets.drawing.handbone import draw_bend, draw_hand, draw_handbone
from medkit.datasets.drawing.writing import write_sheet
from medkit.datasets.handbone import BONES, COLUMNS, SUSPECT, inspect, polygons
from medkit.datasets.scoring import score_interval
from medkit.files import sha256
from medkit.images import crops, rle
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.scoring import Answers

SQUARE = [[2, 2], [9, 2], [9, 7], [2, 7]]


@pytest.fixture(scope="module")
def contest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("대회") / "손"
    draw_handbone(folder, seed=3, n_train=6, n_test=4, size=64)
    return folder


def outlines(**others):
    """Annotations of all bones by hand; None leaves one out, a dict replaces its keys."""
    rows = [{"id": n, "type": "poly_seg", "label": n, "points": SQUARE} for n in BONES]
    changes = {name.replace("_", "-"): change for name, change in others.items()}
    kept = [{**row, **(changes.get(row["label"]) or {})} for row in rows]
    return [r for r, row in zip(kept, rows) if changes.get(row["label"], {}) is not None]


def write_json(path, rows=None, size=(12, 8), **others):
    """A JSON by hand; `size` is width and height."""
    record = {"filename": f"{path.stem}.png", "metadata": {"width": size[0], "height": size[1]}}
    record.update(annotations=outlines() if rows is None else rows, **others)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def hand(data, person, name, *, split="train", rows=None, **others):
    """A picture by hand with its JSON."""
    path = grey(data / split / "DCM" / person / f"{name}.png")
    write_json(data / split / "outputs_json" / person / f"{name}.json", rows, **others)
    return path


def read(data, split="train", **options):
    """The cases of a split, and by id the reasons of what is quarantined."""
    cases, quarantine = inspect(data, split, **options)
    assert list(quarantine) == ["id", "path", "reason"] and list(cases) == list(COLUMNS)
    assert quarantine["id"].is_unique
    return cases, dict(zip(quarantine["id"], quarantine["reason"]))


def test_bones_stand_in_the_contests_order():
    assert len(BONES) == len(set(BONES)) == 29
    assert BONES[0] == "finger-1" and BONES[18:20] == ("finger-19", "Trapezium")
    assert BONES[-2:] == ("Radius", "Ulna")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_drawn_contest_is_read_whole(contest, split):
    cases, why = read(contest, split, verify=True)
    assert not why and len(cases) == {"train": 12, "test": 8}[split]
    places = [path.split(f"{split}/DCM/")[1] for path in cases["path"]]
    assert places == sorted(places)  # in which order the contest wants them
    assert [place.split("/")[1] for place in places] == list(cases["id"])
    assert [place.split("/")[0] for place in places] == list(cases["group"])
    for case in cases.to_dict("records"):
        assert case["masks_sha"] == sha256(Path(case["masks"]).read_bytes())[:16]
        assert len(case["masks_sha"]) == 16
    assert cases.groupby("group")["side"].apply(set).map(len).eq(2).all()
    assert cases["sex"].isin(["F", "M"]).sum() > 4 and set(cases["nails"]) <= {"yes", "no"}
    assert {str(cases[name].dtype) for name in ("age", "weight", "height")} == {"float64"}
    again = inspect(contest, split)[0]
    assert tables.cases_hash(again) == tables.cases_hash(cases)


def test_the_contests_test_has_no_masks(contest, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(contest, data)
    shutil.rmtree(data / "test" / "outputs_json")
    cases, why = read(data, "test")
    assert not why and len(cases) == 8
    assert cases["masks"].isna().all() and cases["masks_sha"].isna().all()


@pytest.mark.parametrize("size", [64, 200])
def test_outlines_are_those_that_were_drawn(tmp_path, size):
    draw_handbone(tmp_path, seed=1, n_train=6, n_test=0, size=size)
    cases, _ = read(tmp_path)
    ranks = {person: rank for rank, person in enumerate(cases["group"].unique())}
    depths = set()
    for case in cases.to_dict("records"):
        is_bent = draw_bend(1, "train", ranks[case["group"]])
        _, bones = draw_hand(1, int(case["group"][2:]), case["side"], is_bent, size)
        found_size, found = polygons(case["masks"])
        assert found_size == (size, size) and list(found) == list(BONES)
        assert all(np.array_equal(found[name], bones[name]) for name in BONES)
        record = json.loads(Path(case["masks"]).read_text(encoding="utf-8"))
        depths.add(np.ndim(record["annotations"][0]["points"]))
    assert depths == {2, 3}


def test_points_may_lie_one_level_deeper_and_outside(tmp_path):
    ring = [[-5, 3], [30, 3], [30.5, 6.25]]
    rows = outlines(finger_1={"points": [SQUARE]}, Ulna={"points": ring})
    size, found = polygons(write_json(tmp_path / "a.json", rows[::-1]))
    assert size == (8, 12) and list(found) == list(BONES)
    assert found["finger-1"].tolist() == SQUARE and found["Ulna"].tolist() == ring  # as they are
    assert {points.dtype for points in found.values()} == {np.dtype("float64")}
    drawn = np.zeros(size, np.uint8)
    cv2.fillPoly(drawn, [np.rint(found["Ulna"]).astype(np.int32)], 1)
    assert drawn[3].all() and not drawn[:3].any()


def test_an_outline_that_crosses_itself_is_taken(tmp_path):
    bow = [[0, 0], [10, 6], [10, 0], [0, 6]]
    _, found = polygons(write_json(tmp_path / "a.json", outlines(Lunate={"points": bow})))
    drawn = np.zeros((8, 12), np.uint8)
    cv2.fillPoly(drawn, [np.rint(found["Lunate"]).astype(np.int32)], 1)
    assert drawn[3, 1] and drawn[3, 9] and not drawn[0, 5] and not drawn[6, 5]


def points(value, name="Lunate"):
    return outlines(**{name: {"points": value}})


REFUSED = [
    (outlines(Lunate=None), r"no outline of Lunate\.$"),
    (
        outlines(**{f"finger_{k}": None for k in range(1, 6)}),
        "of finger-1, finger-2, finger-3 and 2",
    ),
    ([], "no outline of finger-1, finger-2, finger-3 and 26 more"),
    ([*outlines(), outlines()[3]], r"finger-4 stands twice \(expected one outline a bone\)"),
    (outlines(Lunate={"label": "lunate"}), "annotation 25 is of 'lunate'.* Did you mean 'Lunate'"),
    (outlines(finger_2={"label": "finger-20"}), "annotation 2 is of 'finger-20', which is no bone"),
    (outlines(finger_1={"label": None}), "annotation 1 is of None, which is no bone"),
    (outlines(finger_1={"label": ["x"]}), r"annotation 1 is of \['x'\], which is no bone"),
    ([7, *outlines()], "annotation 1 is of None, which is no bone"),
    (outlines(Ulna={"type": "bbox"}), r"Ulna: the type is 'bbox' \(expected 'poly_seg'\)"),
    (points(SQUARE[:2]), r"Lunate: the outline has 2 points \(expected 3 or more\)"),
    (points([]), r"Lunate: the outline has 0 points \(expected 3 or more\)"),
    (points([SQUARE, SQUARE]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([SQUARE, SQUARE[:3]]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([[[SQUARE]]]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([1, 2, 3]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points(None), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points({"x": 1}), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([["a", "b"]] * 3), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([*SQUARE, [10**400, 0]]), r"Lunate: 'points' is not one list of \[x, y\]"),
    (points([*SQUARE, [float("nan"), 0]]), r"Lunate: a point lies at \[nan, 0\.0\]"),
    (points([*SQUARE, [0, -1e9]]), r"Lunate: a point lies at \[0\.0, -1000000000\.0\]"),
    (points([[12, 0], [20, 0], [20, 7]]), "Lunate: .* lies outside the picture of 12 x 8 pixels"),
    (points([[0, -9], [5, -9], [5, -1]]), "Lunate: .* lies outside the picture of 12 x 8 pixels"),
]


@pytest.mark.parametrize(("rows", "words"), REFUSED)
def test_annotations_that_cannot_be_used_are_named(rows, words, tmp_path):
    path = write_json(tmp_path / "a.json", rows)
    with pytest.raises(ValueError, match=rf"^{path}: .*{words}"):
        polygons(path)


NO_LIST, NO_SIZE = "has no list 'annotations'", "'metadata' has no height and width"
TEXTS = [("", "cannot be read"), ("{", "cannot be read"), ("[" * 100_000, "cannot be read")]
TEXTS += [("[]", NO_SIZE), ("3", NO_SIZE), ('{"metadata": [8, 12]}', NO_SIZE)]
TEXTS += [('{"metadata": {"width": 12}, "annotations": []}', r"width \(found \(None, 12\)\)")]
TEXTS += [('{"metadata": {"width": 12, "height": "8"}}', NO_SIZE)]
TEXTS += [('{"metadata": {"width": 12, "height": 0}}', NO_SIZE)]
TEXTS += [('{"metadata": {"width": 12, "height": 8}, "annotations": {}}', NO_LIST)]


@pytest.mark.parametrize(("text", "words"), TEXTS)
def test_a_json_that_is_another_is_named(text, words, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{path}: .*{words}"):
        polygons(path)


def test_a_json_that_is_no_text_or_not_there_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        polygons(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=rf"^{path}: the JSON cannot be read"):
        polygons(path)
    write_json(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Windows begins a file
    assert len(polygons(path)[1]) == 29


def test_broken_records_are_quarantined_with_their_place(tmp_path):
    hand(tmp_path, "ID001", "image1")
    hand(tmp_path, "ID001", "image2", rows=outlines(Ulna=None))
    hand(tmp_path, "ID002", "image3").write_bytes(b"")
    grey(tmp_path / "train/DCM/ID002/image4.png")
    hand(tmp_path, "ID003", "image5", size=(8, 12))
    hand(tmp_path, "ID003", "image6", rows=points(SQUARE[:2]))
    write_json(tmp_path / "train/outputs_json/ID003/image7.json")
    (tmp_path / "train/DCM/ID003/._image8.png").write_bytes(b"")  # as macOS leaves it
    cases, why = read(tmp_path)
    assert list(cases["id"]) == ["image1.png"] and cases["side"][0] == "right"
    wanted = {
        "image2.png": "train/DCM/ID001/image2.png: no outline of Ulna",
        "image3.png": "train/DCM/ID002/image3.png: this is not a picture",
        "image4.png": "train/DCM/ID002/image4.png: there is no JSON of its name in outputs_json",
        "image5.png": "5.png: the JSON is of a picture of 8 x 12 pixels (found 12 x 8)",
        "image6.png": "train/DCM/ID003/image6.png: Lunate: the outline has 2 points (expected 3",
        "image7": "train/outputs_json/ID003/image7.json: the picture is missing",
    }
    check_reasons(why, wanted)


def test_every_picture_of_the_test_is_kept(tmp_path):
    hand(tmp_path, "ID004", "image1", split="test")
    hand(tmp_path, "ID004", "image2", split="test").write_bytes(b"")
    hand(tmp_path, "ID008", "image3", split="test", rows=[])
    grey(tmp_path / "test/DCM/ID008/image4.png")
    cases, why = read(tmp_path, "test")
    assert list(cases["id"]) == [f"image{k}.png" for k in range(1, 5)]
    assert list(cases["path"].isna()) == [False, True, False, False]
    assert list(cases["masks"].isna()) == [False, False, True, True]
    wanted = {
        "image2.png": "this is not a picture",
        "image3.png": "no outline of finger-1, finger-2, finger-3 and 26 more",
        "image4.png": "there is no JSON of its name",
    }
    check_reasons(why, wanted)


def test_sides_are_told_by_names_or_by_turns(tmp_path):
    names = {
        "ID001": ("image7", "image9"),
        "ID002": ("image3_L", "image4_R"),
        "ID003": ("image5_R", "image6"),
        "ID005": ("image1", "image2_R"),
    }
    for person, pair in names.items():
        for name in pair:
            hand(tmp_path, person, name)
    cases, why = read(tmp_path)
    assert not why and [name for pair in names.values() for name in pair] == [
        id[:-4] for id in cases["id"]
    ]
    sides = ["right", "left", "left", "right", "right", "left", "left", "right"]
    assert list(cases["side"]) == sides


def test_people_without_just_two_hands_are_told_and_their_pictures_kept(tmp_path):
    for person, names in {
        "ID001": ("image1",),
        "ID002": ("image2", "image3_L", "image4"),
        "ID003": ("image5_R", "image6_R"),
    }.items():
        for name in names:
            hand(tmp_path, person, name)
    hand(tmp_path, "", "image7_L")
    cases, why = read(tmp_path)
    assert len(cases) == 7 and cases["group"].tolist().count("image7_L") == 1
    sides = dict(zip(cases["id"], cases["side"].where(cases["side"].notna(), "")))
    assert {id: side for id, side in sides.items() if side} == {
        "image3_L.png": "left",
        "image7_L.png": "left",
    }
    wanted = {
        "ID001": "1 picture(s) (expected 2: the right and the left hand)",
        "ID002": "3 picture(s) (expected 2: the right and the left hand)",
        "ID003": "both pictures are named as a right hand",
        "image7_L": "1 picture(s) (expected 2",
    }
    check_reasons(why, wanted)


def test_two_pictures_of_one_name_are_told(tmp_path):
    for split in ("train", "test"):
        for person in ("ID001", "ID002"):
            hand(tmp_path, person, "image1", split=split)
            hand(tmp_path, person, f"image{person}", split=split)
    cases, why = read(tmp_path)
    assert list(cases["id"]) == ["imageID001.png", "imageID002.png"] and list(why) == ["image1.png"]
    assert "2 times" in why["image1.png"] and "train/DCM/ID002/image1.png" in why["image1.png"]
    cases, why = read(tmp_path, "test")
    assert len(cases) == 4 and cases["id"].is_unique and list(why) == ["image1.png"]


def test_people_can_be_left_out_of_train(tmp_path):
    for person in ("ID072", "ID073"):
        for split in ("train", "test"):
            hand(tmp_path, person, f"image{person}1", split=split)
            hand(tmp_path, person, f"image{person}2", split=split)
    write_json(tmp_path / "train/outputs_json/ID073/image9.json")
    cases, why = read(tmp_path, without=SUSPECT)
    assert set(cases["group"]) == {"ID072"}
    assert why == {"ID073": "left out, as `without` says"}
    assert set(read(tmp_path, without=["ID072"])[0]["group"]) == {"ID073"}
    for without in ((), None):
        assert len(read(tmp_path, without=without)[0]) == 4
    assert len(read(tmp_path, "test", without=SUSPECT)[0]) == 4
    assert len(SUSPECT) == 7


@pytest.mark.parametrize("without", ["ID363", ["363"], [363], ["ID1"], [None]])
def test_people_to_leave_out_are_written_as_their_folders_are(contest, without):
    with pytest.raises(ValueError, match=r"^handbone: without .* \(expected IDs as in \['ID363'"):
        inspect(contest, "train", without=without)


def test_another_folder_says_what_was_found_and_expected(contest, tmp_path):
    with pytest.raises(ValueError, match=r"split 'val' \(expected one of train, test\)"):
        inspect(contest, "val")
    with pytest.raises(FileNotFoundError, match="Set DATA to the folder that holds train/DCM and"):
        inspect(tmp_path / "none", "train")
    (tmp_path / "train").mkdir()
    words = r"not the layout of the handbone contest \(found train/; expected train/DCM\)"
    with pytest.raises(ValueError, match=words):
        inspect(tmp_path, "train")
    grey(tmp_path / "train/DCM/ID001/image1.png")
    grey(tmp_path / "train/DCM/ID001/image2.png")
    words = "every record of train is quarantined .2 x there is no JSON of its name in outputs_json"
    with pytest.raises(ValueError, match=words):
        inspect(tmp_path, "train")


def test_what_the_table_tells_stands_beside_the_pictures(tmp_path):
    for person in ("ID001", "ID002"):
        for k in (1, 2):
            hand(tmp_path, person, f"image{person}{k}")
    header = ("ID", "나이", "성별", "체중(몸무게)", "키(신장)", None)
    row = ("ID001", 30, "_x0008_F", 55.5, 160, "네일있음")
    write_sheet(tmp_path / "meta_data.xlsx", [header, row])
    cases, why = read(tmp_path)
    assert not why and list(cases["age"][:2]) == [30, 30] and list(cases["sex"][:2]) == ["F", "F"]
    assert cases[["age", "sex", "weight", "height", "nails"]][2:].isna().all(axis=None)
    (tmp_path / "meta_data.xlsx").unlink()
    bare, why = read(tmp_path)
    assert not why and bare[["age", "sex", "nails"]].isna().all(axis=None)
    others = ["id", "path", "group", "masks", "masks_sha", "side"]
    pd.testing.assert_frame_equal(bare[others], cases[others])


# the laws of test_every_contest.py that are about answers


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return drawn_contest("handbone", tmp_path_factory.getbasetemp())


def test_the_submission_is_in_the_contests_order_and_any_other_is_refused(drawn, tmp_path):
    task, cases = drawn.task, drawn.test
    predictions = some_masks(task, cases)
    shuffled = predictions.sample(frac=1, random_state=1)
    csv = mk.write_submission(task, cases, shuffled, tmp_path / "submission.csv")
    lines = csv.read_text().splitlines()
    assert lines[0] == "image_name,class,rle"
    assert [line.rpartition(",")[0] for line in lines[1:]] == drawn.rows(drawn.data)
    assert len(lines) == 1 + 29 * len(cases)
    told = f"All {len(lines) - 1} ids, their order and masks are as handbone wants."
    assert mk.check_submission(csv) == [told]
    swapped = [*lines[:-2], lines[-1], lines[-2]]
    for changed, words in (
        (lines[:-1], r"1 of 232 ids are missing, e\.g\. \[.*,Ulna'\]"),
        (swapped, "order is another, from '.*,Ulna' on"),
        ([*lines[:-1], lines[-1].rpartition(",")[0] + ",1 2 3"], "1 masks are no runs"),
        ([*lines[:-1], lines[-1].rpartition(",")[0] + ",4090 9"], "1 masks are no runs"),
    ):
        csv.write_text("\n".join(changed) + "\n")
        with pytest.raises(ValueError, match=words):
            mk.check_submission(csv)


def test_there_are_as_many_rows_as_images(drawn, tmp_path):
    for count in (1, len(drawn.test)):  # 300 in one year, 288 in another
        cases = drawn.test.head(count)
        table = drawn.task.submission_table(cases, some_masks(drawn.task, cases))
        assert len(table) == 29 * count


def test_the_score_is_the_official_dice_by_pixels(drawn):
    task, cases = drawn.task, drawn.test
    predictions = some_masks(task, cases)
    by_class = {name: [] for name in BONES}
    for case, file in zip(cases.to_dict("records"), predictions["file"]):
        shape, truth = task.read_masks(case)
        found = crops.read(file, id=case["id"], classes=BONES)
        for name in BONES:
            a, b = rle.to_mask(truth[name], shape), rle.to_mask(found.runs(name, 128), shape)
            both = float((a & b).sum())
            by_class[name].append((2 * both + 1e-4) / (a.sum() + b.sum() + 1e-4))
    scores = mk.score(task, cases, predictions)
    assert next(iter(scores)) == "dice"
    means = {name: np.mean(values) for name, values in by_class.items()}
    assert scores["dice"] == pytest.approx(np.mean(list(means.values())), abs=1e-12)
    assert scores["Ulna_dice"] == pytest.approx(means["Ulna"], abs=1e-12)
    found = score_interval(task, cases, predictions)
    assert found.low < found.value < found.high  # by people


def test_the_answers_score_best_here_and_on_a_leaderboard(drawn, tmp_path):
    task, cases = drawn.task, drawn.test
    right = right_masks(task, cases)
    assert mk.score(task, cases, right)["dice"] == 1.0
    csv = mk.write_submission(task, cases, right, tmp_path / "submission.csv")
    truth = mk.leaderboard.write_answers(task, cases, tmp_path / "answers.csv")
    rules = new_contest(tmp_path / "board", truth, task="handbone", public_share=0.5)
    board = Answers(rules, read_answers(truth), truth)
    scores = board.score(board.check(csv.read_bytes()))
    assert [next(iter(part.items())) for part in scores.values()] == [("dice", 1.0)] * 2


def test_wrists_are_bent_more_often_in_the_test(tmp_path):
    task = mk.get_task("handbone")
    task.draw(tmp_path, seed=1, n_train=40, n_test=20, size=64)
    train, test = (task.read(tmp_path, split) for split in ("train", "test"))
    assert (train["bent"] == "yes").mean() < 0.25 < 0.4 < (test["bent"] == "yes").mean() < 0.75
    assert train["bend"].between(0, 90).all() and set(train["bent"]) == {"yes", "no"}


@pytest.mark.parametrize(("a", "b"), [("finger-4", "finger-5"), ("Radius", "Ulna")])
def test_bones_that_bear_each_others_names_are_told(tmp_path, a, b):
    draw_handbone(tmp_path, seed=2, n_train=3, n_test=0, size=64)
    cases, quarantine = inspect(tmp_path, "train")
    assert quarantine.empty
    path = Path(cases["masks"].iloc[1])
    text = path.read_text(encoding="utf-8")
    swapped = text.replace(f'"{a}"', '"?"').replace(f'"{b}"', f'"{a}"').replace('"?"', f'"{b}"')
    assert swapped != text
    path.write_text(swapped, encoding="utf-8")
    again, quarantine = inspect(tmp_path, "train")
    assert list(again["id"]) == list(cases["id"])  # it is kept
    (reason,) = quarantine["reason"]
    assert f"{a} and {b} seem" in reason or f"{b} and {a} seem" in reason
    assert reason.endswith("; it is kept")
