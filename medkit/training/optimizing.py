"""The optimizer, its state by name, and averaged weights."""

from __future__ import annotations

import inspect
from typing import Mapping

import torch

from medkit.runs.config import Config

STATE = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter


def make_optimizer(model: torch.nn.Module, config: Config) -> torch.optim.AdamW:
    """AdamW; biases and normalisation layers do not decay. Fused on a GPU, where torch has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    has_fused = "fused" in inspect.signature(torch.optim.AdamW).parameters
    fused = {"fused": True} if has_fused and parameters[0].is_cuda else {}
    return torch.optim.AdamW(groups, lr=config.peak_lr, **fused)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """The optimizer's state as "<parameter>.<key>": empty before the first step."""
    return {
        f"{name}.{key}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
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
        fused = parameter.is_cuda and "fused" in inspect.signature(torch.optim.AdamW).parameters
        return value.to(parameter.device) if fused else value
    return torch.empty_like(parameter).copy_(value)
