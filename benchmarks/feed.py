"""How fast pictures reach the model: our loader, a home-made one, and what a training step loses.

    python benchmarks/feed.py --data path/to/Dataset [--part build loaders fed] [--image-size 224]

build: filling the cache, beside bare `cv2.imread` and decoding at full size, with as many threads.
loaders: images a second from the cache, from the originals, and of a plain script (ImageFolder,
albumentations, DataLoader) with the same files, order and recipe, which normalises in the worker.
fed: images a second of a training step that is fed, over those of one that has its batch already.
Real photos, their teeth, and drawn photos of 1 and 12 megapixels. Measurements take turns; the
start of workers is left out; printed is the median, with the least and most in brackets.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterable

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import medkit as mk
from medkit import machine
from medkit.images import crop
from medkit.loading import augment
from medkit.loading.cache import open_cache, squares
from medkit.loading.loader import CaseDataset, KeyedSampler, make_dataset, make_loader
from medkit.models.factory import new_model
from medkit.tables import visible
from medkit.training.losses import Objective
from medkit.training.optimizing import make_optimizer

BATCH = 64
TASK = mk.get_task("caries")


class Originals:
    """In place of a cache: decodes and crops at each access."""

    def __init__(self, cases: pd.DataFrame, config: mk.Config):
        self.paths, self.settings = list(cases["path"]), shape(config)
        self.regions = list(cases["region"]) if "region" in cases else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        regions = [self.regions[row]] if self.regions else None
        return squares(self.paths[row], regions, self.settings)[0]


def shape(config: mk.Config) -> dict[str, Any]:
    """What `squares` wants to know."""
    size, margin, mask = config.image_size, config.region_margin, config.region_mask
    return {"size": size, "margin": margin, "mask": mask}


def plain(cases: pd.DataFrame, config: mk.Config, folder: Path) -> ImageFolder:
    """The dataset of a home-made script, over links to the same files; item k is row k of `cases`.

    A tooth is cut out of its photo by Pillow, with our margin.
    """
    import albumentations as A
    from albumentations.pytorch import ToTensorV2

    size, margin = config.image_size, config.region_margin
    black = {"fill": 0} if A.__version__ >= "2" else {"value": 0}
    links = []
    for row, (path, label) in enumerate(zip(cases["path"], cases["decayed"])):
        links.append(folder / str(label) / f"{row:06}{Path(path).suffix}")
        links[-1].parent.mkdir(parents=True, exist_ok=True)
        links[-1].symlink_to(Path(path).resolve())
    steps = [
        A.LongestMaxSize(max_size=size),
        A.PadIfNeeded(min_height=size, min_width=size, border_mode=cv2.BORDER_CONSTANT, **black),
        A.HorizontalFlip(p=0.5),
        *augment.compose(config.augment).transforms,
        A.Normalize(),
        ToTensorV2(),
    ]
    recipe = A.Compose(steps)
    dataset = ImageFolder(folder, transform=lambda image: recipe(image=np.asarray(image))["image"])
    dataset.samples.sort(key=lambda sample: Path(sample[0]).stem)
    if "region" in cases:
        load, regions = dataset.loader, list(cases["region"])

        def load_tooth(path: str) -> Any:
            left, top, side = crop.window(regions[int(Path(path).stem)], margin)
            return load(path).crop((left, top, left + side, top + side))

        dataset.loader = load_tooth
    return dataset


def rate(batches: Iterable, seconds: float) -> float:
    """Images a second after the first batch, until the batches or the seconds are over."""
    iterator = iter(batches)
    next(iterator)
    began, images, elapsed = time.perf_counter(), 0, 0.0
    for batch in iterator:
        images += len(batch[0])
        elapsed = time.perf_counter() - began
        if elapsed > seconds:
            break
    return images / elapsed


def take_turns(
    ways: dict[str, Callable[[], float]], repeats: int, before: Callable[[], None]
) -> dict[str, list[float]]:
    """What each way measured, one after the other, backwards every second time."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name in list(ways)[:: 1 - 2 * (turn % 2)]:
            before()
            found[name].append(ways[name]())
    return found


def spread(values: list[float], digits: int = 0) -> str:
    """The median, with the least and most."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def forget(paths: Iterable[Path | str]) -> None:
    """Ask the system to drop these files from its page cache."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def compare_loaders(
    cases: pd.DataFrame, size: int, workers: int, arguments: argparse.Namespace, folder: Path
) -> None:
    """Print images a second of the three ways, warm, and cold over one epoch."""
    config = mk.Config(TASK.name, image_size=size)
    cached = make_dataset(TASK, config, cases, cache_folder=folder / "cache", progress=False)
    with tempfile.TemporaryDirectory(dir=folder) as links:
        home_made = plain(cases, config, Path(links))
        for state in arguments.state:
            rows = np.arange(len(cases)) if state == "cold" else np.tile(np.arange(len(cases)), 400)
            # too few for two batches: let an epoch show each picture twice
            rows = np.tile(rows, -(-2 * BATCH // len(rows)))

            def ours(cache: Any, rows: np.ndarray = rows) -> float:
                dataset = CaseDataset(TASK, cases, cache, recipe=config.augment)
                sampler = KeyedSampler(rows, 0, count=len(rows), batch_size=BATCH)
                loader = make_loader(dataset, sampler, batch_size=BATCH, num_workers=workers)
                return rate(loader, arguments.seconds)

            def theirs(rows: np.ndarray = rows) -> float:
                order = KeyedSampler(rows, 0, count=len(rows), batch_size=BATCH).order(0).tolist()
                return rate(
                    DataLoader(home_made, BATCH, sampler=order, num_workers=workers),
                    arguments.seconds,
                )

            def before(state: str = state) -> None:
                if state == "cold":
                    forget([cached.cache.path, *cases["path"].unique()])

            fresh = cached.cache.__class__
            ways = {
                "cache": lambda fresh=fresh: ours(fresh(cached.cache.path, len(cases), size)),
                "originals": lambda: ours(Originals(cases, config)),
                "plain": theirs,
            }
            found = take_turns(ways, arguments.repeats, before)
            ratios = [a / b for a, b in zip(found["cache"], found["plain"])]
            print(
                f"  {size} px, {workers} workers, {state}: "
                + ", ".join(f"{name} {spread(values)}/s" for name, values in found.items())
                + f"; cache / plain {spread(ratios, 1)}",
                flush=True,
            )


def compare_builds(cases: pd.DataFrame, size: int, repeats: int, folder: Path) -> None:
    """Print photos a second into a new cache, and of decoding alone."""
    config, threads = mk.Config(TASK.name, image_size=size), machine.cores()
    paths = list(cases["path"].unique())

    def build() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            how = {"region_margin": config.region_margin, "region_mask": config.region_mask}
            began = time.perf_counter()
            open_cache(cases, image_size=size, folder=cache, progress=False, **how)
            return len(paths) / (time.perf_counter() - began)

    def over_threads(work: Callable[[str], Any]) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, paths):
                continue
        return len(paths) / (time.perf_counter() - began)

    def full(path: str) -> None:
        image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        crop.pad_to_square(image, size=size)

    ways = {
        "our build": build,
        "bare cv2.imread": lambda: over_threads(lambda path: cv2.imread(path).shape),
        "decoded at full size": lambda: over_threads(full),
    }
    found = take_turns(ways, repeats, lambda: None)
    print(
        f"  {size} px, {threads} threads: "
        + ", ".join(f"{name} {spread(values, 1)}" for name, values in found.items())
        + " photos/s; "
        + ", ".join(
            f"to {name} {spread([a / b for a, b in zip(found['our build'], found[name])], 2)}"
            for name in list(ways)[1:]
        ),
        flush=True,
    )


def compare_fed(
    cases: pd.DataFrame, size: int, workers: int, arguments: argparse.Namespace, folder: Path
) -> None:
    """Print images a second of forward, backward and AdamW: fed, and on one constant batch."""
    config = mk.Config(TASK.name, image_size=size, batch_size=BATCH)
    model = new_model(TASK, config).train()
    optimizer = make_optimizer(model, config)
    dataset = make_dataset(
        TASK, config, cases, recipe=config.augment, cache_folder=folder / "cache", progress=False
    )
    rows = np.tile(np.arange(len(cases)), -(-(arguments.steps + 1) * BATCH // len(cases)))
    sampler = KeyedSampler(rows, 0, count=(arguments.steps + 1) * BATCH, batch_size=BATCH)
    loader = make_loader(dataset, sampler, batch_size=BATCH, num_workers=workers)
    constant, objective = next(iter(loader)), Objective(TASK, config, dataset.labels[:])

    def steps(batches: Iterable) -> Iterable:
        for batch in batches:
            loss = objective(model(batch.images, batch.facts), batch.labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield batch

    ways = {
        "fed": lambda: rate(steps(loader), 1e9),
        "constant batch": lambda: rate(steps([constant] * (arguments.steps + 1)), 1e9),
        "constant again": lambda: rate(steps([constant] * (arguments.steps + 1)), 1e9),
    }
    take_turns(ways, 1, lambda: None)  # warms up
    found = take_turns(ways, arguments.repeats, lambda: None)
    base = found["constant batch"]
    ratios = [a / b for a, b in zip(found["fed"], base)]
    noise = [a / b for a, b in zip(found["constant again"], base)]
    print(
        f"  {config.model}, {size} px, {workers} workers: "
        + ", ".join(f"{name} {spread(values)}/s" for name, values in found.items())
        + f"; fed ratio {spread(ratios, 3)}, "
        f"where the constant batch against itself gives {spread(noise, 3)}",
        flush=True,
    )


def draw(folder: Path, width: int, height: int, count: int) -> pd.DataFrame:
    """Photos of smooth shapes and noise, 8 different ones and copies of them, as JPEG."""
    rng, paths = np.random.default_rng(0), []
    for k in range(count):
        paths.append(folder / f"{width}x{height}_{k}.jpg")
        if k >= 8:
            shutil.copyfile(paths[k % 8], paths[k])
            continue
        colours = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        image = cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 6, (height, width, 1))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(paths[k]), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return pd.DataFrame({"path": [str(path) for path in paths], "decayed": "sound"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--part", nargs="*", default=["build", "loaders", "fed"])
    parser.add_argument("--sets", nargs="*", default=["photos", "teeth", "1 MP", "12 MP"])
    parser.add_argument("--state", nargs="*", default=["warm", "cold"])
    parser.add_argument("--image-size", type=int, nargs="*", default=[224, 512])
    parser.add_argument("--fed-size", type=int, default=96)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of the reading: some records are quarantined
    cv2.setNumThreads(0)  # as in our workers; the plain script has no more of them
    teeth = visible(TASK.read(arguments.data, "train")).reset_index(drop=True)
    photos = teeth.drop_duplicates("path").drop(columns="region").reset_index(drop=True)
    print(f"torch {torch.__version__}, {machine.cores()} cores, batches of {BATCH}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {
            "photos": lambda: photos,
            "teeth": lambda: teeth,
            "1 MP": lambda: draw(folder, 1200, 900, 256),
            "12 MP": lambda: draw(folder, 4000, 3000, 128),
        }
        for chosen in arguments.sets if {"build", "loaders"} & set(arguments.part) else ():
            cases = sets[chosen]()
            print(f"{chosen}: {len(cases):,} pictures of {cases['path'].nunique():,} files")
            for size in arguments.image_size:
                if "build" in arguments.part:
                    compare_builds(cases, size, arguments.repeats, folder)
                for workers in arguments.workers if "loaders" in arguments.part else ():
                    compare_loaders(cases, size, workers, arguments, folder)
        for workers in arguments.workers if "fed" in arguments.part else ():
            compare_fed(teeth, arguments.fed_size, workers, arguments, folder)


if __name__ == "__main__":
    main()
