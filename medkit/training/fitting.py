"""fit: train here. start: train in a process of its own."""

from __future__ import annotations

import signal
import threading
import traceback
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, Sequence

import pandas as pd
import torch

from medkit.datasets import get_task
from medkit.devices import find_device, free_memory, torch_settings
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import Hold, Stopped, hold, refuse_if_held, state_of
from medkit.runs.pictures import placed
from medkit.training import slots
from medkit.training.describing import title
from medkit.training.following import bring_to_end, log_lines, wait_for_first_step
from medkit.training.launching import Launch, spawn
from medkit.training.loop import train
from medkit.training.plan import Plan, make_plan
from medkit.training.preparing import prepare
from medkit.training.ranks import Ranks
from medkit.training.telling import Telling


def fit(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    fold: int | None = 0,
    num_workers: int = 2,
    save_every_s: float = 60.0,
    device: str | None = None,
    devices: int = 1,
    cache_folder: Path | str | None = None,
    data: Path | str | None = None,
    wait_s: float = 600.0,
    until: str | datetime | None = None,
    progress: bool | str = True,
) -> Run:
    """Train on all folds but one, and validate on that one after each epoch.

    Called again with the same folder it goes on from the last saved state, to the same bits as
    without the stop; a finished run is returned as it is. An interrupt (the stop button) finishes
    the step and saves; a second one stops at once.

    Args:
        cases: labelled, with `fold` (see `assign_folds`).
        folder: the run folder, made when it is not there.
        fold: the fold that is held out; None trains on all cases and keeps the last weights.
        num_workers: processes that load pictures; any number gives the same result.
        save_every_s: seconds between saves within an epoch, stretched where a save takes more than
            a fiftieth of that; each epoch's end saves too.
        device: "cuda" or "cpu"; None takes the GPU where there is one.
        devices: more than 1 trains on so many GPUs of this machine, in a process for each.
        cache_folder: where decoded pictures lie; see `loading.cache.default_folder`.
        data: where the data folder is now, when `cases` say where it was: those of
            `run.cases()`, after it moved.
        wait_s: seconds to wait for GPU memory that neighbours use.
        until: when the device is to be given back, such as "17:50", by this machine's clock ("17:50
            +09:00" by another's): the state is saved in time, as after an interrupt, and a later
            call goes on. Neither schedule nor bits depend on it.
        progress: False shows nothing; a text, such as "run 2 of 6", stands before the run's name.

    Raises:
        ValueError: before the first step, when settings, cases and folder do not fit together.
        RuntimeError: when another process trains in the folder, memory is too short, or the loss is
            no longer a number; the last good state is kept.
        Stopped: when somebody stopped it, or `until` came; the state is saved.
    """
    launch = Launch(
        num_workers=num_workers,
        save_every_s=save_every_s,
        device=device,
        devices=devices,
        cache_folder=cache_folder,
        data=data,
        wait_s=wait_s,
        until=slots.moment(until),
        progress=progress,
    )
    run, plan, launch = _open(config, cases, folder, fold, launch)
    if state_of(run.path) == "finished":
        Status(enabled=bool(progress)).line(f"{title(run, progress)}: {_last_line(run)}")
        return run
    if devices > 1:
        spawn(run, launch)
        bring_to_end(run, progress=progress)
    else:
        train_here(run, plan, launch)
    return run


def start(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    fold: int | None = 0,
    num_workers: int = 2,
    save_every_s: float = 60.0,
    device: str | None = None,
    devices: int = 1,
    torchrun: Sequence[str] = (),
    cache_folder: Path | str | None = None,
    data: Path | str | None = None,
    wait_s: float = 600.0,
    until: str | datetime | None = None,
) -> Run:
    """`fit` in a process of its own, which outlives this kernel and the browser.

    Returns when the first step is done, or after a minute. Look at it with `mk.watch(run)`, end it
    with `mk.stop(run)`; `mk.list_runs(folder)` lists what runs. When the server itself is stopped,
    call this again: the run goes on.

    Args:
        data, until: as `fit` takes them.
        torchrun: arguments of `torch.distributed.run` for more machines than this one, such as
            `("--nnodes=2", "--rdzv_backend=c10d", "--rdzv_endpoint=host:29400")`. Call it on each
            machine with the same folder, which all of them can read and write.

    Raises:
        RuntimeError: when the run failed at once, with the end of its log; see also `fit`.
    """
    launch = Launch(
        num_workers=num_workers,
        save_every_s=save_every_s,
        device=device,
        devices=devices,
        cache_folder=cache_folder,
        data=data,
        wait_s=wait_s,
        until=slots.moment(until),
    )
    run, _, launch = _open(config, cases, folder, fold, launch, is_alone=not torchrun)
    if state_of(run.path) != "finished":
        spawn(run, launch, torchrun=torchrun)
        wait_for_first_step(run)
    return run


def _open(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    fold: int | None,
    launch: Launch,
    *,
    is_alone: bool = True,
) -> tuple[Run, Plan, Launch]:
    """The run folder, the plan of its settings, and a launch that knows where its pictures lie.

    What is wrong with settings and cases shows before anything is written.
    """
    folder, task = Path(folder), get_task(config.task)
    cases, data = placed(cases, launch.data)
    plan = make_plan(task, config, cases, fold)
    if state_of(folder) != "finished":
        slots.check_open(launch.until)
    if is_alone:
        refuse_if_held(folder)
    run = open_folder(folder, task, config, cases, data=data, fold=fold)
    return run, plan, replace(launch, data=data)


def train_here(run: Run, plan: Plan, launch: Launch) -> None:
    """Train in this process: alone, or as one rank of those that torchrun started."""
    ranks, device = Ranks(), launch.device
    if ranks.size > 1 and torch.cuda.is_available() and device != "cpu":
        device = f"cuda:{ranks.local_rank % torch.cuda.device_count()}"
    place = find_device(device)
    ranks.join(place)
    try:
        with _held(run, ranks) as held, torch_settings(place, is_exact=plan.config.deterministic):
            telling = Telling(run, held, launch, ranks)
            ready = prepare(plan, run, launch, ranks, place, telling)
            with _explained(launch.num_workers), _signals(held):
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
        raise RuntimeError(
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
def _signals(held: Hold) -> Iterator[None]:
    """An interrupt, or the end of the server, lets the step end and the state be saved first.

    Raises:
        KeyboardInterrupt: after an interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    seen = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and seen:
            raise KeyboardInterrupt
        seen.append(number)
        held.stop_wanted = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Stopped as stopped:
        if signal.SIGINT in seen:
            raise KeyboardInterrupt(str(stopped)) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(run: Run) -> str:
    lines = log_lines(run)
    return lines[-1].split("  ", 1)[-1] if lines else "finished"
