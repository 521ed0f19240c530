"""The two sides of a run: the cases it learns from, and those held out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.task import Task
from medkit.naming import did_you_mean


def split(task: Task, cases: pd.DataFrame, fold: int | None) -> tuple[pd.DataFrame, np.ndarray]:
    """The cases that can be shown to a model, and which of them are held out; without a fold none.

    Raises:
        ValueError: no folds, a group on both sides, or a side on which a class is missing.
    """
    seen = tables.visible(cases).reset_index(drop=True)
    if fold is None:
        _check_classes(task, seen, "the cases")
        return seen, np.zeros(len(seen), bool)
    if "fold" not in cases:
        raise ValueError(
            "fit: the cases have no column 'fold'. Call mk.assign_folds(task, cases) first."
        )
    if fold not in set(cases["fold"]):
        raise ValueError(f"fit: no fold {fold!r} (found {sorted(set(cases['fold']))}).")
    is_held_out = cases["fold"] == fold
    torn = sorted(set(cases["group"][is_held_out]) & set(cases["group"][~is_held_out]))
    if torn:
        raise ValueError(
            f"fit: {len(torn)} groups are on both sides of fold {fold}, e.g. {torn[:3]}. "
            "Let mk.assign_folds(task, cases) make the folds; it keeps groups together."
        )
    held_out = (seen["fold"] == fold).to_numpy()
    _check_classes(task, seen[~held_out], "the training cases")
    _check_classes(task, seen[held_out], f"fold {fold}")
    return seen, held_out


def _check_classes(task: Task, rows: pd.DataFrame, side: str) -> None:
    """Refuse cases that lack a column of labels, or a class."""
    for head in task.heads:
        if head.name not in rows:
            raise ValueError(
                f"fit: the cases have no column {head.name!r}, which {task.name} asks for "
                f"(found {list(rows.columns)}). Read them with the same task."
                f"{did_you_mean(head.name, rows)}"
            )
        head.answer.check_learnt(rows)
        labels = rows[head.name].dropna()
        missing, is_empty = head.answer.missing(labels), not len(labels)
        if missing and not is_empty and len(head.columns) > 2 and side.startswith("fold"):
            warnings.warn(  # its scores are poorer, but there are some
                f"fit: {side} holds no {head.name} {missing[0]!r} ({len(rows)} cases).",
                stacklevel=5,
            )
        elif missing or is_empty:
            what = f"no case labelled {missing[0]!r}" if missing else f"no {head.name}"
            raise ValueError(
                f"fit: {side} of {task.name} hold {what} ({len(rows)} cases). Use fewer folds, "
                "another seed of mk.assign_folds, or more cases."
            )
