"""A run that is killed again and again ends with the bits of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time

import pytest

import medkit as mk
from medkit.runs.state import load_state, weights_hash
from medkit.tables import write_cases

KILLS = 6


def start(config, folder, cases, data, workers):
    """`fit` in a process of its own."""
    script = f"""
        import medkit as mk, torch
        from medkit.tables import read_cases
        torch.set_num_threads(1)
        cases = read_cases({str(cases)!r}, {str(data)!r})
        mk.fit(mk.Config(**{config.to_dict()!r}), cases, {str(folder)!r}, save_every_s=0,
               num_workers={workers}, device="cpu", progress=False)
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])


def result(folder):
    run = mk.Run(folder)
    names = ("history.csv", "predictions.csv", "best.safetensors")
    weights = weights_hash(load_state(run.last)[0])
    return weights, [(run.path / name).read_bytes() for name in names]


@pytest.mark.slow
def test_kills_at_random_moments_do_not_change_a_bit(cases, drawn, tmp_path):
    config = mk.Config(
        "caries", model="test_resnet", image_size=32, epochs=6, batch_size=8, ema_decay=0.9
    )
    write_cases(cases, tmp_path / "cases.csv", drawn)
    straight = start(config, tmp_path / "straight", tmp_path / "cases.csv", drawn, 0)
    assert straight.wait(300) == 0
    moments, kills = random.Random(0), 0
    while True:
        killed = start(config, tmp_path / "killed", tmp_path / "cases.csv", drawn, kills % 3)
        if kills < KILLS:
            until = time.monotonic() + 120  # the first state shows that the steps have begun
            while not (tmp_path / "killed" / "last.safetensors").exists():
                assert time.monotonic() < until and killed.poll() is None
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 6.0))
            killed.kill()
            killed.wait()
            kills += 1
        elif killed.wait(300) == 0:
            break
        else:
            raise AssertionError("the last start did not end well")
    assert result(tmp_path / "killed") == result(tmp_path / "straight")
