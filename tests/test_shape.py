"""What the bits of a run depend on beside its settings: its shape, recorded and taken over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

import medkit as mk
from medkit.machine import describe_shape
from medkit.models.factory import new_model
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import pacing, state
from medkit.training.state import State

CONFIG = mk.Config("caries", image_size=64, epochs=1, batch_size=24, seed=7, augment="light")
QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
WITH_AVX = "0fbd44314d7343a6153c5331316259be084806f25e5f2b4fcda26bf57e7a78ee"
WITHOUT = "5a93f698eae19336a95e9b1ecc9eeef517ffe9608d8966df309ea94970ca0df7"


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def cases(cases):
    """Few: these runs are trained by a network whose bits depend on threads, and so a slow one."""
    return cases[cases["region"].notna()].groupby("fold").head(40)


@pytest.fixture(autouse=True)
def threads_given_back():
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before, "fit has left its number of threads behind"


@pytest.fixture
def threads():
    """Sets the number of threads of the test, as another machine would have it."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def train(cases, folder, monkeypatch, *, stop_at=None):
    """Weights and log after a run, or after one that was stopped right before a step."""
    whole = State.set_rate

    def set_rate(self):
        if self.step == stop_at:
            raise Stop
        return whole(self)

    with monkeypatch.context() as patched:
        patched.setattr(State, "set_rate", set_rate)
        patched.setattr(pacing, "SAVES_APART", 0)
        with suppress(Stop):  # raised only where `stop_at` lies within an epoch
            mk.fit(CONFIG, cases, folder, save_every_s=0, **QUIET)
    run = mk.Run(folder)
    return weights_hash(load_state(run.last)[0]), (run.path / "log.txt").read_text()


def test_a_run_goes_on_with_the_threads_that_it_began_with(cases, tmp_path, monkeypatch, threads):
    threads(1)
    with_one, _ = train(cases, tmp_path / "one", monkeypatch)
    train(cases, tmp_path / "both", monkeypatch, stop_at=2)
    threads(2)
    with_two, _ = train(cases, tmp_path / "two", monkeypatch)
    assert with_one != with_two, "threads do not matter here, and this test shows nothing"
    resumed, log = train(cases, tmp_path / "both", monkeypatch)
    assert torch.get_num_threads() == 2  # given back
    assert resumed == with_one and "not bit-exact" not in log
    assert mk.Run(tmp_path / "both").machine["threads"] == 1
    threads(1)


@pytest.mark.skipif(
    describe_shape()["cpu_capability"] in ("DEFAULT", "NO AVX"), reason="this CPU has one only"
)
def test_another_cpu_is_named_as_not_bit_exact(cases, drawn, tmp_path, monkeypatch):
    train(cases, tmp_path / "run", monkeypatch, stop_at=2)
    script = f"""
        import medkit as mk
        run = mk.Run({str(tmp_path / "run")!r})
        mk.fit(run.config, run.cases(), run.path, num_workers=0, device="cpu", progress=False)
    """
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    subprocess.run(command, check=True, timeout=300, env=environment)
    run = mk.Run(tmp_path / "run")
    log = (run.path / "log.txt").read_text()
    assert re.search(r"not bit-exact from here: cpu_capability AVX\S* -> (DEFAULT|NO AVX)\n", log)
    assert list(run.history["bit_exact"]) == [False]


def test_another_version_of_the_software_is_named(cases, tmp_path, monkeypatch):
    train(cases, tmp_path / "run", monkeypatch, stop_at=2)
    other = {**describe_shape(), "timm": "9.9.9"}
    monkeypatch.setattr(state.machine, "describe_shape", lambda: other)
    _, log = train(cases, tmp_path / "run", monkeypatch)
    assert re.search(r"not bit-exact from here: timm 1\.0\.\d+ -> 9\.9\.9\n", log)


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_initial_weights_are_equal_over_versions_and_threads(capability):
    """Both lanes are held to the same two hashes, of CPUs with AVX and of those without."""
    script = """
        import torch, medkit as mk
        from medkit.models.factory import new_model
        from medkit.machine import describe_shape
        from medkit.runs.tensor_files import weights_hash
        config = mk.Config("caries", image_size=64, seed=7)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = new_model(mk.get_task("caries"), config)
            name = describe_shape()["cpu_capability"].replace(" ", "-")
            print(name, weights_hash(model.state_dict()))
    """
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, check=True, timeout=300, env=environment, capture_output=True, text=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for found, digest in lines:
        assert digest == (WITHOUT if found in ("DEFAULT", "NO-AVX") else WITH_AVX)


def test_other_seeds_and_models_begin_with_other_weights():
    task = mk.get_task("caries")
    configs = [CONFIG, replace(CONFIG, seed=8), replace(CONFIG, model="test_resnet")]
    hashes = {weights_hash(new_model(task, config).state_dict()) for config in configs}
    assert len(hashes) == 3
