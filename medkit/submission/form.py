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
from medkit.arguments import check_arguments
from medkit.errors import MissingError, SubmitError
from medkit.korean.saying import both
from medkit.progress import Text, kernel, new_output
from medkit.submission.addresses import whole_address
from medkit.submission.checking import check_submission, expected_path, scored
from medkit.submission.client import quota_left, submit
from medkit.submission.credentials import NAMES, SECRET, Credentials, Secret, known
from medkit.submission.csv_files import TAKEN
from medkit.submission.quota import MAIC, Quota, Room

MOST = 50  # files in the list
WIDGET = "application/vnd.jupyter.widget-view+json"
NAMED = 5  # of them in a sentence
CHOOSE = "Choose a file"
LABEL = "9em"
HINTS = {  # what an empty box shows
    **{"url": "서버 주소", "team": "팀 번호", "email": "이메일"},
    **{"password": "비밀번호", "contest_password": "대회 비밀번호"},
}
FAILURES = (SubmitError, ValueError, RuntimeError, OSError)  # told in the form


def submit_form(folder: Path | str = ".", *, quota: Quota = MAIC, **options: Any) -> Form | None:
    """A form for the CSVs below a folder, and above it a line that says how to do without.

    That line is what is left of it in a saved notebook, and on a server without widgets; once
    something was sent, it is the receipt. Only what neither the environment nor
    `mk.save_credentials()` knows is asked for.

    Args:
        quota: the contest's rule.
        options: of `mk.submit`, such as `success`.

    Raises:
        MissingError: there is no CSV that could be sent.

    Example:
        >>> path = mk.write_submission(task, test_cases, predictions, "submission.csv", run=run)
        >>> mk.submit_form(".")
        submit_form: there is no notebook here; send a file with
          mk.submit('submission.csv')  # f1_macro ... held out
    """
    check_arguments(submit_form, locals())
    csvs = find_csvs(folder)
    if kernel() is None:
        print(f"submit_form: there is no notebook here; {_by_call(csvs)}")
        return None
    return Form(folder, quota, options)


def _by_call(csvs: list[Path]) -> str:
    """The calls that do what the form does, each with what its file promises."""
    calls = [f"  mk.submit({str(csv)!r})" for csv in csvs[:NAMED]]
    lines = [f"{call}  # {_promise(csv)}".rstrip(" #") for call, csv in zip(calls, csvs)]
    lines += [f"  ... and {len(csvs) - NAMED} more"] if len(csvs) > NAMED else []
    return "\n".join(["send a file with", *lines])


def _promise(csv: Path) -> str:
    """What a CSV's models scored on held-out cases; "" where nobody knows."""
    try:
        return scored(csv)
    except ValueError:  # its JSON is damaged: the check says so
        return ""


def find_csvs(folder: Path | str) -> list[Path]:
    """CSVs that could be sent: those of `write_submission` first, then the newest.

    Raises:
        MissingError: there is none.
    """
    folder = Path(folder)
    found = [
        path
        for path in folder.rglob("*.csv")
        if path.stem not in TAKEN
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise MissingError(
            f"submit_form: no CSV below {str(folder)!r} (found {files.listing(folder)}). "
            "Make one with mk.write_submission."
        )
    found.sort(key=lambda path: (expected_path(path).is_file(), path.stat().st_mtime), reverse=True)
    return found[:MOST]


class Form:
    """The widgets, and what was typed until it is sent.

    Attributes:
        box: the widget that holds all.
        kept: an output of text, which a saved notebook keeps: the call instead, later the receipt.
    """

    def __init__(self, folder: Path | str, quota: Quota, options: dict[str, Any]):
        import ipywidgets as widgets

        self.folder, self.quota, self.options = Path(folder), quota, options
        self.typed: dict[str, str] = {}
        self.kept: Any = None
        self.lock = threading.Lock()
        wide = widgets.Layout(width="min(40em, 95%)")
        self.picker = widgets.Dropdown(description="CSV", layout=wide)
        self.picker.style.description_width = LABEL
        self.about, self.result = widgets.HTML(), widgets.HTML()
        given = known()
        asked = [name for name in NAMES if not given[name]]
        self.boxes = {name: _box(widgets, wide, name, self._take) for name in asked}
        self.button = widgets.Button(
            description="Submit 제출", button_style="primary", icon="upload"
        )
        self.note = widgets.Text(
            description="your note", layout=wide, placeholder="stays here 메모"
        )
        self.note.style.description_width = LABEL
        self.again = widgets.Button(description="Look again 다시 보기", icon="refresh")
        self.picker.observe(lambda change: self._look(), "value")
        self.button.on_click(lambda button: self._press())
        self.again.on_click(lambda button: self._refresh())
        buttons = widgets.HBox([self.button, self.again])
        parts = [self.picker, self.about, *self.boxes.values(), self.note, buttons, self.result]
        self.box = widgets.VBox(parts)
        _quiet_logs([box.comm.comm_id for name, box in self.boxes.items() if name in SECRET])
        self._refresh()

    def __repr__(self) -> str:
        here = "Here would be a form; this server shows no widgets. mk.submit(csv) does the same."
        return both(here)

    def _ipython_display_(self) -> None:
        """A line that stays, and below it the form, whose plain text is for servers without."""
        from IPython.display import display

        self.kept = new_output(Text(f"Without a form: {_by_call(find_csvs(self.folder))}"))
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        display({WIDGET: view, "text/plain": repr(self)}, raw=True)

    def _refresh(self) -> None:
        chosen, csvs = self.picker.value, find_csvs(self.folder)
        named = [(_label(path, self.folder), path) for path in csvs]
        is_clear = len(csvs) == 1 and expected_path(csvs[0]).is_file()
        self.picker.options = named if is_clear else [(CHOOSE, ""), *named]
        self.picker.value = chosen if chosen in csvs else self.picker.options[0][1]
        self.result.value = ""
        self._look()

    def _look(self) -> None:
        self.button.disabled = not self._show()

    def _show(self) -> bool:
        """Show check, score and quota of the chosen CSV; returns whether it may be sent."""
        url, team = (self.typed.get(name, "") for name in ("url", "team"))
        room, left = _room(self.quota, url, team)
        lines, is_sound = [CHOOSE + "."], False
        if self.picker.value:
            lines, is_sound = _describe(self.picker.value)
        self.about.value = "<br>".join([*map(_html, lines), left])
        return is_sound and (room is None or room.left > 0)

    def _take(self, name: str, change: Any) -> None:
        """Take what was typed; a secret leaves its box at once."""
        box, value = self.boxes[name], Secret(change["new"].strip())
        if not value:
            return
        if name == "url":
            try:
                value = Secret(whole_address(value))
            except SubmitError as error:
                self.typed.pop(name, None)
                self.result.value = _html(str(error))
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
        options = {"credentials": who, "quota": self.quota, "note": self.note.value}
        receipt = submit(self.picker.value, **{**options, **self.options})
        if self.kept is not None:
            self.kept.update(Text(f"sent: {receipt}"))
        return receipt._repr_html_()

    def _press(self) -> None:
        """Send once: a second click finds the button disabled, until something is changed."""
        if self.button.disabled or not self.lock.acquire(blocking=False):
            return
        try:
            missing = [name for name in self.boxes if not self.typed.get(name)]
            if missing:
                names = ", ".join(name.replace("_", " ") for name in missing)
                self.result.value = _html(f"Type {names} first; nothing was sent.")
                return
            self.button.disabled = True
            self.result.value = _html("sending ...")
            self.result.value = _told(self._send)
            self._forget()
            if self._show():
                self.result.value += "<br>" + _html("For another submission press Look again.")
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
    box.style.description_width, box.placeholder = LABEL, HINTS[name]
    box.observe(lambda change: take(name, change), "value")
    return box


def _quiet_logs(ids: list[str]) -> None:
    """At DEBUG, kernels log each message of a widget, what was typed and all: leave these out."""

    def is_other(record: logging.LogRecord) -> bool:
        return not any(id in record.getMessage() for id in ids)

    for log in (logging.getLogger("Comm"), getattr(kernel(), "log", None)):
        if log is not None:
            log.addFilter(is_other)


def _label(csv: Path, folder: Path) -> str:
    """A CSV's place, with the score that it promises: a list is narrow."""
    found = " ".join(_promise(csv).split()[:2])
    return f"{csv.relative_to(folder)}{found and f' ({found})'}"


def _room(quota: Quota, url: str, team: str) -> tuple[Room | None, str]:
    """What is left, as HTML too; None while address or team is not known."""
    found: list[Room] = []

    def ask() -> str:
        found.append(quota_left(quota=quota, url=url, team=team))
        return _html(str(found[0]))

    text = _told(ask)
    return (found[0] if found else None), text


def _describe(csv: Path) -> tuple[list[str], bool]:
    """What the check says, the local score, and whether the file may be sent."""
    try:
        lines, found = check_submission(csv), scored(csv)
    except FAILURES as error:
        return [str(error)], False
    return [*lines, *([f"Local score: {found}"] if found else [])], True


def _told(call: Callable[[], str]) -> str:
    """What a call returns as HTML, or why it failed, with its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            text = call()
        except FAILURES as error:
            text = _html(str(error))
    notes = [_html(str(warning.message)) for warning in caught]
    return "<br>".join([text, *notes])


def _html(text: str) -> str:
    """What is told, and below it the same in Korean."""
    return html.escape(both(text)).replace("\n", "<br>")
