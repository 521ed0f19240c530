from __future__ import annotations

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score
from small_runs import learn

import medkit as mk
from medkit.datasets.drawing.sleep import draw_epoch, draw_sleep
from medkit.datasets.sleep import STAGES

TASK = mk.get_task("sleep")


@pytest.fixture(scope="module")
def contest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("대회") / "수면"
    draw_sleep(folder, seed=1, n_train=4, n_test=2, epochs=48, size=(96, 54))
    return folder


def night(data, record, labels, *, split="train", first=1):
    """One record by hand: a picture and a line an epoch."""
    table = data / f"{split}set-for_user.csv"
    text = table.read_bytes() if table.is_file() else b"\xef\xbb\xbf"
    for epoch, label in enumerate(labels, first):
        name = f"{record}_{epoch:04d}.png"
        (data / record).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 12, 3), 250, np.uint8)).save(data / record / name)
        cells = [record, name, label] if split == "train" else [record, name]
        text += ",".join(cells).encode() + b"\r\n"
    table.write_bytes(text)
    return table


def guess(cases, seed=0):
    probs = np.random.default_rng(seed).dirichlet(np.ones(5), len(cases))
    return pd.DataFrame(probs, columns=list(STAGES)).assign(id=cases["id"].to_numpy())


def reasons(data, split="train"):
    cases, quarantine = TASK.inspect(data, split)
    return cases, dict(zip(quarantine["id"], quarantine["reason"]))


def test_the_drawn_contest_is_read_without_a_word(contest):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = TASK.read(contest, "train"), TASK.read(contest, "test")
    assert len(train) == 4 * 46 and set(train["stage"]) == set(test["stage"]) == set(STAGES)
    assert set(train["group"]) == {"00001", "00002", "00003", "00004"}  # zeros in front stay
    assert list(train["epoch"][:2]) == [3, 4]  # the first two have no label
    assert list(test["group"].unique()) == ["05002", "05001"]  # the table's order
    folds = mk.assign_folds(train, n_folds=2)
    assert folds.groupby("group")["fold"].nunique().eq(1).all()


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
    cases, why = reasons(tmp_path)
    assert list(cases["id"]) == ["7_0001", "7_0004", "7_0006"]
    for id, words in {
        "7_0002": "line 2 of trainset-for_user.csv: the picture is missing",
        "7_0003": "line 3 of trainset-for_user.csv: the label is 'N4' (expected one of Wake, N1",
        "7_0005": "line 5 of trainset-for_user.csv: this is not a picture",
        "7_0006": "the id stands 2 times: line 6 of trainset-for_user.csv and line 8",
        "7_0007": "the id stands 2 times with other labels: line 7",
        "line 10 of trainset-for_user.csv": "['7', '7_0009.png'] (expected 3 (record, file, label",
        "odd": "line 11 of trainset-for_user.csv: the file is 'odd' (expected <record>_<4 digits>",
        "7": "1 pictures stand in no line of trainset-for_user.csv, e.g. 7_0008",
        "8": "no line of either table names this folder",
    }.items():
        assert words in why.pop(id), id
    assert not why


def test_a_missing_label_file_is_named(tmp_path):
    night(tmp_path, "7", ["Wake"])
    with pytest.raises(ValueError, match=r"found 7/, trainset-for_user\.csv; expected testset-for"):
        TASK.read(tmp_path, "test")
    night(tmp_path, "8", ["Wake"], split="test")
    (tmp_path / "testset-for_user.csv").write_bytes("8,가.png\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"testset-for_user\.csv: not UTF-8 .*cp949"):
        TASK.read(tmp_path, "test")


def test_every_line_of_the_test_keeps_its_place(tmp_path):
    table = night(tmp_path, "9", ["?"] * 3, split="test")
    table.write_bytes(table.read_bytes() + b"9,9_0001.png\n9\n8,8_0001.png\n")
    (tmp_path / "9/9_0002.png").unlink()
    cases, why = reasons(tmp_path, "test")
    doubled = "9_0001 (line 4 of testset-for_user.csv)"
    assert list(cases["id"]) == ["9_0001", "9_0002", "9_0003", doubled, "", "8_0001"]
    assert list(cases["path"].isna()) == [False, True, False, False, True, True]
    assert len(why) == 5 and cases["stage"].isna().all()


def test_the_score_is_scikit_learns_macro_f1(contest):
    cases = TASK.read(contest, "test")
    predictions = guess(cases)
    labels = predictions[list(STAGES)].idxmax(axis=1)
    scores = mk.score(TASK, cases, predictions.sample(frac=1, random_state=0))
    assert list(scores)[0] == "f1_macro"
    assert scores["f1_macro"] == f1_score(cases["stage"], labels, average="macro")
    for stage in STAGES:
        assert scores[f"f1_{stage}"] == f1_score(
            cases["stage"], labels, labels=[stage], average="macro"
        )


def test_the_submission_is_a_label_a_line(contest, tmp_path):
    cases = TASK.read(contest, "test")
    predictions = guess(cases)
    csv = mk.write_submission(
        TASK, cases, predictions.sample(frac=1, random_state=0), tmp_path / "files.csv"
    )
    lines = csv.read_text().splitlines()
    assert lines == list(predictions[list(STAGES)].idxmax(axis=1))
    assert len(lines) == len((contest / "testset-for_user.csv").read_text().splitlines())
    assert mk.check_submission(csv)[0] == "All 92 lines and labels are as sleep wants."
    csv.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(ValueError, match=r"It has 91 lines \(expected 92"):
        mk.check_submission(csv)
    csv.write_text("\n".join(["wake", *lines[1:]]) + "\n")
    with pytest.raises(ValueError, match=r"1 labels are none of Wake, N1"):
        mk.check_submission(csv)


def test_smoothing_is_the_mean_over_neighbours_of_the_record():
    cases = pd.DataFrame(
        {
            "id": list("abcdef"),
            "group": ["1", "1", "1", "2", "2", "2"],
            "epoch": [1, 2, 3, 3, 4, 6],  # of "2" the fifth is missing
        }
    )
    predictions = pd.DataFrame({"id": list("fbacde"), "N1": [0.6, 0.2, 0.1, 0.3, 0.4, 0.5]})
    smooth = mk.smooth_epochs(cases, predictions, width=3)
    assert list(smooth["id"]) == list("fbacde")  # the order stays
    expected = {"a": 0.15, "b": 0.2, "c": 0.25, "d": 0.45, "e": 0.45, "f": 0.6}
    assert smooth["N1"].tolist() == pytest.approx([expected[name] for name in "fbacde"])
    wide = mk.smooth_epochs(cases, predictions, width=5).set_index("id")["N1"]
    assert wide["f"] == pytest.approx(0.55) and wide["a"] == pytest.approx(0.2)
    pd.testing.assert_frame_equal(mk.smooth_epochs(cases, predictions, width=1), predictions)
    nights = cases.assign(group="1", record=cases["group"])  # two nights of one patient
    pd.testing.assert_frame_equal(mk.smooth_epochs(nights, predictions, width=3), smooth)
    with pytest.raises(ValueError, match=r"1 epochs stand twice in a group, e\.g\. 'd'.*'record'"):
        mk.smooth_epochs(nights.drop(columns="record"), predictions)
    with pytest.raises(ValueError, match="width 4 .expected 1, 3, 5"):
        mk.smooth_epochs(cases, predictions, width=4)
    with pytest.raises(ValueError, match=r"1 of 6 predictions belong to no epoch .*\['f'\]"):
        mk.smooth_epochs(cases[:5], predictions)


def test_smoothing_helps_where_neighbours_are_alike(contest):
    cases = TASK.read(contest, "train")
    noisy = guess(cases)
    for stage in STAGES:
        noisy[stage] += 0.25 * (cases["stage"] == stage)
    plain = mk.score(TASK, cases, noisy)["f1_macro"]
    assert mk.score(TASK, cases, mk.smooth_epochs(cases, noisy))["f1_macro"] > plain + 0.05


def test_a_drawn_epoch_stays_when_others_are_drawn(contest, tmp_path):
    draw_sleep(tmp_path, seed=1, n_train=1, n_test=1, epochs=5, size=(96, 54))
    for path in tmp_path.rglob("*.png"):
        assert path.read_bytes() == (contest / path.relative_to(tmp_path)).read_bytes()
    first, second = (draw_epoch(number, 1, "N2").astype(int) for number in (1, 2))
    assert first.shape == (270, 480, 3) and np.abs(first - second).mean() > 5


def test_stages_are_learnt_from_the_drawn_pictures(contest, tmp_path):
    cases = mk.assign_folds(TASK.read(contest, "train"), n_folds=2, seed=0)
    settings = {"image_size": 64, "epochs": 10, "best_by": "f1_macro"}
    run = learn("sleep", cases, tmp_path / "run", **settings)
    scores = mk.score(TASK, cases[cases["fold"] == 0], run.predictions)
    assert scores["accuracy"] > 0.42  # N2 alone: a third
