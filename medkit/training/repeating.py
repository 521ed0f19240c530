"""The first steps of a run once more, to see at which one its loss departs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pandas as pd

from medkit.datasets.task import Task
from medkit.devices import find_device, torch_settings
from medkit.loading.loader import make_dataset, make_loader, on_device
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.training.plan import make_plan
from medkit.training.preparing import place_model
from medkit.training.ranks import Ranks
from medkit.training.state import State
from medkit.training.stepping import Stepper


def first_losses(
    task: Task,
    config: Config,
    cases: pd.DataFrame,
    *,
    fold: int | None,
    steps: int,
    device: str | None = None,
    cache_folder: Path | str | None = None,
) -> list[float]:
    """The losses of the first steps of a run's first epoch; nothing of it is kept.

    Args:
        steps: how many; an epoch that has fewer ends it.
    """
    plan, place = make_plan(task, config, cases, fold), find_device(device)
    data = make_dataset(task, config, plan.seen, cache_folder=cache_folder, progress=False)
    sampler = plan.sampler()
    loader = make_loader(data.augmented(config.augment), sampler, batch_size=sampler.share)
    with torch_settings(place, is_exact=config.deterministic):
        model = place_model(plan.new_model(), config, place, Ranks()).train()
        state = State(
            plan, Stepper(plan.objective, config, model, Ranks(), Status(enabled=False).line)
        )
        losses = []
        for batch in islice(on_device(loader, place), steps):
            state.set_rate()
            loss, _ = state.stepper.gradients(batch, state.epoch, state.step)
            state.stepper.descend(state.optimizer)
            state.step_done(loss)
            losses.append(float(loss))
    return losses
