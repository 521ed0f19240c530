"""tools/copy_notebooks.py: notebooks are laid into two folders once, and never over a file."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import medkit

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "copy_notebooks.py"
NAMES = ["01_eda.ipynb", "02_training.ipynb"]
RESTART = [
    "Now restart the kernel (menu Kernel) and open work/01_eda.ipynb",
    "이제 커널을 다시 시작하고(Kernel 메뉴) work_ko/01_eda.ipynb를 여세요",
]
NEW = ["work/01_eda.ipynb is new", "work/02_training.ipynb is new"]


@pytest.fixture
def script() -> SimpleNamespace:
    space = runpy.run_path(str(SCRIPT), run_name="copy_notebooks")
    return SimpleNamespace(space=space["main"].__globals__, **space["main"].__globals__)


def unpack(folder, version, **texts) -> Path:
    """A kit as an unpacked zip leaves it, with two notebooks; `_02_training="..."` changes one."""
    kit = folder / f"medkit-{version}"
    (kit / "notebooks" / "ko").mkdir(parents=True, exist_ok=True)
    (kit / "notebooks" / "ko" / NAMES[0]).write_text("shipped in Korean")
    (kit / "medkit").mkdir(exist_ok=True)
    (kit / "medkit" / "__init__.py").write_text(f'"""x"""\n\n__version__ = "{version}"\n')
    for name in NAMES:
        (kit / "notebooks" / name).write_text(texts.get("_" + name[:-6], f"shipped {name}"))
    (kit / "notebooks" / "notes.txt").write_text("no notebook")
    return kit


def visible(work) -> dict:
    return {path.name: path.read_text() for path in work.iterdir() if path.name[0] != "."}


def test_first_time_all_are_copied_and_running_it_again_changes_nothing(script, tmp_path):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work"
    assert script.copy_notebooks(kit, work) == NEW
    assert visible(work) == {name: f"shipped {name}" for name in NAMES}
    (work / NAMES[0]).write_text("edited")
    before = {path.name: path.stat().st_mtime_ns for path in work.iterdir()}
    assert script.copy_notebooks(kit, work) == []
    assert {path.name: path.stat().st_mtime_ns for path in work.iterdir()} == before
    assert (work / NAMES[0]).read_text() == "edited"


def test_the_korean_ones_have_a_folder_of_their_own(script, tmp_path):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work_ko"
    assert script.copy_notebooks(kit, work) == ["work_ko/01_eda.ipynb is new"]
    assert visible(work) == {NAMES[0]: "shipped in Korean"}
    assert all((ROOT / folder / "01_eda.ipynb").is_file() for folder in script.WORK.values())


def test_notebook_that_was_thrown_away_comes_back(script, tmp_path):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work"
    script.copy_notebooks(kit, work)
    (work / NAMES[1]).unlink()
    assert script.copy_notebooks(kit, work) == NEW[1:]


@pytest.mark.parametrize("mine", ["edited", "shipped 02_training.ipynb"])
def test_a_newer_version_is_laid_beside_once_and_told_by_name(script, tmp_path, mine):
    work = tmp_path / "work"
    script.copy_notebooks(unpack(tmp_path, "0.1.0"), work)
    (work / NAMES[1]).write_text(mine)
    newer = unpack(tmp_path, "0.2.0", _02_training="better")
    assert script.copy_notebooks(newer, work) == [
        "work/02_training_0.2.0.ipynb is new; your 02_training.ipynb stays as it is"
    ]
    assert visible(work)["02_training.ipynb"] == mine
    assert visible(work)["02_training_0.2.0.ipynb"] == "better"
    (work / "02_training_0.2.0.ipynb").write_text("edited too")
    assert script.copy_notebooks(newer, work) == []
    (work / "02_training_0.2.0.ipynb").unlink()  # not wanted: it does not come back
    assert script.copy_notebooks(newer, work) == []


def test_a_file_of_somebody_elses_keeps_its_name(script, tmp_path):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work"
    work.mkdir()
    (work / NAMES[0]).write_text("foreign")
    (work / "01_eda_0.1.0.ipynb").mkdir()
    assert script.copy_notebooks(kit, work)[0] == (
        "work/01_eda_0.1.0_2.ipynb is new; your 01_eda.ipynb stays as it is"
    )
    assert (work / NAMES[0]).read_text() == "foreign"
    assert (work / "01_eda_0.1.0_2.ipynb").read_text() == "shipped 01_eda.ipynb"


def test_a_copy_made_by_hand_is_recognised(script, tmp_path):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work"
    work.mkdir()
    (work / NAMES[0]).write_text(f"shipped {NAMES[0]}")
    assert script.copy_notebooks(kit, work) == NEW[1:]


@pytest.mark.parametrize("moment", range(4))
def test_a_crash_in_the_middle_leaves_whole_files_and_the_next_run_goes_on(
    script, tmp_path, monkeypatch, moment
):
    kit, work, replaced = unpack(tmp_path, "0.1.0"), tmp_path / "work", os.replace
    calls = []

    def crash(source, target):
        calls.append(target)
        if len(calls) == moment + 1:
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        script.copy_notebooks(kit, work)
    monkeypatch.undo()
    done = visible(work)
    assert len(done) == (moment + 1) // 2
    assert all(text == f"shipped {name}" for name, text in done.items())
    assert script.copy_notebooks(kit, work) == NEW[len(done) :]
    assert visible(work) == {name: f"shipped {name}" for name in NAMES}


@pytest.mark.parametrize("memory", ["", "[]", '{"01_eda.ipynb": 3}', "half of {"])
def test_a_broken_memory_costs_a_copy_and_no_work(script, tmp_path, memory):
    kit, work = unpack(tmp_path, "0.1.0"), tmp_path / "work"
    script.copy_notebooks(kit, work)
    (work / NAMES[0]).write_text("edited")
    (work / script.SHIPPED).write_text(memory)
    assert script.copy_notebooks(kit, work) == [
        "work/01_eda_0.1.0.ipynb is new; your 01_eda.ipynb stays as it is"
    ]
    assert (work / NAMES[0]).read_text() == "edited"


def test_work_that_cannot_be_written_is_named_with_a_way_out(script, tmp_path):
    kit = unpack(tmp_path, "0.1.0")
    (tmp_path / "work").write_text("a file, not a folder")
    with pytest.raises(SystemExit, match=r"work cannot be written \(File exists\). Put medkit.zip"):
        script.main(kit)


def test_a_read_only_disk_is_told_like_a_full_one(script, tmp_path, monkeypatch):
    def refuse(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setitem(script.space, "write_whole", refuse)
    with pytest.raises(SystemExit, match=r"cannot be written \(Permission denied\).*run this cell"):
        script.main(unpack(tmp_path, "0.1.0"))


@pytest.mark.parametrize("version", ["0.1.0", ""])
def test_its_last_line_says_what_to_do_next(script, tmp_path, monkeypatch, capsys, version):
    monkeypatch.setitem(script.space, "installed", lambda: version)
    kit = unpack(tmp_path, "0.1.0")
    script.main(kit)
    script.main(kit)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [*NEW, "work_ko/01_eda.ipynb is new"]
    assert lines[5].startswith("work: nothing new; your notebooks stay")
    assert lines[6].startswith("work_ko: nothing new; your notebooks stay")
    if version:
        assert lines[-2:] == RESTART
    else:
        assert lines[-2].startswith("medkit 0.1.0 is not installed: pip's last lines above say why")
        assert lines[-1].startswith("설치되지 않았습니다. 위의 pip 마지막 줄에 이유가 있으니")


def test_it_runs_beside_the_kits_folder_from_anywhere(script, tmp_path):
    assert script.installed() == medkit.__version__  # in the Python that runs the tests
    kit = unpack(tmp_path, medkit.__version__)
    (kit / "tools").mkdir()
    (kit / "tools" / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
    (tmp_path / "elsewhere").mkdir()
    ran = subprocess.run(
        [sys.executable, str(kit / "tools" / SCRIPT.name)],
        cwd=tmp_path / "elsewhere",
        stdout=subprocess.PIPE,
        check=True,
    )
    assert "01_eda.ipynb" in visible(tmp_path / "work")
    assert "Now restart the kernel" in ran.stdout.decode()
