"""The processes that train one run together: one a GPU, started by torchrun.

Gradients are added up in one flat tensor, in the same order each step. torch's own
DistributedDataParallel arranges its buckets anew after the first step, so that a run of more than
two processes that goes on from a state would add in another order than one that never stopped.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Sequence

import torch
import torch.distributed as dist

PATIENCE = timedelta(minutes=30)  # the others may wait for rank 0 to build a cache


class Ranks:
    """This process among `size`; alone, every call gives back what it was given.

    Attributes:
        rank: of this process, from 0; rank 0 writes the run folder.
        local_rank: among those of this machine: the number of its GPU.
        device: that it computes on, once it has joined.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cpu")
        self._control: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the others. NCCL where each has a GPU of its own, else gloo."""
        self.device = device
        if self.size == 1:
            return
        on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        own_gpu = device.type == "cuda" and torch.cuda.device_count() >= on_this_machine
        dist.init_process_group("nccl" if own_gpu else "gloo", timeout=PATIENCE)
        self._control = dist.new_group(backend="gloo", timeout=PATIENCE) if own_gpu else None

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def share(self, count: int) -> slice:
        """This process's part of `count` things in a row."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_gradients(
        self, parameters: Sequence[torch.nn.Parameter], extra: torch.Tensor
    ) -> torch.Tensor:
        """Add up the gradients over all processes, and return the sum of `extra` (a vector)."""
        if self.size == 1:
            return extra
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(g.reshape(-1).float() for g in gradients), extra.float()])
        dist.all_reduce(flat)
        first = 0
        for parameter, gradient in zip(parameters, gradients):
            part = flat[first : first + gradient.numel()].view(gradient.shape)
            parameter.grad = torch.empty_like(gradient).copy_(part)
            first += gradient.numel()
        return flat[first:].to(extra.dtype)

    def copy_statistics(self, model: torch.nn.Module) -> None:
        """Give all processes the statistics of BatchNorm that rank 0 has."""
        if self.size > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    dist.broadcast(buffer, 0)

    def gather(self, value: torch.Tensor) -> list[torch.Tensor]:
        """A CPU tensor of each process, in the order of ranks; first axes may differ."""
        if self.size == 1:
            return [value]
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(value)
        dist.all_reduce(lengths, group=self._control)
        most = int(lengths.max())
        padded = value.new_zeros((most, *value.shape[1:]))
        padded[: len(value)] = value
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded, group=self._control)
        return [part[:length] for part, length in zip(found, lengths.tolist())]

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return any(bool(there) for there in self.gather(torch.tensor([int(here)])))

    def wait_for_all(self) -> None:
        if self.size > 1:
            dist.barrier(group=self._control)
