"""Drawn Waters' views: a skull from below, with a dark cavity on either side of the nose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medkit.datasets.drawing.surfaces import develop, lit, noise, oval, polygon
from medkit.datasets.drawing.writing import check_counts, check_size, write_picture
from medkit.progress import track
from medkit.seeding import generator

SHARES = (0.55, 0.2, 0.12, 0.13)  # of the classes; rarer ones are more frequent than in the contest
WITHOUT = 0.04  # of the sides that have no label
AIR, TISSUE, BONE = 40.0, 108.0, 205.0  # grey


def draw_sinus(
    folder: Path | str, *, seed: int = 0, n_train: int = 80, n_test: int = 30, size: int = 600
) -> None:
    """Write a drawn sinus contest: `{train,test}/<8 digits>_<left>_<right>.jpg`.

    Args:
        n_train, n_test: pictures, each of two sides.
        size: pixels of the longer side.
    """
    check_counts("draw_sinus", n_train=n_train, n_test=n_test)
    check_size("draw_sinus", size, sides=1)
    for split, count, first in (("train", n_train, 0), ("test", n_test, 5_000_000)):
        for number in track(range(first + 1, first + count + 1), f"drawing {split}"):
            left, right = (draw_code(seed, number, side) for side in ("left", "right"))
            path = Path(folder) / split / f"{number:08}_{left}_{right}.jpg"
            write_picture(path, draw_head(seed, number, left, right, size))


def draw_code(seed: int, number: int, side: str) -> str:
    """The class of one side as it stands in the file's name."""
    rng = generator("drawn sinus", seed, number, side)
    return "x" if rng.random() < WITHOUT else str(rng.choice(len(SHARES), p=SHARES))


def draw_head(seed: int, number: int, left: str, right: str, size: int) -> np.ndarray:
    """One picture, (H, W, 3) uint8: the patient's left is the right half."""
    rng = generator("drawn skull", seed, number)
    whole = np.asarray((int(size * rng.uniform(0.78, 0.95)), size))
    wide, high = whole.tolist()
    canvas = np.full((high, wide), 18, np.uint8)
    middle, scale = np.asarray((wide / 2, 0.56 * high)), wide / 600
    line = max(2, round(7 * scale))
    for colour, thick in ((TISSUE, -1), (BONE, line + 2)):
        oval(canvas, (wide / 2, high / 2), whole * (0.42, 0.44), colour, thick=thick)
    for sign in (-1, 1):
        eye = (wide / 2 + sign * 0.19 * wide, 0.36 * high)
        for colour, thick in ((70, -1), (BONE, line)):
            oval(canvas, eye, whole * (0.1, 0.075), colour, thick=thick)
    nose = np.asarray([[0, -0.13], [0.055, 0.12], [-0.055, 0.12]])
    polygon(canvas, nose * whole + middle, 62)
    for sign, code, side in ((1, left, "left"), (-1, right, "right")):
        centre = middle + (sign * (0.18 + rng.normal(0, 0.008)) * wide, 0)
        _draw_cavity(canvas, centre, code, generator("drawn cavity", seed, number, side), scale)
    canvas = lit(canvas, 9 * noise((high, wide), 11, rng))
    return develop(canvas, rng, blur=2.2, grain=5, exposure=rng.uniform(0.8, 1.15))


def _draw_cavity(
    canvas: np.ndarray, centre: np.ndarray, code: str, rng: np.random.Generator, scale: float
) -> None:
    """Air (0), air with a thick lining (1), a level of fluid below air (2), or all hazy (3)."""
    axes = rng.uniform((58, 70), (68, 84)) * scale
    fluid = rng.uniform(112, 138)
    oval(canvas, centre, axes, fluid if code in ("1", "3") else AIR)
    if code == "1":
        oval(canvas, centre, axes - rng.uniform(14, 24) * scale, AIR)
    if code == "2":
        level = np.arcsin(rng.uniform(-0.15, 0.35))
        angle = np.linspace(level, np.pi - level, 40)
        below = np.stack([np.cos(angle), np.sin(angle)], 1)
        polygon(canvas, centre + axes * below, fluid)
    oval(canvas, centre, axes, BONE - 25, thick=max(2, int(4 * scale)))
