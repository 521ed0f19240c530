"""Make medkit.zip: what a contestant uploads to a server. What `make zip` does.

    python3 tools/make_zip.py [medkit.zip]

The same files give the same bytes. The folder in it is called medkit-VERSION and not medkit:
beside a folder medkit, `import medkit` would succeed before anything is installed, and be empty.
It is run by any Python that a person may have, so it keeps to the standard library.
"""

import os
import re
import subprocess
import sys
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = (  # what a contestant needs; tests, benchmarks and the rest stay at home
    *("medkit", "notebooks", "docs", "tools/copy_notebooks.py", "tools/run_notebooks.py"),
    *("version_check.ipynb", "pyproject.toml"),
    *("constraints.txt", "constraints-py38.txt", "environment.yml", "environment-py38.yml"),
    *("README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
)
LEFT = "docs/pictures/hub/"  # read before anything is uploaded
MADE = re.compile(r"(^|/)(\.|__pycache__/)|\.egg-info/|\.py[co]$")  # by other programs
WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def version_of(root=ROOT):
    """The kit's version, read from its source without importing it."""
    with open(os.path.join(root, "medkit", "__init__.py"), encoding="utf-8") as file:
        return re.search(r'^__version__ = "(.+)"', file.read(), re.MULTILINE).group(1)


def files_of(root=ROOT):
    """The names of the files that are zipped, in order, with "/" in them.

    What git tracks; all that lies there where git does not know this folder.
    """
    command = ["git", "ls-files", "-z", "--"] + list(KEPT)
    try:
        said = subprocess.run(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        ).stdout.decode("utf-8")
    except (OSError, subprocess.CalledProcessError):
        said = ""
    names = said.split("\0")[:-1]
    if lacking(names):  # not a repository of the kit's own
        names = walk(root)
    names = [name for name in names if not name.startswith(LEFT)]
    return sorted(name for name in names if os.path.isfile(os.path.join(root, name)))


def lacking(names):
    """The parts that are kept of which no file is among `names`."""
    return [part for part in KEPT if not any((n + "/").startswith(part + "/") for n in names)]


def walk(root):
    """The names of all files in the parts that are kept, but what other programs made there."""
    names = [part for part in KEPT if os.path.isfile(os.path.join(root, part))]
    for part in KEPT:
        for folder, _, found in os.walk(os.path.join(root, part)):
            names += [os.path.relpath(os.path.join(folder, name), root) for name in found]
    names = [name.replace(os.sep, "/") for name in names]
    return [name for name in names if not MADE.search(name)]


def make_zip(path, root=ROOT):
    """Write the zip, whole or not at all.

    Returns:
        The name of the folder in it, and how many files it holds.

    Raises:
        SystemExit: when a part of the kit is missing, or `path` cannot be written.
    """
    names, folder = files_of(root), "medkit-" + version_of(root)
    missing = lacking(names)
    if missing:
        raise SystemExit(
            "make zip: {} is not there (expected {} in {}). Fetch the kit again.".format(
                ", ".join(missing), "it" if len(missing) == 1 else "them", root
            )
        )
    part = path + ".part"
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                entry = zipfile.ZipInfo(folder + "/" + name, WHEN)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                entry.create_system = 3  # as on Linux, wherever it is made
                with open(os.path.join(root, name), "rb") as file:
                    archive.writestr(entry, file.read())
        os.replace(part, path)
    except OSError as error:
        raise SystemExit(
            f"make zip: {path} is not written ({error.strerror}). "
            "Name another place: python3 tools/make_zip.py PATH"
        ) from error
    return folder, len(names)


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "medkit.zip"
    folder, count = make_zip(path)
    size = os.path.getsize(path) / 1e6
    print(f"{os.path.abspath(path)}: {size:.2f} MB, {count} files in one folder {folder}")
    print("next: upload it and version_check.ipynb beside the contest's dataset/ folder, and")
    print("      run the latter there: it ends in the cell that installs this zip")
