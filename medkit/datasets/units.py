"""Units, the things that a contest scores: what every contest does with them, unless it says more.

A unit is mostly a case. Units are a table with `id`, `group`, `seen` (False where the picture could
not be read), `y_true` (missing where it is unknown) and the columns of the scored head (missing
without a prediction). A contest's own functions call these, with its task in front.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.kinds import Threshold
from medkit.datasets.task_data import TaskData
from medkit.errors import DataError
from medkit.metrics import METRICS


def cases_as_units(
    task: TaskData, cases: pd.DataFrame, predictions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A unit a case."""
    tables.check_columns(f"{task.name}: cases", cases, ["id", "group", "path"])
    if predictions is not None:
        wanted = ["id", *task.scored.columns]
        tables.check_columns(f"{task.name}: predictions", predictions, wanted)
    units = cases[["id", "group"]].assign(seen=cases["path"].notna())
    name, answer = task.scored.name, task.scored.answer
    units["y_true"] = answer.read(cases[name]) if name in cases else None
    for column in task.scored.columns:
        known = {} if predictions is None else predictions.set_index("id")[column]
        units[column] = units["id"].map(known).astype(float)
    return units.reset_index(drop=True)


def judged(task: TaskData, units: pd.DataFrame) -> pd.DataFrame:
    """The units that have both a label and a prediction.

    Raises:
        DataError: when there is none.
    """
    tables.check_columns(task.name, units, ["y_true", *task.scored.answer.unit_columns])
    known = units["y_true"].notna() & task.scored.answer.is_predicted(units)
    if not known.any():
        raise DataError(
            f"{task.name}: none of {len(units)} units has both a label and a prediction. "
            "Pass cases with labels, together with predictions of all of them."
        )
    return units[known]


def truth(task: TaskData, units: pd.DataFrame) -> np.ndarray:
    """(N,) the labels of judged units: numbers of classes in the order of `scored`, or values."""
    return task.scored.answer.truth(units["y_true"])


def values(task: TaskData, units: pd.DataFrame) -> np.ndarray:
    """(N, ...) what was predicted of each unit: probabilities, numbers, or areas of masks."""
    return task.scored.answer.values(units)


def chosen(task: TaskData, units: pd.DataFrame, threshold: Threshold = 0.5) -> np.ndarray:
    """(N,) what is predicted of judged units, as `truth` gives the labels."""
    return task.scored.answer.chosen(values(task, units), threshold)


def guesses(task: TaskData, units: pd.DataFrame, threshold: Threshold, metric: str) -> np.ndarray:
    """What a metric wants of judged units: what is chosen, or the probabilities."""
    return task.scored.answer.guesses(values(task, units), threshold, metric)


def class_scores(
    task: TaskData, units: pd.DataFrame, threshold: Threshold = 0.5, names: Sequence[str] = ()
) -> dict[str, float]:
    """Scores of `metrics.METRICS` by name; by default those that suit the kind of answer."""
    units = judged(task, units)
    y_true = truth(task, units)
    return {
        name: METRICS[name](y_true, guesses(task, units, threshold, name))
        for name in names or task.scored.answer.usual
    }


def scores_by_head(
    task: TaskData, cases: pd.DataFrame, predictions: pd.DataFrame
) -> dict[str, float]:
    """The usual scores of each of several heads, as "<head>_<name>"; of one alone, none."""
    scores = {}
    for head in task.heads if len(task.heads) > 1 else ():
        if head.name in cases and cases[head.name].notna().any():
            alone = task.of_head(head)
            found = class_scores(alone, cases_as_units(alone, cases, predictions))
            scores.update({f"{head.name}_{name}": value for name, value in found.items()})
    return scores


def label_table(task: TaskData, units: pd.DataFrame, *, threshold: Threshold = 0.5) -> pd.DataFrame:
    """`id` and the label of each unit, in the contest's words.

    Raises:
        DataError: naming units that lack a prediction.
    """
    answer = task.scored.answer
    unknown = list(units["id"][~answer.is_predicted(units)])
    if unknown:
        raise DataError(
            f"{task.name}: {len(unknown)} of {len(units)} rows lack a prediction, e.g. "
            f"{unknown[:3]}. Predict the cases of the whole split: mk.predict(run, test)."
        )
    labels = [answer.label(code) for code in chosen(task, units, threshold)]
    written = answer.written(labels, task.submission_labels)
    return pd.DataFrame({"id": units["id"], task.scored.name: written})


def case_table(
    task: TaskData, cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`label_table` of the units of cases."""
    return label_table(task, task.to_units(cases, predictions), threshold=threshold)


def true_table(task: TaskData, cases: pd.DataFrame) -> pd.DataFrame:
    """`id`, by which a row of what is handed in is known, and the true label of each.

    Raises:
        DataError: naming units without a label.
    """
    units = task.to_units(cases)
    unknown = list(units["id"][units["y_true"].isna()])
    if unknown:
        raise DataError(
            f"write_answers: {len(unknown)} of {len(units)} have no label, e.g. {unknown[:3]}. "
            "Use a split whose labels are known."
        )
    labels = task.scored.answer.written(units["y_true"], task.submission_labels)
    ids, keys = list(units["id"]), task.layout.key_columns
    if keys > 1:  # a row of what is handed in is named by several cells
        even = pd.DataFrame({"id": cases["id"], **dict.fromkeys(task.columns, 1.0)})
        rows = task.submission_table(cases, even).astype(str).to_numpy().tolist()
        ids = [",".join(row[:keys]) for row in rows]
    return pd.DataFrame({"id": ids, task.scored.name: labels})
