"""The device that computes: which one, how precisely, and when its memory is short."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from typing import Any, ContextManager

import torch

OUT_OF_MEMORY = (  # as CUDA, cuDNN, cuBLAS and the CPU's allocator put it
    "out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",  # a handle needs memory, too
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "unable to find an engine to execute",  # cuDNN tries its plans, and swallows why they fail
    "Unable to find a valid cuDNN algorithm",
    "can't allocate memory",
)
BFLOAT16_SINCE = 8  # compute capability; older GPUs emulate it slowly, and torch calls that support


def find_device(name: str | None = None) -> torch.device:
    """A device by name, a GPU always with its number; it becomes the process's current one.

    Args:
        name: "cpu", "cuda" or "cuda:1"; None takes a GPU where there is one.

    Raises:
        ValueError: for a GPU that torch does not see.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name or ("cuda" if count else "cpu"))
    if device.type != "cuda":
        return device
    if count <= (device.index or 0):
        raise ValueError(
            f"device {name!r}: torch sees {count} GPUs here. Leave device out to take what there "
            "is, or see what version_check.ipynb says of this server."
        )
    number = torch.cuda.current_device() if device.index is None else device.index
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def has_bfloat16(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device)[0] >= BFLOAT16_SINCE


def precision(device: torch.device, amp: bool) -> ContextManager[Any]:
    """Half precision on a GPU: bfloat16 where it has it, else float16."""
    if not amp or device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", torch.bfloat16 if has_bfloat16(device) else torch.float16)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or a library on it, had no memory left."""
    return any(words in str(error) for words in OUT_OF_MEMORY)


def free_memory() -> None:
    """Give back what this process keeps on GPUs without need, so that others can have it."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
