"""The device that computes: which one, how precisely, and when its memory is short."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager, nullcontext
from typing import Any, ContextManager, Iterator

import torch

from medkit.errors import ConfigError

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
FUSED_ATTENTION = ("flash_sdp", "mem_efficient_sdp", "cudnn_sdp")  # as torch.backends.cuda has them
BFLOAT16_SINCE = 8  # compute capability; older GPUs emulate it slowly, and torch calls that support


def find_device(name: str | None = None) -> torch.device:
    """A device by name, a GPU always with its number; it becomes the process's current one.

    Args:
        name: "cpu", "cuda" or "cuda:1"; None takes a GPU where there is one.

    Raises:
        ConfigError: for what is no device, or a GPU that torch does not see.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        device = torch.device(name or ("cuda" if count else "cpu"))
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} (expected 'cpu', 'cuda' or 'cuda:1').") from error
    if device.type != "cuda":
        return device
    if count <= (device.index or 0):
        raise ConfigError(
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


def repeats(device: torch.device, *, is_exact: bool) -> bool:
    """Whether arithmetic gives the same bits again: on a GPU only where it was asked for."""
    return device.type == "cpu" or is_exact


def free_memory() -> None:
    """Give back what this process keeps on GPUs without need, so that others can have it."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def torch_settings(device: torch.device, *, is_exact: bool) -> Iterator[None]:
    """Settings of torch that hold for the whole process, given back after the run.

    Fused attention has no deterministic backward, and torch would take it all the same.
    """
    threads = torch.get_num_threads()
    benchmark = torch.backends.cudnn.benchmark
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    fused = [name for name in FUSED_ATTENTION if hasattr(torch.backends.cuda, f"enable_{name}")]
    was_fused = {name: getattr(torch.backends.cuda, f"{name}_enabled")() for name in fused}
    torch.backends.cudnn.benchmark = device.type == "cuda" and not is_exact
    if is_exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True, warn_only=True)
        for name in fused if device.type == "cuda" else ():
            getattr(torch.backends.cuda, f"enable_{name}")(False)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(was_deterministic)
        for name, enabled in was_fused.items():
            getattr(torch.backends.cuda, f"enable_{name}")(enabled)
