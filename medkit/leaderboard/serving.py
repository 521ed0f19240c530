"""Serving a contest, and starting a practice one from a notebook cell."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

from medkit import files
from medkit.arguments import check_arguments
from medkit.errors import ConfigError, RunError
from medkit.leaderboard.app import make_app
from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import SETTINGS, held, read_contest
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.guarding import salted
from medkit.leaderboard.listening import DRAIN_S, HOST, make_server, run
from medkit.submission.credentials import Secret

PRACTICE = "medkit practice leaderboard"
TEAM = 999  # the number of the briefing's example
START_S = 60

_running: dict[Path, Leaderboard] = {}  # by folder, so that a cell can be run again


class Leaderboard:
    """A practice server in a process of its own; `submit` in this one goes to it until `stop`."""

    def __init__(self, process: subprocess.Popen, credentials: Path):
        self._process, self._credentials = process, credentials
        found = json.loads(credentials.read_text(encoding="utf-8"))
        self.url = found["url"]
        names = {f"MEDKIT_{name.upper()}": value for name, value in found.items()}
        self._before = {name: Secret(os.environ.get(name, "")) for name in names}
        self._given = {name: Secret(value) for name, value in names.items()}
        os.environ.update(names)

    def __repr__(self) -> str:
        return f"Leaderboard({self.url!r})"

    def stop(self) -> None:
        """End the server, and give the environment back; a second call does nothing."""
        if self._process.stdin.closed:
            return
        self._process.terminate()
        self._process.wait(DRAIN_S + 10)
        self._process.stdin.close()
        self._credentials.unlink(missing_ok=True)
        for name, value in self._before.items():
            if os.environ.get(name) != self._given[name]:  # somebody else's by now
                continue
            del os.environ[name]
            if value:
                os.environ[name] = value


def start(
    answers: Path | str, folder: Path | str, *, task: str | None = None, port: int = 0
) -> Leaderboard:
    """Start a practice leaderboard on this machine, in the background, until this process ends.

    Run again for the same folder, it takes the place of the earlier one and keeps the ranking.

    Args:
        answers: a CSV of `mk.leaderboard.write_answers`.
        folder: becomes the contest's: rules, answers, store and log.
        task: a contest of the kit whose table is not the usual one of ids and labels.
        port: 0 takes a free one.

    Raises:
        RunError: when it does not start, with the end of its log.

    Example:
        >>> answers = mk.leaderboard.write_answers(task, held_out, "answers.csv")
        >>> board = mk.leaderboard.start(answers, "board")
        >>> board.url
        'http://127.0.0.1:...'
        >>> board.stop()
    """
    check_arguments(start, locals())
    folder = Path(folder).resolve()
    files.make_folder(folder)
    if folder in _running:
        _running.pop(folder).stop()
    with held(folder):  # or another notebook's server would lose its log and its passwords
        pass
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
            raise RunError(f"the leaderboard did not start ({' '.join(last)}). See {log}.")
        time.sleep(0.05)
    _running[folder] = Leaderboard(process, ready)
    return _running[folder]


def practise(
    answers: Path, folder: Path, *, port: int, credentials: Path, task: str | None
) -> None:
    """Serve a contest of one team and no end; write the team's new credentials when ready."""
    with held(folder):
        board, who = _practice_board(answers, folder, task)

        def tell(url: str) -> None:
            files.write_json(credentials, {"url": url, **who}, mode=0o600)

        _serve(board, port=port, ready=tell)


def _practice_board(answers: Path, folder: Path, task: str | None) -> tuple[Board, dict[str, str]]:
    """The contest, anew but for its ranking, and its team with new passwords."""
    settings = folder / SETTINGS
    if settings.exists():  # an earlier cell's: its ranking is kept
        if read_contest(folder).name != PRACTICE:
            raise ConfigError(f"{folder}: holds a real contest. Practise in another folder.")
        settings.unlink()
    rules = {"name": PRACTICE, "task": task, "public_share": 1.0, "seed": 0, "members": (1, 1)}
    new_contest(folder, answers, **rules)
    board = Board(folder)
    names = ("password", "contest_password")
    who = {"team": str(TEAM), "email": "practice@example.org"}
    who.update({name: secrets.token_urlsafe(16) for name in names})
    member = {"email": who["email"], "name": "연습생", "password": salted(who["password"])}
    board.store.add_team(TEAM, "연습", salted(who["contest_password"]), [member])
    return board, who


def serve(
    board: Board, *, port: int = 8765, host: str = HOST, is_behind_proxy: bool = False
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        is_behind_proxy: believe what a proxy on this machine says of addresses.

    Raises:
        NotInstalled: naming the extra, when Flask or waitress is missing.
        RunError: another server has the folder.
    """
    with held(board.folder):
        _serve(board, port=port, host=host, is_behind_proxy=is_behind_proxy)


def _serve(
    board: Board,
    *,
    port: int,
    host: str = HOST,
    is_behind_proxy: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """As `serve`, for who holds the folder; `ready` is told the address once it is reached."""
    board.catch_up()
    server = make_server(
        make_app(board),
        host=host,
        port=port,
        longest=board.most_bytes,
        most=board.contest.most_bytes,
        is_behind_proxy=is_behind_proxy,
    )
    url = f"http://{host}:{server.effective_port}"
    print(f"listening on {url}", flush=True)
    ready(url)
    run(server)
    board.close()
