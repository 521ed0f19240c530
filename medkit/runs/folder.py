"""The run folder: what is in it, and how a notebook or `predict` reads it."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from medkit import files, tables
from medkit.arguments import check_arguments
from medkit.datasets.task import Task
from medkit.errors import ConfigError, DataError, MissingError
from medkit.runs.config import Config, differences
from medkit.runs.holding import last_heard, read_status, state_of
from medkit.runs.own_tasks import load_task, save_task, trust_code, trust_own
from medkit.runs.pictures import place_now

LEFT_S = 24 * 3600  # a half-built folder this old has lost its builder
MARKS = ("run.json", "config.json")  # by which a folder is known for a run


class Run:
    """A run folder. What it holds is enough to go on, to predict, to report and to reproduce.

    Args:
        trust: put the .py files of its task, if it has some, on this user's list of trusted code.
            They are run when the task is asked for: read those of other people first.

    Attributes:
        path: the folder.
        best: the weights of the best epoch (safetensors).
        last: the newest whole state, to go on from.

    Example:
        >>> same = mk.Run(run.path)
        >>> same.best.name, len(same.history), list(same.predictions.columns)
        ('best.safetensors', 2, ['id', 'sound', 'decayed'])
    """

    def __init__(self, path: Path | str, *, trust: bool = False):
        check_arguments(Run, locals())
        self.path = Path(path)
        for name in MARKS:
            if not (self.path / name).is_file():
                raise MissingError(
                    f"{self.path}: not a run folder, it has no {name} (found "
                    f"{files.listing(self.path)}). Train one with mk.fit(config, cases, folder)."
                )
        if trust:
            trust_code(self.path, self.task_facts)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    def answers_folder(self, epoch: int) -> Path:
        """Where an epoch's predictions of the held-out cases lie, if no table holds them."""
        check_arguments(Run.answers_folder, locals())
        return self.path / "valid" / f"epoch{epoch:03d}"

    def forget_answers(self, *, but_of: int) -> None:
        """Remove what all epochs but one have left in `answers_folder`."""
        check_arguments(Run.forget_answers, locals())
        for folder in self.path.glob("valid/epoch*"):
            if folder != self.answers_folder(but_of):
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def is_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return any(self.path.glob("last*.safetensors"))

    @property
    def config(self) -> Config:
        return Config.from_dict(self._json("config.json"))

    @property
    def task(self) -> Task:
        return load_task(self.task_facts, self.path)

    @property
    def task_facts(self) -> dict[str, Any]:
        """What task.json says of it: data, and where its own functions stand. None is run."""
        return self._json("task.json")

    @property
    def facts(self) -> dict[str, Any]:
        """Its `fold`, the folder of its `data`, and the hash and text columns of its cases."""
        return self._json("run.json")

    @property
    def fold(self) -> int | None:
        """The fold that was held out, if one was."""
        return self.facts["fold"]

    @property
    def machine(self) -> dict[str, Any]:
        """Versions, device and hashes, as they were when the run began."""
        return self._json("machine.json")

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch: losses, learning rate, scores."""
        return tables.read_csv(self._existing("history.csv"))

    @property
    def predictions(self) -> pd.DataFrame:
        """Of the held-out cases, by the best epoch's weights."""
        return tables.read_predictions(self._existing("predictions.csv"))

    @property
    def state(self) -> str:
        """How it stands: see `holding.state_of`."""
        return state_of(self.path)

    def cases(self, data: Path | str | None = None) -> pd.DataFrame:
        """The cases that it was trained and validated on.

        Args:
            data: where the data folder is now, when it has moved.

        Raises:
            MissingError: when the pictures are not below `data`.
        """
        check_arguments(Run.cases, locals())
        facts = self.facts
        path, place = self._existing("cases.csv"), facts["data"]
        if data is not None:
            paths = tables.read_csv(path)["path"].dropna()
            place = place_now(data, place, paths.iloc[0])
        return tables.read_cases(path, place, text=facts["text"])

    def _json(self, name: str) -> dict[str, Any]:
        path = self._existing(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            found = str(error)
        if not isinstance(found, dict):
            raise DataError(f"{path}: damaged (found {str(found)[:80]!r}). Get it anew.")
        return found

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise MissingError(
                f"{path}: not there yet (found {files.listing(self.path)}). "
                "Run mk.fit(config, cases, folder) to the end first."
            )
        return path


def open_folder(
    path: Path, task: Task, config: Config, cases: pd.DataFrame, *, data: Path, fold: int | None
) -> Run:
    """A run folder for these settings: made, or found with the same settings in it.

    A new one is built beside its place and renamed, so that no kill leaves half of it. A folder in
    which nothing was trained yet takes the new settings.

    Raises:
        ConfigError: when the folder holds a run of other settings, cases or fold (naming them).
    """
    path, fold = Path(path), fold.item() if hasattr(fold, "item") else fold
    trust_own(task)  # the run's processes load what this kernel has run
    if all((path / name).is_file() for name in MARKS) and Run(path).is_begun:
        _check_same(Run(path), config, cases, fold)
        _take_checkpointing(Run(path), config)
        return Run(path)
    if path.is_dir() and not _takes_settings(path):
        raise ConfigError(
            f"{path}: the folder is neither empty nor a run (found {files.listing(path)}). "
            "Choose another folder for this run."
        )
    place = path
    if not path.exists():
        place = files.beside(path)
        _clear_half_built(path)
    try:
        save_task(task, place)
        kept = tables.write_cases(cases, place / "cases.csv", data)
        files.write_json(place / "run.json", {"fold": fold, "data": str(data), **kept})
        files.write_json(place / "config.json", config.to_dict())  # last: it makes it a run
        if place != path:
            os.rename(place, path)
            files.sync_folder(path.parent)
    except OSError as error:
        if place != path and all((path / name).is_file() for name in MARKS):  # another was faster
            return open_folder(path, task, config, cases, data=data, fold=fold)
        raise (error if place == path else files.explain(error, path)) from error
    finally:
        if place != path:
            shutil.rmtree(place, ignore_errors=True)
    return Run(path)


def _take_checkpointing(run: Run, config: Config) -> None:
    """Go on with it or without: it decides no bit. A finished run stays as it is."""
    if run.config.checkpointing != config.checkpointing and state_of(run.path) != "finished":
        changed = replace(run.config, checkpointing=config.checkpointing)
        files.write_json(run.path / "config.json", changed.to_dict())


def _clear_half_built(path: Path) -> None:
    """Remove folders beside a run's place that a kill left half-built there."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{8 * '[0-9a-f]'}"):
        with suppress(OSError):  # another process was faster
            if time.time() - left.stat().st_mtime > LEFT_S and _takes_settings(left):
                shutil.rmtree(left)


def _takes_settings(path: Path) -> bool:
    """Whether a folder is empty, a run that has not begun, or what a kill left of one."""
    names = {entry.name for entry in path.iterdir()}
    is_run = set(MARKS) <= names
    ours = {"task.json", "run.json", "cases.csv"}
    return is_run or all(n in ours or n.startswith((".", "task_")) for n in names)


def _check_same(run: Run, config: Config, cases: pd.DataFrame, fold: int | None) -> None:
    changed = differences(run.config, config) if run.task else []  # its task is still the same
    saved = run.facts
    if saved["fold"] != fold:
        changed.append(f"fold: {saved['fold']!r} saved, {fold!r} asked")
    is_known = tables.are_known_by(cases, saved["cases"])
    if not is_known and not tables.are_known_by(cases, tables.cases_hash(run.cases())):
        changed.append("cases: other ids, labels, regions or folds than saved")
    if changed:
        raise ConfigError(
            f"{run.path}: this run was begun with other settings ({'; '.join(changed)}). "
            "Choose another folder for the new settings, or the old settings for this folder."
        )


def list_runs(folder: Path | str) -> pd.DataFrame:
    """The runs in a folder and below it, a row each, the newest first.

    Returns:
        `run` (path below the folder), `state` ("new", "running", "finished", "stopped", "failed",
        "stale": its process died, or "unreadable"), `model`, `image_size`, `epoch` (done) of
        `epochs`, `left_s`, `metric` and `score` (the contest's own, of the best epoch), `best_by`
        and `best` (what epochs were compared by), `reason` of a failure or stop, `seen` (local
        time of its last sign of life; of a run on another machine by that one's clock).
        Scores have four decimals.

    Example:
        >>> mk.list_runs(run.path.parent).loc[0, ["state", "model"]].tolist()
        ['finished', 'test_resnet']
    """
    check_arguments(list_runs, locals())
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingError(f"{folder}: no such folder (found {files.listing(folder.parent)}).")
    found = [path.parent for path in folder.rglob("run.json")]
    rows = [_row(path, folder) for path in found if not path.name.startswith(".")]
    rows.sort(key=lambda row: (row["seen"], row["run"]), reverse=True)
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["run", "state", "model", "image_size", "epoch", "epochs", "left_s", "metric", "score"]
_COLUMNS += ["best_by", "best", "reason", "seen"]


def _row(path: Path, folder: Path) -> dict[str, Any]:
    row = {"run": str(path.relative_to(folder)), "seen": datetime.fromtimestamp(0)}
    try:
        row["seen"] = datetime.fromtimestamp(int(path.stat().st_mtime))
        run, status, state = Run(path), read_status(path), state_of(path)
        facts, config = status.get("facts", {}), run.config
        if "beat" in status:
            row["seen"] = datetime.fromtimestamp(int(status["beat"]))
        return {
            **row,
            "state": state,
            "model": config.model,
            "image_size": config.image_size,
            "epoch": facts.get("epochs_done", 0),
            "epochs": config.epochs,
            "left_s": _rounded(facts.get("left_s"), 0) if state == "running" else None,
            **_score(run, facts.get("best")),
            "best_by": config.best_by,
            "best": _rounded(facts.get("best")),
            "reason": status.get("reason") or last_heard(path),
        }
    except Exception as error:  # whatever lies there, the other rows are told
        return {**row, "state": "unreadable", "reason": str(error) or type(error).__name__}


def _score(run: Run, best: float | None) -> dict[str, Any]:
    """The contest's own score of a run's best epoch, as its history tells it."""
    measure = run.config.best_by
    measure = "valid_loss" if measure == "loss" else measure
    try:
        history = run.history
        row = history.loc[(history[measure] - best).abs().dropna().idxmin()]
        names = list(history.columns)
        own = names[names.index("valid_loss") + 1]
        return {"metric": own, "score": _rounded(row[own])}
    except Exception:  # trained on everything, not yet an epoch, a history that somebody edited
        return {}


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(float(value), digits)
