"""The bones of invented hands: where they lie, and their outlines.

Lengths are millimetres of an average adult's right hand, seen from behind with its fingers up: x
points to the little finger, y down, and (0, 0) is the middle of the wrist.
"""

from __future__ import annotations

import numpy as np

BONES = tuple(f"finger-{k}" for k in range(1, 20))  # by finger from the thumb on, the tip first
BONES += ("Trapezium", "Trapezoid", "Capitate", "Hamate", "Scaphoid", "Lunate", "Triquetrum")
BONES += ("Pisiform", "Radius", "Ulna")
FOREARM = BONES[-2:]
FINGERS = (BONES[0:3], BONES[3:7], BONES[7:11], BONES[11:15], BONES[15:19])
# Lengths of each finger's bones, the tip first. Source: Buryanov and Kotiuk, Proportions of Hand
# Segments, Int. J. Morphol. 28 (2010), means.
LENGTHS = ((21.7, 31.6, 46.2), (15.8, 22.4, 39.8, 68.1), (17.4, 26.3, 44.6, 64.6))
LENGTHS += ((17.3, 25.7, 41.4, 58.0), (16.0, 18.1, 32.7, 53.7))
BASES = ((-20.5, -15.5), (-10.0, -20.5), (-0.5, -21.5), (7.5, -19.5), (14.0, -16.5))  # of each palm
ANGLES = (-43.0, -10.0, -2.0, 7.0, 17.0)  # degrees from straight up
THICK = (1.12, 1.0, 1.03, 0.94, 0.84)  # of each finger's bones
# Widths in mm at the lower end, in the middle and at the upper end of the bones, the tip first.
WIDTHS = ((9.4, 4.4, 7.4), (11.8, 6.6, 9.6), (14.2, 8.6, 11.4), (14.6, 8.4, 14.8))
GAP = 0.5  # of cartilage between two bones of a finger
CORNERS = {  # of the wrist's bones and of the two behind it; rounded off later
    "Trapezium": "-25,-14 -19,-22 -11,-18 -10,-10 -13,-4 -21,-6",
    "Trapezoid": "-15,-19 -8,-23.5 -3,-19.5 -4,-10 -12,-8",
    "Capitate": "-6,-21 3,-22 6.5,-14 6,-4 2,1.5 -4,1 -6.5,-6 -7,-13",
    "Hamate": "3,-21.5 12,-21 19,-16 16,-6 8.5,1 3.5,-4",
    "Scaphoid": "-20,-7.5 -13,-10.5 -7.5,-3 -3.5,3 -4.5,10.5 -12,12 -18,7 -20,0",
    "Lunate": "-7,5 -3,1 2,2 6,-0.5 8.5,5 7,11 1,13 -5,12",
    "Triquetrum": "6,1 12,-5 18,-5.5 19.5,1 15,7.5 8,8.5",
    "Pisiform": "11,-1 15,-4 19.5,0 19,6 14,7.5 10.5,4",
    "Radius": "-22.5,4 -18.5,7 -13,11.5 -5,13.5 5,14 9.5,16 8.5,26 5,40 3,70 3,220 -10.5,220 "
    "-10.5,70 -12.5,42 -18,27 -22,15",
    "Ulna": "11,16 18,16 22,12 25,10 25.5,18 23.5,26 21,40 20.5,220 10,220 10.5,40 10,26",
}
ROUNDS = 3  # of cutting corners: each doubles the points


def make_hand(person: np.random.Generator, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The outlines of a straight right hand, (N, 2) each, in the order of BONES.

    Args:
        person: how long and thick the bones are: the same for both hands.
        rng: how the hand is held.
    """
    long, thick = person.normal(1, 0.03, len(FINGERS)), person.normal(1, 0.06)
    spread = rng.uniform(0.9, 1.8)
    found = {}
    for finger, names in enumerate(FINGERS):
        at = np.asarray(BASES[finger]) + person.normal(0, 0.5, 2)
        angle = ANGLES[finger] * (1 if finger == 0 else spread) + rng.normal(0, 1.5)
        kinds = [0, *range(4 - len(names) + 1, 4)]  # a thumb has no middle phalanx
        for name, kind, length in reversed([*zip(names, kinds, LENGTHS[finger])]):
            way = np.asarray((np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))))
            end = at + way * length * long[finger] * person.normal(1, 0.02)
            widths = np.asarray(WIDTHS[kind]) * THICK[finger] * thick
            found[name] = long_bone(at, end, widths, is_tip=kind == 0)
            at = end + way * GAP
            angle += rng.normal(0, 1.5) + (12 if finger == 0 and kind == 3 else 0)
    for name in CORNERS:
        corners = np.asarray([point.split(",") for point in CORNERS[name].split()], float)
        near = corners[:, 1:] < 45  # what lies far down the forearm is straight
        moved = corners + near * person.normal(0, 0.45, corners.shape) + person.normal(0, 0.4, 2)
        found[name] = rounded(moved)
    return {name: found[name] for name in BONES}


def bend(bones: dict[str, np.ndarray], degrees: float) -> dict[str, np.ndarray]:
    """The hand turned in its wrist, to the little finger above 0; the forearm gives way."""
    return {
        name: turned(points, degrees * (-0.25 if name in FOREARM else 0.75))
        for name, points in bones.items()
    }


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points turned about the middle of the wrist, clockwise in the picture."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.asarray([[cos, sin], [-sin, cos]])


def long_bone(start: np.ndarray, end: np.ndarray, widths: np.ndarray, is_tip: bool) -> np.ndarray:
    """A bone of a finger or the palm from its lower end to its upper: (96, 2), wider at both."""
    t = 0.5 - np.cos(np.linspace(0, np.pi, 49)) / 2  # dense at both ends
    low, middle, high = widths
    half = middle + (low - middle) * np.exp(-((t / 0.2) ** 2))
    half += (high - middle) * np.exp(-(((1 - t) / (0.12 if is_tip else 0.19)) ** 2))
    ends = np.sqrt(1 - np.clip(1 - t / 0.08, 0, 1) ** 3)  # flat below, round above
    ends = ends * np.sqrt(1 - np.clip(1 - (1 - t) / (0.16 if is_tip else 0.13), 0, 1) ** 2.4)
    across = half * ends / 2
    x, y = np.concatenate([across, -across[-2:0:-1]]), np.concatenate([t, t[-2:0:-1]])
    y = y + 0.03 * (y < 0.3) * (1 - (2 * x / low) ** 2)  # the lower end is hollow
    way = end - start
    side = np.asarray((-way[1], way[0])) / np.hypot(*way)
    return start + x[:, None] * side + y[:, None] * way


def rounded(corners: np.ndarray) -> np.ndarray:
    """A closed outline with its corners cut off, by Chaikin's rule: (2**ROUNDS * N, 2)."""
    for _ in range(ROUNDS):
        following = np.roll(corners, -1, axis=0)
        pairs = [0.82 * corners + 0.18 * following, 0.18 * corners + 0.82 * following]
        corners = np.stack(pairs, axis=1).reshape(-1, 2)
    return corners
