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
from medkit.runs.holding import refuse_if_held, state_of
from medkit.runs.pictures import data_folder
from medkit.training import launching
from medkit.training.loop import Loop

JOURNAL = "journal.log"
BEGUN_S = 120.0  # by then a trial's process has taken its folder, wherever it runs
GIVE_UP = 3  # failed trials in a row, which more trials would hardly mend
FORM = 2  # of search.json
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
    progress: bool = True,
) -> Tuning:
    """Try settings on one fold, judged by `config.best_by`; called again, it goes on.

    Several kernels or servers may call it with the same folder at once: they share the journal and
    the trials. The winner is written to `best_config.json`. Its value is too good, since it was
    chosen by it: judge the winner by `fit_folds`.

    Args:
        space: by setting of `Config`, a list of choices, or (low, high), or (low, high, "log");
            whole numbers where both ends are.
        trials: how many in all, over all calls; None with `minutes`.
        minutes: begin no trial after so many minutes; the last one is finished.

    Raises:
        ImportError: without Optuna, naming the extra.
        ValueError: for a setting that does not exist, a range that is none, or a folder that holds
            another search.
        RuntimeError: when no trial has finished, or several in a row have failed.
    """
    optuna = _optuna()
    if trials is None and minutes is None:
        raise ValueError("tune: neither trials nor minutes. Say how long to search.")
    folder, task = Path(folder), get_task(config.task)
    space = {name: _plain(asked) for name, asked in space.items()}
    _check_space(config, space)
    validation = Loop(task, config, cases, fold).validation  # refuses what `fit` refuses
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"config": config.to_dict(), "fold": _plain(fold), "space": space}
    facts["cases"] = tables.cases_hash(cases)
    name = _check_same(folder, facts, cases)
    config = replace(config, name=name)  # by which its trials' folders are found again
    study = _study(optuna, folder, greater_is_better=validation.greater_is_better)
    status, until = Status(enabled=progress), math.inf
    if minutes is not None:
        until = time.monotonic() + 60 * minutes
    options = {
        "num_workers": num_workers,
        "device": device,
        "cache_folder": cache_folder,
        "wait_s": wait_s,
        "data": data_folder(cases),
    }
    _take_back(optuna, study, folder)
    failed = 0  # in a row
    while _count(study) < (trials or math.inf) and time.monotonic() < until:
        trial, tried = _ask(optuna, study, config, space)
        path = folder / trial.user_attrs["run"]
        try:
            run = open_folder(path, task, tried, cases, data=data_folder(cases), fold=fold)
            _follow(study, trial, run, validation.measure, options, status)
            failed = 0
        except KeyboardInterrupt:
            _again(optuna, study, trial)
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


def _check_same(folder: Path, facts: Mapping[str, Any], cases: pd.DataFrame) -> str:
    """Write what is searched into the folder; refuse one that holds another search.

    Returns:
        The name of the recipe in that folder.
    """
    path, asked = folder / "search.json", dict(facts["space"])
    told = {name: _told(value) for name, value in asked.items()}
    now = json.loads(json.dumps({**facts, "space": told, "form": FORM}))
    if not path.is_file():
        files.write_json(path, now)
        return now["config"]["name"]
    saved = json.loads(path.read_text(encoding="utf-8"))
    if saved.get("form", 1) < FORM:  # which told a range and a list of choices alike
        now["space"] = json.loads(json.dumps(asked))
    changed = [
        f"{part}: {name} {old.get(name)!r} saved, {new.get(name)!r} asked"
        for part, old, new in (
            ("config", Config.from_dict(saved["config"]).to_dict(), now["config"]),
            ("space", saved["space"], now["space"]),
        )
        for name in {**old, **new}
        if old.get(name) != new.get(name) and (part, name) != ("config", "name")
    ]
    if saved["fold"] != now["fold"]:
        changed.append(f"fold {saved['fold']} saved, {now['fold']} asked")
    if saved["cases"] != now["cases"] and saved["cases"] != tables.earlier_hash(cases):
        changed.append("cases: other ids, labels or folds than saved")
    if changed:
        raise ValueError(
            f"{folder}: it holds another search ({'; '.join(changed)}). Choose another folder for "
            "this one: values of different searches do not compare."
        )
    return saved["config"]["name"]


def _told(asked: Any) -> Any:
    """What is asked of a setting, as JSON that tells a range from a list of choices."""
    if isinstance(asked, list):
        return asked
    return {"low": asked[0], "high": asked[1], "log": asked[2:] == ("log",)}


def _plain(value: Any) -> Any:
    """A value without NumPy's numbers and arrays."""
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(part) for part in value)
    return value.tolist() if hasattr(value, "tolist") else value


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
    tried = replace(config, **{name: _suggest(trial, name, space[name]) for name in space})
    trial.set_user_attr("run", _name(tried))
    return trial, tried


def _suggest(trial: Any, name: str, asked: Any) -> Any:
    """A value for one setting."""
    if isinstance(asked, list):  # as JSON: the journal gives tuples back as lists
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in asked]))
    is_whole = isinstance(asked[0], int) and isinstance(asked[1], int)
    suggest = trial.suggest_int if is_whole else trial.suggest_float
    return suggest(name, asked[0], asked[1], log=len(asked) == 3)


def _is_range(asked: Any) -> bool:
    if isinstance(asked, list):
        return bool(asked)
    if not isinstance(asked, tuple) or asked[2:] not in ((), ("log",)) or len(asked) < 2:
        return False
    return asked[0] < asked[1] and (len(asked) == 2 or asked[0] > 0)


def _check_space(config: Config, space: Mapping[str, Any]) -> None:
    """Refuse settings that do not exist, or that do not go together with the others."""
    if not space:
        raise ValueError("tune: the space is empty. Name a setting, as {'peak_lr': (1e-4, 1e-2)}.")
    for name, asked in space.items():
        if not _is_range(asked):
            raise ValueError(
                f"tune: {name}={asked!r} is no range (expected a list of choices, (low, high) or "
                '(low, high, "log") with low < high).'
            )
        for value in asked if isinstance(asked, list) else asked[:2]:
            Config.from_dict({**config.to_dict(), name: value})
    if {"seed", "task", "name", "best_by"} & set(space):
        raise ValueError(
            "tune: seed, task, name and best_by are not searched: trials must compare."
        )


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


def _follow(
    study: Any, trial: Any, run: Run, column: str, options: Mapping[str, Any], status: Status
) -> None:
    """Bring one trial's run to its end, or stop it when it lags behind the others.

    Args:
        column: of the history, that trials are compared by.
    """
    from optuna.trial import TrialState

    config, told = run.config, 0
    shown = ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
                      for name, value in trial.params.items())  # fmt: skip
    if state_of(run.path) != "finished":
        launching.launch(run, options)
    try:
        while True:
            is_going = launching.is_going(run)
            values = _values(run, column)
            for epoch in range(told, len(values)):
                trial.report(values[epoch], epoch)
            told = len(values)
            if is_going and told < config.epochs and told and trial.should_prune():
                launching.stop(run)
                study.tell(trial, state=TrialState.PRUNED)
                status.line(f"trial {trial.number}  {shown}: pruned after {told} epochs")
                return
            if not is_going:
                break
            status.update(f"trial {trial.number}  {shown}: epoch {told + 1}/{config.epochs}")
            time.sleep(launching.LOOK_EVERY_S)
    except KeyboardInterrupt:
        launching.stop(run)
        raise
    launching.raise_if_failed(run)
    known = run.history[column]
    if known.isna().all():
        raise RuntimeError(f"{config.best_by} has no value in any epoch")
    best = float(known.max() if study.direction.name == "MAXIMIZE" else known.min())
    study.tell(trial, best)
    status.line(f"trial {trial.number}  {shown}: {config.best_by} {best:.4f}")


def _values(run: Run, column: str) -> list[float]:
    """The score of each epoch so far."""
    if not (run.path / "history.csv").is_file():
        return []
    return run.history[column].astype(float).tolist()


def _name(config: Config) -> str:
    """A run folder's name that the same settings find again."""
    text = json.dumps(config.to_dict(), sort_keys=True)
    return f"trial-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _shown(value: Any) -> Any:
    """A setting as it was asked for: choices are kept as JSON."""
    return json.loads(value) if isinstance(value, str) else value


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
            **{name: _shown(value) for name, value in trial.params.items()},
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
