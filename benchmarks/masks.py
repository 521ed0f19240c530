"""What masks cost while training: labels, augmentation and loading, beside the usual ways.

    python benchmarks/masks.py [--people 4] [--image-size 512] [--recipe xray] [--patch-size 256]

Drawn hands of 29 overlapping bones. The usual way is that of contest notebooks: at each access the
picture is decoded, the JSON parsed, each polygon filled at the picture's own size into (H, W, 29),
both resized, and both moved by albumentations; ours reads a stored picture and its bits, and moves
these. Printed is the CPU time of one core for an image, least of some rounds; the last line is the
wall clock of one whole pass with one worker process. Measured at 1,024 px of 2,048 on a quiet
machine of two cores, recipe "light" (in brackets "xray", whose picture costs most; last the floor
lane, "light"), times as fast as the usual way:

    augmentation, (S, S, 29)    9.1 (6.4); 11.0
      of which the masks        28 (39); 34
    an item, from the file      48 (33); 36
    a pass, one worker          31 (24); 33

With `--patch-size` items are windows of pictures at `--image-size`. The usual way then decodes the
picture, fills all masks at that size, cuts a window around a pixel of one of them, and moves it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import medkit as mk
from medkit import seeding
from medkit.datasets.handbone import BONES, polygons
from medkit.images.decode import read_image
from medkit.images.masks import filled, unpacked
from medkit.loading import augment
from medkit.loading.loader import KeyedSampler, make_dataset, make_loader

TASK = mk.get_task("handbone")


class Usual(Dataset):
    """As contest notebooks load: from picture and JSON, at each access."""

    def __init__(self, cases: Any, size: int, recipe: str, patch: int = 0):
        self.rows, self.size, self.steps = cases.to_dict("records"), size, augment.compose(recipe)
        self.patch = patch

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """(S, S, 3) uint8 and (S, S, 29) uint8."""
        case = self.rows[row]
        image = read_image(case["path"])
        (height, width), outlines = polygons(case["masks"])
        masks = np.zeros((height, width, len(BONES)), np.uint8)
        for number, name in enumerate(BONES):
            masks[..., number] = filled(outlines[name], (height, width))
        square = (self.size, self.size)
        return cv2.resize(image, square), cv2.resize(masks, square, interpolation=cv2.INTER_NEAREST)

    def window(self, image: np.ndarray, masks: np.ndarray, rng: Any) -> tuple:
        """Around any pixel of any mask in a third of all cases."""
        x, y = rng.integers(0, self.size - self.patch + 1, 2)
        if rng.random() < 0.33:
            places = np.argwhere(masks[..., rng.integers(len(BONES))])
            y, x = places[rng.integers(len(places))] - self.patch // 2
            x, y = (int(np.clip(at, 0, self.size - self.patch)) for at in (x, y))
        part = slice(y, y + self.patch), slice(x, x + self.patch)
        return image[part], masks[part]

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        image, masks = self.load(key[2])
        if self.patch:
            image, masks = self.window(image, masks, np.random.default_rng(key))
        with seeding.reseeded(self.steps, "augment", *key):
            moved = self.steps(image=image, mask=masks)
        image = moved["image"].astype(np.float32) / 255
        planes = np.ascontiguousarray(moved["mask"].transpose(2, 0, 1)).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), planes


def least(work: Callable[[int], Any], count: int, rounds: int = 3) -> float:
    """CPU milliseconds an image."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for number in range(count):
            work(number)
        found.append((time.process_time() - began) / count * 1e3)
    return min(found)


def tell(what: str, usual: float, ours: float) -> None:
    print(f"{what:<30} {usual:8.1f} ms usual, {ours:7.2f} ms ours: {usual / ours:5.1f} times")


def one_pass(make: Callable[..., DataLoader], data: Any, count: int) -> float:
    """Wall seconds of all images once, with one worker that is warm."""
    sampler = KeyedSampler(np.arange(count), 0, count=count, batch_size=2)
    loader = make(data, sampler=sampler, batch_size=2, num_workers=1)
    for _ in loader:  # the worker starts
        continue
    began = time.perf_counter()
    for _ in loader:
        continue
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--source-size", type=int, default=2048)
    parser.add_argument("--patch-size", type=int, default=0)
    parser.add_argument("--recipe", default="xray", choices=augment.RECIPES[1:])
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["MEDKIT_CACHE"] = str(Path(folder) / "cache")
        TASK.draw(Path(folder) / "data", n_train=asked.people, n_test=1, size=asked.source_size)
        cases = TASK.read(Path(folder) / "data", "train")
        way = windows if asked.patch_size else compare
        way(cases, asked.image_size, asked.recipe, asked.patch_size)


def windows(cases: Any, size: int, recipe: str, patch: int) -> None:
    config = mk.Config("handbone", image_size=size, patch_size=patch)
    ours = make_dataset(TASK, config, cases, progress=False).augmented(recipe)
    usual, count = Usual(cases, size, recipe, patch), len(cases)
    print(f"{count} pictures, windows of {patch} px of {size}, 29 classes, augment={recipe!r}")
    items(usual, ours, count)


def items(usual: Usual, ours: Any, count: int) -> None:
    """Each alone, and all of them by a loader with a worker."""
    item = least(lambda k: usual[0, k, k], count, 1), least(lambda k: ours[0, k, k], count)
    tell("an item", *item)
    plain_loader = partial(DataLoader, persistent_workers=True)
    slow, fast = one_pass(plain_loader, usual, count), one_pass(make_loader, ours, count)
    print(
        f"{'a pass, one worker':<30} {slow:8.2f} s usual, {fast:8.3f} s ours: {slow / fast:.1f} x"
    )


def compare(cases: Any, size: int, recipe: str, patch: int) -> None:
    config = mk.Config("handbone", image_size=size)
    began = time.process_time()
    stored = make_dataset(TASK, config, cases, progress=False)
    built = (time.process_time() - began) / len(cases) * 1e3
    count, usual = len(cases), Usual(cases, size, recipe)
    print(f"{count} pictures, {size} px, 29 classes, augment={recipe!r}")
    print(f"{'store, once':<30} {built:8.1f} ms an image")
    tell("labels and picture", least(usual.load, count, 1), least(lambda k: read(stored, k), count))
    image, masks = usual.load(0)
    bits = stored.labels.bits(0)
    same(image, bits, recipe)
    steps, transform = augment.compose(recipe), augment.make_transform(recipe)
    planes = [np.ascontiguousarray(plane) for plane in masks.transpose(2, 0, 1)]

    def alone(k: int) -> Any:
        with seeding.reseeded(steps, "augment", k):
            return steps(image=image)

    def of_planes(k: int) -> Any:
        with seeding.reseeded(steps, "augment", k):
            return steps(image=image, mask=masks)

    def of_list(k: int) -> Any:
        with seeding.reseeded(steps, "augment", k):
            return steps(image=image, masks=planes)

    def of_bits(k: int) -> Any:
        return transform(image, k, bits=bits)

    plain, usual_ms, ours_ms = (least(way, count) for way in (alone, of_planes, of_bits))
    tell("augmentation, (S, S, 29)", usual_ms, ours_ms)
    tell("augmentation, 29 planes", least(of_list, count), ours_ms)
    tell("  of which the masks", usual_ms - plain, max(1e-3, ours_ms - plain))
    warp(image, masks, bits)
    ours = stored.augmented(recipe)
    items(usual, ours, count)


def read(stored: Any, row: int) -> None:
    stored.cache[row], stored.labels.bits(row).copy()


def same(image: np.ndarray, bits: np.ndarray, recipe: str) -> None:
    """Bits are moved as the planes are."""
    planes = unpacked(bits, len(BONES))
    steps, transform = augment.compose(recipe), augment.make_transform(recipe)
    with seeding.reseeded(steps, "augment", 1):
        wanted = steps(image=image, mask=planes)["mask"]
    assert np.array_equal(unpacked(transform(image, 1, bits=bits)[1], len(BONES)), wanted)


def warp(image: np.ndarray, masks: np.ndarray, bits: np.ndarray) -> None:
    """The warp of labels alone, which is what bits make cheap."""
    size = image.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), 12, 1.05)

    def planes(k: int) -> Any:
        return [
            cv2.warpAffine(np.ascontiguousarray(masks[..., n]), matrix, (size, size), flags=0)
            for n in range(masks.shape[2])
        ]

    def moved(k: int) -> Any:
        return cv2.warpAffine(bits, matrix, (size, size), flags=cv2.INTER_NEAREST)

    tell("the warp of labels alone", least(planes, 4), least(moved, 4))


if __name__ == "__main__":
    main()
