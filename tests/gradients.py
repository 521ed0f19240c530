"""Which operations a gradient goes through: those that add up in any order on a GPU are known."""

from __future__ import annotations

import torch

INEXACT = (  # beginnings, from the documentation of torch.use_deterministic_algorithms
    *("NllLoss2D", "Gather", "Scatter", "Index", "Cumsum", "Embedding", "Put", "Histc"),
    *("UpsampleLinear", "UpsampleBilinear", "UpsampleBicubic", "GridSampler"),
    *("ReplicationPad", "ReflectionPad", "AdaptiveAvgPool", "AdaptiveMaxPool"),
)


def backward_names(answer: torch.Tensor) -> set[str]:
    """Names of all operations behind an answer, such as "Add"."""
    ahead, names = [answer.grad_fn], {}
    while ahead:
        node = ahead.pop()
        if node is not None and node not in names:
            names[node] = node.name().split("Backward")[0]
            ahead += [other for other, _ in node.next_functions]
    return set(names.values())


def inexact(answer: torch.Tensor) -> list[str]:
    """Those whose gradient does not repeat to the bit on a GPU."""
    return sorted(name for name in backward_names(answer) if name.startswith(INEXACT))
