"""tools/install.py: the lane is chosen, work is not done twice, and failures say what to do."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "install.py"


@pytest.fixture
def script() -> SimpleNamespace:
    space = runpy.run_path(str(SCRIPT), run_name="install")
    return SimpleNamespace(space=space["install"].__globals__, **space["install"].__globals__)


@pytest.fixture
def calls(script, monkeypatch) -> list:
    """What would be done, instead of doing it."""
    done = []

    def make_environment(folder):
        done.append("environment")
        (Path(folder) / "bin").mkdir(parents=True, exist_ok=True)
        (Path(folder) / "bin" / "python").touch()

    monkeypatch.setitem(script.space, "make_environment", make_environment)
    monkeypatch.setitem(script.space, "pip", lambda python, *arguments: done.append(arguments))
    return done


@pytest.mark.parametrize(
    "version, name",
    [((3, 8, 10), "constraints-py38.txt"), ((3, 10), "constraints-py38.txt")]
    + [((3, 11, 7), "constraints.txt"), ((3, 13), "constraints.txt")],
)
def test_python_decides_the_lane(script, version, name):
    assert script.constraints_for(version) == name


@pytest.mark.parametrize("version", [(2, 7), (3, 7, 16), (3, 14)])
def test_python_of_no_lane_is_refused_by_name(script, version):
    found = f"{version[0]}.{version[1]}"
    with pytest.raises(
        SystemExit, match=f"Python {found} fits no lane .expected 3.8 to 3.13.*make"
    ):
        script.constraints_for(version)


def test_first_install_brings_pip_and_kit_and_the_second_does_nothing(
    script, calls, tmp_path, capsys
):
    constraints = script.constraints_for(sys.version_info)
    script.install(str(tmp_path / "venv"))
    assert calls == [
        "environment",
        ("--upgrade", "-c", constraints, "pip"),
        ("-c", constraints, "-e", ".[test]"),
    ]
    told = capsys.readouterr().out
    assert "minutes" in told and "installed in" in told
    script.install(str(tmp_path / "venv"))
    assert len(calls) == 3 and capsys.readouterr().out == ""


def test_other_pins_install_again(script, calls, tmp_path, monkeypatch):
    script.install(str(tmp_path / "venv"))
    monkeypatch.setitem(script.space, "fingerprint", lambda constraints: "another")
    script.install(str(tmp_path / "venv"))
    assert len(calls) == 6


def test_install_that_failed_is_not_taken_for_done(script, calls, tmp_path, monkeypatch):
    def fail(python, *arguments):
        raise SystemExit("install: pip failed")

    monkeypatch.setitem(script.space, "pip", fail)
    for _ in range(2):
        with pytest.raises(SystemExit, match="pip failed"):
            script.install(str(tmp_path / "venv"))
    assert calls == ["environment", "environment"]


def test_fingerprint_follows_pins_and_project(script, tmp_path):
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    seen = {script.fingerprint("constraints.txt", str(tmp_path))}
    (tmp_path / "constraints.txt").write_text("numpy==2.4.7\n")
    seen.add(script.fingerprint("constraints.txt", str(tmp_path)))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'medkit'\n")
    seen.add(script.fingerprint("constraints.txt", str(tmp_path)))
    assert len(seen) == 3


def test_folder_that_is_no_environment_is_left_alone(script, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"no virtual environment \(found notes.txt\).*make VENV"):
        script.make_environment(str(tmp_path))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_environment_is_kept_for_the_same_python_and_made_anew_for_another(
    script, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr(script.subprocess, "call", lambda command: made.append(command))
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    script.make_environment(str(tmp_path))
    assert made == []
    monkeypatch.setitem(script.space, "version_of", lambda python: "3.5.2")
    script.make_environment(str(tmp_path))
    assert made == [[sys.executable, "-m", "venv", "--clear", str(tmp_path)]]


def test_missing_venv_module_names_the_package_to_install(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit, match="venv failed, see above. On Debian.*python3-venv"):
        script.make_environment(str(tmp_path / "venv"))


def test_failing_pip_shows_its_last_lines_and_a_next_step(script, tmp_path, capfd):
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\necho 'Downloading torch-2.10.0-cp311-cp311-manylinux_2_28.whl (899.8 MB)'\n"
        "echo 'ERROR: no space left'\nexit 3\n"
    )
    fake.chmod(0o755)
    with pytest.raises(SystemExit, match=r"pip failed, see above \(exit status 3\). Mend that"):
        script.pip(str(fake), "numpy")
    out, errors = capfd.readouterr()
    assert out == "  downloading torch (899 MB)\n" and "no space left" in errors


@pytest.mark.parametrize(
    "line, text",
    [
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        (
            "Downloading torch-2.10.0-cp311-cp311-manylinux.whl (899.8 MB)",
            "downloading torch (899 MB)",
        ),
        ("Downloading tqdm-4.70.1-py3-none-any.whl (78 kB)", ""),
        ("Collecting torch<2.11,>=1.13", ""),
    ],
)
def test_only_big_downloads_are_told(script, line, text):
    assert script.news(line) == text
