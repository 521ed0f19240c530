"""Gradient checkpointing: the inside of a block is not kept for the gradient, but computed again.

Training takes less memory and about a third more time, and ends in the same bits.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import Any, Iterator

from timm.models import FeatureHooks
from torch import is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def blocks_of(stack: nn.Module) -> Iterator[nn.Module]:
    """The repeated parts of a network: a residual block, a dense layer, a stage.

    timm's own checkpointing goes by stages, and not all of its models know it (HRNet refuses).
    """
    for part in stack.children():
        if _only_holds(part):
            yield from blocks_of(part)
        elif not _is_leaf(part) and _convolves(part):
            yield part


def checkpointed(stack: nn.Module) -> int:
    """Let each block of a network be computed again for its gradient; returns how many there are.

    A copy of the network is so, too, and neither names nor values of its weights change.
    """
    blocks = list(blocks_of(stack))
    for block in blocks:
        block.forward = partial(_recomputed, block)
    return len(blocks)


def undo(stack: nn.Module) -> list[nn.Module]:
    """Undo `checkpointed`; returns the blocks that were."""
    found = [block for block in stack.modules() if _is_checkpointed(block)]
    for block in found:
        del block.forward
    return found


def _is_checkpointed(block: nn.Module) -> bool:
    """A forward of its own may be timm's, too (fasternet)."""
    return getattr(vars(block).get("forward"), "func", None) is _recomputed


def _recomputed(block: nn.Module, *inputs: Any, **named: Any) -> Any:
    """What a block makes of its inputs, keeping these alone."""
    forward = partial(type(block).forward, block, **named)
    if not (block.training and is_grad_enabled()):
        return forward(*inputs)
    kept, count, calls = _copied(inputs), len(inputs), []

    def run(*inputs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            return forward(*_copied(inputs[:count]))
        with _statistics_aside(block), _maps_aside(block):  # all of it was done once already
            return forward(*_copied(inputs[:count]))

    # torch 1.13 restores the random numbers of a GPU on which it sees a tensor, but in lists
    listed = [part for row in kept if isinstance(row, list) for part in row]
    return checkpoint(run, *kept, *listed, use_reentrant=False)


def _copied(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Lists of tensors as lists of their own: HRNet writes into them, DenseNet adds to them."""
    return tuple(list(part) if isinstance(part, list) else part for part in inputs)


@contextmanager
def _statistics_aside(block: nn.Module) -> Iterator[None]:
    """Within, BatchNorm moves copies of its statistics (pytorch issue 96136)."""
    norms = [norm for norm in block.modules() if isinstance(norm, _BatchNorm)]
    own = [dict(norm._buffers) for norm in norms]
    for norm, buffers in zip(norms, own):
        for name, value in buffers.items():
            norm._buffers[name] = None if value is None else value.clone()
    try:
        yield
    finally:
        for norm, buffers in zip(norms, own):
            norm._buffers.update(buffers)


@contextmanager
def _maps_aside(block: nn.Module) -> Iterator[None]:
    """Within, timm takes no maps from inside the block (xception41): they would be the next step's,
    in another order."""
    parts = [part for part in block.modules() if part._forward_hooks]
    own = [part._forward_hooks for part in parts]
    for part, hooks in zip(parts, own):
        others = [(key, hook) for key, hook in hooks.items() if not _takes_maps(hook)]
        part._forward_hooks = OrderedDict(others)
    try:
        yield
    finally:
        for part, hooks in zip(parts, own):
            part._forward_hooks = hooks


def _takes_maps(hook: Any) -> bool:
    return isinstance(getattr(getattr(hook, "func", None), "__self__", None), FeatureHooks)


def _only_holds(part: nn.Module) -> bool:
    """Whether it is a row of parts, and none of its own: a stage of blocks."""
    if isinstance(part, nn.Sequential):  # HRNet has its own kind, and a DenseTransition is one
        return type(part) is nn.Sequential or not any(map(_is_leaf, part))
    return isinstance(part, (nn.ModuleList, nn.ModuleDict))


def _is_leaf(part: nn.Module) -> bool:
    return next(part.children(), None) is None


def _convolves(part: nn.Module) -> bool:
    return any(isinstance(module, (nn.Conv2d, nn.Linear)) for module in part.modules())
