"""Progress that shows in JupyterLab, in a terminal, in a log file and in a saved notebook.

One line of text that is rewritten: in a notebook through a display handle, so that the saved copy
holds the last line and never a bar frozen at 0 %.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, Iterable, Iterator, TypeVar

Item = TypeVar("Item")


class Status:
    """A text that grows by lines and ends in one line that is rewritten.

    In a notebook the whole text is one output. In a terminal the last line is rewritten in place.
    Elsewhere (a log file) the rewritten line is written at most every `quiet_s` seconds.

    Args:
        keep: lines that a notebook's output shows, the newest; 0 for all.
    """

    def __init__(self, *, quiet_s: float = 30.0, enabled: bool = True, keep: int = 0):
        self.enabled, self.quiet_s, self.keep = enabled, quiet_s, keep
        self._lines: list[str] = []
        self._current, self._shown_at, self._printed = "", 0.0, ""
        self._handle = new_output(Text("")) if enabled else None

    def line(self, text: str) -> None:
        """Add a line that stays."""
        self._lines.append(text)
        self._current = ""
        if not self.enabled:
            return
        if self._handle is not None:
            self._show()
        elif sys.stdout.isatty():
            print("\r\x1b[K" + text, flush=True)
        elif text != self._printed:  # what was just printed as a line that may be rewritten
            print(text, flush=True)
        self._printed = ""

    def update(self, text: str) -> None:
        """Rewrite the last line, at most a few times a second."""
        self._current = text
        wait_s = 0.2 if self._handle is not None or sys.stdout.isatty() else self.quiet_s
        if not self.enabled or time.monotonic() - self._shown_at < wait_s:
            return
        self._shown_at = time.monotonic()
        if self._handle is not None:
            self._show()
        elif sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1  # a broken line could not be rewritten
            print("\r\x1b[K" + text[:width], end="", flush=True)
        else:
            print(text, flush=True)
            self._printed = text

    def _show(self) -> None:
        lines = self._lines[-self.keep :]  # all of them with 0
        text = "\n".join([*lines, *([self._current] if self._current else [])])
        self._handle.update(Text(text))


def track(
    items: Iterable[Item], label: str, *, total: int | None = None, enabled: bool = True
) -> Iterator[Item]:
    """Yield `items`, showing how many are done; silent when it all takes less than a second."""
    total = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore
    status, began, done = None, time.monotonic(), 0
    for item in items:
        yield item
        done += 1
        elapsed = time.monotonic() - began
        if status is None and elapsed > 1.0:
            status = Status(enabled=enabled)
        if status is not None:
            left = f", {clock(elapsed / done * (total - done))} left" if total else ""
            status.update(f"{label}: {done:,}" + (f" of {total:,}" if total else "") + left)
    if status is not None:
        status.line(f"{label}: {done:,} in {clock(time.monotonic() - began)}")


class Text(str):
    """Plain text that shows as it is, without the quotes that a str would get."""

    def __repr__(self) -> str:
        return str(self)


def kernel() -> Any:
    """The notebook kernel that runs this; None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def new_output(first: Any) -> Any:
    """IPython's handle of a new output that `update` rewrites; None outside a notebook kernel."""
    if kernel() is None:
        return None
    from IPython.display import display

    return display(first, display_id=True)


def clock(seconds: float) -> str:
    """Seconds as 1:05, or 1:00:05."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
