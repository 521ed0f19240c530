"""The loop's own cost: steps of `fit` beside a bare hand-written loop, same model, constant batch.

    python benchmarks/overhead.py [--model resnet18] [--image-size 96] [--batch-size 32]

In one process, blocks of steps by turns. Ours do all that a run does between saves: heartbeat, log,
display, keyed dropout, snapshots of BatchNorm; saving has its own bound, 2 % of the time. CPU time
tells more than wall time where neighbours use the machine, and nothing on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

import medkit as mk
from medkit.devices import find_device
from medkit.loading.loader import Batch, make_loader
from medkit.models.factory import new_model
from medkit.runs.folder import open_folder
from medkit.runs.holding import Hold, hold
from medkit.runs.pictures import data_folder
from medkit.training.loop import Loop
from medkit.training.ranks import Ranks


class Bare:
    """What a person writes in a notebook."""

    def __init__(self, task, config, device):
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


def begin(loop: Loop, run, device: torch.device, cache_folder: Path) -> None:
    """Bring a loop to where `Loop.train` takes its first step."""
    places = {"device": device, "cache_folder": cache_folder, "wait_s": 0.0}
    loop.prepare(run, Hold(run.path), Ranks(), progress=True, **places)
    loop.pending, loop.steps_done, loop.save_s, loop.last_save_s = [], 0, 0.0, 0.0
    loop.began = loop.saved_at = loop.shown_at = loop.logged_at = time.monotonic()
    loop.model.train()


def ours(loop: Loop, batch: Batch, count: int) -> None:
    """As in `Loop.train`."""
    for _ in range(count):
        stop = loop.train_step(batch)
        loop.step, loop.steps_done = loop.step + 1, loop.steps_done + 1
        loop.between_steps(float("inf"), stop)
    loop.settle()


def timed(work, *arguments) -> tuple[float, float]:
    """Wall and CPU seconds, the latter of all threads."""
    began = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - began[0], time.process_time() - began[1]


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
        run = open_folder(place, task, config, cases, data=data_folder(cases), fold=0)
        loop, bare = Loop(task, config, cases, 0), Bare(task, config, device)
        begin(loop, run, device, Path(folder, "cache"))
        loop.steps = (1 + arguments.blocks) * arguments.steps
        rows = [(0, k, int(row)) for k, row in enumerate(loop.train_rows[: config.batch_size])]
        batch = next(iter(make_loader(loop.train_set, rows, batch_size=len(rows))))
        batch = Batch(*(part.to(device) for part in batch))
        pairs = []
        for number in range(1 + arguments.blocks):
            sides = {}
            for side in ("bare", "ours") if number % 2 else ("ours", "bare"):
                if side == "bare":
                    sides[side] = timed(bare.steps, batch, arguments.steps)
                    continue
                with hold(run.path) as loop.held:  # its heartbeat costs our blocks alone
                    sides[side] = timed(ours, loop, batch, arguments.steps)
            pairs.append(sides)
    print(
        f"{config.model}, {config.image_size} px, {len(rows)} images a step, {device}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{arguments.blocks} pairs of {arguments.steps} steps"
    )
    for k, name in enumerate(("wall", "CPU")):
        seconds = [[pair[side][k] for pair in pairs[1:]] for side in ("ours", "bare")]
        mine, theirs = (1000 * statistics.median(side) / arguments.steps for side in seconds)
        cost, low, high = median_interval([a / b - 1 for a, b in zip(*seconds)])
        print(
            f"{name} time: ours {mine:.1f} ms a step, bare {theirs:.1f} ms, the loop's own cost "
            f"{cost:+.1%} (95 % interval {low:+.1%} to {high:+.1%})"
        )


if __name__ == "__main__":
    main()
