"""version_check.ipynb names what a server lacks and no more, and the table behind it is right."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from fake_servers import NO_GPU, NO_TORCH, SOURCES, load, server
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import closure  # noqa: E402

LANES = {"floor": ("3.8.10", "1.13.1"), "current": ("3.11.7", "2.10.0")}
JUPYTER = ["ipykernel", "nbclient", "nbformat", "requests", "pyyaml", "setuptools"]


@pytest.fixture
def check():
    return load()


def installed(check, lane, roots, **others) -> dict:
    """Facts of a server of a lane that has `roots` and all that they need, as they are pinned."""
    python, torch = LANES[lane]
    table, here, todo = check.needed(lane), {}, list(roots)
    while todo:
        name = todo.pop()
        if name not in here:
            here[name], needs = table[name]
            todo += [one[0] for one in needs if check.meets(python, one[2])]
    needs = {name: [one[:2] for one in table[name][1] if one[0] in here] for name in here}
    works = {"version": torch, "cuda": "11.7", "gpu": "", "error": ""}
    facts = server(check, python=python, gpu=NO_GPU, torch=works, needs=needs)
    return {**facts, "packages": {**here, **others}}


def test_the_table_is_what_this_environment_says_of_itself():
    name, pythons = closure.lane()
    if f"3.{sys.version_info[1]}" != pythons[0]:
        pytest.skip(f"the table is made with the first Python of the lane, {pythons[0]}")
    (source,) = [text for text in SOURCES if text.startswith(f"{closure.NAMES[name]} = ")]
    assert source == closure.table(name, pythons)


def test_the_tool_writes_the_table_and_nothing_else(tmp_path):
    name, pythons = closure.lane()
    if f"3.{sys.version_info[1]}" != pythons[0]:
        pytest.skip(f"the table is made with the first Python of the lane, {pythons[0]}")
    text = closure.NOTEBOOK.read_text(encoding="utf-8")
    path = tmp_path / "version_check.ipynb"
    path.write_text(text.replace("albucore==0.0.", "albucore==9.9."), encoding="utf-8")
    closure.write(path)
    pins = re.compile(r"albucore==[\d.]+")
    mine = closure.pins(name)["albucore"]
    assert f"albucore=={mine}:" in path.read_text(encoding="utf-8")
    assert pins.sub("", path.read_text(encoding="utf-8")) == pins.sub("", text)


def test_a_need_that_is_not_pinned_and_a_wrong_version_are_refused(monkeypatch):
    name, pythons = closure.lane()
    pinned = closure.pins(name)
    monkeypatch.setattr(closure, "pins", lambda _: {**pinned, "flask": "0.1"})
    with pytest.raises(ValueError, match="flask: installed .*, pinned 0.1. Bring this env"):
        closure.closure(name, pythons)
    del pinned["flask"]
    monkeypatch.setattr(closure, "pins", lambda _: pinned)
    with pytest.raises(ValueError, match=f"flask: needed, but not pinned. Add it to {name}"):
        closure.closure(name, pythons)


def test_pythons_of_a_marker_become_bounds():
    three = ["3.8", "3.9", "3.10"]
    texts = ['zipp>=3.1 ; python_version < "3.10"', "numpy (<2,>=1.20)", 'x; extra == "test"']
    texts += ['pins>=1; python_version >= "3.9"', 'a; sys_platform == "win32"', "Typing_Ext"]
    assert closure.needs(texts, three) == [
        *("numpy<2,>=1.20", "pins>=1;>=3.9", "typing-ext", "zipp>=3.1;<3.10")
    ]
    with pytest.raises(ValueError, match="neither the first nor the last"):
        closure.needs(['x; python_version == "3.9"'], three)
    with pytest.raises(ValueError, match="extras of other packages are not followed"):
        closure.needs(["x[y]"], three)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("python", ["3.8.1", "3.10.13", "3.13.0"])
def test_a_bare_server_lacks_every_pin_that_its_python_needs(check, lane, python):
    facts = server(check, python=python, torch=NO_TORCH, packages={})
    found = check.lacking(facts, lane)
    table = check.needed(lane)
    assert found["torch"] == LANES[lane][1] and len(found) > 90
    for name in found:
        for need, bounds, pythons in table[name][1]:
            if SpecifierSet(pythons).contains(python):
                assert SpecifierSet(bounds).contains(found[need]), (name, need)
    assert ("zipp" in found) == (lane == "floor" and python == "3.8.1")


@pytest.mark.parametrize("lane", LANES)
def test_torch_and_what_it_needs_are_not_fetched_again(check, lane):
    facts = installed(check, lane, ["torch", "torchvision", *JUPYTER])
    count, commands = check.commands_elsewhere(facts, lane)
    fetched = re.findall(r" ([a-z0-9-]+)==", commands)
    assert count == len(fetched) <= 46 and {"pip", "setuptools", "timm"} <= set(fetched)
    assert not [name for name in fetched if name.startswith(("torch", "nvidia-", "cuda-"))]
    assert not {"triton", "ipykernel", "tornado", "numpy", "pillow"} & set(fetched)
    science = ["scipy", "pandas", "matplotlib", "scikit-learn"]
    facts = installed(check, lane, ["torch", "torchvision", *JUPYTER, *science])
    assert check.commands_elsewhere(facts, lane)[0] <= 38


def test_the_other_computer_is_told_whose_wheels_to_fetch(check):
    facts = installed(check, "floor", ["torch", "torchvision", *JUPYTER])
    fetch, pack = check.commands_elsewhere(facts, "floor")[1].splitlines()
    assert fetch.startswith(
        "python -m pip download --dest wheels --no-deps --only-binary=:all: --platform "
        "manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --python-version 3.8.10 pip==25.0.1"
    )
    assert pack == "python -m zipfile -c wheels.zip wheels"
    facts["system"] = {"machine": "aarch64", "glibc": "2.17"}
    fetch = check.commands_elsewhere(facts, "floor")[1]
    assert "--platform manylinux2014_aarch64 --python-version" in fetch and "2_28" not in fetch


@pytest.mark.parametrize("pip, is_brought", [("20.0.2", True), ("25.0.1", False), ("25.3", False)])
def test_pip_is_brought_first_where_it_is_old_and_left_alone_where_not(check, pip, is_brought):
    facts = installed(check, "floor", ["torch", "torchvision", *JUPYTER], pip=pip)
    assert ("pip==25.0.1" in check.commands_elsewhere(facts, "floor")[1]) == is_brought
    for cell in (check.cell_with_network, check.cell_without_network):
        lines = [line for line in cell(facts, "floor").splitlines() if line.startswith("%pip")]
        assert len(lines) == 1 + is_brought
        assert lines[0].endswith("--upgrade pip==25.0.1") == is_brought


def test_other_machines_get_no_cuda_of_an_intel_machine(check):
    facts = server(check, python="3.11.7", torch=NO_TORCH, packages={})
    facts["system"] = {"machine": "aarch64", "glibc": "2.35"}
    found = check.lacking(facts, "current")
    assert found["torch"] == "2.10.0"
    assert not [name for name in found if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.parametrize(
    "version, bounds",
    [("1.24.4", ">=1.24.4"), ("1.24.1", ">=1.24.4"), ("2.0", "<2"), ("2.0.0", "<2.0,>=1.16")]
    + [("5.0.1", "!=5.0.*,>=4.12"), ("5.1", "!=5.0.*,>=4.12"), ("4.0.16", "~=4.0.14")]
    + [("4.1.0", "~=4.0.14"), ("3.1", "~=1.1"), ("1.9", "~=1.1"), ("1.13.1", "==1.13.1")]
    + [("1.13.1", "==1.13.*"), ("1.14", "==1.13.*"), ("8", ">=8.0"), ("3.0.37", "!=3.0.37")]
    + [("0.16", ">0.16"), ("0.17", ">0.16"), ("3.8", "<=3.8"), ("1.2.3", ""), ("1.0", "===1.0")],
)
def test_bounds_mean_what_pip_means_by_them(check, version, bounds):
    assert check.meets(version, bounds) == SpecifierSet(bounds).contains(version)


@pytest.mark.parametrize("torch", ["1.13.0+cu117", "2.0.1", "2.5.1", "2.10.0"])
def test_missing_torchvision_is_the_one_made_for_the_torch_that_stays(check, torch):
    pairs = {"1.13.0": "0.14.0", "2.0.1": "0.15.2", "2.5.1": "0.20.1", "2.10.0": "0.25.0"}
    facts = installed(check, "current", ["torch", *JUPYTER])
    facts["torch"]["version"] = facts["packages"]["torch"] = torch
    found = check.lacking(facts, "current")
    assert found["torchvision"] == pairs[torch.split("+")[0]] and "torch" not in found


def test_what_stands_in_the_way_of_a_new_version_is_renewed_with_it(check):
    have = ["torch", "torchvision", "scipy", *JUPYTER]
    facts = installed(check, "floor", have, numpy="1.23.5", scipy="1.10.0")
    assert {"numpy", "scipy"} & set(check.lacking(facts, "floor")) == {"numpy"}
    facts["needs"]["scipy"] = [("numpy", ">=1.19.5,<1.24")]
    found = check.lacking(facts, "floor")
    assert (found["numpy"], found["scipy"]) == ("1.24.4", "1.10.1")
    facts["needs"]["torchvision"] = [("numpy", "<1.24")]  # torch's pair stays, come what may
    assert "torchvision" not in check.lacking(facts, "floor")


def test_what_a_package_that_stays_never_had_is_brought_if_the_table_has_it(check):
    facts = installed(check, "floor", ["torch", "torchvision", *JUPYTER], wheel=None)
    assert check.lacking(facts, "floor")["wheel"] == "0.45.1"  # pip asks for it all the same
    facts["needs"]["nvidia-cublas-cu11"] = [("wheel", "<0.1"), ("unheard-of", "")]
    facts["needs"]["nvidia-cuda-runtime-cu11"] = []
    assert not {"wheel", "unheard-of"} & set(check.lacking(facts, "floor"))


def test_needs_of_installed_packages_are_read_from_their_records(check, monkeypatch):
    texts = {
        "a": ["B_c (>=1,<2)", "d[x]>=3; extra == 'x'", "d!=4.0.*", "not-asked>=1"],
        "b-c": ['a>=2; python_version >= "3.12"', 'd>=1 ; python_version < "3.9"'],
        "d": None,
    }
    from importlib import metadata

    monkeypatch.setattr(metadata, "requires", texts.get)
    packages = {"a": "1", "b-c": "1", "d": "1", "e": None}
    assert check.look_at_needs(packages, "3.8.10") == {
        "a": [("b-c", ">=1,<2"), ("d", "!=4.0.*")],
        "b-c": [("d", ">=1")],
        "d": [],
    }
    assert check.applies('os_name == "nt" or python_version < "3"', "3.8.10")  # in doubt it does
