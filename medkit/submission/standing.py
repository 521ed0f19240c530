"""Where every team stands, as far as the server tells without a browser."""

from __future__ import annotations

import json
import re
import warnings
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from medkit.submission.addresses import check_address, host_of, place
from medkit.submission.answers import SEOUL, SubmitError
from medkit.submission.credentials import load_credentials
from medkit.submission.ledger import Entry, Ledger, ledger_path, note, opened
from medkit.submission.posting import get

COLUMNS = ["rank", "team", "score", "entries", "time"]
NEAR = timedelta(seconds=5)  # between the server's clock and ours
LONGEST = 1_000_000  # bytes of a ranking


def standing(url: str | None = None, *, timeout_s: float = 10.0) -> pd.DataFrame:
    """`rank, team, score, entries, time` (Seoul): the public ranking, as far as the server tells.

    Nothing secret is sent. The table is empty where the server tells none: the practice leaderboard
    does, a contest's own server may show it on a page only, and a warning then says so. A score
    that is surely of one of our submissions is written down for `mk.submissions()`.

    Args:
        url: the server's address; None takes that of `load_credentials()`.
    """
    address = (load_credentials().url if url is None else url).rstrip("/")
    check_address(address)
    try:
        answer = get(f"{address}/api/ranking", timeout_s=timeout_s, longest=LONGEST)
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        rows = [{name: row[name] for name in COLUMNS} for row in json.loads(answer.text)]
        moments = [datetime.fromisoformat(row["time"]).astimezone(SEOUL) for row in rows]
    except (SubmitError, ValueError, KeyError, TypeError, RecursionError) as error:
        warnings.warn(
            f"standing: {address} tells no ranking ({_reason(error)}). "
            "Look at its page in a browser.",
            stacklevel=2,
        )
        return pd.DataFrame(columns=COLUMNS)
    _note_scores(rows, moments, host_of(address))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["time"] = [moment.strftime("%Y-%m-%d %H:%M") for moment in moments]
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, SubmitError):
        return "no answer"
    return str(error) if str(error).startswith("HTTP") else "not the JSON of one"


def _note_scores(rows: list[dict[str, Any]], moments: list[datetime], host: str) -> None:
    """Write down each row's score beside the one submission of that team and that time."""
    ours = [e for e in Ledger(ledger_path()).entries if e.place[0] == place(host, "")[0]]
    found = []
    for row, moment in zip(rows, moments):
        hits = [entry for entry in ours if _is_of(entry, row["team"], moment)]
        is_number = isinstance(row["score"], (int, float))
        if len(hits) == 1 and is_number and hits[0].score != row["score"]:
            found.append((hits[0], float(row["score"])))
    if not found:
        return
    try:
        with opened() as ledger:
            for entry, score in found:
                note(ledger, entry, score)
    except OSError as error:
        warnings.warn(f"standing: no score is kept. {error}", stacklevel=3)


def _is_of(entry: Entry, team: str, moment: datetime) -> bool:
    """Whether a row is of a submission: the server called the team so, and the times agree."""
    named = re.match(r"(.+?)팀 .+님 ", entry.facts.get("words", ""))
    is_ours = named is not None and named.group(1) == team and entry.outcome == "accepted"
    return is_ours and entry.time - NEAR <= moment <= entry.closed_time + NEAR
