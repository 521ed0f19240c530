"""What is minimised: a loss a head, added up."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, smooth_l1_loss

from medkit.datasets.task import Task
from medkit.runs.config import Config


class Objective:
    """The loss of a task: cross entropy of its classes, smooth L1 of its numbers.

    Args:
        labels: (N, heads) of the training cases, NaN where missing; the loss of a number is
            measured in standard deviations of these.
    """

    def __init__(self, task: Task, config: Config, labels: torch.Tensor):
        self.task, self.label_smoothing = task, config.label_smoothing
        self.spread = [_spread(column) for column in labels.T]

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, *, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sum over heads of the mean loss of the labelled cases; 0 when none is labelled.

        Args:
            logits: (N, columns of all heads).
            labels: (N, heads) float, NaN where missing.
            known: (heads,) how many labels the sum is divided by, where these are a part of a
                batch.
        """
        return self._sum(logits, labels, known, self.label_smoothing)

    def plain(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The same without smoothing: what epochs, and runs of other settings, are compared by."""
        return self._sum(logits, labels, None, 0.0)

    def _sum(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        known: torch.Tensor | None,
        label_smoothing: float,
    ) -> torch.Tensor:
        is_known = ~labels.isnan()
        known = is_known.sum(0) if known is None else known
        total = logits.sum() * 0.0  # keeps the graph when nothing is labelled
        for column, (head, part) in enumerate(self.task.parts()):
            rows = is_known[:, column]
            answers, wanted = logits[rows, part].float(), labels[rows, column]
            if head.classes:
                losses = cross_entropy(
                    answers, wanted.long(), label_smoothing=label_smoothing, reduction="sum"
                )
            else:
                spread = self.spread[column]
                losses = smooth_l1_loss(answers[:, 0] / spread, wanted / spread, reduction="sum")
            total = total + losses / known[column].clamp(min=1)
        return total


def _spread(values: torch.Tensor) -> float:
    """Standard deviation of the known values, or 1 where they do not differ."""
    known = values[~values.isnan()].double()
    return float(known.std(unbiased=False)) or 1.0 if len(known) else 1.0
