"""What becomes of logits: probabilities or numbers, collected batch by batch into a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from medkit.datasets.task import Task
from medkit.inference.mask_answers import Exclusive, Masks, Overlapping

Plain = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # logits, labels -> a loss


class Table:
    """The answers of some cases, where they fit into a table: a row a case, a column an answer.

    Args:
        options: see `collected`.
    """

    def __init__(
        self, task: Task, cases: pd.DataFrame, *, plain: Plain | None = None, **options: Any
    ):
        self.task, self._plain = task, plain
        self._logits: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Take in a batch: logits (N, columns of all heads) and labels (N, heads)."""
        self._logits.append(logits.cpu())
        self._labels.append(labels)

    def gather(self, gather: Callable[[torch.Tensor], Sequence[torch.Tensor]]) -> None:
        """Take in what other processes have: `gather` gives each one's tensor, in their order."""
        self._logits, self._labels = list(gather(self.logits)), list(gather(self.labels))

    @property
    def logits(self) -> torch.Tensor:
        """(N, columns of all heads), in the order in which they came."""
        return torch.cat(self._logits)

    @property
    def labels(self) -> torch.Tensor:
        """(N, heads), NaN where missing."""
        return torch.cat(self._labels)

    def loss(self) -> float:
        """What the plain loss says of all of them."""
        return float(self._plain(self.logits, self.labels))

    @staticmethod
    def nothing(task: Task, ids: Sequence[str]) -> pd.DataFrame:
        return to_table(task, ids, torch.zeros(len(ids), task.outputs))

    @staticmethod
    def begin(task: Task, ids: Sequence[str], folder: Path, key: str) -> np.ndarray:
        """Nothing: a table is made at once."""
        return np.zeros(len(ids), bool)

    def predictions(self, ids: Sequence[str]) -> pd.DataFrame:
        """`id` and a column a class or number."""
        return to_table(self.task, ids, self.logits)


class Probabilities:
    """Of one of several classes: the softmax of its logits."""

    collect = Table

    @staticmethod
    def of(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """(N, classes): probabilities, flatter with a temperature above 1."""
        return torch.softmax(logits / temperature, 1)


class Values:
    """Of a number: the model's answer itself."""

    collect = Table

    @staticmethod
    def of(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """(N, 1), whatever the temperature."""
        return logits


ANSWERS = {  # of each kind
    "classes": Probabilities,
    "number": Values,
    "masks": Overlapping,
    "exclusive_masks": Exclusive,
}


def collected(
    task: Task,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    cases: pd.DataFrame,
    *,
    plain: Plain | None = None,
    folder: Path | None = None,
) -> Table | Masks:
    """A task's answers, taken in batch by batch as `predict_batches` gives them.

    Args:
        cases: what is predicted, row by row.
        plain: (logits, labels) -> the loss that is told of them.
        folder: where answers are written that do not fit into a table; None writes none.
    """
    collect = task.common({kind: row.collect for kind, row in ANSWERS.items()})
    answers = collect(task, cases, plain=plain, folder=folder)
    for logits, labels in batches:
        answers.add(logits, labels)
    return answers


def begin(task: Task, cases: pd.DataFrame, folder: Path, key: str) -> np.ndarray:
    """(N,) bool: what an earlier call of the same key has left in a folder, which is made ready.

    Args:
        key: another one for other answers: what those have left there is removed.
    """
    collect = task.common({kind: row.collect for kind, row in ANSWERS.items()})
    return collect.begin(task, list(cases["id"]), folder, key)


def know_nothing(task: Task, ids: Sequence[str]) -> pd.DataFrame:
    """The predictions of somebody who knows nothing: even chances, numbers of 0, no masks."""
    return task.common({kind: row.collect for kind, row in ANSWERS.items()}).nothing(task, ids)


def answers_of(task: Task, logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """(N, columns of all heads): what is answered by logits of the same shape and precision."""
    parts = [ANSWERS[head.kind].of(logits[:, part], temperature) for head, part in task.parts()]
    return torch.cat(parts, 1)


def to_table(task: Task, ids: Sequence[str], logits: torch.Tensor) -> pd.DataFrame:
    """Logits as a table of predictions, reckoned in float64."""
    values: np.ndarray = answers_of(task, logits.double()).numpy()
    table: dict[str, Any] = {"id": list(ids), **dict(zip(task.columns, values.T))}
    return pd.DataFrame(table)
