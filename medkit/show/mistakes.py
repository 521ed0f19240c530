"""Where predictions are wrong: the pictures themselves, and counts."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.naming import did_you_mean
from medkit.show.canvas import Picture
from medkit.show.structure import figures_of


def show_mistakes(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame | None,
    *,
    threshold: Threshold = 0.5,
    n: int = 8,
    order: str = "errors first",
) -> Picture:
    """Pictures with truth and prediction, the surest mistakes first.

    Photos of teeth have them drawn on, masks their outlines and wrong pixels, nights as given are
    hypnograms, other cases have them written above.

    Args:
        predictions: of these cases; None shows the truth alone, of teeth and of nights as given.
        order: "errors first" or "as given"; of teeth also "probability", the highest first.

    Example:
        >>> mk.show_mistakes(task, held_out, run.predictions, n=2)
        <Picture ...>
    """
    check_arguments(show_mistakes, locals())
    figures = figures_of(task)
    if order not in figures.orders:
        raise ConfigError(
            f"show_mistakes: order {order!r} (expected one of {', '.join(figures.orders)})."
            f"{did_you_mean(order, figures.orders)}"
        )
    options = {"threshold": threshold, "n": n, "order": order}
    return figures.mistakes(task, cases, predictions, **options)


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
        `tooth_number, teeth, decayed, found, missed, false_alarms`, by FDI number, the third named
        as the class that is looked for; for a number `low, high, cases, error`, by quarters of the
        true values; for masks `class, images, area, dice, low, high` (see `missed.dice_table`).

    Example:
        >>> table = mk.mistake_table(task, held_out, run.predictions)
        >>> list(table.columns)
        ['tooth_number', 'teeth', 'decayed', 'found', 'missed', 'false_alarms']
    """
    check_arguments(mistake_table, locals())
    table = figures_of(task).table
    unknown = sorted(set(options) - set(signature(table).parameters))
    if unknown:
        raise ConfigError(
            f"mistake_table: the table of {task.name} takes no {unknown[0]} (that of teeth takes "
            "tooth_threshold). Leave it out."
        )
    return table(task, cases, predictions, threshold=threshold, **options)
