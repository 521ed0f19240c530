from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from drawn_contests import check_reasons, drawn_contest, grey, guess, quarantined

import medkit as mk
from medkit.datasets.drawing.sleep import draw_epoch
from medkit.datasets.sleep import STAGES

TASK = mk.get_task("sleep")


@pytest.fixture
def contest(tmp_path_factory):
    return drawn_contest("sleep", tmp_path_factory.getbasetemp())


def night(data, record, labels, *, split="train", first=1):
    """One record by hand: a picture and a line an epoch."""
    table = data / f"{split}set-for_user.csv"
    text = table.read_bytes() if table.is_file() else b"\xef\xbb\xbf"
    for epoch, label in enumerate(labels, first):
        name = f"{record}_{epoch:04d}.png"
        grey(data / record / name)
        cells = [record, name, label] if split == "train" else [record, name]
        text += ",".join(cells).encode() + b"\r\n"
    table.write_bytes(text)
    return table


def test_a_record_is_a_group(contest):
    assert len(contest.train) == 4 * 34
    assert set(contest.train["group"]) == {"00001", "00002", "00003", "00004"}  # zeros stay
    assert list(contest.train["epoch"][:2]) == [3, 4]  # the first two have no label
    assert list(contest.test["group"].unique()) == ["05002", "05001"]  # the table's order


def test_the_order_of_the_classes_has_one_source():
    assert TASK.heads[0].classes == TASK.submission_labels == STAGES
    assert STAGES == ("Wake", "N1", "N2", "N3", "REM")


def test_hand_written_tables_with_a_byte_order_mark(tmp_path):
    night(tmp_path, "0007", ["Wake", "N1"], first=4)
    cases = TASK.read(tmp_path, "train")
    assert cases.to_dict("list") == {
        "id": ["0007_0004", "0007_0005"],
        "path": [str(tmp_path / "0007" / f"0007_{n}.png") for n in ("0004", "0005")],
        "group": ["0007", "0007"],
        "epoch": [4, 5],
        "stage": ["Wake", "N1"],
    }


def test_broken_records_are_quarantined_with_file_and_line(tmp_path):
    table = night(tmp_path, "7", ["Wake", "N1", "N4", "N2", "REM", "N3", "Wake"])
    (tmp_path / "7/7_0002.png").unlink()  # a label without image
    (tmp_path / "7/7_0005.png").write_bytes(b"")
    shutil.copy(tmp_path / "7/7_0001.png", tmp_path / "7/7_0008.png")  # an image without label
    shutil.copytree(tmp_path / "7", tmp_path / "8")
    more = "7,7_0006.png,N3\r\n7,7_0007.png,N1\r\n7,7_0009.png\r\n7,odd.png,N1\r\n\r\n"
    table.write_bytes(table.read_bytes() + more.encode())
    cases, why = quarantined(TASK, tmp_path)
    assert list(cases["id"]) == ["7_0001", "7_0004", "7_0006"]
    wanted = {
        "7_0002": "line 2 of trainset-for_user.csv: the picture is missing",
        "7_0003": "line 3 of trainset-for_user.csv: the label is 'N4' (expected one of Wake, N1",
        "7_0005": "line 5 of trainset-for_user.csv: this is not a picture",
        "7_0006": "the id stands 2 times: line 6 of trainset-for_user.csv and line 8",
        "7_0007": "the id stands 2 times with other labels: line 7",
        "line 10 of trainset-for_user.csv": "['7', '7_0009.png'] (expected 3 (record, file, label",
        "odd": "line 11 of trainset-for_user.csv: the file is 'odd' (expected <record>_<4 digits>",
        "7": "1 pictures stand in no line of trainset-for_user.csv, e.g. 7_0008",
        "8": "no line of either table names this folder",
    }
    check_reasons(why, wanted)


def test_a_table_that_is_not_utf_8_is_named(tmp_path):
    night(tmp_path, "8", ["Wake"], split="test").write_bytes("8,가.png\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"testset-for_user\.csv: not UTF-8 .*cp949"):
        TASK.read(tmp_path, "test")


def test_every_line_of_the_test_keeps_its_place(tmp_path):
    table = night(tmp_path, "9", ["?"] * 3, split="test")
    table.write_bytes(table.read_bytes() + b"9,9_0001.png\n9\n8,8_0001.png\n")
    (tmp_path / "9/9_0002.png").unlink()
    cases, why = quarantined(TASK, tmp_path, "test")
    doubled = "9_0001 (line 4 of testset-for_user.csv)"
    assert list(cases["id"]) == ["9_0001", "9_0002", "9_0003", doubled, "", "8_0001"]
    assert list(cases["path"].isna()) == [False, True, False, False, True, True]
    assert len(why) == 5 and cases["stage"].isna().all()


def test_smoothing_is_the_mean_over_neighbours_of_the_record():
    cases = pd.DataFrame(
        {
            "id": list("abcdef"),
            "group": ["1", "1", "1", "2", "2", "2"],
            "epoch": [1, 2, 3, 3, 4, 6],  # of "2" the fifth is missing
        }
    )
    predictions = pd.DataFrame({"id": list("fbacde"), "N1": [0.6, 0.2, 0.1, 0.3, 0.4, 0.5]})
    smooth = mk.datasets.sleep.smooth_epochs(TASK, cases, predictions, width=3)
    assert list(smooth["id"]) == list("fbacde")  # the order stays
    expected = {"a": 0.15, "b": 0.2, "c": 0.25, "d": 0.45, "e": 0.45, "f": 0.6}
    assert smooth["N1"].tolist() == pytest.approx([expected[name] for name in "fbacde"])
    wide = mk.datasets.sleep.smooth_epochs(TASK, cases, predictions, width=5).set_index("id")["N1"]
    assert wide["f"] == pytest.approx(0.55) and wide["a"] == pytest.approx(0.2)
    pd.testing.assert_frame_equal(
        mk.datasets.sleep.smooth_epochs(TASK, cases, predictions, width=1), predictions
    )
    nights = cases.assign(group="1", record=cases["group"])  # two nights of one patient
    pd.testing.assert_frame_equal(
        mk.datasets.sleep.smooth_epochs(TASK, nights, predictions, width=3), smooth
    )
    with pytest.raises(ValueError, match=r"1 epochs stand twice in a group, e\.g\. 'd'.*'record'"):
        mk.datasets.sleep.smooth_epochs(TASK, nights.drop(columns="record"), predictions)
    with pytest.raises(ValueError, match="width 4 .expected 1, 3, 5"):
        mk.datasets.sleep.smooth_epochs(TASK, cases, predictions, width=4)
    with pytest.raises(ValueError, match=r"1 of 6 predictions belong to no epoch .*\['f'\]"):
        mk.datasets.sleep.smooth_epochs(TASK, cases[:5], predictions)


def test_smoothing_helps_where_neighbours_are_alike(contest):
    cases = contest.train
    noisy = guess(TASK, cases)
    for stage in STAGES:
        noisy[stage] += 0.25 * (cases["stage"] == stage)
    plain = mk.score(TASK, cases, noisy)["f1_macro"]
    assert (
        mk.score(TASK, cases, mk.datasets.sleep.smooth_epochs(TASK, cases, noisy))["f1_macro"]
        > plain + 0.05
    )


def test_every_drawn_epoch_is_another():
    first, second = (draw_epoch(number, 1, "N2").astype(int) for number in (1, 2))
    assert first.shape == (270, 480, 3) and np.abs(first - second).mean() > 5
