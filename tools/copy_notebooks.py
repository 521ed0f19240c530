"""Copy the notebooks once into work/, the Korean ones into work_ko/, beside the kit's folder.

The last line of the install cell.

    %run medkit-0.1.0/tools/copy_notebooks.py

A notebook there is yours: it is never overwritten. Where a later kit has another version of
it, that one is laid beside, with the kit's version in its name. Standard library only.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

KIT = Path(__file__).resolve().parent.parent
WORK = {"work": "notebooks", "work_ko": "notebooks/ko"}  # where to: where from, in the kit
SHIPPED = ".medkit_notebooks.json"  # in each: {notebook: hashes of what was laid there}
ASK = "from importlib.metadata import version; print(version('medkit'))"


def copy_notebooks(kit, work):
    """Lay the notebooks of `kit` that belong into `work`, each whole or not at all.

    Returns:
        What is new there, a sentence each; empty when nothing is.

    Raises:
        OSError: when `work` cannot be written.
    """
    work.mkdir(exist_ok=True)
    shipped, news = read_shipped(work / SHIPPED), []
    for path in sorted((kit / WORK[work.name]).glob("[0-9]*.ipynb")):
        data = path.read_bytes()
        known, digest = shipped.setdefault(path.name, []), hashlib.sha256(data).hexdigest()
        place = free_name(work, path, data, version_of(kit))
        is_there = (work / path.name).exists()
        if place and not (is_there and digest in known):
            write_whole(work / place, data)
            kept = f"; your {path.name} stays as it is" if is_there else ""
            news.append(f"{work.name}/{place} is new{kept}")
        if digest not in known:
            known.append(digest)
            write_whole(work / SHIPPED, json.dumps(shipped, indent=1).encode())
    return news


def free_name(work, path, data, version):
    """A name for a notebook that no file has: its own, else with the version, else numbered.

    Returns:
        None when one of these names holds `data` already.
    """
    count, name = 1, path.name
    while (work / name).exists():
        if (work / name).is_file() and (work / name).read_bytes() == data:
            return None
        name = path.stem + "_" + version + (f"_{count}" if count > 1 else "") + path.suffix
        count += 1
    return name


def read_shipped(path):
    """{notebook: hashes}; empty where it cannot be read: at worst a copy more is laid beside."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(found, dict) and all(isinstance(one, list) for one in found.values())
    return found if is_ours else {}


def write_whole(path, data):
    """Write a file so that it is there whole or not at all."""
    part = path.with_name("." + path.name + ".part")
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def version_of(kit):
    """The version of the kit in this folder."""
    text = (kit / "medkit" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"', text, re.MULTILINE).group(1)


def installed():
    """The installed version of medkit, as a new kernel will find it; "" when there is none."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return asked.stdout.decode().strip()


def main(kit=KIT):
    """Copy, and say what is new and what to do next."""
    for work in (kit.parent / name for name in WORK):
        try:
            news = copy_notebooks(kit, work)
        except OSError as error:
            raise SystemExit(
                f"copy_notebooks: {work} cannot be written ({error.strerror}). Put medkit.zip into "
                "a folder where you may write, and run this cell there."
            ) from error
        for line in news or [f"{work.name}: nothing new; your notebooks stay as they are"]:
            print(line)
    if installed() != version_of(kit):
        print(
            f"medkit {version_of(kit)} is not installed: pip's last lines above say why. Mend "
            "that, then run this cell again."
        )
        print(
            "설치되지 않았습니다. 위의 pip 마지막 줄에 이유가 있으니, "
            "해결한 뒤 이 셀을 다시 실행하세요"
        )
    else:
        print("Now restart the kernel (menu Kernel) and open work/01_eda.ipynb")
        print("이제 커널을 다시 시작하고(Kernel 메뉴) work_ko/01_eda.ipynb를 여세요")


if __name__ == "__main__":
    main()
