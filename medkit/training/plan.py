"""What will be trained: all settings and cases of a run, checked, and no network built."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.images import windows
from medkit.loading import augment
from medkit.loading.labels import codes_of
from medkit.loading.loader import Batch, CaseDataset, KeyedSampler, make_loader
from medkit.models.factory import check_model
from medkit.runs.config import Config
from medkit.splitting import split
from medkit.training.distilling import Student, models_of, new_student
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks
from medkit.training.validating import Validation


@dataclass(frozen=True, eq=False)
class Plan:
    """A run before it begins: whoever asks about one asks its plan.

    Attributes:
        fold: that is held out; None holds nothing out.
        seen: the cases that can be shown to a model.
        train_rows, valid_rows: of `seen`.
        labels: (training cases, heads) their codes, NaN where missing.
        chances: (training cases,) to be drawn; None shows each of them once an epoch.
        steps: of an epoch.
        objective: what is minimised: by the settings of `losses.LOSSES`.
        validation: how epochs are judged.
    """

    task: Task
    config: Config
    fold: int | None
    seen: pd.DataFrame
    train_rows: np.ndarray
    valid_rows: np.ndarray
    labels: torch.Tensor
    chances: np.ndarray | None
    steps: int
    objective: Objective
    validation: Validation

    @property
    def step_size(self) -> int:
        """Images of a step."""
        if self.config.epoch_steps:
            return self.config.batch_size
        return min(self.config.batch_size, len(self.train_rows))

    @property
    def valid_steps(self) -> float:
        """As many steps have as many images, or windows, as validation."""
        size, shown = self.config.image_size, 1
        if self.config.patch_size:  # of a square picture, which takes most
            shown = len(windows.corners((0, 0, size, size), self.config.patch_size, size))
        return len(self.valid_rows) * shown / self.step_size

    def check_ranks(self, ranks: Ranks) -> None:
        """Refuse more processes than there are images to share.

        Raises:
            ConfigError: naming how many.
        """
        least = min(self.step_size, len(self.valid_rows) or len(self.train_rows))
        if least < ranks.size:
            raise ConfigError(
                f"fit: {ranks.size} devices share {least} images of a step or of validation "
                "(expected at least one each). Take a larger batch_size or fewer devices."
            )

    def new_model(self) -> Student:
        """What is trained, as it begins: on the CPU, the same bits each time."""
        model = new_student(self.task, self.config)
        for student in models_of(model):
            student.set_units(self.labels)
        return model

    def sampler(self, ranks: Ranks | None = None) -> KeyedSampler:
        """The order of the training cases, or of one process's share of each step."""
        ranks = ranks or Ranks()
        return KeyedSampler(
            self.train_rows,
            self.config.seed,
            count=self.steps * self.step_size,
            batch_size=self.config.batch_size,
            weights=self.chances,
            part=(ranks.rank, ranks.size),
        )

    def batch(
        self, data: CaseDataset, ranks: Ranks | None = None, *, epoch: int = 0, step: int = 0
    ) -> Batch:
        """The cases of one step, as its loader gives them: augmented, not yet mixed."""
        sampler = self.sampler(ranks)
        sampler.epoch, sampler.first = epoch, step
        return next(iter(make_loader(data, sampler, batch_size=sampler.share)))

    def ids(self, epoch: int, step: int) -> list[str]:
        """Of the cases of one step, over all processes."""
        size = self.config.batch_size
        rows = self.sampler().order(epoch)[step * size : (step + 1) * size]
        return list(self.seen["id"].iloc[rows])


def make_plan(task: Task, config: Config, cases: pd.DataFrame, fold: int | None) -> Plan:
    """The plan of a run. Neither a folder nor a picture is touched.

    Raises:
        ConfigError, DataError, MissingError: for settings and cases that do not go together, and a
            file of weights that is not there.
    """
    check_model(task, config)
    augment.make_transform(config.augment)  # a wrong name shows here
    seen, is_held_out = split(task, cases, fold)
    train_rows, valid_rows = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    labels, chances = codes_of(task, seen)[train_rows], None
    if config.balanced:
        chances = task.heads[0].answer.chances(labels[:, 0].numpy())
    objective = Objective(task, config, labels)
    held_out = cases.iloc[:0] if fold is None else cases[cases["fold"] == fold]
    return Plan(
        task=task,
        config=config,
        fold=fold,
        seen=seen,
        train_rows=train_rows,
        valid_rows=valid_rows,
        labels=labels,
        chances=chances,
        steps=config.epoch_steps or max(1, len(train_rows) // config.batch_size),
        objective=objective,
        validation=Validation(task, config, objective, cases=held_out, seen=seen, rows=valid_rows),
    )
