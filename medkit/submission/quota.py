"""How many submissions a contest allows, and how many are left: a rule and a count, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Sequence

from medkit.arguments import check_arguments
from medkit.errors import ConfigError
from medkit.submission.ledger import Entry

DAY_S = 86400.0
LONGEST_S = 1e9  # of a window: 31 years, for ever
FAST = timedelta(seconds=60)  # by which our clock may be ahead without anyone noticing
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
        raise ConfigError(
            f"Quota: unknown zone {name!r} here (known: {', '.join(FIXED)}). "
            "Write an offset such as '+09:00'."
        ) from error


@dataclass(frozen=True)
class Quota:
    """So many submissions a calendar day in a zone, or within any span of so many seconds.

    Args:
        zone: the day's: "Asia/Seoul", or an offset such as "+09:00".
        window_s: instead of a day; `Quota(1, window_s=3600)` is one an hour.
        idle_days: after so many days without a submission the contest may remove a team.

    Example:
        >>> mk.Quota(1, window_s=3600)
        Quota(limit=1, zone=None, window_s=3600, idle_days=None)
    """

    limit: int
    zone: str | None = None
    window_s: float | None = None
    idle_days: float | None = None

    def __post_init__(self) -> None:
        check_arguments(Quota, vars(self))
        if self.limit < 1 or (self.zone is None) == (self.window_s is None):
            raise ConfigError(
                f"Quota: limit {self.limit}, zone {self.zone!r}, window_s {self.window_s!r} "
                "(expected a limit of at least 1 and one of the two). Write it like "
                "Quota(10, zone='Asia/Seoul') or Quota(1, window_s=3600)."
            )
        if self.window_s is not None and not self.window_s > 0:
            raise ConfigError(f"Quota: window_s {self.window_s!r} (expected seconds above 0).")
        if self.idle_days is not None and not self.idle_days > 0:
            raise ConfigError(f"Quota: idle_days {self.idle_days!r} (expected days above 0).")
        self.tz()

    def tz(self) -> tzinfo:
        """The zone in which its times are shown."""
        return timezone.utc if self.zone is None else _zone(self.zone)

    def __str__(self) -> str:
        if self.zone is not None:
            return f"{self.limit} a calendar day in {self.zone}"
        return f"{self.limit} in any {timedelta(seconds=self.window_s)}"


MAIC = Quota(10, zone="Asia/Seoul", idle_days=3)  # MAIC briefing 2022; the zone of its server


@dataclass(frozen=True)
class Room:
    """What a quota leaves at one moment.

    Attributes:
        next_free: when one more may be sent; the moment itself when there is room.
        notes: what to be careful about, a sentence each.
        last: when the last one was accepted, as far as the ledger tells.
    """

    quota: Quota
    used: int
    left: int
    limit: int
    next_free: datetime
    notes: tuple[str, ...] = ()
    last: datetime | None = None

    def __str__(self) -> str:
        free = "" if self.left else f"; the next is free at {show_time(self.next_free, self.quota)}"
        rule = f"({self.quota})"
        if self.limit != self.quota.limit:  # the server outranks what was said here
            rule = f"by the server's count (the rule given here: {self.quota})"
        lines = [f"{self.left} of {self.limit} left {rule}{free}.", *self.notes]
        lines += [self._idle()] if self.quota.idle_days is not None and not self.used else []
        return "\n".join(lines)

    def _idle(self) -> str:
        """Until when the team has to send something, when nothing was sent today."""
        rule = f"can remove a team that sends nothing for {self.quota.idle_days:g} days"
        if self.last is None:
            return f"The contest {rule}, and this ledger knows of nothing that was accepted."
        until = self.last + timedelta(days=self.quota.idle_days)
        return (
            f"The contest {rule}: by this ledger the next is due before "
            f"{show_time(until, self.quota)}."
        )

    __repr__ = __str__


def room(quota: Quota, entries: Sequence[Entry], now: datetime) -> Room:
    """What is left for one team, whose submissions are `entries`, in the ledger's order.

    An unknown outcome counts as spent. What the server last said outranks the count: teammates
    submit too. Days are counted by the server's clock, where its answers tell that and ours is not
    far off; where they do not, what it said in a day's first minute may be of the day before, and
    is not believed. A time that lies ahead (the clock moved back) counts as now.
    """
    notes = _clock_notes(quota, entries, now)
    ahead = [entry.ahead for entry in entries if entry.server_time is not None]
    now += ahead[-1] if ahead else timedelta(0)
    spent = [entry for entry in entries if entry.is_spent]
    recent = [entry for entry in spent if _may_count(quota, entry, now)]
    used, limit = len(recent), quota.limit
    left = max(0, limit - used)
    told = [e for e in entries if e.left is not None and _counts(quota, _surely(e), now)]
    if told:
        last = max(told, key=lambda entry: entry.closed)
        at_once = [entry for entry in told if entry.closed > last.opened]  # whose answers crossed
        since = [e for e in recent if e.closed is None or e.closed > last.closed]
        left = max(0, min(entry.left for entry in at_once) - len(since))
        limit = last.limit or limit
        used = max(0, limit - left)
    free = now if left else _next_free(quota, recent, now)
    if quota.zone is not None and left:
        notes += _rolling_notes(quota, spent, now)
    accepted = [e.time + e.ahead for e in entries if e.outcome == "accepted"]
    return Room(quota, used, left, limit, free, tuple(notes), max(accepted, default=None))


def span_of(quota: Quota, moment: datetime) -> tuple[datetime, datetime]:
    """From when until before when submissions count together with one at `moment`, in UTC.

    A day begins with its first moment and ends with the next day's, however many hours it has.
    """
    if quota.window_s is not None:
        window = timedelta(seconds=min(quota.window_s, LONGEST_S))
        first, end = moment - window + timedelta(microseconds=1), moment + window
    else:
        day = moment.astimezone(quota.tz()).date()
        first, end = (datetime.combine(d, time(), quota.tz()) for d in (day, day + timedelta(1)))
    return first.astimezone(timezone.utc), end.astimezone(timezone.utc)


def show_time(moment: datetime, quota: Quota) -> str:
    """A time in the quota's zone, to the minute."""
    name = quota.zone or "UTC"
    return f"{moment.astimezone(quota.tz()):%Y-%m-%d %H:%M} ({name})"


def _counts(quota: Quota, moment: datetime, now: datetime) -> bool:
    return moment >= span_of(quota, now)[0]  # also one that lies ahead


def _surely(entry: Entry) -> datetime:
    """When it was sent by the server's clock, or at the earliest where that is not known."""
    return entry.time + (entry.ahead if entry.server_time is not None else -FAST)


def _may_count(quota: Quota, entry: Entry, now: datetime) -> bool:
    """Whether a submission counts now; one that went over midnight counts on both days."""
    ended = entry.closed_time + entry.ahead
    over_midnight = quota.zone is not None and _counts(quota, ended, now)
    return over_midnight or _counts(quota, entry.time + entry.ahead, now)


def _next_free(quota: Quota, recent: Sequence[Entry], now: datetime) -> datetime:
    times = sorted(min(entry.time + entry.ahead, now) for entry in recent)
    from_now = quota.zone is not None or len(times) < quota.limit
    return span_of(quota, now if from_now else times[-quota.limit])[1]


def _clock_notes(quota: Quota, entries: Sequence[Entry], now: datetime) -> list[str]:
    newest = max((entry.closed_time for entry in entries), default=now)
    if newest <= now:
        return []
    return [
        f"The clock moved back: the ledger's newest time is {show_time(newest, quota)}, and "
        f"now is {show_time(now, quota)}. The count may be wrong; set the clock right."
    ]


def _rolling_notes(quota: Quota, spent: Sequence[Entry], now: datetime) -> list[str]:
    times = [entry.time + entry.ahead for entry in spent]
    rolling = [moment for moment in times if now - moment < timedelta(seconds=DAY_S)]
    if len(rolling) < quota.limit:
        return []
    free = min(rolling[-quota.limit], now) + timedelta(seconds=DAY_S)
    return [
        f"{len(rolling)} were sent within 24 hours: if the contest counts any 24 hours and not "
        f"days, the next is free at {show_time(free, quota)}."
    ]
