"""Drawn X-rays of hands, in the layout of the hand bone contest with its traps.

Every person has a number: both hands are the same however many others are drawn.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from medkit.datasets.drawing.bones import FINGERS, FOREARM, bend, make_hand, turned
from medkit.datasets.drawing.surfaces import develop, lit, noise, oval, polygon
from medkit.datasets.drawing.writing import (
    check,
    check_counts,
    is_size,
    write_lines,
    write_picture,
    write_sheet,
)
from medkit.progress import track
from medkit.seeding import generator

SIDE = 512  # of a picture in pixels; the contest's are 2048
TEST_EVERY = 4  # IDs 4, 8, ... are test: so IDs never meet, whatever the counts
BENT = {"train": 0.1, "test": 0.55}  # share of people with bent wrists, as in the contest
HEADER = ("ID", "나이", "성별", "체중(몸무게)", "키(신장)", "Unnamed: 5")
PALM = ("finger-7", "finger-11", "finger-15", "finger-19", "Trapezium", "Scaphoid", "Triquetrum")
AIR, SKIN, METAL = 9.0, 62.0, 238.0  # grey


def draw_handbone(
    folder: Path | str, *, seed: int = 0, n_train: int = 24, n_test: int = 8, size: int = SIDE
) -> None:
    """Write a drawn hand bone contest: `{train,test}/{DCM,outputs_json}`, `meta_data.xlsx`.

    `test/outputs_json` is not of the contest: it tells the bones of the test.

    Args:
        n_train, n_test: people, each with a right and a left hand.
        size: pixels a side.
    """
    check_counts("draw_handbone", n_train=n_train, n_test=n_test)
    check("draw_handbone", "pixels, from 64", is_size(size, 1, least=64), size=size)
    train = (k + k // (TEST_EVERY - 1) + 1 for k in range(n_train))
    plan = [("train", rank, number) for rank, number in enumerate(train)]
    plan += [("test", rank, TEST_EVERY * (rank + 1)) for rank in range(n_test)]
    for split, rank, number in track(plan, "drawing people"):
        is_bent = draw_bend(seed, split, rank)
        for side, stem in draw_names(seed, number).items():
            picture, bones = draw_hand(seed, number, side, is_bent, size)
            root, place = Path(folder) / split, Path(f"ID{number:03d}") / stem
            write_picture(root / "DCM" / place.with_suffix(".png"), picture)
            record = _record(f"{stem}.png", bones, size, generator("drawn record", seed, stem))
            write_lines(root / "outputs_json" / place.with_suffix(".json"), [json.dumps(record)])
    rows = [draw_person(seed, number) for number in sorted(number for _, _, number in plan)]
    write_sheet(Path(folder) / "meta_data.xlsx", [HEADER, *rows])


def draw_bend(seed: int, split: str, rank: int) -> bool:
    """Whether the wrists of a split's person are bent: a golden-ratio sequence keeps the share."""
    start = generator("drawn bends", seed, split).random()
    return bool((rank * 0.6180339887 + start) % 1 < BENT[split])


def draw_names(seed: int, number: int) -> dict[str, str]:
    """The files' stems by side: times in ms, of every second person with the side behind.

    Without it the right hand was taken first; with it, either.
    """
    rng = generator("drawn names", seed, number)
    first = 1_661_000_000_000 + 10_000_000 * number + int(rng.integers(5_000_000))
    stems = [f"image{first}", f"image{first + int(rng.integers(20_000, 90_000))}"]
    has_sides, is_left_first = number % 2 == 0, rng.random() < 0.5
    if not has_sides:
        return dict(zip(("right", "left"), stems))
    sides = ("left", "right") if is_left_first else ("right", "left")
    return {side: f"{stem}_{side[0].upper()}" for side, stem in zip(sides, stems)}


def draw_person(seed: int, number: int) -> list[object]:
    """A line of the table of people, in the order of HEADER, with the junk that it has."""
    rng = generator("drawn person", seed, number)
    is_female, has_nails = rng.random() < 0.5, _has_nails(seed, number)
    height = round(float(rng.normal(162 if is_female else 174, 6)), 1)
    weight = round(float(rng.normal(22.5, 2.5)) * (height / 100) ** 2, 1)
    age = int(rng.integers(19, 65))
    return [
        f"ID{number:03d}",
        str(age) if rng.random() < 0.1 else age,
        f"_x0008_{'F' if is_female else 'M'}" if rng.random() < 0.9 else "",
        weight if rng.random() < 0.9 else " ",
        height,
        "네일있음" if has_nails else None,
    ]


def draw_hand(
    seed: int, number: int, side: str, is_bent: bool, size: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One X-ray, (size, size, 3) uint8, and the outlines of its bones in whole pixels.

    The right hand's thumb is on the left. What reaches beyond the lower edge, the forearm, ends
    there.
    """
    rng = generator("drawn hand", seed, number, side)
    degrees = rng.normal(0, 4) + is_bent * rng.choice([-1, 1]) * rng.uniform(22, 36)
    bones = bend(make_hand(generator("drawn bones", seed, number), rng), degrees)
    tilt, mirror = rng.normal(0, 3), (1 if side == "right" else -1, 1)
    bones = {name: turned(points, tilt) * mirror for name, points in bones.items()}
    hand = np.concatenate([points for name, points in bones.items() if name not in FOREARM])
    low, high = hand.min(0), hand.max(0)
    scale = size / max(high - low + (50, 82)) * rng.uniform(0.92, 1.0)  # pixels a mm
    start = ((low + high) / 2 * (1, 0) + low * (0, 1)) * scale
    start -= size * np.asarray((0.5, 0.075)) + size * rng.normal(0, 0.012, 2)
    bones = {name: points * scale - start for name, points in bones.items()}
    canvas = np.full((size, size), AIR, np.float32)
    flesh = _flesh(bones, size, scale)
    canvas += flesh
    if _has_nails(seed, number):
        _paint_nails(canvas, bones, scale)
    grain = noise((size, size), 0.9 * size / scale, rng)
    for points in bones.values():
        _paint_bone(canvas, points, scale, grain, rng)
    metal = generator("drawn metal", seed, number, side)  # at every size the same
    _paint_metal(canvas, bones, flesh, side, scale, metal)
    down, across = rng.normal(0, 0.06, 2)
    y, x = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    canvas *= (1 + down * y + across * x).astype(np.float32)
    canvas = lit(canvas, 3 * noise((size, size), 5, rng))
    exposure, blur = rng.uniform(0.85, 1.12), 0.0013 * size
    picture = develop(canvas, rng, blur=blur, grain=3.5, exposure=exposure)
    return picture, {name: _marked(points, size) for name, points in bones.items()}


def _has_nails(seed: int, number: int) -> bool:
    return bool(generator("drawn nails", seed, number).random() < 0.12)


def _flesh(bones: dict[str, np.ndarray], size: int, scale: float) -> np.ndarray:
    """How light the soft tissue around the bones is, (size, size): thicker is lighter."""
    half = (size // 2, size // 2)  # it is soft: half the resolution does
    zoom, shape = scale / 2, np.zeros(half, np.uint8)
    hulls = [[*PALM, *FOREARM], ["finger-3", "Trapezium", "Trapezoid"], [*FOREARM, "Lunate"]]
    for names, around in zip(hulls, (14, 20, 22)):
        points = np.concatenate([bones[name] for name in names])
        hull = np.rint(cv2.convexHull((points / 2).astype(np.float32))).astype(np.int32)
        for thick in (-1, max(1, round(around * zoom))):
            cv2.drawContours(shape, [hull], 0, 255, thick)
    for names in FINGERS:
        ends = [bones[name][place] / 2 for name in names for place in (48, 0)]
        ends[0] = ends[0] + (ends[0] - ends[1]) * 0.12  # the tip is soft
        for k, (a, b) in enumerate(zip(ends, ends[1:])):
            at, to = np.rint(a).astype(int).tolist(), np.rint(b).astype(int).tolist()
            cv2.line(shape, at, to, 255, max(1, round((15 + 0.8 * k) * zoom)))
    smooth = cv2.GaussianBlur(shape, (0, 0), max(0.6, 2.2 * zoom))
    inside = cv2.distanceTransform((smooth > 127).astype(np.uint8), cv2.DIST_L2, 5) / zoom
    light = SKIN * (1 - np.exp(-inside / 6.5))
    return cv2.resize(light.astype(np.float32), (size, size))


def _paint_bone(
    canvas: np.ndarray,
    points: np.ndarray,
    scale: float,
    grain: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """One bone, on the part of the canvas that it covers: a light rind, and less light inside."""
    low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 3, canvas.shape[::-1])
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    shape = np.zeros(canvas[part].shape, np.uint8)
    polygon(shape, points - low, 255)
    deep = cv2.distanceTransform((shape > 127).astype(np.uint8), cv2.DIST_L2, 5) / scale  # mm
    round_ = np.sqrt(1 - (1 - np.clip(deep / 6, 0, 1)) ** 2)
    rind = np.exp(-(((deep - 0.7) / min(2.0, 0.6 + 0.12 * deep.max())) ** 2))
    light = rng.uniform(0.9, 1.1) * (22 + 26 * round_ + 50 * rind) * (1 + 0.13 * grain[part])
    canvas[part] += shape / np.float32(255) * light


def _paint_nails(canvas: np.ndarray, bones: dict[str, np.ndarray], scale: float) -> None:
    """Painted nails, which shine through at the tips."""
    for tip, *_ in FINGERS:
        end, start = bones[tip][48], bones[tip][0]
        way = (end - start) / np.hypot(*(end - start))
        layer = np.zeros(canvas.shape, np.uint8)
        turn = float(np.rad2deg(np.arctan2(way[1], way[0])))
        oval(layer, end - way * scale, (7 * scale, 5 * scale), 26, turn=turn)
        canvas += layer


def _paint_metal(
    canvas: np.ndarray,
    bones: dict[str, np.ndarray],
    flesh: np.ndarray,
    side: str,
    scale: float,
    rng: np.random.Generator,
) -> None:
    """A ring on some hands, and on some pictures a letter of lead for the side."""
    has_ring, has_letter, finger = rng.random() < 0.1, rng.random() < 0.4, rng.integers(2, 4)
    layer = np.zeros(canvas.shape, np.uint8)
    if has_ring:
        start, end = (bones[FINGERS[finger][2]][place] for place in (0, 48))
        way = (end - start) / np.hypot(*(end - start))
        across, middle = np.asarray((-way[1], way[0])), start + 0.45 * (end - start)
        corners = ((-9.5, -1.6), (9.5, -1.6), (9.5, 1.6), (-9.5, 1.6))
        polygon(layer, [middle + scale * (a * across + b * way) for a, b in corners], 255)
    if has_letter:
        high, size = 0.05 * len(canvas), len(canvas)
        places = [(0.06, 0.1), (0.88, 0.1), (0.05, 0.3), (0.9, 0.3), (0.06, 0.9), (0.88, 0.9)]
        x, y = min(places, key=lambda at: flesh[_window(at, size)].sum())
        at, thick = (int(x * size), int(y * size)), max(1, round(high / 7))
        letter = (side[0].upper(), at, cv2.FONT_HERSHEY_SIMPLEX, high / 22, 255, thick)
        cv2.putText(layer, *letter, cv2.LINE_AA)
    canvas += (METAL - canvas) * (layer / np.float32(255))


def _window(at: tuple[float, float], size: int) -> tuple[slice, slice]:
    """What lies around a letter at this place."""
    x, y = int(at[0] * size), int(at[1] * size)
    return slice(max(0, y - size // 12), y + size // 30), slice(max(0, x - 8), x + size // 12)


def _marked(points: np.ndarray, size: int) -> np.ndarray:
    """An outline as an annotator marks it: whole pixels of the picture, none twice in a row."""
    bottom, kept = size - 1.0, []
    for a, b in zip(points, np.roll(points, -1, axis=0)):
        if a[1] <= bottom:
            kept.append(a)
        if (a[1] <= bottom) != (b[1] <= bottom):
            kept.append(a + (b - a) * (bottom - a[1]) / (b[1] - a[1]))
    whole = np.rint(np.clip(kept, 0, bottom)).astype(int)
    return whole[(whole != np.roll(whole, 1, axis=0)).any(axis=1)]


def _record(
    name: str, bones: dict[str, np.ndarray], size: int, rng: np.random.Generator
) -> dict[str, object]:
    """A picture's JSON: labels in any order, and in some files points one level deeper."""
    names, is_deeper = list(bones), rng.random() < 0.15
    rows = []
    for k in rng.permutation(len(names)):
        points = bones[names[k]].tolist()
        rows.append(
            {
                "id": rng.bytes(8).hex(),
                "type": "poly_seg",
                "attributes": {},
                "points": [points] if is_deeper else points,
                "label": names[k],
            }
        )
    return {
        "filename": name,
        "metadata": {"width": size, "height": size},
        "annotations": rows,
    }
