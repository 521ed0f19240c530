"""Before a long run: which batch size, and how much memory and time it takes."""

from __future__ import annotations

import copy
import math
import statistics
import time
from dataclasses import dataclass, replace

import pandas as pd
import torch

from medkit import machine
from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.devices import find_device, free_memory, is_out_of_memory, torch_settings
from medkit.errors import ConfigError, RunError
from medkit.loading.labels import label_type
from medkit.loading.loader import Batch
from medkit.progress import Status, clock
from medkit.runs.config import Config
from medkit.training.distilling import models_of, new_student
from medkit.training.losses import Objective
from medkit.training.memory import MEASURED, training_bytes
from medkit.training.optimizing import average, make_optimizer, state_bytes
from medkit.training.plan import make_plan
from medkit.training.preparing import place_model
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

STEPS_TIMED = 3  # at least, after one that warms up
ENOUGH_S = 0.5  # of timing
GAIN = 1.05  # in images/s that a doubled batch must bring
ROOM = 0.8  # of the RAM that a step may take: beyond it no error tells, the process is killed


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

    Args:
        most: the largest size to try.
        device: as `fit` takes it.

    Returns:
        `table` has `batch_size`, `images_per_s` and, of a GPU, `peak_bytes`.

    Raises:
        RunError: when not even two images fit.

    Example:
        >>> sizes = mk.find_batch_size(config, most=4, device="cpu", progress=False)
        >>> sizes.suggestion in (2, 4)
        True
    """
    check_arguments(find_batch_size, locals())
    if most < 2:
        raise ConfigError(f"find_batch_size: most={most} (expected 2 or more).")
    place = find_device(device)
    model = new_student(get_task(config.task), config)
    status, rows, size = Status(enabled=progress), [], 2
    why = f"{most} was the most asked for"
    while size <= most:
        sized = replace(config, batch_size=size, micro_batch=0)
        needed = sum(training_bytes(student, sized, size) for student in models_of(model))
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
        raise RunError(
            f"find_batch_size: {why}. Take a smaller image_size or model, or a device that is free."
        )
    return BatchSizes(pd.DataFrame(rows), size // 2, why)  # each was faster than the one before


def _try_steps(config: Config, device: torch.device) -> dict[str, float] | None:
    """Some whole steps on empty pictures; None when memory runs out."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    row = None
    try:
        with torch_settings(device, is_exact=config.deterministic):
            row = _timed_steps(config, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    free_memory()  # outside the handler: its traceback would hold the memory
    if device.type == "cuda" and row is not None:
        row["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    return row


def _timed_steps(config: Config, device: torch.device) -> dict[str, float]:
    task, count = get_task(config.task), config.batch_size
    model = place_model(new_student(task, config), config, device, Ranks()).train()
    student, size = models_of(model)[0], config.input_size
    if device.type == "cpu" and student.grows_by_area:
        size = min(size, MEASURED)  # a large picture takes gigabytes, and seconds
    ema = copy.deepcopy(model).eval() if config.ema_decay else None
    labels = label_type(task).blank(task, count, size)
    objective = Objective(task, config, torch.zeros(count, len(task.heads)))
    stepper = Stepper(objective, config, model, Ranks(), print)
    optimizer = make_optimizer(model, config)
    pictures = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    batch = Batch(pictures, labels, torch.zeros(count, student.n_facts), torch.arange(count))
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
    images_per_s = count / statistics.median(times[1:]) * (size / config.input_size) ** 2
    return {"batch_size": count, "images_per_s": images_per_s}


@dataclass(frozen=True)
class Estimate:
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


def estimate(
    config: Config,
    cases: pd.DataFrame | None = None,
    *,
    fold: int | None = 0,
    device: str | None = None,
) -> Estimate:
    """Weights, state, memory and, with cases, the time of a run, from a few steps.

    Loading is not in the time: `fit` loads while it computes. Memory is reckoned
    by sending a small picture through on the CPU.

    Args:
        cases: labelled, with `fold`; without them the time is not told.
        fold: that is held out.
        device: on which steps are timed, as `fit` takes it.

    Returns:
        `weights` (how many), `state_bytes` (of a saved state), `training_bytes` (what a step takes
        on the device) and, with cases, `steps` an epoch, `epoch_s` and `run_s`, in seconds.

    Raises:
        RunError: when memory runs out.

    Example:
        >>> told = mk.estimate(config, device="cpu")
        >>> told.weights < 1_000_000 and told.training_bytes > told.weights
        True
    """
    check_arguments(estimate, locals())
    place = find_device(device)
    task = get_task(config.task)
    plan = None if cases is None else make_plan(task, config, cases, fold)
    model = new_student(task, config)
    weights = sum(p.numel() for p in model.parameters())
    images = config.micro_batch or config.batch_size
    facts = {
        "model": config.model,
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        "weights": weights,
        "state_bytes": state_bytes(model, config),
        "training_bytes": sum(training_bytes(m, config, images) for m in models_of(model)),
    }
    if plan is None:
        return Estimate(**facts)
    size = plan.step_size
    row = _try_steps(replace(config, batch_size=size), place)
    if row is None:
        raise RunError(
            f"estimate: memory ran out with {size} images. mk.find_batch_size(config) finds a size."
        )
    epoch_s = plan.steps * size / row["images_per_s"]
    return Estimate(**facts, steps=plan.steps, epoch_s=epoch_s, run_s=config.epochs * epoch_s)
