"""One process of a run, from its device to its end: signals, settings of torch, what it leaves."""

from __future__ import annotations

import signal
import threading
import traceback
from contextlib import contextmanager
from typing import Any, Iterator

import torch

from medkit.devices import find_device, free_memory, torch_settings
from medkit.errors import RunError, Stopped
from medkit.runs.folder import Run
from medkit.runs.holding import Hold, hold
from medkit.training.launching import Launch
from medkit.training.loop import train
from medkit.training.plan import Plan
from medkit.training.preparing import prepare
from medkit.training.ranks import Ranks
from medkit.training.telling import Telling


def train_here(run: Run, plan: Plan, launch: Launch) -> None:
    """Train in this process: alone, or as one rank of those that torchrun started."""
    ranks, name, is_exact = Ranks(), launch.device, plan.config.deterministic
    if ranks.size > 1 and torch.cuda.is_available() and name != "cpu":
        name = f"cuda:{ranks.local_rank % torch.cuda.device_count()}"
    device = find_device(name)
    ranks.join(device)
    try:
        with _held(run, ranks) as held, torch_settings(device, is_exact=is_exact):
            telling = Telling(run, held, launch, ranks)
            ready = prepare(plan, run, launch, ranks, telling)
            with _explained(launch.num_workers), _signals(held) as seen:
                train(ready, run, held, launch, telling)
    except BaseException as error:
        if isinstance(error, (Stopped, KeyboardInterrupt)):
            ranks.leave()  # not after a failure: NCCL would wait for the others, who wait for us
        _let_go(error)
        raise
    finally:
        ready = None
        free_memory()
    ranks.leave()
    if signal.SIGINT in seen:  # in the last validation: what comes after this run is stopped
        raise KeyboardInterrupt(f"{run.path} had come to its end")


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of a traceback hold: a notebook keeps it, and with it the device."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def _explained(num_workers: int) -> Iterator[None]:
    """The death of a loading process is raised as what it means."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if "DataLoader worker" not in text and "shared memory" not in text:
            raise
        is_shared = "shared memory" in text or "Bus" in text
        memory = "shared memory (/dev/shm)" if is_shared else "memory"
        raise RunError(
            f"fit: one of {num_workers} loading processes died, most likely for want of {memory} "
            f"({text.splitlines()[0]}). Call fit again with num_workers=0: it goes on from the "
            "last saved state, to the same result."
        ) from error


@contextmanager
def _held(run: Run, ranks: Ranks) -> Iterator[Hold]:
    """The run folder, held by rank 0."""
    if not ranks.is_first:
        yield Hold(run.path)
        return
    with hold(run.path) as held:
        yield held


@contextmanager
def _signals(held: Hold) -> Iterator[list[int]]:
    """An interrupt, or the end of the server, lets the step end and the state be saved first.

    Yields the signals that have come.

    Raises:
        KeyboardInterrupt: after an interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []  # signals reach the main thread only
        return
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and seen:
            raise KeyboardInterrupt
        seen.append(number)
        held.stop_wanted = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    except Stopped as stopped:
        if signal.SIGINT in seen:
            raise KeyboardInterrupt(str(stopped)) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
