"""The run folder: what is in it, and how a notebook or `predict` reads it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from medkit import files, tables
from medkit.datasets.task import Task
from medkit.runs.config import Config, differences
from medkit.runs.holding import read_status, state_of
from medkit.runs.own_tasks import load_task, save_task


class Run:
    """A run folder. What it holds is enough to go on, to predict, to report and to reproduce.

    Attributes:
        path: the folder.
        best: the weights of the best epoch (safetensors).
        last: the newest whole state, to go on from.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        if not (self.path / "config.json").is_file():
            raise FileNotFoundError(
                f"{self.path}: not a run folder, it has no config.json "
                f"(found {files.listing(self.path)}). Train one with mk.fit(config, cases, folder)."
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def is_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return any(self.path.glob("last*.safetensors"))

    @property
    def config(self) -> Config:
        return Config.from_dict(self._json("config.json"))

    @property
    def task(self) -> Task:
        return load_task(self._json("task.json"), self.path)

    @property
    def fold(self) -> int | None:
        """The fold that was held out, if one was."""
        return self._json("run.json")["fold"]

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
        return tables.read_csv(self._existing("predictions.csv"))

    @property
    def state(self) -> str:
        """How it stands: see `holding.state_of`."""
        return state_of(self.path)

    def cases(self, data: Path | str | None = None) -> pd.DataFrame:
        """The cases that it was trained and validated on.

        Args:
            data: where the data folder is now, when it has moved.
        """
        facts = self._json("run.json")
        return tables.read_cases(self.path / "cases.csv", data or facts["data"], text=facts["text"])

    def _json(self, name: str) -> dict[str, Any]:
        return json.loads(self._existing(name).read_text(encoding="utf-8"))

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: not there yet (found {files.listing(self.path)}). "
                "Run mk.fit(config, cases, folder) to the end first."
            )
        return path


def open_folder(
    path: Path, task: Task, config: Config, cases: pd.DataFrame, *, data: Path, fold: int | None
) -> Run:
    """A run folder for these settings: made, or found with the same settings in it.

    A folder in which nothing was trained yet takes the new settings.

    Raises:
        ValueError: when the folder holds a run of other settings, cases or fold (naming them).
    """
    facts = {"fold": fold, "cases": tables.cases_hash(cases), "data": str(data)}
    is_run = (path / "config.json").is_file()
    if is_run and Run(path).is_begun:
        _check_same(Run(path), config, facts)
        return Run(path)
    if not is_run and path.is_dir() and any(path.iterdir()):
        raise ValueError(
            f"{path}: the folder is neither empty nor a run (found {files.listing(path)}). "
            "Choose another folder for this run."
        )
    save_task(task, path)
    files.write_json(path / "run.json", {**facts, "text": tables.text_columns(cases)})
    tables.write_cases(cases, path / "cases.csv", data)
    files.write_json(path / "config.json", config.to_dict())  # last: with it, the folder is a run
    return Run(path)


def _check_same(run: Run, config: Config, facts: dict[str, Any]) -> None:
    changed = differences(run.config, config) if run.task else []  # its task is still the same
    saved = run._json("run.json")
    if saved["fold"] != facts["fold"]:
        changed.append(f"fold: {saved['fold']!r} saved, {facts['fold']!r} asked")
    if saved["cases"] != facts["cases"]:
        changed.append("cases: other ids, labels, regions or folds than saved")
    if changed:
        raise ValueError(
            f"{run.path}: this run was begun with other settings ({'; '.join(changed)}). "
            "Choose another folder for the new settings, or the old settings for this folder."
        )


def list_runs(folder: Path | str) -> pd.DataFrame:
    """The runs in a folder and below it, a row each, the newest first.

    Returns:
        `run` (path below the folder), `state` ("new", "running", "finished", "stopped", "failed",
        or "stale": its process died), `epoch` (done) of `epochs`, `left_s`, `best_by`, `best`,
        `reason` of a failure or stop, `seen` (local time of its last sign of life).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder (found {files.listing(folder.parent)}).")
    rows = [_row(Run(path.parent), folder) for path in folder.rglob("config.json")]
    rows.sort(key=lambda row: (row["seen"], row["run"]), reverse=True)
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["run", "state", "epoch", "epochs", "left_s", "best_by", "best", "reason", "seen"]


def _row(run: Run, folder: Path) -> dict[str, Any]:
    status = read_status(run.path)
    facts, seen = status.get("facts", {}), status.get("beat", run.path.stat().st_mtime)
    state = state_of(run.path)
    return {
        "run": str(run.path.relative_to(folder)),
        "state": state,
        "epoch": facts.get("epochs_done", 0),
        "epochs": run.config.epochs,
        "left_s": facts.get("left_s") if state == "running" else None,
        "best_by": run.config.best_by,
        "best": facts.get("best"),
        "reason": status.get("reason", ""),
        "seen": datetime.fromtimestamp(int(seen)),
    }


def data_folder(cases: pd.DataFrame) -> Path:
    """The folder above all pictures."""
    folders = {Path(path).parent for path in cases["path"].dropna()}
    common = next(iter(folders))
    for folder in folders:
        while common != folder and common not in folder.parents:
            common = common.parent
    return common
