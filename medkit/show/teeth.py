"""Decay by tooth number, as a dental chart and as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from medkit.arguments import check_arguments
from medkit.datasets.caries import TOOTH_NUMBERS
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import judged
from medkit.errors import DataError
from medkit.inference.judging import choose_threshold
from medkit.show.canvas import (
    GREY,
    HATCHES,
    Picture,
    check_rows,
    class_colour,
    headroom,
    new_picture,
    percent,
    styled,
    whole_of,
    write_above,
)
from medkit.show.grid import answer_table
from medkit.show.photos import is_called, positive
from medkit.tables import part_column, visible

# As the dentist sees the patient: quadrants 1 and 2 above, 4 and 3 below.
ROWS = (
    [*range(18, 10, -1), *range(21, 29)],
    [*range(48, 40, -1), *range(31, 39)],
)
UNKNOWN = "unknown"


@styled
def show_teeth(task: Task, cases: pd.DataFrame) -> Picture:
    """Teeth of the looked-for class by FDI number, laid out as a dental chart, and by view.

    One view alone is left out: its one bar would say no more than `show_balance`.
    """
    check_arguments(show_teeth, locals())
    name, target = positive(task, "show_teeth")
    check_rows(cases, "show_structure", [name])
    rows = _marked(cases)
    rows = rows[rows[name].notna()]
    check_rows(rows, "show_structure: cases with a label")
    numbered = rows[_numbers(rows).isin(TOOTH_NUMBERS)]
    views = rows["view"] if "view" in rows else pd.Series("all", rows.index)
    views = views.where(views.notna(), UNKNOWN)
    has_views = views.nunique() > 1
    if numbered.empty:
        page = new_picture(3.4)
        left, *others = page.subplots(1, 1 + has_views, squeeze=False)[0]
        photos = whole_of(task, cases)
        unmarked = set(photos) - set(photos[_marked(cases).index])
        verb = "has" if len(unmarked) == 1 else "have"
        more = f" with marked teeth ({len(unmarked):,} more {verb} none)" if unmarked else ""
        _per_photo(left, rows[name] == target, whole_of(task, rows), target, more)
        for axes in others:
            _by_view(axes, rows, views, name, target)
        page.suptitle(
            f"None of {len(rows):,} teeth has an FDI number, so there is no dental chart.",
            x=0.01, ha="left", fontsize=11,
        )  # fmt: skip
        return page
    page = new_picture(5.4 if has_views else 3.3)
    heights = (3, 2)[: 1 + has_views]
    above, *others = page.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _chart(page, above, numbered, name, target)
    for axes in others:
        _by_view(axes, rows, views, name, target)
    gone = len(rows) - len(numbered)
    more = f" ({gone:,} more teeth have no number)" if gone else ""
    above.set_title(f"Share of {target} teeth by FDI number, from {len(numbered):,} teeth{more}")
    return page


def _chart(page: Picture, axes: Axes, rows: pd.DataFrame, name: str, target: str) -> None:
    """One cell a tooth number, coloured by share, with count and total."""
    teeth = rows.groupby(rows["tooth_number"].astype(int))[name]
    totals, counts = teeth.size(), teeth.agg(lambda labels: int((labels == target).sum()))
    top = max(0.01, float((counts / totals).max()))
    colours = colormaps["Reds"]
    for y, row in enumerate(ROWS):
        for k, number in enumerate(row):
            x, total = k + (0.3 if k > 7 else 0), int(totals.get(number, 0))
            share = counts[number] / total if total else 0.0
            face = colours(0.9 * share / top) if total else "#F2F2F2"
            ink = "white" if total and share / top > 0.6 else "#222222"
            axes.add_patch(
                FancyBboxPatch(
                    (x + 0.06, y * 1.25),
                    0.88,
                    1.1,
                    boxstyle="round,pad=0,rounding_size=0.12",
                    facecolor=face,
                    edgecolor="#BBBBBB",
                    lw=0.8,
                    hatch=None if total else "////",
                )  # fmt: skip
            )
            axes.text(x + 0.5, y * 1.25 + 0.32, str(number), ha="center", va="center", color=ink)
            text = f"{share:.0%}\n{counts[number]}/{total}" if total else "–"
            axes.text(
                x + 0.5, y * 1.25 + 0.76, text, ha="center", va="center", color=ink, fontsize=7.5
            )
    axes.set_xlim(-0.1, 16.4)
    axes.set_ylim(2.75, -0.1)
    axes.axis("off")
    axes.text(0, 2.55, "patient's right", color=GREY, va="center")
    axes.text(16.3, 2.55, "patient's left", color=GREY, ha="right", va="center")


def _by_view(axes: Axes, rows: pd.DataFrame, views: pd.Series, name: str, target: str) -> None:
    """Share of the looked-for class in each view."""
    by_view = (rows[name] == target).groupby(views)
    counts, totals = by_view.sum(), by_view.size()
    for k, view in enumerate(counts.index):
        share = counts[view] / totals[view]
        colour = class_colour(target, 1)
        axes.bar(k, share, color=colour, width=0.55, hatch=HATCHES[1], edgecolor="white")
        write_above(axes, k, share, f"{share:.1%}\n{counts[view]:,} of {totals[view]:,}")
    axes.set_xticks(range(len(counts)), list(counts.index))
    axes.set_xlim(-0.8, max(len(counts), 2) - 0.2)
    axes.yaxis.set_major_formatter(percent)
    axes.set_title(f"Share of {target} teeth by view")
    headroom(axes, 0.35)


def _per_photo(axes: Axes, is_target: pd.Series, photos: pd.Series, target: str, more: str) -> None:
    """How many teeth of the looked-for class a photo has."""
    counts = is_target.groupby(photos).sum()
    bins = np.arange(-0.5, counts.max() + 1.5)
    axes.hist(counts, bins=bins, color=class_colour(target, 1), edgecolor="white", rwidth=0.9)
    axes.set_xlabel(f"{target} teeth in a photo")
    axes.set_ylabel("photos")
    axes.set_title(f"{len(counts):,} photos{more}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)


def has_teeth(cases: pd.DataFrame) -> bool:
    """Whether cases are teeth; else they are whole photos."""
    return "tooth_number" in cases or part_column(cases) is not None


def _marked(cases: pd.DataFrame) -> pd.DataFrame:
    """Teeth, without the photos in which none is marked."""
    part = part_column(cases)
    return cases[cases[part].notna()] if part else cases


def _numbers(rows: pd.DataFrame) -> pd.Series:
    return rows.get("tooth_number", pd.Series(None, rows.index, object))


def tooth_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
) -> pd.DataFrame:
    """How well each tooth number is read; teeth without a label or a prediction are left out.

    Returns:
        `tooth_number, teeth, decayed, found, missed, false_alarms`, by FDI number; teeth without a
        number come last as "unknown". The third is named as the class that is looked for.
    """
    check_arguments(tooth_table, locals())
    name, target = positive(task, "tooth_table")
    head = task.heads[0]
    check_rows(cases, "mistake_table", ["id", name])
    check_rows(predictions, "mistake_table: predictions", ["id", *head.columns])
    rows = _marked(cases)
    teeth = predictions.set_index("id").reindex(rows["id"])
    known = rows[name].notna() & teeth[list(head.columns)].notna().all(axis=1).to_numpy()
    if not known.any():
        raise DataError(
            "mistake_table: no tooth has both a label and a prediction. "
            "Pass labelled cases and the predictions of the same cases."
        )
    real, number = rows[name] == target, _numbers(rows)
    called = is_called(head, teeth, threshold)
    marks = pd.DataFrame(
        {
            "tooth_number": number.where(number.isin(TOOTH_NUMBERS), UNKNOWN).astype(object),
            "teeth": 1,
            target: real.astype(int),
            "found": (real & called).astype(int),
            "missed": (real & ~called).astype(int),
            "false_alarms": (~real & called).astype(int),
        }
    )
    return marks[known].groupby("tooth_number").sum().reset_index()  # "unknown" sorts last


def mistakes_by_tooth(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    tooth_threshold: Threshold | None = None,
) -> pd.DataFrame:
    """`tooth_table`; of whole photos, how well each class is told.

    Args:
        threshold: of what the contest scores: photos, by their largest tooth.
        tooth_threshold: from which a tooth is called decayed; by default the one that is best for
            these teeth: that of photos, for a largest of many, misses most of them.
    """
    positive(task, "tooth_table")
    if not has_teeth(cases):
        return answer_table(task, cases, predictions, threshold=threshold)
    if tooth_threshold is None:
        tooth_threshold = _best_threshold(task, cases, predictions)
    return tooth_table(task, cases, predictions, threshold=tooth_threshold)


def _best_threshold(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> Threshold:
    """The threshold that is best for teeth; any is, where all are of one class."""
    teeth, cases = task.of_head(task.heads[0]), visible(cases)
    units = judged(teeth, teeth.to_units(cases, predictions))
    if units["y_true"].nunique() < 2:
        return 0.5
    return choose_threshold(teeth, cases, predictions, metric="f1_macro")
