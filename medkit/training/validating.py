"""The held-out cases of a run: its epochs are scored on them, and compared by that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.inference.answers import Masks, Table, collected, know_nothing
from medkit.inference.predicting import predict_batches
from medkit.loading.loader import CaseDataset
from medkit.models.picture_model import PictureModel
from medkit.naming import did_you_mean
from medkit.runs.config import Config
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks


class GivenUp(Exception):
    """Somebody wants the end of a run, and its validation is not done."""


class Validation:
    """How the epochs of a run are judged; without held-out cases, by their training loss.

    Args:
        cases: all that are held out, also those without a picture: the contest scores them too.
        seen: the cases of the run that have a picture.
        rows: of `seen`, those that are held out.

    Raises:
        ConfigError: when `config.best_by` is none of the task's scores.
    """

    def __init__(
        self,
        task: Task,
        config: Config,
        objective: Objective,
        *,
        cases: pd.DataFrame,
        seen: pd.DataFrame,
        rows: np.ndarray,
    ):
        self.task, self.config, self.objective = task, config, objective
        self.cases, self.seen, self.rows = cases, seen, rows
        self.ids = seen["id"].iloc[rows]
        self.own_score = ""  # the contest's own, the first that the task tells
        if len(rows):
            self._check_best_by()

    def _check_best_by(self) -> None:
        """Score even chances, so that a wrong name shows before the first epoch."""
        scores = self.task.score(self.cases, know_nothing(self.task, self.ids))
        names = ["loss", *scores]
        if self.config.best_by not in names:
            raise ConfigError(
                f"Config: there is no score {self.config.best_by!r} to choose the best epoch by "
                f"(expected one of {', '.join(names)}).{did_you_mean(self.config.best_by, names)}"
            )
        self.own_score = names[1]

    @property
    def measure(self) -> str:
        """The column of the history that epochs are compared by."""
        if not len(self.rows):
            return "train_loss"
        return "valid_loss" if self.config.best_by == "loss" else self.config.best_by

    @property
    def greater_is_better(self) -> bool:
        is_loss = self.measure in ("train_loss", "valid_loss")
        return not is_loss and self.task.greater_is_better(self.config.best_by)

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value of the measure beats the best so far; not-a-number never does."""
        if best is None or math.isnan(best) or math.isnan(value):
            return best is None or not math.isnan(value)
        return value > best if self.greater_is_better else value < best

    def costs(self, history: Sequence[Mapping[str, Any]]) -> list[float]:
        """What epochs are compared by, the less the better."""
        values = [row[self.measure] for row in history]
        return [-value for value in values] if self.greater_is_better else values

    def judge(
        self,
        students: Sequence[PictureModel],
        dataset: CaseDataset,
        ranks: Ranks,
        folder: Path,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[dict[str, float], pd.DataFrame | None, PictureModel]:
        """The best student with its scores (among peers, also its number) and predictions.

        Without held-out cases the first student, and neither.

        Args:
            folder: for what of these does not fit into a table.
            is_wanted: asked after each batch; several processes go on nevertheless, as they wait
                for each other.

        Raises:
            GivenUp: it is not wanted any more.
        """
        if not len(self.rows):
            return {}, None, students[0]
        options = {"is_wanted": is_wanted} if ranks.size == 1 else {}
        found = [
            (*self.score(student, dataset, ranks, folder, **options), student)
            for student in students
        ]
        costs = [math.inf if math.isnan(c) else c for c in self.costs([f[0] for f in found])]
        best = costs.index(min(costs))
        scores, predictions, student = found[best]
        if len(found) > 1:
            scores = {**scores, "peer": best + 1}
        return scores, predictions, student

    def score(
        self,
        model: PictureModel,
        dataset: CaseDataset,
        ranks: Ranks,
        folder: Path,
        **options: Callable[[], bool],
    ) -> tuple[dict[str, float], pd.DataFrame]:
        """Loss and scores of a model on the held-out cases, and its predictions of them."""
        own = self.rows[ranks.share(len(self.rows))]
        answers = self.predict(model, dataset, own, folder, **options)
        answers.gather(ranks.gather)
        predictions = answers.predictions(self.ids)
        scores = {"valid_loss": answers.loss()}
        scores.update(self.task.score(self.cases, predictions))
        return {name: float(value) for name, value in scores.items()}, predictions

    def predict(
        self,
        model: PictureModel,
        dataset: CaseDataset,
        rows: np.ndarray,
        folder: Path | None = None,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Table | Masks:
        """What a model answers of some rows."""
        size, amp = self.config.judged_at_once, self.config.amp
        batches = predict_batches(model, dataset, rows, batch_size=size, amp=amp)
        batches = _while_wanted(batches, is_wanted)
        cases, plain = self.seen.iloc[rows], self.objective.plain
        return collected(self.task, batches, cases, plain=plain, folder=folder)


def _while_wanted(batches: Iterator[Any], is_wanted: Callable[[], bool]) -> Iterator[Any]:
    """The batches; no more of them when they are not wanted."""
    for batch in batches:
        if not is_wanted():
            raise GivenUp
        yield batch
