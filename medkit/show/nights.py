"""Nights as hypnograms: stages of sleep over the hours."""

from __future__ import annotations

from typing import Any

import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.sleep import night_column
from medkit.datasets.task import Task
from medkit.show.canvas import PREDICTED, REAL, Picture, check_rows, new_picture, styled
from medkit.show.grid import show_grid
from medkit.show.kinds import check_suits, chosen_of
from medkit.tables import check_columns

EPOCH_S = 30  # of sleep


@styled
def show_hypnogram(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame | None = None,
    *,
    n: int = 3,
    threshold: Threshold = 0.5,
) -> Picture:
    """Stages over the hours of some nights; what was predicted is blue and dashed.

    Args:
        cases: with `record` or `group` (the night) and `epoch` (30 s each).
        n: nights; the longest ones are shown.
    """
    check_arguments(show_hypnogram, locals())
    head = task.heads[0]
    check_suits(head, "show_hypnogram", "show_balance")
    which = night_column(cases)
    check_rows(cases, "show_structure", ["id", which, "epoch", head.name])
    if predictions is not None:
        wanted = ["id", *head.columns]
        check_columns("show_mistakes: predictions", predictions, wanted)
    rows = cases[cases["epoch"].notna()]
    nights = rows[which].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    page = new_picture(1.9 * min(n, len(nights)) + 0.5)
    cells = page.subplots(min(n, len(nights)), 1, squeeze=False, sharex=True).ravel()
    places = {name: len(head.classes) - k for k, name in enumerate(head.classes)}  # first on top
    for axes, name in zip(cells, nights.index):
        night = rows[rows[which] == name].sort_values("epoch")
        hours = night["epoch"].astype(float) * EPOCH_S / 3600
        axes.step(
            hours, night[head.name].map(places), where="post", color=REAL, lw=1.6, label="true"
        )
        if predictions is not None:
            table = predictions.set_index("id").reindex(night["id"])
            guess = len(places) - chosen_of(head, table, threshold)
            axes.step(
                hours, guess + 0.12, where="post", color=PREDICTED, lw=1.3, ls="--",
                label="predicted",
            )  # fmt: skip
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(0.5, len(places) + 0.5)
        axes.set_title(f"{name}: {len(night):,} epochs", fontsize=10)
        axes.grid(axis="y", color="#EEEEEE")
    cells[-1].set_xlabel("hours")
    if predictions is not None:
        cells[0].legend(fontsize=9, loc="upper right", ncols=2)
    return page


def show_night_mistakes(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, **options: Any
) -> Picture:
    """Epochs, the surest mistakes first; nights as a whole where cases are wanted as given.

    Args:
        options: those of `show_mistakes`.
    """
    if options["order"] == "as given":
        del options["order"]
        return show_hypnogram(task, cases, predictions, **options)
    return show_grid(task, cases, predictions, **options)
