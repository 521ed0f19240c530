"""fit: the loop. A run is a function of its config and its cases; stopped, it goes on exactly."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from medkit import files, machine, seeding, tables
from medkit.datasets import get_task
from medkit.datasets.task import Task
from medkit.inference.predicting import (
    default_device,
    make_dataset,
    new_model,
    precision,
    predict_rows,
    to_table,
)
from medkit.loading import augment
from medkit.loading.loader import Batch, KeyedSampler, class_weights, make_loader
from medkit.metrics import METRICS
from medkit.models.factory import CaseModel
from medkit.progress import Status
from medkit.runs.config import Config
from medkit.runs.folder import Run, data_folder, open_folder
from medkit.runs.state import load_newest, save_generation, save_state, weights_hash
from medkit.training.losses import task_loss
from medkit.training.optimizing import average, load_optimizer, make_optimizer, optimizer_tensors
from medkit.training.schedules import warmup_cosine

LOG_EVERY_S = 10.0


def fit(
    config: Config,
    cases: pd.DataFrame,
    folder: Path | str,
    *,
    fold: int = 0,
    num_workers: int = 2,
    save_every_s: float = 60.0,
    device: str | None = None,
    cache_folder: Path | str | None = None,
    progress: bool = True,
) -> Run:
    """Train on all folds but one, and validate on that one after each epoch.

    Called again with the same folder it goes on from the last saved state, to the same bits as
    without the stop; a finished run is returned as it is.

    Args:
        cases: labelled, with `fold` (see `assign_folds`).
        folder: the run folder, made when it is not there.
        fold: the fold that is held out.
        num_workers: processes that load pictures; any number gives the same result.
        save_every_s: how often the state is saved within an epoch; each epoch's end saves it too.
        device: "cuda" or "cpu"; None takes the GPU where there is one.
        cache_folder: where decoded pictures lie; see `loading.cache.default_folder`.

    Raises:
        ValueError: before the first step, when settings, cases and folder do not fit together.
        RuntimeError: when the loss is no longer a number; the last good state is kept.
    """
    task = get_task(config.task)
    seen, held_out = split(task, cases, fold)
    loop = _Loop(task, config, seen, cases[cases["fold"] == fold], held_out, num_workers)
    run = open_folder(Path(folder), task, config, cases, data=data_folder(cases), fold=fold)
    loop.prepare(run, device or default_device(), cache_folder, progress)
    try:
        loop.train(save_every_s)
    except KeyboardInterrupt:
        loop.log(f"interrupted in epoch {loop.epoch + 1}; call fit again to go on")
        raise
    return run


def split(task: Task, cases: pd.DataFrame, fold: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The cases that can be shown to a model, and which of them are held out.

    Raises:
        ValueError: no folds, a group on both sides, or a side on which a class is missing.
    """
    if "fold" not in cases:
        raise ValueError("fit: the cases have no column 'fold'. Call mk.assign_folds(cases) first.")
    if fold not in set(cases["fold"]):
        raise ValueError(f"fit: no fold {fold!r} (found {sorted(set(cases['fold']))}).")
    is_held_out = cases["fold"] == fold
    torn = sorted(set(cases["group"][is_held_out]) & set(cases["group"][~is_held_out]))
    if torn:
        raise ValueError(
            f"fit: {len(torn)} groups are on both sides of fold {fold}, e.g. {torn[:3]}. "
            "Let mk.assign_folds(cases) make the folds; it keeps groups together."
        )
    seen = tables.visible(cases).reset_index(drop=True)
    held_out = (seen["fold"] == fold).to_numpy()
    for side, rows in (("the training cases", seen[~held_out]), (f"fold {fold}", seen[held_out])):
        for head in task.heads:
            missing = [name for name in head.classes if name not in set(rows[head.name])]
            if missing:
                raise ValueError(
                    f"fit: {side} of {task.name} hold no case labelled {missing[0]!r} "
                    f"({len(rows)} cases). Use fewer folds, another seed of mk.assign_folds, "
                    "or more cases."
                )
    return seen, held_out


class _Loop:
    """What one run holds while it trains; `state` and `restore` are all that a stop needs."""

    def __init__(
        self,
        task: Task,
        config: Config,
        seen: pd.DataFrame,
        held_out_cases: pd.DataFrame,
        held_out: np.ndarray,
        num_workers: int,
    ):
        self.task, self.config, self.num_workers = task, config, num_workers
        self.seen, self.held_out_cases = seen, held_out_cases
        self.valid_rows, self.train_rows = np.flatnonzero(held_out), np.flatnonzero(~held_out)
        self.steps = max(1, len(self.train_rows) // config.batch_size)  # of an epoch
        self.epoch = self.step = 0
        self.loss_sum, self.best = 0.0, {"epoch": -1, "value": None}
        self.history: list[dict[str, Any]] = []
        self._check_best_by()
        augment.make_transform(config.augment)  # a wrong name shows before the folder is made
        self.model: CaseModel = new_model(task, config)

    def _check_best_by(self) -> None:
        """Score even chances, so that a wrong name shows before the first epoch."""
        even = torch.zeros(len(self.valid_rows), len(self.task.classes))
        table = to_table(self.task, self.seen["id"].iloc[self.valid_rows], even)
        names = ["loss", *self.task.score(self.held_out_cases, table)]
        if self.config.best_by not in names:
            raise ValueError(
                f"fit: no score {self.config.best_by!r} to choose the best epoch by "
                f"(expected one of {', '.join(names)})."
            )

    def prepare(self, run: Run, device: str, cache_folder: Any, progress: bool) -> None:
        """Load pictures and weights, and what an earlier call has left."""
        config, self.run, self.device = self.config, run, torch.device(device)
        places = {"cache_folder": cache_folder, "progress": progress}
        self.valid_set = make_dataset(self.task, config, self.seen, **places)
        self.train_set = self.valid_set.augmented(config.augment)
        torch.backends.cudnn.benchmark = self.device.type == "cuda" and not config.deterministic
        if config.deterministic and self.device.type == "cuda":
            torch.use_deterministic_algorithms(True, warn_only=True)
        if not run.is_begun:
            facts = {
                "device": self.device.type,
                "initial_weights": weights_hash(self.model.state_dict()),
            }
            files.write_json(run.path / "machine.json", {**machine.describe(), **facts})
        on_gpu = self.device.type == "cuda" and config.channels_last
        layout = torch.channels_last if on_gpu else torch.contiguous_format
        self.model = self.model.to(self.device, memory_format=layout)
        self.ema = copy.deepcopy(self.model).eval() if config.ema_decay else None
        self.optimizer = make_optimizer(self.model, config)
        needs_scaler = config.amp and on_gpu and not torch.cuda.is_bf16_supported()
        self.scaler = torch.cuda.amp.GradScaler(enabled=needs_scaler) if needs_scaler else None
        self.status = Status(enabled=progress)
        self.restore()

    def train(self, save_every_s: float) -> None:
        """All epochs that are left."""
        config, saved_at = self.config, time.monotonic()
        weights = class_weights(self.train_set.labels)[self.train_rows] if config.balanced else None
        count = min(len(self.train_rows), self.steps * config.batch_size)
        sampler = KeyedSampler(self.train_rows, config.seed, count=count, weights=weights)
        loader = make_loader(
            self.train_set,
            sampler,
            batch_size=config.batch_size,
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
        )
        while self.epoch < config.epochs and not self.is_stale():
            sampler.epoch, sampler.first = self.epoch, self.step * config.batch_size
            losses = torch.tensor(self.loss_sum, dtype=torch.float64, device=self.device)
            shown_at = logged_at = time.monotonic()
            self.model.train()
            for batch in loader:
                losses += self.train_step(batch)
                self.step += 1
                now = time.monotonic()
                if now - saved_at > save_every_s and self.step < self.steps:
                    self.loss_sum = self.finite(losses)
                    self.save()
                    saved_at = time.monotonic()
                if now - shown_at > 0.5:
                    text = f"step {self.step}/{self.steps}  loss {float(losses) / self.step:.4f}"
                    self.status.update(f"epoch {self.epoch + 1}/{config.epochs}  {text}")
                    shown_at = now
                    if now - logged_at > LOG_EVERY_S:
                        self.log(f"epoch {self.epoch + 1}  {text}", show=False)
                        logged_at = now
            self.end_epoch(self.finite(losses) / self.steps)
            saved_at = time.monotonic()
        if not self.history_is_told():
            self.log(self.summary())

    def train_step(self, batch: Batch) -> torch.Tensor:
        """One step of the optimizer; returns the loss, on the device."""
        config, key = self.config, (self.config.seed, self.epoch, self.step)
        done = self.epoch * self.steps + self.step
        lr = warmup_cosine(
            done,
            total=config.epochs * self.steps,
            peak=config.peak_lr,
            warmup=config.warmup_epochs * self.steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        images, labels, facts = (
            part.to(self.device, non_blocking=True)
            for part in (batch.images, batch.labels, batch.facts)
        )
        mix = augment.draw_mix(config.mixup, config.cutmix, len(images), images.shape[-1], *key)
        share, partner = 1.0, None
        if mix is not None:
            share, partner, images, facts = augment.blend(images, facts, mix)
        smoothing = config.label_smoothing
        with seeding.keyed("dropout", *key, 0, 0), precision(self.device, config.amp):
            logits = self.model(images, facts)
        loss = task_loss(self.task, logits, labels, label_smoothing=smoothing)
        if partner is not None:
            other = task_loss(self.task, logits, labels[partner], label_smoothing=smoothing)
            loss = share * loss + (1 - share) * other
        self.optimizer.zero_grad(set_to_none=True)
        self.descend(loss)
        if self.ema is not None:
            average(self.ema, self.model, min(config.ema_decay, (1 + done) / (10 + done)))
        return loss.detach().double()

    def descend(self, loss: torch.Tensor) -> None:
        """Backward, clip, step."""
        scaler = self.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()
        if self.config.clip_norm:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()

    def end_epoch(self, train_loss: float) -> None:
        """Validate, keep the best weights, save the state, tell."""
        model = self.ema if self.ema is not None else self.model
        logits, labels = predict_rows(
            model,
            self.valid_set,
            self.valid_rows,
            mirrored_facts=self.valid_set.mirrored_facts,
            batch_size=2 * self.config.batch_size,
            num_workers=0,
            amp=self.config.amp,
        )
        predictions = to_table(self.task, self.seen["id"].iloc[self.valid_rows], logits)
        scores = self.task.score(self.held_out_cases, predictions)
        row = {"epoch": self.epoch + 1, "lr": self.optimizer.param_groups[0]["lr"]}
        row.update(train_loss=train_loss, valid_loss=float(task_loss(self.task, logits, labels)))
        row.update({name: float(value) for name, value in scores.items()})
        self.history.append(row)
        value = row["valid_loss" if self.config.best_by == "loss" else self.config.best_by]
        is_best = self.is_better(value)
        if is_best:
            self.best = {"epoch": self.epoch + 1, "value": value}
            save_state(self.run.best, model.state_dict(), {"epoch": self.epoch + 1})
            tables.write_csv(predictions, self.run.path / "predictions.csv")
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        self.save()
        tables.write_csv(pd.DataFrame(self.history), self.run.path / "history.csv")
        first = next(iter(scores))
        told = {"train": train_loss, "valid": row["valid_loss"], first: row[first]}
        if self.config.best_by not in ("loss", first):
            told[self.config.best_by] = value
        text = "  ".join(f"{name} {figure:.4f}" for name, figure in told.items())
        self.log(f"epoch {self.epoch}/{self.config.epochs}  {text}{'  *' if is_best else ''}")

    def is_better(self, value: float) -> bool:
        """Whether a value of `best_by` beats the best so far; not-a-number never does."""
        best, name = self.best["value"], self.config.best_by
        if best is None or math.isnan(best) or math.isnan(value):
            return best is None or not math.isnan(value)
        metric = METRICS.get(name.replace("tooth_", ""))
        greater = name != "loss" and (metric is None or metric.greater_is_better)
        return value > best if greater else value < best

    def is_stale(self) -> bool:
        """Whether `patience` epochs have brought nothing better."""
        patience = self.config.patience
        return bool(patience) and self.epoch - max(0, self.best["epoch"]) >= patience

    def finite(self, losses: torch.Tensor) -> float:
        """The sum of losses.

        Raises:
            RuntimeError: when it is not a number.
        """
        value = float(losses)
        if not math.isfinite(value):
            raise RuntimeError(
                f"fit: the loss is {value} in epoch {self.epoch + 1}, by step {self.step} of "
                f"{self.steps}. The last good state is kept; try a smaller peak_lr in a new folder."
            )
        return value

    def save(self) -> None:
        """The whole state: tensors by name, and facts."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.ema is not None:
            tensors.update({f"ema.{name}": v for name, v in self.ema.state_dict().items()})
        for name, value in optimizer_tensors(self.optimizer, self.model).items():
            tensors[f"optimizer.{name}"] = value
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "best": self.best,
            "history": self.history,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        save_generation(self.run.last, tensors, facts)

    def restore(self) -> None:
        """Go on from the newest whole state, if there is one."""
        found = load_newest(self.run.last)
        if found is None:
            return
        tensors, facts, notes = found
        for note in notes:
            self.log(note)
        part = _parts(tensors)
        self.model.load_state_dict(part["model"])
        if self.ema is not None:
            self.ema.load_state_dict(part["ema"])
        load_optimizer(self.optimizer, self.model, part.get("optimizer", {}))
        self.epoch, self.step, self.loss_sum = facts["epoch"], facts["step"], facts["loss_sum"]
        self.best, self.history = facts["best"], facts["history"]
        if self.scaler is not None and facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])
        if self.epoch < self.config.epochs and not self.is_stale():
            self.log(f"going on from epoch {self.epoch + 1}, step {self.step + 1}")

    def summary(self) -> str:
        value = f"{self.config.best_by} {self.best['value']:.4f}"
        return f"finished after {self.epoch} epochs; best is epoch {self.best['epoch']} ({value})"

    def history_is_told(self) -> bool:
        """Whether the log ends with the summary: a finished run is called again."""
        log = self.run.path / "log.txt"
        told = log.is_file() and log.read_text(encoding="utf-8").rstrip().endswith(self.summary())
        if told:
            self.status.line(self.summary())
        return told

    def log(self, text: str, *, show: bool = True) -> None:
        """A line in log.txt, with the time, and on the screen without it."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        files.append_line(self.run.path / "log.txt", f"{stamp}  {text}")
        if show:
            self.status.line(text)


def _parts(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors named "model.x", "optimizer.y" as {"model": {"x": ...}, "optimizer": ...}."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts
