"""Noise, light and layers on arrays of float32, for drawn pictures."""

from __future__ import annotations

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


def moist(
    colour: np.ndarray, shape: tuple[int, int], cells: float, rng: np.random.Generator
) -> np.ndarray:
    """Mucosa: blotches of colour, bumps and small glints: (H, W, 3) float32."""
    bumps = noise(shape, cells, rng) + 0.2 * noise(shape, cells * 4, rng)
    diffuse, gloss = relief(bumps * (min(shape) / cells * 0.10), 120)
    surface = np.asarray(colour, np.float32) * (0.75 + 0.25 * diffuse[..., None])
    surface[..., 1:] *= 1 - 0.05 * noise(shape, 5, rng)[..., None]
    return surface + (0.3 * gloss * step(noise(shape, 4, rng), 0.2, 1.2))[..., None]
