"""What an audit finds of violations that were planted, what it takes honest code for, and how long.

    python benchmarks/audit.py

Each is planted into an honest notebook (tests/planted.py) beside a run of a drawn contest. Two
lists were thought of to get around the rules after these were written: at first 18 of 25 and 9 of
20 were found. Printed on 2 cores of a shared machine, Python 3.11:

    planted      81 of 81 found
    sly          25 of 25 found
    slier        20 of 20 found
    honest       0 of 33 raise an alarm
    seconds      0.08 an audit (median of 159)
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
from planted import CODE, HONEST, SLIER, SLY, with_cell, write  # noqa: E402


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

    for name, rows in (("planted", CODE), ("sly", SLY), ("slier", SLIER)):
        missed = [code for rule, code in rows if rule not in told(code)]
        print(f"{name:<12} {len(rows) - len(missed)} of {len(rows)} found", *missed, sep="\n  ")
    alarms = [code for code in HONEST if told(code) - {"code looked at"}]
    print(f"honest       {len(alarms)} of {len(HONEST)} raise an alarm", *alarms, sep="\n  ")
    print(f"seconds      {sorted(took)[len(took) // 2]:.2f} an audit (median of {len(took)})")


if __name__ == "__main__":
    main()
