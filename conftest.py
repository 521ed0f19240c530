"""What all tests share: a machine that holds nothing. And what the examples in docstrings stand on.

`pytest --doctest-modules medkit` runs each example in an empty folder, where these names are known:

    task, data          the contest of decayed teeth, and its folder
    cases, test_cases   its labelled teeth in 3 folds, and its unlabelled ones
    config, run, runs   settings that train in a second, a run of fold 0 by them, and of all folds
    held_out            the cases of fold 0; `run.predictions` are of these
    predictions         what the run says of the test cases
    bones, hands        the contest of hand bones, whose answer is masks, and labelled pictures
    bone_masks          predictions of these: the true masks, each moved by a pixel
    recording           a night of 65 s, as EDF with annotations
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import uuid
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from alone import leave_the_machine  # noqa: E402

HOME = leave_the_machine()
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs behind a shell's & ignore it


LONGEST = (  # begun first, so that at the end no worker is waited for
    *("notebooks", "ranks", "launching", "tuning", "kills", "folds", "recipes", "shape", "loop"),
    "every_contest",
)


def pytest_configure(config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist's own order: most tests first


def pytest_collection_modifyitems(items) -> None:
    items.sort(key=lambda item: item.path.stem[len("test_") :] not in LONGEST)


def pytest_unconfigure(config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(HOME, ignore_errors=True)


def pytest_collection_finish(session) -> None:
    """What is imported by now is passed over by gc.collect(), with which each run ends."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch) -> None:
    """Each test has a home, a ledger and an environment of its own; decoded pictures are shared."""
    before = dict(os.environ)
    base = tmp_path_factory.getbasetemp()
    home = base / "homes" / uuid.uuid4().hex
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MEDKIT_CACHE", str(base / "cache"))
    yield
    monkeypatch.undo()
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def example_names(tmp_path_factory) -> dict:
    """What the examples may use without saying where it comes from."""
    import numpy as np
    import pandas as pd
    from drawn_contests import masks_of
    from small_recordings import write_recording

    import medkit as mk

    folder = tmp_path_factory.mktemp("examples")
    task, bones = mk.get_task("caries"), mk.get_task("handbone")
    small = {"n_train": 18, "n_test": 6, "widths": (240, 320), "decayed_share": 0.2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of records that are quarantined, drawn on purpose
        task.draw(folder / "data", seed=3, **small)
        bones.draw(folder / "hands", n_train=3, n_test=1, size=64)
        cases = mk.assign_folds(task, task.read(folder / "data", "train"), n_folds=3)
        test_cases = task.read(folder / "data", "test")
        hands = bones.read(folder / "hands", "train")
    config = mk.Config("caries", model="test_resnet", image_size=32, epochs=2, batch_size=8)
    quiet = {"num_workers": 0, "device": "cpu", "progress": False}
    runs = [mk.fit(config, cases, folder / f"fold{k}", fold=k, **quiet) for k in range(3)]
    names = {
        **{"mk": mk, "pd": pd, "Path": Path},
        **{"task": task, "data": folder / "data", "config": config, "run": runs[0], "runs": runs},
        **{"cases": cases, "test_cases": test_cases, "held_out": cases[cases["fold"] == 0]},
        "predictions": mk.predict(runs[0], test_cases, device="cpu", progress=False),
        **{"bones": bones, "hands": hands},
        "bone_masks": masks_of(
            bones, hands, folder, lambda mask, rng: 255 * np.roll(mask, 1, axis=1)
        ),
    }
    if find_spec("pyedflib"):  # it has no wheel for some Pythons
        stages = [(0, 30, "Sleep stage W"), (30, 30, "Sleep stage N2")]
        names["recording"] = write_recording(folder / "night.edf", seconds=65, stages=stages)
    return names


@pytest.fixture(autouse=True)
def in_an_empty_folder(request) -> None:
    """For examples alone; tests have what tests/conftest.py gives them."""
    if isinstance(request.node, pytest.DoctestItem):
        names = request.getfixturevalue("example_names")
        if "edf" in request.node.name and "recording" not in names:
            pytest.skip("pyedflib is not here")
        request.getfixturevalue("doctest_namespace").update(names)
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
        from small_runs import draw_few

        draw_few(monkeypatch)
