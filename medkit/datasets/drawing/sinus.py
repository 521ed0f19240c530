"""Drawn Waters' views: a skull from below, with a dark cavity on either side of the nose."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from medkit import files
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
    for split, count, first in (("train", n_train, 0), ("test", n_test, 5_000_000)):
        for number in track(range(first + 1, first + count + 1), f"drawing {split}"):
            codes = [draw_code(seed, number, side) for side in ("left", "right")]
            picture = draw_head(seed, number, *codes, size)
            _, payload = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
            left, right = codes
            files.write_whole(
                Path(folder) / split / f"{number:08}_{left}_{right}.jpg", payload.tobytes()
            )


def draw_code(seed: int, number: int, side: str) -> str:
    """The class of one side as it stands in the file's name."""
    rng = generator("drawn sinus", seed, number, side)
    return "x" if rng.random() < WITHOUT else str(rng.choice(len(SHARES), p=SHARES))


def draw_head(seed: int, number: int, left: str, right: str, size: int) -> np.ndarray:
    """One picture, (H, W, 3) uint8: the patient's left is the right half."""
    rng = generator("drawn skull", seed, number)
    high, wide = size, int(size * rng.uniform(0.78, 0.95))
    canvas = np.full((high, wide), 18.0, np.float32)
    middle, x = (wide // 2, int(0.56 * high)), wide / 600
    skull = (int(0.42 * wide), int(0.44 * high))
    cv2.ellipse(canvas, (middle[0], int(0.5 * high)), skull, 0, 0, 360, TISSUE, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (middle[0], int(0.5 * high)), skull, 0, 0, 360, BONE, 9, cv2.LINE_AA)
    for sign in (-1, 1):
        eye = (middle[0] + sign * int(0.19 * wide), int(0.36 * high))
        cv2.ellipse(canvas, eye, (int(0.1 * wide), int(0.075 * high)), 0, 0, 360, 70.0, -1)
        cv2.ellipse(canvas, eye, (int(0.1 * wide), int(0.075 * high)), 0, 0, 360, BONE, 5)
    nose = np.array([[0, -0.13], [0.055, 0.12], [-0.055, 0.12]]) * (wide, high) + middle
    cv2.fillPoly(canvas, [nose.astype(np.int32)], 62.0, cv2.LINE_AA)
    for sign, code, side in ((1, left, "left"), (-1, right, "right")):
        centre = (middle[0] + sign * int((0.18 + rng.normal(0, 0.008)) * wide), middle[1])
        code = "0" if code == "x" else code
        _draw_cavity(canvas, centre, code, generator("drawn cavity", seed, number, side), x)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 2.2)
    coarse = rng.normal(0, 9, (12, 12)).astype(np.float32)
    canvas += cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)
    canvas = canvas * rng.uniform(0.8, 1.15) + rng.normal(0, 5, (high, wide))
    grey = np.clip(canvas, 0, 255).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def _draw_cavity(
    canvas: np.ndarray, centre: tuple[int, int], code: str, rng: np.random.Generator, x: float
) -> None:
    """Air (0), air with a thick lining (1), a level of fluid below air (2), or all hazy (3)."""
    axes = (int(rng.uniform(58, 68) * x), int(rng.uniform(70, 84) * x))
    mask = np.zeros(canvas.shape, np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    fluid = rng.uniform(112, 138)
    canvas[mask > 0] = fluid if code == "3" else AIR
    if code == "1":
        inner = np.zeros_like(mask)
        lining = int(rng.uniform(14, 24) * x)
        cv2.ellipse(inner, centre, (axes[0] - lining, axes[1] - lining), 0, 0, 360, 1, -1)
        canvas[(mask > 0) & (inner == 0)] = fluid
    if code == "2":
        level = centre[1] + int(rng.uniform(-0.15, 0.35) * axes[1])
        below = np.arange(canvas.shape[0])[:, None] > level
        canvas[(mask > 0) & below] = fluid
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, BONE - 25, max(2, int(4 * x)), cv2.LINE_AA)
