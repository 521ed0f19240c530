"""Where the teeth of an invented mouth stand, in five views; `painting` turns them into pixels.

Lengths are millimetres of an average adult, y points down, and a tooth is known by its FDI number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medkit.seeding import generator

VIEWS = ("front", "left", "right", "upper", "lower")
JAWS = {"upper": {-1: 1, 1: 2}, "lower": {-1: 4, 1: 3}}  # quadrants; -1: the patient's right
# Width, crown height and depth (lip to tongue) of teeth 1 to 7, counted from the midline.
# Source: Wheeler's Dental Anatomy, chapter 1, measurements of the teeth, rounded.
UPPER = [(8.5, 10.5, 7), (6.5, 9, 6), (7.5, 10, 8), (7, 8.5, 9), (7, 8.5, 9), (10, 7.5, 11)]
UPPER += [(9, 7, 11)]
LOWER = [(5, 9, 6), (5.5, 9.5, 6.5), (7, 11, 7.5), (7, 8.5, 7.5), (7, 8, 8), (11, 7.5, 10)]
LOWER += [(10, 7, 10)]
KINDS = ("incisor", "incisor", "canine", "premolar", "premolar", "molar", "molar")
RISK = 0.7  # share of mouths that may have decay; the others have none
# Gum, lip and enamel, RGB from 0 to 1: the lightest mouth and the darkest.
LIGHT = np.asarray([(0.86, 0.53, 0.50), (0.84, 0.52, 0.48), (0.98, 0.95, 0.88)])
DARK = np.asarray([(0.62, 0.34, 0.34), (0.50, 0.29, 0.26), (0.90, 0.79, 0.60)])


@dataclass(frozen=True)
class Mouth:
    """What all photos of one mouth share."""

    gum: np.ndarray  # RGB, 0 to 1
    lip: np.ndarray
    enamel: np.ndarray
    stained: float  # chance of a tooth to be stained
    shape: np.ndarray  # (4 quadrants, 7 teeth, 3): factor on width, on length, tilt in radians
    decayed: frozenset[int]  # FDI numbers


@dataclass(frozen=True)
class Tooth:
    """A crown as one view shows it."""

    number: int  # FDI
    centre: np.ndarray  # x, y
    axis: np.ndarray  # unit vector from neck to edge; seen from above, outwards
    width: float
    length: float  # along the axis
    from_above: bool
    labelled: bool  # else it only fills the dark corner of the mouth, and is sound
    decayed: bool

    @property
    def kind(self) -> str:
        return KINDS[self.number % 10 - 1]

    @property
    def upper(self) -> bool:
        return self.number < 30


class Arch(NamedTuple):
    """A quadrant's teeth as they stand in the mouth, from the midline; each is an array of 7."""

    x: np.ndarray  # from the midline, below 0 on the patient's right
    z: np.ndarray  # towards the lips
    facing: np.ndarray  # radians from straight ahead
    widths: np.ndarray
    heights: np.ndarray
    depths: np.ndarray
    tips: np.ndarray  # how far each leans, in radians


def make_mouth(number: int, *, seed: int, decayed_share: float) -> Mouth:
    """The mouth that a number stands for.

    Args:
        decayed_share: chance of a tooth to be decayed, over all mouths.
    """
    rng = generator("drawn mouth", seed, number)
    darkness = rng.random((3, 1)) ** [[1.5], [1], [1]]
    gum, lip, enamel = LIGHT + (DARK - LIGHT) * darkness
    shape = rng.normal((1.0, 1.0, 0.0), (0.045, 0.05, 0.035), (4, 7, 3))
    stained = float(rng.choice([0.08, 0.25, 0.6], p=[0.4, 0.4, 0.2]))
    # A golden-ratio sequence spreads the mouths at risk evenly, so that few photos hold both kinds.
    risk = max(RISK, decayed_share)
    start = generator("drawn risk", seed).random()
    chance = decayed_share / risk if (number * 0.6180339887 + start) % 1 < risk else 0.0
    places = np.argwhere(rng.random((4, 7)) < chance) + 1
    decayed = frozenset(10 * quadrant + n for quadrant, n in places.tolist())
    return Mouth(gum, lip, enamel, stained, shape, decayed)


def place_teeth(mouth: Mouth, view: str, rng: np.random.Generator) -> list[Tooth]:
    """The teeth of a view in the order of painting: 16 labelled ones in front, else 10 to 12."""
    from_above, turned = view in JAWS, {"left": 1, "right": -1}.get(view, 0)
    turn = turned * rng.uniform(0.75, 0.95) if turned else 0.0
    across, deep = rng.uniform(25.5, 28.5), 34.0
    if from_above:
        deep = rng.uniform(32, 36)
    else:
        bite = rng.uniform(-1, 4), rng.normal(0, 0.03), rng.uniform(-1.2, 3.5)
    teeth = []
    for jaw in (view,) if from_above else ("lower", "upper"):  # the upper teeth overlap
        row = []
        for side, quadrant in JAWS[jaw].items():
            shown, labelled = 7, 6
            if view == "front":
                shown, labelled = 5, 4
            elif side == -turned:
                shown, labelled = 2, 0
            elif rng.random() < 0.3:
                labelled = 5
            arch = _arch(mouth, quadrant, side, across, deep)
            crowns = _from_above(arch, jaw) if from_above else _from_outside(arch, jaw, turn, *bite)
            for n, crown in zip(range(1, shown + 1), zip(*crowns)):
                known, number = n <= labelled, 10 * quadrant + n
                decayed = known and number in mouth.decayed
                row.append(Tooth(number, *crown, from_above, known, decayed))
        teeth += sorted(row, key=lambda tooth: -(tooth.number % 10))  # what is in front, last
    return teeth


def _arch(mouth: Mouth, quadrant: int, side: int, across: float, deep: float) -> Arch:
    """Seven teeth side by side on an ellipse of half axes `across` and `deep`."""
    wider, taller, tips = mouth.shape[quadrant - 1].T
    widths, heights, depths = np.asarray(UPPER if quadrant < 3 else LOWER).T
    widths, heights, depths = widths * wider, heights * taller, depths * taller
    angles = np.linspace(0, math.pi / 2 + 0.5, 400)
    steps = np.hypot(np.diff(across * np.sin(angles)), np.diff(deep * np.cos(angles)))
    angle = np.interp(np.cumsum(widths) - widths / 2, np.append(0, np.cumsum(steps)), angles)
    facing = np.arctan2(np.sin(angle) / across, np.cos(angle) / deep)
    x, z = side * across * np.sin(angle), deep * np.cos(angle)
    return Arch(x, z, side * facing, widths, heights, depths, tips)


def _from_outside(
    arch: Arch, jaw: str, turn: float, curve: float, tilt: float, opening: float
) -> tuple[np.ndarray, ...]:
    """Centres, axes, widths and lengths; `turn` brings the patient's left to the front."""
    sign, gap = (1, 1.6) if jaw == "upper" else (-1, opening)
    facing = arch.facing - turn
    near = 1 - 0.18 * (1 - np.cos(facing))  # what is further away looks smaller
    lengths = arch.heights * near
    lean = arch.tips + 0.1 * np.sin(facing) * sign
    axes = np.stack([np.sin(lean), sign * np.cos(lean)], 1)
    x = arch.x * math.cos(turn) - arch.z * math.sin(turn)
    edge = gap + tilt * x - curve * (1 - np.cos(facing)) - 0.6 * sign * (np.arange(7) == 1)
    centres = np.stack([x, edge], 1) - axes * lengths[:, None] / 2
    return centres, axes, arch.widths * near * np.clip(np.cos(facing), 0.35, 1) * 1.07, lengths


def _from_above(arch: Arch, jaw: str) -> tuple[np.ndarray, ...]:
    """Centres, axes, widths and lengths; the incisors of the upper jaw are up."""
    up, outwards = -1 if jaw == "upper" else 1, arch.facing + arch.tips
    axes = np.stack([np.sin(outwards), up * np.cos(outwards)], 1)
    lengths = arch.depths * (0.62, 0.62, 0.9, 1, 1, 1, 1)
    return np.stack([arch.x, up * (arch.z - 19)], 1), axes, arch.widths * 1.06, lengths


def rim(tooth: Tooth) -> np.ndarray:
    """(48, 2): the crown's outline in millimetres of the view."""
    local = _crown_from_above(tooth.kind) if tooth.from_above else _crown(tooth.kind)
    across = tooth.axis[::-1] * (1, -1)
    offset = local[:, :1] * tooth.width * across
    return tooth.centre + offset + (local[:, 1:] - 0.5) * tooth.length * tooth.axis


def _crown(kind: str) -> np.ndarray:
    """x across from -0.5 to 0.5, y from the neck (0) to the edge (1)."""
    y = 0.5 - np.cos(np.linspace(0, math.pi, 25)) / 2  # dense at both ends
    round_edge = {"incisor": 0.10, "canine": 0.42, "premolar": 0.30, "molar": 0.16}[kind]
    neck = np.sqrt(1 - np.clip(1 - y / 0.34, 0, 1) ** 2.2)
    edge = np.sqrt(1 - np.clip(1 - (1 - y) / round_edge, 0, 1) ** 2.4)
    half = neck * edge * (0.80 + 0.20 * np.clip(y / 0.75, 0, 1)) / 2
    x, y = np.concatenate([half, -half[-2:0:-1]]), np.concatenate([y, y[-2:0:-1]])
    if kind == "molar":  # two cusps
        y = y - 0.07 * np.exp(-((x / 0.14) ** 2)) * (y > 0.5)
    return np.stack([x, y], 1)


def _crown_from_above(kind: str) -> np.ndarray:
    """A superellipse, a little wider outside: the frame is that of `_crown`."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    power = {"incisor": 2.1, "canine": 2.0, "premolar": 2.5, "molar": 3.4}[kind]
    x, y = (np.sign(f) * np.abs(f) ** (2 / power) for f in (np.cos(angle), np.sin(angle)))
    x = x * (1 + y * (0.14 if kind in ("incisor", "canine") else 0.06))
    return np.stack([x / 2, 0.5 + y / 2], 1)
