"""How many submissions a contest allows, and how many are left: a rule and a count, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Sequence

from medkit.submission.ledger import Entry

DAY_S = 86400.0
FIXED = {"Asia/Seoul": 9, "Asia/Tokyo": 9, "UTC": 0}  # zones without summer time, for Python 3.8


def _zone(name: str) -> tzinfo:
    found = re.fullmatch(r"([+-])(\d\d):(\d\d)", name)
    if found:
        sign = -1 if found.group(1) == "-" else 1
        offset = sign * timedelta(hours=int(found.group(2)), minutes=int(found.group(3)))
        if abs(offset) < timedelta(days=1):
            return timezone(offset, name)
    if name in FIXED:
        return timezone(timedelta(hours=FIXED[name]), name)
    try:
        from zoneinfo import ZoneInfo  # from Python 3.9 on

        return ZoneInfo(name)
    except (ImportError, ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"Quota: unknown zone {name!r} here (known: {', '.join(FIXED)}). "
            "Write an offset such as '+09:00'."
        ) from error


@dataclass(frozen=True)
class Quota:
    """So many submissions a calendar day in a zone, or within any span of so many seconds.

    Args:
        zone: the day's: "Asia/Seoul", or an offset such as "+09:00".
        window_s: instead of a day; `Quota(1, window_s=3600)` is one an hour.
    """

    limit: int
    zone: str | None = None
    window_s: float | None = None

    def __post_init__(self) -> None:
        if self.limit < 1 or (self.zone is None) == (self.window_s is None):
            raise ValueError(
                f"Quota: limit {self.limit}, zone {self.zone!r}, window_s {self.window_s!r} "
                "(expected a limit of at least 1 and one of the two). Write it like "
                "Quota(10, zone='Asia/Seoul') or Quota(1, window_s=3600)."
            )
        if self.window_s is not None and not self.window_s > 0:
            raise ValueError(f"Quota: window_s {self.window_s!r} (expected seconds above 0).")
        self.tz()

    def tz(self) -> tzinfo:
        """The zone in which its times are shown."""
        return timezone.utc if self.zone is None else _zone(self.zone)

    def __str__(self) -> str:
        if self.zone is not None:
            return f"{self.limit} a calendar day in {self.zone}"
        return f"{self.limit} in any {timedelta(seconds=self.window_s)}"


MAIC = Quota(10, zone="Asia/Seoul")  # MAIC briefing 2022; the zone is that of its server
KHD = Quota(1, window_s=3600)  # Korea Health Datathon 2020: one an hour


@dataclass(frozen=True)
class Room:
    """What a quota leaves at one moment.

    Attributes:
        next_free: when one more may be sent; the moment itself when there is room.
        notes: what to be careful about, a sentence each.
    """

    quota: Quota
    used: int
    left: int
    limit: int
    next_free: datetime
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        free = "" if self.left else f"; the next is free at {show_time(self.next_free, self.quota)}"
        lines = [f"{self.left} of {self.limit} left ({self.quota}){free}.", *self.notes]
        return "\n".join(lines)

    __repr__ = __str__


def room(quota: Quota, entries: Sequence[Entry], now: datetime) -> Room:
    """What is left for one team, whose submissions are `entries`, in the ledger's order.

    An unknown outcome counts as spent. What the server last said outranks the count: teammates
    submit too. A time that lies ahead (the clock moved back) counts as now.
    """
    spent = [entry for entry in entries if entry.is_spent]
    recent = [entry for entry in spent if _may_count(quota, entry, now)]
    used, limit = len(recent), quota.limit
    left = max(0, limit - used)
    told = [
        entry for entry in entries if entry.left is not None and _counts(quota, entry.time, now)
    ]
    if told:
        last = max(told, key=lambda entry: entry.closed)
        at_once = [entry for entry in told if entry.closed > last.opened]  # whose answers crossed
        since = [e for e in recent if e.closed is None or e.closed > last.closed]
        left = max(0, min(entry.left for entry in at_once) - len(since))
        limit = last.limit or limit
        used = max(0, limit - left)
    free = now if left else _next_free(quota, recent, now)
    notes = _notes(quota, entries, spent, now, bool(left))
    return Room(quota, used, left, limit, free, tuple(notes))


def show_time(moment: datetime, quota: Quota) -> str:
    """A time in the quota's zone, to the minute."""
    name = quota.zone or "UTC"
    return f"{moment.astimezone(quota.tz()):%Y-%m-%d %H:%M} ({name})"


def _counts(quota: Quota, moment: datetime, now: datetime) -> bool:
    if moment >= now:
        return True
    if quota.window_s is not None:
        return now - moment < timedelta(seconds=quota.window_s)
    return moment.astimezone(quota.tz()).date() == now.astimezone(quota.tz()).date()


def _may_count(quota: Quota, entry: Entry, now: datetime) -> bool:
    """Whether a submission counts now; one that went over midnight counts on both days."""
    over_midnight = quota.zone is not None and _counts(quota, entry.closed_time, now)
    return over_midnight or _counts(quota, entry.time, now)


def _next_free(quota: Quota, recent: Sequence[Entry], now: datetime) -> datetime:
    if quota.zone is not None:
        tomorrow = now.astimezone(quota.tz()).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time(), quota.tz()).astimezone(timezone.utc)
    window = timedelta(seconds=quota.window_s)
    times = sorted(min(entry.time, now) for entry in recent)
    return times[-quota.limit] + window if len(times) >= quota.limit else now + window


def _notes(
    quota: Quota, entries: Sequence[Entry], spent: Sequence[Entry], now: datetime, has_room: bool
) -> list[str]:
    notes = []
    newest = max((entry.closed_time for entry in entries), default=now)
    if newest > now:
        notes.append(
            f"The clock moved back: the ledger's newest time is {show_time(newest, quota)}, and "
            f"now is {show_time(now, quota)}. The count may be wrong; set the clock right."
        )
    rolling = [entry for entry in spent if now - entry.time < timedelta(seconds=DAY_S)]
    if quota.zone is not None and has_room and len(rolling) >= quota.limit:
        free = min(rolling[-quota.limit].time, now) + timedelta(seconds=DAY_S)
        notes.append(
            f"{len(rolling)} were sent within 24 hours: if the contest counts any 24 hours and not "
            f"days, the next is free at {show_time(free, quota)}."
        )
    return notes
