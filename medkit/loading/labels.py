"""What a model learns from, beside each picture: labels as tensors, with the cases in front."""

from __future__ import annotations

from typing import Union

import numpy as np
import pandas as pd
import torch

from medkit.datasets.task import Task

UNLABELLED = float("nan")
Rows = Union[int, slice, np.ndarray, torch.Tensor]


class TableLabels:
    """Labels that stand in the table of cases, a number for each head.

    Attributes:
        values: (N, heads) float32: numbers of classes, or values; NaN where missing.
    """

    def __init__(self, task: Task, cases: pd.DataFrame):
        nothing = pd.Series(None, cases.index, object)
        columns = [head.answer.codes(cases.get(head.name, nothing)) for head in task.heads]
        self.values = torch.from_numpy(np.stack(columns, 1).astype(np.float32))

    def __getitem__(self, rows: Rows) -> torch.Tensor:
        return self.values[rows]

    @staticmethod
    def known(labels: torch.Tensor) -> torch.Tensor:
        """(N, heads) bool: which heads of which cases have a label, of any rows of such labels."""
        return ~labels.isnan()


LABELS = {"classes": TableLabels, "number": TableLabels}  # of each kind of answer


def label_type(task: Task) -> type[TableLabels]:
    """The labels of all heads of a task."""
    return task.common(LABELS)
