"""A locked-down JupyterHub on this machine, and a person at its pages: what `newcomer.py` uses."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

PROGRAMS = {  # each by what installs it
    "jupyterhub": "pip install jupyterhub jupyterlab (in an environment of its own)",
    "configurable-http-proxy": "npm install configurable-http-proxy",
    "chromium": "the chromium of the system",
}
CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "127.0.0.1", {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.auth_token = "only-here"
c.JupyterHub.authenticator_class, c.Authenticator.allow_all = "dummy", True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{home}"
c.Spawner.env_keep = ["PATH", "LANG"]
c.Spawner.environment = {environment!r}
c.Spawner.args = ["--allow-root", "--ServerApp.terminals_enabled=False"]
c.Spawner.args += ["--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True"]
c.Spawner.http_timeout = c.Spawner.start_timeout = 300
"""
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
  return notebook.scrollToItem(at, to).then(() => notebook.widgets[at].node.scrollIntoView());
}"""
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden) "
HANGS_S = 1800


def check_programs() -> None:
    """Raise SystemExit that names what is not on the PATH, and what installs it."""
    missing = [f"{name}: {how}" for name, how in PROGRAMS.items() if not shutil.which(name)]
    if missing:
        raise SystemExit("newcomer: not found on the PATH. Install\n  " + "\n  ".join(missing))


def free_ports(n: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def hub(folder: Path, home: Path, kernel: Path) -> Iterator[str]:
    """A JupyterHub without terminals, whose one kernel is the Python in `kernel`; its address.

    Args:
        folder: an empty one, for its settings and its log.
        home: of its user, whatever name logs in.
    """
    spec = folder / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [str(kernel / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
    (spec / "kernel.json").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment.update(HOME=str(home), JUPYTER_PATH=str(folder / "jupyter"))
    ports, config = free_ports(3), folder / "jupyterhub_config.py"
    config.write_text(CONFIG.format(ports=ports, home=home, environment=environment))
    url = f"http://127.0.0.1:{ports[0]}"
    with open(folder / "hub.log", "wb") as log:
        command = ["jupyterhub", "-f", str(config)]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(url + "/hub/health", process, folder / "hub.log")
        yield url
    finally:
        process.terminate()  # it ends its proxy and its users' servers
        process.wait(60)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise SystemExit(f"newcomer: JupyterHub did not start, see {log}")


class Person:
    """Somebody at a page of the hub, who clicks, types and waits; the page tells how it stands.

    Attributes:
        typed: how many settings, cells and answers were typed or pasted so far.
        trained_s: seconds spent so far in cells that train.
    """

    def __init__(self, page: Any, answers: dict[str, str]):
        self.page, self.answers = page, answers
        self.typed, self.trained_s = 0, 0.0

    def log_in(self, url: str, name: str) -> None:
        self.page.goto(url)
        self.page.fill("#username_input", name)
        self.page.fill("#password_input", "any")
        self.typed += 2

    def enter(self) -> None:
        self.page.click("#login_submit")
        self.page.wait_for_selector(".jp-DirListing-content", timeout=HANGS_S * 1000)

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
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(text)
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
            box.last.fill(next((self.answers[key] for key in self.answers if key in asked), ""))
            self.page.keyboard.press("Enter")
            self.typed += 1

    def errors(self) -> list[str]:
        outputs = [each for cell in self.state()["cells"] for each in cell["outputs"]]
        return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]

    def show(self, text: str) -> None:
        """Scroll the cell whose source holds `text` to the top."""
        self.page.evaluate(SCROLL, [text, "start"])
        self.page.wait_for_timeout(500)
