"""Run the numbered notebooks top to bottom: what `make run` and the tests share.

    python tools/run_notebooks.py [--data FOLDER] [--out runs/quick] [--task caries] [--language ko]

Without --data it draws a contest. The practice leaderboard runs on 127.0.0.1 meanwhile. Executed
copies, with pictures, are left beside the runs. Stopped and started again, it goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from medkit import __version__, files
from medkit.progress import Status

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"en": ROOT / "notebooks", "ko": ROOT / "notebooks" / "ko"}  # the same code in both
LANGUAGES = {name: sorted(path.glob("[0-9]*.ipynb")) for name, path in FOLDERS.items()}
NOTEBOOKS = LANGUAGES["en"]
STUCK_S = 900.0  # without a word and without a file written, a cell counts as stuck
GRACE_S = 60.0  # for a kernel that was interrupted to save what it has
AGAIN = "What is done is kept: run it again and it goes on"
DRAWN = {  # small enough for a few minutes on two cores
    "caries": {"n_train": 120, "n_test": 50},
    "pathology": {"n_train": 160, "n_test": 60, "size": 128},
    "sinus": {"n_train": 80, "n_test": 30, "size": 300},
    "mask": {"n_train": 40, "n_test": 60, "size": (192, 256)},
    "mask18": {"n_train": 40, "n_test": 60, "size": (192, 256)},
    "sleep": {"n_train": 10, "n_test": 3, "epochs": 40},
    "handbone": {"n_train": 16, "n_test": 5, "size": 256},
}


SETTINGS = {  # of the notebooks' parameters, where the usual ones learn nothing in minutes
    "handbone": {"LOSS": "cross_entropy_dice", "BATCH_SIZE": 4, "EPOCHS": 20, "BY": "bent"},
}


class Echo:
    """What a cell prints, told as it comes; a line that is rewritten there is rewritten here."""

    def __init__(self) -> None:
        self.status, self.rest = Status(), ""
        self.told: dict[str, set[str]] = {}  # by display: its lines that were told
        self.name, self.last = "", ""  # of the newest display; its line that may be rewritten

    def hear(self, kind: str, content: dict[str, Any]) -> None:
        """One message of a kernel; pictures and tables are left to the notebook."""
        if kind == "stream":
            self._settle()
            *lines, self.rest = (self.rest + content["text"]).split("\n")
            for line in lines:
                self.status.line(f"  {line}")
        elif kind.endswith("display_data") and set(content["data"]) == {"text/plain"}:
            name = (content.get("transient") or {}).get("display_id", "")
            if name != self.name:
                self._settle()
            *lines, last = content["data"]["text/plain"].split("\n")
            self._tell(name, lines)
            self.name, self.last = name, last
            if last:
                self.status.update(f"  {last}")

    def end(self) -> None:
        """The cell is done: no line will be rewritten any more."""
        self._settle()
        if self.rest:
            self.status.line(f"  {self.rest}")
        self.rest, self.told = "", {}

    def _settle(self) -> None:
        self._tell(self.name, [self.last])
        self.last = ""

    def _tell(self, name: str, lines: list[str]) -> None:
        known = self.told.setdefault(name, set())
        for line in lines:
            if line and line not in known:
                known.add(line)
                self.status.line(f"  {line}")


class Client(NotebookClient):
    """nbclient's, which tells what cells print, and waits for a cell as long as it moves.

    Attributes:
        ended: why the kernel was interrupted, as a sentence; "" while it was not.
    """

    def __init__(self, notebook: Any, folder: Path, *, stuck_s: float = STUCK_S):
        super().__init__(
            notebook,
            timeout=None,
            startup_timeout=600,  # a busy machine starts a kernel slowly
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of TCP, on this machine
            resources={"metadata": {"path": str(folder)}},
        )
        self.folder, self.stuck_s = folder, stuck_s
        self.echo, self.ended, self.moved_at = Echo(), "", time.time()

    async def async_execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        loop, self.moved_at = asyncio.get_running_loop(), time.time()
        self.tasks = [loop.create_task(self._watch())]
        for number in (signal.SIGINT, signal.SIGTERM):  # nbclient's own would drop the kernel
            loop.add_signal_handler(number, self._interrupt)
        try:
            return await super().async_execute_cell(cell, cell_index, **options)
        finally:
            for task in self.tasks:
                task.cancel()
            self.echo.end()

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        self.moved_at = time.time()
        self.echo.hear(msg["msg_type"], msg["content"])
        return super().process_message(msg, cell, cell_index)

    def _interrupt(self) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(self._end("interrupted")))

    async def _end(self, why: str) -> None:
        """Interrupt the kernel, so that a training saves its state; kill it when it takes no
        notice, or when it is asked for a second time."""
        if not self.ended:
            self.ended = why
            await self.km.interrupt_kernel()
            await asyncio.sleep(GRACE_S)
        await self.km.signal_kernel(signal.SIGKILL)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(10.0, self.stuck_s / 4))
            if time.time() - self.moved_at > self.stuck_s:
                self.moved_at = max(self.moved_at, newest(self.folder))
            if time.time() - self.moved_at > self.stuck_s:
                minutes = f"{self.stuck_s / 60:.0f} minutes"
                await self._end(f"stuck: it printed and wrote nothing for {minutes}")


def newest(folder: Path) -> float:
    """When a folder was written to last, but for heartbeats, which go on beside a stuck cell."""
    latest = 0.0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a temporary file, gone by now
            if path.name != "status.json":
                latest = max(latest, path.lstat().st_mtime)
    return latest


def override(notebook: Any, values: dict[str, Any]) -> None:
    """Put `values` in a cell right after the one tagged "parameters" (papermill's convention)."""
    (at,) = [
        i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())
    ]
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(at + 1, cell)


def run_notebook(
    path: Path, folder: Path, values: dict[str, Any], *, stuck_s: float = STUCK_S
) -> Path:
    """Execute one notebook in `folder`, leave the copy there, and say what failed, if it did.

    Raises:
        SystemExit: a cell failed, was interrupted or got stuck; what is done is kept.
    """
    notebook = nbformat.read(path, as_version=4)
    override(notebook, values)
    client, copy = Client(notebook, folder, stuck_s=stuck_s), folder / path.name
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise SystemExit(f"{path.name} {_reason(client, error)}. See {copy}") from None
    finally:
        nbformat.write(notebook, copy)
    return copy


def _reason(client: Client, error: Exception) -> str:
    """What ended a notebook, in a sentence."""
    cell = f"in its code cell {client.code_cells_executed}"
    if client.ended:
        return f"was {client.ended}, {cell}. {AGAIN}"
    if isinstance(error, DeadKernelError):
        return f"failed {cell}: its kernel died, most likely for want of memory"
    return f"failed {cell}: {error.ename}: {error.evalue}".rstrip(". ")


def draw(task: Any, folder: Path) -> Path:
    """A drawn contest in `folder`, made whole or not at all, and only once."""
    settings = {"task": task.name, "seed": 0, "medkit": __version__, **DRAWN[task.name]}
    wanted, known = json.dumps(settings), folder.with_suffix(".json")
    if folder.is_dir() and known.is_file() and known.read_text(encoding="utf-8") == wanted:
        return folder
    print(f"drawing a contest in {folder}", flush=True)
    half = folder.with_suffix(".half")
    for old in (half, folder):
        shutil.rmtree(old, ignore_errors=True)
    task.draw(half, seed=0, **DRAWN[task.name])
    half.rename(folder)
    files.write_whole(known, wanted.encode())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a contest's data folder; none draws one")
    parser.add_argument("--task", default="caries")
    parser.add_argument("--language", default="en", choices=list(LANGUAGES))
    parser.add_argument("--out", help="where everything goes; none takes runs/<name of the data>")
    arguments = parser.parse_args()
    began, name = time.monotonic(), f"drawn_{arguments.task}"
    if arguments.data:
        name = Path(arguments.data).resolve().name
    name += "" if arguments.language == "en" else f"_{arguments.language}"
    out = Path(arguments.out or Path("runs") / name).resolve()
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "leaderboard", ignore_errors=True)  # a new day's quota for each practice
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    os.environ["MEDKIT_LEDGER"] = str(out / "leaderboard" / "submissions.jsonl")

    import medkit as mk

    task = mk.get_task(arguments.task)
    data = Path(arguments.data).resolve() if arguments.data else draw(task, out / "dataset")
    answers = mk.leaderboard.write_answers(
        task, task.read(data, "test"), out / "leaderboard" / "answers.csv"
    )
    settings = SETTINGS.get(task.name, {})
    values = {"TASK": arguments.task, "DATA": str(data), "RUNS": str(out), **settings}
    leaderboard = mk.leaderboard.start(answers, out / "leaderboard", task=task.name)
    try:
        for path in LANGUAGES[arguments.language]:
            started = time.monotonic()
            print(path.name, flush=True)
            copy = run_notebook(path, out, values)
            values = {"SEND": True, **settings}  # the others take what 01 has set
            print(f"{path.name}: {time.monotonic() - started:.0f} s, see {copy}", flush=True)
    except KeyboardInterrupt:  # between two cells
        raise SystemExit(f"interrupted. {AGAIN}") from None
    finally:
        leaderboard.stop()
    report(out, time.monotonic() - began)


def report(out: Path, seconds: float) -> None:
    """Where everything is, and what came of it."""
    csv = out / "quick" / "submission.csv"
    receipt = json.loads((csv.parent / "receipt.json").read_text(encoding="utf-8"))
    expected = json.loads((csv.parent / "submission.json").read_text(encoding="utf-8"))
    print(f"run folder:  {csv.parent}")
    print(f"submission:  {csv}")
    print(f"receipt:     {csv.parent / 'receipt.json'}: {receipt['message']}")
    for name, value in list((expected["local_score"] or {}).items())[:4]:
        print(f"  {name:<12} {value:.4f} held out")
    print("  (a quick run on small pictures: this score is not the benchmark's)")
    print(f"done in {seconds:.0f} s")


if __name__ == "__main__":
    main()
