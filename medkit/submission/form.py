"""submit_form: choose a CSV, see its check and the quota, type the passwords, press once.

A thin layer over `submit`, which does all the checking. What is typed into a password box goes to
this process, is taken out of the box at once, and is not sent back: a notebook that is saved with
the state of its widgets holds an empty box.
"""

from __future__ import annotations

import html
import logging
import threading
import warnings
from pathlib import Path
from typing import Any, Callable

from medkit import files
from medkit.submission.client import quota_left, submit
from medkit.submission.credentials import NAMES, SECRET, Credentials, Secret, kernel, known
from medkit.submission.csv_files import TAKEN, check_submission, expected_path, read_expected
from medkit.submission.errors import SubmitError
from medkit.submission.quota import MAIC, Quota

MOST = 50  # files in the list
LABEL = "9em"
FAILURES = (SubmitError, ValueError, RuntimeError, OSError)  # told in the form


def submit_form(folder: Path | str = ".", *, quota: Quota = MAIC, **options: Any) -> Any:
    """A form for the CSVs below a folder; without a notebook it tells how to do without it.

    Only what neither the environment nor `mk.save_credentials()` knows is asked for. Where a
    notebook shows a line of text instead of a form, use `mk.submit(csv)`.

    Args:
        options: of `mk.submit`, such as `success`.

    Raises:
        FileNotFoundError: there is no CSV that could be sent.
    """
    csvs = find_csvs(folder)
    if kernel() is None:
        print("submit_form: there is no notebook here. Send a file with:")
        print("\n".join(f"  mk.submit({str(csv)!r})" for csv in csvs))
        return None
    return Form(folder, quota, options).box


def find_csvs(folder: Path | str) -> list[Path]:
    """CSVs that could be sent: those of `write_submission` first, then the newest.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = Path(folder)
    found = [
        path
        for path in folder.rglob("*.csv")
        if path.stem not in TAKEN
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise FileNotFoundError(
            f"submit_form: no CSV below {str(folder)!r} (found {files.listing(folder)}). "
            "Make one with mk.write_submission."
        )
    found.sort(key=lambda path: (expected_path(path).is_file(), path.stat().st_mtime), reverse=True)
    return found[:MOST]


class Form:
    """The widgets, and what was typed until it is sent."""

    def __init__(self, folder: Path | str, quota: Quota, options: dict[str, Any]):
        import ipywidgets as widgets

        self.folder, self.quota, self.options = Path(folder), quota, options
        self.typed: dict[str, str] = {}
        self.lock = threading.Lock()
        wide = widgets.Layout(width="min(40em, 95%)")
        self.picker = widgets.Dropdown(description="CSV", layout=wide)
        self.picker.style.description_width = LABEL
        self.about, self.result = widgets.HTML(), widgets.HTML()
        given = known()
        asked = [name for name in NAMES if not given[name]]
        self.boxes = {name: _box(widgets, wide, name, self._take) for name in asked}
        self.button = widgets.Button(description="Submit", button_style="primary", icon="upload")
        self.again = widgets.Button(description="Look again", icon="refresh")
        self.picker.observe(lambda change: self._look(), "value")
        self.button.on_click(lambda button: self._press())
        self.again.on_click(lambda button: self._refresh())
        buttons = widgets.HBox([self.button, self.again])
        parts = [self.picker, self.about, *self.boxes.values(), buttons, self.result]
        self.box = widgets.VBox(parts)
        _quiet_logs([box.comm.comm_id for name, box in self.boxes.items() if name in SECRET])
        self._refresh()

    def _refresh(self) -> None:
        chosen, csvs = self.picker.value, find_csvs(self.folder)
        self.picker.options = [(str(path.relative_to(self.folder)), path) for path in csvs]
        self.picker.value = chosen if chosen in csvs else csvs[0]
        self.result.value = ""
        self._look()

    def _look(self) -> None:
        self.button.disabled = not self._show()

    def _show(self) -> bool:
        """Show check, score and quota of the chosen CSV; returns whether it is sound."""
        lines, is_sound = _describe(self.picker.value)
        url, team = (self.typed.get(name, "") for name in ("url", "team"))
        left = _told(lambda: html.escape(str(quota_left(self.quota, url=url, team=team))))
        self.about.value = "<br>".join([*(html.escape(line) for line in lines), left])
        return is_sound

    def _take(self, name: str, change: Any) -> None:
        """Take what was typed; a secret leaves its box at once."""
        box, value = self.boxes[name], Secret(change["new"].strip())
        if not value:
            return
        self.typed[name] = value if name in SECRET else str(value)
        if name in SECRET:
            box.value, box.placeholder = "", "typed; it is in memory until you submit"
        try:
            self._look()
        except BaseException as error:  # frames above hold what was typed: none may be shown
            self.result.value = f"{type(error).__name__}. Press Look again."

    def _send(self) -> str:
        who = Credentials(**{**known(), **self.typed})
        options = {"credentials": who, "quota": self.quota, **self.options}
        return submit(self.picker.value, **options)._repr_html_()

    def _press(self) -> None:
        """Send once: a second click finds the button disabled, until something is changed."""
        if self.button.disabled or not self.lock.acquire(blocking=False):
            return
        try:
            missing = [name for name in self.boxes if not self.typed.get(name)]
            if missing:
                names = ", ".join(name.replace("_", " ") for name in missing)
                self.result.value = f"Type {names} first; nothing was sent."
                return
            self.button.disabled = True
            self.result.value = "sending ..."
            self.result.value = _told(self._send)
            self._forget()
            self._show()
            self.result.value += "<br>For another submission press Look again."
        finally:
            self.lock.release()

    def _forget(self) -> None:
        for name in SECRET:
            if self.typed.pop(name, None) is not None:
                self.boxes[name].placeholder = "type it again for another submission"


def _box(widgets: Any, layout: Any, name: str, take: Callable[[str, Any], None]) -> Any:
    """A text box; a secret's shows nothing, and what it sends is not echoed to other windows."""
    import traitlets

    class Hidden(widgets.Password):
        value = traitlets.Unicode("").tag(sync=True, echo_update=False)

    kind = Hidden if name in SECRET else widgets.Text
    box = kind(description=name.replace("_", " "), continuous_update=False, layout=layout)
    box.style.description_width = LABEL
    box.observe(lambda change: take(name, change), "value")
    return box


def _quiet_logs(ids: list[str]) -> None:
    """At DEBUG, kernels log each message of a widget, what was typed and all: leave these out."""

    def is_other(record: logging.LogRecord) -> bool:
        return not any(id in record.getMessage() for id in ids)

    for log in (logging.getLogger("Comm"), getattr(kernel(), "log", None)):
        if log is not None:
            log.addFilter(is_other)


def _describe(csv: Path) -> tuple[list[str], bool]:
    """What the check says, the local score, and whether the file may be sent."""
    try:
        lines = check_submission(csv)
        expected = read_expected(csv) or {}
    except FAILURES as error:
        return [str(error)], False
    if expected.get("local_score") and expected["sha256"] == files.sha256_file(csv):
        name, value = next(iter(expected["local_score"].items()))
        lines.append(f"Local score: {name} {value:.4f}")
    return lines, True


def _told(call: Callable[[], str]) -> str:
    """What a call returns as HTML, or why it failed, with its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            text = call()
        except FAILURES as error:
            text = html.escape(str(error)).replace("\n", "<br>")
    notes = [html.escape(str(warning.message)) for warning in caught]
    return "<br>".join([text, *notes])
