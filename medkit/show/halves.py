"""Whole pictures with the parts that are cases: the two sides of an X-ray."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from medkit.datasets.task import Task
from medkit.images.decode import probe, read_image
from medkit.show.canvas import COLOURS, Picture, check_rows, grid_of, styled
from medkit.show.kinds import SHOWN
from medkit.show.pictures import SIZE, shrink


@styled
def show_halves(task: Task, cases: pd.DataFrame, *, n: int = 6) -> Picture:
    """Whole pictures with the part that each case is, and its label."""
    head = task.heads[0]
    check_rows(cases, "show_halves", ["id", "path", "box", head.name])
    rows = cases[cases["path"].notna() & cases["box"].notna()]
    check_rows(rows, "show_halves: cases with a picture")
    rarest = rows[head.name].map(rows[head.name].value_counts()).fillna(np.inf)
    paths = rows.assign(rarity=rarest).groupby("path", sort=False)["rarity"].min()
    paths = paths.sort_values(kind="stable").index[:: max(1, len(paths) // n)][:n]  # from rare on
    page, cells = grid_of([np.divide(*probe(path)) for path in paths], columns=3)
    for cell, path in zip(cells, paths):
        image = shrink(read_image(path, min_size=SIZE // 2), SIZE // 2)
        scale = image.shape[1] / probe(path)[0]
        cell.imshow(image)
        for number, (_, row) in enumerate(rows[rows["path"] == path].iterrows()):
            left, top, right, bottom = (value * scale for value in row["box"])
            part = str(row["id"]).rpartition("_")[2]
            words = f"{part}\n{SHOWN[head.kind](head).word(row[head.name])}"
            _frame(cell, (left, top, right, bottom), words, COLOURS[number % 2])
        cell.set_title(str(rows["group"][rows["path"] == path].iloc[0]), fontsize=9)
    return page


def _frame(cell: Axes, box: tuple[float, float, float, float], words: str, colour: str) -> None:
    """A frame just inside a box, and words at its top."""
    left, top, right, bottom = box
    size = right - left - 4, bottom - top - 4
    cell.add_patch(Rectangle((left + 2, top + 2), *size, fill=False, ec=colour, lw=2))
    cell.text(
        (left + right) / 2, top + 0.06 * (bottom - top), words, color="white",
        ha="center", va="top", fontsize=9, bbox={"fc": colour, "ec": "none", "pad": 2},
    )  # fmt: skip
