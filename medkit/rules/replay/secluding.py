"""A process without network, in which `retraining` works.

`python -m medkit.rules.replay.secluding FOLDER` is in a namespace of its own where the system lets
it, and in any case a hook refuses each address. What it is to do lies in a JSON file of the folder,
and so does what comes of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterable

from medkit import files
from medkit.errors import MedkitError, RunError
from medkit.runs.own_tasks import TRUSTED
from medkit.training.launching import SECRETS

NEW_USER, NEW_NET = 0x10000000, 0x40000000  # of Linux's unshare(2)
ADDRESSED = ("socket.connect", "socket.sendto", "socket.sendmsg")  # urllib3 binds, to see IPv6
NAMED = ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "ftplib.connect")
WANTED, RESULT, NETWORK = "wanted.json", "result.json", "network.txt"
DIE_WITH_PARENT = 1  # of Linux's prctl(2)


def train_again(
    place: Path, wanted: dict[str, Any], tell: Callable[[str], None], *, trusted: Iterable[str] = ()
) -> dict[str, Any]:
    """Do what is wanted in a process of its own; returns its result.

    Args:
        trusted: hashes of code that it may run, and this process does not.

    Raises:
        RunError: it failed, with the end of what it said.
    """
    files.write_json(place / WANTED, wanted)
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])  # this medkit, and no more
    environment[TRUSTED] = " ".join([os.environ.get(TRUSTED, ""), *trusted])
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(place / "compiled")
    process = subprocess.Popen(
        [sys.executable, "-m", "medkit.rules.replay.secluding", str(place)],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line.rstrip())
            tell(said[-1])
        process.wait()
    finally:
        if process.poll() is None:  # an interrupt of the one who waits
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    done = {}
    if process.returncode == 0 and (place / RESULT).is_file():
        done = json.loads((place / RESULT).read_text(encoding="utf-8"))
    if not done or "error" in done:
        last = [line for line in said if line.strip()][-1:] or ["nothing"]
        words = str(done.get("error", f"its last words: {last[0][:300]}")).rstrip(".")
        raise RunError(f"replay: training again failed: {words}. {_tried(place)}".rstrip())
    return done


def network_tried(place: Path) -> list[str]:
    """Where it wanted to go."""
    path = place / NETWORK
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _tried(place: Path) -> str:
    tried = network_tried(place)
    return f"It tried to reach the network ({tried[0]})." if tried else ""


def cut_off(note: Path) -> None:
    """Refuse this process the network, and write down what it tries."""
    _leave_network()
    lock = threading.Lock()

    def refuse(event: str, arguments: tuple) -> None:
        if event in ADDRESSED:
            if not isinstance(arguments[1], tuple):  # the name of a local socket
                return
            where = arguments[1][0]
        elif event in NAMED:
            where = arguments[0]
        else:
            return
        with lock:
            files.append_line(note, f"{event} {str(where)[:100]}")
        raise PermissionError(f"no network while a hand-in is trained again ({where})")

    sys.addaudithook(refuse)


def _leave_network() -> None:
    """Go where there is none; not every system lets a process do so."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):  # not Linux
        return
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_NET) != 0 and libc.unshare(NEW_USER | NEW_NET) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def main(place: Path) -> None:
    """Train, predict and write; or the first steps, twice."""
    cut_off(place / NETWORK)
    from medkit.rules.replay import retraining  # torch, when the network is gone

    wanted = json.loads((place / WANTED).read_text(encoding="utf-8"))
    do = retraining.first_steps if wanted["steps"] else retraining.whole
    try:
        result = do(place, wanted)
    except MedkitError as error:
        result = {"error": str(error)}
    files.write_json(place / RESULT, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
