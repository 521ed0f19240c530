"""Maxillary sinuses on Waters' view: Korea Health Datathon 2020, track A.

A case is one side of a picture. The patient's left is the right half of the picture.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.drawing.sinus import draw_sinus
from medkit.datasets.kinds import Threshold
from medkit.datasets.reading import Records, contest_folder, find_files
from medkit.datasets.task import Head, Layout, Task
from medkit.datasets.units import chosen, class_scores, judged, truth
from medkit.errors import DataError
from medkit.images import decode
from medkit.metrics import sk

SPLITS = {"train": "train", "test": "test", "test_submit": "test_submit"}
CLASSES = ("normal", "thickening", "air-fluid level", "haziness")
CODES = {**{str(code): name for code, name in enumerate(CLASSES)}, "x": None}  # x: no label
WEIGHTS = (1, 2, 3, 4)  # of each class's F1 in the contest's score
SIDES = ("left", "right")  # the patient's, in the order of the file name
COLUMNS = ("id", "path", "group", "box", "side", "file", "sinusitis")
NAME = re.compile(r"(\d{8})_(\w)_(\w)")


def inspect(
    data: Path | str, split: str, *, verify: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds `train` and `test`.
        verify: decode each picture, to find those that are broken inside.

    Returns:
        cases: `id` ("<8 digits>_left"), `path, group` (the 8 digits), `box` (left, top, right,
            bottom: the half of the picture that is this side), `side, file` (path below `data`),
            `sinusitis`; left before right. A side marked x is no case, in the test as well: the
            contest's own program leaves it out of what is handed in.
        quarantine: `id, path, reason`.
    """
    folder = contest_folder("sinus", data, split, SPLITS) / split
    records = Records("sinus", split, verify=verify)
    for stem, path in sorted(find_files(folder).items()):
        name, file = NAME.fullmatch(stem), path.relative_to(folder.parent).as_posix()
        if name is None:
            reason = f"{file}: the name is {stem!r} (expected <8 digits>_<left>_<right>)"
            records.refuse(stem, path, reason)
            continue
        number, *codes = name.groups()
        readable = records.picture(number, path, file)
        for side, code in zip(SIDES, codes):
            if code not in CODES:
                reason = f"{file}: the {side} label is {code!r} (expected 0 to 3, or x)"
                records.refuse(f"{number}_{side}", path, reason)
            elif code != "x" and (readable or split != "train"):
                case = {"id": f"{number}_{side}", "path": readable, "group": number, "side": side}
                box = half(path, side) if readable else None
                records.add({**case, "box": box, "file": file, "sinusitis": CODES[code]}, file)
    return records.tables(COLUMNS)


def half(path: Path, side: str) -> list[int]:
    """The half of a picture in which a side of the patient is: (left, top, right, bottom)."""
    width, height = decode.probe(path)
    middle = width // 2
    return [middle, 0, 2 * middle, height] if side == "left" else [0, 0, middle, height]


def score_units(units: pd.DataFrame, threshold: Threshold = 0.5) -> dict[str, float]:
    """The F1 of each class, weighted 1:2:3:4 and rounded to 10 decimals; each of them; accuracy."""
    units = judged(TASK, units)
    y_true, guess = truth(TASK, units), chosen(TASK, units, threshold)
    each = sk().f1_score(y_true, guess, labels=range(len(CLASSES)), average=None, zero_division=0)
    own = round(float(np.dot(each, WEIGHTS) / sum(WEIGHTS)), 10)
    scores = {f"f1_{name}": float(f1) for name, f1 in zip(CLASSES, each)}
    usual = class_scores(TASK, units, threshold, ("accuracy", "f1_macro", "auc"))
    return {"f1_1234": own, **scores, **usual}


def submission_table(
    cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`path, side` (l or r), `true`, `predicted`: a line a labelled side, left first."""
    tables.check_columns("sinus: cases", cases, ["sinusitis", "file", "side"])
    units = TASK.to_units(cases, predictions)
    unknown = list(units["id"][units[list(CLASSES)].isna().any(axis=1)])
    if unknown:
        raise DataError(
            f"sinus: {len(unknown)} of {len(units)} sides lack a prediction, e.g. {unknown[:3]}. "
            "Predict the cases of the whole split: mk.predict(run, test)."
        )
    codes = {name: code for code, name in CODES.items() if name}
    true = cases["sinusitis"].map(codes).where(cases["sinusitis"].notna(), "x")
    table = {"path": cases["file"], "side": cases["side"].str[0], "true": true}
    return pd.DataFrame({**table, "predicted": chosen(TASK, units, threshold)})


TASK = Task(
    name="sinus",
    title="Korea Health Datathon 2020 A: maxillary sinusitis on Waters' view",
    source="KYBiMIL/KHD_2020",
    heads=(Head("sinusitis", CLASSES),),
    submission_labels=(0, 1, 2, 3),
    inspect=inspect,
    score_units=score_units,
    submission_table=submission_table,
    draw=draw_sinus,
    layout=Layout(header=False, key_columns=2),
    mirror=("horizontal",),  # of a half: its class does not name the side
    looks_alike=True,
    nouns=("sides", "sides"),
    figures="halves",
)
