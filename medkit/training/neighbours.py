"""Manners on a shared GPU: who is there, how much is free, and waiting for room."""

from __future__ import annotations

import time
from typing import Any, Callable

from medkit.errors import RunError
from medkit.machine import gpu_users

LOOK_EVERY_S = 10.0


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
        RunError: when there is no room within the limit, or never can be.
    """
    began, told = time.monotonic(), False
    free, total = memory()
    if needed > total:
        raise RunError(
            f"fit: about {needed / 1e9:.1f} GB of GPU memory are needed, and the GPU has "
            f"{total / 1e9:.1f} GB. Take checkpointing=True, or a smaller micro_batch (the images "
            "that go through the model at once), image_size or model."
        )
    while free < needed:
        there = _describe(users())
        if time.monotonic() - began >= limit_s:
            raise RunError(
                f"fit: {free / 1e9:.1f} GB of GPU memory are free after {limit_s:.0f} s "
                f"(expected {needed / 1e9:.1f} GB; {there}). Wait longer with wait_s=..., or take "
                "checkpointing=True, a smaller micro_batch, image_size or model."
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
