"""Run the numbered notebooks top to bottom: what `make run` and the tests share.

    python tools/run_notebooks.py [--data FOLDER] [--out runs/quick] [--task caries]

Without --data it draws a contest. The practice leaderboard runs on 127.0.0.1 meanwhile. Executed
copies, with pictures, are left beside the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
DRAWN = {  # small enough for a few minutes on two cores
    "caries": {"n_train": 120, "n_test": 50},
    "pathology": {"n_train": 160, "n_test": 60, "size": 128},
    "sinus": {"n_train": 80, "n_test": 30, "size": 300},
    "mask": {"n_train": 40, "n_test": 60, "size": (192, 256)},
    "mask18": {"n_train": 40, "n_test": 60, "size": (192, 256)},
    "sleep": {"n_train": 10, "n_test": 3, "epochs": 40},
}


def override(notebook: Any, values: dict[str, Any]) -> None:
    """Put `values` in a cell right after the one tagged "parameters" (papermill's convention)."""
    (at,) = [
        i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())
    ]
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(source))


def run_notebook(path: Path, folder: Path, values: dict[str, Any], *, timeout_s: int = 900) -> Path:
    """Execute one notebook in `folder`, leave the copy there, and say what failed, if it did."""
    notebook = nbformat.read(path, as_version=4)
    override(notebook, values)
    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of TCP, on this machine alone
        resources={"metadata": {"path": str(folder)}},
    )
    copy = folder / path.name
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{path.name} failed; see {copy}.\n{error}") from None
    finally:
        nbformat.write(notebook, copy)
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a contest's data folder; none draws one")
    parser.add_argument("--task", default="caries")
    parser.add_argument("--out", help="where everything goes; none takes runs/<name of the data>")
    arguments = parser.parse_args()
    began, name = time.monotonic(), f"drawn_{arguments.task}"
    if arguments.data:
        name = Path(arguments.data).resolve().name
    out = Path(arguments.out or Path("runs") / name).resolve()
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "leaderboard", ignore_errors=True)  # a new day's quota for each practice
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    os.environ["MEDKIT_LEDGER"] = str(out / "leaderboard" / "submissions.jsonl")

    import medkit as mk

    task = mk.get_task(arguments.task)
    if arguments.data:
        data = Path(arguments.data).resolve()
    else:
        data = out / "dataset"
        print(f"drawing a contest in {data}")
        task.draw(data, seed=0, **DRAWN[task.name])
    answers = mk.write_answers(task, task.read(data, "test"), out / "leaderboard" / "answers.csv")
    values = {"TASK": arguments.task, "DATA": str(data), "RUNS": str(out), "SEND": True}
    leaderboard = mk.start_leaderboard(answers, out / "leaderboard", task=task.name)
    try:
        for path in NOTEBOOKS:
            started = time.monotonic()
            copy = run_notebook(path, out, values)
            print(f"{path.name}: {time.monotonic() - started:.0f} s, see {copy}", flush=True)
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
        print(f"  {name:<12} {value:.4f}")
    print("  (a quick run on small pictures: this score is not the benchmark's)")
    print(f"done in {seconds:.0f} s")


if __name__ == "__main__":
    main()
