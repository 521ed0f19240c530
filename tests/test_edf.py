from __future__ import annotations

import builtins
import warnings
from pathlib import Path

import pandas as pd
import pytest
from small_recordings import write_recording

import medkit as mk
from medkit.images.decode import read_image

pytest.importorskip("pyedflib", reason="no wheel for this Python")


def table(data, ids=("a", "b")):
    """Recordings, and their cases read from a table."""
    for seed, name in enumerate(ids):
        write_recording(data / f"{name}.edf", seed=seed)
    (data / "train.csv").write_text("id,person,apnoea\n" + "".join(f"{n},p{n},1\n" for n in ids))
    return mk.read_table(data / "train.csv", data, label_columns=["apnoea"], group_column="person")


def test_a_recording_is_a_picture(tmp_path):
    cases = table(tmp_path / "데이터")
    made = mk.edf.pictures(cases, tmp_path / "그림", channels=["C3-M2", "EOG"])
    assert list(made["path"]) == [str(tmp_path / "그림" / f"{n}.png") for n in "ab"]
    others = cases.drop(columns="path")
    pd.testing.assert_frame_equal(made.drop(columns="path"), others, check_dtype=False)
    picture = read_image(made["path"][0])
    assert picture.shape == (270, 480, 3)
    low = picture[124:133]  # about 2 Hz of the first channel: bright in the second 30 s
    assert low[:, 170:290].mean() > low[:, 10:140].mean() + 30


@pytest.mark.parametrize("kind", ["spectrogram", "traces"])
def test_a_window_is_a_picture_with_the_labels_of_its_recording(tmp_path, kind):
    cases = table(tmp_path)
    size = (96, 54)
    made = mk.edf.pictures(
        cases, tmp_path / "p", channels=["C3-M2"], kind=kind, window_s=30, size=size
    )
    assert list(made["id"]) == [f"{n}_000{k}" for n in "ab" for k in (1, 2, 3)]  # of 95 s
    assert list(made["group"]) == ["pa"] * 3 + ["pb"] * 3 and list(made["epoch"][:3]) == [1, 2, 3]
    assert set(made["apnoea"]) == {"1"}
    pictures = [read_image(path) for path in made["path"]]
    means = [picture.mean() for picture in pictures]
    assert pictures[0].shape == (54, 96, 3)
    assert abs(means[0] - means[2]) < abs(means[0] - means[1])  # the second is loud


def test_epochs_name_the_windows_and_their_labels(tmp_path):
    cases = table(tmp_path)
    epochs = pd.DataFrame({"id": list("aab"), "epoch": [1, 3, 4], "stage": ["N2", "REM", "N3"]})
    with pytest.warns(UserWarning, match=r"1 of 3 rows .* 'b_0004' \(behind the recording's end"):
        made = mk.edf.pictures(
            cases, tmp_path / "p", channels=["EOG"], window_s=30, epochs=epochs, size=(48, 27)
        )
    assert list(made["id"]) == ["a_0001", "a_0003", "b_0004"]
    assert list(made["stage"]) == ["N2", "REM", "N3"] and list(made["group"]) == ["pa", "pa", "pb"]
    assert list(made["path"].isna()) == [False, False, True]
    assert list(made["record"]) == ["a", "a", "b"]
    with pytest.raises(ValueError, match=r"epochs need a window\. Pass window_s=30"):
        mk.edf.pictures(cases, tmp_path / "q", channels=["EOG"], epochs=epochs)
    nameless = {"epochs": epochs.drop(columns="id"), "window_s": 30}
    with pytest.raises(ValueError, match=r"epochs has \['epoch', 'stage'\] \(expected 'id'"):
        mk.edf.pictures(cases, tmp_path / "q", channels=["EOG"], **nameless)


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    cases = table(tmp_path)
    options = {"channels": ["C3-M2"], "window_s": 30, "size": (48, 27)}
    first = mk.edf.pictures(cases, tmp_path / "p", **options)
    times = [Path(path).stat().st_mtime_ns for path in first["path"]]
    Path(first["path"][4]).unlink()
    again = mk.edf.pictures(cases, tmp_path / "p", **options)
    pd.testing.assert_frame_equal(first, again)
    after = [Path(path).stat().st_mtime_ns for path in again["path"]]
    assert [a == b for a, b in zip(times, after)] == [True, True, True, True, False, True]
    with pytest.raises(ValueError, match=r"another window_s .found 30, asked 20"):
        mk.edf.pictures(cases, tmp_path / "p", **{**options, "window_s": 20})


def test_what_cannot_be_read_keeps_its_row_and_is_told(tmp_path):
    cases = table(tmp_path, "abcd")
    write_recording(tmp_path / "b.edf", channels=("Fz", "EOG"))
    (tmp_path / "c.edf").write_bytes((tmp_path / "c.edf").read_bytes()[:3000])
    write_recording(tmp_path / "d.edf", seconds=1)
    with pytest.warns(UserWarning, match=r"3 of 4 rows .*'b' \(no channel 'C3-M2' \(found Fz, EOG"):
        made = mk.edf.pictures(cases, tmp_path / "p", channels=["C3-M2"])
    assert list(made["path"].isna()) == [False, True, True, True]
    with pytest.raises(ValueError, match="none of 4 rows has a picture"):
        mk.edf.pictures(cases, tmp_path / "q", channels=["Pz"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = mk.edf.pictures(cases, tmp_path / "r", channels=["c3-m2 | Fz"])
    assert list(made["path"].isna()) == [False, False, True, True]
    with pytest.raises(ValueError, match="kind 'sound' .expected one of spectrogram, traces"):
        mk.edf.pictures(cases, tmp_path / "s", channels=["EOG"], kind="sound")


def test_channels_are_listed(tmp_path):
    listed = mk.edf.channels(write_recording(tmp_path / "a.edf"))
    assert listed.to_dict("list") == {
        "channel": ["C3-M2", "EOG"],
        "hz": [100.0, 50.0],
        "unit": ["uV", "uV"],
        "seconds": [95, 95],
    }
    with pytest.raises(FileNotFoundError, match="there is no such recording"):
        mk.edf.channels(tmp_path / "b.edf")


def test_a_hypnogram_is_read_from_annotations(tmp_path):
    stages = [(0, 60, "Sleep stage W"), (60, 30, "Sleep stage 4"), (90, 30, "Movement time")]
    stages += [(120, 30, "Sleep stage R"), (150, 30, "Sleep stage ?"), (180, 30, "Sleep Stage N2")]
    path = write_recording(tmp_path / "hypnogram.edf", seconds=240, stages=stages)
    found = mk.edf.hypnogram(path)
    assert list(found["epoch"]) == [1, 2, 3, 5, 7]
    assert list(found["stage"]) == ["Wake", "Wake", "N3", "REM", "N2"]


def test_without_the_library_the_message_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "pyedflib":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RuntimeError, match=r'pip install "medkit\[edf\]"'):
        mk.edf.channels(tmp_path / "a.edf")
