"""Does a small model gain from a teacher, or from a peer? On breast tissue, by patient.

    python benchmarks/distillation.py --data path/to/pathology [--out runs/distillation]

The student alone, taught by a larger teacher, and with a peer, from scratch, with the same epochs,
folds and seeds; scores of the test patients, with 95 % intervals drawn by patient, and differences
from the student alone on the same pictures. An interval knows of patients, not of seeds: read the
seeds together. About nine minutes on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

import medkit as mk
from medkit.datasets.scoring import score_interval

METRICS = ("auc", "mean_of_six")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="runs/distillation")
    parser.add_argument("--teacher", default="resnet18")
    parser.add_argument("--student", default="test_resnet")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    task, out = mk.get_task("pathology"), Path(arguments.out)
    train = mk.assign_folds(task, task.read(arguments.data, "train"), n_folds=5, seed=0)
    test = task.read(arguments.data, "test")
    config = mk.Config(
        "pathology",
        model=arguments.teacher,
        image_size=48,
        epochs=arguments.epochs,
        batch_size=64,
        peak_lr=3e-3,
        best_by="auc",
    )

    def predict(name: str, config: mk.Config) -> pd.DataFrame:
        run = mk.fit(config, train, out / name, fold=0, num_workers=0, progress=False)
        return mk.predict(run, test)

    def tell(name: str, predictions: pd.DataFrame) -> None:
        figures = (score_interval(task, test, predictions, metric) for metric in METRICS)
        print(f"{name:<18}", *(f"{m} {i}" for m, i in zip(METRICS, figures)), sep="  ", flush=True)

    tell("teacher", predict("teacher", config))
    student = replace(config, model=arguments.student)
    taught = {"teacher": out / "teacher", "distill_weight": 0.7, "distill_temperature": 2.0}
    ways = {"distilled": taught, "with a peer": {"peers": 2}}
    for seed in range(arguments.seeds):
        alone = predict(f"alone-{seed}", replace(student, seed=seed))
        tell(f"alone {seed}", alone)
        for name, settings in ways.items():
            other = predict(f"{name}-{seed}", replace(student, seed=seed, **settings))
            tell(f"{name} {seed}", other)
            for metric in METRICS:
                gain = mk.compare(task, test, alone, other, metric=metric)
                print(f"{'':<18}  {metric} {gain}", flush=True)


if __name__ == "__main__":
    main()
