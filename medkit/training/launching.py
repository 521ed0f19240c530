"""A run in a process of its own: in the background, on several GPUs, on several machines.

Every process starts from the run folder alone: `python -m medkit.training RUN`, by torchrun where
there are several. A notebook in which CUDA was used can therefore start as many as it likes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from medkit.progress import Status
from medkit.runs.folder import Run
from medkit.runs.holding import Stopped, ask_to_stop, read_status, state_of
from medkit.training.telling import describe, title

FIRST_STEP_S = 60.0  # to wait for it, before `start` leaves the run alone
LOOK_EVERY_S = 0.2
DIED = "Its process died; call mk.start again and it goes on from its last saved state."
TAILS = {"log.txt": 5, "output.txt": 80}  # lines that an error shows; torchrun tells at length
_children: dict[str, subprocess.Popen] = {}  # by run folder


def launch(
    run: Run,
    options: Mapping[str, Any],
    *,
    devices: int = 1,
    torchrun: Sequence[str] = (),
    gpu: int | None = None,
) -> subprocess.Popen:
    """Start a run's process, or its processes; what they print goes to `output.txt`.

    Args:
        gpu: the only one that it sees, counted as this process counts them.
    """
    from medkit.devices import free_memory  # torch, which looking at a run does without

    environment = {k: v for k, v in os.environ.items() if k not in _SECRETS}
    if gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        environment["CUDA_VISIBLE_DEVICES"] = seen[gpu] if seen != [""] else str(gpu)
    home = str(Path(__file__).resolve().parents[2])  # this medkit, wherever it lies
    paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    free_memory()  # the child finds room that this kernel only keeps
    with open(run.path / "output.txt", "ab") as output:
        process = subprocess.Popen(
            command(run, options, devices=devices, torchrun=torchrun),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # neither the kernel's end nor its interrupts reach it
        )
    _children[str(run.path.resolve())] = process
    threading.Thread(target=process.wait, daemon=True).start()  # buries it when it ends
    return process


_SECRETS = ("MEDKIT_EMAIL", "MEDKIT_PASSWORD", "MEDKIT_CONTEST_PASSWORD")  # not for a training run


def command(
    run: Run, options: Mapping[str, Any], *, devices: int = 1, torchrun: Sequence[str] = ()
) -> list[str]:
    """The command line of a run: one process, or torchrun for several."""
    training = ["-m", "medkit.training", str(run.path.resolve())]
    for name, value in options.items():
        if value is not None:
            training += [f"--{name.replace('_', '-')}", str(value)]
    if devices == 1 and not torchrun:
        return [sys.executable, *training]
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={devices}"]
    if not torchrun:
        launcher += ["--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{_free_port()}"]
    return [sys.executable, *launcher, *torchrun, *training]


def stop(run: Run | Path | str, *, wait_s: float = 120.0) -> str:
    """End a run cleanly: its step is finished and its state saved. Returns how it stands then.

    Raises:
        TimeoutError: when it does not answer in time; it will stop when it can.
    """
    run = run if isinstance(run, Run) else Run(run)
    if state_of(run.path) == "running":
        ask_to_stop(run.path)
    until = time.monotonic() + wait_s
    while state_of(run.path) == "running":
        if time.monotonic() > until:
            holder = read_status(run.path)["holder"]
            raise TimeoutError(
                f"{run.path}: process {holder['pid']} on {holder['host']} has not stopped within "
                f"{wait_s:.0f} s. It will after its step; call mk.stop again to wait longer."
            )
        time.sleep(LOOK_EVERY_S)
    return state_of(run.path)


def follow(run: Run, *, progress: bool | str = True) -> None:
    """Show the log of a run until it ends; an interrupt stops the run, too.

    Raises:
        Stopped: when somebody stopped it.
        RuntimeError: when the run failed, with its reason and the end of its log.
    """
    status, shown = Status(enabled=bool(progress)), len(log_lines(run))
    status.line(title(run, progress))
    try:
        while is_going(run):
            shown = show_news(run, status, shown)
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        stop(run)
        raise
    show_news(run, status, shown)
    raise_if_failed(run)
    if state_of(run.path) == "stopped":
        raise Stopped(read_status(run.path)["reason"])


def wait_for_first_step(run: Run) -> None:
    """Return when a started run has made a step, has ended, or a minute has passed."""
    until = time.monotonic() + FIRST_STEP_S
    while is_going(run) and time.monotonic() < until:
        if state_of(run.path) == "running" and "step" in read_status(run.path)["facts"]:
            break
        time.sleep(LOOK_EVERY_S)
    raise_if_failed(run)


def raise_if_failed(run: Run) -> None:
    """Raise what ended a run in the background, readable in a notebook.

    Raises:
        RuntimeError: for a run that failed or died, with the end of its log and output.
    """
    state = state_of(run.path)
    if state not in ("failed", "stale", "new") or is_going(run):
        return
    reason = read_status(run.path).get("reason") or DIED
    tails = [
        f"--- {name}\n" + "\n".join(_lines(run.path / name)[-count:])
        for name, count in TAILS.items()
        if _lines(run.path / name)
    ]
    message = "\n".join([f"{run.path}: the run failed. {reason}", *tails])
    error = RuntimeError(message)
    error._render_traceback_ = lambda: [message]  # in a notebook, without the lines of this file
    raise error


def is_going(run: Run) -> bool:
    """Whether a run's process lives, or may be on its way to take the folder."""
    child, state = _children.get(str(run.path.resolve())), state_of(run.path)
    if state == "running" or (child is not None and child.poll() is None):
        return True
    output = run.path / "output.txt"  # made by the notebook that starts a run
    is_young = output.is_file() and time.time() - output.stat().st_mtime < FIRST_STEP_S
    return child is None and state == "new" and is_young


def show_news(run: Run, status: Status, shown: int) -> int:
    """Show the log from its line `shown` on, and how far the run is; returns the new length."""
    lines = log_lines(run)
    for line in lines[shown:]:
        status.line(line.split("  ", 1)[-1])
    facts = read_status(run.path).get("facts", {})
    if "step" in facts and state_of(run.path) == "running":
        status.update(describe(run, facts))
    elif is_going(run):
        status.update("running, before its first step")
    return len(lines)


def log_lines(run: Run) -> list[str]:
    return _lines(run.path / "log.txt")


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
