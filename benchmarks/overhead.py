"""The loop's own cost: steps of `fit` beside a bare hand-written loop, same model, constant batch.

    python benchmarks/overhead.py [--model resnet18] [--image-size 96] [--batch-size 32]

In one process, blocks of steps by turns, ours in a real run. They do all that a run does between
saves: heartbeat, log, display, keyed dropout, snapshots of BatchNorm; saving has its own bound, 2 %
of the time. CPU time tells more than wall time where neighbours use the machine, and nothing on a
GPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator
from unittest.mock import patch

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

import medkit as mk
from medkit.devices import find_device
from medkit.loading.loader import Batch, make_loader
from medkit.models.factory import new_model
from medkit.runs.folder import open_folder
from medkit.runs.pictures import data_folder
from medkit.training import loop
from medkit.training.launching import Launch
from medkit.training.plan import make_plan
from medkit.training.process import train_here


class Bare:
    """What a person writes in a notebook."""

    def __init__(self, task, config, device):
        self.device = device
        self.model = new_model(task, config).to(device).train()
        norms = [p for p in self.model.parameters() if p.ndim <= 1]
        others = [p for p in self.model.parameters() if p.ndim > 1]
        groups = [{"params": others}, {"params": norms, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.peak_lr, weight_decay=config.weight_decay
        )
        self.clip_norm = config.clip_norm

    def steps(self, batch: Batch, count: int) -> None:
        total, labels = 0.0, batch.labels[:, 0].long()
        for _ in range(count):
            self.optimizer.zero_grad()
            loss = cross_entropy(self.model(batch.images, batch.facts), labels)
            loss.backward()
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
            total += loss.item()


class Turns:
    """Stands in for the loader of a run: gives one batch again and again, and takes the time.

    Between two blocks of ours, which are real steps of `fit`, as many bare ones are made.
    """

    def __init__(self, bare: Bare, count: int, blocks: int):
        self.bare, self.count, self.blocks = bare, count, blocks
        self.seconds = {"ours": [], "bare": []}  # (wall, CPU) of each block; the first warms up

    def __call__(self, dataset, sampler, **options) -> Iterator[Batch]:
        rows = list(sampler)[: len(sampler)]
        batch = next(iter(make_loader(dataset, rows, batch_size=sampler.share)))
        batch = Batch(*(part.to(self.bare.device) for part in batch))
        for number in range(1 + self.blocks):
            if number % 2:
                self.take("bare", lambda: self.bare.steps(batch, self.count))
            began = now()
            for _ in range(self.count):
                yield batch  # it goes on here when the step is done
            self.seconds["ours"].append(since(began))
            if not number % 2:
                self.take("bare", lambda: self.bare.steps(batch, self.count))

    def take(self, side: str, work: Callable[[], None]) -> None:
        began = now()
        work()
        self.seconds[side].append(since(began))


def now() -> tuple[float, float]:
    """Wall and CPU seconds, the latter of all threads."""
    return time.perf_counter(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    return tuple(end - start for end, start in zip(now(), began))


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median with its 95 % interval, which the order of the values gives."""
    values, reach = sorted(values), 0.98 * len(values) ** 0.5
    low = max(0, int(len(values) / 2 - reach))
    return statistics.median(values), values[low], values[-1 - low]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="of a block")
    parser.add_argument("--blocks", type=int, default=40)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    config = mk.Config(
        task="caries",
        model=arguments.model,
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        epochs=1,
        amp=False,
        channels_last=False,
    )
    task, device = mk.get_task("caries"), find_device()
    with tempfile.TemporaryDirectory() as folder:
        data, place = Path(folder, "data"), Path(folder, "run")
        task.draw(data, seed=0, n_train=30, n_test=6, widths=(240, 320), decayed_share=0.2)
        cases = mk.assign_folds(task, task.read(data, "train"), n_folds=3, seed=0)
        steps = (1 + arguments.blocks) * arguments.steps
        turns = Turns(Bare(task, config, device), arguments.steps, arguments.blocks)
        plan = replace(make_plan(task, config, cases, 0), steps=steps)
        run = open_folder(place, task, config, cases, data=data_folder(cases), fold=0)
        with patch.object(loop, "make_loader", turns):
            launch = Launch(save_every_s=1e9, cache_folder=Path(folder, "cache"), progress=True)
            train_here(run, plan, launch)
    print(
        f"{config.model}, {config.image_size} px, {plan.step_size} images a step, {device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{arguments.blocks} pairs of {arguments.steps} steps"
    )
    for k, name in enumerate(("wall", "CPU")):
        seconds = [[block[k] for block in turns.seconds[side][1:]] for side in ("ours", "bare")]
        mine, theirs = (1000 * statistics.median(side) / arguments.steps for side in seconds)
        cost, low, high = median_interval([a / b - 1 for a, b in zip(*seconds)])
        print(
            f"{name} time: ours {mine:.1f} ms a step, bare {theirs:.1f} ms, the loop's own cost "
            f"{cost:+.1%} (95 % interval {low:+.1%} to {high:+.1%})"
        )


if __name__ == "__main__":
    main()
