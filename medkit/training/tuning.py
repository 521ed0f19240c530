"""A search over settings: each trial a run in a process of its own, stopped early when it lags.

The search itself is Optuna's (the extra `medkit[tuning]`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping

import pandas as pd

from medkit import files, tables
from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.errors import ConfigError, RunError, Stopped
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import state_of
from medkit.runs.pictures import data_folder
from medkit.training import slots, spaces
from medkit.training.following import (
    News,
    check_finished,
    ended_with_us,
    follow,
    is_going,
    stop,
)
from medkit.training.launching import Launch, spawn
from medkit.training.plan import make_plan
from medkit.training.trials import Trials, import_optuna

GIVE_UP = 3  # failed trials in a row, which more trials would hardly mend


@dataclass(frozen=True)
class Tuning:
    """What `tune` found.

    Attributes:
        trials: a row a trial: `trial, state, value, epochs`, then the settings that were tried;
            states are "finished", "pruned", "failed" and "running" (on another server).
        best: the config of the best finished trial, and `run`, its run.
    """

    trials: pd.DataFrame
    best: Config
    run: Run
    space: Mapping[str, Any]

    def __repr__(self) -> str:
        counts = self.trials["state"].value_counts()
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        chosen = ", ".join(f"{name}={getattr(self.best, name)!r}" for name in self.space)
        value = self.trials["value"][self.trials["run"] == self.run.path.name].iloc[0]
        return f"{self.best.best_by} {value:.4f} with {chosen} ({told})"


def tune(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    space: Mapping[str, Any],
    trials: int | None = None,
    minutes: float | None = None,
    fold: int = 0,
    num_workers: int = 2,
    device: str | None = None,
    cache_folder: Path | str | None = None,
    wait_s: float = 600.0,
    until: str | datetime | None = None,
    progress: bool = True,
) -> Tuning:
    """Try settings on one fold, judged by `config.best_by`; called again, it goes on.

    Several kernels or servers may call it with the same folder at once: they share the journal and
    the trials. The winner is written to `best_config.json`. Its value is too good, since it was
    chosen by it: judge the winner by `fit_folds`.

    Args:
        space: by setting of `Config`, a list of choices, or (low, high), or (low, high, "log");
            whole numbers where both ends are.
        trials: how many in all, over all calls; not needed with `minutes` or `until`.
        minutes: begin no trial after so many minutes; the last one is finished.
        until: as `fit` takes it; the trial of that moment is gone on with by a later call. Without
            `trials` what was found by then is returned.

    Raises:
        NotInstalled: without Optuna, naming the extra.
        ConfigError: for a setting that does not exist, a range that is none, or a folder that holds
            another search.
        RunError: when no trial has finished, or several in a row have failed.
        Stopped: when somebody stopped a trial, or `until` came before all `trials`.

    Example:
        >>> space = {"peak_lr": (1e-4, 1e-2, "log"), "model": ["resnet18", "resnet34"]}
        >>> mk.tune(config, cases, "runs/x", space=space, trials=20)  # hours  # doctest: +SKIP
    """
    check_arguments(tune, locals())
    import_optuna()
    if trials is None and minutes is None and until is None:
        raise ConfigError("tune: neither trials nor minutes. Say how long to search.")
    folder, task, began = Path(folder), get_task(config.task), time.monotonic()
    space = {name: spaces.plain(asked) for name, asked in space.items()}
    spaces.check_space(config, space)
    launch = Launch(
        num_workers=num_workers,
        device=device,
        cache_folder=cache_folder,
        data=data_folder(cases),
        wait_s=wait_s,
        until=slots.moment(until),
    )
    judge = make_plan(task, config, cases, fold).validation  # refuses what `fit` refuses
    files.make_folder(folder)
    facts = {"config": config.to_dict(), "fold": spaces.plain(fold), "space": space}
    facts["cases"] = tables.cases_hash(cases)
    name = spaces.check_same(folder, facts, cases)
    config = replace(config, name=name)  # by which its trials' folders are found again
    search = Trials(folder, greater_is_better=judge.greater_is_better)
    status = Status(enabled=progress)
    search.take_back()
    if not len(search) or len(search) < (trials or 0):
        slots.check_open(launch.until)
    failed = 0  # in a row
    while len(search) < (trials or math.inf):
        is_late = time.monotonic() - began >= 60 * (math.inf if minutes is None else minutes)
        is_over = slots.left_s(launch.until) <= 0
        if is_late or (is_over and trials is None):
            break
        if is_over:
            raise Stopped(f"{slots.clock_of(launch.until)} came before trial {len(search) + 1}.")
        trial, tried = search.ask(config, space)
        path = folder / trial.user_attrs["run"]
        try:
            run = open_folder(path, task, tried, cases, data=launch.data, fold=fold)
            _bring_to_end(search, trial, run, judge.measure, launch, status)
            failed = 0
        except (KeyboardInterrupt, Stopped) as error:
            search.repeat(trial)
            if isinstance(error, Stopped) and trials is None and until is not None:
                break  # the slot was all that was asked for
            raise
        except (RuntimeError, ValueError, OSError) as error:
            search.fail(trial)
            status.line(f"trial {trial.number} failed: {str(error).splitlines()[0]}")
            failed += 1
            if failed == GIVE_UP:
                raise RunError(
                    f"tune: {failed} trials in a row have failed; the last one: {error}"
                ) from error
    return _found(search, space)


def _bring_to_end(
    search: Trials, trial: Any, run: Run, column: str, launch: Launch, status: Status
) -> None:
    """Bring one trial's run to its end, or stop it when it lags behind the others.

    Args:
        column: of the history, that trials are compared by.

    Raises:
        RunError, Stopped: when the run was ended before its end.
    """
    epochs, told = run.config.epochs, 0
    shown = ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
                      for name, value in trial.params.items())  # fmt: skip
    shown = f"trial {trial.number}  {shown}"

    def lags(run: Run, news: News) -> bool:
        nonlocal told
        values = _values(run, column)
        for epoch in range(told, len(values)):
            trial.report(values[epoch], epoch)
        told = len(values)
        status.update(f"{shown}: epoch {told + 1}/{epochs}")
        return news.goes_on and 0 < told < epochs and trial.should_prune()

    going = [run]
    with ended_with_us(going):
        if state_of(run.path) != "finished":
            spawn(run, launch)
        follow(going, lags)
        if is_going(run):
            stop(run)
            search.prune(trial)
            status.line(f"{shown}: pruned after {told} epochs")
            return
    check_finished(run)
    known = run.history[column]
    if known.isna().all():
        raise RunError(f"{run.config.best_by} has no value in any epoch")
    best = search.finish(trial, known)
    status.line(f"{shown}: {run.config.best_by} {best:.4f}")


def _values(run: Run, column: str) -> list[float]:
    """The score of each epoch so far."""
    if not (run.path / "history.csv").is_file():
        return []
    return run.history[column].astype(float).tolist()


def _found(search: Trials, space: Mapping[str, Any]) -> Tuning:
    """The table of trials, and the best of them, which is written down."""
    table = search.table(space)
    if not (table["state"] == "finished").any():
        raise RunError(
            f"tune: none of {len(table)} trials has finished ({search.folder}). "
            "Allow more trials or minutes; those that failed have a log in their run folder."
        )
    best = search.best
    files.write_json(search.folder / "best_config.json", best.config.to_dict())
    return Tuning(table, best.config, best, dict(space))
