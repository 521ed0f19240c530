"""From cases to batches: uint8 pictures, labels by head, facts; in an order that has a key."""

from __future__ import annotations

import copy
import signal
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple, Sequence

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from medkit import seeding
from medkit.datasets.kinds import MASKS
from medkit.datasets.task import Task
from medkit.images import decode, windows
from medkit.images.crop import place_in_square
from medkit.loading import augment
from medkit.loading.cache import Cache, open_cache
from medkit.loading.facts import encode_facts
from medkit.loading.labels import label_type
from medkit.runs.config import Config


class Batch(NamedTuple):
    """What the loader yields; N cases, S pixels a side."""

    images: torch.Tensor  # (N, 3, S, S) uint8
    labels: torch.Tensor  # (N, ...): see `labels.LABELS`
    facts: torch.Tensor  # (N, F) float32 one-hot, F may be 0
    rows: torch.Tensor  # (N,) int64, rows of the table of cases


class CaseDataset(Dataset):
    """Cases as tensors. A key is (epoch, position, row); validation uses position 0 of epoch 0.

    Args:
        cases: visible rows, in the order of `cache`.
        recipe: an augmentation recipe, or None to show pictures as they are.
        patch_size: pixels of the window that is shown of an augmented picture; 0 shows all of it.
        patch_foreground: share of windows that are laid around a pixel of a mask.

    Attributes:
        places: (x, y, width, height) of each picture in its square, where there are windows.
    """

    def __init__(
        self,
        task: Task,
        cases: pd.DataFrame,
        cache: Cache,
        *,
        facts: Sequence[str] = (),
        recipe: str | None = None,
        seed: int = 0,
        patch_size: int = 0,
        patch_foreground: float = 0.0,
    ):
        self.cache, self.seed, self.recipe = cache, seed, recipe
        self.patch_size, self.patch_foreground = patch_size, patch_foreground
        self.places = _places(cases, cache.shape[1]) if patch_size else []
        self.labels = label_type(task)(task, cases, cache)
        self.facts, self.mirrored_facts = encode_facts(task, cases, facts)
        self.flips = task.mirror
        self._transform = None

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, key: tuple[int, int, int]) -> Batch:
        epoch, position, row = key
        facts = self.facts
        image, bits = self._shown(*key)
        if self.recipe is not None:
            if self._transform is None:  # made in the worker: albumentations need not travel
                self._transform = augment.make_transform(self.recipe)
            rng = seeding.generator("mirror", self.seed, epoch, position)
            image, bits, mirrored = augment.mirror(image, self.flips, rng, bits=bits)
            facts = self.mirrored_facts if mirrored else facts
            image, bits = self._transform(image, self.seed, epoch, position, bits=bits)
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        label = self.labels[row] if bits is None else torch.from_numpy(bits)
        return Batch(tensor, label, facts[row], torch.tensor(row))

    def _shown(self, epoch: int, position: int, row: int) -> augment.Pair:
        """A picture and the bits of its masks, or a window of both: copies, to be worked on."""
        bits, part = self.labels.bits(row), (slice(None), slice(None))
        if self.patch_size and self.recipe is not None:
            rng = seeding.generator("window", self.seed, epoch, position)
            around = bits if rng.random() < self.patch_foreground else None
            whole, size = self.cache.shape[1], self.patch_size
            x, y = windows.random_corner(rng, self.places[row], size, whole, bits=around)
            part = slice(y, y + size), slice(x, x + size)
        image = self.cache.view(row)[part].copy()
        return image, None if bits is None else bits[part].copy()

    def augmented(self, recipe: str) -> CaseDataset:
        """The same cases, mirrored and augmented."""
        twin = copy.copy(self)
        twin.recipe, twin._transform = recipe, None
        return twin

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_transform": None}


def make_dataset(
    task: Task,
    config: Config,
    cases: pd.DataFrame,
    *,
    recipe: str | None = None,
    cache_folder: Path | str | None = None,
    progress: bool = True,
) -> CaseDataset:
    """Visible cases as a dataset, over their decoded store."""
    cache = open_cache(
        cases,
        image_size=config.image_size,
        region_margin=config.region_margin,
        region_mask=config.region_mask,
        contrast=config.contrast,
        aligned=label_type(task).is_stored,
        masks_of=task if _have_masks(task, cases) else None,
        folder=cache_folder,
        progress=progress,
    )
    return CaseDataset(
        task,
        cases,
        cache,
        facts=config.facts,
        recipe=recipe,
        seed=config.seed,
        patch_size=config.patch_size,
        patch_foreground=config.patch_foreground,
    )


def _places(cases: pd.DataFrame, size: int) -> list[windows.Box]:
    """Where pictures lie in squares of this size."""
    return [place_in_square(*decode.size(path), size) for path in cases["path"]]


def _have_masks(task: Task, cases: pd.DataFrame) -> bool:
    """Whether what is true of each case lies in files beside its picture."""
    return label_type(task).is_stored and MASKS in cases and bool(cases[MASKS].notna().all())


class KeyedSampler(Sampler):
    """Yields (epoch, position, row) in an order set by (seed, epoch) alone.

    `epoch` and `first` (the step to go on from) are set before each epoch.

    Args:
        count: rows an epoch; beyond all of them, they are shown again in another order.
        batch_size: rows a step.
        weights: (rows,) chances to be drawn, with replacement; None shows no row twice.
        part: which part of each step's rows is yielded: (rank, ranks).
    """

    def __init__(
        self,
        rows: np.ndarray,
        seed: int,
        *,
        count: int,
        batch_size: int = 1,
        weights: np.ndarray | None = None,
        part: tuple[int, int] = (0, 1),
    ):
        self.rows, self.seed, self.count, self.batch_size = rows, seed, count, batch_size
        self.weights, self.part = weights, part
        self.epoch = self.first = 0

    def __len__(self) -> int:
        return sum(len(self._positions(step)) for step in range(self.first, self._steps()))

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        order = self.order(self.epoch)
        for step in range(self.first, self._steps()):
            for position in self._positions(step):
                yield self.epoch, position, int(order[position])

    @property
    def share(self) -> int:
        """Rows of a step that are this part's."""
        return len(self._positions(0))

    def order(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, at least; `batch_size` of them a step."""
        rng = seeding.generator("order", self.seed, epoch)
        if self.weights is None:
            rounds = max(1, -(-self.count // len(self.rows)))
            return np.concatenate([rng.permutation(self.rows) for _ in range(rounds)])
        size = max(len(self.rows), self.count)
        return rng.choice(self.rows, size, p=self.weights / self.weights.sum())

    def _steps(self) -> int:
        return -(-self.count // self.batch_size)

    def _positions(self, step: int) -> range:
        """This part's positions of one step."""
        first = step * self.batch_size
        length = min(self.count - first, self.batch_size)
        rank, ranks = self.part
        return range(first + length * rank // ranks, first + length * (rank + 1) // ranks)


def make_loader(
    dataset: CaseDataset,
    sampler: Sampler,
    *,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader:
    """A DataLoader that draws nothing from the global generators."""
    return DataLoader(
        dataset,
        int(batch_size),
        sampler=sampler,
        num_workers=int(num_workers),
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # else each iterator takes a seed from the global one
        worker_init_fn=_quiet_worker,
        collate_fn=_collate,
    )


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; a GPU takes the next one in while it computes on this one."""
    if device.type != "cuda":
        yield from batches
        return
    side, main = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    for batch in batches:
        with torch.cuda.stream(side):
            moved = Batch(*(part.to(device, non_blocking=True) for part in batch))
        main.wait_stream(side)
        for part in moved:
            part.record_stream(main)
        yield moved


def _collate(cases: list[Batch]) -> Batch:
    return Batch(*(torch.stack(column) for column in zip(*cases)))


def _quiet_worker(worker: int) -> None:
    """Leave signals to the parent, which finishes its step and saves, and then ends its workers."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)  # not 1: that joins threads which a fork has left behind, and hangs
