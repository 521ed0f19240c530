"""How far a run is, in a line: the same in `fit`, in `watch` and where a run is followed."""

from __future__ import annotations

from typing import Any, Mapping

from medkit.progress import clock
from medkit.runs.folder import Run

WIDTH = 20  # characters of the bar


def title(run: Run, progress: bool | str = True) -> str:
    """The run's name, after what the caller says of it ("run 2 of 6")."""
    return f"{progress}: {run.path}" if isinstance(progress, str) else str(run.path)


def describe(run: Run, facts: Mapping[str, Any]) -> str:
    """A bar over all epochs, and what the run's heartbeat tells."""
    parts = gpu = until = ""
    if facts["micro_batch"] < run.config.batch_size:
        parts = f"  {facts['micro_batch']} of {run.config.batch_size} images at once"
    if "until" in facts:
        until = f", epoch {facts['epochs_by_then']} of {facts['epochs']} by {facts['until']}"
    if "gpu_total" in facts:
        used = (facts["gpu_total"] - facts["gpu_free"]) / 1e9
        gpu = f"  GPU {used:.1f} of {facts['gpu_total'] / 1e9:.1f} GB"
        gpu += f" (ours at most {facts['gpu_peak_own'] / 1e9:.1f})"
    return (
        f"{bar((facts['epoch'] - 1 + facts['step'] / facts['steps']) / facts['epochs'])}  "
        f"epoch {facts['epoch']}/{facts['epochs']}  step {facts['step']}/{facts['steps']}  "
        f"loss {facts['loss']:.4f}  {facts['images_per_s']:.0f} images/s  "
        f"{clock(facts['left_s'])} left{until}{parts}{gpu}"
    )


def bar(share: float) -> str:
    """A share as a bar that any terminal and any log can hold.

    Example:
        >>> bar(0.25)
        '[#####...............]  25 %'
    """
    share = min(1.0, max(0.0, share))
    return f"[{'#' * int(WIDTH * share):.<{WIDTH}}] {share:4.0%}".replace("%", " %")
