"""A run that is killed again and again ends with the bits of one that was not.

    python tests/test_kills.py --kills 200

is what `make soak` calls: more kills than a test run has time for.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import medkit as mk
from medkit.runs.folder import open_folder
from medkit.runs.pictures import data_folder
from medkit.runs.tensor_files import load_state, weights_hash

CONFIG = mk.Config(
    "caries",
    model="test_resnet",
    image_size=32,
    epochs=12,
    batch_size=8,
    seed=17,
    augment="light",
    mixup=0.2,
    cutmix=0.5,
    balanced=True,
    ema_decay=0.9,
    drop_rate=0.2,
    drop_path_rate=0.1,
)
MASKS = mk.Config(
    "handbone",
    model="test_resnet",
    image_size=32,
    epochs=8,
    batch_size=4,
    seed=5,
    augment="xray",
    mixup=0.2,
    ema_decay=0.9,
    loss="cross_entropy_dice",
    decoder_channels=(16, 16, 8, 8, 8),
)
PER_RUN = 20  # kills before a run may end
TRAIN = """
import sys, warnings
warnings.simplefilter("ignore")
import medkit as mk
from medkit.training import pacing
pacing.SAVES_APART = 0  # as often as it can: every step
run, workers = mk.Run(sys.argv[1]), int(sys.argv[2])
import torch
torch.set_num_threads(int(sys.argv[3]))
mk.fit(run.config, run.cases(), run.path, save_every_s=0.0, num_workers=workers, device="cpu",
       progress=False)
"""


def start(run, workers, threads=1):
    """`fit` in a process of its own."""
    command = [sys.executable, "-c", TRAIN, str(run.path), str(workers), str(threads)]
    return subprocess.Popen(command, start_new_session=True)


def begin(folder, cases, config):
    """A run folder in which nothing is trained yet."""
    task = mk.get_task(config.task)
    return open_folder(Path(folder), task, config, cases, data=data_folder(cases), fold=0)


def result(run):
    """All that must be equal bit for bit; of masks their files, too."""
    names = ["history.csv", "predictions.csv", "best.safetensors"]
    names += sorted(path.relative_to(run.path) for path in run.path.glob("valid/*/*"))
    weights = weights_hash(load_state(run.last)[0])
    return weights, [(run.path / name).read_bytes() for name in names]


def train_and_kill(run, kills, moments):
    """Kill it so often at random moments, with 0 to 3 workers in turn, then let it end.

    Returns:
        How many kills found it training (the others, at its start or between two saves, count too).
    """
    hit = 0
    for number in range(kills):
        process = start(run, number % 4, threads=2 if run.is_begun else 1)
        until = time.monotonic() + 300
        while run.state != "running":  # the imports are over
            assert time.monotonic() < until and process.poll() in (None, 0)
            if process.poll() == 0:
                return hit  # it was faster than its killer
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 1.2))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            hit += run.is_begun
        process.wait()
    assert start(run, 0).wait(300) == 0
    return hit


def soak(cases, folder, kills, seed=0, config=CONFIG):
    """Runs killed until there were `kills`, each compared with the one that was not killed."""
    moments = random.Random(seed)
    straight = begin(folder / "straight", cases, config)
    assert start(straight, 0).wait(300) == 0
    wanted, done = result(straight), 0
    for number in range(10**6):
        run = begin(folder / f"killed-{number}", cases, config)
        done += train_and_kill(run, min(PER_RUN, kills - done), moments)
        assert result(run) == wanted, f"{run.path}: other bits than the run that was not killed"
        assert run.history["bit_exact"].all()
        if done >= kills:
            return done


def test_kills_at_random_moments_do_not_change_a_bit(cases, tmp_path):
    assert soak(cases, tmp_path, 2) == 2


@pytest.mark.slow
def test_kills_do_not_change_a_bit_of_masks(tmp_path):
    task = mk.get_task("handbone")
    task.draw(tmp_path / "data", n_train=12, n_test=1, size=64)
    cases = mk.assign_folds(task, task.read(tmp_path / "data", "train"), n_folds=3, seed=1)
    assert soak(cases, tmp_path, 6, config=MASKS) == 6


@pytest.mark.slow
def test_many_kills_do_not_change_a_bit(cases, tmp_path):
    kills = 10 if sys.version_info < (3, 9) else 40
    assert soak(cases, tmp_path, kills, seed=1) == kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["MEDKIT_CACHE"] = str(folder / "cache")
        task, small = mk.get_task("caries"), {"widths": (240, 320), "decayed_share": 0.2}
        task.draw(folder / "data", seed=3, n_train=18, n_test=12, **small)
        cases = mk.assign_folds(task, task.read(folder / "data", "train"), n_folds=3, seed=0)
        began = time.monotonic()
        done = soak(cases, folder, arguments.kills, arguments.seed)
        print(f"{done} kills in {time.monotonic() - began:.0f} s: every run ended in the same bits")


if __name__ == "__main__":
    main()
