"""A small contest of masks as tests need it: discs, rings and bars, which may overlap."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import medkit as mk

CLASSES = ("disc", "bar", "both")  # the last is where the others overlap
TINY = {"model": "test_resnet", "image_size": 32, "augment": "none", "batch_size": 4}
TINY.update(decoder_channels=(16, 16, 8, 8, 8), loss="cross_entropy_dice")


def planes(seed, size=(40, 56)):
    """(3, H, W) uint8 of a disc, a bar, and what they share."""
    rng = np.random.default_rng(seed)
    height, width = size
    disc, bar = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    middle = int(rng.integers(10, width - 10)), int(rng.integers(10, height - 10))
    cv2.circle(disc, middle, int(rng.integers(6, 11)), 1, -1)
    left = middle[0] - int(rng.integers(2, 5))
    bar[4 : height - 4, left : left + 5] = 1
    return np.stack([disc, bar, disc & bar])


def picture(masks, seed):
    """(H, W, 3) uint8: the disc is bright, the bar is brighter, on a dark ground with noise."""
    grey = 40 + 90 * masks[0].astype(int) + 70 * masks[1]
    noise = np.random.default_rng((seed, 1)).integers(-15, 16, grey.shape)
    return np.repeat(np.clip(grey + noise, 0, 255).astype(np.uint8)[..., None], 3, 2)


def draw(folder, n=16, *, first=0, sizes=((40, 56), (48, 32))):
    """Pictures in `images`, and a picture a class in `masks/<class>`."""
    for seed in range(first, first + n):
        masks = planes(seed, sizes[seed % len(sizes)])
        write(folder / "images" / f"p{seed:02d}.png", picture(masks, seed))
        for name, mask in zip(CLASSES, masks):
            write(folder / "masks" / name / f"p{seed:02d}.png", 255 * mask)
    return folder


def write(path: Path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def make_task(name="shapes", classes=CLASSES, kind="masks", files=None, **more):
    """The task of these shapes."""
    files = mk.MaskFiles("planes") if files is None else files
    head = mk.Head("masks", classes, kind=kind)
    more = {"mirror": ("horizontal", "vertical"), "looks_alike": True, **more}
    return mk.Task(name, "Shapes", "drawn", (head,), mask_files=files, **more)


def read(task, folder, n_folds=2):
    """Its cases, in folds."""
    cases = mk.read_masks(task, folder / "images", folder / "masks")
    return mk.assign_folds(task, cases, n_folds=n_folds, seed=0)
