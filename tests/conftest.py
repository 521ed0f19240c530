"""Small drawn contests that several tests look at."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest


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
