"""Whole photos with what is true and what was predicted drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError
from medkit.images.decode import probe, read_image
from medkit.show.canvas import (
    PREDICTED,
    REAL,
    Picture,
    check_rows,
    count_mistakes,
    draw_mark,
    draw_outline,
    grid_of,
    mark_look,
    styled,
    whole_of,
)
from medkit.show.kinds import check_suits, chosen_of
from medkit.show.pictures import SIZE, outline, shrink
from medkit.tables import check_columns

DASHES = (0, (3, 1.5))
MISSED, FALSE_ALARM = "v", "X"  # a triangle points at what was missed, a cross is over too much
WRONG, UNSCORED = ("false alarm", "missed"), ("not predicted", "no label")
ORDERS = ("errors first", "probability", "as given")


@styled
def show_photos(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame | None = None,
    *,
    threshold: Threshold = 0.5,
    n: int = 8,
    order: str = "errors first",
) -> Picture:
    """Whole photos with the real decay in red and the predicted decay in blue and dashed.

    A triangle marks what was missed, a cross a false alarm: red and blue are not alike to everyone,
    and on teeth red is dull to the colour-blind.

    Args:
        predictions: of these cases; those that are missing are shown as not predicted.
        threshold: of two classes, a tooth is outlined in blue from this probability on.
        order: "errors first" (false alarms and misses by turns, the surest mistakes first),
            "probability" (highest first) or "as given".
    """
    check_arguments(show_photos, locals())
    head, target = positive(task, "show_photos")
    check_rows(cases, "show_mistakes", ["id", "path"])
    if order not in ORDERS:
        raise ConfigError(f"show_photos: order {order!r} (expected one of {', '.join(ORDERS)}).")
    seen = cases[cases["path"].notna()].copy()
    check_rows(seen, "show_mistakes: cases with a picture")
    seen["prob"], seen["called"] = np.nan, False
    if predictions is not None:
        wanted = ["id", *task.heads[0].columns]
        check_columns("show_mistakes: predictions", predictions, wanted)
        teeth = predictions.set_index("id").reindex(seen["id"])
        seen["prob"] = teeth[target].to_numpy(float)
        seen["called"] = is_called(task.heads[0], teeth, threshold)
    verdicts = _verdicts(task, seen, predictions, threshold)
    names, noun = whole_of(task, seen), task.nouns[1]
    if not verdicts["id"].isin(names).all():  # what is scored are teeth
        names, noun = seen["id"], task.nouns[0]
    photos = _ordered(verdicts, order).head(n)
    drawn = [seen[names == name] for name in photos["id"]]
    shapes = [np.divide(*probe(teeth["path"].iloc[0])) for teeth in drawn]
    title = _how_many(verdicts, len(photos), order, noun)
    page, cells = grid_of(shapes, columns=2, title=title, has_legend=True)
    for cell, teeth, (_, photo) in zip(cells, drawn, photos.iterrows()):
        _draw_photo(cell, teeth, head, target)
        cell.set_title(_caption(photo, target), fontsize=10)
    _legend(page, pd.concat(drawn), head, target, with_predictions=predictions is not None)
    return page


def positive(task: Task, figure: str) -> tuple[str, str]:
    """The first head and the class that is looked for: its last.

    Raises:
        ConfigError: for a number, in which no class is looked for.
    """
    check_suits(task.heads[0], figure, "show_balance")
    return task.heads[0].name, task.heads[0].classes[-1]


def is_called(head: Head, table: pd.DataFrame, threshold: Threshold) -> np.ndarray:
    """(N,) whether the class that is looked for was predicted; not, where nothing was."""
    return chosen_of(head, table, threshold) == len(head.columns) - 1


def _how_many(verdicts: pd.DataFrame, shown: int, order: str, noun: str) -> str:
    """How many photos (or teeth, where these are scored) are shown, of how many."""
    if order == "errors first" and not verdicts["verdict"].isin(UNSCORED).all():
        wrong = int(verdicts["verdict"].isin(WRONG).sum())
        return count_mistakes(shown, wrong, len(verdicts), noun)
    how = ", the highest probability first" if order == "probability" else ""
    return f"{shown:,} of {len(verdicts):,} {noun}{how}"


def _legend(
    page: Picture, drawn: pd.DataFrame, head: str, target: str, *, with_predictions: bool
) -> None:
    """What the lines and symbols mean; parts that are not `target` have thin white lines."""
    lines = [Line2D([], [], color=REAL, lw=2.4, label=f"really {target}")]
    if with_predictions:
        lines += [
            Line2D([], [], color=PREDICTED, lw=2.4, ls=DASHES, label=f"predicted {target}"),
            Line2D([], [], **mark_look(MISSED, REAL), label="missed"),
            Line2D([], [], **mark_look(FALSE_ALARM, PREDICTED), label="false alarm"),
        ]
    parts = drawn[[outline(tooth) is not None for _, tooth in drawn.iterrows()]]
    labels = parts[head] if head in parts else pd.Series(None, parts.index, object)
    others = set(labels[labels != target].fillna("no label"))
    if others:
        shade = [
            patheffects.withStroke(linewidth=9, foreground="#888888")
        ]  # white is the page, too
        text = f"thin white: {' or '.join(sorted(others))}"
        lines.append(Line2D([], [], color="white", lw=1, path_effects=shade, label=text))
    page.legend(handles=lines, loc="outside lower center", ncols=5, fontsize=10)


def _verdicts(
    task: Task, seen: pd.DataFrame, predictions: pd.DataFrame | None, threshold: Threshold
) -> pd.DataFrame:
    """One row a photo: truth, probability, and what kind of answer that is."""
    others, target = task.scored.classes[:-1], task.scored.classes[-1]
    table = task.to_units(seen, predictions)
    called = is_called(task.scored, table, threshold)
    prob = table[target].astype(float) if predictions is not None else np.nan
    units = table[["id", "y_true"]].assign(prob=prob)
    real, known = units["y_true"] == target, units["y_true"].notna()
    units["verdict"] = np.select(
        [units["prob"].isna(), ~known, ~real & called, real & ~called, real & called],
        [*UNSCORED, *WRONG, "found"],
        f"rightly {others[0]}" if len(others) == 1 else f"rightly not {target}",
    )
    return units


def _ordered(photos: pd.DataFrame, order: str) -> pd.DataFrame:
    if order == "as given":
        return photos
    if order == "probability":
        return photos.sort_values("prob", ascending=False, kind="stable")
    prob = photos["prob"].fillna(0.0)
    surest = np.where(photos["verdict"] == "missed", 1 - prob, prob)
    photos = photos.iloc[np.argsort(-surest, kind="stable")]
    wrong = photos["verdict"].isin(WRONG).to_numpy()
    turn = photos.groupby("verdict").cumcount().to_numpy()
    return photos.iloc[np.lexsort((turn, ~wrong))]


def _draw_photo(cell: Axes, teeth: pd.DataFrame, head: str, target: str) -> None:
    """A photo; around its teeth, or around all of it, what is true and what was predicted."""
    path = Path(teeth["path"].iloc[0])
    image = shrink(read_image(path, min_size=SIZE))
    height, width = image.shape[:2]
    scale = width / probe(path)[0]
    cell.imshow(image)
    gap = 0.008 * max(width, height)  # between the two lines, where they coincide
    for _, tooth in teeth.iterrows():
        part = outline(tooth)
        whole = np.asarray([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
        points = whole if part is None else part * scale
        if tooth.get(head) == target:
            draw_outline(cell, points, REAL, "-")
        elif part is not None:
            cell.add_patch(Polygon(points, fill=False, ec="white", lw=0.7, alpha=0.55))
        if tooth["called"]:
            outward = -2 * gap if part is None else gap
            draw_outline(cell, _grown(points, outward), PREDICTED, DASHES)
        _mark_mistake(cell, tooth, points, head, target)
    cell.set_xlim(-0.5, width - 0.5)
    cell.set_ylim(height - 0.5, -0.5)


def _mark_mistake(cell: Axes, tooth: pd.Series, points: np.ndarray, head: str, target: str) -> None:
    """A symbol on the upper edge of what was missed, or called without being so."""
    real, called = tooth.get(head) == target, tooth["called"]
    if pd.isna(tooth["prob"]) or pd.isna(tooth.get(head)) or real == called:
        return
    x, y = (points[:, 0].min() + points[:, 0].max()) / 2, points[:, 1].min()
    draw_mark(cell, x, y, *((MISSED, REAL) if real else (FALSE_ALARM, PREDICTED)))


def _grown(points: np.ndarray, gap: float) -> np.ndarray:
    """A polygon moved outwards by about `gap` pixels."""
    away = points - points.mean(0)
    return points + away / np.linalg.norm(away, axis=1, keepdims=True).clip(min=1e-6) * gap


def _caption(photo: pd.Series, target: str) -> str:
    truth = "no label" if pd.isna(photo["y_true"]) else f"truth: {photo['y_true']}"
    if pd.isna(photo["prob"]):
        return f"{photo['id']}\n{truth}, not predicted"
    verdict = {"false alarm": "FALSE ALARM", "missed": "MISSED"}.get(
        photo["verdict"], photo["verdict"]
    )
    return f"{photo['id']}   {verdict}\n{truth}, probability of {target} {photo['prob']:.2f}"
