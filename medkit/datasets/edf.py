"""From EDF recordings to pictures: from there on a sleep study is a contest of pictures.

A spectrogram shows the power of each frequency over time; traces show the signals as a sleep
laboratory looks at them. Channels stand below each other in the order that was asked for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Sequence

import cv2
import pandas as pd

from medkit import files
from medkit.arguments import check_arguments
from medkit.datasets.own_tables import tell_lost
from medkit.errors import ConfigError, DataError, MissingError, NotInstalled
from medkit.images.signals import PAINTERS, SEGMENT_S
from medkit.naming import did_you_mean
from medkit.progress import track
from medkit.tables import check_columns

NIGHT = {"W": "Wake", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "R": "REM"}
NIGHT.update(N1="N1", N2="N2", N3="N3", REM="REM", WAKE="Wake")


def pictures(
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    channels: Sequence[str],
    kind: str = "spectrogram",
    window_s: float | None = None,
    epochs: pd.DataFrame | None = None,
    frequencies: tuple[float, float] = (0.5, 35.0),
    size: tuple[int, int] = (480, 270),
) -> pd.DataFrame:
    """Write pictures of EDF (or BDF) recordings, and return the cases of these pictures.

    Pictures that are there already are kept: called again, it goes on where it was stopped.

    Args:
        cases: of recordings, from `mk.read_table`.
        channels: their labels in the files; `edf.channels` lists them. "C3-M2|C3-A2" takes the
            first that a file has.
        kind: "spectrogram" (Hann windows of 2 s, decibels against the channel's median in the
            record) or "traces" (each channel's 99th percentile fills its row).
        window_s: 30 for a picture of each 30 s; None for one of each recording.
        epochs: which windows, and their labels: `id, epoch` (from 1) and a column a head; see
            `hypnogram`. None takes every whole window, with the labels of its recording.
        frequencies: lowest and highest of a spectrogram, in Hz.
        size: width and height in pixels.

    Returns:
        The cases as they were, with pictures as paths; with windows a case a window, `id` is
        "<id>_<4 digits>", `record` and `epoch` say which, and the group stays. A recording that
        cannot be read keeps its row without path, and a warning tells.

    Raises:
        ConfigError, DataError: for other settings than those of the pictures in `folder`, or when
            no recording can be read.

    Example:
        >>> night = mk.read_table(pd.DataFrame({"id": ["night"]}), recording.parent)
        >>> epochs = mk.edf.pictures(night, "pictures", channels=["C3-M2"], window_s=30)
        >>> epochs["id"].tolist()
        ['night_0001', 'night_0002']
    """
    check_arguments(pictures, locals())
    if kind not in PAINTERS:
        raise ConfigError(
            f"edf.pictures: kind {kind!r} (expected one of {', '.join(PAINTERS)})."
            f"{did_you_mean(kind, PAINTERS)}"
        )
    if epochs is not None and window_s is None:
        raise ConfigError("edf.pictures: epochs need a window. Pass window_s=30.")
    if epochs is not None and not {"id", "epoch"} <= set(epochs):
        raise DataError(
            f"edf.pictures: epochs has {list(epochs)} (expected 'id', the recording's, and "
            "'epoch'). Of one recording: mk.edf.hypnogram(path).assign(id=...)."
        )
    check_columns("edf_pictures", cases, ["id", "path"])
    settings = {"channels": list(channels), "kind": kind, "window_s": window_s}
    settings.update(frequencies=list(frequencies), size=list(size))
    folder = Path(os.path.abspath(folder))
    _check_settings(folder, settings)
    rows: list[dict[str, Any]] = []
    reasons = []
    for case in track(cases.to_dict("records"), "drawing recordings"):
        asked = None if epochs is None else epochs[epochs["id"] == case["id"]]
        try:
            if not isinstance(case["path"], str):
                raise DataError("no recording")
            found = _recording(case, asked, folder, settings)
            rows += found
            reasons += ["behind the recording's end" for row in found if row["path"] is None]
        except (OSError, ValueError) as error:
            rows.append({**case, "path": None})
            reasons.append(str(error).replace(f"{case['path']}: ", ""))
    tell_lost("edf.pictures", [r["id"] for r in rows], [r["path"] for r in rows], reasons)
    return pd.DataFrame(rows)


def channels(path: Path | str) -> pd.DataFrame:
    """`channel, hz, unit, seconds` of an EDF or BDF file.

    Example:
        >>> mk.edf.channels(recording)
          channel     hz unit  seconds
        0   C3-M2  100.0   uV     65.0
        1     EOG   50.0   uV     65.0
    """
    check_arguments(channels, locals())
    with _opened(path) as edf:
        hz = [edf.getSampleFrequency(k) for k in range(edf.signals_in_file)]
        units = [edf.getPhysicalDimension(k).strip() for k in range(edf.signals_in_file)]
        seconds = edf.getFileDuration()
        labels = edf.getSignalLabels()
    return pd.DataFrame({"channel": labels, "hz": hz, "unit": units, "seconds": seconds})


def hypnogram(path: Path | str, *, window_s: float = 30.0) -> pd.DataFrame:
    """`epoch, stage` from the annotations of an EDF+ file ("Sleep stage W", "Sleep stage N1").

    Stages 3 and 4 of the older rules are both N3; what is no stage (movement, "?") has no row.

    Example:
        >>> mk.edf.hypnogram(recording)
           epoch stage
        0      1  Wake
        1      2    N2
    """
    check_arguments(hypnogram, locals())
    with _opened(path) as edf:
        onsets, lengths, texts = edf.readAnnotations()
    rows = []
    for onset, length, text in zip(onsets, lengths, texts):
        stage = NIGHT.get(text.lower().rpartition("stage")[2].strip().upper())
        first = int(round(onset / window_s))
        count = max(1, int(round(length / window_s)))
        if "stage" in text.lower() and stage:
            rows += [(first + k + 1, stage) for k in range(count)]
    return pd.DataFrame(rows, columns=["epoch", "stage"])


def _recording(
    case: dict[str, Any], asked: pd.DataFrame | None, folder: Path, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """A case for each picture of one recording, painted where it is not there yet."""
    with _opened(case["path"]) as edf:
        numbers = [_channel(edf, name) for name in settings["channels"]]
        hz = [edf.getSampleFrequency(k) for k in numbers]
        seconds = min(edf.getNSamples()[k] / rate for k, rate in zip(numbers, hz))
        rows = _plan(case, asked, folder, seconds, settings["window_s"])
        todo = [row for row in rows if row["path"] and not Path(row["path"]).is_file()]
        if todo:
            signals = [(edf.readSignal(k), rate) for k, rate in zip(numbers, hz)]
            options = {"size": settings["size"], "frequencies": settings["frequencies"]}
            paint = PAINTERS[settings["kind"]](signals, **options)
        for row in todo:
            length = settings["window_s"] or seconds
            grey = paint((row.get("epoch", 1) - 1) * length, length)
            files.write_whole(Path(row["path"]), cv2.imencode(".png", grey)[1].tobytes())
    return rows


def _plan(
    case: dict[str, Any],
    asked: pd.DataFrame | None,
    folder: Path,
    seconds: float,
    window_s: float | None,
) -> list[dict[str, Any]]:
    """A case for each picture; those of windows behind the recording's end have no path."""
    if seconds < SEGMENT_S:
        raise DataError(f"the recording has {seconds:g} s (expected {SEGMENT_S:g} or more)")
    if window_s is None:
        return [{**case, "path": str(folder / f"{case['id']}.png")}]
    count = int(seconds / window_s + 1e-6)
    windows = (
        [{"epoch": k + 1} for k in range(count)] if asked is None else asked.to_dict("records")
    )
    if not windows:
        raise DataError(f"no window of {window_s:g} s to show in {seconds:g} s")
    rows = []
    for window in windows:
        epoch, id = int(window["epoch"]), f"{case['id']}_{int(window['epoch']):04d}"
        path = str(folder / case["id"] / f"{id}.png") if 1 <= epoch <= count else None
        place = {"record": case["id"], "epoch": epoch}
        rows.append({**case, **window, "id": id, "path": path, **place})
    return rows


def _channel(edf: Any, name: str) -> int:
    """The number of a channel by the first of its names that the file has."""
    labels = [label.strip().casefold() for label in edf.getSignalLabels()]
    for wanted in name.split("|"):
        if wanted.strip().casefold() in labels:
            return labels.index(wanted.strip().casefold())
    raise ConfigError(f"no channel {name!r} (found {', '.join(edf.getSignalLabels())})")


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / "settings.json"
    if not path.is_file():
        files.write_json(path, settings)
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    other = [name for name in settings if known.get(name) != settings[name]]
    if other:
        raise ConfigError(
            f"{folder}: its pictures have another {other[0]} (found {known.get(other[0])!r}, asked "
            f"{settings[other[0]]!r}). Choose a new folder."
        )


def _opened(path: Path | str) -> Any:
    try:
        from pyedflib import EdfReader  # an extra, and only this file needs it
    except ImportError as error:
        raise NotInstalled(
            "Reading EDF needs pyedflib, which is not installed. Install it: "
            'pip install "medkit[edf]".'
        ) from error
    if not Path(path).is_file():
        raise MissingError(f"{path}: there is no such recording.")
    try:
        return EdfReader(str(path))
    except OSError as error:
        raise DataError(f"{path}: no recording that can be read ({error}).") from error
