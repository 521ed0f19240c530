"""Before a long run: which learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

import numpy as np
import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.devices import find_device, torch_settings
from medkit.errors import ConfigError
from medkit.loading.loader import Batch, CaseDataset, make_dataset, make_loader
from medkit.progress import Status, track
from medkit.runs.config import Config
from medkit.training.distilling import ask_teachers
from medkit.training.optimizing import make_optimizer
from medkit.training.plan import Plan, make_plan
from medkit.training.preparing import place_model
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

SMOOTHING = 0.9  # of the loss over steps, debiased
EXPLODED = 4.0  # times the least smoothed loss: there the search ends
LEFT_OUT = 0.2  # of the steps at the start, where the smoothed loss is not settled yet
NOISE = 5.0  # standard errors of the smoothed loss that it must fall: a flat one does in 1 of 50
WINDOW = 0.1  # of the steps, over which a fall is measured: one step's is mostly noise


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
    fold: int | None = 0,
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
    is written but the cache of pictures, and the same config gives the same curve, on
    a GPU with `deterministic=True`.

    Args:
        fold: that is held out, so that what is tried is what `fit` trains on.
        steps: rates to try, of one batch each.
        smallest, largest: the first rate and the last.
        num_workers, device, cache_folder, progress: as `fit` takes them.

    Raises:
        ConfigError: when the loss falls nowhere.
    Source: Smith, arXiv 1506.01186, section 3.3.

    Example:
        >>> rates = mk.lr_find(config, cases, steps=50, progress=False)
        >>> 1e-6 < rates.suggestion < 1
        True
    """
    check_arguments(lr_find, locals())
    if not (steps >= 10 and 0 < smallest < largest):
        raise ConfigError(
            f"lr_find: steps={steps}, smallest={smallest}, largest={largest} (expected 10 steps or "
            "more, and 0 < smallest < largest). Leave them out to take the usual ones."
        )
    place = find_device(device)
    plan = make_plan(get_task(config.task), config, cases, fold)  # refuses what `fit` refuses
    data = make_dataset(plan.task, config, plan.seen, cache_folder=cache_folder, progress=progress)
    batches = _batches(plan, data.augmented(config.augment), num_workers)
    rates = np.geomspace(smallest, largest, steps).tolist()
    with torch_settings(place, is_exact=config.deterministic):
        model = place_model(plan.new_model(), config, place, Ranks()).train()
        tell = Status(enabled=progress).line
        stepper = Stepper(plan.objective, config, model, Ranks(), tell)
        if config.teacher is not None:
            asked = {"fold": fold, "device": place, "cache_folder": cache_folder, "log": tell}
            soft, _ = ask_teachers(plan.task, config, plan.seen, plan.train_rows, **asked)
            stepper.soft = soft.to(place)
        losses = _climb(stepper, track(rates, "learning rates", enabled=progress), batches)
    curve = pd.DataFrame({"lr": rates[: len(losses)], "loss": losses, "smoothed": _smooth(losses)})
    return LearningRates(curve, steepest(curve))


def _batches(plan: Plan, data: CaseDataset, num_workers: int) -> Iterator[Batch]:
    """The whole batches that `fit` would train on, epoch after epoch."""
    sampler = plan.sampler()
    loader = make_loader(data, sampler, batch_size=plan.step_size, num_workers=num_workers)
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
        ConfigError: when it falls nowhere, or by no more than batches differ.
    """
    smoothed, rates = curve["smoothed"].to_numpy(float), curve["lr"].to_numpy(float)
    first = int(LEFT_OUT * len(curve))
    known = np.where(np.isfinite(smoothed), smoothed, np.inf)
    last = first + int(known[first:].argmin())
    half = max(1, int(WINDOW * len(curve)) // 2)
    fall = known[first] - known[last] if last - first > 2 * half else 0.0
    if fall <= 0 or fall <= NOISE * _noise(curve["loss"][: last + 1]):
        raise ConfigError(
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
