"""What a model learns from, beside each picture: labels as tensors, with the cases in front."""

from __future__ import annotations

from typing import Union

import numpy as np
import pandas as pd
import torch

from medkit.datasets.task import Task
from medkit.images.masks import bytes_of
from medkit.loading.cache import Cache

Rows = Union[int, slice, np.ndarray, torch.Tensor]


def codes_of(task: Task, cases: pd.DataFrame) -> torch.Tensor:
    """(N, heads) float32: numbers of classes, values, or 1 where there are masks; NaN where not."""
    nothing = pd.Series(None, cases.index, object)
    columns = [head.answer.codes(cases.get(head.name, nothing)) for head in task.heads]
    return torch.from_numpy(np.stack(columns, 1).astype(np.float32))


class TableLabels:
    """Labels that stand in the table of cases, a number for each head.

    Attributes:
        values: (N, heads) float32: numbers of classes, or values; NaN where missing.
        is_stored: whether they lie in the store of decoded pictures.
    """

    is_stored = False
    never: tuple[str, ...] = ()  # classes that no case has a pixel of

    def __init__(self, task: Task, cases: pd.DataFrame, cache: Cache | None = None):
        self.values = codes_of(task, cases)

    def __getitem__(self, rows: Rows) -> torch.Tensor:
        return self.values[rows]

    def bits(self, row: int) -> None:
        """Nothing that would be moved along with a picture."""
        return None

    @staticmethod
    def blank(task: Task, count: int, size: int) -> torch.Tensor:
        """Labels of so many cases that mean nothing, to time steps by."""
        return torch.zeros(count, len(task.heads))

    @staticmethod
    def of_head(labels: torch.Tensor, number: int) -> torch.Tensor:
        """(N, ...) those of one head."""
        return labels[:, number]

    @staticmethod
    def known(labels: torch.Tensor) -> torch.Tensor:
        """(N, heads) bool: which heads of which cases have a label, of any rows of such labels."""
        return ~labels.isnan()


class MaskLabels:
    """Labels that lie beside the pictures, as bits that are moved along with them.

    Of cases that are not all labelled there are none: (N, 0).
    """

    is_stored = True

    def __init__(self, task: Task, cases: pd.DataFrame, cache: Cache | None = None):
        self._store = None if cache is None else cache.labels
        self.never = () if cache is None else cache.never

    def bits(self, row: int) -> np.ndarray | None:
        """(S, S, ceil(C / 8)) uint8, see `images.masks`; as they lie in the store."""
        return None if self._store is None else self._store.view(row)

    def __getitem__(self, row: int) -> torch.Tensor:
        """Nothing: there are no bits."""
        return torch.empty(0)

    @staticmethod
    def blank(task: Task, count: int, size: int) -> torch.Tensor:
        """Empty masks of so many pictures."""
        depth = bytes_of(len(task.scored.classes))
        return torch.zeros(count, size, size, depth, dtype=torch.uint8)

    @staticmethod
    def of_head(labels: torch.Tensor, number: int) -> torch.Tensor:
        """(N, S, S, ceil(C / 8)), as they are: there is one head."""
        return labels

    @staticmethod
    def known(labels: torch.Tensor) -> torch.Tensor:
        """(N, 1) bool."""
        return torch.full((len(labels), 1), labels.ndim == 4, device=labels.device)


LABELS = {  # of each kind of answer
    "classes": TableLabels,
    "number": TableLabels,
    "masks": MaskLabels,
    "exclusive_masks": MaskLabels,
}
Labels = Union[TableLabels, MaskLabels]


def label_type(task: Task) -> type[Labels]:
    """The labels of all heads of a task."""
    return task.common(LABELS)
