"""Where predictions are wrong: the pictures themselves, and counts."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pandas as pd

from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task, check_task
from medkit.errors import ConfigError
from medkit.naming import did_you_mean
from medkit.show.canvas import Picture
from medkit.show.structure import figures_of

ORDERS = ("errors first", "as given")


def show_mistakes(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    n: int = 6,
    order: str = "errors first",
) -> Picture:
    """Pictures with truth and prediction, the surest mistakes first.

    Photos of teeth have them drawn on (`show_photos`), masks their outlines and wrong pixels
    (`missed.show_missed`), nights in their order are hypnograms, other cases have them written
    above.

    Args:
        order: "errors first" or "as given".
    """
    check_task(task, "show_mistakes")
    if order not in ORDERS:
        raise ConfigError(
            f"show_mistakes: order {order!r} (expected one of {', '.join(ORDERS)})."
            f"{did_you_mean(order, ORDERS)}"
        )
    draw = figures_of(task).mistakes
    return draw(task, cases, predictions, threshold=threshold, n=n, order=order)


def mistake_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    **options: Any,
) -> pd.DataFrame:
    """How well each class is told, or each tooth number where cases are teeth.

    Args:
        threshold: of what the contest scores.
        options: of the task's own table; that of teeth takes `tooth_threshold`, from which a tooth
            is called decayed (see `medkit.show.teeth.mistakes_by_tooth`).

    Returns:
        `class, cases, predicted, precision, recall, f1`, a row a class of what is scored; for teeth
        see `tooth_table`; for a number `low, high, cases, error`, by quarters of the true values;
        for masks `class, images, area, dice, low, high` (see `missed.dice_table`).
    """
    check_task(task, "mistake_table")
    table = figures_of(task).table
    unknown = sorted(set(options) - set(signature(table).parameters))
    if unknown:
        raise ConfigError(
            f"mistake_table: the table of {task.name} takes no {unknown[0]} (that of teeth takes "
            "tooth_threshold). Leave it out."
        )
    return table(task, cases, predictions, threshold=threshold, **options)
