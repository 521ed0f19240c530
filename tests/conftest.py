"""What every test shares: a machine that holds nothing, and small drawn contests."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import uuid
import warnings
from pathlib import Path

import pytest
from alone import leave_the_machine

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


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A drawn caries contest of a few small photos; read-only for tests."""
    import medkit as mk

    folder = tmp_path_factory.mktemp("대회") / "dataset"
    small = {"n_train": 18, "n_test": 12, "widths": (240, 320), "decayed_share": 0.2}
    mk.get_task("caries").draw(folder, seed=3, **small)
    return folder


@pytest.fixture(scope="session")
def cases(drawn):
    """Labelled teeth of the drawn contest, in 3 folds."""
    import medkit as mk

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = mk.get_task("caries")
        return mk.assign_folds(task, task.read(drawn, "train"), n_folds=3, seed=0)


@pytest.fixture(scope="module")
def shapes():
    """A contest of discs and bars, whose answer is masks."""
    import mask_contests

    import medkit as mk

    made = mk.add_task(mask_contests.make_task())
    yield made
    mk.datasets.TASKS.pop(made.name)


@pytest.fixture(scope="module")
def shape_cases(shapes, tmp_path_factory):
    """Sixteen pictures of these, in two folds."""
    import mask_contests

    return mask_contests.read(shapes, mask_contests.draw(tmp_path_factory.mktemp("data"), 16))
