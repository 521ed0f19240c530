"""Drawn breast tissue, stained pink and purple."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medkit.datasets.drawing.surfaces import backdrop, develop, fitted, noise, oval
from medkit.datasets.drawing.writing import check_counts, check_size, write_lines, write_picture
from medkit.progress import track
from medkit.seeding import generator

PER_PATIENT = 4  # patches
SIDE = 512  # of the sheet that all is drawn on


def draw_pathology(
    folder: Path | str, *, seed: int = 0, n_train: int = 80, n_test: int = 40, size: int = SIDE
) -> None:
    """Write a drawn pathology contest: `{train,test}/{<split>_data/<int>.png,<split>_label}`.

    `patients.csv` (id,patient) and the labels of the test are not of the contest: they tell whose
    a patch is, and what it is.

    Args:
        n_train, n_test: patches, four of each patient.
        size: pixels a side.
    """
    check_counts("draw_pathology", n_train=n_train, n_test=n_test)
    check_size("draw_pathology", size, sides=1)
    for split, count, first in (("train", n_train, 0), ("test", n_test, 10**6)):
        root, labels, patients = Path(folder) / split, [], ["id,patient"]
        for number in track(range(1, count + 1), f"drawing {split}"):
            patient = first + (number - 1) // PER_PATIENT
            is_malignant = draw_kind(seed, patient, number)
            picture = draw_patch(seed, patient, number, is_malignant, size)
            write_picture(root / f"{split}_data" / f"{number}.png", picture)
            labels.append(f"{number} {int(is_malignant)}")
            patients.append(f"{number},{patient}")
        write_lines(root / f"{split}_label", labels)
        write_lines(root / "patients.csv", patients)


def draw_kind(seed: int, patient: int, number: int) -> bool:
    """Whether a patch is malignant: patients with a tumour have healthy patches, too."""
    has_tumour = generator("drawn patient", seed, patient).random() < 0.6
    return bool(has_tumour and generator("drawn patch", seed, patient, number).random() < 0.6)


def draw_patch(seed: int, patient: int, number: int, is_malignant: bool, size: int) -> np.ndarray:
    """One patch, (size, size, 3) uint8 RGB: crowded, large, dark nuclei are malignant."""
    stain = generator("drawn stain", seed, patient)
    rng = generator("drawn cells", seed, patient, number)
    pink = np.asarray((232, 178, 205)) + stain.normal(0, 9, 3)
    purple = np.asarray((108, 62, 138)) + stain.normal(0, 12, 3)
    fibres, threads = (noise((SIDE, SIDE), cells, rng) for cells in (8, 40))
    canvas = backdrop((SIDE, SIDE), pink, 22 * fibres + 9 * threads)
    many, large, uneven, longest = (190, 13, 4, 0.5) if is_malignant else (70, 8, 1.2, 0.8)
    for _ in range(max(10, int(rng.normal(many, many / 6)))):
        radius = max(3.0, rng.normal(large, uneven))
        axes, turn = (radius, radius * rng.uniform(longest, 1.0)), rng.uniform(0, 180)
        colour = purple + rng.normal(0, 16 if is_malignant else 8, 3)
        oval(canvas, rng.uniform(0, SIDE, 2), axes, colour, turn=turn)
    for _ in range(rng.integers(0, 3)):  # fat: white, round, without nuclei
        radius = rng.uniform(30, 70)
        oval(canvas, rng.uniform(0, SIDE, 2), (radius, radius), (246, 240, 244))
    return fitted(develop(canvas, rng, blur=1.2, grain=4), (size, size))
