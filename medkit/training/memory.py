"""How much memory training takes, from a small picture that is sent through on the CPU."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from medkit import seeding
from medkit.loading.labels import label_type
from medkit.models.checkpointing import undo
from medkit.models.picture_model import PictureModel
from medkit.runs.config import Config
from medkit.training.losses import Objective
from medkit.training.optimizing import moments

CUDA_BYTES = 600e6  # what a process on a GPU needs before its first tensor, and for workspaces
MEASURED = 256  # pixels at most, of the pictures by which activations are measured
IMAGES = 2  # that are sent through


def training_bytes(model: PictureModel, config: Config, images: int) -> int:
    """What training takes on a device, about: weights, gradients, optimizer, and activations.

    Args:
        model: on the CPU; it is not changed.
        images: through the model at once.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    copies = 2 + moments(config) + bool(config.ema_decay)  # weights, gradients, moments
    kept, by_loss = activation_bytes(model, config)
    half = 0.5 if config.amp else 1.0  # activations in 16 bits; losses are reckoned in 32
    return int(copies * weights + images * (half * kept + by_loss))


def activation_bytes(model: PictureModel, config: Config) -> tuple[float, float]:
    """Bytes of an image in float32 that are kept for its gradient: by the model, and by the loss.

    Of blocks that are computed again, what each is given, and the inside of the largest one. Where
    they grow with the area, a small picture is sent through in place of a large one, which would
    take as many gigabytes here.
    """
    size = config.input_size
    measured = min(size, MEASURED) if model.grows_by_area else size
    model = copy.deepcopy(model).train()  # as steps are; statistics of BatchNorm are the copy's
    again = [block for stack in model.stacks for block in undo(stack)]
    images = torch.zeros(IMAGES, 3, measured, measured, dtype=torch.uint8)
    objective = Objective(model.task, config, torch.zeros(IMAGES, len(model.task.heads)))
    labels = label_type(model.task).blank(model.task, IMAGES, measured)
    own, inner = _Kept(model), {block: _Kept(model) for block in again}
    by_loss = _Kept(model)
    with seeding.keyed("memory"), ExitStack() as hooks:
        for block in again:
            hooks.callback(block.register_forward_pre_hook(own.add_inputs).remove)
            _keep_inside(block, inner[block])
        with own.hooks():
            answers = model(images, torch.zeros(IMAGES, model.n_facts))
        with by_loss.hooks():
            objective(answers, labels)
    inside = max((kept.bytes_beside(own) for kept in inner.values()), default=0)
    scale = (size / measured) ** 2 / IMAGES
    return scale * (own.bytes + inside), scale * by_loss.bytes_beside(own)


class _Kept:
    """The tensors that autograd keeps, but for a model's own; views of one storage count once."""

    def __init__(self, model: nn.Module):
        self._models = {t.data_ptr() for t in (*model.parameters(), *model.buffers())}
        self.sizes: dict[int, int] = {}
        self._held: list[torch.Tensor] = []  # else another tensor might take the place

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def bytes_beside(self, other: _Kept) -> int:
        """Of what `other` has not."""
        return sum(size for place, size in self.sizes.items() if place not in other.sizes)

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in self._models:
            storage = tensor.storage() if not hasattr(tensor, "untyped_storage") else None
            storage = tensor.untyped_storage() if storage is None else storage
            self.sizes[storage.data_ptr()] = storage.nbytes()
            self._held.append(tensor)
        return tensor

    def add_inputs(self, block: nn.Module, inputs: tuple[Any, ...]) -> None:
        for part in inputs:
            for tensor in part if isinstance(part, (list, tuple)) else [part]:
                self.add(tensor)

    def hooks(self) -> torch.autograd.graph.saved_tensors_hooks:
        return torch.autograd.graph.saved_tensors_hooks(self.add, lambda tensor: tensor)


def _keep_inside(block: nn.Module, kept: _Kept) -> None:
    """Let what a block keeps count for itself."""
    forward = block.forward

    def kept_aside(*inputs: Any, **named: Any) -> Any:
        with kept.hooks():
            return forward(*inputs, **named)

    block.forward = kept_aside
