"""Photos of invented mouths: gums, palate or tongue, teeth, lips, and a camera with a flash."""

from __future__ import annotations

import math
from typing import Callable

import cv2
import numpy as np

from medkit.datasets.drawing.crowns import enamel
from medkit.datasets.drawing.mouths import Mouth, Tooth, place_teeth, rim
from medkit.datasets.drawing.surfaces import mix, moist, noise, step

Places = Callable[[np.ndarray, np.ndarray], "tuple[np.ndarray, np.ndarray]"]


def paint_photo(
    mouth: Mouth, view: str, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[Tooth, np.ndarray]]]:
    """A photo of a mouth, and its labelled teeth.

    Args:
        size: width and height in pixels.

    Returns:
        image: (H, W, 3) uint8 RGB.
        teeth: each labelled tooth with its outline, (48, 2) in pixels.
    """
    teeth = place_teeth(mouth, view, rng)
    to_pixels, to_mm, extent = _frame(teeth, size, rng)
    outlines = [to_pixels(rim(tooth)) for tooth in teeth]
    # What lies behind and before the teeth is soft: half the resolution does.
    y, x = np.mgrid[0 : size[1] : 2, 0 : size[0] : 2].astype(np.float32)
    x, y = to_mm(x, y)
    behind = (_inside if view in ("upper", "lower") else _gums)(mouth, teeth, x, y, rng)
    canvas = cv2.resize(behind, size, interpolation=cv2.INTER_LINEAR)
    _shade_around(canvas, outlines, width=extent[0])
    seeds = rng.integers(2**32, size=len(teeth))  # so that decay on one tooth changes no other
    for tooth, outline, seed in zip(teeth, outlines, seeds):
        _paint_tooth(canvas, mouth, tooth, outline, to_mm, np.random.default_rng(seed))
    shade, skin, alpha = (
        cv2.resize(layer, size) for layer in _lips(mouth, teeth, extent, x, y, rng)
    )
    canvas *= shade[..., None]
    mix(canvas, skin, alpha)
    labelled = [(tooth, outline) for tooth, outline in zip(teeth, outlines) if tooth.labelled]
    return _develop(canvas, rng), labelled


def _frame(
    teeth: list[Tooth], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Callable[[np.ndarray], np.ndarray], Places, np.ndarray]:
    """How millimetres become pixels, and back, so that the labelled teeth fill the picture.

    Returns: points to pixels; pixels' x and y to millimetres about the teeth's middle; the
        teeth's width and height in millimetres.
    """
    points = np.concatenate([rim(tooth) for tooth in teeth if tooth.labelled])
    low, high = points.min(0), points.max(0)
    extent, middle = high - low, (low + high) / 2
    room = np.asarray(size) / (extent * rng.uniform(1.06, 1.22) + 1)
    turn, scale = rng.normal(0, 0.035), float(room.min())
    matrix = scale * np.asarray(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    centre = np.asarray(size) / 2 + rng.normal(0, 0.012, 2) * size
    back = np.linalg.inv(matrix).astype(np.float32)

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return (points - middle) @ matrix.T + centre

    def to_mm(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
        return (
            back[0, 0] * x + back[0, 1] * y + np.float32(middle[0]),
            back[1, 0] * x + back[1, 1] * y + np.float32(middle[1]),
        )

    return to_pixels, to_mm, extent


def _gums(mouth: Mouth, teeth: list[Tooth], x, y, rng) -> np.ndarray:
    """Gums above and below the teeth, with papillae between them; the dark mouth behind."""
    canvas = np.empty((*x.shape, 3), np.float32)
    canvas[:] = (0.17, 0.06, 0.06)
    canvas *= 1 + 0.15 * noise(x.shape, 4, rng)[..., None]
    pink = moist(mouth.gum, x.shape, 14, rng)
    red = moist(mouth.gum * (0.82, 0.52, 0.52), x.shape, 6, rng)
    for upper in (True, False):
        sign = 1 if upper else -1  # from the gum to the teeth
        row = sorted((t for t in teeth if t.upper == upper), key=lambda t: t.centre[0])
        centres = np.asarray([t.centre[0] for t in row])
        necks = np.asarray([t.centre[1] - t.axis[1] * t.length / 2 for t in row])
        tips = np.asarray([t.centre[1] for t in row])
        between = (centres[1:] + centres[:-1]) / 2
        ends = np.asarray([centres[0] - 9, centres[-1] + 9])  # behind the last teeth: cheek
        places = np.concatenate([centres, between, ends])
        edges = [necks + sign, (tips[1:] + tips[:-1]) / 2, tips[[0, -1]] + 5 * sign]
        roots = [np.ones_like(centres), -np.ones_like(between), np.zeros(2)]
        order = np.argsort(places)
        edge, root = (np.concatenate(parts)[order] for parts in (edges, roots))
        line = np.interp(x, places[order], edge).astype(np.float32)
        ridge = np.interp(x, places[order], root).astype(np.float32)
        away = (np.interp(x, centres, necks).astype(np.float32) - y) * sign  # into the gum
        gum = pink * (1 + 0.10 * ridge * step(away, 9, 0))[..., None]
        gum *= (1 - 0.12 * step(away, 1.2, 0))[..., None]
        mix(gum, red, step(away + 1.2 * noise(x.shape, 5, rng), 3.5, 9))
        mix(canvas, gum, step((line - y) * sign, -0.25, 0.25))
    return canvas


def _inside(mouth: Mouth, teeth: list[Tooth], x, y, rng) -> np.ndarray:
    """Palate, or tongue and floor, inside the arch; gum along it; lips and cheeks beyond."""
    upper = teeth[0].upper
    up = -1 if upper else 1
    centres = np.abs([t.centre for t in teeth if t.labelled])
    across, deep = float(centres[:, 0].max()), float(centres[:, 1].max())
    front = (y * up + 0.8 * deep) / (1.8 * deep)  # 0 at the molars, 1 at the incisors
    rim_at = np.hypot(x / across, np.clip(front, 0, 2))  # 1 on the arch
    canvas = moist(mouth.gum * (0.72, 0.50, 0.50), x.shape, 5, rng)
    mix(canvas, moist(mouth.gum, x.shape, 16, rng), step(rim_at, 1.34, 1.22))
    if upper:
        middle = moist(mouth.gum * (0.98, 0.86, 0.84), x.shape, 8, rng)
        wave = np.sin(front * 26 + 3 * np.abs(x) / across + 0.7 * noise(x.shape, 6, rng))
        folds = 0.06 * wave * step(front, 0.35, 0.6) * step(np.abs(x), 0.2, 3)
        seam = 0.10 * np.exp(-((x / 0.6) ** 2))
        middle *= ((1 + folds - seam) * (0.86 + 0.14 * step(rim_at, 0.9, 0.2)))[..., None]
    else:
        middle = moist(mouth.gum * (0.86, 0.70, 0.72), x.shape, 8, rng)
        tongue = moist(mouth.gum * (1.0, 0.80, 0.80), x.shape, 12, rng)
        fuzz = 1 + 0.05 * noise(x.shape, 60, rng) - 0.16 * np.exp(-((x / 0.8) ** 2))
        dome = 1.06 - 0.35 * np.clip(np.abs(x) / across, 0, 1) ** 2
        edge = np.hypot(x / (across * 0.72), (y * up + deep * 1.1) / (deep * 1.45))
        mix(middle, tongue * (fuzz * dome)[..., None], step(edge, 1.02, 0.93))
        middle *= (0.72 + 0.28 * step(rim_at, 0.1, 0.8))[..., None]
    mix(canvas, middle, step(rim_at, 0.86, 0.74))
    return canvas


def _shade_around(canvas: np.ndarray, outlines: list[np.ndarray], *, width: float) -> None:
    """Darken what lies around and between the teeth."""
    shape = np.zeros(canvas.shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(shape, [np.round(outline).astype(np.int32)], 255)
    pixels_a_mm = canvas.shape[1] / width
    for reach, depth in ((1.3, 0.38), (0.32, 0.35)):
        shadow = cv2.GaussianBlur(shape, (0, 0), max(0.6, reach * pixels_a_mm))
        canvas *= 1 - shadow[..., None] * np.float32(depth / 255)


def _paint_tooth(
    canvas: np.ndarray, mouth: Mouth, tooth: Tooth, outline: np.ndarray, to_mm: Places, rng
) -> None:
    """One tooth, on the part of the canvas that it covers."""
    low = np.maximum(np.floor(outline.min(0)).astype(int) - 3, 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + 4, canvas.shape[1::-1])
    if (high - low).min() < 4:  # outside the picture
        return
    shape = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(shape, [np.round((outline - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    x, y = to_mm(x, y)
    x, y = x - tooth.centre[0], y - tooth.centre[1]
    u = (x * tooth.axis[1] - y * tooth.axis[0]) / tooth.width
    v = (x * tooth.axis[0] + y * tooth.axis[1]) / tooth.length + 0.5
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    mix(patch, enamel(mouth, tooth, shape, u, v, rng), shape.astype(np.float32) / 255)


def _lips(
    mouth: Mouth, teeth: list[Tooth], extent: np.ndarray, x, y, rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lips and cheeks around the opening: the shadow they throw, their colours, where they are."""
    from_above = teeth[0].from_above
    centre = np.mean([t.centre for t in teeth if t.labelled], 0)
    half = (extent / 2 + (1.0, 4.0)) * rng.uniform(0.98, 1.07, 2)
    if from_above:  # the opening goes on behind the molars
        half = (extent * (0.5, 1.0) + (4.5, 4.0)) * rng.uniform(0.98, 1.07, 2)
        centre = (0.0, extent[1] * (0.56 if teeth[0].upper else -0.56))
    x, y = (x - np.float32(centre[0])) / half[0], (y - np.float32(centre[1])) / half[1]
    away = (np.abs(x) ** 2.7 + np.abs(y) ** 2.7) ** np.float32(1 / 2.7) - 1
    away += 0.02 * noise(x.shape, 3, rng)
    shade = 1 - 0.45 * step(away, -0.14, 0.02)
    if not from_above:  # less light reaches the back
        shade *= 1 - 0.6 * step(np.abs(x), 0.68, 1.0)
    folds = np.sin(np.arctan2(y, x) * 70 + 3 * noise(x.shape, 6, rng)) * step(away, 0.02, 0.12)
    roundness = 0.58 + 0.49 * step(away, -0.01, 0.13) - 0.15 * step(away, 0.2, 0.6)
    skin = moist(mouth.lip, x.shape, 9, rng) * (roundness + 0.05 * folds)[..., None]
    gloss = np.exp(-(((away - 0.11) / 0.035) ** 2)) * step(noise(x.shape, 7, rng), 0.0, 1.5)
    skin = (skin + 0.30 * gloss[..., None]).astype(np.float32)
    return shade.astype(np.float32), skin, step(away, -0.008, 0.012).astype(np.float32)


def _develop(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera: fall-off of the flash, exposure, white balance, focus, grain."""
    height, width = canvas.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    canvas *= ((1.06 - 0.22 * (x * x + y * y)) * rng.uniform(0.86, 1.04))[..., None]
    canvas *= 1 + rng.normal(0, 0.012, 3).astype(np.float32)
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.0))
    grain = rng.standard_normal((height, width), np.float32) * rng.uniform(0.004, 0.012)
    return (np.clip(canvas + grain[..., None], 0, 1) * 255).astype(np.uint8)
