"""Drawn faces with and without masks, in the layout of the mask contest with its traps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from medkit import files
from medkit.datasets.drawing.surfaces import backdrop, develop, fitted, noise, oval, polygon
from medkit.datasets.drawing.writing import check_counts, check_size, write_lines, write_picture
from medkit.progress import track
from medkit.seeding import generator

VIEWS = ("mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal")
TESTED = ("mask1", "incorrect_mask", "normal")  # of each class of masks
ENDINGS = (".jpg", ".png", ".jpeg")
GENDERS = ("male", "female")
AGES = ((18, 29), (30, 59), (60, 60))  # first and last of each class
HAIR = ((28, 22, 20), (112, 74, 46), (222, 222, 220))  # of each class of age
MASKS = ((240, 243, 245), (120, 170, 215), (36, 36, 40), (236, 190, 200))
WIDE, HIGH = 384, 512  # of the sheet that all is drawn on


def draw_mask(
    folder: Path | str,
    *,
    seed: int = 0,
    n_train: int = 24,
    n_test: int = 36,
    size: tuple[int, int] = (WIDE, HIGH),
) -> None:
    """Write a drawn mask contest: `train/{train.csv,images}`, `eval/{info.csv,images}`.

    `eval/answers.csv` is not of the contest: it tells the labels of the test.

    Args:
        n_train: people, each with seven photos; the second has the id of the first at another age.
        n_test: photos.
        size: width and height in pixels.
    """
    check_counts("draw_mask", n_train=n_train, n_test=n_test)
    check_size("draw_mask", size, sides=2)
    folder, people, answers = Path(folder), [], {}
    for number in track(range(n_train), "drawing people"):
        gender, age = _person(seed, number)
        id = "000001-1" if number == 2 else f"{max(number, 1):06d}"
        place = f"{id}_{gender}_Asian_{age}"
        people.append(f"{id},{gender},Asian,{age},{place}")
        for view in VIEWS:
            ending = ENDINGS[generator("drawn ending", seed, number, view).integers(len(ENDINGS))]
            path = folder / "train" / "images" / place / f"{view}{ending}"
            write_picture(path, draw_face(number, view, seed, size))
            files.write_whole(path.with_name(f"._{path.name}"), b"\0\5\x16\7")
    write_lines(folder / "train" / "train.csv", ["id,gender,race,age,path", *people])
    for k in track(range(n_test), "drawing the test"):
        number, worn = 100_000 + k, k // 6 % 3
        name = f"{generator('drawn test', seed, k).bytes(20).hex()}.jpg"
        gender, age = _person(seed, number)
        answers[name] = worn * 6 + GENDERS.index(gender) * 3 + _age_class(age)
        picture = draw_face(number, TESTED[worn], seed, size)
        write_picture(folder / "eval" / "images" / name, picture)
    for table, shown in (("info.csv", dict.fromkeys(answers, 0)), ("answers.csv", answers)):
        rows = (f"{name},{answer}" for name, answer in shown.items())
        write_lines(folder / "eval" / table, ["ImageID,ans", *rows])


def _person(seed: int, number: int) -> tuple[str, int]:
    """Gender and age: six people in turn are of all six kinds."""
    low, high = AGES[number // 2 % 3]
    age = int(generator("drawn person", seed, number).integers(low, high + 1))
    return GENDERS[number % 2], age


def _age_class(age: int) -> int:
    return (age >= 30) + (age >= 60)


def draw_face(
    number: int, view: str, seed: int = 0, size: tuple[int, int] = (WIDE, HIGH)
) -> np.ndarray:
    """One photo, (H, W, 3) uint8 RGB: the gender shows in the hair, the age in its colour."""
    gender, age = _person(seed, number)
    look, rng = generator("drawn look", seed, number), generator("drawn face", seed, number, view)
    kind = _age_class(age)
    hair = np.asarray(HAIR[kind]) + look.normal(0, 10)
    skin = np.asarray((228, 186, 158)) * look.uniform(0.75, 1.05) + look.normal(0, 5, 3)
    shirt, wall = look.uniform(40, 220, 3), look.uniform(120, 235, 3)
    canvas = backdrop((HIGH, WIDE), wall, 12 * noise((HIGH, WIDE), 4, rng))
    x, y = np.asarray((WIDE / 2, HIGH / 2 - 10)) + rng.normal(0, 12, 2)
    a, b = look.uniform(82, 98), look.uniform(112, 128)  # half axes of the face
    if gender == "female":
        oval(canvas, (x, y + 40), (a + 46, b + 70), hair)
    oval(canvas, (x, HIGH + 60), (WIDE / 2 - 20, 190), shirt)
    oval(canvas, (x, y + b), (34, 48), skin * 0.88)  # the neck
    oval(canvas, (x, y - 26), (a + 12, b + 4), hair)
    oval(canvas, (x, y + 12), (a, b), skin)
    oval(canvas, (x, y - b + 22), (a - 4, 38), hair, arc=(180, 360))
    for line in range(2 * kind):
        oval(canvas, (x, y - 42 - 9 * line), (44, 6), skin * 0.8, arc=(190, 350), thick=2)
    for side in (-36, 36):
        oval(canvas, (x + side, y - 10), (17, 9), (250, 250, 250))
        oval(canvas, (x + side, y - 10), (8, 8), (40, 28, 22))
        oval(canvas, (x + side, y - 32), (22, 5), hair * 0.7, arc=(180, 360), thick=4)
    oval(canvas, (x, y + 30), (13, 20), skin * 0.86)
    oval(canvas, (x, y + 76), (30, 9), (186, 78, 80))
    if view != "normal":
        top = y + (52 if view == "incorrect_mask" else 8)
        colour = np.asarray(MASKS[rng.integers(len(MASKS))]) + rng.normal(0, 5, 3)
        _put_on(canvas, x, (top, y + b), a - 8, colour)
    return fitted(develop(canvas, rng, blur=0.6, grain=5), size)


def _put_on(
    canvas: np.ndarray, x: float, ends: tuple[float, float], half: float, colour: np.ndarray
) -> None:
    """A mask about `x`, from an upper to a lower end, with two folds."""
    top, low = ends
    right = [(half, top), (half - 18, low - 12)]
    left = [(-across, y) for across, y in reversed(right)]
    edge = [(0, top - 10), *right, (0, low + 16), *left]
    polygon(canvas, np.asarray(edge) + (x, 0), colour)
    for fold in (0.35, 0.65):
        at = int(top + fold * (low - top))
        first, last = (int(x - half + 12), at), (int(x + half - 12), at)
        cv2.line(canvas, first, last, (colour * 0.88).tolist(), 2, cv2.LINE_AA)
