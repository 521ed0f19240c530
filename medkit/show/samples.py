"""Samples of cases, pairs that leak, and where a model looked."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps

from medkit.arguments import check_arguments
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError, DataError
from medkit.images.decode import probe, read_image
from medkit.seeding import generator
from medkit.show.canvas import Picture, check_rows, grid_of, new_picture, short, styled
from medkit.show.kinds import SHOWN
from medkit.show.pictures import SIZE, case_picture, draw_case, shrink
from medkit.show.shown import Shown
from medkit.tables import by_turns, part_column, visible


@styled
def show_cases(task: Task, cases: pd.DataFrame, *, n: int = 8, seed: int = 0) -> Picture:
    """A sample of cases, the labels of the first head by turns, with their regions outlined.

    Args:
        n: how many.
        seed: another one draws others.

    Example:
        >>> mk.show_cases(task, cases, n=2)
        <Picture ...>
    """
    check_arguments(show_cases, locals())
    check_rows(cases, "show_cases", ["id", "path"])
    rows = visible(cases)
    check_rows(rows, "show_cases: cases with a picture")
    rows = _by_turns(task, rows, generator("show cases", seed)).head(n)
    pictures = [case_picture(row) for _, row in rows.iterrows()]
    shapes = [image.shape[1] / image.shape[0] for image, _ in pictures]
    every = [SHOWN[head.kind](head) for head in task.heads]
    has_legend = any(s.has_legend and s.name in rows and rows[s.name].notna().any() for s in every)
    columns = 4 if part_column(rows) == "region" else 3
    page, cells = grid_of(shapes, columns=columns, has_legend=has_legend)
    for cell, (_, row), picture in zip(cells, rows.iterrows(), pictures):
        draw_case(cell, task, task.heads[0], row, picture)
        labels = [shown.told_of(task, row) for shown in every]
        cell.set_title(f"{_named(task, row)}\n{', '.join(labels)}", fontsize=9)
    for shown in every[: 1 if has_legend else 0]:
        shown.legend(page)
    return page


def _by_turns(task: Task, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All rows shuffled, classes or quarters of a number by turns: a few show them all."""
    rows, head = rows.iloc[rng.permutation(len(rows))], task.heads[0]
    labels = rows.get(head.name, pd.Series(None, rows.index, object)).reset_index(drop=True)
    turns = by_turns(pd.DataFrame({"label": head.answer.strata(labels)}), "label")
    return rows.iloc[turns.index]


def _named(task: Task, case: pd.Series) -> str:
    """A case's name, and what else the task wants beside it: "front_1_04  (tooth 11)"."""
    known = {name: case.get(name) for name in task.text if not pd.isna(case.get(name))}
    words = [f"{name.replace('_number', '').replace('_', ' ')} {v}" for name, v in known.items()]
    return short(f"{case['id']}") + f"  ({', '.join(words)})" * bool(words)


@styled
def show_leaks(leaks: pd.DataFrame, *, n: int = 8) -> Picture:
    """The first pairs that `find_leaks` found, side by side; a page that says so if there is none.

    Args:
        leaks: `kind, id_a, id_b, path_a, path_b`.

    Example:
        >>> mk.show_leaks(mk.find_leaks(cases, near=False))
        <Picture ...>
    """
    check_arguments(show_leaks, locals())
    if leaks.empty:
        page = new_picture(0.6)
        cell = page.subplots(1, 1)
        cell.axis("off")
        cell.text(0, 0.5, "No leak found: no such pair is on both sides.", fontsize=12)
        return page
    check_rows(leaks, "show_leaks", ["kind", "id_a", "id_b", "path_a", "path_b"])
    pairs = leaks.head(n)
    shapes = [
        np.divide(*probe(pair[f"path_{side}"])) for _, pair in pairs.iterrows() for side in "ab"
    ]
    page, cells = grid_of(shapes, columns=4 if len(pairs) > 1 else 2)
    for k, (_, pair) in enumerate(pairs.iterrows()):
        for cell, side in zip(cells[2 * k : 2 * k + 2], "ab"):
            cell.imshow(shrink(read_image(pair[f"path_{side}"], min_size=SIZE / 2), SIZE // 2))
            first = f"{k + 1}. {pair['kind']}" if side == "a" else ""
            cell.set_title(f"{first}\n{short(pair[f'id_{side}'])}", fontsize=9)
    return page


@styled
def show_saliency(
    task: Task,
    images: Sequence[np.ndarray],
    heatmaps: np.ndarray,
    *,
    titles: Sequence[str] | None = None,
    predictions: pd.DataFrame | None = None,
    class_name: str | None = None,
) -> Picture:
    """Pictures, and below each where the model looked: bright is where it mattered.

    Args:
        images: (N, H, W, 3) uint8.
        heatmaps: (N, H, W), 0 to 1.
        titles: one a picture; with predictions, the ids of the cases.
        predictions: the model's, whose probability of the class stands above each picture.
        class_name: the class that `explain` was asked for; None takes the last, as it does.

    Example:
        >>> images, heatmaps = mk.explain(run, held_out[held_out["region"].notna()].head(2))
        >>> mk.show_saliency(task, images, heatmaps)
        <Picture ...>
    """
    check_arguments(show_saliency, locals())
    if len(images) == 0 or np.shape(images)[:3] != np.shape(heatmaps):
        raise ConfigError(
            f"show_saliency: images of shape {np.shape(images)} and heatmaps of shape "
            f"{np.shape(heatmaps)} (expected (N, H, W, 3) and (N, H, W), N from 1). "
            "Pass as many heatmaps as images, of the same size."
        )
    if titles is not None and len(titles) != len(images):
        raise ConfigError(
            f"show_saliency: {len(titles)} titles for {len(images)} images (expected one each)."
        )
    title, told = "", [""] * len(images)
    if predictions is not None:
        check_rows(predictions, "show_saliency: predictions", ["id"])
        last = task.heads[-1].answer.asked[-1]
        name = last if class_name is None else class_name
        head = _head_of(task, name)
        title, told = _foretold(SHOWN[head.kind](head), titles, predictions, name)
    images = np.asarray(images) / 255
    heat = np.clip(np.asarray(heatmaps, float), 0, 1)[..., None]
    share = 0.15 + 0.55 * heat
    looked = (1 - share) * images + share * colormaps["inferno"](heat[..., 0])[..., :3]
    gap = np.ones_like(images[:, : 1 + images.shape[1] // 24])
    stacked = np.concatenate([images, gap, looked], axis=1)
    shape = stacked.shape[2] / stacked.shape[1]
    page, cells = grid_of([shape] * len(stacked), columns=min(6, len(stacked)), title=title)
    for k, cell in enumerate(cells):
        cell.imshow(stacked[k])
        if titles is not None:
            cell.set_title(f"{short(titles[k], 18)}{told[k]}", fontsize=9)
    return page


def _head_of(task: Task, name: str) -> Head:
    """The head that has a class, or number, of this name."""
    heads = [head for head in task.heads if name in head.answer.asked]
    if not heads:
        known = [known for head in task.heads for known in head.answer.asked]
        raise ConfigError(
            f"show_saliency: no class {name!r} (expected one of {', '.join(known)}). Pass the "
            "class_name that mk.explain was asked for."
        )
    return heads[0]


def _foretold(
    shown: Shown, ids: Sequence[str] | None, predictions: pd.DataFrame, name: str
) -> tuple[str, list[str]]:
    """What is bright, and a second line for each title: what was predicted."""
    column = shown.foretold_by(name)
    if ids is None or column not in predictions:
        what = "no titles" if ids is None else f"no column {column!r}"
        raise DataError(
            f"show_saliency: predictions were given, and {what} (found {list(predictions.columns)})"
            '. Pass titles=list(cases["id"]) and the class_name that mk.explain was asked for.'
        )
    values = predictions.set_index("id")[column].reindex(list(ids))
    told = ["not predicted" if pd.isna(v) else shown.foretold(name, v) for v in values]
    return shown.bright(name), [f"\n{text}" if text else "" for text in told]
