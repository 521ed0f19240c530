"""Drawn faces with and without masks, in the layout of the mask contest with its traps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from medkit import files
from medkit.datasets.drawing.painting import noise
from medkit.progress import track
from medkit.seeding import generator

VIEWS = ("mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal")
ENDINGS = (".jpg", ".png", ".jpeg")
GENDERS = ("male", "female")
AGES = ((18, 29), (30, 59), (60, 60))  # first and last of each class
HAIR = ((28, 22, 20), (112, 74, 46), (222, 222, 220))  # of each class of age
MASKS = ((240, 243, 245), (120, 170, 215), (36, 36, 40), (236, 190, 200))


def draw_mask(
    folder: Path | str,
    *,
    seed: int = 0,
    n_train: int = 24,
    n_test: int = 36,
    size: tuple[int, int] = (384, 512),
) -> None:
    """Write a drawn mask contest: `train/{train.csv,images}`, `eval/{info.csv,images}`.

    `eval/answers.csv` is not of the contest: it tells the labels of the test.

    Args:
        n_train: people, each with seven photos; the second has the id of the first at another age.
        n_test: photos.
        size: width and height in pixels.
    """
    folder, people, test = Path(folder), ["id,gender,race,age,path"], []
    for number in track(range(n_train), "drawing people"):
        gender, age = _person(seed, number)
        id = "000001-1" if number == 2 else f"{max(number, 1):06d}"
        place = f"{id}_{gender}_Asian_{age}"
        people.append(f"{id},{gender},Asian,{age},{place}")
        for view in VIEWS:
            rng = generator("drawn ending", seed, number, view)
            name = f"{view}{ENDINGS[rng.integers(len(ENDINGS))]}"
            _write(folder / "train/images" / place / name, draw_face(number, view, seed, size))
            files.write_whole(folder / "train/images" / place / f"._{name}", b"\0\5\x16\7")
    files.write_whole(folder / "train" / "train.csv", "\n".join(people) + "\n")
    for k in track(range(n_test), "drawing the test"):
        number, rng = 100_000 + k, generator("drawn test", seed, k)
        name = f"{rng.bytes(20).hex()}.jpg"
        view = VIEWS[(0, 5, 6)[k // 6 % 3]]
        gender, age = _person(seed, number)
        answer = (0, 1, 2)[k // 6 % 3] * 6 + GENDERS.index(gender) * 3 + (age >= 30) + (age >= 60)
        test.append((name, answer))
        _write(folder / "eval" / "images" / name, draw_face(number, view, seed, size))
    blank = "".join(f"{name},0\n" for name, _ in test)
    known = "".join(f"{name},{answer}\n" for name, answer in test)
    files.write_whole(folder / "eval" / "info.csv", "ImageID,ans\n" + blank)
    files.write_whole(folder / "eval" / "answers.csv", "ImageID,ans\n" + known)


def _person(seed: int, number: int) -> tuple[str, int]:
    """Gender and age: six people in turn are of all six kinds."""
    low, high = AGES[number // 2 % 3]
    age = int(generator("drawn person", seed, number).integers(low, high + 1))
    return GENDERS[number % 2], age


def draw_face(
    number: int, view: str, seed: int = 0, size: tuple[int, int] = (384, 512)
) -> np.ndarray:
    """One photo, (H, W, 3) uint8 RGB: the gender shows in the hair, the age in its colour."""
    gender, age = _person(seed, number)
    look, rng = generator("drawn look", seed, number), generator("drawn face", seed, number, view)
    kind = (age >= 30) + (age >= 60)
    hair = np.asarray(HAIR[kind]) + look.normal(0, 10)
    skin = np.asarray((228, 186, 158)) * look.uniform(0.75, 1.05) + look.normal(0, 5, 3)
    shirt = look.uniform(40, 220, 3)
    wide, high = 384, 512
    canvas = np.empty((high, wide, 3), np.float32)
    canvas[:] = look.uniform(120, 235, 3)
    canvas += 12 * noise((high, wide), 4, rng)[..., None]
    x, y = (wide // 2 + int(rng.normal(0, 12)), high // 2 - 10 + int(rng.normal(0, 12)))
    a, b = int(look.uniform(82, 98)), int(look.uniform(112, 128))  # half axes of the face

    def oval(middle, axes, colour, angle=0, first=0, last=360, thick=-1):
        colour = tuple(float(value) for value in colour)
        cv2.ellipse(canvas, middle, axes, angle, first, last, colour, thick, cv2.LINE_AA)

    if gender == "female":
        oval((x, y + 40), (a + 46, b + 70), hair)
    oval((x, high + 60), (wide // 2 - 20, 190), shirt)
    cv2.rectangle(canvas, (x - 34, y + b - 30), (x + 34, y + b + 45), (skin * 0.88).tolist(), -1)
    oval((x, y - 26), (a + 12, b + 4), hair)
    oval((x, y + 12), (a, b), skin)
    oval((x, y - b + 22), (a - 4, 38), hair, 0, 180, 360)
    for line in range(2 * kind):
        oval((x, y - 42 - 9 * line), (44, 6), skin * 0.8, 0, 190, 350, 2)
    for side in (-1, 1):
        oval((x + side * 36, y - 10), (17, 9), (250, 250, 250))
        oval((x + side * 36, y - 10), (8, 8), (40, 28, 22))
        oval((x + side * 36, y - 32), (22, 5), hair * 0.7, 0, 180, 360, 4)
    oval((x, y + 30), (13, 20), skin * 0.86)
    oval((x, y + 76), (30, 9), (186, 78, 80))
    if view != "normal":
        top = y + (52 if view == "incorrect_mask" else 8)
        colour = np.asarray(MASKS[rng.integers(len(MASKS))]) + rng.normal(0, 5, 3)
        edge = [(x - a + 8, top), (x, top - 10), (x + a - 8, top), (x + a - 26, y + b - 12)]
        edge += [(x, y + b + 16), (x - a + 26, y + b - 12)]
        cv2.fillPoly(canvas, [np.asarray(edge, np.int32)], colour.tolist(), cv2.LINE_AA)
        for fold in (0.35, 0.65):
            at = int(top + fold * (y + b - top))
            cv2.line(canvas, (x - a + 20, at), (x + a - 20, at), (colour * 0.88).tolist(), 2)
    canvas += 5 * rng.standard_normal((high, wide, 1), np.float32)
    picture = np.clip(canvas, 0, 255).astype(np.uint8)
    return (
        picture if size == (wide, high) else cv2.resize(picture, size, None, 0, 0, cv2.INTER_AREA)
    )


def _write(path: Path, picture: np.ndarray) -> None:
    _, payload = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    files.write_whole(path, payload.tobytes())
