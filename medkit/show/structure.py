"""What is particular to a contest: a row of `FIGURES` each, named by `Task.figures`.

The usual row is here: heads against each other, and groups. The others have files of their own.
"""

from __future__ import annotations

import itertools
from typing import Callable, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.arguments import check_arguments
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError
from medkit.naming import did_you_mean
from medkit.show.canvas import COLOURS, Picture, check_rows, new_picture, styled
from medkit.show.grid import answer_table, show_grid
from medkit.show.halves import show_halves
from medkit.show.kinds import SHOWN
from medkit.show.missed import dice_table, show_missed, show_places
from medkit.show.nights import show_hypnogram, show_night_mistakes
from medkit.show.photos import ORDERS as PHOTO_ORDERS
from medkit.show.photos import show_photos
from medkit.show.teeth import has_teeth, mistakes_by_tooth, show_teeth

MOST = 6  # pairs of heads on a page


class Figures(NamedTuple):
    """The figures that are a contest's own; each function takes the task first, then cases."""

    structure: Callable[..., Picture]  # (task, cases), for `show_structure`
    mistakes: Callable[..., Picture]  # and predictions, threshold, n, order, for `show_mistakes`
    table: Callable[..., pd.DataFrame]  # and predictions, threshold, for `mistake_table`
    orders: tuple[str, ...] = ("errors first", "as given")  # of `show_mistakes`


def show_structure(task: Task, cases: pd.DataFrame) -> Picture:
    """The figure that suits these cases.

    Teeth by number, nights as hypnograms, the halves of pictures, where the task says so; else
    heads against each other where there are several, and labels by group; of masks where each class
    lies.

    Example:
        >>> mk.show_structure(task, cases)
        <Picture ...>
    """
    check_arguments(show_structure, locals())
    check_rows(cases, "show_structure", ["id", "group"])
    return figures_of(task).structure(task, cases)


def figures_of(task: Task) -> Figures:
    """The row of `FIGURES` that a task names, or else that of its kind of answer."""
    if task.figures not in FIGURES:
        raise ConfigError(
            f"task {task.name!r}: figures {task.figures!r} (expected one of "
            f"{', '.join(map(repr, FIGURES))}).{did_you_mean(task.figures, FIGURES)}"
        )
    return FIGURES[task.figures or SHOWN[task.scored.kind].row]


def show_usual(task: Task, cases: pd.DataFrame) -> Picture:
    """Heads against each other where there are several, else groups."""
    return (show_heads if len(task.heads) > 1 else show_groups)(task, cases)


def _teeth(task: Task, cases: pd.DataFrame) -> Picture:
    """Teeth by number; whole photos have nothing of their own."""
    return (show_teeth if has_teeth(cases) else show_usual)(task, cases)


@styled
def show_heads(task: Task, cases: pd.DataFrame) -> Picture:
    """Labels of each pair of heads against each other: how many cases have both."""
    check_rows(cases, "show_heads", [head.name for head in task.heads])
    parts = {h.name: _parts(task, h, cases) for h in task.heads}
    there = [name for name, (_, names) in parts.items() if names]  # a number may have no value
    pairs = list(itertools.combinations(there, 2))[:MOST]
    if not pairs:
        raise ConfigError(f"show_heads: fewer than two heads (found {there}). Use show_balance.")
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    page = new_picture(3.1 * rows)
    cells = page.subplots(rows, columns, squeeze=False).ravel()
    for axes, (a, b) in zip(cells, pairs):
        counts = pd.crosstab(parts[a][0], parts[b][0])
        counts = counts.reindex(index=parts[a][1], columns=parts[b][1], fill_value=0)
        _count_table(axes, counts)
        axes.set(xlabel=b, ylabel=a)
    for axes in cells[len(pairs) :]:
        axes.axis("off")
    return page


def _parts(task: Task, head: Head, cases: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """A head's labels as words of which there are few, and these in order."""
    shown = SHOWN[head.kind](head)
    return shown.parts(shown.labels(task, cases))


def _count_table(axes: Axes, counts: pd.DataFrame) -> None:
    """Counts in cells, the darker the more."""
    most = max(1, counts.to_numpy().max())
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=1.2 * most)
    for (y, x), count in np.ndenumerate(counts.to_numpy()):
        ink = "white" if count > 0.7 * most else "#222222"
        axes.text(x, y, f"{count:,}", ha="center", va="center", color=ink)
    is_long = counts.shape[1] > 3 and sum(map(len, counts.columns)) > 24
    names = [name.replace(" ", "\n", 1) if is_long else name for name in counts.columns]
    axes.set_xticks(range(counts.shape[1]), names)
    axes.set_yticks(range(counts.shape[0]), counts.index)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@styled
def show_groups(task: Task, cases: pd.DataFrame) -> Picture:
    """How many cases a group (a patient, a record) has, and how its labels are mixed.

    Groups that are all of one size are told in words: their one bar would say no more.
    """
    head = task.heads[0]
    check_rows(cases, "show_groups", ["group", head.name])
    sizes = cases["group"].value_counts()
    page = new_picture(3.4)
    *others, right = page.subplots(1, min(2, sizes.nunique()), squeeze=False)[0]
    for left in others:
        left.hist(sizes, bins=min(30, max(3, sizes.nunique())), color=COLOURS[2], edgecolor="white")
        left.set(xlabel="cases of a group", ylabel="groups")
        left.set_title(f"{len(sizes):,} groups, median {sizes.median():.0f} cases")
    if not others:
        noun = "case" if sizes.iloc[0] == 1 else "cases"
        text = f"{len(sizes):,} groups, of {sizes.iloc[0]:,} {noun} each"
        page.suptitle(text, x=0.01, ha="left", fontsize=11)
    shown = SHOWN[head.kind](head)
    shown.groups(right, shown.labels(task, cases), cases["group"])
    return page


FIGURES = {  # by `Task.figures`
    "": Figures(show_usual, show_grid, answer_table),
    "teeth": Figures(_teeth, show_photos, mistakes_by_tooth, PHOTO_ORDERS),
    "nights": Figures(show_hypnogram, show_night_mistakes, answer_table),
    "halves": Figures(show_halves, show_grid, answer_table),
    "masks": Figures(show_places, show_missed, dice_table),
}
