"""Serving a contest with waitress, and starting a practice one from a notebook cell."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from medkit import files
from medkit.leaderboard.app import RECEIVED, make_app
from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import SETTINGS, read_contest
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted

HOST = "127.0.0.1"
PRACTICE = "medkit practice leaderboard"
TEAM = 999  # the number of the briefing's example
START_S = 60
THREADS = 4  # scoring is one core's work; more of them wait for each other
CONNECTIONS = 900  # at once; two hundred teams may press at the same second
SLOWEST_S = 120  # a connection that says nothing for so long is closed

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


def start_leaderboard(
    answers: Path | str, folder: Path | str, *, task: str | None = None, port: int = 0
) -> Leaderboard:
    """Start a practice leaderboard on this machine, in the background, until this process ends.

    Run again for the same folder, it takes the place of the earlier one and keeps the ranking.

    Args:
        answers: a CSV of `mk.write_answers`.
        folder: becomes the contest's: rules, answers, store and log.
        task: a contest of the kit whose table is not the usual one of ids and labels.
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
    command = [sys.executable, "-m", "medkit.leaderboard", "practise", str(folder)]
    command += ["--answers", str(answers), "--port", str(port), "--credentials", str(ready)]
    command += ["--task", task] if task else []
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


def practise(
    answers: Path, folder: Path, *, port: int, credentials: Path, task: str | None
) -> None:
    """Serve a contest of one team and no end; write the team's new credentials when ready."""
    settings = folder / SETTINGS
    if settings.exists():  # an earlier cell's: its ranking is kept
        if read_contest(folder).name != PRACTICE:
            raise ValueError(f"{folder}: holds a real contest. Practise in another folder.")
        settings.unlink()
    rules = {"name": PRACTICE, "task": task, "public_share": 1.0, "seed": 0, "members": (1, 1)}
    new_contest(folder, answers, **rules)
    board = Board(folder)
    names = ("password", "contest_password")
    who = {"team": str(TEAM), "email": "practice@example.org"}
    who.update({name: secrets.token_urlsafe(16) for name in names})
    member = {"email": who["email"], "name": "연습생", "password": salted(who["password"])}
    board.store.add_team(TEAM, "연습", salted(who["contest_password"]), [member])

    def tell(url: str) -> None:
        files.write_json(credentials, {"url": url, **who}, mode=0o600)

    serve(board, port=port, ready=tell)


def serve(
    board: Board,
    *,
    port: int = 8765,
    host: str = HOST,
    is_behind_proxy: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until the process ends.

    Args:
        is_behind_proxy: believe what a proxy on this machine says of addresses.
        ready: is told the address once it can be reached.

    Raises:
        ImportError: naming the extra, when waitress is missing.
    """
    app = make_app(board)
    board.catch_up()
    try:
        from waitress.server import create_server
    except ImportError as error:
        raise ImportError(
            "the leaderboard needs waitress: pip install 'medkit[leaderboard]'."
        ) from error
    proxy: dict[str, Any] = {}
    if is_behind_proxy:
        proxy = {"trusted_proxy": HOST, "trusted_proxy_headers": {"x-forwarded-for"}}
        proxy["trusted_proxy_count"] = 1
    server = create_server(
        logged(app),
        host=host,
        port=port,
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=SLOWEST_S,
        asyncore_use_poll=True,
        max_request_body_size=4 * board.contest.most_bytes,  # above that it hangs up at once
        clear_untrusted_proxy_headers=True,
        ident=None,
        **proxy,
    )
    server.channel_class = _stamping(server.channel_class)
    url = f"http://{host}:{server.effective_port}"
    print(f"listening on {url}", flush=True)
    ready(url)
    server.run()


def logged(app: Callable) -> Callable:
    """The application with a line a request: no query, no name, no control characters."""
    log = logging.getLogger("medkit.leaderboard.access")

    def call(environ: dict[str, Any], start_response: Callable) -> Any:
        began = time.monotonic()
        stamp = environ.pop(_HEADER, None)
        if stamp is not None:
            environ[RECEIVED] = int(stamp)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")

        def answer(status: str, *rest: Any) -> Any:
            took = time.monotonic() - began
            line = f"{method} {path[:200]}".encode("unicode_escape").decode("ascii")
            who = environ.get("REMOTE_ADDR")
            log.info("%s %s %s %.3f s", who, line, status[:3], took)
            return start_response(status, *rest)

        return app(environ, answer)

    return call


_STAMP = "MEDKIT_RECEIVED"
_HEADER = f"HTTP_{_STAMP}"


def _stamping(channel_class: type) -> type:
    """Channels that note when a request's last byte arrived.

    A busy server gets round to it only later, perhaps after closing. A header of that name from
    outside is overwritten.
    """

    class Parser(channel_class.parser_class):
        def received(self, data: bytes) -> int:
            count = super().received(data)
            if self.completed:
                self.headers[_STAMP] = str(time.time_ns())
            return count

    class Channel(channel_class):
        parser_class = Parser

    return Channel
