"""python -m medkit.leaderboard --folder FOLDER --answers answers.csv [--port P]"""

from __future__ import annotations

import argparse
import os
import threading
from pathlib import Path

from medkit.leaderboard.serving import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m medkit.leaderboard")
    parser.add_argument("--folder", type=Path, required=True, help="for the database")
    parser.add_argument("--answers", type=Path, required=True, help="CSV of mk.write_answers")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument(
        "--credentials", type=Path, help="make a practice team, and write its secrets here (0600)"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    arguments = parser.parse_args()
    if arguments.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    serve(arguments.answers, arguments.folder, arguments.port, arguments.credentials)


def _end_with_stdin() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held at exit
        continue
    os._exit(0)


if __name__ == "__main__":
    main()
