"""Time slots: a run that gives the device back at a time of day."""

from __future__ import annotations

import math
import re
from datetime import datetime, time, timedelta, timezone

from medkit.errors import ConfigError

OVER = timedelta(hours=6)  # so long after a time of day its slot is over; later it is tomorrow's
DAY = timedelta(days=1)


def moment(until: str | datetime | None, now: datetime | None = None) -> datetime | None:
    """When a slot ends, with its zone; without one by this machine's clock. None never ends.

    A time of day is the next one, but for one of the last six hours: that slot is over.

    Args:
        until: "17:50", "17:50+09:00", "2026-11-27 17:50", or a datetime.

    Raises:
        ConfigError: for what is no time.

    Example:
        >>> now = datetime.fromisoformat("2026-11-27T22:00:00+09:00")
        >>> str(moment("6:30+09:00", now))
        '2026-11-28 06:30:00+09:00'
    """
    if until is None:
        return None
    now = (now or datetime.now()).astimezone()
    try:
        if not isinstance(until, datetime):
            text = re.sub("Z$", "+00:00", until.strip())
            text = re.sub(r"^(\d:)", r"0\1", text)
            if re.match(r"\d\d:", text):
                return _next(time.fromisoformat(text), now)
            until = datetime.fromisoformat(text)
        until = datetime.fromisoformat(until.isoformat())  # also pandas' own kind
        return until if until.tzinfo else until.astimezone()
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"until={until!r} is no time (expected such as '17:50', '17:50+09:00' or "
            "'2026-11-27 17:50'). Say when the device is to be given back."
        ) from error


def _next(of_day: time, now: datetime) -> datetime:
    """The next moment with a time of day, or the last one while its slot is just over."""
    today = now.astimezone(of_day.tzinfo).date()
    found = [datetime.combine(today + k * DAY, of_day) for k in (-1, 0, 1)]
    found = [there if there.tzinfo else there.astimezone() for there in found]
    return next(there for there in found if now - there < OVER)


def left_s(until: datetime | None) -> float:
    """Seconds until a slot ends."""
    if until is None:
        return math.inf
    now = datetime.now(timezone.utc)  # within one zone Python would not count summer time
    return (until.astimezone(timezone.utc) - now).total_seconds()


def clock_of(until: datetime) -> str:
    """A slot's end as a time of day, with its zone where that is not this machine's."""
    is_here = until.utcoffset() == until.astimezone().utcoffset()
    return f"{until:%H:%M}" if is_here else f"{until:%H:%M} (UTC{until:%z})"


def check_open(until: datetime | None) -> None:
    """Refuse to begin in a slot that is over.

    Raises:
        ConfigError: naming what the clock says.
    """
    if left_s(until) <= 0:
        raise ConfigError(
            f"until={clock_of(until)} is over (this machine's clock says "
            f"{datetime.now():%Y-%m-%d %H:%M}). Give a later time, with its date if it is not "
            "today's, or leave it out."
        )
