"""Sleep stages: the 2021 Sleep AI Challenge, a picture for each 30 seconds of a night.

The files of the 2022 contest are not known: `mk.read_table` reads whatever table it has, over
pictures or, through `mk.edf.pictures`, over EDF recordings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets.drawing.sleep import draw_sleep
from medkit.datasets.kinds import Threshold
from medkit.datasets.reading import (
    Records,
    contest_folder,
    find_files,
    one_of,
    plain,
    read_lines,
)
from medkit.datasets.task import Head, Layout, Task
from medkit.datasets.units import chosen, class_scores, judged, truth
from medkit.errors import ConfigError, DataError
from medkit.metrics import sk
from medkit.progress import track

STAGES = ("Wake", "N1", "N2", "N3", "REM")  # the organiser's own code had two orders: this is ours
TABLES = {"train": "trainset-for_user.csv", "test": "testset-for_user.csv"}
ANSWERS = "answers.csv"  # of the test, where they are known
COLUMNS = ("id", "path", "group", "epoch", "stage")


def inspect(
    data: Path | str, split: str, *, verify: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds the two tables, and a folder of pictures for each record.
        verify: decode each picture, to find those that are broken inside.

    Returns:
        cases: `id, path, group, epoch, stage`, a case a picture in the table's order; the group is
            the record. The test has no stages, unless `answers.csv` (record, file, label) is there.
        quarantine: `id, path, reason`. Pictures before the first labelled one of a record are not
            in it: the contest labels a night from its beginning of sleep on.
    """
    data = contest_folder("sleep", data, split, TABLES)
    table, records = data / TABLES[split], Records("sleep", split, verify=verify)
    columns = ("record", "file", "label") if split == "train" else ("record", "file")
    stages = _answers(data) if split == "test" else {}
    pictures: dict[str, dict[str, Path]] = {"": {}}  # of each record
    named: set[str] = set()
    for where, row in track(list(records.lines(table, columns)), f"reading {split}"):
        record, id = row["record"], Path(row["file"]).stem
        if record not in pictures:
            pictures[record] = find_files(data / record)
        found = pictures[record].get(id)
        named.add(id)
        case = {"id": id, "path": None, "group": record, "epoch": None}
        case["stage"] = stages.get((record, id))
        try:
            case["epoch"] = _epoch(id)
            if split == "train":
                case["stage"] = one_of(row["label"], STAGES, "the label")
        except ValueError as error:
            records.refuse(id, found or data / record / row["file"], f"{where}: {error}")
            if split == "train":
                continue
        case["path"] = records.picture(id, found, where)
        if case["path"] or split == "test":
            records.add(case, where)
    for record, found in pictures.items():
        first = min(named & set(found), default="")
        spare = sorted(id for id in set(found) - named if id > first)
        if spare:
            reason = f"{len(spare)} pictures stand in no line of {table.name}, e.g. {spare[0]}"
            records.refuse(record, data / record, reason)
    _check_folders(data, set(pictures), records)
    return records.tables(COLUMNS)


def score_units(units: pd.DataFrame, threshold: Threshold = 0.5) -> dict[str, float]:
    """Macro-F1 (the contest's), accuracy, AUC, and F1 of each stage."""
    units = judged(TASK, units)
    scores = class_scores(TASK, units, threshold, ("f1_macro", "accuracy", "auc"))
    every = {"labels": range(len(STAGES)), "average": None, "zero_division": 0}
    of_each = sk().f1_score(truth(TASK, units), chosen(TASK, units, threshold), **every)
    return {**scores, **{f"f1_{stage}": float(value) for stage, value in zip(STAGES, of_each)}}


def smooth_epochs(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, *, width: int = 3
) -> pd.DataFrame:
    """Predictions, each the mean over the epochs around it in the same record.

    Sleep seldom changes from one epoch of 30 s to the next. Choose the width on held-out records.

    Args:
        task: of sleep stages, this one or your own; other columns than its own stay as they are.
        cases: with `id, epoch` and `record`, or where there is none `group`, to tell nights apart.
        width: epochs in all, odd: 3 takes one before and one after. Those that are not among the
            predictions (the ends of a night, gaps) are left out of the mean.

    Raises:
        ConfigError, DataError: for an even width, predictions of other cases, or an epoch that
            stands twice.

    Example:
        >>> sleep = mk.get_task("sleep")
        >>> night = pd.DataFrame({"id": ["1", "2", "3"], "record": "n", "epoch": [1, 2, 3]})
        >>> said = pd.DataFrame({"id": night["id"], "Wake": [1.0, 0.4, 1.0], "N2": [0.0, 0.6, 0.0]})
        >>> said = said.assign(N1=0.0, N3=0.0, REM=0.0)
        >>> mk.datasets.sleep.smooth_epochs(sleep, night, said)["N2"].round(1).tolist()
        [0.3, 0.2, 0.3]
    """
    check_arguments(smooth_epochs, locals())
    if width < 1 or width % 2 == 0:
        raise ConfigError(f"smooth_epochs: width {width!r} (expected 1, 3, 5, ...).")
    night = night_column(cases)
    tables.check_columns("smooth_epochs: cases", cases, ["id", night, "epoch"])
    tables.check_columns("smooth_epochs: predictions", predictions, ["id"])
    places = predictions[["id"]].merge(cases[["id", night, "epoch"]], on="id", how="left")
    lost = list(places["id"][places["epoch"].isna()])
    if lost:
        raise DataError(
            f"smooth_epochs: {len(lost)} of {len(places)} predictions belong to no epoch of the "
            f"cases, e.g. {lost[:3]}. Pass the cases that were predicted."
        )
    doubled = places[places.duplicated([night, "epoch"])]
    if len(doubled):
        raise DataError(
            f"smooth_epochs: {len(doubled)} epochs stand twice in a {night}, e.g. "
            f"{doubled['id'].iloc[0]!r}. Where a {night} holds several nights, give the cases a "
            "column 'record' that tells them apart."
        )
    columns = [name for name in task.columns if name in predictions]
    values = predictions[columns].set_axis(pd.MultiIndex.from_frame(places[[night, "epoch"]]))
    total, count = np.zeros((len(places), len(columns))), np.zeros((len(places), 1))
    for step in range(-(width // 2), width // 2 + 1):
        near = pd.MultiIndex.from_arrays([places[night], places["epoch"] + step])
        there = values.reindex(near).to_numpy()
        count += ~np.isnan(there).any(axis=1, keepdims=True)
        total += np.nan_to_num(there)
    return predictions.assign(**dict(zip(columns, (total / count).T)))


def night_column(cases: pd.DataFrame) -> str:
    """The column that tells nights apart: a patient, which groups are, may have several."""
    return "record" if "record" in cases else "group"


def _epoch(id: str) -> int:
    """The number of an epoch, from 1, at the end of its picture's name."""
    number = id.rpartition("_")[2]
    if not number.isdigit():
        raise DataError(f"the file is {id!r} (expected <record>_<4 digits>.png)")
    return int(number)


def _answers(data: Path) -> dict[tuple[str, str], str]:
    """The stages of test pictures, where they are known."""
    found = {}
    for line, cells in (
        enumerate(read_lines(data / ANSWERS), 1) if (data / ANSWERS).is_file() else ()
    ):
        where = f"{data / ANSWERS}, line {line}: the last cell"
        found[cells[0], Path(cells[1]).stem] = one_of(cells[-1], STAGES, where)
    return found


def _check_folders(data: Path, known: set[str], records: Records) -> None:
    """Put folders with pictures that neither table names into quarantine."""
    for table in TABLES.values():
        if (data / table).is_file():
            known |= {cells[0] for cells in read_lines(data / table) if cells}
    for folder in sorted(data.glob("[!.]*")):
        if folder.is_dir() and plain(folder.name) not in known and find_files(folder):
            records.refuse(folder.name, folder, "no line of either table names this folder")


TASK = Task(
    name="sleep",
    title="2021 Sleep AI Challenge: the stage of each 30 s of a night",
    source="AI-Challange/Sleep",
    heads=(Head("stage", STAGES),),
    inspect=inspect,
    score_units=score_units,
    draw=draw_sleep,
    layout=Layout(header=False, key_columns=0),
    looks_alike=True,
    nouns=("epochs", "epochs"),
    figures="nights",
)
