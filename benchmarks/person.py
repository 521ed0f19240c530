"""A person at the pages of a JupyterHub, by mouse and keyboard: what `newcomer.py` walks with."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

STATE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const session = panel.sessionContext && panel.sessionContext.session;
  return {
    kernel: session && session.kernel ? session.kernel.status : "none",
    cells: panel.content.widgets.filter(c => c.model.type == "code").map(c => ({
      source: c.model.sharedModel.source,
      runs: c.model.executionState == "running",
      outputs: c.model.outputs.toJSON(),
    })),
  };
}"""
SCROLL = """([text, to]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const at = notebook.widgets.findIndex(c => c.model.sharedModel.source.includes(text));
  notebook.activeCellIndex = at;
  const node = notebook.widgets[at].node;
  return notebook.scrollToItem(at, to).then(() => node.scrollIntoView({block: to}));
}"""
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden) "
HANGS_S = 1800


class Person:
    """Somebody at a page of the hub, who clicks, types and waits; the page tells how it stands.

    Attributes:
        typed: how many settings, cells and answers were typed or pasted so far.
        answered: how many of those were answers in boxes.
        trained_s: seconds spent so far in cells that train.
    """

    def __init__(self, page: Any, answers: dict[str, str]):
        self.page, self.answers = page, answers
        self.typed, self.answered, self.trained_s = 0, 0, 0.0

    def log_in(self, url: str, name: str) -> None:
        self.page.goto(url)
        self.page.fill("#username_input", name)
        self.page.fill("#password_input", "any")
        self.typed += 2

    def enter(self) -> None:
        self.page.click("#login_submit")
        self.page.wait_for_selector(".jp-DirListing-content", timeout=HANGS_S * 1000)
        with suppress(Exception):  # JupyterLab's question about news
            self.page.click('.Toastify__toast button:text-is("No")', timeout=5000)

    def upload(self, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.click('[data-command="filebrowser:upload"], [title^="Upload"]')
        chooser.value.set_files(str(path))
        self.item(path.name).wait_for(timeout=HANGS_S * 1000)

    def item(self, name: str) -> Any:
        """A file's or folder's line in the file browser."""
        line = self.page.locator(".jp-DirListing-item:visible")
        return line.filter(has=self.page.get_by_text(name, exact=True)).first

    def open(self, path: str) -> None:
        """Double-click one's way from the home to a notebook, and wait for its kernel."""
        self.page.click(".jp-BreadCrumbs-home")
        refresh = '[data-command="filebrowser:refresh"], [title^="Refresh"]'
        self.page.locator(f":is({refresh}):visible").first.click()
        for part in path.split("/"):
            self.item(part).dblclick()
        self.page.locator(PANEL + ".jp-Cell").first.wait_for(timeout=HANGS_S * 1000)
        self.wait()

    def new_notebook(self) -> None:
        self.page.click(".jp-BreadCrumbs-home")
        self.page.click('[data-command="launcher:create"], [title^="New Launcher"]')
        self.page.locator('.jp-LauncherCard[data-category="Notebook"]:visible').first.click()
        self.page.locator(PANEL + ".jp-Cell").first.wait_for()
        self.wait()

    def menu(self, menu: str, entry: str) -> None:
        self.page.click(f'.lm-MenuBar-itemLabel:text-is("{menu}")')
        self.page.click(f'.lm-Menu-itemLabel:text-is("{entry}")')

    def run_all(self) -> list[str]:
        """Run > Run All Cells, answer boxes, wait; the errors as "Kind: words"."""
        self.menu("Run", "Run All Cells")
        self.wait()
        return self.errors()

    def restart(self) -> None:
        self.menu("Kernel", "Restart Kernel…")
        self.page.click(".jp-Dialog .jp-mod-accept")
        self.wait()

    def set(self, name: str, value: str) -> None:
        """Type another value into the line of a parameters cell."""
        self.show(f"\n{name} = ")
        line = self.page.locator(PANEL + ".cm-line").filter(has_text=re.compile(f"^{name} = "))
        line.first.click()
        for key in ("End", "Shift+Home"):
            self.page.keyboard.press(key)
        self.page.keyboard.insert_text(f"{name} = {value}")
        self.typed += 1

    def run_cell(self, text: str, *, below: bool = True) -> list[str]:
        """Paste into a new cell at the end (or into the only one), run it, wait; the errors."""
        if below:
            self.page.evaluate(SCROLL, [self.state()["cells"][-1]["source"], "end"])
            self.page.locator(PANEL + ".jp-mod-active .jp-InputPrompt").click()
            self.page.keyboard.press("b")
        for key in ("Escape", "Enter"):  # a new notebook's cell may be open for typing already
            self.page.keyboard.press(key)
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Control+Home")  # long lines are shown from their beginning
        self.page.keyboard.press("Shift+Enter")
        self.typed += 1
        self.wait()
        return self.errors()

    def state(self) -> dict[str, Any]:
        return self.page.evaluate(STATE)

    def wait(self) -> None:
        """Until the kernel has nothing to do; boxes are answered by what they ask for."""
        until, before = time.monotonic() + HANGS_S, time.monotonic()
        self.page.wait_for_timeout(400)
        while time.monotonic() < until:
            state = self.state()
            running = [cell for cell in state["cells"] if cell["runs"]]
            now = time.monotonic()
            if running and re.search(r"\b(mk\.fit|train)\(", running[0]["source"]):
                self.trained_s += now - before
            before = now
            if state["kernel"] == "idle" and not running:
                return
            self._answer()
            self.page.wait_for_timeout(250)
        raise SystemExit(f"newcomer: nothing ended for {HANGS_S} s")

    def _answer(self) -> None:
        box = self.page.locator(PANEL + ".jp-Stdin-input:visible:not([disabled])")
        if box.count():
            asked = self.page.locator(PANEL + ".jp-Stdin-prompt:visible").last.inner_text().lower()
            known = [self.answers[key] for key in self.answers if key in asked]
            if not known:
                raise SystemExit(f"newcomer: a box asks for {asked!r}, and nobody knows it")
            box.last.fill(known[0])
            self.page.keyboard.press("Enter")
            self.typed += 1
            self.answered += 1

    def errors(self) -> list[str]:
        outputs = [each for cell in self.state()["cells"] for each in cell["outputs"]]
        errors = [o for o in outputs if o["output_type"] == "error"]
        return [f"{error['ename']}: {error['evalue']}" for error in errors]

    def show(self, text: str, to: str = "start") -> None:
        """Scroll the cell whose source holds `text` so that its start or its end is seen."""
        self.page.evaluate(SCROLL, [text, to])
        self.page.wait_for_timeout(500)
