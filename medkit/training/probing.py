"""Before a long run: how large it is, which learning rate, which batch size."""

from __future__ import annotations

import copy
import gc
import math
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, Iterator

import numpy as np
import pandas as pd
import torch

from medkit import machine
from medkit.datasets import get_task
from medkit.inference.predicting import (
    default_device,
    is_out_of_memory,
    make_dataset,
)
from medkit.loading.loader import Batch, CaseDataset, KeyedSampler, class_weights, make_loader
from medkit.progress import Status, clock, track
from medkit.runs.config import Config
from medkit.training.distilling import ask_teachers, new_student, students
from medkit.training.fitting import torch_settings
from medkit.training.loop import Loop, place_model
from medkit.training.losses import Objective
from medkit.training.neighbours import training_bytes
from medkit.training.optimizing import average, make_optimizer
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

SMOOTHING = 0.9  # of the loss over steps, debiased
EXPLODED = 4.0  # times the least smoothed loss: there the search ends
LEFT_OUT = 0.2  # of the steps at the start, where the smoothed loss is not settled yet
NOISE = 5.0  # standard errors of the smoothed loss that it must fall: a flat one does in 1 of 50
WINDOW = 0.1  # of the steps, over which a fall is measured: one step's is mostly noise
STEPS_TIMED = 3  # at least, after one that warms up
ENOUGH_S = 0.5  # of timing
GAIN = 1.05  # in images/s that a doubled batch must bring
ROOM = 0.8  # of the RAM that a step may take: beyond it no error tells, the process is killed


@dataclass(frozen=True)
class LearningRates:
    """What `lr_find` found: `curve` (`lr`, `loss`, `smoothed`, a row a step) and `suggestion`."""

    curve: pd.DataFrame
    suggestion: float

    def __repr__(self) -> str:
        return f"peak_lr={self.suggestion:.1e} ({len(self.curve)} learning rates tried)"


def lr_find(
    config: Config,
    cases: pd.DataFrame,
    *,
    fold: int = 0,
    steps: int = 100,
    smallest: float = 1e-6,
    largest: float = 1.0,
    num_workers: int = 0,
    device: str | None = None,
    cache_folder: Path | str | None = None,
    progress: bool = True,
) -> LearningRates:
    """Try learning rates from small to large, one a step, on a model that is thrown away.

    The suggestion is where the smoothed loss falls fastest over the logarithm of the rate. Nothing
    is written but the cache of pictures, and the same config gives the same curve.

    Raises:
        ValueError: when the loss falls nowhere.
    Source: Smith, arXiv 1506.01186, section 3.3.
    """
    if not (steps >= 10 and 0 < smallest < largest):
        raise ValueError(
            f"lr_find: steps={steps}, smallest={smallest}, largest={largest} (expected 10 steps or "
            "more, and 0 < smallest < largest). Leave them out to take the usual ones."
        )
    place = torch.device(device or default_device())
    loop = Loop(get_task(config.task), config, cases, fold)  # refuses what `fit` refuses
    data = make_dataset(loop.task, config, loop.seen, cache_folder=cache_folder, progress=progress)
    batches = _batches(loop, data.augmented(config.augment), num_workers)
    rates = np.geomspace(smallest, largest, steps).tolist()
    with torch_settings(config, place):
        model = place_model(loop.model, config, place, Ranks()).train()
        tell = Status(enabled=progress).line
        stepper = Stepper(loop.objective, config, model, Ranks(), tell)
        if config.teacher is not None:
            asked = {"fold": fold, "device": place, "cache_folder": cache_folder, "log": tell}
            soft, _ = ask_teachers(loop.task, config, loop.seen, loop.train_rows, **asked)
            stepper.soft = soft.to(place)
        losses = _climb(stepper, track(rates, "learning rates", enabled=progress), batches)
    curve = pd.DataFrame({"lr": rates[: len(losses)], "loss": losses, "smoothed": _smooth(losses)})
    return LearningRates(curve, steepest(curve))


def _batches(loop: Loop, data: CaseDataset, num_workers: int) -> Iterator[Batch]:
    """The whole batches that `fit` would train on, epoch after epoch."""
    config, rows = loop.config, loop.train_rows
    size = min(config.batch_size, len(rows))
    weights = class_weights(loop.labels)[rows] if config.balanced else None
    sampler = KeyedSampler(
        rows, config.seed, count=loop.steps * size, batch_size=size, weights=weights
    )
    loader = make_loader(data, sampler, batch_size=size, num_workers=num_workers)
    while True:
        yield from loader
        sampler.epoch += 1


def _climb(stepper: Stepper, rates: Iterable[float], batches: Iterator[Batch]) -> list[float]:
    """The losses of steps at these learning rates, up to where they explode."""
    optimizer, losses = make_optimizer(stepper.model, stepper.config), []
    for step, (rate, batch) in enumerate(zip(rates, batches)):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, _ = stepper.gradients(batch, 0, step)
        stepper.descend(optimizer)
        losses.append(float(loss))
        smoothed = _smooth(losses)
        if not smoothed[-1] <= EXPLODED * min(smoothed):  # not a number ends it, too
            break
    return losses


def steepest(curve: pd.DataFrame) -> float:
    """The middle of the window in which the smoothed loss falls most, before its least value.

    Raises:
        ValueError: when it falls nowhere, or by no more than batches differ.
    """
    smoothed, rates = curve["smoothed"].to_numpy(float), curve["lr"].to_numpy(float)
    first = int(LEFT_OUT * len(curve))
    known = np.where(np.isfinite(smoothed), smoothed, np.inf)
    last = first + int(known[first:].argmin())
    half = max(1, int(WINDOW * len(curve)) // 2)
    fall = known[first] - known[last] if last - first > 2 * half else 0.0
    if fall <= 0 or fall <= NOISE * _noise(curve["loss"][: last + 1]):
        raise ValueError(
            f"lr_find: the loss falls nowhere between {rates[0]:.0e} and {rates[-1]:.0e} by more "
            f"than batches differ ({len(curve)} steps). Take more `steps` or a larger batch_size, "
            "or another range from `smallest` to `largest`."
        )
    falls = smoothed[first : last + 1 - 2 * half] - smoothed[first + 2 * half : last + 1]
    return float(rates[first + half + falls.argmax()])


def _noise(losses: pd.Series) -> float:
    """Standard error of smoothed losses, from how neighbouring steps differ."""
    scatter = float(losses.diff().abs().median()) / (2**0.5 * 0.6745)  # 0.6745: of a normal one
    return scatter * ((1 - SMOOTHING) / (1 + SMOOTHING)) ** 0.5


def _smooth(losses: list[float]) -> list[float]:
    """Exponential mean, debiased as Adam's moments are."""
    mean, smoothed = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**count))
    return smoothed


@dataclass(frozen=True)
class BatchSizes:
    """What `find_batch_size` found: `table`, a row a size that ran, and `suggestion`."""

    table: pd.DataFrame
    suggestion: int
    why: str

    def __repr__(self) -> str:
        return f"batch_size={self.suggestion} ({self.why})"


def find_batch_size(
    config: Config, *, most: int = 1024, device: str | None = None, progress: bool = True
) -> BatchSizes:
    """The fastest batch size that ran whole steps: forward, backward and the optimizer's.

    Sizes are doubled until memory runs out, `most` is reached, or twice the images take twice the
    time. A neighbour may take memory later; `fit` copes with that.

    Returns:
        `table` has `batch_size`, `images_per_s` and, of a GPU, `peak_bytes`.

    Raises:
        RuntimeError: when not even two images fit.
    """
    if most < 2:
        raise ValueError(f"find_batch_size: most={most} (expected 2 or more).")
    place = torch.device(device or default_device())
    model = new_student(get_task(config.task), config)
    status, rows, size = Status(enabled=progress), [], 2
    why = f"{most} was the most asked for"
    while size <= most:
        sized = replace(config, batch_size=size, micro_batch=0)
        needed = sum(training_bytes(student, sized, size) for student in students(model))
        if place.type == "cpu" and needed > ROOM * (machine.memory_limit() or math.inf):
            why = f"{size} would take {needed / 1e9:.1f} GB of RAM"
            break
        row = _try_steps(sized, place)
        if row is None:
            why = f"memory ran out with {size}"
            break
        rows.append(row)
        status.line(f"batch size {size}: {row['images_per_s']:,.0f} images/s")
        if len(rows) > 1 and row["images_per_s"] < GAIN * rows[-2]["images_per_s"]:
            why = f"{size} is hardly faster than {size // 2}"
            return BatchSizes(pd.DataFrame(rows), size // 2, why)
        size *= 2
    if not rows:
        raise RuntimeError(
            f"find_batch_size: {why}. Take a smaller image_size or model, or a device that is free."
        )
    return BatchSizes(pd.DataFrame(rows), size // 2, why)  # each was faster than the one before


def _try_steps(config: Config, device: torch.device) -> dict[str, float] | None:
    """Some whole steps on empty pictures; None when memory runs out."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    row = None
    try:
        with torch_settings(config, device):
            row = _timed_steps(config, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()  # outside the handler: its traceback would hold the memory
    if device.type == "cuda":
        torch.cuda.empty_cache()
        if row is not None:
            row["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    return row


def _timed_steps(config: Config, device: torch.device) -> dict[str, float]:
    task, count, size = get_task(config.task), config.batch_size, config.image_size
    model = place_model(new_student(task, config), config, device, Ranks()).train()
    ema = copy.deepcopy(model).eval() if config.ema_decay else None
    labels = torch.zeros(count, len(task.heads))
    objective = Objective(task, config, labels)
    stepper = Stepper(objective, config, model, Ranks(), print)
    optimizer = make_optimizer(model, config)
    student = students(model)[0]
    n_facts = student.n_facts
    pictures = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    batch = Batch(pictures, labels, torch.zeros(count, n_facts), torch.arange(count))
    batch = Batch(*(part.to(device) for part in batch))
    counts = torch.full((len(task.heads) + 1,), count, device=device)
    times: list[float] = []
    while len(times) < 1 + STEPS_TIMED or (sum(times[1:]) < ENOUGH_S and len(times) < 50):
        began = time.perf_counter()
        loss = stepper.forward_backward(batch, counts, 0, len(times))
        stepper.descend(optimizer)
        if ema is not None:
            average(ema, model, config.ema_decay)
        float(loss)  # waits for the device
        times.append(time.perf_counter() - began)  # the first one makes the optimizer's state
    return {"batch_size": count, "images_per_s": count / statistics.median(times[1:])}


@dataclass(frozen=True)
class Summary:
    """How large a run is. Sizes in bytes, times in seconds; times None without cases."""

    model: str
    device: str
    weights: int
    state_bytes: int
    training_bytes: int
    steps: int | None = None
    epoch_s: float | None = None
    run_s: float | None = None

    def __repr__(self) -> str:
        lines = [
            f"{self.model} on {self.device}: {self.weights / 1e6:.1f} million weights",
            f"a saved state: {self.state_bytes / 1e6:,.0f} MB, two are kept",
            f"memory of a step: about {self.training_bytes / 1e9:.2f} GB",
        ]
        if self.steps is not None:
            lines.append(
                f"{self.steps:,} steps an epoch: about {clock(self.epoch_s)} an epoch, "
                f"{clock(self.run_s)} in all, without validation"
            )
        return "\n".join(lines)


def summary(
    config: Config, cases: pd.DataFrame | None = None, *, fold: int = 0, device: str | None = None
) -> Summary:
    """Weights, state, memory and, with cases, the time of a run, from a few steps.

    Loading is not in the time: `fit` loads while it computes.

    Raises:
        RuntimeError: when memory runs out.
    """
    place = torch.device(device or default_device())
    task = get_task(config.task)
    loop = None if cases is None else Loop(task, config, cases, fold)
    model = new_student(task, config) if loop is None else loop.model
    weights = sum(p.numel() for p in model.parameters())
    stored = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    moments = bool(config.momentum) if config.optimizer == "sgd" else 2
    copies = 1 + moments + bool(config.ema_decay)
    images = config.micro_batch or config.batch_size
    facts = {
        "model": config.model,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        "weights": weights,
        "state_bytes": copies * stored,
        "training_bytes": sum(training_bytes(m, config, images) for m in students(model)),
    }
    if loop is None:
        return Summary(**facts)
    size = min(config.batch_size, len(loop.train_rows))
    row = _try_steps(replace(config, batch_size=size), place)
    if row is None:
        raise RuntimeError(
            f"summary: memory ran out with {size} images. mk.find_batch_size(config) finds a size."
        )
    epoch_s = loop.steps * size / row["images_per_s"]
    return Summary(**facts, steps=loop.steps, epoch_s=epoch_s, run_s=config.epochs * epoch_s)
