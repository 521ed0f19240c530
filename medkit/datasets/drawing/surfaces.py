"""What drawn pictures are made of: noise, shapes, layers, light on a surface, and a camera."""

from __future__ import annotations

from typing import Any, Sequence

import cv2
import numpy as np

FLASH = np.asarray([-0.25, -0.45, 0.86], np.float32)  # towards the light: left, above, in front


def noise(shape: tuple[int, int], cells: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise about 0 with some `cells` bumps along the shorter side: (H, W) float32."""
    pitch = max(2.0, min(shape) / cells)
    grid = (int(shape[0] / pitch) + 3, int(shape[1] / pitch) + 3)
    small = rng.standard_normal(grid).astype(np.float32)
    return cv2.resize(small, None, fx=pitch, fy=pitch, interpolation=cv2.INTER_CUBIC)[
        : shape[0], : shape[1]
    ]


def step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; the other way round when low > high."""
    t = np.clip((value - low) * (1.0 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def mix(canvas: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Lay a colour or a picture over the canvas, in place, as far as `alpha` says."""
    canvas += alpha[..., None].astype(np.float32) * (np.asarray(colour, np.float32) - canvas)


def backdrop(shape: tuple[int, int], colour: Any, blotches: np.ndarray) -> np.ndarray:
    """A sheet to draw on, of one colour but for the light `blotches`, (H, W): (H, W, 3) uint8.

    Bytes, since OpenCV smooths the edges of shapes on nothing else.
    """
    return lit(np.full((*shape, 3), np.clip(colour, 0, 255), np.uint8), blotches)


def oval(
    canvas: np.ndarray,
    middle: Sequence[float],
    axes: Sequence[float],
    colour: Any,
    *,
    turn: float = 0.0,
    arc: tuple[float, float] = (0, 360),
    thick: int = -1,
) -> None:
    """An ellipse about `middle` with half axes `axes`, filled or as a line `thick` pixels wide.

    Args:
        turn, arc: degrees.
    """
    x, y, a, b = (int(16 * value + 0.5) for value in (*middle, *axes))
    shade = np.ravel(colour).tolist()
    cv2.ellipse(canvas, (x, y), (a, b), turn, *arc, shade, thick, cv2.LINE_AA, 4)


def polygon(canvas: np.ndarray, points: Any, colour: Any) -> None:
    """A filled polygon; `points` are (N, 2) in pixels and parts of them."""
    at = np.rint(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [at], np.ravel(colour).tolist(), cv2.LINE_AA, 4)


def lit(canvas: np.ndarray, light: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """The canvas times a factor, lighter by `light`, (H, W), as bytes.

    In OpenCV, since NumPy takes ten times as long.
    """
    light = np.asarray(light, np.float32)
    light = cv2.merge([light] * 3) if canvas.ndim == 3 else light
    return cv2.addWeighted(canvas, factor, light, 1, 0, dtype=cv2.CV_8U)


def develop(
    canvas: np.ndarray,
    rng: np.random.Generator,
    *,
    blur: float,
    grain: float,
    exposure: float = 1.0,
) -> np.ndarray:
    """What a camera makes of (H, W) or (H, W, 3): out of focus by `blur` pixels, and with grain.

    Args:
        exposure: factor from the canvas to bytes.

    Returns:
        (H, W, 3) uint8.
    """
    grains = rng.standard_normal(canvas.shape[:2], np.float32) * np.float32(grain)
    picture = lit(cv2.GaussianBlur(canvas, (0, 0), blur), grains, exposure)
    return picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)


def fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture at a width and height, the same where it has them."""
    if picture.shape[1::-1] == tuple(size):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def relief(height: np.ndarray, shine: float) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse light (1 where it is flat) and gloss (0 to 1) on a surface.

    Args:
        height: (H, W), in pixels.
        shine: exponent of the gloss; more is smaller and wetter.
    """
    height = height.astype(np.float32)
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    length = np.sqrt(dx * dx + dy * dy + 1)
    half = FLASH + np.asarray([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    diffuse = (FLASH[2] - dx * FLASH[0] - dy * FLASH[1]) / (length * FLASH[2])
    gloss = np.clip((half[2] - dx * half[0] - dy * half[1]) / length, 0, 1) ** np.float32(shine)
    return diffuse, gloss
