"""Who holds a run folder, and how the run stands: `status.json`, rewritten every few seconds.

One process at a time trains in a folder. A process that died is told from one that lives by its
process id and start time on the same machine. On any other (containers share host names and use
process ids again) it lives while its heartbeats follow each other: they are watched, not compared
with a clock, since clocks differ.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator

from medkit import files
from medkit.errors import RunError, Stopped

BEAT_S = 2.0  # between heartbeats
STALE_S = 60.0  # watched without a new one, a holder on another machine counts as dead
LOOK_EVERY_S = 0.5
STATUS, STOP = "status.json", "stop"
HOLDER = {"token", "pid", "started", "host", "place"}  # what tells a holder from all others
_live: set[str] = set()  # tokens of what this process holds
_heard: dict[str, tuple[float, float]] = {}  # by token: the last heartbeat, and when it was seen


class Hold:
    """A folder held by this process, from `with hold(folder) as it` to the end of the block.

    Attributes:
        facts: how far the run is; what is put here goes out with the next heartbeat.
        stop_wanted: whether somebody asked for the end.
        is_lost: whether another process has taken the folder over.
    """

    def __init__(self, folder: Path):
        self.folder, self.facts = Path(folder), {}
        self.me = {"token": secrets.token_hex(8), **identity(os.getpid())}
        self.stop_wanted = self.is_lost = False
        self._over, self._thread = threading.Event(), threading.Thread(target=self._beat_on)
        self._thread.daemon = True

    def take(self) -> None:
        """Claim the folder.

        Raises:
            RunError: while another process holds it.
        """
        refuse_if_held(self.folder)  # which may take a minute, in which others look, too
        with _alone(self.folder):
            status = read_status(self.folder)
            if status.get("state") == "running" and is_alive(status):
                raise _held(self.folder, status)
            (self.folder / STOP).unlink(missing_ok=True)
            _live.add(self.me["token"])
            try:
                self._write("running")
                self._thread.start()
            except BaseException:  # an interrupt: else this kernel would hold it for good
                self._over.set()
                _live.discard(self.me["token"])
                raise

    def release(self, state: str, reason: str = "") -> None:
        """Say how it ended: "finished", "stopped" or "failed"."""
        try:
            self._over.set()
            self._thread.join()
        finally:
            _live.discard(self.me["token"])
        (self.folder / STOP).unlink(missing_ok=True)
        if not self.is_lost:
            self._write(state, reason)

    def check(self) -> None:
        """Before anything is written in the folder.

        Raises:
            RunError: when another process has taken the folder over.
        """
        if self.is_lost or self._is_taken():
            raise RunError(
                f"{self.folder}: another process trains in this folder now, since this one did not "
                f"answer for {STALE_S:.0f} s. Nothing more is written from here."
            )

    def _beat_on(self) -> None:
        while not self._over.wait(BEAT_S):
            self._beat()

    def _is_taken(self) -> bool:
        holder = read_status(self.folder).get("holder", {})
        return holder.get("token", self.me["token"]) != self.me["token"]

    def _beat(self) -> None:
        try:
            self.is_lost = self.is_lost or self._is_taken()
            if self.is_lost:
                return
            if (self.folder / STOP).exists():  # a signal may have set it meanwhile
                self.stop_wanted = True
            self._write("running")
        except OSError as error:  # a full disk ends the run where it matters: at its next save
            self.facts["warning"] = str(error)

    def _write(self, state: str, reason: str = "") -> None:
        status = {"state": state, "reason": reason, "holder": self.me, "beat": time.time()}
        files.write_json(self.folder / STATUS, {**status, "facts": dict(self.facts)})


@contextmanager
def hold(folder: Path) -> Iterator[Hold]:
    """Hold a run folder, and say in `status.json` how the block ended.

    Raises:
        RunError: while another process holds it.
    """
    held = Hold(folder)
    held.take()
    try:
        yield held
    except (KeyboardInterrupt, Stopped) as error:
        held.release("stopped", str(error) or "interrupted")
        raise
    except BaseException as error:
        with suppress(OSError):  # what failed says more than that it cannot be written down
            held.release("failed", f"{type(error).__name__}: {error}")
        raise
    held.release("finished")


def refuse_if_held(folder: Path) -> None:
    """Raise a RunError while a living process trains in the folder.

    One on another machine is watched: until its next heartbeat, or for a minute without one. Then
    it is written down as stopped; should it live, its next heartbeat says so.
    """
    first = status = read_status(folder)
    if last_heard(folder) and is_alive(status):
        print(f"{folder}: a run {last_heard(folder)}. Watching for its next heartbeat.", flush=True)
    while status.get("state") == "running" and is_alive(status):
        if _is_here(status) or status["beat"] != first["beat"]:
            raise _held(folder, status)
        time.sleep(LOOK_EVERY_S)
        status = read_status(folder)
    if status.get("state") != "running" or _is_here(status):
        return
    reason = f"no sign of life from {status['holder']['host']} for {STALE_S:.0f} s"
    with _alone(folder):
        if read_status(folder) == status:  # nobody else has taken it meanwhile
            files.write_json(folder / STATUS, {**status, "state": "stopped", "reason": reason})


def _held(folder: Path, status: dict[str, Any]) -> RunError:
    holder = status["holder"]
    return RunError(
        f"{folder}: process {holder['pid']} on {holder['host']} trains in this folder. Look at it "
        "with mk.watch(run), end it with mk.stop(run), or choose another folder."
    )


def state_of(folder: Path) -> str:
    """How a run stands: "new", "running", "finished", "stopped", "failed", or "stale".

    A stale one was running when its process died: call `fit` or `start` again to go on. One that
    runs on another machine is "running" until it was looked at for a minute without a heartbeat.
    """
    status = read_status(folder)
    state = status.get("state", "new")
    return "stale" if state == "running" and not is_alive(status) else state


def read_status(folder: Path) -> dict[str, Any]:
    """What `status.json` says; {} where there is none, or a damaged one: a heartbeat mends it."""
    try:
        status = json.loads((Path(folder) / STATUS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    is_whole = isinstance(status, dict) and {"state", "holder", "beat", "facts"} <= set(status)
    is_held = is_whole and isinstance(status["holder"], dict) and HOLDER <= set(status["holder"])
    return status if is_held and isinstance(status["beat"], (int, float)) else {}


def token_of(folder: Path) -> str:
    """Of who has, or had, the folder; "" where nobody ever had."""
    return read_status(folder).get("holder", {}).get("token", "")


def last_heard(folder: Path) -> str:
    """When a run on another machine was heard of last, by its own clock; "" for any other."""
    status = read_status(folder)
    if status.get("state") != "running" or _is_here(status):
        return ""
    when = datetime.fromtimestamp(int(status["beat"]))
    return f"on {status['holder']['host']}, last heard {when} by its clock"


def ask_to_stop(folder: Path) -> None:
    """Leave the wish to stop in the folder; its process sees it with its next heartbeat."""
    files.write_whole(Path(folder) / STOP, "")


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote a status still lives, as far as can be told at once."""
    holder = status["holder"]
    if _is_here(status):
        if holder["pid"] == os.getpid() and holder["token"] not in _live:
            return False  # a hold of this kernel that could not say its end
        started = _started(holder["pid"])
        return started is not None and started == holder["started"]
    now, (beat, seen) = time.monotonic(), _heard.get(holder["token"], (None, 0.0))
    if beat != status["beat"]:
        _heard[holder["token"]] = status["beat"], now
        return True
    return now - seen < STALE_S


def _is_here(status: dict[str, Any]) -> bool:
    """Whether the process that wrote a status is, or was, on this machine."""
    here = identity(os.getpid())
    return all(status["holder"][name] == here[name] for name in ("host", "place"))


def identity(pid: int) -> dict[str, Any]:
    """What tells a process from all others: id, start, host name, and place.

    The place is the machine since its start, and the process namespace: containers share the one,
    and a restarted container has another of the other. `started` is None for a process that is not
    there, or is dead and not yet buried.
    """
    place = ""
    if os.path.isdir("/proc/self"):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        place = f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return {"pid": pid, "started": _started(pid), "host": socket.gethostname(), "place": place}


def _started(pid: int) -> int | None:
    """When a living process began, in clock ticks since the machine did."""
    if not os.path.isdir("/proc/self"):
        return _without_proc(pid)
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            rest = file.read().rpartition(")")[2].split()  # the name before may hold anything
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if rest[0] in "ZX" else int(rest[19])


def _without_proc(pid: int) -> int | None:
    """0 for a process that is there, on a system without /proc; else None."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0  # another user's
    return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, for the moment in which a folder is looked at and taken.

    Where a network disk has no locks, two starts within the same milliseconds are not told apart.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        files.lock(handle)
        yield
    finally:
        os.close(handle)
