"""Figures that show once in a notebook, stay out of pyplot's registry, and share one look."""

from __future__ import annotations

import functools
import io
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Sequence, TypeVar

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.transforms import ScaledTranslation

from medkit.datasets.task import Task
from medkit.errors import DataError
from medkit.show.fonts import families
from medkit.tables import check_columns, part_column

WIDTH = 9.5  # inches: the width of a notebook's output
TALLEST = 4.6  # inches, of a picture on a page
DPI = 110
REAL, PREDICTED = "#E3001B", "#0050FF"  # red solid, blue dashed: the contest team's convention
# The hues of Okabe and Ito (Color Universal Design, 2008), told apart with any kind of colour
# vision, each dark enough for a thin line on white: a contrast of 3 or more (WCAG 2.1, 1.4.11).
COLOURS = ("#0072B2", "#C37E06", "#105C4B", "#BF7AA4", "#3097F5", "#A04A07", "#4C009E", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "oo", "--")
MARKERS = "osD^vP*X"
LINES = ("-", "--", "-.", ":")
GREY = "#666666"
LOOK = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "hatch.linewidth": 0.6,
    "figure.dpi": DPI,
}
PREFERRED_CLASS_COLOURS = {"sound": COLOURS[4], "decayed": COLOURS[5]}
UNLABELLED = "no label"

Made = TypeVar("Made", bound=Callable[..., Any])


class Picture(Figure):
    """A figure that a notebook shows when a cell's last line returns it: one PNG."""

    def draw(self, renderer: Any) -> None:
        with look():  # ticks and hatches are made as late as this
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        with look(), io.BytesIO() as buffer:
            self.savefig(buffer, format="png")
            return buffer.getvalue()


def styled(make: Made) -> Made:
    """Give a figure's function the kit's look, without touching the settings of other figures."""

    @functools.wraps(make)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with look():
            return make(*args, **kwargs)

    return inner  # type: ignore[return-value]


@contextmanager
def look(**more: Any) -> Iterator[None]:
    """matplotlib's settings for our figures, whatever the notebook has set; taken back after.

    Args:
        more: settings beside these, by matplotlib's names.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**LOOK, "font.family": list(families()), **more})
        yield


def new_picture(height: float, width: float = WIDTH) -> Picture:
    """An empty white page; sizes in inches."""
    picture = Picture(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(picture)
    return picture


def grid_of(
    shapes: Sequence[float],
    *,
    columns: int,
    lines: int = 3,
    title: str = "",
    has_legend: bool = False,
) -> tuple[Picture, list[Axes]]:
    """A page with a cell for each picture, without ticks, rows as high as their pictures.

    Args:
        shapes: width / height of each picture.
        lines: of text above each, at most.
        title: of the whole page.
        has_legend: leaves room for it at the foot.
    """
    columns = max(1, min(columns, len(shapes)))
    rows = [shapes[k : k + columns] for k in range(0, len(shapes), columns)]
    cell_width = WIDTH / columns
    above = 0.15 * lines
    heights = [min(TALLEST, cell_width / min(row)) + above for row in rows]
    page = new_picture(sum(heights) + 0.05 + 0.3 * bool(title) + 0.35 * has_legend)
    if title:
        page.suptitle(title, x=0.01, ha="left", fontsize=11)
    grid = page.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    cells = list(grid.flat)
    for cell in cells:
        cell.axis("off")
        cell.set_anchor("N")  # titles of a row at one height, whatever the pictures' shapes
    for cell in cells[len(shapes) :]:
        cell.remove()
    return page, cells[: len(shapes)]


def write_above(axes: Axes, x: float, y: float, text: str) -> None:
    """A bar's number, a little above it."""
    axes.annotate(text, (x, y), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9)


def legend_below(axes: Axes) -> None:
    """The legend under the axes, where it covers no curve."""
    axes.legend(
        fontsize=9, ncols=2, loc="upper left", bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + ScaledTranslation(-0.1, -0.42, axes.figure.dpi_scale_trans),
        borderaxespad=0,
    )  # fmt: skip


def headroom(axes: Axes, share: float = 0.12) -> None:
    """Room above the bars for their numbers."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))


def percent(value: float, _: int) -> str:
    """A share as an axis tells it."""
    return f"{100 * value:.3g}%"


def short(text: str, most: int = 26) -> str:
    """A name that fits above a small picture: of a long one its end."""
    return text if len(text) <= most else f"..{text[2 - most :]}"


def class_colour(name: str, position: int) -> str:
    """A class's colour, the same in every figure."""
    return PREFERRED_CLASS_COLOURS.get(name, COLOURS[position % len(COLOURS)])


def class_look(name: str, position: int) -> tuple[str, str]:
    """Colour and hatch of a class's bar."""
    if name == UNLABELLED:
        return "#DDDDDD", ""
    turn = position // len(COLOURS)  # colours come again, with another hatch
    return class_colour(name, position), HATCHES[(position + turn) % len(HATCHES)]


def draw_outline(axes: Axes, points: np.ndarray, colour: str, style: Any) -> None:
    """A closed line with a white edge, so that it shows on any picture."""
    edge = patheffects.withStroke(linewidth=3.4, foreground="white", alpha=0.9)
    line = Polygon(points, fill=False, ec=colour, lw=2.0, ls=style, path_effects=[edge])
    axes.add_patch(line)


def draw_mark(axes: Axes, x: float, y: float, marker: str, colour: str) -> None:
    """A symbol that shows on any picture, to whom colours are alike, too."""
    axes.plot(x, y, **mark_look(marker, colour))


def mark_look(marker: str, colour: str) -> dict[str, Any]:
    """How matplotlib draws such a symbol: filled, with a white edge in a black one."""
    edge = patheffects.withStroke(linewidth=3.0, foreground="black")
    fill = {"mfc": colour, "mec": "white", "mew": 1.3, "ls": "none"}
    return {"marker": marker, "ms": 9, **fill, "path_effects": [edge, patheffects.Normal()]}


def count_mistakes(shown: int, wrong: int, total: int, noun: str) -> str:
    """What the first `shown` of the mistakes and, behind them, of all others amount to."""
    if 0 < shown <= wrong:
        return f"{shown:,} of {wrong:,} mistakes, the surest first ({total:,} {noun} in all)"
    all_wrong = {0: "no mistake", 1: "the only mistake"}.get(wrong, f"all {wrong:,} mistakes")
    return f"{all_wrong}, then {shown - wrong:,} of {total - wrong:,} other {noun}"


def noun_of(task: Task, cases: pd.DataFrame) -> str:
    """What cases are called; whole pictures, of a task whose cases are parts, as its units are."""
    return task.nouns[bool(task.whole) and part_column(cases) is None]


def whole_of(task: Task, cases: pd.DataFrame) -> pd.Series:
    """The name of the picture of which each case is a part; its own where it is none."""
    return cases[task.whole if task.whole in cases else "id"]


def check_rows(table: pd.DataFrame, what: str, columns: Iterable[str] = ()) -> None:
    """Refuse an empty table, or one without the columns that a figure needs."""
    check_columns(what, table, columns)
    if table.empty:
        raise DataError(
            f"{what}: the table has no rows. Check the cell that made it, or its filter."
        )
