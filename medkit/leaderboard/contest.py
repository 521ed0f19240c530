"""A contest is a folder: `contest.json` (its rules), `answers.csv`, and the store beside them."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator, Sequence

from medkit import files
from medkit.errors import ConfigError, DataError, MissingError, RunError
from medkit.metrics import METRICS
from medkit.naming import did_you_mean
from medkit.submission.quota import Quota
from medkit.tables import read_csv

SETTINGS, ANSWERS, STORE = "contest.json", "answers.csv", "contest.sqlite"
LOCK = "server.lock"
PIXELS = "pixels"  # the column that says how large a row's picture is
COUNTS = ("best", "last")


@dataclass(frozen=True)
class Contest:
    """The rules of one contest, as `contest.json` holds them.

    Args:
        task: its own score ranks when there are no `metrics`; the table is in its layout.
        metrics: names of `medkit.metrics.METRICS`; the first ranks.
        columns: of the table that is handed in.
        seed: of the split. Whoever knows it can guess which rows are public.
        labels: what its last column may hold; none: numbers.
        opens, closes: ISO times with a zone; None for never.
        limit, zone, window_s: see `mk.Quota`.
        public_share: of the rows; the others are private until closing. Masks of one image are on
            one side.
        counts: which submission of a team ranks: that with the best public score, or the last.
        members: how few and how many may be in a team.
        most_bytes: of a file; `new_contest` allows more where the answers ask for it.
    """

    name: str
    columns: tuple[str, ...]
    seed: int
    labels: tuple[str, ...] = ()
    task: str | None = None
    metrics: tuple[str, ...] = ()
    opens: str | None = None
    closes: str | None = None
    limit: int = 10
    zone: str | None = "Asia/Seoul"
    window_s: float | None = None
    public_share: float = 0.3
    counts: str = "best"
    members: tuple[int, int] = (2, 4)
    most_bytes: int = 20_000_000

    def __post_init__(self) -> None:
        for name in ("columns", "labels", "metrics", "members"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self.quota()
        opens, closes = _moment("opens", self.opens), _moment("closes", self.closes)
        if opens is not None and closes is not None and not opens < closes:
            raise ConfigError(f"contest: opens {self.opens} is not before closes {self.closes}.")
        unknown = [name for name in self.metrics if name not in METRICS]
        near = did_you_mean(unknown[0], METRICS).rstrip("?") if unknown else ""
        few, many = self.members if len(self.members) == 2 else (0, 0)
        problems = [
            (unknown, f"metrics {unknown} (expected some of {', '.join(METRICS)})" + near),
            (not self.metrics and not self.task, "neither metrics nor task (expected one)"),
            (not 0 < self.public_share <= 1, f"public_share {self.public_share} (0 to 1)"),
            (self.counts not in COUNTS, f"counts {self.counts!r} (expected 'best' or 'last')"),
            (not 1 <= few <= many, f"members {list(self.members)} (expected such as [2, 4])"),
        ]
        for is_wrong, found in problems:
            if is_wrong:
                raise ConfigError(f"contest: {found}. Correct it in {SETTINGS}.")

    def quota(self) -> Quota:
        """How many submissions a team has."""
        return Quota(self.limit, zone=self.zone, window_s=self.window_s)

    @property
    def opening(self) -> datetime | None:
        return _moment("opens", self.opens)

    @property
    def closing(self) -> datetime | None:
        return _moment("closes", self.closes)

    def phase(self, now: datetime) -> str:
        """ "before", "open" or "closed"."""
        if self.opening is not None and now < self.opening:
            return "before"
        return "closed" if self.closing is not None and now >= self.closing else "open"

    @property
    def has_private(self) -> bool:
        """Whether some rows are scored in secret until closing."""
        return self.public_share < 1


def read_contest(folder: Path | str) -> Contest:
    """The rules of the contest in a folder.

    Raises:
        MissingError, ConfigError: naming the file, and what is wrong with it.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise MissingError(
            f"{folder}: no contest (no {SETTINGS}; found {files.listing(path.parent)}). "
            "Make one: python -m medkit.leaderboard new FOLDER --answers answers.csv"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Contest(**found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not a contest's rules ({error}).") from error


def write_contest(contest: Contest, folder: Path | str) -> None:
    """Write the rules; only the organiser may read them, as they hold the seed of the split."""
    files.write_json(Path(folder) / SETTINGS, asdict(contest), mode=0o600)


@contextmanager
def held(folder: Path | str) -> Iterator[None]:
    """The contest's folder for one process alone: a second server would count slots of its own.

    Raises:
        RunError: another process has it, or its disk has no locks.
    """
    with open(Path(folder) / LOCK, "a+") as lock:
        try:
            is_held = files.lock(lock.fileno(), wait_s=0)
        except BlockingIOError as error:
            lock.seek(0)
            raise RunError(
                f"{folder}: a server has it already (process {lock.read().strip() or 'unknown'}). "
                "End that one first."
            ) from error
        if not is_held:
            raise RunError(
                f"{folder}: this disk has no locks, so that slots could be counted twice. Put the "
                "contest on a local disk."
            )
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield


def read_answers(
    path: Path | str, id_column: str | None = None, label_column: str | None = None
) -> list[list[str]]:
    """The header and the rows of (id, label), as text; labels may be empty.

    A column `pixels` comes third where there is one.
    """
    header = list(read_csv(path).columns)
    if len(header) < 2:
        raise DataError(f"{path}: columns {header} (expected an id and a label).")
    names = [id_column or header[0], label_column or header[1]]
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(f"{path}: no column {missing[0]!r} (found {header}).")
    names += [PIXELS] * (PIXELS in header and PIXELS not in names)
    table = read_csv(path, text=names)[names].astype(object)
    rows = [[str(cell) for cell in row] for row in table.where(table.notna(), "").to_numpy()]
    empty = [f"row {k}" for k, row in enumerate(rows, 1) if not row[0]]
    doubled = [name for name, count in Counter(row[0] for row in rows).items() if count > 1]
    for names_of, what in ((empty, "have an empty cell"), (doubled, "stand more than once")):
        if names_of:
            raise DataError(f"{path}: {len(names_of)} ids {what}, e.g. {names_of[:3]}.")
    return [names, *rows]


def write_answer_table(folder: Path, table: Sequence[Sequence[str]]) -> None:
    """Keep the answers in the contest's folder, for the organiser's eyes only."""
    text = "".join(",".join(_quoted(cell) for cell in row) + "\n" for row in table)
    files.write_whole(folder / ANSWERS, text, mode=0o600)


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(re.sub("Z$", "+00:00", text))
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"contest: {name} {text!r} is no time with a zone. "
            "Write it like 2026-11-20T18:00:00+09:00."
        )
    return moment.astimezone(timezone.utc)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if re.search('[",\r\n]', cell) else cell
