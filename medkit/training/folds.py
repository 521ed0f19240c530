"""All folds of a config: each a run of its own, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medkit import tables
from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.errors import Stopped
from medkit.inference.judging import concat_predictions, score_interval
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import refuse_if_held, state_of
from medkit.runs.pictures import data_folder
from medkit.runs.tensor_files import load_state
from medkit.splitting import assign_folds
from medkit.training import slots
from medkit.training.following import (
    News,
    check_finished,
    ended_with_us,
    follow,
    raise_if_failed,
)
from medkit.training.launching import Launch, spawn
from medkit.training.plan import make_plan


@dataclass(frozen=True)
class FoldRuns:
    """What `fit_folds` made.

    Attributes:
        runs: one a fold.
        predictions: of every case, by the run that has not seen it (out-of-fold).
        scores: `fold, best_epoch, metric, cases`, then `value, low, high` of the contest's own
            score with its 95 % interval (none for a fold of one group); the last row, "all", is of
            all out-of-fold predictions together.
        full: the run that was trained on all cases, if one was asked for.
    """

    runs: list[Run]
    predictions: pd.DataFrame
    scores: pd.DataFrame
    full: Run | None = None

    def __repr__(self) -> str:
        last = self.scores.iloc[-1]
        value = f"{last.metric} {last.value:.4f} ({last.low:.4f} to {last.high:.4f})"
        return f"{len(self.runs)} folds, {value}"


def fit_folds(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    n_folds: int = 5,
    full_train: bool = False,
    at_once: int | None = None,
    num_workers: int = 2,
    save_every_s: float = 60.0,
    device: str | None = None,
    cache_folder: Path | str | None = None,
    wait_s: float = 600.0,
    until: str | datetime | None = None,
    progress: bool = True,
) -> FoldRuns:
    """Train a run for each fold, each in a process of its own; called again, it goes on.

    Out-of-fold predictions and scores are also written to `folder`, as CSV.

    Args:
        cases: labelled; without a column `fold` they are split here.
        folder: holds the runs: `fold0`, `fold1`, ... and `full`.
        full_train: then train on all cases, for as many epochs as the folds took to their best on
            average, into `folder / "full"`.
        at_once: runs side by side; None takes as many as there are GPUs, each its own.
        num_workers, save_every_s, device, cache_folder, wait_s, until: as `fit` takes them.

    Raises:
        ConfigError, DataError: when a fold's settings or cases do not fit, before anything is
            trained.
        RunError: when a run fails, with its reason; the others have gone on to their end.
        Stopped: when somebody stopped a run, or `until` came.

    Example:
        >>> runs = mk.fit_folds(config, cases, "runs")  # processes  # doctest: +SKIP
        >>> out_of_fold = mk.concat_predictions(runs)  # doctest: +SKIP
    """
    check_arguments(fit_folds, locals())
    folder, task = Path(folder), get_task(config.task)
    if "fold" not in cases:
        cases = assign_folds(task, cases, n_folds=n_folds, seed=config.seed)
    launch = Launch(
        num_workers=num_workers,
        save_every_s=save_every_s,
        device=device,
        cache_folder=cache_folder,
        data=data_folder(cases),
        wait_s=wait_s,
        until=slots.moment(until),
    )
    folds = sorted(int(fold) for fold in cases["fold"].unique())
    for fold in folds:
        make_plan(task, config, cases, fold)  # what is wrong shows before the first run
    if any(state_of(folder / f"fold{fold}") != "finished" for fold in folds):
        slots.check_open(launch.until)
    runs = [_open(config, cases, folder / f"fold{fold}", fold) for fold in folds]
    _run_all(runs, launch, at_once, progress)
    predictions = concat_predictions(runs)
    scores = _scores(runs, cases, predictions)
    tables.write_predictions(predictions, folder / "predictions.csv")
    tables.write_csv(scores, folder / "scores.csv")
    full = None
    if full_train:
        epochs = max(1, round(float(np.mean([_best_epoch(run) for run in runs]))))
        whole = replace(config, epochs=epochs, patience=0)
        full = _open(whole, cases, folder / "full", None)
        _run_all([full], launch, 1, progress)
    return FoldRuns(runs, predictions, scores, full)


def _open(config: Config, cases: pd.DataFrame, path: Path, fold: int | None) -> Run:
    refuse_if_held(path)
    task = get_task(config.task)
    return open_folder(path, task, config, cases, data=data_folder(cases), fold=fold)


def _run_all(runs: list[Run], launch: Launch, at_once: int | None, progress: bool) -> None:
    """Bring all runs to their end, some of them side by side.

    Raises:
        RunError: after all have ended, when one has failed.
        Stopped: when one was stopped.
    """
    gpus = torch.cuda.device_count() if launch.device in (None, "cuda") else 0
    waiting = [run for run in runs if state_of(run.path) != "finished"]
    free, places = list(range(at_once or max(1, gpus))), {}
    going: list[Run] = []
    status = Status(enabled=progress)

    def fill() -> None:
        """Let a run begin wherever there is a place, while the slot lasts."""
        while waiting and free and slots.left_s(launch.until) > 0:
            run, place = waiting.pop(0), free.pop(0)
            spawn(run, launch, gpu=place % gpus if gpus > 1 else None)
            places[run.path] = place
            going.append(run)

    def show(run: Run, news: News) -> None:
        """Its epochs, with its name; where it has ended, another one begins."""
        for text in news.lines:
            if text.startswith("epoch") and "step" not in text or "finished" in text:
                status.line(f"{run.path.name}  {text}")
        if not news.goes_on:
            free.append(places[run.path])
            fill()

    with ended_with_us(going):
        fill()
        follow(going, show)
    begun = [run for run in runs if run not in waiting]
    for run in begun:
        raise_if_failed(run)
    for run in begun:
        check_finished(run)
    if waiting:
        raise Stopped(
            f"{slots.clock_of(launch.until)} came before {waiting[0].path} had begun. Call it "
            "again to go on."
        )


def _scores(runs: list[Run], cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The contest's own score by fold and of all, with intervals."""
    task = runs[0].task
    own = next(iter(task.score(cases, predictions)))
    sides = [(str(r.fold), cases[cases["fold"] == r.fold], r.predictions) for r in runs]
    sides.append(("all", cases, predictions))
    rows = []
    for name, part, predicted in sides:
        row = {"fold": name, "best_epoch": None, "metric": own, "cases": len(part)}
        if part["group"].nunique() > 1:
            row.update(score_interval(task, part, predicted, own)._asdict())
        else:
            row.update(value=task.score(part, predicted)[own])
        rows.append(row)
    for row, run in zip(rows, runs):
        row["best_epoch"] = _best_epoch(run)
    return pd.DataFrame(rows)


def _best_epoch(run: Run) -> int:
    return int(load_state(run.best)[1]["epoch"])
