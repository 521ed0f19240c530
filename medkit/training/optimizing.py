"""The optimizer, its state by name, and averaged weights."""

from __future__ import annotations

import inspect
from typing import Any, Mapping

import torch

from medkit.runs.config import Config

# torch 1.13 has a fused Adam alone, which unscales gradients a second time
HAS_FUSED = "fused" in inspect.signature(torch.optim.AdamW).parameters
STATE = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")  # what is kept of a parameter


def make_optimizer(model: torch.nn.Module, config: Config) -> torch.optim.Optimizer:
    """The optimizer that a config names, fused on a GPU where torch has it.

    Biases and normalisation layers do not decay. Only AdamW decays weights apart from the
    gradient; for the others a `weight_decay` is a squared penalty.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = kind[config.optimizer]
    has_fused = HAS_FUSED and "fused" in inspect.signature(optimizer).parameters
    options: dict[str, Any] = {"fused": True} if has_fused and parameters[0].is_cuda else {}
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
    return optimizer(groups, lr=config.peak_lr, **options)


def moments(config: Config) -> int:
    """How many tensors of its own an optimizer keeps for each weight."""
    return int(config.momentum > 0) if config.optimizer == "sgd" else 2


def state_bytes(model: torch.nn.Module, config: Config) -> int:
    """Of a saved state, about: weights, their average, and what the optimizer keeps of each."""
    weights = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    return weights * (1 + moments(config) + bool(config.ema_decay))


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """The optimizer's state as "<parameter>.<key>": empty before the first step."""
    return {
        f"{name}.{key}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_tensors` took out."""
    for name, parameter in model.named_parameters():
        for key in STATE:
            if f"{name}.{key}" in tensors:
                value = _placed(key, tensors[f"{name}.{key}"], parameter)
                optimizer.state[parameter][key] = value


@torch.no_grad()
def average(ema: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's; statistics of BatchNorm are copied."""
    for mean, parameter in zip(ema.parameters(), model.parameters()):
        mean.lerp_(parameter, 1 - decay)
    for mean, buffer in zip(ema.buffers(), model.buffers()):
        mean.copy_(buffer)


def _placed(key: str, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """An optimizer's tensor where the optimizer wants it, in its parameter's memory format.

    Saved tensors are contiguous; a fused step over mixed formats is silently wrong (torch 2.10).
    """
    if key == "step":
        return value.to(parameter.device) if parameter.is_cuda and HAS_FUSED else value
    return torch.empty_like(parameter).copy_(value)
