"""Starting the practice server: in this process, or in the background from a notebook cell."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from medkit import files
from medkit.leaderboard.app import make_app
from medkit.leaderboard.scoring import Answers
from medkit.leaderboard.store import Store

HOST = "127.0.0.1"
TEAM = 999  # the number of the briefing's example
START_S = 60
QUERY = re.compile(r"""\?.*(?=["'])|\?.*""")  # in a line of the log: the contest password is there

_running: dict[Path, Leaderboard] = {}  # by folder, so that a cell can be run again


class Leaderboard:
    """A practice server in a process of its own; `submit` in this one goes to it until `stop`."""

    def __init__(self, process: subprocess.Popen, credentials: Path):
        self._process, self._credentials = process, credentials
        found = json.loads(credentials.read_text(encoding="utf-8"))
        self.url = found["url"]
        names = {f"MEDKIT_{name.upper()}": value for name, value in found.items()}
        self._before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)

    def __repr__(self) -> str:
        return f"Leaderboard({self.url!r})"

    def stop(self) -> None:
        """End the server, and give the environment back; a second call does nothing."""
        if self._process.stdin.closed:
            return
        self._process.terminate()
        self._process.wait(10)
        self._process.stdin.close()
        self._credentials.unlink(missing_ok=True)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def start_leaderboard(answers: Path | str, folder: Path | str, *, port: int = 0) -> Leaderboard:
    """Start a practice leaderboard on this machine, in the background, until this process ends.

    Run again for the same folder, it takes the place of the earlier one and keeps the ranking.

    Args:
        answers: a CSV of `mk.write_answers`.
        folder: where its database and log go.
        port: 0 takes a free one.

    Raises:
        RuntimeError: when it does not start, with the end of its log.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if folder in _running:
        _running.pop(folder).stop()
    ready, log = folder / "credentials.json", folder / "server.log"
    if ready.exists():
        ready.unlink()
    command = [sys.executable, "-m", "medkit.leaderboard", "--folder", str(folder)]
    command += ["--answers", str(answers), "--port", str(port), "--credentials", str(ready)]
    command += ["--until-stdin-closes"]  # which it does when this process ends, however it ends
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        )
    until = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            process.wait()
            process.stdin.close()
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"the leaderboard did not start ({' '.join(last)}). See {log}.")
        time.sleep(0.05)
    _running[folder] = Leaderboard(process, ready)
    return _running[folder]


def serve(answers: Path, folder: Path, port: int, credentials: Path | None) -> None:
    """Serve until the process ends; write a practice team's new credentials when ready."""
    store = Store(folder / "leaderboard.sqlite")
    app = make_app(store, Answers(answers))  # first, as it says which extra is missing
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            self.log("info", '"%s" %s %s', self.requestline, getattr(code, "value", code), size)

        def log(self, type: str, message: str, *args: Any) -> None:
            """A line without the query and without control characters."""
            text = (message % args).encode("unicode_escape").decode("ascii")
            super().log(type, "%s", QUERY.sub("?...", text))

    server = make_server(HOST, port, app, threaded=True, request_handler=Handler)
    who = {
        "url": f"http://{HOST}:{server.server_port}",
        "team": str(TEAM),
        "email": "practice@example.org",
        "password": secrets.token_urlsafe(16),
        "contest_password": secrets.token_urlsafe(16),
    }
    if credentials is not None:
        secret = (who["email"], who["password"], who["contest_password"])
        store.add_team(TEAM, "연습", "연습생", *secret)
        files.write_json(credentials, who, mode=0o600)
    print(f"listening on {who['url']}", flush=True)
    server.serve_forever()
