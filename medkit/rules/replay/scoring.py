"""The scores that are handed in, and whether the test is the contest's."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Sequence

import pandas as pd

from medkit.datasets import CONTESTS
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import MedkitError

ASKED = "f1_macro"  # the average that the oral contest's teams quoted; the others follow


def scores_of(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, threshold: Threshold
) -> dict[str, float]:
    """The scores of labelled cases, the one that is asked for first; none without labels."""
    if not task.to_units(cases)["y_true"].notna().any():
        return {}
    scores = task.score(cases, predictions, threshold=threshold)
    return {**{name: scores[name] for name in [ASKED] if name in scores}, **scores}


def file_of(scores: dict[str, float]) -> str:
    """As the oral contest names it, where it is that contest's score."""
    return "f1_score.txt" if ASKED in scores else "scores.txt"


def told(scores: dict[str, float]) -> str:
    return "".join(f"{name} {value:.16f}\n" for name, value in scores.items())


def test_of(task: Task, data: Path, test: pd.DataFrame, known: Sequence[pd.DataFrame]) -> str:
    """What is odd about the test cases of a hand-in, held against those of the data folder.

    Nothing is told of a task of one's own, whose folder the kit cannot read.

    Args:
        known: the cases of each run, which no test picture is among.
    """
    if task.name not in CONTESTS:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            real = task.read(data, "test")
    except (MedkitError, TypeError) as error:  # sleep: of a table that only its team knows
        return f"it cannot be compared with the data folder's ({str(error)[:80]})" * (
            task.name != "sleep"
        )
    shown, wanted = _pictures(test), _pictures(real)
    trained = wanted & set().union(*map(_pictures, known))
    words = []
    if trained:
        words.append(f"{len(trained)} of its pictures are among those that were trained on")
    if shown != wanted:
        words.append(f"{len(shown)} pictures handed in, {len(wanted)} in the data folder")
    both = test.merge(real, on="id", suffixes=("", "_real"))
    for head in task.heads:
        if {head.name, f"{head.name}_real"} <= set(both):
            one, other = both[head.name], both[f"{head.name}_real"]
            odd = (one != other) & (one.notna() | other.notna())
            if odd.any():
                words.append(f"{int(odd.sum())} labels of {head.name!r} are others")
    return "; ".join(words)


def _pictures(cases: pd.DataFrame) -> set[str]:
    return {os.path.realpath(path) for path in cases["path"].dropna()}
