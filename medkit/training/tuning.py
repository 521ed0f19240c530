"""A search over settings: each trial a run in a process of its own, stopped early when it lags.

The search itself is Optuna's (the extra `medkit[tuning]`). Its journal is a file of appended lines,
which several servers can share; SQLite on a network disk is not safe.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping, Sequence

import pandas as pd

from medkit import files, seeding, tables
from medkit.datasets import get_task
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import Stopped, refuse_if_held, state_of
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

JOURNAL = "journal.log"
BEGUN_S = 120.0  # by then a trial's process has taken its folder, wherever it runs
GIVE_UP = 3  # failed trials in a row, which more trials would hardly mend
STARTUP = 5  # trials drawn at random before the sampler learns from them


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
    space: Mapping[str, Any],
    trials: int | None,
    folder: Path | str,
    *,
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
        trials: how many in all, over all calls; None with `minutes` or `until`.
        minutes: begin no trial after so many minutes; the last one is finished.
        until: as `fit` takes it; the trial of that moment is gone on with by a later call. Without
            `trials` what was found by then is returned.

    Raises:
        ImportError: without Optuna, naming the extra.
        ValueError: for a setting that does not exist, a range that is none, or a folder that holds
            another search.
        RuntimeError: when no trial has finished, or several in a row have failed.
        Stopped: when somebody stopped a trial, or `until` came before all `trials`.
    """
    optuna = _optuna()
    if trials is None and minutes is None and until is None:
        raise ValueError("tune: neither trials nor minutes. Say how long to search.")
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
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"config": config.to_dict(), "fold": spaces.plain(fold), "space": space}
    facts["cases"] = tables.cases_hash(cases)
    name = spaces.check_same(folder, facts, cases)
    config = replace(config, name=name)  # by which its trials' folders are found again
    study = _study(optuna, folder, greater_is_better=judge.greater_is_better)
    status, failed = Status(enabled=progress), 0  # in a row
    _take_back(optuna, study, folder)
    while _count(study) < (trials or math.inf):
        is_late = time.monotonic() - began >= 60 * (math.inf if minutes is None else minutes)
        is_over = slots.left_s(launch.until) <= 0
        if is_late or (is_over and trials is None):
            break
        if is_over:
            raise Stopped(f"{slots.clock_of(launch.until)} came before trial {_count(study) + 1}.")
        trial, tried = _ask(optuna, study, config, space)
        path = folder / trial.user_attrs["run"]
        try:
            run = open_folder(path, task, tried, cases, data=launch.data, fold=fold)
            _bring_to_end(study, trial, run, judge.measure, launch, status)
            failed = 0
        except (KeyboardInterrupt, Stopped) as error:
            _again(optuna, study, trial)
            if isinstance(error, Stopped) and trials is None and until is not None:
                break  # the slot was all that was asked for
            raise
        except (RuntimeError, ValueError, OSError) as error:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            status.line(f"trial {trial.number} failed: {str(error).splitlines()[0]}")
            failed += 1
            if failed == GIVE_UP:
                raise RuntimeError(
                    f"tune: {failed} trials in a row have failed; the last one: {error}"
                ) from error
    return _found(study, folder, space)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "tune needs Optuna, which is not installed. Install the extra: "
            'pip install "medkit[tuning]".'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, folder: Path, *, greater_is_better: bool) -> Any:
    """The study of a folder: made, or gone on with."""
    from optuna.storages.journal import JournalFileBackend

    return optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        study_name="medkit",
        direction="maximize" if greater_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1),
        load_if_exists=True,
    )


def _sampler(optuna: Any, seed: int, number: int) -> Any:
    """A sampler for one trial: what it proposes depends on the seed and on the trials so far."""
    own = int(seeding.generator("tune", seed, number).integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=own, n_startup_trials=STARTUP, constant_liar=True)


def _ask(optuna: Any, study: Any, config: Config, space: Mapping[str, Any]) -> tuple[Any, Config]:
    """A new trial, and the settings it tries; its run's folder bears their name."""
    trial = study.ask()  # its number is its own, whoever else asks at this moment
    study.sampler = _sampler(optuna, config.seed, trial.number)
    tried = replace(config, **{name: spaces.suggest(trial, name, space[name]) for name in space})
    trial.set_user_attr("run", _name(tried))
    return trial, tried


def _take_back(optuna: Any, study: Any, folder: Path) -> None:
    """Trials whose process died are begun again from where their run stands."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state != optuna.trial.TrialState.RUNNING:
            continue
        run = folder / trial.user_attrs.get("run", "none")
        with suppress(RuntimeError):  # it lives
            refuse_if_held(run)  # watches one on another machine
        state = state_of(run) if (run / "run.json").is_file() else "new"
        age_s = (datetime.now() - trial.datetime_start).total_seconds()
        if state not in ("running", "new") or (state == "new" and age_s > BEGUN_S):
            _again(optuna, study, trial)


def _again(optuna: Any, study: Any, trial: Any) -> None:
    """Let the next trial have these settings: it finds the run's folder, and goes on there."""
    study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    study.enqueue_trial(trial.params)


def _count(study: Any) -> int:
    """Trials that count: all but those that failed or wait."""
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return sum(state in ("COMPLETE", "PRUNED", "RUNNING") for state in states)


def _bring_to_end(
    study: Any, trial: Any, run: Run, column: str, launch: Launch, status: Status
) -> None:
    """Bring one trial's run to its end, or stop it when it lags behind the others.

    Args:
        column: of the history, that trials are compared by.

    Raises:
        RuntimeError, Stopped: when the run was ended before its end.
    """
    from optuna.trial import TrialState

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
            study.tell(trial, state=TrialState.PRUNED)
            status.line(f"{shown}: pruned after {told} epochs")
            return
    check_finished(run)
    known = run.history[column]
    if known.isna().all():
        raise RuntimeError(f"{run.config.best_by} has no value in any epoch")
    best = float(known.max() if study.direction.name == "MAXIMIZE" else known.min())
    study.tell(trial, best)
    status.line(f"{shown}: {run.config.best_by} {best:.4f}")


def _values(run: Run, column: str) -> list[float]:
    """The score of each epoch so far."""
    if not (run.path / "history.csv").is_file():
        return []
    return run.history[column].astype(float).tolist()


def _name(config: Config) -> str:
    """A run folder's name that the same settings find again."""
    text = json.dumps(config.to_dict(), sort_keys=True)
    return f"trial-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _found(study: Any, folder: Path, space: Sequence[str]) -> Tuning:
    """The table of trials, and the best of them, which is written down."""
    names = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
    rows = [
        {
            "trial": trial.number,
            "state": names.get(trial.state.name, "waiting"),
            "value": trial.value if trial.state.name == "COMPLETE" else None,
            "epochs": len(trial.intermediate_values),
            "run": trial.user_attrs.get("run"),
            **{name: spaces.shown(value) for name, value in trial.params.items()},
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    table = pd.DataFrame(rows, columns=["trial", "state", "value", "epochs", "run", *space])
    if not (table["state"] == "finished").any():
        raise RuntimeError(
            f"tune: none of {len(table)} trials has finished ({folder}). "
            "Allow more trials or minutes; those that failed have a log in their run folder."
        )
    best = Run(folder / study.best_trial.user_attrs["run"])
    files.write_json(folder / "best_config.json", best.config.to_dict())
    return Tuning(table, best.config, best, dict(space))
