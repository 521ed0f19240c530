"""The surface of a drawn tooth: enamel, decay, and what looks like decay and is none.

Decay is a dark ragged pit with a brown rim, a blotchy brown lesion, or a chalky ring. Its doubles
have the same colours and other shapes: smooth stains, thin grooves, soft shadows, fillings with a
clean edge. So the colours of a crop alone do not tell them apart.

`u` and `v`, (H, W), are each pixel's place on a crown: -0.5 to 0.5 across, and from 0 (neck, or
inside seen from above) to 1 (edge, or outside). Layers are RGB from 0 to 1, drawn on in place.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from medkit.datasets.drawing.mouths import Mouth, Tooth
from medkit.datasets.drawing.surfaces import mix, noise, relief, step

STAIN = np.asarray([0.50, 0.33, 0.16])
GROOVE = np.asarray([0.34, 0.22, 0.12])
METAL, RESIN = np.asarray([0.42, 0.43, 0.45]), np.asarray([0.90, 0.85, 0.75])
LESION, PIT = np.asarray([0.46, 0.27, 0.10]), np.asarray([0.13, 0.07, 0.04])
CHALK, LIT = np.asarray([0.99, 0.98, 0.95]), np.asarray([0.98, 0.93, 0.82])


def enamel(
    mouth: Mouth,
    tooth: Tooth,
    shape: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """A crown's colours with light and all marks, (H, W, 3) float32.

    Args:
        shape: (H, W) uint8, 255 inside the crown.
    """
    half = max(2.0, math.sqrt(np.count_nonzero(shape)) / 2)  # pixels
    inner = cv2.distanceTransform((shape > 127).astype(np.uint8), cv2.DIST_L2, 3) / half
    dome = np.sqrt(1 - (1 - np.clip(inner * 1.15, 0, 1)) ** 2)
    height = cv2.GaussianBlur(dome, (0, 0), max(0.8, half * 0.13)) * 0.45
    grain = noise(u.shape, 7, rng)
    colour = _base(mouth, tooth, v, inner, grain, rng)
    if rng.random() < mouth.stained:
        _stain(colour, tooth, u, v, inner, rng)
    chewing = tooth.from_above and tooth.kind in ("molar", "premolar")
    if chewing:
        height -= 0.17 * _grooves(colour, tooth.kind, u, v, rng)
    elif tooth.from_above:  # the cup of a front tooth
        height -= 0.30 * np.exp(-((u / 0.26) ** 2) - ((v - 0.35) / 0.24) ** 2)
    if rng.random() < 0.15:  # shadow of a neighbour or a lip
        side = u if rng.random() < 0.5 else -u
        colour *= 1 - rng.uniform(0.3, 0.6) * step(side, 0.1, 0.5)[..., None]
    if rng.random() < (0.22 if tooth.kind == "molar" else 0.08):
        _filling(colour, METAL if chewing and rng.random() < 0.6 else RESIN, u, v, rng)
    rough = _decay(colour, tooth, u, v, rng) if tooth.decayed else 0.0
    diffuse, gloss = relief(height * half, 60)
    light = (0.42 + 0.58 * diffuse) * (0.80 + 0.20 * step(inner, 0.0, 0.35))
    light *= (1 + 0.012 * grain) * (1.0 if tooth.labelled else 0.75)
    if not tooth.from_above:  # the flash, mirrored in a wet surface
        x, y = rng.uniform(-0.2, 0.05), rng.uniform(0.3, 0.5)
        glint = np.exp(-(((u - x) / 0.07) ** 2) - ((v - y) / 0.13) ** 2) * (1 + grain)
        gloss = gloss + 0.5 * glint.clip(0, 1.5)
    gloss = gloss * (0.22 + 0.12 * grain.clip(-1, 1)) * (1 - 0.8 * rough)
    return colour * light[..., None] + gloss[..., None]


def _base(mouth: Mouth, tooth: Tooth, v, inner, grain, rng) -> np.ndarray:
    """Enamel: warmer where it is thin over the dentine, clearer at the edge of front teeth."""
    warm = 0.35 * step(inner, 0.0, 0.5) if tooth.from_above else step(v, 0.55, 0.0)
    colour = 1 - warm[..., None] * np.asarray([0.05, 0.11, 0.24], np.float32)
    colour *= (mouth.enamel * (1.06 + rng.normal(0, 0.015))).astype(np.float32)
    if not tooth.from_above and tooth.kind in ("incisor", "canine"):
        clear = 0.35 * step(v + 0.04 * grain, 0.80, 0.97)
        mix(colour, np.asarray([0.70, 0.72, 0.74]) * mouth.enamel.mean(), clear)
    return colour


def _stain(colour, tooth: Tooth, u, v, inner, rng) -> None:
    """A smooth brown band along the gum."""
    edge = v + 0.08 * np.cos(u * 6)
    place = step(inner, 0.5, 0.0) if tooth.from_above else step(edge, rng.uniform(0.3, 0.5), 0)
    mix(colour, STAIN * rng.uniform(0.7, 1.3), place * rng.uniform(0.25, 0.7))


def _grooves(colour, kind: str, u, v, rng) -> np.ndarray:
    """Thin lines between the cusps, sometimes brown; returns how deep the valley is."""
    wave = v - 0.5 - 0.04 * np.sin(u * rng.uniform(6, 12) + rng.uniform(0, 6))
    away = [np.hypot(wave, np.maximum(np.abs(u) - 0.3, 0))]
    if kind == "molar":
        wave = u - 0.03 * np.sin(v * rng.uniform(6, 12))
        away.append(np.hypot(wave, np.maximum(np.abs(v - 0.5) - 0.3, 0)))
    depth = rng.choice([0.25, 0.5, 0.85], p=[0.5, 0.3, 0.2])
    mix(colour, GROOVE, depth * np.exp(-((np.min(away, 0) / 0.028) ** 2)))
    return sum(np.exp(-((line / 0.09) ** 2)) for line in away)


def _filling(colour, material: np.ndarray, u, v, rng) -> None:
    """An even patch with a clean edge: grey metal, or resin of nearly the tooth's colour."""
    angle = np.arctan2(v - 0.5, u) + rng.uniform(0, 6)
    away = np.hypot(u, v - 0.5) * (1 + 0.05 * np.cos(rng.integers(5, 8) * angle))
    mix(colour, material * rng.uniform(0.92, 1.08), 0.9 * step(away, 0.25, 0.22))


def _decay(colour, tooth: Tooth, u, v, rng) -> np.ndarray:
    """Decay of a random kind, place, size and contrast; returns where the surface is rough."""
    size = float(np.clip(np.exp(rng.normal(-1.75, 0.3)), 0.09, 0.34))
    contrast = rng.uniform(0.6, 1.0)
    kind = rng.choice(["pit", "lesion", "chalk"], p=[0.55, 0.30, 0.15])
    if tooth.from_above:
        x, y = rng.uniform(-0.28, 0.28), rng.uniform(0.3, 0.7)
    else:
        x, y = rng.uniform(-0.38, 0.38), rng.uniform(0.15, 0.65)
    stretch = np.exp(rng.normal(0, 0.25))
    away = np.hypot((u - x) * stretch, (v - y) * tooth.length / tooth.width / stretch) / size
    away = away * (1 + 0.28 * noise(u.shape, 9, rng))
    blotch = noise(u.shape, 12, rng)
    if kind == "chalk":
        mix(colour, CHALK, 0.9 * contrast * step(away, 1.5, 1.0))
        away = away * 1.25
    brown = step(away + 0.15 * blotch, 1.35, 0.75)
    mix(colour, LESION, brown * contrast * (0.75 + 0.2 * blotch.clip(-1, 1)))
    if kind == "pit":
        core = step(away + 0.12 * blotch, 0.85, 0.55)
        mix(colour, PIT, core * contrast)
        lit = np.roll(core, (-2, -1), (0, 1)) * (1 - core)  # the far wall of the hole
        mix(colour, LIT, lit * 0.5)
    return brown
