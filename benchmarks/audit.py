"""What an audit finds of violations that were planted, what it takes honest code for, and how long.

    python benchmarks/audit.py

Each is planted into an honest notebook (tests/planted.py) beside a run of a drawn contest. Of the 25
that were thought of to get around the rules after these were written, 18 were found at first.
Printed:

    planted      {planted}
    sly          {sly}
    honest       {honest}
    seconds      {seconds}
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import medkit as mk

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from planted import CODE, HONEST, SLY, with_cell, write  # noqa: E402


def train(folder: Path) -> mk.Run:
    """A small run for the audit to look at."""
    task = mk.get_task("pathology")
    task.draw(folder / "dataset", seed=0, n_train=16, n_test=4, size=32)
    cases = mk.assign_folds(task, task.read(folder / "dataset", "train"), n_folds=2)
    small = {"model": "test_resnet", "image_size": 32, "epochs": 1, "batch_size": 4}
    quiet = {"num_workers": 0, "device": "cpu", "progress": False}
    return mk.fit(mk.Config("pathology", **small), cases, folder / "runs" / "quick", **quiet)


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = train(folder)
    took = []

    def told(code: str) -> set[str]:
        """The rules that some code breaks, or that could not read it."""
        path = write(folder / "mine.ipynb", with_cell(code))
        text = path.read_text(encoding="utf-8").replace("caries", "pathology")
        path.write_text(text, encoding="utf-8")
        began = time.perf_counter()
        table = mk.audit(path, run, data=folder / "dataset")
        took.append(time.perf_counter() - began)
        rows = table[(table["verdict"] == "broken") | (table["rule"] == "code looked at")]
        return set(rows["rule"][rows["verdict"] != "kept"])

    for name, rows in (("planted", CODE), ("sly", SLY)):
        missed = [code for rule, code in rows if rule not in told(code)]
        print(f"{name:<12} {len(rows) - len(missed)} of {len(rows)} found", *missed, sep="\n  ")
    alarms = [code for code in HONEST if told(code) - {"code looked at"}]
    print(f"honest       {len(alarms)} of {len(HONEST)} raise an alarm", *alarms, sep="\n  ")
    print(f"seconds      {sorted(took)[len(took) // 2]:.2f} an audit (median of {len(took)})")


if __name__ == "__main__":
    main()
