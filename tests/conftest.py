"""What every test shares: no downloads, quiet libraries, small drawn contests."""

from __future__ import annotations

import os
import signal
import uuid
import warnings
from pathlib import Path

import pytest

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["JUPYTER_PLATFORM_DIRS"] = "1"  # jupyter_core 5 warns without it
os.environ.setdefault("MPLBACKEND", "Agg")
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs behind a shell's & ignore it
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A drawn caries contest of a few small photos; read-only for tests."""
    import medkit as mk

    folder = tmp_path_factory.mktemp("대회") / "dataset"
    small = {"n_train": 18, "n_test": 12, "widths": (240, 320), "decayed_share": 0.2}
    mk.get_task("caries").draw(folder, seed=3, **small)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    """Decoded pictures and submissions of tests stay out of the home folder."""
    monkeypatch.setenv("MEDKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    ledger = tmp_path_factory.getbasetemp() / "ledgers" / f"{uuid.uuid4()}.jsonl"
    monkeypatch.setenv("MEDKIT_LEDGER", str(ledger))


@pytest.fixture(scope="session")
def cases(drawn):
    """Labelled teeth of the drawn contest, in 3 folds."""
    import medkit as mk

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mk.assign_folds(mk.get_task("caries").read(drawn, "train"), n_folds=3, seed=0)
