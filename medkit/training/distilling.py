"""Learning from other models: from teachers that are trained already, or from peers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Union

import numpy as np
import pandas as pd
import torch
from torch import nn

from medkit import files, seeding
from medkit.datasets.task import Task
from medkit.errors import ConfigError, MissingError
from medkit.inference.answers import answers_of, collected
from medkit.inference.predicting import load_model, predict_batches
from medkit.loading.loader import make_dataset
from medkit.models.factory import new_model
from medkit.models.picture_model import PictureModel
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_state, save_state, weights_hash
from medkit.training.losses import Objective


class Peers(nn.Module):
    """Models of one kind, drawn from different seeds, that are trained together.

    Source: Zhang et al., arXiv 1706.00384. All take their step at once, where the paper lets them
    take turns.
    """

    def __init__(self, models: list[PictureModel]):
        super().__init__()
        self.peers = nn.ModuleList(models)

    def forward(self, images: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        """Logits (peers, N, columns)."""
        return torch.stack([peer(images, facts) for peer in self.peers])


Student = Union[PictureModel, Peers]


def new_student(task: Task, config: Config) -> Student:
    """What a run trains: a model, or several peers; the first is the model of a run without."""
    if config.peers == 1:
        return new_model(task, config)
    seeds = [
        config.seed,
        *(seeding.key_seed("peer", config.seed, k) for k in range(1, config.peers)),
    ]
    return Peers([new_model(task, replace(config, seed=seed)) for seed in seeds])


def models_of(model: Student) -> list[PictureModel]:
    """The models that a run trains: mostly one."""
    return list(model.peers) if isinstance(model, Peers) else [model]


def mutual(objective: Objective, logits: list[torch.Tensor], count: torch.Tensor) -> torch.Tensor:
    """How far the answers of all peers are from each other's: each learns from all others."""
    total = logits[0].sum() * 0.0
    for number, own in enumerate(logits):
        for other in logits[:number] + logits[number + 1 :]:
            soft = answers_of(objective.task, other.detach().float())
            apart = objective.taught(own, soft, count=count, temperature=1.0)
            total = total + apart / (len(logits) - 1)
    return total


def teach(
    run: Run, task: Task, config: Config, cases: pd.DataFrame, rows: np.ndarray, **options: Any
) -> None:
    """Write what the teachers say of the training cases into the run folder, once.

    A run that has begun keeps what it was taught, even when its teachers are trained anew.

    Args:
        cases: all visible ones; `rows` are those that are trained on.
        options: see `ask_teachers`.
    """
    facts = _facts(config, cases, rows)
    path = _path(run.path)
    if path.is_file() and run.is_begun and load_state(path)[1].items() >= facts.items():
        return
    soft, hashes = ask_teachers(task, config, cases, rows, fold=run.fold, **options)
    save_state(path, {"soft_labels": soft}, {**facts, "weights": hashes})


def taught(run: Run) -> torch.Tensor:
    """(cases, columns) what `teach` wrote; NaN for cases that are held out."""
    return load_state(_path(run.path))[0]["soft_labels"]


def ask_teachers(
    task: Task,
    config: Config,
    cases: pd.DataFrame,
    rows: np.ndarray,
    *,
    fold: int | None,
    device: torch.device,
    cache_folder: Any,
    log: Callable[[str], None],
) -> tuple[torch.Tensor, list[str]]:
    """The teachers' soft labels (cases, columns), their mean where there are several, and hashes.

    They see the pictures as they are, at the size that they were trained with.

    Raises:
        MissingError, ConfigError: when a teacher is not there, not trained, or of another task.
    """
    votes, hashes = [], []
    own = sum(p.numel() for p in new_model(task, config).parameters())
    for path in _teachers(config):
        teacher = _open(path, task, fold)
        _warn_of_leaks(teacher, cases, rows)
        model = load_model(teacher, device=str(device))
        theirs = sum(p.numel() for p in model.parameters())
        if own > theirs:
            warnings.warn(
                f"fit: the student {config.model} ({own / 1e6:.1f} million weights) is larger "
                f"than its teacher {path} ({teacher.config.model}, {theirs / 1e6:.1f} million).",
                stacklevel=2,
            )
        log(f"asking the teacher {path} ({teacher.config.model}) about {len(rows)} cases")
        shown = cases.iloc[rows].reset_index(drop=True)
        data = make_dataset(task, teacher.config, shown, cache_folder=cache_folder, progress=False)
        options = {"batch_size": teacher.config.judged_at_once, "amp": teacher.config.amp}
        batches = predict_batches(model, data, np.arange(len(rows)), **options)
        answers = collected(task, batches, shown)
        votes.append(answers_of(task, answers.logits.float(), config.distill_temperature))
        hashes.append(weights_hash(model.state_dict()))
    soft = torch.full((len(cases), len(task.columns)), float("nan"))
    soft[torch.from_numpy(rows)] = torch.stack(votes).mean(0)
    return soft, hashes


def _path(folder: Path) -> Path:
    return folder / "teacher.safetensors"


def _teachers(config: Config) -> tuple[str, ...]:
    return (config.teacher,) if isinstance(config.teacher, str) else tuple(config.teacher)


def _facts(config: Config, cases: pd.DataFrame, rows: np.ndarray) -> dict[str, Any]:
    ids = "\n".join(cases["id"].iloc[rows])
    return {
        "teacher": list(_teachers(config)),
        "temperature": config.distill_temperature,
        "cases": files.sha256(ids.encode()),
    }


def _open(path: str, task: Task, fold: int | None) -> Run:
    """A teacher's run; in a folder of `fit_folds` the run of the same fold.

    Raises:
        MissingError, ConfigError: when it does not fit.
    """
    inner = Path(path) / ("full" if fold is None else f"fold{fold}")
    run = Run(inner if (inner / "config.json").is_file() else path)
    if not run.best.is_file():
        raise MissingError(
            f"{path}: this teacher has no weights yet (found {files.listing(run.path)}). Train it "
            "to its end first."
        )
    if run.task.heads != task.heads:
        raise ConfigError(
            f"{path}: this teacher answers for {', '.join(run.task.columns)} (expected "
            f"{', '.join(task.columns)}). Choose a teacher of the same task."
        )
    return run


def _warn_of_leaks(teacher: Run, cases: pd.DataFrame, rows: np.ndarray) -> None:
    """A teacher tells what it has seen: it must not have seen what the student is judged by."""
    known = teacher.cases()
    if teacher.fold is not None:
        known = known[known["fold"] != teacher.fold]
    groups = cases["group"].map(str)  # as a run folder has them
    held_out = set(groups) - set(groups.iloc[rows])
    seen = sorted(held_out & set(known["group"].map(str)))
    if seen:
        warnings.warn(
            f"fit: the teacher {teacher.path} was trained on {len(seen)} of {len(held_out)} groups "
            f"that are held out here, e.g. {seen[:3]}: validation will look better than it is. "
            "Train the teacher with the same folds and the same fold.",
            stacklevel=3,
        )
