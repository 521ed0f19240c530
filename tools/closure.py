"""Write down, in version_check.ipynb, every package that the kit brings and what each needs.

    python tools/closure.py     in the environment of a lane; done for both after pins change

The notebook runs alone on a server and has to say which packages are missing there, so it holds
this table for either lane. The pins come from the constraints file, the needs from what the
installed packages say of themselves, for each Python of the lane.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
import textwrap
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "version_check.ipynb"
NAMES = {"constraints-py38.txt": "FLOOR", "constraints.txt": "CURRENT"}  # of the table
TO_INSTALL = ("pip", "setuptools")  # what pip itself is brought up to date from, and builds with
SERVER = {
    **{"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    **{"os_name": "posix", "implementation_name": "cpython"},
    "platform_python_implementation": "CPython",
}


def lane() -> tuple[str, list[str]]:
    """The constraints file of the Python that runs, and the Pythons of that lane."""
    install = runpy.run_path(str(ROOT / "tools" / "install.py"))
    name = install["constraints_for"](sys.version_info)
    first, last = next(ends[:2] for ends in install["LANES"] if ends[2] == name)
    return name, [f"3.{minor}" for minor in range(first[1], last[1] + 1)]


def pins(name: str) -> dict[str, str]:
    """{package: version} of a constraints file."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {item.name: str(item.specifier)[2:] for item in found}


def wanted_by_kit() -> list[str]:
    """The requirements of medkit[notebooks,leaderboard]."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["notebooks"], *extras["leaderboard"]]


def needs(texts: list[str], pythons: list[str]) -> list[str]:
    """Requirements as the notebook reads them: `numpy>=1.24.4`, `zipp>=3.1;<3.10`."""
    found = []
    for item in map(Requirement, texts):
        on = [one for one in pythons if item.marker is None or item.marker.evaluate(seen_by(one))]
        if on and item.extras:
            raise ValueError(f"{item}: extras of other packages are not followed. Teach needs().")
        if on:
            bounds = ",".join(sorted(str(item.specifier).replace(" ", "").split(",")))
            found.append(canonicalize_name(item.name) + bounds + part_of(on, pythons))
    return sorted(set(found))


def seen_by(python: str) -> dict[str, str]:
    """What a marker is judged by, on the server of a contest."""
    return {
        **SERVER,
        **{"python_version": python, "python_full_version": f"{python}.0", "extra": ""},
    }


def part_of(some: list[str], pythons: list[str]) -> str:
    """A part of the lane's Pythons as bounds: "" for all of them, else ";<3.10" or ";>=3.9"."""
    if some == pythons:
        return ""
    if some == pythons[: len(some)]:
        return f";<{pythons[len(some)]}"
    if some == pythons[-len(some) :]:
        return f";>={some[0]}"
    raise ValueError(f"Pythons {some} of {pythons} are neither the first nor the last.")


def closure(name: str, pythons: list[str]) -> dict[str, list[str]]:
    """{"package==pin": needs} of all that installing the kit brings, the kit itself first.

    Raises:
        ValueError: when a package is not pinned, or installed in another version than pinned.
    """
    pinned, found = pins(name), {"medkit": needs(wanted_by_kit(), pythons)}
    todo = [*TO_INSTALL, *found["medkit"]]
    while todo:
        package = re.match(r"[a-z0-9-]+", todo.pop()).group()
        entry = f"{package}=={pinned.get(package)}"
        if entry in found:
            continue
        if package not in pinned:
            raise ValueError(f"{package}: needed, but not pinned. Add it to {name}.")
        found[entry] = [] if package in TO_INSTALL else needs(asked(package, pinned), pythons)
        todo += found[entry]
    return {key: found[key] for key in sorted(found, key=lambda key: (key != "medkit", key))}


def asked(package: str, pinned: dict[str, str]) -> list[str]:
    """The requirements of an installed package, which must be the one that is pinned."""
    installed = metadata.distribution(package)
    if installed.version != pinned[package]:
        raise ValueError(
            f"{package}: installed {installed.version}, pinned {pinned[package]}. "
            "Bring this environment up to date: make install"
        )
    return installed.requires or []


def table(name: str, pythons: list[str]) -> str:
    """The source of the notebook's cell for a lane."""
    words = " ".join(
        " ".join([f"{entry}:", *each]) for entry, each in closure(name, pythons).items()
    )
    filled = textwrap.fill(words, 99, break_long_words=False, break_on_hyphens=False)
    return f'{NAMES[name]} = """\n{filled}\n"""'


def write(notebook: Path = NOTEBOOK) -> None:
    """Put the table of the lane that runs into the notebook."""
    name, pythons = lane()
    content = json.loads(notebook.read_text(encoding="utf-8"))
    (cell,) = (c for c in content["cells"] if c["source"][0].startswith(f"{NAMES[name]} = "))
    cell["source"] = table(name, pythons).splitlines(keepends=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    notebook.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
