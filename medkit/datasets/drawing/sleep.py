"""Drawn nights: 21 traces a picture, in the layout of the 2021 sleep contest with its traps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from medkit import files
from medkit.datasets.drawing.surfaces import fitted
from medkit.datasets.drawing.writing import check_counts, check_size, write_lines, write_picture
from medkit.progress import track
from medkit.seeding import generator

NIGHT = ("Wake", "N1", "N2", "N3", "N2", "REM")  # one cycle of sleep
UNLABELLED = 2  # epochs at the beginning of each record that no table names
TEST_FROM = 5000  # the number of the first test record
WIDE, HIGH = 480, 270  # of the sheet that all is drawn on
RATE = 64  # points of a trace in a second
KINDS = ["move"] * 3 + ["eeg"] * 4 + ["eog"] * 2 + ["emg", "heart"] + ["breath"] * 4
KINDS += ["slow"] * 2 + ["emg"] * 2 + ["slow"] * 2  # from the top, as in the contest's pictures
COLOURS = {"move": (90, 90, 90), "eeg": (20, 40, 160), "eog": (20, 120, 60), "emg": (150, 40, 40)}
COLOURS.update(heart=(190, 20, 60), breath=(30, 120, 160), slow=(120, 60, 150))
WAVES = {  # Hz and height in pixels of the brain's waves, height of the chin's muscle
    "Wake": (9.5, 2.5, 3.0),
    "N1": (6.0, 2.0, 1.6),
    "N2": (4.5, 3.0, 1.0),
    "N3": (1.1, 8.0, 0.8),
    "REM": (6.5, 1.6, 0.15),
}


def draw_sleep(
    folder: Path | str,
    *,
    seed: int = 0,
    n_train: int = 6,
    n_test: int = 2,
    epochs: int = 60,
    size: tuple[int, int] = (WIDE, HIGH),
) -> None:
    """Write a drawn sleep contest: two tables without header, a folder of pictures a record.

    `answers.csv` is not of the contest: it tells the labels of the test.

    Args:
        n_train, n_test: records.
        epochs: of 30 s in each record; the first two have no label.
        size: width and height in pixels.
    """
    check_counts("draw_sleep", n_train=n_train, n_test=n_test, epochs=epochs)
    check_size("draw_sleep", size, sides=2)
    folder, train, test, answers = Path(folder), [], [], []
    numbers = [*range(1, n_train + 1), *range(TEST_FROM + n_test, TEST_FROM, -1)]
    plan = [
        (number, *row)
        for number in numbers
        for row in enumerate(hypnogram(number, epochs, seed), 1)
    ]
    for number, epoch, stage in track(plan, "drawing epochs"):
        record, name = f"{number:05d}", f"{number:05d}_{epoch:04d}.png"
        write_picture(folder / record / name, draw_epoch(number, epoch, stage, seed, size))
        if epoch > UNLABELLED and number < TEST_FROM:
            train.append(f"{record},{name},{stage}")
        elif epoch > UNLABELLED:
            test.append(f"{record},{name}")
            answers.append(f"{record},{name},{stage}")
    for split, rows in (("train", train), ("test", test)):
        text = "".join(f"{row}\n" for row in rows)
        files.write_whole(folder / f"{split}set-for_user.csv", "\ufeff" + text)
    write_lines(folder / "answers.csv", answers)


def hypnogram(number: int, epochs: int, seed: int = 0) -> list[str]:
    """The stages of a record: cycles of 2 to 6 epochs a stage, the same whatever their number."""
    stages: list[str] = []
    cycle = 0
    while len(stages) < epochs:
        rng = generator("drawn cycle", seed, number, cycle)
        for stage, length in zip(NIGHT, rng.integers(2, 7, len(NIGHT))):
            stages += [stage] * int(length)
        cycle += 1
    return stages[:epochs]


def draw_epoch(
    number: int, epoch: int, stage: str, seed: int = 0, size: tuple[int, int] = (WIDE, HIGH)
) -> np.ndarray:
    """One picture, (H, W, 3) uint8 RGB: the stage shows in brain, eyes and chin."""
    sleeper = generator("drawn sleeper", seed, number)
    rng = generator("drawn epoch", seed, number, epoch)
    scale, pulse, breath = sleeper.uniform((0.8, 0.9, 0.2), (1.25, 1.3, 0.3))
    seconds = np.arange(30 * RATE) / RATE
    count = len(seconds)
    eyes = _eyes(stage, seconds, rng)
    canvas = np.full((HIGH, WIDE, 3), 250, np.uint8)
    for row, kind in enumerate(KINDS):
        if kind == "eeg":
            trace = _brain(stage, seconds, rng) * scale
        elif kind == "eog":
            trace = eyes * (1 if row % 2 else -1) + 0.4 * _brain(stage, seconds, rng)
        elif kind == "emg":
            chin = row == KINDS.index("emg")
            trace = rng.normal(0, (WAVES[stage][2] if chin else 0.6) * scale, count)
        elif kind == "heart":
            beat = np.sin(np.pi * pulse * seconds + rng.uniform(0, 2 * np.pi))
            trace = -6 * beat**60 + rng.normal(0, 0.3, count)
        elif kind == "breath":
            trace = 4 * np.sin(2 * np.pi * breath * seconds + row / 3) + rng.normal(0, 0.3, count)
        else:
            trace = rng.normal(0, 1.5) + rng.normal(0, 0.2, count)
        points = np.stack([seconds * WIDE / 30, HIGH / len(KINDS) * (row + 0.5) + trace], 1)
        at = np.rint(points * 16).astype(np.int32)
        cv2.polylines(canvas, [at], False, COLOURS[kind], 1, cv2.LINE_AA, 4)
    return fitted(canvas, size)


def _brain(stage: str, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wave whose frequency and height wander, with spindles in N2."""
    pitch, height, _ = WAVES[stage]
    wander = np.interp(seconds, np.arange(0, 31, 2), rng.normal(1, 0.12, 16))
    phase = 2 * np.pi * np.cumsum(pitch * wander) * (seconds[1] - seconds[0])
    swell = np.interp(seconds, np.arange(0, 31, 1), rng.uniform(0.4, 1.3, 31))
    wave = height * swell * np.sin(phase + rng.uniform(0, 6)) + rng.normal(0, 0.5, len(seconds))
    if stage == "N2":
        for start in rng.uniform(1, 28, 3):
            near = np.exp(-(((seconds - start) / 0.5) ** 2))
            wave += 6 * near * np.sin(2 * np.pi * 13 * seconds)
            wave -= 9 * np.exp(-(((seconds - start + 0.8) / 0.25) ** 2))
    return wave


def _eyes(stage: str, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Movements of the eyes: quick in REM and when awake, rolling in N1, none else."""
    if stage == "N1":
        return 4 * np.sin(2 * np.pi * 0.25 * seconds + rng.uniform(0, 6))
    jumps = {"REM": 10, "Wake": 4}.get(stage, 0)
    eyes = np.zeros(len(seconds))
    for start in rng.uniform(0, 30, jumps):
        eyes += rng.choice([-7, 7]) * np.exp(-(((seconds - start) / 0.35) ** 2))
    return eyes
