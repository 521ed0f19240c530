"""Tests see nothing that a machine happens to have: no fonts, no home, no variables, no caches.

And they leave nothing behind but the folders of tests that failed: what killed processes leave in
the folder for temporary files goes with the home, which conftest.py removes.

`leave_the_machine` is called before any library reads the environment; processes that a test
starts inherit what it leaves.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

KEPT = {  # what a process needs to run at all; all else is cleared
    *("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "TERM", "LANG", "LC_ALL"),
    *("CI", "CUDA_VISIBLE_DEVICES", "HYPOTHESIS_STORAGE_DIRECTORY"),
}
KEPT_BEGIN = ("PYTEST_", "OPENBLAS_")  # some processors need another OpenBLAS kernel
SET = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "JUPYTER_PLATFORM_DIRS": "1",  # jupyter_core 5 warns without it
    "MPLBACKEND": "Agg",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "OMP_NUM_THREADS": "1",  # tests run side by side
}
MARK = "PYTEST_MEDKIT_HOME"  # in a worker's environment: its controller has been here


def leave_the_machine() -> Path:
    """Clear the environment, take a new home, and list the fonts without the system's.

    Returns:
        The home; of a worker process that of its controller.
    """
    if MARK in os.environ:
        return Path(os.environ[MARK])
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(KEPT_BEGIN):
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="medkit-tests-"))
    home.chmod(0o755)  # a test takes another user's place
    fonts = home / "matplotlib"
    fonts.mkdir()
    passing = home / "tmp"
    passing.mkdir()
    os.environ.update(
        {MARK: str(home), "PYTEST_DEBUG_TEMPROOT": tempfile.gettempdir()},
        **SET,
        HOME=str(home),
        MPLCONFIGDIR=str(fonts),
        TMPDIR=str(passing),
    )
    tempfile.tempdir = str(passing)
    _list_fonts(fonts)
    return home


def _list_fonts(folder: Path) -> None:
    """Leave matplotlib's list of fonts where every process will find it: its own fonts alone."""
    import matplotlib.font_manager as manager

    find = manager.findSystemFonts
    manager.findSystemFonts = lambda paths=None, fontext="ttf": (
        find(paths, fontext) if paths else []
    )
    fonts = manager.FontManager()
    manager.findSystemFonts = find
    manager.json_dump(fonts, str(folder / f"fontlist-v{fonts.__version__}.json"))
    manager.fontManager.__dict__.update(fonts.__dict__)
