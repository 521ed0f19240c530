"""Breast tissue: the default recipe, five folds that vote, and a plain loop of equal epochs.

    python benchmarks/pathology.py --data path/to/pathology [--out runs/pathology-figures]

The contest's mean of six and AUC on the test patches, with intervals by patient. The plain loop is
what a home-made script does: the same backbone from the same seed, all of train, Adam at 1e-3,
flips, no schedule, no averaging, the last weights. Size and epochs are cut down for two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

import medkit as mk
from medkit.datasets.scoring import score_interval
from medkit.inference.answers import to_table
from medkit.loading.loader import make_dataset
from medkit.models.factory import new_model
from medkit.tables import visible


def plain_loop(task: mk.Task, config: mk.Config, train: pd.DataFrame, test: pd.DataFrame):
    """Predictions of a home-made script."""
    torch.manual_seed(config.seed)
    model = new_model(task, config).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    pictures = [make_dataset(task, config, visible(cases)) for cases in (train, test)]
    images, unseen = (
        torch.from_numpy(np.stack([d.cache[k] for k in range(len(d))])).permute(0, 3, 1, 2)
        for d in pictures
    )
    labels, nothing = pictures[0].labels[:][:, 0].long(), torch.zeros(config.batch_size, 0)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(images)).split(config.batch_size)[:-1]:
            batch = images[rows]
            batch = batch.flip(-1) if torch.rand(()) < 0.5 else batch
            optimizer.zero_grad()
            cross_entropy(model(batch, nothing[: len(rows)]), labels[rows]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(part, torch.zeros(len(part), 0)) for part in unseen.split(256)])
    return to_table(task, visible(test)["id"], logits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="runs/pathology-figures")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument("--model", default="resnet18")
    arguments = parser.parse_args()
    task = mk.get_task("pathology")
    train = mk.assign_folds(task, task.read(arguments.data, "train"), n_folds=5, seed=0)
    test = task.read(arguments.data, "test")
    config = mk.Config(
        task="pathology",
        model=arguments.model,
        image_size=arguments.image_size,
        epochs=arguments.epochs,
        batch_size=64,
        best_by="auc",
    )
    quiet = {"num_workers": 0, "progress": False}
    tables, seconds = {}, {}

    began = time.monotonic()
    tables["plain loop"] = plain_loop(task, config, train, test)
    seconds["plain loop"] = time.monotonic() - began
    out = Path(arguments.out)
    runs = []
    for fold in range(5):
        began = time.monotonic()
        runs.append(mk.fit(config, train, out / f"fold{fold}", fold=fold, **quiet))
        seconds[f"fold {fold}"] = time.monotonic() - began
    answers = [mk.predict(run, test, views="all") for run in runs]
    tables["default recipe, fold 0"] = answers[0]
    tables["five folds, soft vote"] = mk.blend(task, answers)
    for name, table in tables.items():
        for metric in ("mean_of_six", "auc"):
            print(f"{name:<24} {metric:<12} {score_interval(task, test, table, metric)}")
    for metric in ("mean_of_six", "auc"):
        for a, b in (
            ("plain loop", "default recipe, fold 0"),
            ("plain loop", "five folds, soft vote"),
            ("default recipe, fold 0", "five folds, soft vote"),
        ):
            gain = mk.compare(task, test, tables[a], tables[b], metric=metric)
            print(f"{metric}: {b} over {a}: {gain}")
    print("seconds:", {name: round(value) for name, value in seconds.items()})


if __name__ == "__main__":
    main()
