"""Where the teeth of an invented mouth stand, in five views; `painting` turns them into pixels.

Lengths are millimetres of an average adult, y points down, and a tooth is known by its FDI number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medkit.seeding import generator

VIEWS = ("front", "left", "right", "upper", "lower")
# Width, crown height and depth (lip to tongue) of teeth 1 to 7, counted from the midline.
# Source: Wheeler's Dental Anatomy, chapter 1, measurements of the teeth, rounded.
UPPER = (
    (8.5, 10.5, 7),
    (6.5, 9, 6),
    (7.5, 10, 8),
    (7, 8.5, 9),
    (7, 8.5, 9),
    (10, 7.5, 11),
    (9, 7, 11),
)
LOWER = (
    (5, 9, 6),
    (5.5, 9.5, 6.5),
    (7, 11, 7.5),
    (7, 8.5, 7.5),
    (7, 8, 8),
    (11, 7.5, 10),
    (10, 7, 10),
)
KINDS = ("incisor", "incisor", "canine", "premolar", "premolar", "molar", "molar")
RISK = 0.7  # share of mouths that may have decay; the others have none


@dataclass(frozen=True)
class Mouth:
    """What all photos of one mouth share."""

    number: int
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
    centre: tuple[float, float]
    axis: tuple[float, float]  # unit vector from neck to edge; seen from above, outwards
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


def make_mouth(number: int, *, seed: int, decayed_share: float) -> Mouth:
    """The mouth that a number stands for.

    Args:
        decayed_share: chance of a tooth to be decayed, over all mouths.
    """
    rng = generator("drawn mouth", seed, number)
    pick = rng.random(3)
    shape = rng.normal((1.0, 1.0, 0.0), (0.045, 0.05, 0.035), (4, 7, 3))
    stained = float(rng.choice([0.08, 0.25, 0.6], p=[0.4, 0.4, 0.2]))
    # A golden-ratio sequence spreads the mouths at risk evenly, so that few photos hold both kinds.
    risk = max(RISK, decayed_share)
    start = generator("drawn risk", seed).random()
    chance = decayed_share / risk if (number * 0.6180339887 + start) % 1 < risk else 0.0
    decayed = np.argwhere(rng.random((4, 7)) < chance)
    return Mouth(
        number=number,
        gum=_between((0.86, 0.53, 0.50), (0.62, 0.34, 0.34), pick[0] ** 1.5),
        lip=_between((0.84, 0.52, 0.48), (0.50, 0.29, 0.26), pick[1]),
        enamel=_between((0.98, 0.95, 0.88), (0.90, 0.79, 0.60), pick[2]),
        stained=stained,
        shape=shape,
        decayed=frozenset(10 * (int(q) + 1) + int(n) + 1 for q, n in decayed),
    )


def place_teeth(mouth: Mouth, view: str, rng: np.random.Generator) -> list[Tooth]:
    """The teeth of a view in the order of painting: 16 labelled ones in front, else 10 to 12."""
    if view in ("upper", "lower"):
        return _from_above(mouth, view, rng)
    return _from_outside(mouth, view, rng)


def _from_outside(mouth: Mouth, view: str, rng: np.random.Generator) -> list[Tooth]:
    """Both jaws, on an arch that is turned towards the camera for the left and right views.

    `n` counts teeth from the midline, below 0 on the side that lies left in an unturned picture
    (the patient's right). The right view is the left one mirrored.
    """
    flip = -1 if view == "right" else 1
    turn = 0.0 if view == "front" else rng.uniform(0.75, 0.95)
    radius, curve, tilt = rng.uniform(29, 33), rng.uniform(-1, 4), rng.normal(0, 0.03)
    opening = rng.uniform(-1.2, 3.5)
    reach = range(-5, 6) if view == "front" else range(-1, 8)
    teeth = []
    for table, sign in ((LOWER, -1), (UPPER, 1)):  # the upper teeth overlap the lower ones
        labelled = range(-4, 5) if view == "front" else range(1, 7 - int(rng.random() < 0.3))
        arch = radius if sign > 0 else radius * 0.94
        for n in sorted((n for n in reach if n), key=abs, reverse=True):
            quadrant = {(1, 1): 2, (1, -1): 1, (-1, 1): 3, (-1, -1): 4}[sign, flip * _sign(n)]
            number = 10 * quadrant + abs(n)
            wide, tall, _ = table[abs(n) - 1]
            wider, taller, tip = mouth.shape[quadrant - 1, abs(n) - 1]
            angle = _sign(n) * (sum(t[0] for t in table[: abs(n) - 1]) + wide / 2) / arch - turn
            near = 1 - 0.18 * (1 - math.cos(angle))  # what is further away looks smaller
            length = tall * taller * near
            lean = tip + 0.1 * math.sin(angle) * flip * sign
            axis = (math.sin(lean), sign * math.cos(lean))
            x = flip * arch * math.sin(angle)
            edge = tilt * x - curve * (1 - math.cos(angle)) + (1.6 if sign > 0 else opening)
            edge -= 0.6 * sign * (abs(n) == 2)
            teeth.append(
                Tooth(
                    number=number,
                    centre=(x - axis[0] * length / 2, edge - axis[1] * length / 2),
                    axis=axis,
                    width=wide * wider * near * max(0.35, math.cos(angle)) * 1.07,
                    length=length,
                    from_above=False,
                    labelled=n in labelled,
                    decayed=n in labelled and number in mouth.decayed,
                )
            )
    return teeth


def _from_above(mouth: Mouth, view: str, rng: np.random.Generator) -> list[Tooth]:
    """One jaw on an ellipse, incisors up for the upper jaw and down for the lower one."""
    table, quadrants, up = (UPPER, (1, 2), -1) if view == "upper" else (LOWER, (4, 3), 1)
    across, deep = rng.uniform(22.5, 26), rng.uniform(34, 39)
    angles = np.linspace(0, math.pi / 2 + 0.5, 400)
    steps = np.hypot(np.diff(across * np.sin(angles)), np.diff(deep * np.cos(angles)))
    lengths = np.concatenate([[0], np.cumsum(steps)])
    teeth = []
    for side, quadrant in zip((-1, 1), quadrants):
        last = 6 - int(rng.random() < 0.3)
        along = 0.0
        for n, (wide, _, thick) in enumerate(table, 1):
            wider, taller, tip = mouth.shape[quadrant - 1, n - 1]
            angle = float(np.interp(along + wide * wider / 2, lengths, angles))
            along += wide * wider
            outward = math.atan2(math.sin(angle) / across, math.cos(angle) / deep) + tip
            number = 10 * quadrant + n
            teeth.append(
                Tooth(
                    number=number,
                    centre=(side * across * math.sin(angle), up * deep * (math.cos(angle) - 0.56)),
                    axis=(side * math.sin(outward), up * math.cos(outward)),
                    width=wide * wider * 1.06,
                    length=thick * taller * (0.62 if n < 3 else 0.9 if n == 3 else 1.0),
                    from_above=True,
                    labelled=n <= last,
                    decayed=n <= last and number in mouth.decayed,
                )
            )
    return teeth


def rim(tooth: Tooth) -> np.ndarray:
    """(48, 2): the crown's outline in millimetres of the view."""
    local = _crown_from_above(tooth.kind) if tooth.from_above else _crown(tooth.kind)
    along = np.asarray(tooth.axis)
    across = np.asarray([along[1], -along[0]])
    offset = local[:, :1] * tooth.width * across + (local[:, 1:] - 0.5) * tooth.length * along
    return np.asarray(tooth.centre) + offset


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


def _sign(n: int) -> int:
    return 1 if n > 0 else -1


def _between(light: tuple[float, ...], dark: tuple[float, ...], share: float) -> np.ndarray:
    return np.asarray(light) * (1 - share) + np.asarray(dark) * share
