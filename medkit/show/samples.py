"""Samples of cases, pairs that leak, and where a model looked."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps

from medkit.datasets.task import Task
from medkit.images import crop
from medkit.images.decode import probe, read_image
from medkit.seeding import generator
from medkit.show.canvas import (
    REAL,
    Picture,
    check_rows,
    draw_outline,
    grid_of,
    new_picture,
    short,
    styled,
)
from medkit.show.photos import SIZE, shrink
from medkit.tables import by_turns, visible

CROP = 300  # pixels of a shown region
CONTEXT = 0.35  # around it, as a share of its longer side
OTHER = "#009E73"  # Okabe and Ito's green, told from red also by its dashes


@styled
def show_cases(task: Task, cases: pd.DataFrame, *, n: int = 12, seed: int = 0) -> Picture:
    """A sample of cases, the classes of the first head by turns, with their regions outlined."""
    check_rows(cases, "show_cases", ["id", "path"])
    rows = visible(cases)
    check_rows(rows, "show_cases: cases with a picture")
    head = task.heads[0]
    rows = _by_turns(rows, head.name, generator("show cases", seed)).head(n)
    pictures = [_case_picture(row) for _, row in rows.iterrows()]
    shapes = [image.shape[1] / image.shape[0] for image, _ in pictures]
    page, cells = grid_of(shapes, columns=4 if "region" in rows else 3)
    for cell, (_, row), (image, outline) in zip(cells, rows.iterrows(), pictures):
        label = row.get(head.name)
        cell.imshow(image)
        if outline is not None:
            colour, style = (REAL, "-") if label == head.classes[-1] else (OTHER, "--")
            draw_outline(cell, outline, colour, style)
        number = row.get("tooth_number")
        name = short(f"{row['id']}") + ("" if pd.isna(number) else f"  (tooth {number})")
        labels = [row.get(head.name) for head in task.heads]
        text = ", ".join("no label" if pd.isna(label) else str(label) for label in labels)
        cell.set_title(f"{name}\n{text}", fontsize=9)
    return page


def _by_turns(rows: pd.DataFrame, name: str, rng: np.random.Generator) -> pd.DataFrame:
    """All rows shuffled, the classes taking turns, so that a few show them all."""
    return by_turns(rows.iloc[rng.permutation(len(rows))], name)


def _case_picture(row: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """The square around a case's region and its outline there, or its box, or all of it."""
    region, box = row.get("region"), row.get("box")
    if isinstance(box, (list, tuple)):
        left, top, right, bottom = box
        return shrink(read_image(row["path"])[top:bottom, left:right]), None
    if not isinstance(region, (list, np.ndarray)):
        return shrink(read_image(row["path"], min_size=SIZE)), None
    width, height = probe(row["path"])
    left, top, side = crop.window(region, CONTEXT)
    image = read_image(row["path"], min_size=min(width, height) * min(1.0, CROP / side))
    scale = image.shape[1] / width
    points = np.asarray(region, float)
    shown = crop.crop_region(image, points * scale, size=CROP, margin=CONTEXT, mask=False)
    return shown, (points - (left, top)) * (CROP / side)


@styled
def show_leaks(leaks: pd.DataFrame, *, n: int = 6) -> Picture:
    """The first pairs that `find_leaks` found, side by side; a page that says so if there is none.

    Args:
        leaks: `kind, id_a, id_b, path_a, path_b`.
    """
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
    images: np.ndarray,
    heatmaps: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
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
    """
    if len(images) == 0 or np.shape(images)[:3] != np.shape(heatmaps):
        raise ValueError(
            f"show_saliency: images of shape {np.shape(images)} and heatmaps of shape "
            f"{np.shape(heatmaps)} (expected (N, H, W, 3) and (N, H, W), N from 1). "
            "Pass as many heatmaps as images, of the same size."
        )
    title, told = "", [""] * len(images)
    if predictions is not None:
        check_rows(predictions, "show_saliency: predictions", ["id"])
        name = predictions.columns[-1] if class_name is None else class_name
        title = f"Bright: what spoke for {name}. Above each picture: the probability of {name}."
        told = _probabilities(titles, predictions, name)
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
            cell.set_title(f"{short(titles[k], 20)}{told[k]}", fontsize=9)
    return page


def _probabilities(ids: Sequence[str] | None, predictions: pd.DataFrame, name: str) -> list[str]:
    """A second line for each title: the class and its probability."""
    if ids is None or name not in predictions:
        what = "no titles" if ids is None else f"no column {name!r}"
        raise ValueError(
            f"show_saliency: predictions were given, and {what} (found {list(predictions.columns)})"
            '. Pass titles=list(cases["id"]) and the class_name that mk.explain was asked for.'
        )
    probs = predictions.set_index("id")[name].reindex(list(ids))
    return ["\nnot predicted" if np.isnan(p) else f"\n{short(name, 14)} {p:.2f}" for p in probs]
