"""What all models are: they take pictures as bytes, and normalise them where they lie."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medkit.datasets.task import Task

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's: for drawn weights, by habit


class PictureModel(nn.Module):
    """A model of a task's pictures: `forward(images, facts)` gives logits, one a `task.outputs`.

    Attributes:
        has_units: whether some of its answers are in standard deviations of the labels'.
        grows_by_area: whether what it keeps of a picture for the gradient does.
        n_facts: how many numbers of facts it is told beside a picture.
    """

    has_units = False
    grows_by_area = False
    n_facts = 0

    def __init__(self, task: Task):
        super().__init__()
        self.task = task
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.empty(1, 3, 1, 1), persistent=False)
            self.set_normalisation(name, value)

    @property
    def stacks(self) -> tuple[nn.Module, ...]:
        """The networks of which it is made, block by block."""
        return (self.backbone,)

    def least_at_once(self, size: int) -> int:
        """Pictures of this size that must go through at once, so that BatchNorm has a spread."""
        return 1 + any(isinstance(module, _BatchNorm) for module in self.modules())

    def set_normalisation(self, name: str, value: Sequence[float]) -> None:
        """Set "mean" or "std", a number a channel, of pixels in 0..1."""
        getattr(self, name).copy_(255 * torch.tensor(value).view(1, 3, 1, 1))

    def set_units(self, labels: torch.Tensor) -> None:
        """Take mean and standard deviation from labels (N, heads), where heads answer in these."""

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, S, S) in 0..255 as the weights want them."""
        return (images.float() - self.mean) / self.std
