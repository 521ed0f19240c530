"""Planted secrets are in nothing that a notebook, a kernel or a run leaves behind."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from urllib.parse import quote, unquote

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from test_client import MESSAGE, answer, said, serving

import medkit as mk

FILE = {"email": "file@plant.kr", "password": "file pass/ä", "contest_password": "file contest비"}
TYPED = {"email": "typed@plant.kr", "password": "typed-pass&1", "contest_password": "typed contest"}
START = """
import http.client, json, logging, os
import medkit as mk
logging.basicConfig(level=logging.DEBUG, filename="debug.log")
http.client.HTTPConnection.debuglevel = 1
print(repr(mk.submission.credentials.load_credentials()))
"""
SUBMIT = "display(mk.submit('run/submission.csv', again=True, timeout_s=0.5))"
LOOK = """
mk.files.write_json("run/machine.json", mk.machine.record())
print(open("/proc/self/cmdline").read())
print(In, _ih, list(Out.values()))
display(mk.submissions())
print(mk.submission.client.quota_left())
"""


class Browser:
    """A notebook's front end: it runs cells, keeps the widgets' state and all that it is told."""

    def __init__(self, folder):
        self.notebook, self.folder = nbformat.v4.new_notebook(), folder
        self.widgets, self.heard = {}, []
        self.log = open(folder / "kernel.log", "wb")
        self.manager, self.client = start_new_kernel(
            extra_arguments=["--IPKernelApp.log_level=DEBUG"], cwd=str(folder), stderr=self.log
        )

    def run(self, source):
        cell = nbformat.v4.new_code_cell(source)
        self.notebook.cells.append(cell)
        asked = self.client.execute(source, allow_stdin=False)
        for message in self.listen(asked):
            if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                cell.outputs.append(nbformat.v4.output_from_msg(message))
        return json.dumps(cell.outputs, ensure_ascii=False)

    def listen(self, asked):
        """What the kernel says until it has done what was asked; widgets keep their state."""
        while True:
            message = self.client.get_iopub_msg(timeout=300)
            self.heard.append(json.dumps(message, default=str, ensure_ascii=False))
            content = message["content"]
            if message["msg_type"] in ("comm_open", "comm_msg"):
                state = self.widgets.setdefault(content["comm_id"], {})
                state.update(content["data"].get("state", {}))
            if message["parent_header"].get("msg_id") == asked:
                yield message
                if content.get("execution_state") == "idle":
                    return

    def tell(self, widget, data):
        """Send a widget's message, as a browser does."""
        message = self.client.session.msg("comm_msg", {"comm_id": widget, "data": data})
        self.client.shell_channel.send(message)
        list(self.listen(message["header"]["msg_id"]))

    def type(self, name, value):
        widget = self.find(description=name)
        self.widgets[widget]["value"] = value  # the browser has it before the kernel
        self.tell(widget, {"method": "update", "state": {"value": value}, "buffer_paths": []})

    def choose(self, name, label):
        widget = self.find(description=name)
        index = self.widgets[widget]["_options_labels"].index(label)
        self.tell(widget, {"method": "update", "state": {"index": index}, "buffer_paths": []})

    def click(self, name):
        self.tell(self.find(description=name), {"method": "custom", "content": {"event": "click"}})

    def find(self, **wanted):
        (found,) = [key for key, s in self.widgets.items() if wanted.items() <= s.items()]
        return found

    def save(self):
        kind = "application/vnd.jupyter.widget-state+json"
        state = {key: {"state": state} for key, state in self.widgets.items()}
        self.notebook.metadata["widgets"] = {kind: {"state": state}}
        nbformat.write(self.notebook, self.folder / "work.ipynb")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)
        self.log.close()


def forms(secret):
    """How a secret may stand in a file."""
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}


def planted():
    found = set()
    for who in (FILE, TYPED):
        pair = f"{who['email']}:{who['password']}".encode()
        found |= {base64.b64encode(pair).decode()}.union(*map(forms, who.values()))
    return found


def repeating(status, success="", kind="application/json", **headers):
    """An answer that repeats every secret of its request."""

    def reply(handler):
        pair = handler.headers["Authorization"].partition(" ")[2]
        words = (
            f" got {handler.path} {unquote(handler.path)} {pair} {base64.b64decode(pair).decode()}"
        )
        words = words.replace("?", " ") if success else words  # a question is no success
        body = said(success + words) if "json" in kind else f"<html>{words}</html>"
        answer(status, body, kind, **headers)(handler)

    return reply


def replies():
    """Every failure once, then success."""
    yield from (repeating(status) for status in (200, 400, 401, 403, 404, 413, 429, 500))
    yield repeating(302, Location=f"/x?password={quote(FILE['contest_password'])}")
    yield repeating(200, kind="text/html")
    yield lambda handler: handler.connection.close()
    while True:
        yield repeating(200, MESSAGE)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A notebook in which everything was tried, saved with the state of its widgets."""
    folder, home = tmp_path_factory.mktemp("leaks"), tmp_path_factory.mktemp("home")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text("{}")
    (folder / "run" / "submission.csv").write_text("id,x\na,1\nb,0\n")
    (folder / "run" / "second.csv").write_text("id,x\na,0\nb,0\nc,1\n")
    reply = replies()
    with pytest.MonkeyPatch.context() as patch, serving(lambda h: next(reply)(h)) as (who, got):
        given = {"url": who.url, "team": "42", **FILE}
        mk.files.write_json(home / "credentials.json", given, mode=0o600)
        patch.setenv("MEDKIT_CREDENTIALS", str(home / "credentials.json"))
        patch.setenv("MEDKIT_LEDGER", str(folder / "submissions.jsonl"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        for name in ("URL", "TEAM", "EMAIL", "PASSWORD", "CONTEST_PASSWORD"):
            patch.delenv(f"MEDKIT_{name}", raising=False)
        seen = Browser(folder)
        try:
            seen.shown = [seen.run(START), seen.run("%xmode Verbose")]
            seen.shown += [seen.run(SUBMIT) for _ in range(12)]
            seen.run(f"os.environ.update(MEDKIT_CREDENTIALS='/none', MEDKIT_URL={str(who.url)!r})")
            seen.run("os.environ['MEDKIT_TEAM'] = '42'; form = mk.submit_form('run'); form")
            seen.choose("CSV", "second.csv")
            for name, value in TYPED.items():
                seen.type(name.replace("_", " "), value)
            seen.click("Submit 제출")
            seen.click("Submit 제출")
            seen.shown.append(seen.run(LOOK))
            seen.save()
        finally:
            seen.close()
        seen.got = got
        yield seen


def test_everything_was_really_tried(browser):
    """Or the other tests would prove nothing."""
    assert len(browser.got) == 13  # 11 failures, a success, and the form's, clicked twice
    assert all("SubmitError" in shown for shown in browser.shown[2:13]), browser.shown[2]
    assert "제출이 완료" in browser.shown[13]
    typed = base64.b64encode(f"{TYPED['email']}:{TYPED['password']}".encode()).decode()
    assert browser.got[-1]["headers"]["Authorization"] == f"Basic {typed}"
    (form,) = [s for s in browser.widgets.values() if "left today" in str(s.get("value"))]
    assert "제출이 완료" in form["value"]
    assert "accepted" in browser.shown[-1] and "refused" in browser.shown[-1]
    assert "-f" in browser.shown[-1] and "mk.submit" in browser.shown[-1]  # cmdline, In
    history = sqlite3.connect(str(browser.folder / "ipython/profile_default/history.sqlite"))
    assert history.execute("SELECT count(*) FROM history").fetchone()[0] >= 15
    history.close()
    # the broken connection has no line
    assert (browser.folder / "debug.log").read_text().count("?password=***") == 12


def test_no_secret_is_in_any_file(browser):
    hidden = [word.encode() for word in planted()]
    paths = [path for path in browser.folder.rglob("*") if path.is_file()]
    names = {path.name for path in paths}
    assert {"work.ipynb", "history.sqlite", "debug.log", "kernel.log", "submissions.jsonl"} <= names
    assert {"receipt.json", "machine.json"} <= names
    for path in paths:
        data = path.read_bytes()
        assert not [word for word in hidden if word in data], path


def test_no_secret_was_told_to_the_browser(browser):
    """Not even in an echo, which every window of the notebook would get."""
    told = "\n".join(browser.heard)
    assert not [word for word in planted() if word in told]


def test_the_saved_boxes_are_empty(browser):
    boxes = [s for s in browser.widgets.values() if s.get("_model_name") == "PasswordModel"]
    assert [box["value"] for box in boxes] == ["", "", ""]


def test_the_examples_of_the_notebooks_hold_no_secret():
    for path in (Path(__file__).parent.parent / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert "password=" not in "".join(cell["source"]), path
