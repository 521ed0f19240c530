"""What was sent, and what became of it: a file of lines that is only ever added to.

Only what of a line could not be written whole, and lies at the end, is taken back.

The intent stands there before the request, the outcome after it; an intent without one is unknown.
Home folders are often on NFS, where SQLite does not work: hence lines, each with a checksum.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Iterator

import pandas as pd

from medkit import files
from medkit.arguments import check_arguments
from medkit.errors import ConfigError, PlaceError, WaitError
from medkit.submission.addresses import place
from medkit.submission.answers import SEOUL

WAIT_S = 30.0  # for another notebook that holds the ledger; it does so for milliseconds
SETTLED = ("accepted", "refused")  # by a person, of what is unknown
WRONG = timedelta(minutes=10)
ROUNDING = timedelta(seconds=2)  # of a server's time and its way to us
NAMED = 5  # lines in a message
HASH = 12  # characters of a CSV's hash in a table
SCORES = ["local_score", "local_low", "local_high", "leaderboard_score"]
COLUMNS = ["time", "host", "csv", "sha256", "run", "note", *SCORES, "outcome", "left", "words"]
DECIMALS = 4  # of a score in a table


@dataclass
class Entry:
    """One submission, as far as the ledger tells.

    Attributes:
        facts: what was written of it: id, host, team, csv, sha256, run, local_score, words ...
        left, limit: what the server said of the quota.
        opened, closed: the lines of its intent and its outcome; `closed` None while there is none.
        score: what the leaderboard showed.
        server_time: by the server's own clock, when it answered.
        is_settled: by a person, with `note_outcome`.
    """

    facts: dict[str, Any]
    time: datetime
    closed_time: datetime
    outcome: str
    left: int | None
    limit: int | None
    opened: int
    closed: int | None
    score: float | None = None
    server_time: datetime | None = None
    is_settled: bool = False

    @property
    def place(self) -> tuple[str, str]:
        return place(self.facts.get("host", ""), self.facts.get("team", ""))

    @property
    def ahead(self) -> timedelta:
        """By how much the server's clock was ahead of ours, where it said so.

        A clock that is wrong by more may have been set right since: then days are ours.
        """
        by = timedelta(0) if self.server_time is None else self.server_time - self.closed_time
        return by if ROUNDING < abs(by) < WRONG else timedelta(0)

    @property
    def is_spent(self) -> bool:
        return self.outcome in ("accepted", "unknown")


class Ledger:
    """The ledger as it stands; to be added to only while it is held, see `opened`."""

    def __init__(self, path: Path):
        self.path = path
        self.events, self.lost, self.damaged, self.torn = _parse(path)
        self.entries = _entries(self.events)

    def of(self, host: str, team: str) -> list[Entry]:
        """One team's submissions to one server, oldest first."""
        whose = place(host, team)
        return [e for e in self.entries if e.place == whose]

    def append(self, event: dict[str, Any]) -> None:
        """Add one event, on the disk before this returns."""
        files.append_line(self.path, _line(event), mode=0o600)

    def take_back(self, event: dict[str, Any], size: int) -> None:
        """Remove what was written of an event since the file had `size` bytes, and nothing else."""
        with open(self.path, "rb") as file:
            file.seek(size)
            tail = file.read()
        if f"{_line(event)}\n".encode().startswith(tail):  # a disk without locks may hold more
            os.truncate(self.path, size)


def ledger_path() -> Path:
    """`MEDKIT_LEDGER`, else `~/.local/share/medkit/submissions.jsonl`."""
    default = Path.home() / ".local" / "share" / "medkit" / "submissions.jsonl"
    return Path(os.environ.get("MEDKIT_LEDGER") or default)


@contextmanager
def opened() -> Iterator[Ledger]:
    """The ledger, held against other notebooks, so that what is read still holds when one writes.

    A last line that was cut short (a full disk, a killed kernel) is closed, with a note.

    Raises:
        PlaceError: it cannot be written here.
        WaitError: another process holds it for too long.
    """
    path = ledger_path()
    if path.exists() and not path.is_file():  # a folder, a device that never ends
        raise PlaceError(errno.EINVAL, f"{path}: not written, it is not a file", str(path))
    try:
        files.make_private(path.parent)
        is_new = not path.exists()
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        if is_new:
            files.sync_folder(path.parent)
    except OSError as error:
        raise files.explain(error, path) from error
    try:
        _tighten(handle, path)
        _lock(handle, path)
        ledger = Ledger(path)
        if ledger.torn is not None:
            _close_torn(ledger)
        yield ledger
    finally:
        os.close(handle)


def submissions() -> pd.DataFrame:
    """All that was sent from here, oldest first: local score beside leaderboard score.

    Returns:
        `time` (Seoul), `host`, `csv`, `sha256` (its beginning), `run`, `note` (your own),
        `local_score` with `local_low` and `local_high` (held-out cases, 95 % interval; see
        `write_submission`), `leaderboard_score` (see `standing` and `note_score`), `outcome`,
        `left`, `words` (the server's). Scores have four decimals.

    Example:
        >>> len(mk.submissions())  # nothing was sent yet
        0
    """
    ledger = Ledger(ledger_path())
    tell_damage(ledger)
    rows = []
    for entry in ledger.entries:
        facts = entry.facts
        rows.append(
            {
                **{name: facts.get(name) for name in COLUMNS},
                "time": entry.time.astimezone(SEOUL).strftime("%Y-%m-%d %H:%M:%S"),
                "sha256": str(facts.get("sha256", ""))[:HASH],
                "note": facts.get("note", ""),
                "leaderboard_score": entry.score,
                "outcome": entry.outcome,
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.astype({**{name: "float64" for name in SCORES}, "left": "Int64"})
    return table.round(dict.fromkeys(SCORES, DECIMALS))


def note_score(csv: Path | str, score: float) -> None:
    """Write down what the leaderboard shows for a CSV, for `submissions()`.

    Args:
        csv: the file, or the beginning of its hash in `submissions()`.

    Raises:
        ConfigError: it was never sent from here.

    Example:
        >>> mk.note_score("submission.csv", 0.913)  # of what was sent  # doctest: +SKIP
    """
    check_arguments(note_score, locals())
    score = float(score)
    if not math.isfinite(score):
        raise ConfigError(f"note_score: {score!r} is no score. Pass the number on the leaderboard.")
    with opened() as ledger:
        hits = [entry for entry in _sent(ledger, csv, "note_score") if entry.is_spent]
        if not hits:
            raise ConfigError(_never_sent("note_score", csv, ledger))
        note(ledger, hits[-1], score)


def note_outcome(csv: Path | str, outcome: str) -> None:
    """Write down what became of a CSV whose outcome is unknown, once the contest's page shows it.

    Args:
        csv: the file, or the beginning of its hash in `submissions()`.
        outcome: "accepted", which spent a slot, or "refused", which did not: then the same bytes
            may be sent again.

    Raises:
        ConfigError: for another word, or for a CSV whose outcome the server itself told.

    Example:
        >>> mk.note_outcome("submission.csv", "accepted")  # of what was sent  # doctest: +SKIP
    """
    check_arguments(note_outcome, locals())
    if outcome not in SETTLED:
        raise ConfigError(f"note_outcome: {outcome!r} (expected 'accepted' or 'refused').")
    with opened() as ledger:
        sent = _sent(ledger, csv, "note_outcome")
        open_ones = [entry for entry in sent if entry.is_settled]
        open_ones += [entry for entry in sent if entry.outcome == "unknown"]  # these first
        if not open_ones:
            raise ConfigError(
                f"note_outcome: the server told what became of {str(csv)!r}: it was "
                f"{sent[-1].outcome}. Nothing is left to settle; see mk.submissions()."
            )
        last = open_ones[-1]
        event = {"event": "settled", "id": last.facts["id"], "outcome": outcome}
        ledger.append({**event, **clock()})
    left = sum(entry.outcome == "unknown" for entry in open_ones[:-1])
    sent_at = last.time.astimezone(SEOUL).strftime("%Y-%m-%d %H:%M")
    print(f"What was sent to {last.facts.get('host')} at {sent_at} (Seoul) is {outcome}.")
    if left:
        print(f"{left} of the same bytes are still unknown: call it again for the one before.")


def _sent(ledger: Ledger, csv: Path | str, caller: str) -> list[Entry]:
    """What was sent of a file, or of a hash that begins so."""
    digest = files.sha256_file(Path(csv)) if Path(csv).is_file() else str(csv)
    hits = [e for e in ledger.entries if e.facts.get("sha256", "").startswith(digest)]
    if not hits or len(digest) < HASH:
        raise ConfigError(_never_sent(caller, csv, ledger))
    return hits


def _never_sent(caller: str, csv: Path | str, ledger: Ledger) -> str:
    return (
        f"{caller}: {str(csv)!r} was not sent from here (no such file or hash in {ledger.path}). "
        "Look at mk.submissions()."
    )


def note(ledger: Ledger, entry: Entry, score: float) -> None:
    """Add the score of a submission."""
    ledger.append({"event": "score", "id": entry.facts["id"], "score": score, **clock()})


def clock(prefix: str = "time") -> dict[str, str]:
    """Now, in UTC and in Seoul, to the millisecond."""
    now = datetime.now(timezone.utc)
    return {
        f"{prefix}_utc": now.isoformat(timespec="milliseconds"),
        f"{prefix}_seoul": now.astimezone(SEOUL).isoformat(timespec="seconds"),
    }


def tell_damage(ledger: Ledger) -> None:
    """Warn of lines that cannot be read; they stay where they are."""
    if ledger.damaged:
        named = ", ".join(str(number) for number in ledger.damaged[:NAMED])
        warnings.warn(
            f"{ledger.path}: {len(ledger.damaged)} damaged lines are not counted (line {named}). "
            "The rest holds; compare it with the leaderboard's own list.",
            stacklevel=3,
        )


def _parse(
    path: Path,
) -> tuple[list[tuple[int, dict[str, Any]]], list[bytes], list[int], int | None]:
    """Events by line, damaged lines and the numbers of those untold, and the last if it is torn."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    read = [(number, _event(line)) for number, line in enumerate(lines, 1) if line.strip()]
    events = [(number, event) for number, event in read if event is not None]
    damaged = {number for number, event in read if event is None}
    told = {event.get("line") for _, event in events if event["event"] == "repair"}
    torn = len(lines) if lines[-1] else None
    return events, [lines[number - 1] for number in damaged], sorted(damaged - told), torn


def _event(line: bytes) -> dict[str, Any] | None:
    """What a line says; None when its checksum does not fit."""
    try:
        event = json.loads(line.decode("utf-8"))
        check = event.pop("check")
        datetime.fromisoformat(event["time_utc"])
        is_whole = check == _check(event) and isinstance(event["event"], str)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return event if is_whole else None


def _line(event: dict[str, Any]) -> str:
    text = json.dumps({**event, "check": _check(event)}, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # file names may hold any byte


def _check(event: dict[str, Any]) -> str:
    return files.sha256(json.dumps(event, sort_keys=True).encode("ascii"))[:16]


def _entries(events: list[tuple[int, dict[str, Any]]]) -> list[Entry]:
    """Intents with their outcomes. An outcome repeats its intent, whose line may be damaged."""
    entries: dict[str, Entry] = {}
    for number, facts in events:
        name, kind = facts.get("id"), facts["event"]
        if kind == "score" and name in entries:
            entries[name].score = facts["score"]
        elif kind == "settled" and name in entries and facts.get("outcome") in SETTLED:
            entries[name].outcome, entries[name].is_settled = facts["outcome"], True
            entries[name].closed = entries[name].closed or number
        elif kind in ("intent", "outcome"):
            first = entries.get(name)
            sent = datetime.fromisoformat(facts["time_utc"])
            entries[name] = Entry(
                facts,
                time=sent,
                closed_time=datetime.fromisoformat(facts.get("closed_utc", facts["time_utc"])),
                outcome=facts.get("outcome", "unknown"),
                left=facts.get("left"),
                limit=facts.get("limit"),
                opened=first.opened if first is not None else number,
                closed=number if kind == "outcome" else None,
                server_time=_server_time(facts),
            )
    return list(entries.values())


def _server_time(facts: dict[str, Any]) -> datetime | None:
    told = facts.get("server_utc")
    return None if told is None else datetime.fromisoformat(told)


def _tighten(handle: int, path: Path) -> None:
    """Make the ledger this user's alone, and say so, when others can read it."""
    found = os.fstat(handle)
    if stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == getattr(os, "getuid", int)():
        os.chmod(path, 0o600)
        warnings.warn(
            f"{path} could be read by others; it is yours alone now (mode 0600).", stacklevel=5
        )


def _lock(handle: int, path: Path) -> None:
    """Hold the file for this process alone; a disk that cannot is told."""
    try:
        is_held = files.lock(handle, wait_s=WAIT_S)
    except BlockingIOError as error:
        raise WaitError(
            f"{path}: another process holds it for {WAIT_S:.0f} s. End it, then try again."
        ) from error
    except OSError as error:
        raise files.explain(error, path) from error
    if not is_held:
        warnings.warn(
            f"{path}: this disk has no locks. Submit from one notebook at a time, or set "
            "MEDKIT_LEDGER to a file on a local disk.",
            stacklevel=5,
        )


def _close_torn(ledger: Ledger) -> None:
    """End the line that was cut short, and name it; what it holds stays in the file."""
    files.append_line(ledger.path, "", mode=0o600)
    if ledger.torn not in ledger.damaged:  # only its end was missing
        return
    ledger.append({"event": "repair", "line": ledger.torn, **clock()})
    ledger.damaged.remove(ledger.torn)
    warnings.warn(
        f"{ledger.path}: line {ledger.torn} was cut short (a full disk, a killed kernel). It was "
        "closed, and what it held does not count.",
        stacklevel=5,
    )
