"""Breast tissue, benign or malignant: Korea Health Datathon 2020, track B."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from medkit import tables
from medkit.datasets.drawing.pathology import draw_pathology
from medkit.datasets.kinds import Threshold
from medkit.datasets.reading import Records, contest_folder, find_files, one_of
from medkit.datasets.task import Head, Layout, Task
from medkit.datasets.units import chosen, class_scores, judged, truth
from medkit.errors import DataError
from medkit.metrics import sk

SPLITS = {"train": "train/train_data", "test": "test/test_data"}
CODES = {"0": "benign", "1": "malignant"}
CLASSES = tuple(CODES.values())
SMALL = 1e-3  # is added to each denominator, by the contest
COLUMNS = ("id", "path", "group", "tissue")


def inspect(
    data: Path | str, split: str, *, verify: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds `train` and `test`.
        verify: decode each picture, to find those that are broken inside.

    Returns:
        cases: `id, path, group, tissue`, in the label file's order, or of a test without one in
            that of the numbers. The group is the patient of `patients.csv` (id,patient) where that
            lies beside it; the contest names none, and then each picture is a group of its own.
        quarantine: `id, path, reason`.
    """
    folder = contest_folder("pathology", data, split, SPLITS) / split
    labels, records = folder / f"{split}_label", Records("pathology", split, verify=verify)
    pictures: dict[str, Path] = {}
    for stem, path in find_files(folder / f"{split}_data").items():
        if pictures.setdefault(_number(stem), path) != path:
            records.refuse(stem, path, f"{pictures[_number(stem)].name} has the same number")
    patients = _patients(folder / "patients.csv")
    if split == "test" and not labels.is_file():  # in the contest its labels were hidden
        lines = ((SPLITS[split], {"id": id, "code": ""}) for id in sorted(pictures, key=_order))
    else:
        lines = records.lines(labels, ("id", "code"), separator=None)
    first: dict[str, str] = {}  # where each id stands
    for where, row in lines:
        case = {"id": _number(row["id"]), "path": None, "group": row["id"], "tissue": None}
        id = case["id"]
        if first.setdefault(id, where) != where and split == "test":  # handed in once
            records.refuse(id, labels, f"{where}: the id stands at {first[id]} already")
            continue
        try:
            if not id.isdecimal():
                raise DataError(f"the id is {id!r} (expected a whole number)")
            if row["code"]:
                case["tissue"] = CODES[one_of(row["code"], tuple(CODES), "the label")]
            case["group"] = id if patients is None else _patient(id, patients)
        except ValueError as error:
            records.refuse(id, labels, f"{where}: {error}")
            if split == "train":
                continue
        case["path"] = records.picture(id, pictures.get(id), where)
        if case["path"] or split == "test":
            records.add(case, where)
    for id in pictures:
        if id not in first:
            records.refuse(id, pictures[id], f"no line of {labels.name} names this picture")
    return records.tables(COLUMNS)


def mean_of_six(y_true: list[int], y_pred: list[int]) -> dict[str, float]:
    """The contest's score, and the six that it is the mean of; 1e-3 is added to denominators.

    Args:
        y_true, y_pred: (N,) of 0 and 1.
    Source: KHD 2020, evaluation.py of the baseline.
    """
    (tn, fp), (fn, tp) = sk().confusion_matrix(y_true, y_pred, labels=[0, 1]).tolist()
    precision, recall = tp / (tp + fp + SMALL), tp / (tp + fn + SMALL)
    six = {
        "accuracy": (tp + tn) / (tp + tn + fp + fn + SMALL),
        "precision": precision,
        "recall": recall,
        "specificity": tn / (tn + fp + SMALL),
        "npv": tn / (tn + fn + SMALL),
        "f1": 2 * precision * recall / (precision + recall + SMALL),
    }
    return {"mean_of_six": sum(six.values()) / len(six), **six}


def score_units(units: pd.DataFrame, threshold: Threshold = 0.5) -> dict[str, float]:
    """The mean of six scores, the six, and AUC, which needs no threshold."""
    units = judged(TASK, units)
    scores = mean_of_six(truth(TASK, units), chosen(TASK, units, threshold))
    return {**scores, **class_scores(TASK, units, threshold, ("auc",))}


def _patients(table: Path) -> dict[str, str] | None:
    """Patients by picture, where the table is there."""
    if not table.is_file():
        return None
    rows = tables.read_csv(table, text=("id", "patient"))
    if not {"id", "patient"} <= set(rows):
        raise DataError(f"{table}: no columns id, patient (found {list(rows)}). Look at the file.")
    found: dict[str, str] = {}
    for line, (id, patient) in enumerate(rows[["id", "patient"]].to_numpy(), 2):
        if pd.isna(patient) or found.setdefault(_number(str(id)), patient) != patient:
            raise DataError(
                f"{table}, line {line}: picture {id!r} is of {patient!r} (expected one patient a "
                "picture). Correct it: a patient must not be in two folds."
            )
    return found


def _patient(id: str, patients: dict[str, str]) -> str:
    """Whose a picture is; one that nobody has might be of anyone."""
    if id not in patients:
        raise DataError("no line of patients.csv names its patient")
    return patients[id]


def _number(text: str) -> str:
    """An id as the contest compares it: "007" is "7"."""
    return str(int(text)) if text.isdecimal() else text


def _order(id: str) -> tuple[int, str]:
    return (int(id), "") if id.isdecimal() else (0, id)


TASK = Task(
    name="pathology",
    title="Korea Health Datathon 2020 B: breast tissue, benign or malignant",
    source="azzyjk/KHD2020",
    heads=(Head("tissue", CLASSES),),
    submission_labels=(0, 1),
    inspect=inspect,
    score_units=score_units,
    draw=draw_pathology,
    layout=Layout(header=False, separator=" "),
    mirror=("horizontal", "vertical"),
)
