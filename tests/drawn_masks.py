"""A tiny contest of masks: two pictures that are not square, three classes that overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import medkit as mk
from medkit.images.crops import cropped

SIZES = {"hand one.png": (40, 60), "hand two.png": (56, 32)}  # height and width
BONES = ("finger-1", "finger-2", "Ulna, left")


def mask_task(name="bones", classes=BONES, kind="masks", **more):
    files = mk.MaskFiles("planes")
    head = mk.Head("masks", classes, kind)
    return mk.Task(name, "bones of a hand", "here", (head,), mask_files=files, **more)


def draw(folder: Path, task, seed=0):
    """Cases with masks, and predictions that are right by and large; of one class never any."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for id, size in SIZES.items():
        Image.fromarray(rng.integers(0, 255, size, np.uint8)).save(folder / "images" / id)
        levels = np.zeros((len(task.scored.classes), *size), np.uint8)
        for code, name in enumerate(task.scored.classes):
            mask = np.zeros(size, np.uint8)
            y, x = rng.integers(0, 20, 2)
            mask[y : y + 18, x : x + 15] = 255
            place = folder / "masks" / name / id
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place)
            noise = rng.integers(-200, 200, size)
            levels[code] = np.clip(np.roll(mask, 2, 1).astype(int) + noise, 0, 255)
        levels[-1, : size[0] // 2] = 0
        file = folder / f"{id}.safetensors"
        cropped(id, levels, size, task.scored.classes).write(file)
        rows.append((id, str(file)))
    cases = mk.read_masks(task, folder / "images", folder / "masks")
    return cases, pd.DataFrame(rows, columns=["id", "file"])
