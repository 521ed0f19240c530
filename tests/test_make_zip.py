"""tools/make_zip.py: what is in the zip, that it repeats to the byte, and that pip takes it."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import medkit

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = runpy.run_path(str(ROOT / "tools" / "make_zip.py"), run_name="make_zip")
make_zip, KEPT = SCRIPT["make_zip"], SCRIPT["KEPT"]
FOLDER = f"medkit-{medkit.__version__}"
PASSED = ("PATH", "HOME")


@pytest.fixture
def source(tmp_path) -> Path:
    """A copy of the kit without git, as downloaded, with what lies about after some use."""
    root = tmp_path / "source"
    for part in KEPT:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            made = shutil.ignore_patterns("__pycache__", ".*")  # by whoever worked here
            shutil.copytree(ROOT / part, root / part, ignore=made)
        else:
            shutil.copy(ROOT / part, root / part)
    for name in (
        *("runs/quick/log.txt", ".venv/bin/python", "dataset/photo.jpg", "notes.txt"),
        *("medkit/__pycache__/x.cpython-38.pyc", "notebooks/.ipynb_checkpoints/01_eda.ipynb"),
        *("medkit.egg-info/PKG-INFO", "tests/test_x.py", "docs/.DS_Store", "medkit/x.pyc"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def names(path) -> list:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def git(*arguments, root):
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments],
        cwd=root,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_one_folder_that_does_not_shadow_the_package_holds_what_a_contestant_needs(
    tmp_path, source
):
    assert make_zip(str(tmp_path / "medkit.zip"), str(source)) == (
        FOLDER,
        len(names(tmp_path / "medkit.zip")),
    )
    inside = names(tmp_path / "medkit.zip")
    assert {name.split("/")[0] for name in inside} == {FOLDER} and FOLDER != "medkit"
    assert {f"{FOLDER}/{part}" for part in KEPT if (source / part).is_file()} <= set(inside)
    assert f"{FOLDER}/notebooks/01_eda.ipynb" in inside
    assert f"{FOLDER}/medkit/leaderboard/templates/ranking.html" in inside
    assert f"{FOLDER}/tools/copy_notebooks.py" in inside
    assert (tmp_path / "medkit.zip").stat().st_size < 0.95e6


def test_beside_the_unpacked_folder_nothing_passes_for_an_installed_package(tmp_path, source):
    make_zip(str(tmp_path / "medkit.zip"), str(source))
    with zipfile.ZipFile(str(tmp_path / "medkit.zip")) as archive:
        archive.extractall(str(tmp_path / "here"))
    tried = [sys.executable, "-S", "-c", "import medkit"]  # -S: without what is installed
    ran = subprocess.run(tried, cwd=tmp_path / "here", env={}, stderr=subprocess.PIPE)
    assert b"No module named 'medkit'" in ran.stderr


def test_what_lies_about_is_left_out_without_git(tmp_path, source):
    make_zip(str(tmp_path / "medkit.zip"), str(source))
    inside = "\n".join(names(tmp_path / "medkit.zip"))
    for word in (
        "pyc",
        "_checkpoints",
        "egg-info",
        "runs/quick",
        ".venv",
        "photo.jpg",
        "notes.txt",
        "DS_",
    ):
        assert word not in inside
    assert "/tests/" not in inside and "/benchmarks/" not in inside
    assert (source / "docs/pictures/hub").is_dir() and "/pictures/hub/" not in inside


def test_git_says_what_belongs_to_it_and_the_same_files_give_the_same_bytes(tmp_path, source):
    make_zip(str(tmp_path / "walked.zip"), str(source))
    git("init", "-q", root=source)
    (source / ".gitignore").write_text("__pycache__/\n*.pyc\n.ipynb_checkpoints/\n.DS_Store\n")
    git("add", *KEPT, root=source)
    (source / "medkit" / "draft.py").write_text("not tracked")
    for path in source.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    make_zip(str(tmp_path / "tracked.zip"), str(source))
    assert (tmp_path / "tracked.zip").read_bytes() == (tmp_path / "walked.zip").read_bytes()


def test_folder_that_git_does_not_know_is_walked(tmp_path, source):
    git("init", "-q", root=tmp_path)  # the kit was unpacked inside somebody's own repository
    git("add", "source/README.md", root=tmp_path)  # which knows a part of it
    make_zip(str(tmp_path / "medkit.zip"), str(source))
    assert f"{FOLDER}/pyproject.toml" in names(tmp_path / "medkit.zip")


def test_part_that_is_missing_and_place_that_cannot_be_written_are_named(tmp_path, source):
    with pytest.raises(SystemExit, match=r"none.medkit.zip is not written \(No such.*another pl"):
        make_zip(str(tmp_path / "none" / "medkit.zip"), str(source))
    (source / "LICENSE").unlink()
    with pytest.raises(SystemExit, match="LICENSE is not there .expected it in .*Fetch the kit"):
        make_zip(str(tmp_path / "medkit.zip"), str(source))
    assert not (tmp_path / "medkit.zip").exists()


def test_everything_in_the_repository_is_either_taken_or_left_on_purpose():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE)
    if listed.returncode:
        pytest.skip("this folder is not known to git")
    tops = {name.split("/")[0] for name in listed.stdout.decode().splitlines()}
    taken = {part.split("/")[0] for part in KEPT}
    assert tops - taken == {".ci", ".gitignore", "Makefile", "benchmarks", "conftest.py", "tests"}


def test_it_says_where_the_zip_is_how_large_and_what_to_do_next(tmp_path):
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_zip.py"), str(tmp_path / "kit.zip")],
        stdout=subprocess.PIPE,
        check=True,
    )
    first, *rest = ran.stdout.decode().splitlines()
    assert first.startswith(f"{tmp_path / 'kit.zip'}: 0.") and first.endswith(f"folder {FOLDER}")
    assert "next: upload it and version_check.ipynb" in rest[0]
