"""The tests' own promise: what a machine happens to have is not seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
from alone import KEPT, KEPT_BEGIN, MARK, SET
from matplotlib import font_manager

MATPLOTLIB = str(Path(matplotlib.__file__).parent)
LOOK = """
import json, os
import matplotlib.font_manager as manager
print(json.dumps([dict(os.environ), [font.fname for font in manager.fontManager.ttflist]]))
"""
DIRTY = {"MEDKIT_PASSWORD": "s3cret", "HTTPS_PROXY": "http://10.0.0.1", "XDG_CACHE_HOME": "/x"}


def look(code, **environment):
    """The environment and the fonts that a process sees, and what it prints to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code + LOOK],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return (*json.loads(done.stdout), done.stderr)


def test_home_cache_and_settings_are_the_tests_own(tmp_path_factory):
    theirs = (os.environ[MARK], str(tmp_path_factory.getbasetemp()))
    for name in ("HOME", "MEDKIT_CACHE", "MPLCONFIGDIR", "TMPDIR"):
        assert os.environ[name].startswith(theirs), name
    assert tempfile.gettempdir() == os.environ["TMPDIR"]
    assert not any(Path.home().iterdir())


def test_fonts_of_the_system_are_hidden():
    ours = ("koreanize_matplotlib", MATPLOTLIB)
    fonts = [font.fname for font in font_manager.fontManager.ttflist]
    assert len(fonts) > 20 and [name for name in fonts if not any(o in name for o in ours)] == []


def test_a_process_that_a_test_starts_sees_as_little():
    environment, fonts, told = look("")
    assert environment["HOME"] == os.environ["HOME"]
    assert fonts and all(name.startswith(MATPLOTLIB) for name in fonts)
    assert told == ""  # no word of a list of fonts that is being made


def test_the_environment_is_cleared_but_for_a_list():
    leave = "import alone, os; del os.environ[alone.MARK]; alone.leave_the_machine()"
    environment, fonts, _ = look(leave, **DIRTY)
    allowed = {"HOME", "MPLCONFIGDIR", "LC_CTYPE", MARK, *KEPT, *SET}
    left = [name for name in environment if name not in allowed]
    assert [name for name in left if not name.startswith(KEPT_BEGIN)] == []
    assert environment["HOME"] != os.environ["HOME"]
    assert all(name.startswith(MATPLOTLIB) for name in fonts)


def test_a_variable_that_a_test_leaves_behind():
    os.environ["MEDKIT_LEFT_BEHIND"] = "1"


def test_is_gone_in_the_next():
    assert "MEDKIT_LEFT_BEHIND" not in os.environ


def test_a_test_that_passed_leaves_no_file(tmp_path):
    code = "def test_it(tmp_path):\n    (tmp_path / 'x').touch()\n    print(tmp_path)\n"
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    command += [f"--rootdir={root}", "-c", root / "pyproject.toml", tmp_path / "test_it.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [line for line in done.stdout.splitlines() if line.startswith("/")]
    assert len(left) == 1 and not Path(left[0]).exists()
