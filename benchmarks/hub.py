"""A locked-down JupyterHub and a contest's server on this machine, for `newcomer.py`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

import medkit as mk

PROGRAMS = {  # each by what installs it
    "jupyterhub": "pip install jupyterhub jupyterlab (in an environment of its own)",
    "configurable-http-proxy": "npm install configurable-http-proxy",
    "chromium": "the chromium of the system",
}
CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.auth_token = "only-here"
c.JupyterHub.authenticator_class, c.Authenticator.allow_all = "dummy", True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{home}"
c.Spawner.env_keep = ["PATH", "LANG"]
c.Spawner.environment = {environment!r}
c.Spawner.args = ["--allow-root", "--ServerApp.terminals_enabled=False"]
c.Spawner.args += ["--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True"]
c.Spawner.http_timeout = c.Spawner.start_timeout = 300
"""


def check_programs() -> None:
    """Raise SystemExit that names what is not on the PATH, and what installs it."""
    missing = [f"{name}: {how}" for name, how in PROGRAMS.items() if not shutil.which(name)]
    if missing:
        raise SystemExit("newcomer: not found on the PATH. Install\n  " + "\n  ".join(missing))


def free_ports(n: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def hub(folder: Path, home: Path, kernel: Path) -> Iterator[str]:
    """A JupyterHub without terminals, whose one kernel is the Python in `kernel`; its address.

    Args:
        folder: an empty one, for its settings and its log.
        home: of its user, whatever name logs in.
    """
    spec = folder / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [str(kernel / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
    (spec / "kernel.json").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment.update(HOME=str(home), JUPYTER_PATH=str(folder / "jupyter"))
    ports, config = free_ports(3), folder / "jupyterhub_config.py"
    config.write_text(CONFIG.format(ports=ports, home=home, environment=environment))
    url = f"http://127.0.0.1:{ports[0]}"
    with open(folder / "hub.log", "wb") as log:
        command = ["jupyterhub", "-f", str(config)]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(url + "/hub/health", process, folder / "hub.log")
        yield url
    finally:
        process.terminate()  # it ends its proxy and its users' servers
        process.wait(60)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise SystemExit(f"newcomer: JupyterHub did not start, see {log}")


@contextmanager
def practice(data: Path, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A practice leaderboard for the photos in `data`: its address, and what its team types.

    The latter by words that a box may ask with, the longest first.
    """
    task = mk.get_task("caries")
    answers = mk.leaderboard.write_answers(task, task.read(data, "test"), folder / "answers.csv")
    board = mk.leaderboard.start(answers, folder, task="caries")
    try:
        who = json.loads((folder / "credentials.json").read_text(encoding="utf-8"))
        who.update({"address": who["url"], "e-mail": who["email"]})  # other words for them
        longest_first = sorted(who, key=len, reverse=True)
        yield board.url, {name.replace("_", " "): who[name] for name in longest_first}
    finally:
        board.stop()


@contextmanager
def empty_place(place: Path | None) -> Iterator[Path]:
    """The folder for everything, removed at the end."""
    if place is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name).resolve()
        return
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise SystemExit(f"newcomer: --place {place} is not empty, and would be removed at the end")
    try:
        yield place.resolve()
    finally:
        shutil.rmtree(place)
