"""fit: train here. start: train in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

import pandas as pd
import torch

from medkit.datasets import get_task
from medkit.devices import find_device, free_memory
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import Hold, Stopped, hold, refuse_if_held, state_of
from medkit.runs.pictures import data_folder, moved
from medkit.training import launching
from medkit.training.loop import Loop
from medkit.training.ranks import Ranks
from medkit.training.telling import title

FUSED_ATTENTION = ("flash_sdp", "mem_efficient_sdp", "cudnn_sdp")  # as torch.backends.cuda has them


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
        progress: False shows nothing; a text, such as "run 2 of 6", stands before the run's name.

    Raises:
        ValueError: before the first step, when settings, cases and folder do not fit together.
        RuntimeError: when another process trains in the folder, memory is too short, or the loss is
            no longer a number; the last good state is kept.
    """
    options = {
        "num_workers": num_workers,
        "save_every_s": save_every_s,
        "device": device,
        "cache_folder": cache_folder,
        "wait_s": wait_s,
    }
    run, loop, place = _open(config, cases, folder, fold, data)
    if state_of(run.path) == "finished":
        Status(enabled=bool(progress)).line(f"{title(run, progress)}: {_last_line(run)}")
    elif devices > 1:
        launching.launch(run, {**options, "data": place}, devices=devices)
        launching.follow(run, progress=progress)
    else:
        train(run, loop, progress=progress, **options)
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
) -> Run:
    """`fit` in a process of its own, which outlives this kernel and the browser.

    Returns when the first step is done, or after a minute. Look at it with `mk.watch(run)`, end it
    with `mk.stop(run)`; `mk.list_runs(folder)` lists what runs. When the server itself is stopped,
    call this again: the run goes on.

    Args:
        data: as `fit` takes it.
        torchrun: arguments of `torch.distributed.run` for more machines than this one, such as
            `("--nnodes=2", "--rdzv_backend=c10d", "--rdzv_endpoint=host:29400")`. Call it on each
            machine with the same folder, which all of them can read and write.

    Raises:
        RuntimeError: when the run failed at once, with the end of its log; see also `fit`.
    """
    options = {
        "num_workers": num_workers,
        "save_every_s": save_every_s,
        "device": device,
        "cache_folder": cache_folder,
        "wait_s": wait_s,
    }
    run, _, options["data"] = _open(config, cases, folder, fold, data, is_alone=not torchrun)
    if state_of(run.path) != "finished":
        launching.launch(run, options, devices=devices, torchrun=torchrun)
        launching.wait_for_first_step(run)
    return run


def _open(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    fold: int | None,
    data: Path | str | None,
    *,
    is_alone: bool = True,
) -> tuple[Run, Loop, Path]:
    """The run folder, the loop made of its settings, and where the pictures lie now.

    What is wrong with settings and cases shows before anything is written.
    """
    folder, task = Path(folder), get_task(config.task)
    cases = cases if data is None else moved(cases, data)
    loop = Loop(task, config, cases, fold)
    if is_alone:
        refuse_if_held(folder)
    place = data_folder(cases)
    return open_folder(folder, task, config, cases, data=place, fold=fold), loop, place


def train(
    run: Run,
    loop: Loop,
    *,
    num_workers: int,
    save_every_s: float,
    device: str | None,
    cache_folder: Any,
    wait_s: float,
    progress: bool | str = False,
) -> None:
    """Train in this process: alone, or as one rank of those that torchrun started."""
    ranks = Ranks()
    if ranks.size > 1 and torch.cuda.is_available() and device != "cpu":
        device = f"cuda:{ranks.local_rank % torch.cuda.device_count()}"
    place = find_device(device)
    ranks.join(place)
    try:
        with _held(run, ranks) as held, torch_settings(loop.config, place):
            loop.prepare(
                run,
                held,
                ranks,
                device=place,
                cache_folder=cache_folder,
                wait_s=wait_s,
                progress=progress,
            )
            with _signals(held):
                loop.train(num_workers, save_every_s)
    except (Stopped, KeyboardInterrupt):
        ranks.leave()
        raise
    finally:
        loop.let_go()
        free_memory()
    ranks.leave()  # not after a failure: NCCL would wait for the others, who wait for this one


@contextmanager
def _held(run: Run, ranks: Ranks) -> Iterator[Hold]:
    """The run folder, held by rank 0."""
    if not ranks.is_first:
        yield Hold(run.path)
        return
    with hold(run.path) as held:
        yield held


@contextmanager
def torch_settings(config: Config, device: torch.device) -> Iterator[None]:
    """Settings of torch that hold for the whole process, given back after the run.

    Fused attention has no deterministic backward, and torch would take it all the same.
    """
    threads = torch.get_num_threads()
    benchmark = torch.backends.cudnn.benchmark
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    fused = [name for name in FUSED_ATTENTION if hasattr(torch.backends.cuda, f"enable_{name}")]
    was_fused = {name: getattr(torch.backends.cuda, f"{name}_enabled")() for name in fused}
    torch.backends.cudnn.benchmark = device.type == "cuda" and not config.deterministic
    if config.deterministic:
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
    lines = launching.log_lines(run)
    return lines[-1].split("  ", 1)[-1] if lines else "finished"
