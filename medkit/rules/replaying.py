"""A run trained again from what was handed in alone, and compared to the byte."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from medkit.arguments import check_arguments
from medkit.errors import ConfigError, MissingError
from medkit.files import listing
from medkit.progress import Status, clock
from medkit.rules.replay import comparing
from medkit.rules.replay.admitting import admit, readable
from medkit.rules.replay.manifest import MARK, Manifest, read_manifest, run_folders
from medkit.rules.replay.recording import read_test
from medkit.rules.replay.secluding import network_tried, train_again
from medkit.rules.replay.unpacking import opened
from medkit.runs.folder import Run


class Replay:
    """What `mk.replay` found.

    Attributes:
        table: a row each thing that was compared: `what`, `same`, and `difference` in words.
        losses: of the first steps, by `run` and `step`: `handed_in`, `here` and, with
            `quick=True`, `again`.
        seconds: it took.
    """

    def __init__(self, rows: list[tuple[str, str]], losses: pd.DataFrame, seconds: float):
        table = pd.DataFrame(rows, columns=["what", "difference"])
        table.insert(1, "same", table["difference"] == "")
        self.table, self.losses, self.seconds = table, losses, seconds

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return bool(self.table["same"].all())

    @property
    def differences(self) -> list[str]:
        """A sentence each."""
        odd = self.table[~self.table["same"]]
        return [f"{what}: {words}" for what, words in zip(odd["what"], odd["difference"])]

    def __repr__(self) -> str:
        count, took = len(self.table), clock(self.seconds)
        if self.is_same:
            how = "the first steps are the same" if "again" in self.losses else "the same"
            return f"{how} to the byte: {count} things compared in {took}"
        odd = self.differences
        return "\n".join([f"{len(odd)} of {count} things differ ({took})", *odd])


def replay(
    handin: Path | str,
    data: Path | str,
    *,
    trust: bool = False,
    quick: bool = False,
    steps: int = 20,
    device: str | None = None,
    progress: bool = True,
) -> Replay:
    """Train again what `mk.handin(..., run=run)` wrote, and say what differs.

    Nothing of the hand-in's own environment is needed: a fresh process without network trains its
    runs with this medkit, predicts its test cases and writes its table. Bits come again in the same
    shape alone (versions, instruction set, threads, device); where that differs, it is named first.

    Args:
        handin: the folder, or a zip of it.
        data: the contest's data folder, wherever it lies here.
        trust: run the task's own code, if the hand-in brings some. Read it first.
        quick: the first steps of each run alone, twice: whether they repeat here, and whether they
            are those of the hand-in. Neither weights nor tables are compared.
        steps: of these; an epoch that has fewer ends them.
        device: as `mk.fit` takes it.

    Raises:
        MissingError, DataError: for a folder that is no hand-in, a zip that leads out of its place
            or holds too much, and data without its pictures.
        NotTrusted: it brings code, and `trust` is False.
        RunError: training failed, with its last words.

    Example:
        >>> path = mk.handin(task, held_out, run.predictions, "handed_in", run=run)
        >>> mk.replay(path, data, quick=True, steps=2, progress=False).is_same
        True
    """
    check_arguments(replay, locals())
    began, data = time.monotonic(), Path(data).resolve()
    if not data.is_dir():
        raise MissingError(f"replay: no data folder {data} (found {listing(data.parent)}).")
    if steps < 1:
        raise ConfigError(f"replay: steps={steps} (expected 1 or more).")
    status = Status(enabled=progress)
    with ExitStack() as places:
        place = Path(places.enter_context(tempfile.TemporaryDirectory(prefix="medkit-replay-")))
        with readable(handin):
            folder = places.enter_context(opened(Path(handin), MARK))
            manifest = read_manifest(folder)
            codes = admit(folder, manifest, data, trust)
            rows = comparing.hand_in_itself(folder, manifest)
            rows += comparing.environment(folder, manifest, device)
            test = read_test(folder, manifest, data)
            rows.append(comparing.pictures(folder, manifest, test, data))
        wanted = {"handin": str(folder.resolve()), "data": str(data), "device": device}
        wanted["steps"] = steps if quick else 0
        done = train_again(place, wanted, status.update, trusted=codes)
        with readable(handin):
            if quick:
                losses = _twice(folder, manifest, done["losses"])
                rows += _repeats(losses)
            else:
                losses = _once(folder, manifest, place)
                rows += comparing.results(folder, place, manifest, done["weights"])
                rows.append(("test cases", done["test"]))
        rows.append(("network", "; ".join(network_tried(place)[:3])))
    found = Replay(rows, losses, time.monotonic() - began)
    status.line(str(found).splitlines()[0])
    return found


def _once(folder: Path, manifest: Manifest, place: Path) -> pd.DataFrame:
    """The losses of the first steps: those that were handed in, and those here."""
    parts = []
    for old in run_folders(folder, manifest):
        columns = {
            "handed_in": pd.Series(comparing.losses_of(Run(old)), dtype=float),
            "here": pd.Series(comparing.losses_of(Run(place / old.name)), dtype=float),
        }
        parts.append(_by_step(old.name, columns))
    return pd.concat(parts, ignore_index=True)


def _twice(folder: Path, manifest: Manifest, losses: Any) -> pd.DataFrame:
    parts = []
    for old, (here, again) in zip(run_folders(folder, manifest), losses):
        known = comparing.losses_of(Run(old))[: len(here)]
        columns = {"handed_in": known, "here": here, "again": again}
        columns = {name: pd.Series(values, dtype=float) for name, values in columns.items()}
        parts.append(_by_step(old.name, columns))
    return pd.concat(parts, ignore_index=True)


def _by_step(run: str, columns: dict[str, pd.Series]) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    table.insert(0, "step", range(1, len(table) + 1))
    table.insert(0, "run", run)
    return table


def _repeats(losses: pd.DataFrame) -> list[tuple[str, str]]:
    """Whether the first steps repeat here, and are those that were handed in."""
    rows = []
    for name, run in losses.groupby("run", sort=False):
        here, known = list(run["here"]), list(run["handed_in"].dropna())
        twice = comparing.departs(here, list(run["again"]), "two trainings here")
        rows.append((f"{name}: two trainings", twice))
        words = comparing.departs(known, here, "the hand-in and here")
        rows.append((f"{name}: losses", words if known else comparing.NONE_KEPT))
    return rows
