"""Where every team stands, as far as the server tells without a browser."""

from __future__ import annotations

import json
import warnings
from datetime import datetime
from urllib.request import ProxyHandler, Request, build_opener

import pandas as pd

from medkit.submission.client import SEOUL, check_address
from medkit.submission.credentials import load_credentials

COLUMNS = ["rank", "team", "score", "entries", "time"]


def standing(url: str | None = None, *, timeout_s: float = 10.0) -> pd.DataFrame:
    """`rank, team, score, entries, time` (Seoul): the public ranking, as far as the server tells.

    Nothing secret is sent. The table is empty where the server tells none: the practice leaderboard
    does, a contest's own server may show it on a page only, and a warning then says so.

    Args:
        url: the server's address; None takes that of `load_credentials()`.
    """
    address = (load_credentials().url if url is None else url).rstrip("/")
    check_address(address)
    opener = build_opener(ProxyHandler({}))  # no proxy by accident
    try:
        with opener.open(Request(f"{address}/api/ranking"), timeout=timeout_s) as answer:
            table = pd.DataFrame(json.loads(answer.read(1_000_000)), columns=COLUMNS)
        table["time"] = [_in_seoul(time) for time in table["time"]]
        return table
    except (OSError, ValueError) as error:  # an HTTPError is an OSError, JSON's a ValueError
        warnings.warn(
            f"standing: {address} tells no ranking ({type(error).__name__}). "
            "Look at its page in a browser.",
            stacklevel=2,
        )
        return pd.DataFrame(columns=COLUMNS)


def _in_seoul(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(SEOUL).strftime("%Y-%m-%d %H:%M")
