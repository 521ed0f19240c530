"""How a run is trained, and a process of its own for it: here, on several GPUs or machines.

Every process starts from the run folder alone: `python -m medkit.training RUN`, by torchrun where
there are several. A notebook in which CUDA was used can therefore start as many as it likes.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import threading
from dataclasses import Field, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Sequence

from medkit.errors import ConfigError
from medkit.runs.folder import Run
from medkit.runs.holding import token_of
from medkit.training import slots

SECRETS = ("MEDKIT_EMAIL", "MEDKIT_PASSWORD", "MEDKIT_CONTEST_PASSWORD")  # not for a training run
NOT_TOLD = ("devices", "progress")  # to a process of a run: it is one of them, and nobody looks
_READ = {"int": int, "float": float, "datetime | None": slots.moment}  # by annotation; else text


class Child(NamedTuple):
    """A process that this kernel has started for a run."""

    process: subprocess.Popen
    before: str  # the token of the holder that the run had till then

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


_children: dict[str, Child] = {}  # by run folder, the last one


@dataclass(frozen=True)
class Launch:
    """How a run is trained, where `Config` says what is: the arguments of `fit`, which tells them.

    No bit depends on it, but for the kind and the number of the devices.
    """

    num_workers: int = 2
    save_every_s: float = 60.0
    device: str | None = None
    devices: int = 1
    cache_folder: Path | str | None = None
    data: Path | str | None = None
    wait_s: float = 600.0
    until: datetime | None = None  # with its zone: see `slots.moment`
    progress: bool | str = False

    def __post_init__(self) -> None:
        for name, least in (("num_workers", 0), ("save_every_s", 0), ("devices", 1), ("wait_s", 0)):
            value = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"{name}={value!r} (expected a number from {least} on).")


def command(run: Run, launch: Launch, *, torchrun: Sequence[str] = ()) -> list[str]:
    """The command line of a run: one process, or torchrun for several."""
    training = ["-m", "medkit.training", str(run.path.resolve())]
    for f in _told():
        value = getattr(launch, f.name)
        if value is not None:
            training += [_flag(f), str(value)]
    if launch.devices == 1 and not torchrun:
        return [sys.executable, *training]
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={launch.devices}"]
    if not torchrun:
        launcher += ["--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{_free_port()}"]
    return [sys.executable, *launcher, *torchrun, *training]


def read_command(arguments: Sequence[str] | None = None) -> tuple[Path, Launch]:
    """The run folder and the launch of a command line that `command` wrote, or a person."""
    parser = argparse.ArgumentParser(
        prog="python -m medkit.training", description="Go on with a run from its folder."
    )
    parser.add_argument("run", type=Path, help="the run folder")
    for f in _told():
        parser.add_argument(_flag(f), type=_READ.get(f.type, str), default=f.default)
    told = vars(parser.parse_args(arguments))
    return told.pop("run"), Launch(**told)


def _told() -> list[Field]:
    """What a command line tells of a launch."""
    return [f for f in fields(Launch) if f.name not in NOT_TOLD]


def _flag(f: Field) -> str:
    return f"--{f.name.replace('_', '-')}"


def spawn(
    run: Run, launch: Launch, *, torchrun: Sequence[str] = (), gpu: int | None = None
) -> subprocess.Popen:
    """Start a run's process, or its processes; what they print goes to `output.txt`.

    Args:
        gpu: the only one that it sees, counted as this process counts them.
    """
    from medkit.devices import free_memory  # torch, which looking at a run does without

    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    if gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        environment["CUDA_VISIBLE_DEVICES"] = seen[gpu] if seen != [""] else str(gpu)
    home = str(Path(__file__).resolve().parents[2])  # this medkit, wherever it lies
    paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    before = token_of(run.path)
    free_memory()  # the child finds room that this kernel only keeps
    with open(run.path / "output.txt", "ab") as output:
        process = subprocess.Popen(
            command(run, launch, torchrun=torchrun),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # neither the kernel's end nor its interrupts reach it
        )
    _children[str(run.path.resolve())] = Child(process, before)
    threading.Thread(target=process.wait, daemon=True).start()  # buries it when it ends
    return process


def child(run: Run) -> Child | None:
    """What this kernel has started last for a run, if it has."""
    return _children.get(str(run.path.resolve()))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
