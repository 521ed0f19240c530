"""fit: train here. start: train in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Sequence

import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import refuse_if_held, state_of
from medkit.runs.pictures import placed
from medkit.training import slots
from medkit.training.describing import title
from medkit.training.following import bring_to_end, ended_with_us, log_lines, wait_for_first_step
from medkit.training.launching import Launch, spawn
from medkit.training.plan import Plan, make_plan
from medkit.training.process import train_here


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
        ConfigError, DataError: before the first step, when settings, cases and folder do not fit
            together.
        RunError: when another process trains in the folder, memory is too short, or the loss is
            no longer a number; the last good state is kept.
        Stopped: when somebody stopped it, or `until` came; the state is saved.

    Example:
        >>> run = mk.fit(config, cases, "runs/first", fold=1, num_workers=0, progress=False)
        >>> list(run.history["epoch"])
        [1, 2]
    """
    check_arguments(fit, locals())
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
        with ended_with_us([run]):
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
        RunError: when the run failed at once, with the end of its log; see also `fit`.

    Example:
        >>> run = mk.start(config, cases, "runs/long")  # a process  # doctest: +SKIP
        >>> mk.watch(run)  # doctest: +SKIP
    """
    check_arguments(start, locals())
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


def _last_line(run: Run) -> str:
    lines = log_lines(run)
    return lines[-1].split("  ", 1)[-1] if lines else "finished"
