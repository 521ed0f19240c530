"""The organiser's commands: python -m medkit.leaderboard new, teams, serve, mend, ..."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from medkit.leaderboard import contest as contests
from medkit.leaderboard import organising, serving
from medkit.leaderboard.board import Board


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is no news here
    try:
        arguments.run(arguments)
    except (ValueError, OSError, RuntimeError, ImportError, sqlite3.Error) as error:
        raise SystemExit(f"{error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medkit.leaderboard")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    new = commands.add_parser("new", help="make a contest's folder")
    new.add_argument("folder", type=Path)
    new.add_argument("--answers", type=Path, required=True, help="a CSV of ids and labels")
    new.add_argument("--id-column", help="default: the first")
    new.add_argument("--label-column", help="default: the second")
    new.add_argument("--name", help="shown on the page")
    new.add_argument("--task", help="one of the kit's contests: its score, labels and layout")
    new.add_argument("--metric", nargs="+", dest="metrics", help="the first one ranks")
    new.add_argument("--opens", help="such as 2026-11-20T09:00:00+09:00")
    new.add_argument("--closes", help="such as 2026-11-27T18:00:00+09:00")
    new.add_argument("--limit", type=int, help="submissions a day (10)")
    new.add_argument("--zone", help="in which days are counted (Asia/Seoul)")
    new.add_argument("--window-s", type=float, help="count within so many seconds, not by days")
    new.add_argument("--public-share", type=float, help="of the rows (0.3)")
    new.add_argument("--seed", type=int, help="of the split; random by default")
    new.add_argument("--counts", choices=contests.COUNTS, help="which submission ranks (best)")
    new.add_argument("--members", type=int, nargs=2, help="fewest and most of a team (2 4)")
    new.set_defaults(run=organising.new)

    teams = commands.add_parser("teams", help="add a team, give new passwords, list them")
    teams.add_argument("action", choices=("add", "renew", "list"))
    teams.add_argument("folder", type=Path)
    teams.add_argument("team", nargs="?", help="its name; for renew its number")
    teams.add_argument("--member", action="append", default=[], metavar="EMAIL[:NAME]")
    teams.add_argument("--table", type=Path, help="add many: a CSV with team, email, name")
    teams.set_defaults(run=organising.teams)

    serve = commands.add_parser("serve", help="serve it")
    serve.add_argument("folder", type=Path)
    serve.add_argument("--host", default=serving.HOST)
    serve.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    serve.add_argument("--behind-proxy", action="store_true", help="a proxy here speaks TLS")
    serve.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    serve.set_defaults(run=_serve)

    mend = commands.add_parser("mend", help="set aside what a wrong clock put into the future")
    mend.add_argument("folder", type=Path)
    mend.add_argument("--back", action="store_true", help="let all of it count again")
    mend.set_defaults(run=organising.mend)

    backup = commands.add_parser("backup", help="copy the contest, also while it is served")
    backup.add_argument("folder", type=Path)
    backup.add_argument("target", type=Path)
    backup.set_defaults(run=organising.backup)

    export = commands.add_parser("export", help="write results.csv and submissions.csv")
    export.add_argument("folder", type=Path)
    export.add_argument("--to", type=Path, help="another folder")
    export.set_defaults(run=organising.export)

    practise = commands.add_parser("practise", help="what mk.leaderboard.start starts")
    practise.add_argument("folder", type=Path)
    practise.add_argument("--answers", type=Path, required=True)
    practise.add_argument("--task")
    practise.add_argument("--port", type=int, default=0)
    practise.add_argument("--credentials", type=Path, required=True)
    practise.set_defaults(run=_practise)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    if arguments.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    board = Board(arguments.folder)
    serving.serve(
        board,
        port=arguments.port,
        host=arguments.host,
        is_behind_proxy=arguments.behind_proxy,
    )


def _practise(arguments: argparse.Namespace) -> None:
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    serving.practise(
        arguments.answers,
        arguments.folder,
        port=arguments.port,
        credentials=arguments.credentials,
        task=arguments.task,
    )


def _end_with_stdin() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held at exit
        continue
    os.kill(os.getpid(), signal.SIGTERM)  # what came in is answered first


if __name__ == "__main__":
    main()
