"""A newcomer's way through a locked-down JupyterHub, from log-in to accepted, step by step.

    python benchmarks/newcomer.py --zip medkit.zip --server VENV --out FOLDER [--data DATASET]

By mouse and keyboard in a real browser: what README.md says is done, and what an error says after
it. For each step the seconds (training apart), what was typed or pasted, and each stumble; a
picture a step is left in FOLDER. It needs, on the PATH, `jupyterhub` with jupyterlab, and
`configurable-http-proxy`, and Chromium; and here playwright.

--zip       what is uploaded: what `make zip` makes
--server    the server's own Python: a virtual environment with ipykernel, and torch if it has one.
            It is copied, the copy is installed into
--data      photos in the contest's layout, best on a read-only mount; without it they are drawn
--notebooks where README.md says they are opened: medkit/notebooks for the first versions
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Iterator

from hub import Person, check_programs, hub

ROOT = Path(__file__).resolve().parent.parent
UNZIP = 'import zipfile\nzipfile.ZipFile("{}").extractall()\n'  # as README.md says
SIZE = {"width": 1200, "height": 800}
PICTURE_BYTES = 100_000


@dataclass
class Step:
    """One line of the table."""

    name: str
    seconds: float = 0.0
    training_s: float = 0.0
    typed: int = 0
    stumbles: list[str] = field(default_factory=list)


class Diary:
    """What a person did, each step with its seconds and its picture."""

    def __init__(self, person: Person, out: Path):
        self.person, self.out, self.steps = person, out, []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step, who = Step(name), self.person
        began, typed, trained = time.monotonic(), who.typed, who.trained_s
        try:
            yield step
        finally:
            step.training_s = who.trained_s - trained
            step.seconds = time.monotonic() - began - step.training_s
            step.typed = who.typed - typed
            self.steps.append(step)
            self.picture(name)
            print(self.line(step), flush=True)

    def picture(self, name: str) -> None:
        """The page as it is, as a JPEG that is small enough for a document."""
        path = self.out / f"{len(self.steps):02d}_{re.sub('[^a-z0-9]+', '_', name.lower())}.jpg"
        for quality in range(90, 10, -10):
            self.person.page.screenshot(path=path, type="jpeg", quality=quality)
            if path.stat().st_size <= PICTURE_BYTES:
                return

    @staticmethod
    def line(step: Step) -> str:
        stumbled = "; ".join(step.stumbles)
        row = [
            step.name,
            f"{step.seconds:.0f}",
            f"{step.training_s:.0f}",
            str(step.typed),
            stumbled,
        ]
        return "| " + " | ".join(row) + " |"

    def table(self) -> str:
        """All steps as Markdown, and their sum."""
        total = Step("in all")
        for step in self.steps:
            total.seconds += step.seconds
            total.training_s += step.training_s
            total.typed += step.typed
        total.stumbles = [f"{sum(len(step.stumbles) for step in self.steps)} stumbles"]
        head = "| step | seconds | training, apart | typed | stumbles |\n| --- | --- | --- | --- | --- |"
        return "\n".join([head, *(self.line(step) for step in [*self.steps, total])])


def walk(diary: Diary, url: str, board: str, asked: argparse.Namespace) -> None:
    """From the log-in page to the leaderboard's."""
    who = diary.person
    with diary.step("the log-in page"):
        who.log_in(url, "newcomer")
    with diary.step("log in"):
        who.enter()
    with diary.step("upload version_check.ipynb"):
        who.upload(ROOT / "version_check.ipynb")
    with diary.step("run it, read the verdict") as step:
        who.open("version_check.ipynb")
        step.stumbles += who.run_all()
        who.show("Report(look(DATA))")
    cell = install_cell(who.state()["cells"], asked.zip.name, step)
    with diary.step(f"upload {asked.zip.name}"):
        who.upload(asked.zip)
    with diary.step("install") as step:
        who.new_notebook()
        step.stumbles += who.run_cell(cell, below=False)
        who.restart()
        who.show(cell[:20])


def install_cell(cells: list[dict[str, Any]], zip_name: str, step: Step) -> str:
    """The first cell that the verdict prints; what unzips comes from README.md if it lacks it."""
    pages = [
        o["data"].get("text/html", "") for cell in cells for o in cell["outputs"] if "data" in o
    ]
    pages = ["".join(page) for page in pages]
    printed = unescape(re.search(r"<pre[^>]*>(.*?)</pre>", pages[-1], re.DOTALL).group(1))
    if "zipfile" in printed:
        return printed
    step.stumbles.append(
        "the verdict's cell does not unzip: its lines and README's are put together"
    )
    return UNZIP.format(zip_name) + printed


@contextmanager
def practice(data: Path, folder: Path) -> Iterator[Any]:
    """A practice leaderboard for the photos in `data`, and what its team types."""
    import json

    import medkit as mk

    task = mk.get_task("caries")
    answers = mk.write_answers(task, task.read(data, "test"), folder / "answers.csv")
    board = mk.start_leaderboard(answers, folder, task="caries")
    try:
        who = json.loads((folder / "credentials.json").read_text(encoding="utf-8"))
        who["contest password"] = who.pop("contest_password")
        longest_first = sorted(who, key=len, reverse=True)
        yield board, {name: who[name] for name in longest_first}
    finally:
        board.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--notebooks", default="work")
    asked = parser.parse_args()
    check_programs()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("newcomer: needs playwright: pip install playwright") from None
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        home, kernel = folder / "home", folder / "kernel"
        for each in (home, folder / "hub", folder / "board"):
            each.mkdir()
        shutil.copytree(asked.server, kernel, symlinks=True)
        data = asked.data.resolve() if asked.data else drawn(folder / "drawn")
        (home / "dataset").symlink_to(data)
        with practice(data, folder / "board") as (board, answers), sync_playwright() as play:
            with hub(folder / "hub", home, kernel) as url:
                browser = play.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                diary = Diary(Person(browser.new_page(viewport=SIZE), answers), asked.out)
                try:
                    walk(diary, url, board.url, asked)
                finally:
                    browser.close()
                    shutil.copy(folder / "hub" / "hub.log", asked.out)
                    (asked.out / "steps.md").write_text(diary.table() + "\n", encoding="utf-8")
    print(diary.table())


def drawn(folder: Path) -> Path:
    """Drawn photos, for pictures that may be shown."""
    import medkit as mk

    mk.get_task("caries").draw(folder, seed=0, n_train=120, n_test=50)
    return folder


if __name__ == "__main__":
    main()
