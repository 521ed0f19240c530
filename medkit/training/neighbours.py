"""Manners on a shared GPU: who is there, how much is free, and waiting for room."""

from __future__ import annotations

import csv
import subprocess
import time
from typing import Any, Callable

import torch

from medkit.models.picture_model import PictureModel
from medkit.runs.config import Config
from medkit.training.optimizing import moments

LOOK_EVERY_S = 10.0
CUDA_BYTES = 600e6  # what a process on a GPU needs before its first tensor, and for workspaces
MEASURED = 256  # pixels at most, of the pictures by which activations are measured
ASKED = "gpu_uuid,pid,process_name,used_memory"


def gpu_users() -> list[dict[str, Any]] | None:
    """Who computes on the GPUs of this machine: `gpu`, `pid`, `name`, `memory_bytes` each.

    None where the driver does not tell; in a container it often hides the neighbours' processes.
    """
    command = ["nvidia-smi", f"--query-compute-apps={ASKED}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_users(told.stdout) if told.returncode == 0 else None


def parse_users(text: str) -> list[dict[str, Any]]:
    """The lines of `nvidia-smi --query-compute-apps`, memory in MiB."""
    users = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == 4 and row[1].isdigit():
            size = int(row[3]) * 2**20 if row[3].isdigit() else None  # "[N/A]" in some containers
            users.append({"gpu": row[0], "pid": int(row[1]), "name": row[2], "memory_bytes": size})
    return users


def wait_for_room(
    needed: float,
    memory: Callable[[], tuple[int, int]],
    *,
    limit_s: float,
    log: Callable[[str], None],
    users: Callable[[], list[dict[str, Any]] | None] = gpu_users,
) -> None:
    """Return when `needed` bytes are free on the device.

    Args:
        memory: gives the bytes that are free now, and all that the device has.
        limit_s: seconds to wait at most.
        log: is told, once, that this waits and for what.

    Raises:
        RuntimeError: when there is no room within the limit, or never can be.
    """
    began, told = time.monotonic(), False
    free, total = memory()
    if needed > total:
        raise RuntimeError(
            f"fit: about {needed / 1e9:.1f} GB of GPU memory are needed, and the GPU has "
            f"{total / 1e9:.1f} GB. Take a smaller micro_batch (the images that go through the "
            "model at once), image_size or model."
        )
    while free < needed:
        there = _describe(users())
        if time.monotonic() - began >= limit_s:
            raise RuntimeError(
                f"fit: {free / 1e9:.1f} GB of GPU memory are free after {limit_s:.0f} s "
                f"(expected {needed / 1e9:.1f} GB; {there}). Wait longer with wait_s=..., or take "
                "a smaller micro_batch, image_size or model."
            )
        if not told:
            log(
                f"waiting up to {limit_s:.0f} s for {needed / 1e9:.1f} GB of GPU memory "
                f"({free / 1e9:.1f} GB are free; {there})"
            )
            told = True
        time.sleep(min(LOOK_EVERY_S, max(0.0, limit_s - (time.monotonic() - began))))
        free, _ = memory()
    if told:
        log("there is room now")


def _describe(users: list[dict[str, Any]] | None) -> str:
    if users is None:
        return "the driver does not tell who is there"
    if not users:
        return "the driver shows nobody there"
    sizes = (f"{u['memory_bytes'] / 1e9:.1f} GB" if u["memory_bytes"] else "?" for u in users)
    shown = [f"{user['name']} ({user['pid']}) {size}" for user, size in zip(users, sizes)]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def training_bytes(model: PictureModel, config: Config, images: int) -> int:
    """What training takes on a device, about: weights, gradients, optimizer, and activations.

    Args:
        model: on the CPU; two empty pictures are sent through it, and it is not changed.
        images: through the model at once.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    copies = 2 + moments(config) + bool(config.ema_decay)  # weights, gradients, moments
    half = 0.5 if config.amp else 1.0  # activations in 16 bits
    return int(copies * weights + half * images * activation_bytes(model, config.image_size))


def activation_bytes(model: PictureModel, image_size: int) -> float:
    """Bytes that autograd keeps for backward, for each image, in float32.

    Where they grow with the area, of large pictures a smaller one is sent through, as these would
    take gigabytes here, too.
    """
    measured = min(image_size, MEASURED) if model.grows_by_area else image_size
    kept: dict[int, int] = {}
    own = {p.data_ptr() for p in model.parameters()} | {b.data_ptr() for b in model.buffers()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:  # views of one storage count once
            storage = tensor.storage() if not hasattr(tensor, "untyped_storage") else None
            storage = tensor.untyped_storage() if storage is None else storage
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = model.training
    model.eval()  # leaves the statistics of BatchNorm alone
    images = torch.zeros(2, 3, measured, measured, dtype=torch.uint8)
    n_facts = model.n_facts
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(images, torch.zeros(2, n_facts))
    model.train(was_training)
    del out
    return sum(kept.values()) / 2 * (image_size / measured) ** 2
