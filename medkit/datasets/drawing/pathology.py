"""Drawn breast tissue, stained pink and purple."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from medkit import files
from medkit.progress import track
from medkit.seeding import generator

PER_PATIENT = 4  # patches
MALIGNANT = 0.3  # of the patients: 2,400 of 8,000 patches in the contest


def draw_pathology(
    folder: Path | str, *, seed: int = 0, n_train: int = 80, n_test: int = 40, size: int = 512
) -> None:
    """Write a drawn pathology contest: `{train,test}/{<split>_data/<int>.png,<split>_label}`.

    `patients.csv` (id,patient) and the labels of the test are not of the contest: they tell whose
    a patch is, and what it is.

    Args:
        n_train, n_test: patches, four of each patient.
        size: pixels a side.
    """
    for split, count, first in (("train", n_train, 0), ("test", n_test, 10**6)):
        root, labels, patients = Path(folder) / split, [], ["id,patient\n"]
        for number in track(range(1, count + 1), f"drawing {split}"):
            patient = first + (number - 1) // PER_PATIENT
            is_malignant = draw_kind(seed, patient, number)
            picture = draw_patch(seed, patient, number, is_malignant, size)
            _, payload = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            files.write_whole(root / f"{split}_data" / f"{number}.png", payload.tobytes())
            labels.append(f"{number} {int(is_malignant)}\n")
            patients.append(f"{number},{patient}\n")
        files.write_whole(root / f"{split}_label", "".join(labels))
        files.write_whole(root / "patients.csv", "".join(patients))


def draw_kind(seed: int, patient: int, number: int) -> bool:
    """Whether a patch is malignant: patients with a tumour have healthy patches, too."""
    has_tumour = generator("drawn patient", seed, patient).random() < 0.6
    return bool(has_tumour and generator("drawn patch", seed, patient, number).random() < 0.6)


def draw_patch(seed: int, patient: int, number: int, is_malignant: bool, size: int) -> np.ndarray:
    """One patch, (size, size, 3) uint8 RGB: crowded, large, dark nuclei are malignant."""
    stain, rng = (
        generator("drawn stain", seed, patient),
        generator("drawn cells", seed, patient, number),
    )
    side = 512
    pink = np.array((232, 178, 205)) + stain.normal(0, 9, 3)
    purple = np.array((108, 62, 138)) + stain.normal(0, 12, 3)
    canvas = np.empty((side, side, 3), np.float32)
    canvas[:] = pink
    for scale, strength in ((8, 22), (40, 9)):  # fibres and grain
        grain = rng.normal(0, 1, (scale, scale)).astype(np.float32)
        canvas += (
            strength * cv2.resize(grain, (side, side), interpolation=cv2.INTER_CUBIC)[..., None]
        )
    for _ in range(int(rng.integers(0, 3))):  # fat: white, round
        centre, radius = rng.integers(0, side, 2), int(rng.integers(30, 70))
        cv2.circle(canvas, tuple(int(v) for v in centre), radius, (246, 240, 244), -1, cv2.LINE_AA)
    count = int(rng.normal(190, 25) if is_malignant else rng.normal(70, 15))
    for _ in range(max(10, count)):
        centre = tuple(int(v) for v in rng.integers(0, side, 2))
        radius = max(3.0, rng.normal(13, 4) if is_malignant else rng.normal(8, 1.2))
        stretch = rng.uniform(0.5, 1.0) if is_malignant else rng.uniform(0.8, 1.0)
        axes, turn = (int(radius), max(2, int(radius * stretch))), float(rng.uniform(0, 180))
        colour = purple + rng.normal(0, 16 if is_malignant else 8, 3)
        cv2.ellipse(canvas, centre, axes, turn, 0, 360, tuple(map(float, colour)), -1, cv2.LINE_AA)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2) + rng.normal(0, 4, (side, side, 1))
    picture = np.clip(canvas, 0, 255).astype(np.uint8)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
