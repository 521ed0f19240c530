"""What a run says while it trains: in its log, on the screen, with its heartbeat; and time left."""

from __future__ import annotations

import time
from datetime import datetime

import torch

from medkit import files
from medkit.errors import Stopped
from medkit.progress import Status, clock
from medkit.runs.folder import Run
from medkit.runs.holding import Hold
from medkit.training import slots
from medkit.training.describing import describe, title
from medkit.training.launching import Launch
from medkit.training.pacing import Pace
from medkit.training.ranks import Ranks
from medkit.training.state import State

LOG_EVERY_S = 10.0
SHOW_EVERY_S = 0.5


class Telling:
    """Tells of a run from one process of it; of several, the first tells."""

    def __init__(self, run: Run, held: Hold, launch: Launch, ranks: Ranks):
        self.run, self.held, self.ranks = run, held, ranks
        self.status = Status(enabled=bool(launch.progress) and ranks.is_first)
        self.status.line(title(run, launch.progress))
        self._shown_at = self._logged_at = time.monotonic()
        if launch.until is not None:
            end, left = slots.clock_of(launch.until), clock(max(0.0, slots.left_s(launch.until)))
            self.log(f"until {end} by this machine's clock, which is in {left}")

    def log(self, text: str, *, show: bool = True) -> None:
        """A line in log.txt, with the time, and on the screen without it."""
        if not self.ranks.is_first:
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        files.append_line(self.run.path / "log.txt", f"{stamp}  {text}")
        if show:
            self.status.line(text)

    def begin(self, state: State, notes: list[str]) -> None:
        """What an earlier call has left, and what is to be said of it."""
        for note in notes:
            self.log(note)
        if not state.is_new:
            self.held.facts.update(epochs_done=state.epoch, best=state.best["value"])
            if not state.is_over:
                self.log(f"going on from {state.position}")

    @property
    def is_due(self) -> bool:
        """Whether it is time to show how far it is; mostly it is not."""
        return time.monotonic() - self._shown_at > SHOW_EVERY_S

    def step(self, state: State, pace: Pace) -> None:
        """How far it is: on the screen, with the heartbeat, and now and then in the log."""
        now = self._shown_at = time.monotonic()
        loss, steps = state.loss_sum / state.step, state.plan.steps
        self.held.facts.update(
            epoch=state.epoch + 1,
            epochs=state.config.epochs,
            step=state.step,
            steps=steps,
            loss=loss,
            images_per_s=state.config.batch_size / pace.step_s,
            left_s=state.left_s(pace.step_s),
            micro_batch=state.stepper.micro_batch,
            saving_share=pace.saving_share,
        )
        if pace.until is not None:
            self.held.facts.update(
                until=slots.clock_of(pace.until),
                epochs_by_then=state.epochs_within(slots.left_s(pace.until), pace.step_s),
            )
        if state.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(state.device)
            own = torch.cuda.max_memory_allocated(state.device)
            self.held.facts.update(gpu_free=free, gpu_total=total, gpu_peak_own=own)
        self.status.update(describe(self.run, self.held.facts))
        if now - self._logged_at > LOG_EVERY_S:
            self._logged_at = now
            text = f"epoch {state.epoch + 1}  step {state.step}/{steps}  loss {loss:.4f}"
            self.log(text, show=False)

    def epoch(self, state: State) -> None:
        """An epoch's row of the history, with a star where it is the best so far."""
        row, best, config = state.history[-1], state.best, state.config
        told = {"train": row["train_loss"]}
        if "valid_loss" in row:
            told["valid"] = row["valid_loss"]
            names = state.plan.validation.own_score, config.best_by
            told.update({name: row[name] for name in names if name in row})
        text = "  ".join(f"{name} {figure:.4f}" for name, figure in told.items())
        star = "  *" if best["epoch"] == state.epoch else ""
        self.held.facts.update(epochs_done=state.epoch, best=best["value"])
        self.log(f"epoch {state.epoch}/{config.epochs}  {text}{star}")

    def stopped(self, state: State, until: datetime | None = None) -> Stopped:
        """The exception that ends a run whose state is saved.

        Args:
            until: the end of the slot, if that is why.
        """
        words = f"stopped in epoch {state.epoch + 1} after step {state.step}"
        words += "" if until is None else f", in time for {slots.clock_of(until)}"
        self.log(f"{words}; call fit again to go on")
        return Stopped(f"{words}; its state is saved. Call fit again to go on.")

    def came_too_late(self, until: datetime) -> Stopped:
        """The exception that ends a run whose slot was over before it took the device."""
        words = f"{slots.clock_of(until)} came before the first step"
        self.log(f"{words}; call fit again to go on")
        return Stopped(f"{words}; nothing is lost. Call fit again to go on.")

    def end(self, state: State, pace: Pace) -> None:
        name = state.config.best_by if len(state.plan.valid_rows) else "training loss"
        self.log(
            f"finished after {state.epoch} epochs; best is epoch {state.best['epoch']} "
            f"({name} {state.best['value']:.4f}); saving took {pace.saving_s:.1f} s "
            f"({pace.saving_share:.1%})"
        )
