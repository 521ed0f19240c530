"""A newcomer's way through a locked-down JupyterHub, from log-in to accepted, step by step.

    python benchmarks/newcomer.py --zip medkit.zip --server VENV --out FOLDER [--data DATASET]

By mouse and keyboard in a real browser: what README.md says is done, and what an error says after
it. For each step the seconds (training apart), what was typed or pasted, and each stumble; a
picture a step is left in FOLDER. It needs, on the PATH, `jupyterhub` with jupyterlab, and
`configurable-http-proxy`, and Chromium; and here playwright.

--zip       what is uploaded: what `make zip` makes
--server    the server's own Python: a virtual environment with ipykernel, and torch if it has one.
            It is copied, the copy is installed into
--data      photos in the contest's layout, best on a read-only mount; without it they are drawn.
            Pictures for a document need drawn ones
--notebooks where README.md says they are opened: medkit/notebooks for the first versions
--place     an empty folder, emptied again at the end, below which home, hub and copy are made,
            when pictures should show a path of your choice; by default a temporary one
"""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Iterator

from hub import check_programs, empty_place, hub, practice
from person import Person

import medkit as mk

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
        stumbled = "; ".join(textwrap.shorten(each, 100) for each in step.stumbles)
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
        head = ["| step | seconds | training, apart | typed | stumbles |", "| --- " * 5 + "|"]
        return "\n".join([*head, *(self.line(step) for step in [*self.steps, total])])


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
        who.show("Report(facts", "end")
    with diary.step(f"upload {asked.zip.name}") as step:
        cell = install_cell(who.state()["cells"], asked.zip.name, step)
        who.upload(asked.zip)
    with diary.step("install, restart") as step:
        who.new_notebook()
        step.stumbles += who.run_cell(cell, below=False)
        who.restart()
        who.show(cell[:20])
    run_notebooks(diary, asked.notebooks)
    submit(diary)
    with diary.step("the leaderboard shows it"):
        who.page.goto(board)


def run_notebooks(diary: Diary, folder: str) -> None:
    """01 to 04 as they are, but for what an error asks to be set."""
    who = diary.person
    to_show = {
        "01_eda": "mk.show_cases(task, cases",
        "02_training": "mk.show_history(",
        "03_visualization": "mk.show_mistakes(",
        "04_submission": "mk.check_submission(",
    }
    for name, cell in to_show.items():
        with diary.step(f"{name[:2]}, Run All") as step:
            who.open(f"{folder}/{name}.ipynb")
            for _ in range(3):
                errors = who.run_all()
                step.stumbles += errors
                if not errors:
                    break
                mend(who, errors[0], folder)
            who.show(cell)


def mend(who: Person, error: str, folder: str) -> None:
    """What somebody does who believes the error message; stop where it helps nobody.

    Raises:
        SystemExit: no way is known to go on.
    """
    if "DATA" not in error and "dataset" not in error:
        raise SystemExit(f"newcomer: stuck at {error}")
    who.set("DATA", repr("../" * len(Path(folder).parts) + "dataset"))


def submit(diary: Diary) -> None:
    """In 04: the passwords, then SEND = True, and everything again."""
    who = diary.person
    with diary.step("save_credentials") as step:
        step.stumbles += who.run_cell("mk.save_credentials()")
    with diary.step("SEND = True, Run All") as step:
        who.set("SEND", "True")
        answered = who.answered
        step.stumbles += who.run_all()
        if who.answered > answered:
            step.stumbles.append(f"waited at {who.answered - answered} boxes, answered before")
        sent = [cell["outputs"] for cell in who.state()["cells"] if "mk.submit(" in cell["source"]]
        who.show("mk.submit(csv, note")
        if "Receipt(" not in str(sent):
            raise SystemExit(f"newcomer: not accepted: {str(sent)[:300]}")


def install_cell(cells: list[dict[str, Any]], zip_name: str, step: Step) -> str:
    """The cell that the verdict prints; what unzips comes from README.md where it lacks that."""
    outputs = [output.get("data", {}) for cell in cells for output in cell["outputs"]]
    page = "".join("".join(data.get("text/html", "")) for data in outputs)
    printed = [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)]
    cell = next(text for text in printed if "%pip" in text and "--no-index" not in text)
    if "zipfile" in cell:
        return cell
    step.stumbles.append("the verdict's cell does not unzip: put together with README's")
    return UNZIP.format(zip_name) + cell


def prepared(place: Path, asked: argparse.Namespace) -> Path:
    """Home, hub, board and the server's Python in `place`; the folder of the photos."""
    for name in ("home", "hub", "board"):
        (place / name).mkdir()
    shutil.copytree(asked.server, place / "python", symlinks=True)
    data = asked.data.resolve() if asked.data else place / "photos"
    if not asked.data:
        mk.get_task("caries").draw(data, seed=0, n_train=120, n_test=50)
    (place / "home" / "dataset").symlink_to(data)
    return data


def go(place: Path, asked: argparse.Namespace, playwright: Any) -> None:
    """Start everything, walk, and leave the table in `--out`, also of a walk that got stuck."""
    data = prepared(place, asked)
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox"]
    )
    with practice(data, place / "board") as (board, answers):
        with hub(place / "hub", place / "home", place / "python") as url:
            diary = Diary(Person(browser.new_page(viewport=SIZE), answers), asked.out)
            try:
                walk(diary, url, board, asked)
            finally:
                browser.close()
                shutil.copy(place / "hub" / "hub.log", asked.out)
                (asked.out / "steps.md").write_text(diary.table() + "\n", encoding="utf-8")
    print("\n" + diary.table())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--notebooks", default="work")
    parser.add_argument("--place", type=Path)
    asked = parser.parse_args()
    check_programs()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("newcomer: playwright is missing. pip install playwright") from None
    asked.out.mkdir(parents=True, exist_ok=True)
    with empty_place(asked.place) as place, sync_playwright() as playwright:
        go(place, asked, playwright)


if __name__ == "__main__":
    main()
