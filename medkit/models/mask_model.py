"""A model whose answer is masks: a U-Net over a timm encoder."""

from __future__ import annotations

from typing import Any

import torch

from medkit.datasets.task import Task
from medkit.models.picture_model import PictureModel
from medkit.models.unet import UNet


class MaskModel(PictureModel):
    """Logits (N, outputs, S, S) of images (N, 3, S, S) in 0..255.

    While training, with `deep` above 0, a list of such: the finest first, each half as large.

    Args:
        decoder: "unet" or "unet++"; options: see `UNet`.
    """

    grows_by_area = True

    def __init__(self, task: Task, name: str, *, decoder: str = "unet", **options: Any):
        super().__init__(task)
        options.setdefault("prior", task.scored.answer.prior)
        self.net = UNet(name, task.outputs, nested=decoder == "unet++", **options)

    @property
    def backbone(self) -> torch.nn.Module:
        return self.net.encoder

    @property
    def stacks(self) -> tuple[torch.nn.Module, ...]:
        return self.net.encoder, self.net.blocks

    def least_at_once(self, size: int) -> int:
        """One picture is enough where all norms see maps of more than a pixel."""
        sees_maps = size > self.net.stride and not self.net.norms_pooled
        return 1 if sees_maps else super().least_at_once(size)

    def forward(
        self, images: torch.Tensor, facts: torch.Tensor
    ) -> torch.Tensor | list[torch.Tensor]:
        return self.net(self.normalised(images))
