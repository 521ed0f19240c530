"""All folds of a config: each a run of its own, and what they say together."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from medkit import tables
from medkit.datasets import get_task
from medkit.folding import assign_folds
from medkit.inference.judging import concat_predictions, score_interval
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, open_folder
from medkit.runs.holding import refuse_if_held, state_of
from medkit.runs.pictures import data_folder
from medkit.runs.state import load_state
from medkit.training import launching
from medkit.training.loop import Loop


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
        num_workers, save_every_s, device, cache_folder, wait_s: as `fit` takes them.

    Raises:
        ValueError: when a fold's settings or cases do not fit, before anything is trained.
        RuntimeError: when a run fails, with its reason; the others have gone on to their end.
    """
    folder, task = Path(folder), get_task(config.task)
    if "fold" not in cases:
        cases = assign_folds(task, cases, n_folds=n_folds, seed=config.seed)
    options = {
        "num_workers": num_workers,
        "save_every_s": save_every_s,
        "device": device,
        "cache_folder": cache_folder,
        "wait_s": wait_s,
        "data": data_folder(cases),
    }
    folds = sorted(int(fold) for fold in cases["fold"].unique())
    for fold in folds:
        Loop(task, config, cases, fold)  # what is wrong shows before the first run
    runs = [_open(config, cases, folder / f"fold{fold}", fold) for fold in folds]
    _run_all(runs, options, at_once, progress)
    predictions = concat_predictions(runs)
    scores = _scores(runs, cases, predictions)
    tables.write_csv(predictions, folder / "predictions.csv")
    tables.write_csv(scores, folder / "scores.csv")
    full = None
    if full_train:
        epochs = max(1, round(float(np.mean([_best_epoch(run) for run in runs]))))
        whole = replace(config, epochs=epochs, patience=0)
        full = _open(whole, cases, folder / "full", None)
        _run_all([full], options, 1, progress)
    return FoldRuns(runs, predictions, scores, full)


def _open(config: Config, cases: pd.DataFrame, path: Path, fold: int | None) -> Run:
    refuse_if_held(path)
    task = get_task(config.task)
    return open_folder(path, task, config, cases, data=data_folder(cases), fold=fold)


def _run_all(runs: list[Run], options: dict[str, Any], at_once: int | None, progress: bool) -> None:
    """Bring all runs to their end, some of them side by side.

    Raises:
        RuntimeError: after all have ended, when one has failed.
    """
    gpus = torch.cuda.device_count() if options["device"] in (None, "cuda") else 0
    waiting = [run for run in runs if state_of(run.path) != "finished"]
    free = list(range(at_once or max(1, gpus)))
    status, going = Status(enabled=progress), {}
    shown = {run.path: len(launching.log_lines(run)) for run in runs}
    try:
        while waiting or going:
            while waiting and free:
                run, place = waiting.pop(0), free.pop(0)
                launching.launch(run, options, gpu=place % gpus if gpus > 1 else None)
                going[run.path] = run, place
            for path, (run, place) in list(going.items()):
                shown[path] = _show_news(run, status, shown[path])
                if not launching.is_going(run):
                    _show_news(run, status, shown[path])
                    del going[path]
                    free.append(place)
            time.sleep(launching.LOOK_EVERY_S)
    except KeyboardInterrupt:
        for run, _ in going.values():
            launching.stop(run)
        raise
    for run in runs:
        launching.raise_if_failed(run)


def _show_news(run: Run, status: Status, shown: int) -> int:
    """Show a run's epochs, each with the name of its run; returns how much of the log is shown."""
    lines = launching.log_lines(run)
    for line in lines[shown:]:
        text = line.split("  ", 1)[-1]
        if text.startswith("epoch") and "step" not in text or "finished" in text:
            status.line(f"{run.path.name}  {text}")
    return len(lines)


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
