"""version_check.ipynb without a server: its cells as a module, and the facts of fake servers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

NOTEBOOK = Path(__file__).resolve().parent.parent / "version_check.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
GIB = 2**30


def load() -> SimpleNamespace:
    """The names that the notebook's cells make, all but the last cell, which looks around."""
    space = {"__name__": "version_check"}
    for source in SOURCES[:-1]:
        exec(compile(source, NOTEBOOK.name, "exec"), space)
    return SimpleNamespace(space=space, **{k: v for k, v in space.items() if not k.startswith("_")})


def gpu(driver="525.60.13", cuda="12.0", name="NVIDIA RTX A6000", capability="8.6", free=40 * GIB):
    card = {"name": name, "total": 48 * GIB, "free": free, "capability": capability}
    return {"driver": driver, "cuda": cuda, "gpus": [card]}


NO_GPU = {"driver": None, "cuda": None, "gpus": []}
NO_TORCH = {"error": "ModuleNotFoundError: No module named 'torch'"}


def server(check, **changes):
    """The contest's server of 2022: Python 3.8, torch 1.13 that works, no network."""
    torch = {"version": "1.13.0+cu117", "cuda": "11.7", "gpu": "NVIDIA RTX A6000", "error": ""}
    packages = dict.fromkeys(check.TESTED)
    packages.update(torch="1.13.0+cu117", torchvision="0.14.0+cu117", numpy="1.24.1")
    data = {"path": "dataset", "is_readable": True, "is_writable": False, "inside": "1_Train_Val"}
    facts = {
        "python": "3.8.10",
        "torch": torch,
        "gpu": gpu(),
        "memory": (100 * GIB, 503 * GIB),
        "cores": (10, 64),
        "disk": 200 * GIB,
        "is_writable": True,
        "shm": 64 * 2**20,
        "data": data,
        "network": False,
        "packages": packages,
        "system": {"machine": "x86_64", "glibc": "2.31"},
        "widgets": {
            "server": "jupyter-labhub",
            "lab": "5.0.15",
            "classic": True,
            "is_shared": True,
        },
        "kit": {"folder": f"medkit-{check.VERSION}", "error": ""},
        "needs": {},
    }
    return {**facts, **changes}
