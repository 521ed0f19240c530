"""What of its picture a case is, small enough for a page."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medkit.datasets.task import Head, Task
from medkit.images import crop
from medkit.images.decode import probe, read_image
from medkit.show.canvas import REAL, draw_outline
from medkit.show.kinds import SHOWN

SIZE = 640  # pixels of a shown picture's longer side
CROP = 300  # pixels of a shown region
CONTEXT = 0.35  # around it, as a share of its longer side
OTHER = "#009E73"  # Okabe and Ito's green, told from red also by its dashes


def shrink(image: np.ndarray, size: int = SIZE) -> np.ndarray:
    """A picture whose longer side is at most `size`."""
    scale = size / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def outline(case: pd.Series) -> np.ndarray | None:
    """(N, 2) the corners of the part of its picture that a case is, in pixels; None: all of it."""
    region, box = case.get("region"), case.get("box")
    if isinstance(region, (list, tuple, np.ndarray)):
        return np.asarray(region, float)
    if isinstance(box, (list, tuple, np.ndarray)):
        left, top, right, bottom = np.asarray(box, float)
        return np.asarray([[left, top], [right, top], [right, bottom], [left, bottom]])
    return None


def case_picture(case: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """The square around a case's region and its outline there, or its box, or all of it."""
    points = outline(case)
    if points is None:
        return shrink(read_image(case["path"], min_size=SIZE)), None
    if "box" in case:
        (left, top), (right, bottom) = points[0].astype(int), points[2].astype(int)
        return shrink(read_image(case["path"])[top:bottom, left:right]), None
    width, height = probe(case["path"])
    left, top, side = crop.window(points, CONTEXT)
    image = read_image(case["path"], min_size=min(width, height) * min(1.0, CROP / side))
    scale = image.shape[1] / width
    shown = crop.crop_region(image, points * scale, size=CROP, margin=CONTEXT, mask=False)
    return shown, (points - (left, top)) * (CROP / side)


def draw_case(
    cell: Axes,
    task: Task,
    head: Head,
    case: pd.Series,
    picture: tuple[np.ndarray, np.ndarray | None],
) -> None:
    """A picture of `case_picture`, outlined in red where the case is what is looked for, and with
    its masks, if it has any."""
    (image, points), shown = picture, SHOWN[head.kind](head)
    cell.imshow(image)
    shown.overlay(cell, task, case, image.shape[:2])
    if points is not None:
        is_sought = shown.is_sought(case.get(head.name))
        draw_outline(cell, points, *((REAL, "-") if is_sought else (OTHER, "--")))
