"""The trials of a search: Optuna's study, kept in a journal that several servers can share.

The journal is a file of appended lines; SQLite on a network disk is not safe.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping

import pandas as pd

from medkit import seeding
from medkit.errors import NotInstalled
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.holding import refuse_if_held, state_of
from medkit.training import spaces

JOURNAL = "journal.log"
BEGUN_S = 120.0  # by then a trial's process has taken its folder, wherever it runs
STARTUP = 5  # trials drawn at random before the sampler learns from them
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def import_optuna() -> Any:
    """Optuna, with few words.

    Raises:
        NotInstalled: without it, naming the extra.
    """
    try:
        import optuna
    except ImportError as error:
        raise NotInstalled(
            "tune needs Optuna, which is not installed. Install the extra: "
            'pip install "medkit[tuning]".'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Trials:
    """The trials of a folder: of a new search, or of one that is gone on with."""

    def __init__(self, folder: Path, *, greater_is_better: bool):
        from optuna.storages.journal import JournalFileBackend

        self.optuna, self.folder = import_optuna(), folder
        self.greater_is_better = greater_is_better
        backend = JournalFileBackend(str(folder / JOURNAL))
        self.study = self.optuna.create_study(
            storage=self.optuna.storages.JournalStorage(backend),
            study_name="medkit",
            direction="maximize" if greater_is_better else "minimize",
            pruner=self.optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1),
            load_if_exists=True,
        )

    def __len__(self) -> int:
        """Those that count: all but what failed or waits."""
        states = [trial.state.name for trial in self._all()]
        return sum(state in ("COMPLETE", "PRUNED", "RUNNING") for state in states)

    def ask(self, config: Config, space: Mapping[str, Any]) -> tuple[Any, Config]:
        """A new trial, and the settings it tries; its run's folder bears their name."""
        trial = self.study.ask()  # its number is its own, whoever else asks at this moment
        self.study.sampler = self._sampler(config.seed, trial.number)
        suggested = {name: spaces.suggest(trial, name, space[name]) for name in space}
        tried = replace(config, **suggested)
        trial.set_user_attr("run", _name(tried))
        return trial, tried

    def finish(self, trial: Any, values: pd.Series) -> float:
        """Tell the best value of a trial's epochs; returns it."""
        best = float(values.max() if self.greater_is_better else values.min())
        self.study.tell(trial, best)
        return best

    def prune(self, trial: Any) -> None:
        self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any) -> None:
        self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)

    def repeat(self, trial: Any) -> None:
        """Let the next trial have these settings: it finds the run's folder, and goes on there."""
        self.fail(trial)
        self.study.enqueue_trial(trial.params)

    def take_back(self) -> None:
        """Trials whose process died are begun again from where their run stands."""
        for trial in self._all():
            if trial.state != self.optuna.trial.TrialState.RUNNING:
                continue
            run = self.folder / trial.user_attrs.get("run", "none")
            with suppress(RuntimeError):  # it lives
                refuse_if_held(run)  # watches one on another machine
            state = state_of(run) if (run / "run.json").is_file() else "new"
            age_s = (datetime.now() - trial.datetime_start).total_seconds()
            if state not in ("running", "new") or (state == "new" and age_s > BEGUN_S):
                self.repeat(trial)

    def table(self, names: Mapping[str, Any]) -> pd.DataFrame:
        """A row a trial: see `Tuning`.

        Args:
            names: the settings that were tried.
        """
        rows = [
            {
                "trial": trial.number,
                "state": STATES.get(trial.state.name, "waiting"),
                "value": trial.value if trial.state.name == "COMPLETE" else None,
                "epochs": len(trial.intermediate_values),
                "run": trial.user_attrs.get("run"),
                **{name: spaces.shown(value) for name, value in trial.params.items()},
            }
            for trial in self._all()
        ]
        return pd.DataFrame(rows, columns=["trial", "state", "value", "epochs", "run", *names])

    @property
    def best(self) -> Run:
        """The run of the best trial that has finished."""
        return Run(self.folder / self.study.best_trial.user_attrs["run"])

    def _all(self) -> list[Any]:
        return self.study.get_trials(deepcopy=False)

    def _sampler(self, seed: int, number: int) -> Any:
        """A sampler for one trial: what it proposes depends on the seed and the trials so far."""
        own = int(seeding.generator("tune", seed, number).integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return self.optuna.samplers.TPESampler(
                seed=own, n_startup_trials=STARTUP, constant_liar=True
            )


def _name(config: Config) -> str:
    """A run folder's name that the same settings find again."""
    text = json.dumps(config.to_dict(), sort_keys=True)
    return f"trial-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
