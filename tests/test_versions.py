"""Versions stand in several files, since each is read alone: they must agree."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import medkit
from medkit import machine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALL = runpy.run_path(str(ROOT / "tools" / "install.py"))
FILES = {"floor": "constraints-py38.txt", "current": "constraints.txt"}
ENVIRONMENTS = {"floor": "environment-py38.yml", "current": "environment.yml"}


def constraints(lane: str) -> dict[str, Requirement]:
    lines = (ROOT / FILES[lane]).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len({item.name for item in requirements}) == len(requirements)
    return {item.name: item for item in requirements}


def pin(lane: str, name: str) -> str:
    return str(constraints(lane)[canonicalize_name(name)].specifier)[2:]


def pythons(lane: str) -> list[str]:
    first, last = next(
        (first, last) for first, last, name in INSTALL["LANES"] if name == FILES[lane]
    )
    return [f"3.{minor}" for minor in range(first[1], last[1] + 1)]


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    found = [Requirement(text) for text in texts]
    return [item for item in found if item.name != "medkit"]


@pytest.fixture(scope="module")
def notebook() -> dict:
    """LANES and TESTED of version_check.ipynb."""
    cells = json.loads((ROOT / "version_check.ipynb").read_text(encoding="utf-8"))["cells"]
    space: dict = {}
    for cell in cells:
        source = "".join(cell["source"])
        if source.startswith(("LANES =", "TESTED =")):
            exec(source, space)
    return space


@pytest.mark.parametrize("lane", FILES)
def test_every_constraint_is_one_exact_version_in_order_of_name(lane):
    names = list(constraints(lane))
    assert names == sorted(canonicalize_name(name) for name in names)
    for item in constraints(lane).values():
        assert re.fullmatch(r"==[\w.]+", str(item.specifier)), item
        assert item.marker is None or isinstance(item.marker, Marker)


@pytest.mark.parametrize("lane", FILES)
def test_both_lanes_pin_all_that_the_kit_needs_within_its_bounds(lane):
    for item in requirements():
        assert item.specifier.contains(pin(lane, item.name)), item


def test_the_pins_that_were_chosen_with_care_stay():
    chosen = {name: (pin("floor", name), pin("current", name)) for name in ("torch", "torchvision")}
    assert chosen == {"torch": ("1.13.1", "2.10.0"), "torchvision": ("0.14.1", "0.25.0")}
    assert pin("floor", "albumentations") == "1.4.18"  # the last for Python 3.8
    assert pin("current", "albumentations") == "2.0.8"  # the last under the MIT licence
    for lane in FILES:
        assert "albumentationsx" not in constraints(lane)


def test_lanes_cover_the_pythons_that_the_project_names_and_do_not_overlap():
    covered = pythons("floor") + pythons("current")
    assert covered == sorted(set(covered), key=Version)
    wanted = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(20) if wanted.contains(f"3.{minor}")] == covered


@pytest.mark.parametrize("lane", FILES)
def test_conda_environments_take_their_lanes_python_and_constraints(lane):
    text = (ROOT / ENVIRONMENTS[lane]).read_text(encoding="utf-8")
    *packages, by_pip = yaml.safe_load(text)["dependencies"]
    assert packages == [f"python={pythons(lane)[0]}", "pip"]
    assert by_pip == {"pip": [f"-c {FILES[lane]}", "-e .[notebooks,leaderboard]"]}
    assert "Untried in CI" in text


def test_version_check_names_the_same_lanes(notebook):
    assert list(notebook["LANES"]) == list(FILES)
    for lane, facts in notebook["LANES"].items():
        assert facts["python"] == (pythons(lane)[0], pythons(lane)[-1])
        assert facts["torch"] == pin(lane, "torch")
        assert facts["constraints"] == FILES[lane]


def test_version_check_is_of_this_version(notebook):
    assert notebook["VERSION"] == medkit.__version__


def test_version_check_names_the_cuda_of_the_torch_that_is_here(notebook):
    import torch

    for facts in notebook["LANES"].values():
        if torch.__version__.split("+")[0] == facts["torch"] and torch.version.cuda:
            assert facts["cuda"] == torch.version.cuda
            flags = re.findall(r"sm_(\d+)(\d)", torch._C._cuda_getArchFlags() or "")
            built = sorted((int(major), int(minor)) for major, minor in flags)
            ends = [f"{major}.{minor}" for major, minor in (built[0], built[-1])]
            assert facts["gpu"] == tuple(ends)


def test_version_check_names_the_ranges_between_the_two_lanes(notebook):
    needed = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert list(notebook["TESTED"]) == [*needed, "koreanize-matplotlib", "flask"]
    for name, ends in notebook["TESTED"].items():
        assert ends == (pin("floor", name), pin("current", name)), name


def test_both_lanes_format_alike():
    assert pin("floor", "ruff") == pin("current", "ruff")


def test_machine_json_tells_versions_of_packages_that_the_kit_needs():
    assert set(machine.PACKAGES) <= {item.name for item in requirements()}


def test_changelog_speaks_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## \[(.+)\]", text, re.MULTILINE)
    assert {"Unreleased", medkit.__version__} & set(titles)
