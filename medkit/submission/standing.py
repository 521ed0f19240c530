"""Where every team stands, as far as the server tells without a browser."""

from __future__ import annotations

import json
import math
import warnings
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pandas as pd

from medkit.arguments import check_arguments
from medkit.errors import DataError, SubmitError
from medkit.submission.addresses import check_address, host_of, place
from medkit.submission.answers import SEOUL
from medkit.submission.credentials import known
from medkit.submission.ledger import Entry, Ledger, ledger_path, note, opened
from medkit.submission.posting import get

COLUMNS = ["rank", "team", "score", "entries", "time"]
MOST = 50  # files whose score is asked for at once
LONGEST = 1_000_000  # bytes of a ranking


def standing(url: str | None = None, *, timeout_s: float = 10.0) -> pd.DataFrame:
    """`rank, team, score, entries, time` (Seoul): the public ranking, as far as the server tells.

    Nothing secret is sent. The table is empty where the server tells none: the practice leaderboard
    does, a contest's own server may show it on a page only, and a warning then says so. The kit's
    own leaderboard also tells what each of our files scored, by its hash, and that is written down
    for `mk.submissions()`; elsewhere `mk.note_score` does so by hand.

    Args:
        timeout_s: for each answer; after one that does not come nothing more is asked.
        url: the server's address; None takes the one of `mk.save_credentials()` or `MEDKIT_URL`.

    Raises:
        SubmitError: no address is known, or none that is safe.

    Example:
        >>> answers = mk.leaderboard.write_answers(task, held_out, "answers.csv")
        >>> csv = mk.write_submission(task, held_out, run.predictions, "submission.csv")
        >>> board = mk.leaderboard.start(answers, "board")  # a server to practise on
        >>> receipt = mk.submit(csv)
        >>> list(mk.standing().columns)
        ['rank', 'team', 'score', 'entries', 'time']
        >>> board.stop()
    """
    check_arguments(standing, locals())
    address = (known()["url"] if url is None else url).rstrip("/")
    if not address:
        words = "standing: no address is known. Run mk.save_credentials() once."
        raise SubmitError(words, outcome="not sent")
    check_address(address)
    try:
        answer = get(f"{address}/api/ranking", timeout_s=timeout_s, longest=LONGEST)
        if answer.status != 200:
            raise DataError(f"HTTP {answer.status}")
        rows = [{name: row[name] for name in COLUMNS} for row in json.loads(answer.text)]
        moments = [datetime.fromisoformat(row["time"]).astimezone(SEOUL) for row in rows]
    except (SubmitError, ValueError, KeyError, TypeError, RecursionError) as error:
        warnings.warn(
            f"standing: {address} tells no ranking ({_reason(error)}). "
            "Look at its page in a browser.",
            stacklevel=2,
        )
        return pd.DataFrame(columns=COLUMNS)
    _note_scores(address, timeout_s)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["time"] = [moment.strftime("%Y-%m-%d %H:%M") for moment in moments]
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, SubmitError):
        return "no answer"
    return str(error) if str(error).startswith("HTTP") else "not the JSON of one"


def _note_scores(address: str, timeout_s: float) -> None:
    """Write down the score of each of our files that has none yet, where the kit's own board tells.

    Only a board that says what it is gets asked: any other server would be sent hashes of files,
    and might answer with what is no score of ours.
    """
    here = place(host_of(address), "")[0]
    ours = [e for e in Ledger(ledger_path()).entries if e.place[0] == here and e.is_spent]
    waiting = [entry for entry in ours if entry.score is None][-MOST:]
    found: list[tuple[Entry, float]] = []
    with suppress(SubmitError):  # no answer: what came before it is kept
        if waiting and _is_own_board(address, timeout_s):
            for entry in reversed(waiting):  # the newest first
                score = _score_of(address, entry, timeout_s)
                found += [] if score is None else [(entry, score)]
    if not found:
        return
    try:
        with opened() as ledger:
            for entry, score in found:
                note(ledger, entry, score)
    except OSError as error:
        warnings.warn(f"standing: no score is kept. {error}", stacklevel=3)


def _is_own_board(address: str, timeout_s: float) -> bool:
    """Whether the server says that it is the kit's leaderboard."""
    facts = _json(f"{address}/api/medkit", timeout_s)
    return isinstance(facts, dict) and facts.get("leaderboard") == "medkit"


def _score_of(address: str, entry: Entry, timeout_s: float) -> float | None:
    """What the board gave a file of a team; None where it has none, or none yet."""
    team, digest = entry.place[1], entry.facts.get("sha256", "")
    facts = _json(f"{address}/api/medkit/scores/{quote(team, safe='')}/{digest}", timeout_s)
    score = facts.get("score") if isinstance(facts, dict) else None
    is_number = isinstance(score, (int, float)) and not isinstance(score, bool)
    return float(score) if is_number and math.isfinite(score) else None


def _json(url: str, timeout_s: float) -> Any:
    """What a public address answers; None where that is no JSON.

    Raises:
        SubmitError: it does not answer.
    """
    answer = get(url, timeout_s=timeout_s, longest=LONGEST)
    try:
        return json.loads(answer.text) if answer.status == 200 else None
    except (ValueError, RecursionError):
        return None
