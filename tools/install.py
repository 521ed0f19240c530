"""Install the kit into a virtual environment: what `make` and CI do first.

    python3 tools/install.py [.venv]

The one place that chooses between the two lanes. Done again with nothing changed it does nothing.
It is run by any Python that a person may have, so it keeps to syntax that old ones can read.
"""

import hashlib
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LANES = (  # first and last Python, constraints file
    ((3, 8), (3, 10), "constraints-py38.txt"),
    ((3, 11), (3, 13), "constraints.txt"),
)
WANTED = ".[test]"
STAMP = "medkit-installed"  # in the environment: a hash of all that decides what is in it
BIG_MB = 20  # downloads from this size on are told


def constraints_for(version):
    """The constraints file of the lane for a version of Python such as (3, 8).

    Raises:
        SystemExit: when no lane fits.
    """
    for first, last, name in LANES:
        if first <= tuple(version[:2]) <= last:
            return name
    found = ".".join(str(part) for part in version[:2])
    raise SystemExit(
        "install: Python {} fits no lane (expected 3.8 to 3.13). "
        "Name another one: make PYTHON=python3.11".format(found)
    )


def fingerprint(constraints, root=ROOT):
    """A hash of what decides the contents of an environment."""
    digest = hashlib.sha256(repr((sys.version, WANTED)).encode())
    for name in (constraints, "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    digest.update(root.encode())  # an editable install points to its folder
    return digest.hexdigest()


def is_worth_telling(line):
    """Whether a line of pip's says something to a person who waits."""
    if line.startswith(("Installing collected", "Successfully", "ERROR")):
        return True
    size = re.search(r"Downloading .*\((\d+)[.\d]* MB\)", line)
    return bool(size) and int(size.group(1)) >= BIG_MB


def pip(python, *arguments):
    """Run pip quietly; when it fails, show its last lines and stop."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--progress-bar", "off"] + list(arguments)
    said = []
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, cwd=ROOT, universal_newlines=True, **pipes)
    for line in process.stdout:
        said.append(line.rstrip())
        if is_worth_telling(line.strip()):
            print("  " + line.strip()[:100], flush=True)
    if process.wait():
        print("\n".join(said[-25:]), file=sys.stderr)
        raise SystemExit(
            "install: pip failed, see above (exit status {}). "
            "Mend that and run it again; it goes on from what is there.".format(process.returncode)
        )


def make_environment(folder):
    """A fresh virtual environment of this Python."""
    command = [sys.executable, "-m", "venv", "--clear", folder]
    if subprocess.call(command, stdout=subprocess.DEVNULL):
        raise SystemExit(
            "install: {} -m venv failed, see above. On Debian and Ubuntu: "
            "apt-get install python3-venv".format(sys.executable)
        )


def install(folder):
    """Bring the environment in `folder` up to date."""
    constraints = constraints_for(sys.version_info)
    wanted, stamp = fingerprint(constraints), os.path.join(folder, STAMP)
    python = os.path.join(folder, "bin", "python")
    if os.path.isfile(stamp) and os.path.exists(python):
        with open(stamp) as file:
            if file.read() == wanted:
                return
    began, version = time.time(), ".".join(map(str, sys.version_info[:3]))
    print("installing into {} (Python {}, {})".format(folder, version, constraints))
    print("  a first time: 2 to 5 GB to download, 3 to 15 minutes", flush=True)
    make_environment(folder)
    pip(python, "--upgrade", "-c", constraints, "pip")
    pip(python, "-c", constraints, "-e", WANTED)
    with open(stamp, "w") as file:
        file.write(wanted)
    print("installed in {:.0f} s".format(time.time() - began), flush=True)


if __name__ == "__main__":
    install(sys.argv[1] if len(sys.argv) > 1 else ".venv")
