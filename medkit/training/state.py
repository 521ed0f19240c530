"""The state of a run: all that it has become so far, which is what is saved."""

from __future__ import annotations

import copy
import math
from typing import Any

import pandas as pd
import torch

from medkit import files, machine, tables
from medkit.devices import repeats
from medkit.errors import RunError
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_newest, save_generation, save_state
from medkit.training.optimizing import (
    average,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
)
from medkit.training.plan import Plan
from medkit.training.schedules import learning_rate
from medkit.training.stepping import Stepper

FIRST = 200  # steps of a run whose losses are kept one by one, for who trains it again


class State:
    """What a run is between two steps; with it, it goes on to the same bits in the same shape.

    Attributes:
        model, ema: the weights, and their average if the config wants one.
        epoch: that are done.
        step: that are done of the epoch that is not.
        loss_sum: over these steps.
        best: `epoch` and `value` of what epochs are compared by.
        history: a row an epoch.
        first_losses: of the first steps, one each.
        is_exact: whether the whole way was gone in one shape, on a device that repeats its bits.
    """

    def __init__(self, plan: Plan, stepper: Stepper):
        self.plan, self.config, self.stepper = plan, plan.config, stepper
        self.model, self.device = stepper.model, stepper.device
        self.ema = copy.deepcopy(self.model).eval() if self.config.ema_decay else None
        self.optimizer = make_optimizer(self.model, self.config)
        self.epoch = self.step = 0
        self.loss_sum, self.best = 0.0, {"epoch": -1, "value": None}
        self.history: list[dict[str, Any]] = []
        self.first_losses: list[float] = []
        self.is_exact = repeats(stepper.device, is_exact=plan.config.deterministic)
        self._machine, self._micro_batch = machine.describe_shape(), stepper.micro_batch
        self._pending: list[torch.Tensor] = []  # losses of steps, still on the device

    @property
    def is_new(self) -> bool:
        return self.epoch == self.step == 0

    @property
    def done(self) -> int:
        """Steps of all epochs."""
        return self.epoch * self.plan.steps + self.step

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or `patience` of them have brought nothing better."""
        patience = self.config.patience
        is_stale = patience and self.epoch - max(0, self.best["epoch"]) >= patience
        return self.epoch >= self.config.epochs or bool(is_stale)

    @property
    def averaged(self) -> torch.nn.Module:
        """The model that is validated and kept."""
        return self.model if self.ema is None else self.ema

    @property
    def position(self) -> str:
        """Where the next step stands."""
        is_whole = self.step == self.plan.steps
        return f"epoch {self.epoch + 1}" + ("'s end" if is_whole else f", step {self.step + 1}")

    def left_s(self, step_s: float) -> float:
        """Seconds until the end, when all steps take `step_s`."""
        return (self.config.epochs * self.plan.steps - self.done) * step_s

    def epochs_within(self, seconds: float, step_s: float) -> int:
        """How many epochs are done in so many seconds from now."""
        steps = self.done + max(0.0, seconds) / step_s
        return min(self.config.epochs, int(steps / self.plan.steps))

    def set_rate(self) -> None:
        """Give the optimizer the learning rate of the step that comes."""
        self._micro_batch = self.stepper.micro_batch
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(self.done)

    def _rate(self, step: int) -> float:
        costs = self.plan.validation.costs(self.history)
        return learning_rate(self.config, step, steps=self.plan.steps, values=costs)

    def move_average(self) -> None:
        """Move the averaged weights, if there are any, towards those of this step."""
        if self.ema is not None:
            decay = min(self.config.ema_decay, (1 + self.done) / (10 + self.done))
            average(self.ema, self.model, decay)

    def step_done(self, loss: torch.Tensor) -> None:
        """Go one step on; its loss is added up later, since to read it waits for the device."""
        self.is_exact = self.is_exact and self.stepper.micro_batch == self._micro_batch
        self._pending.append(loss)
        self.step += 1

    def add_losses(self) -> None:
        """Add the losses of the last steps up, one by one, so that it does not matter when.

        Raises:
            RunError: when one is not a number, naming its step and cases.
        """
        values = torch.stack(self._pending).tolist() if self._pending else []
        for number, value in enumerate(values, self.step - len(values)):
            if not math.isfinite(value):
                ids = self.plan.ids(self.epoch, number)
                more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
                raise RunError(
                    f"fit: the loss is {value} in epoch {self.epoch + 1}, step {number + 1} of "
                    f"{self.plan.steps} (cases {', '.join(ids[:8])}{more}). The last good state is "
                    "kept; look at these cases, or try a smaller peak_lr in a new folder."
                )
            self.loss_sum += value
            if len(self.first_losses) == self.epoch * self.plan.steps + number < FIRST:
                self.first_losses.append(value)
        self._pending.clear()

    def check(self) -> None:
        """Look whether all is still numbers, before something is made of it.

        Raises:
            RunError: when a loss or a weight is not.
        """
        self.add_losses()
        if not all(bool(weights.isfinite().all()) for weights in self.model.parameters()):
            raise RunError(
                f"fit: the weights are no longer numbers after step {self.step} of epoch "
                f"{self.epoch + 1}, though the loss is: a gradient was not. The last good state is "
                "kept; try a smaller peak_lr, clip_norm=1.0 or amp=False in a new folder."
            )

    def end_epoch(self, scores: dict[str, float]) -> bool:
        """Write an epoch's row of the history; says whether it is the best so far."""
        row = {"epoch": self.epoch + 1, "lr": self._rate(self.done - 1)}
        row.update(micro_batch=self.stepper.micro_batch, bit_exact=self.is_exact)
        row.update(train_loss=self.loss_sum / self.plan.steps, **scores)
        self.history.append(row)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
        value, validation = row[self.plan.validation.measure], self.plan.validation
        is_best = not len(validation.rows) or validation.is_better(value, self.best["value"])
        if is_best:  # without held-out cases the newest weights are
            self.best = {"epoch": self.epoch, "value": value}
        return is_best

    def save(self, run: Run) -> None:
        """Write tensors by name, and facts.

        Raises:
            RunError: when not all of it is numbers.
        """
        self.check()
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
            "first_losses": self.first_losses,
            "scaler": None if scaler is None else scaler.state_dict(),
            "shape": self.shape(),
            "bit_exact": self.is_exact,
        }
        save_generation(run.last, tensors, facts)

    def keep_best(
        self, run: Run, student: torch.nn.Module, predictions: pd.DataFrame | None
    ) -> None:
        """Write the weights of the best epoch, and what they answered of the held-out cases."""
        save_state(run.best, student.state_dict(), {"epoch": self.epoch})
        if predictions is not None:
            tables.write_predictions(predictions, run.path / "predictions.csv")

    def write_history(self, run: Run) -> None:
        """Write the table of epochs, and of the losses of the first steps."""
        tables.write_csv(pd.DataFrame(self.history), run.path / "history.csv")
        losses = pd.DataFrame({"loss": self.first_losses})
        losses.insert(0, "step", losses.index + 1)
        tables.write_csv(losses, run.path / "first_losses.csv")

    def restore(self, run: Run) -> list[str]:
        """Go on from the newest whole state, if there is one; returns what is to be told of it."""
        is_first = self.stepper.ranks.is_first
        for name in (run.last, run.best) if is_first else ():
            files.clear_leftovers(name)  # of a killed process, each as large as a state
        found = load_newest(run.last)
        self._check_alike(found[1] if found else None)
        if found is None:
            return []
        tensors, facts, notes = found
        part = _parts(tensors)
        self.model.load_state_dict(part["model"])
        if self.ema is not None:
            self.ema.load_state_dict(part["ema"])
        load_optimizer(self.optimizer, self.model, part.get("optimizer", {}))
        self.epoch, self.step, self.loss_sum = facts["epoch"], facts["step"], facts["loss_sum"]
        self.best, self.history = facts["best"], facts["history"]
        self.first_losses = facts.get("first_losses", [])  # version 0.1 of before kept none
        self.is_exact = facts["bit_exact"] and self.is_exact
        if self.stepper.scaler is not None and facts["scaler"]:
            self.stepper.scaler.load_state_dict(facts["scaler"])
        if is_first and self.history:
            self.write_history(run)  # a kill between state and history is made good here
        return notes + self._take_shape(facts["shape"])

    def _check_alike(self, facts: dict[str, Any] | None) -> None:
        """Refuse to go on when the processes of a run have found different states."""
        mine = [-1, -1] if facts is None else [facts["epoch"], facts["step"]]
        every = [found.tolist() for found in self.stepper.ranks.gather(torch.tensor([mine]))]
        if every.count(every[0]) < len(every):
            raise RunError(
                f"fit: the processes of this run read different states ([epoch, step]: {every}). "
                "Their disks do not show the same files yet; call it again in a minute."
            )

    def shape(self) -> dict[str, Any]:
        """What the bits of a run depend on, beside its settings and cases."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {
            **self._machine,
            "device": name,
            "threads": torch.get_num_threads(),
            "world_size": self.stepper.ranks.size,
            "micro_batch": self.stepper.micro_batch,
        }

    def _take_shape(self, saved: dict[str, Any]) -> list[str]:
        """Take over what can be taken over of a run's shape, and name what cannot."""
        torch.set_num_threads(saved["threads"])
        self.stepper.micro_batch = saved["micro_batch"]
        now = self.shape()
        changed = [f"{k} {saved.get(k)} -> {now[k]}" for k in now if now[k] != saved.get(k)]
        if not changed:
            return []
        self.is_exact = False
        return [f"not bit-exact from here: {', '.join(changed)}"]


def _parts(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors named "model.x", "optimizer.y" as {"model": {"x": ...}, "optimizer": ...}."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts
