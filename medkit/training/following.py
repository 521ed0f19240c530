"""Runs that train in processes of their own, looked at from here: until they end, or are ended."""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from medkit.arguments import check_arguments
from medkit.errors import RunError, Stopped, WaitError
from medkit.progress import Status
from medkit.runs.folder import Run
from medkit.runs.holding import ask_to_stop, read_status, state_of, token_of
from medkit.training.describing import describe, title
from medkit.training.launching import child

FIRST_STEP_S = 60.0  # to wait for it, before `start` leaves the run alone
LOOK_EVERY_S = 0.2
DIED = "Its process died; call mk.start again and it goes on from its last saved state."
TAILS = {"log.txt": 5, "output.txt": 80}  # lines that an error shows; torchrun tells at length


class News(NamedTuple):
    """What is new of a run since the last look."""

    lines: list[str]  # of its log, without the time
    facts: dict[str, Any]  # of its heartbeat
    goes_on: bool


def follow(
    runs: list[Run],
    on_news: Callable[[Run, News], Any],
    *,
    recent: int = 0,
    every_s: float = LOOK_EVERY_S,
) -> None:
    """Look at runs again and again, until each has ended or nobody wants to know more of it.

    Args:
        runs: one that ends is taken out; `on_news` may put others in.
        on_news: called with a run and its news at each look, the last time when it has ended. A
            true answer ends the looking at this run.
        recent: lines that the log of a run had before, which are news, too.
        every_s: seconds between two looks.
    """
    seen: dict[Path, int] = {}
    while runs:
        for run in list(runs):
            goes_on = is_going(run)  # before the log, whose last lines are then seen
            lines = log_lines(run)
            fresh = lines[seen.get(run.path, max(0, len(lines) - recent)) :]
            seen[run.path] = len(lines)
            news = News([line.split("  ", 1)[-1] for line in fresh], _facts(run), goes_on)
            if on_news(run, news) or not goes_on:
                runs.remove(run)
        if runs:
            time.sleep(every_s)


def shown_on(status: Status) -> Callable[[Run, News], None]:
    """Shows the news of a run: its log, and how far it is."""

    def show(run: Run, news: News) -> None:
        for line in news.lines:
            status.line(line)
        if "step" in news.facts:
            status.update(describe(run, news.facts))
        elif news.goes_on:
            status.update("running, before its first step")

    return show


def bring_to_end(run: Run, *, progress: bool | str = True) -> None:
    """Show the log of a run until it ends.

    Raises:
        Stopped, RunError: see `check_finished`.
    """
    status = Status(enabled=bool(progress))
    status.line(title(run, progress))
    follow([run], shown_on(status))
    check_finished(run)


def wait_for_first_step(run: Run) -> None:
    """Return when a started run has made a step, has ended, or a minute has passed."""
    until = time.monotonic() + FIRST_STEP_S
    follow([run], lambda run, news: "step" in news.facts or time.monotonic() > until)
    raise_if_failed(run)


def stop(run: Run | Path | str, *, wait_s: float = 120.0) -> str:
    """End a run cleanly: its step is finished and its state saved. Returns how it stands then.

    Raises:
        WaitError: when it does not answer in time; it will stop when it can.

    Example:
        >>> mk.stop(run)
        'finished'
    """
    check_arguments(stop, locals())
    run, until = run if isinstance(run, Run) else Run(run), time.monotonic() + wait_s

    def ask(run: Run, news: News) -> None:
        _ask(run)
        if news.goes_on and time.monotonic() > until:
            holder = read_status(run.path).get("holder", {"pid": "of it", "host": "its machine"})
            raise WaitError(
                f"{run.path}: process {holder['pid']} on {holder['host']} has not stopped within "
                f"{wait_s:.0f} s. It will after its step; call mk.stop again to wait longer."
            )

    follow([run], ask)
    return state_of(run.path)


@contextmanager
def ended_with_us(runs: list[Run]) -> Iterator[None]:
    """An interrupt stops these runs before it goes on its way."""
    try:
        yield
    except KeyboardInterrupt:
        for run in runs:
            _ask(run)
        for run in runs:
            try:
                stop(run)
            except TimeoutError as error:  # the others are stopped all the same
                warnings.warn(str(error), stacklevel=3)
        raise


def check_finished(run: Run) -> None:
    """Raise what has ended a run before its end.

    Raises:
        Stopped: when somebody stopped it, or its slot was over.
        RunError: see `raise_if_failed`.
    """
    raise_if_failed(run)
    if state_of(run.path) == "stopped":
        raise Stopped(read_status(run.path)["reason"])


def raise_if_failed(run: Run) -> None:
    """Raise what ended a run in the background, readable in a notebook.

    Raises:
        RunError: for a run that failed or died, with the end of its log and output.
    """
    state, mine = state_of(run.path), child(run)
    never_began = mine is not None and mine.process.poll() and mine.before == token_of(run.path)
    if is_going(run) or not (never_began or state in ("failed", "stale", "new")):
        return
    reason = "" if never_began else read_status(run.path).get("reason")
    tails = [
        f"--- {name}\n" + "\n".join(_lines(run.path / name)[-count:])
        for name, count in TAILS.items()
        if _lines(run.path / name)
    ]
    raise RunError("\n".join([f"{run.path}: the run failed. {reason or DIED}", *tails]))


def is_going(run: Run) -> bool:
    """Whether a run's process lives, or may be on its way to take the folder."""
    mine, state = child(run), state_of(run.path)
    if state == "running" or (mine is not None and mine.is_alive):
        return True
    output = run.path / "output.txt"  # made by the notebook that starts a run
    is_young = output.is_file() and time.time() - output.stat().st_mtime < FIRST_STEP_S
    return mine is None and state == "new" and is_young


def _ask(run: Run) -> None:
    """Leave the wish to stop for a process that has the folder."""
    if state_of(run.path) == "running":
        ask_to_stop(run.path)


def log_lines(run: Run) -> list[str]:
    return _lines(run.path / "log.txt")


def _facts(run: Run) -> dict[str, Any]:
    """What the heartbeat of a run tells while it lives."""
    return read_status(run.path).get("facts", {}) if state_of(run.path) == "running" else {}


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
