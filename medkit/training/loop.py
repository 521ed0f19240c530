"""The loop: a run is a function of its config and its cases; stopped at any step, it goes on."""

from __future__ import annotations

import copy
import math
import re
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from timm.layers import convert_sync_batchnorm

from medkit import files, machine, tables
from medkit.datasets.task import Task
from medkit.devices import free_memory
from medkit.loading import augment
from medkit.loading.labels import codes_of
from medkit.loading.loader import (
    Batch,
    CaseDataset,
    KeyedSampler,
    make_dataset,
    make_loader,
    on_device,
)
from medkit.progress import Status, clock
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.holding import Hold, Stopped
from medkit.runs.pictures import check_pictures
from medkit.runs.state import load_newest, save_generation, save_state, weights_hash
from medkit.training import distilling, neighbours
from medkit.training.distilling import Student, students
from medkit.training.losses import Objective
from medkit.training.optimizing import average, load_optimizer, make_optimizer, optimizer_tensors
from medkit.training.ranks import Ranks
from medkit.training.schedules import learning_rate
from medkit.training.splitting import split
from medkit.training.stepping import Stepper
from medkit.training.telling import describe, title
from medkit.training.validating import Validation

LOG_EVERY_S = 10.0
SHOW_EVERY_S = 0.5
SAVES_APART = 50  # times the last save's duration, at least: saving takes 2 % of the time at most


def place_model(model: Student, config: Config, device: torch.device, ranks: Ranks) -> Student:
    """A model on its device, in the memory format that is fast there."""
    if config.sync_bn and ranks.size > 1:
        if device.type != "cuda":
            raise ValueError("fit: sync_bn needs GPUs. Leave it off on a CPU.")
        model = convert_sync_batchnorm(model)  # torch's own drops timm's fused activations
    on_gpu = device.type == "cuda" and config.channels_last
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    return model.to(device, memory_format=layout)


class Loop:
    """What one process of a run holds while it trains.

    Made from settings and cases alone, it touches no folder: what is wrong with them shows first.
    """

    def __init__(self, task: Task, config: Config, cases: pd.DataFrame, fold: int | None):
        self.task, self.config, self.ranks = task, config, Ranks()
        self.seen, held_out = split(task, cases, fold)
        self.valid_rows, self.train_rows = np.flatnonzero(held_out), np.flatnonzero(~held_out)
        self.steps = max(1, len(self.train_rows) // config.batch_size)  # of an epoch
        self.epoch = self.step = 0
        self.loss_sum, self.best = 0.0, {"epoch": -1, "value": None}
        self.history: list[dict[str, Any]] = []
        self.is_exact = True  # the whole way in one shape
        augment.make_transform(config.augment)  # a wrong name shows before the folder is made
        trained = codes_of(task, self.seen)[self.train_rows]
        self.weights = None  # chances to be drawn
        if config.balanced:
            self.weights = task.heads[0].answer.chances(trained[:, 0].numpy())
        self.objective = Objective(task, config, trained)
        self.validation = Validation(
            task,
            config,
            self.objective,
            cases=cases.iloc[:0] if fold is None else cases[cases["fold"] == fold],
            seen=self.seen,
            rows=self.valid_rows,
        )
        self.model = distilling.new_student(task, config)
        for student in students(self.model):
            student.set_units(trained)

    # before the first step

    def prepare(
        self,
        run: Run,
        held: Hold,
        ranks: Ranks,
        *,
        device: torch.device,
        cache_folder: Any,
        wait_s: float,
        progress: bool | str,
    ) -> None:
        """Load pictures and weights, and what an earlier call has left."""
        config, self.run, self.held, self.ranks = self.config, run, held, ranks
        self.place = machine.describe_shape()
        self.device, self.status = device, Status(enabled=bool(progress) and ranks.is_first)
        self.status.line(title(run, progress))
        valid = len(self.valid_rows) or len(self.train_rows)
        least = min(config.batch_size, len(self.train_rows), valid)
        if least < ranks.size:
            raise ValueError(
                f"fit: {ranks.size} devices share {least} images of a step or of validation "
                "(expected at least one each). Take a larger batch_size or fewer devices."
            )
        if ranks.local_rank == 0:
            check_pictures(run.path, self.seen, is_begun=run.is_begun)
        else:
            ranks.wait_for_all()  # the first process of each machine builds the cache
        places = {"cache_folder": cache_folder, "progress": progress and ranks.is_first}
        self.valid_set = make_dataset(self.task, config, self.seen, **places)
        self.train_set = self.valid_set.augmented(config.augment)
        if self.valid_set.labels.never and ranks.is_first:
            warnings.warn(
                f"fit: none of {len(self.seen)} cases has a pixel of "
                f"{', '.join(map(repr, self.valid_set.labels.never))}. Look whether its masks lie "
                "where the task's mask_files say, or leave the class out.",
                stacklevel=4,
            )
        if ranks.local_rank == 0:
            ranks.wait_for_all()
        if device.type == "cuda":
            images = config.micro_batch or -(-config.batch_size // ranks.size)
            free_memory()  # of an earlier run in this kernel
            neighbours.wait_for_room(
                sum(neighbours.training_bytes(m, config, images) for m in students(self.model))
                + neighbours.CUDA_BYTES,
                lambda: torch.cuda.mem_get_info(device),
                limit_s=wait_s,
                log=self.log,
            )
        if not run.is_begun and ranks.is_first:
            facts = {"initial_weights": weights_hash(self.model.state_dict())}
            facts.update(device=device.type, world_size=ranks.size)
            files.write_json(run.path / "machine.json", {**machine.describe(), **facts})
        self.model = place_model(self.model, config, device, ranks)
        self.ema = copy.deepcopy(self.model).eval() if config.ema_decay else None
        self.optimizer = make_optimizer(self.model, config)
        self.stepper = Stepper(self.objective, config, self.model, ranks, self.log)
        if config.teacher is not None:
            self._listen(cache_folder)
        self.restore()
        if self.epoch == self.step == 0:
            self.rehearse()

    def _listen(self, cache_folder: Any) -> None:
        """Take in what the teachers say of each training case; the first process asks them."""
        if self.ranks.is_first:
            distilling.teach(
                self.run,
                self.task,
                self.config,
                self.seen,
                self.train_rows,
                device=self.device,
                cache_folder=cache_folder,
                log=self.log,
            )
        self.ranks.wait_for_all()
        self.stepper.soft = distilling.taught(self.run).to(self.device)

    def rehearse(self) -> None:
        """Pull one batch of each side through model and loss, and leave no trace of it.

        A mistake shows in seconds here, and not after an epoch.
        """
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        batch = self.batch(self.train_set)
        self.model.train()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):  # the first one warms up
                began = time.monotonic()
                float(self.stepper.gradients(batch, 0, 0)[0])
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                step_s = time.monotonic() - began
        self._tell_kernels(caught)
        for name, value in self.model.named_buffers():
            value.copy_(buffers[name])
        self.optimizer.zero_grad(set_to_none=True)
        rows = self.valid_rows[self.ranks.share(len(self.valid_rows))][: 2 * len(batch.rows)]
        if len(rows):
            first = students(self.model)[0]
            self.validation.predict(first, self.valid_set, rows).loss()
        count = sum(p.numel() for p in self.stepper.parameters) / 1e6
        self.log(
            f"{self.config.model}: {count:.1f} million weights; {self.steps} steps of "
            f"{min(self.config.batch_size, len(self.train_rows))} images an epoch, about "
            f"{clock(self.steps * step_s)} an epoch and {clock(self.left_s(step_s))} in all"
        )

    def _tell_kernels(self, caught: list[warnings.WarningMessage]) -> None:
        """Log the operations that repeat no bits on this device; pass other warnings on."""
        for warning in caught:
            text = str(warning.message)
            if re.search("not have a deterministic|non-?deterministic|not deterministic", text):
                self.log(f"not bit-exact on this device: {text.split(' does not')[0]}")
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )

    def batch(self, data: CaseDataset, epoch: int = 0, step: int = 0) -> Batch:
        """One step's cases of this process, as its loader gives them: augmented, not yet mixed."""
        sampler = self._sampler()
        sampler.epoch, sampler.first = epoch, step
        return next(iter(make_loader(data, sampler, batch_size=sampler.share)))

    # training

    def train(self, num_workers: int, save_every_s: float) -> None:
        """All epochs that are left.

        Raises:
            Stopped: when somebody asked for it; the state is saved.
            RuntimeError: when the loss is no longer a number; the last good state is kept.
        """
        config, sampler = self.config, self._sampler()
        loader = make_loader(
            self.train_set,
            sampler,
            batch_size=sampler.share,
            num_workers=num_workers,
            pin_memory=self.device.type == "cuda",
        )
        self.pending: list[torch.Tensor] = []  # losses of steps, still on the device
        self.began = self.saved_at = self.shown_at = self.logged_at = time.monotonic()
        self.save_s = self.last_save_s = 0.0
        self.steps_done = 0
        try:
            while self.epoch < config.epochs and not self.is_stale():
                sampler.epoch, sampler.first = self.epoch, self.step
                self.model.train()
                for batch in on_device(loader, self.device):
                    stop = self.train_step(batch)
                    self.step, self.steps_done = self.step + 1, self.steps_done + 1
                    self.between_steps(save_every_s, stop)
                self.settle()
                self.end_epoch()
        except RuntimeError as error:
            _explain_worker(error, num_workers)
            raise
        finally:
            del loader  # ends its processes, even while a notebook keeps the traceback
        self.log(self.summary())

    def train_step(self, batch: Batch) -> bool:
        """One step of the optimizer; says whether any process wants to stop."""
        config, done = self.config, self.epoch * self.steps + self.step
        costs = self.validation.costs(self.history)
        lr = learning_rate(config, done, steps=self.steps, values=costs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        before = self.stepper.micro_batch
        loss, stop = self.stepper.gradients(
            batch, self.epoch, self.step, stop=self.held.stop_wanted
        )
        self.is_exact = self.is_exact and self.stepper.micro_batch == before
        self.stepper.descend(self.optimizer)
        if self.ema is not None:
            average(self.ema, self.model, min(config.ema_decay, (1 + done) / (10 + done)))
        self.pending.append(loss)
        return stop

    def between_steps(self, save_every_s: float, stop: bool) -> None:
        """Save, show, log or stop when it is time; mostly it is not."""
        now, is_last = time.monotonic(), self.step == self.steps
        due = now - self.saved_at > max(save_every_s, SAVES_APART * self.last_save_s)
        if (due or stop) and not is_last:
            self.settle()
            self.save()
        if stop and not is_last:
            words = f"stopped in epoch {self.epoch + 1} after step {self.step}"
            self.log(f"{words}; call fit again to go on")
            raise Stopped(f"{words}; its state is saved. Call fit again to go on.")
        if now - self.shown_at > SHOW_EVERY_S:
            self.settle()
            self.shown_at = now
            self.show(now)

    def show(self, now: float) -> None:
        """How far it is: on the screen, with the heartbeat, and now and then in the log."""
        step_s = (now - self.began) / self.steps_done
        text = f"step {self.step}/{self.steps}  loss {self.loss_sum / self.step:.4f}"
        self.held.facts.update(
            epoch=self.epoch + 1,
            epochs=self.config.epochs,
            step=self.step,
            steps=self.steps,
            loss=self.loss_sum / self.step,
            images_per_s=self.config.batch_size / step_s,
            left_s=self.left_s(step_s),
            micro_batch=self.stepper.micro_batch,
            saving_share=self.save_s / (now - self.began),
        )
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            own = torch.cuda.max_memory_allocated(self.device)
            self.held.facts.update(gpu_free=free, gpu_total=total, gpu_peak_own=own)
        self.status.update(describe(self.run, self.held.facts))
        if now - self.logged_at > LOG_EVERY_S:
            self.log(f"epoch {self.epoch + 1}  {text}", show=False)
            self.logged_at = now

    def left_s(self, step_s: float) -> float:
        """Seconds until the end, when all steps take `step_s`."""
        done = self.epoch * self.steps + self.step
        return (self.config.epochs * self.steps - done) * step_s

    def settle(self) -> None:
        """Add the losses of the last steps up, one by one, so that it does not matter when.

        Raises:
            RuntimeError: when one is not a number, naming its step and cases.
        """
        values = torch.stack(self.pending).tolist() if self.pending else []
        for number, value in enumerate(values, self.step - len(values)):
            if not math.isfinite(value):
                rows = self._sampler().order(self.epoch)
                size = self.config.batch_size
                ids = list(self.seen["id"].iloc[rows[number * size : (number + 1) * size]])
                more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
                raise RuntimeError(
                    f"fit: the loss is {value} in epoch {self.epoch + 1}, step {number + 1} of "
                    f"{self.steps} (cases {', '.join(ids[:8])}{more}). The last good state is "
                    "kept; look at these cases, or try a smaller peak_lr in a new folder."
                )
            self.loss_sum += value
        self.pending.clear()

    # the end of an epoch

    def end_epoch(self) -> None:
        """Validate, keep the best weights, save the state, tell.

        Without held-out cases the newest weights are the best; of peers, those of the best one.
        """
        model = self.ema if self.ema is not None else self.model
        self.ranks.copy_first([b for b in model.buffers() if b.is_floating_point()])
        row = {"epoch": self.epoch + 1, "lr": self.optimizer.param_groups[0]["lr"]}
        row.update(micro_batch=self.stepper.micro_batch, bit_exact=self.is_exact)
        row.update(train_loss=self.loss_sum / self.steps)
        student, predictions, is_best = students(model)[0], None, True
        if len(self.valid_rows):
            held_out = students(model), self.valid_set, self.ranks
            folder = self.run.answers_of(self.epoch + 1)
            scores, predictions, student = self.validation.judge(*held_out, folder)
            row.update(scores)
            is_best = self.validation.is_better(row[self.validation.measure], self.best["value"])
        self.history.append(row)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        if is_best:
            self.best = {"epoch": self.epoch, "value": row[self.validation.measure]}
        if self.ranks.is_first:
            if is_best:
                self.held.check()
                save_state(self.run.best, student.state_dict(), {"epoch": self.epoch})
                if predictions is not None:
                    tables.write_predictions(predictions, self.run.path / "predictions.csv")
            self.save()
            self.run.forget_answers(but_of=self.best["epoch"])
            self.write_history()
        self.held.facts.update(epochs_done=self.epoch, best=self.best["value"])
        self._tell_epoch(row, is_best)

    def _tell_epoch(self, row: dict[str, Any], is_best: bool) -> None:
        told = {"train": row["train_loss"]}
        if len(self.valid_rows):
            told["valid"] = row["valid_loss"]
            names = self.validation.own_score, self.config.best_by
            told.update({name: row[name] for name in names if name in row})
        text = "  ".join(f"{name} {figure:.4f}" for name, figure in told.items())
        self.log(f"epoch {self.epoch}/{self.config.epochs}  {text}{'  *' if is_best else ''}")

    def is_stale(self) -> bool:
        """Whether `patience` epochs have brought nothing better."""
        patience = self.config.patience
        return bool(patience) and self.epoch - max(0, self.best["epoch"]) >= patience

    def summary(self) -> str:
        name = self.config.best_by if len(self.valid_rows) else "training loss"
        value = f"{name} {self.best['value']:.4f}"
        share = self.save_s / max(1e-9, time.monotonic() - self.began)
        return (
            f"finished after {self.epoch} epochs; best is epoch {self.best['epoch']} ({value}); "
            f"saving took {self.save_s:.1f} s ({share:.1%})"
        )

    # the state

    def shape(self) -> dict[str, Any]:
        """What the bits of a run depend on, beside its settings and cases."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {
            **self.place,
            "device": name,
            "threads": torch.get_num_threads(),
            "world_size": self.ranks.size,
            "micro_batch": self.stepper.micro_batch,
        }

    def save(self) -> None:
        """The whole state: tensors by name, and facts. Only rank 0 writes."""
        if not self.ranks.is_first:
            return
        began = time.monotonic()
        self.held.check()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.ema is not None:
            tensors.update({f"ema.{name}": v for name, v in self.ema.state_dict().items()})
        for name, value in optimizer_tensors(self.optimizer, self.model).items():
            tensors[f"optimizer.{name}"] = value
        scaler = self.stepper.scaler
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "best": self.best,
            "history": self.history,
            "scaler": None if scaler is None else scaler.state_dict(),
            "shape": self.shape(),
            "bit_exact": self.is_exact,
        }
        save_generation(self.run.last, tensors, facts)
        self.saved_at = time.monotonic()
        self.last_save_s = self.saved_at - began
        self.save_s += self.last_save_s

    def restore(self) -> None:
        """Go on from the newest whole state, if there is one."""
        if self.ranks.is_first:
            for name in (self.run.last, self.run.best):
                files.clear_leftovers(name)  # of a killed process, each as large as a state
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
        self.is_exact = facts["bit_exact"]
        self.held.facts.update(epochs_done=self.epoch, best=self.best["value"])
        if self.stepper.scaler is not None and facts["scaler"]:
            self.stepper.scaler.load_state_dict(facts["scaler"])
        self._take_shape(facts["shape"])
        if self.ranks.is_first and self.history:
            self.write_history()  # a kill between state and history is made good here
        if self.epoch < self.config.epochs and not self.is_stale():
            self.log(f"going on from epoch {self.epoch + 1}, step {self.step + 1}")

    def _take_shape(self, saved: dict[str, Any]) -> None:
        """Take over what can be taken over of a run's shape, and name what cannot."""
        torch.set_num_threads(saved["threads"])
        self.stepper.micro_batch = saved["micro_batch"]
        now = self.shape()
        changed = [f"{k} {saved.get(k)} -> {now[k]}" for k in now if now[k] != saved.get(k)]
        if changed:
            self.is_exact = False
            self.log(f"not bit-exact from here: {', '.join(changed)}")

    def write_history(self) -> None:
        tables.write_csv(pd.DataFrame(self.history), self.run.path / "history.csv")

    def let_go(self) -> None:
        """Drop what lies on the device: a notebook may keep a traceback, and with it this loop."""
        for name in ("model", "ema", "optimizer", "stepper", "pending"):
            self.__dict__.pop(name, None)

    def log(self, text: str, *, show: bool = True) -> None:
        """A line in log.txt, with the time, and on the screen without it."""
        if not self.ranks.is_first:
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        files.append_line(self.run.path / "log.txt", f"{stamp}  {text}")
        if show:
            self.status.line(text)

    def _sampler(self) -> KeyedSampler:
        config = self.config
        return KeyedSampler(
            self.train_rows,
            config.seed,
            count=min(len(self.train_rows), self.steps * config.batch_size),
            batch_size=config.batch_size,
            weights=self.weights,
            part=(self.ranks.rank, self.ranks.size),
        )


def _explain_worker(error: RuntimeError, num_workers: int) -> None:
    """Raise what the death of a loading process means; return for any other error."""
    text = str(error)
    if "DataLoader worker" not in text and "shared memory" not in text:
        return
    memory = "shared memory (/dev/shm)" if "shared memory" in text or "Bus" in text else "memory"
    raise RuntimeError(
        f"fit: one of {num_workers} loading processes died, most likely for want of {memory} "
        f"({text.splitlines()[0]}). Call fit again with num_workers=0: it goes on from the last "
        "saved state, to the same result."
    ) from error


def _parts(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors named "model.x", "optimizer.y" as {"model": {"x": ...}, "optimizer": ...}."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts
