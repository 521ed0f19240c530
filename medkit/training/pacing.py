"""How long a run's steps and saves take, and what follows: when to save, when its slot ends."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import Iterator

from medkit.training import slots
from medkit.training.launching import Launch

SAVES_APART = 50  # times the last save's duration, at least: saving takes 2 % of the time at most
MARGIN_S = 8.0  # to spare at the end of a slot: loading processes end, memory is given back
SLOW_DISK = 30e6  # bytes a second that any disk writes, before the first save is timed
RECENT = 20  # steps, of which the longest is what a step may take


class Pace:
    """The time that one call of `fit` has taken, by what it was for.

    Attributes:
        until: when the slot ends, if there is one.
        steps: that were made.
        saving_s: that all saves took.

    Args:
        state_bytes: of a save.
        valid_steps: as many steps have as many images as a validation, and take longer.
    """

    def __init__(self, launch: Launch, *, state_bytes: float, valid_steps: float):
        self.until, self.save_every_s = launch.until, launch.save_every_s
        self.steps, self.saving_s = 0, 0.0
        self._valid_s, self._valid_steps = 0.0, valid_steps
        self._save_s, self._next_save_s = 0.0, state_bytes / SLOW_DISK
        self._recent: deque[float] = deque(maxlen=RECENT)
        self.began = self.saved_at = time.monotonic()
        self._stepped_at: float | None = self.began  # None where something else came between

    @property
    def step_s(self) -> float:
        """Seconds a step, on average, with all that lies between two."""
        return (time.monotonic() - self.began) / max(1, self.steps)

    @property
    def saving_share(self) -> float:
        return self.saving_s / max(1e-9, time.monotonic() - self.began)

    @property
    def is_save_due(self) -> bool:
        apart = max(self.save_every_s, SAVES_APART * self._save_s)
        return time.monotonic() - self.saved_at > apart

    def step(self) -> None:
        """A step is done."""
        now = time.monotonic()
        if self._stepped_at is not None:
            self._recent.append(now - self._stepped_at)
        self._stepped_at, self.steps = now, self.steps + 1

    @contextmanager
    def saving(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.saved_at, self._stepped_at = time.monotonic(), None
        self._save_s = self._next_save_s = self.saved_at - began
        self.saving_s += self._save_s

    @contextmanager
    def validating(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._valid_s, self._stepped_at = time.monotonic() - began, None

    def is_slot_over(self, *, is_last: bool) -> bool:
        """Whether the step that comes, and a save, are all that the slot still has room for.

        Args:
            is_last: of its epoch: validation follows.
        """
        longest_s = max(self._recent, default=0.0)
        needed = 2 * longest_s + self._next_save_s + MARGIN_S
        if is_last:
            needed += self._valid_s or self._valid_steps * longest_s
        return slots.left_s(self.until) < needed
