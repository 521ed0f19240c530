"""What is minimised: cross entropy, added over the heads of a task."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from medkit.datasets.task import Task
from medkit.loading.loader import UNLABELLED


def task_loss(
    task: Task,
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    known: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum over heads of the mean cross entropy of the labelled cases; 0 when none is labelled.

    Args:
        logits: (N, classes of all heads).
        labels: (N, heads) int64, UNLABELLED where missing.
        known: (heads,) how many labels the sum is divided by, where these are a part of a batch.
    """
    total, first = logits.sum() * 0.0, 0  # keeps the graph when nothing is labelled
    for column, head in enumerate(task.heads):
        last = first + len(head.classes)
        count = (labels[:, column] != UNLABELLED).sum() if known is None else known[column]
        total = total + cross_entropy(
            logits[:, first:last].float(),
            labels[:, column],
            ignore_index=UNLABELLED,
            label_smoothing=label_smoothing,
            reduction="sum",
        ) / count.clamp(min=1)
        first = last
    return total
