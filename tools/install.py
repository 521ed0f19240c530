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
BIG_MB = 20  # downloads below this size are not told


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
        f"install: Python {found} fits no lane (expected 3.8 to 3.13). "
        "Name another one: make PYTHON=python3.11"
    )


def fingerprint(constraints, root=ROOT):
    """A hash of what decides the contents of an environment."""
    digest = hashlib.sha256(repr((sys.version, WANTED)).encode())
    for name in (constraints, "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    digest.update(root.encode())  # an editable install points to its folder
    return digest.hexdigest()


def news(line):
    """What a line of pip's says to a person who waits; "" for most lines."""
    if line.startswith("Installing collected packages") and "," in line:
        return "unpacking {} packages".format(line.count(",") + 1)
    found = re.search(r"Downloading ([\w.]+)-.*\((\d+)[.\d]* MB\)", line)
    if found and int(found.group(2)) >= BIG_MB:
        return "downloading {} ({} MB)".format(*found.groups())
    return ""


def pip(python, *arguments):
    """Run pip quietly; when it fails, show its last lines and stop."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--progress-bar", "off"] + list(arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    said = []
    with subprocess.Popen(command, cwd=ROOT, universal_newlines=True, **pipes) as process:
        for line in process.stdout:
            said.append(line.rstrip())
            if news(line.strip()):
                print("  " + news(line.strip()), flush=True)
    if process.returncode:
        print("\n".join(said[-25:]), file=sys.stderr)
        raise SystemExit(
            f"install: pip failed, see above (exit status {process.returncode}). "
            "Mend that and run it again; it goes on from what is there."
        )


def make_environment(folder):
    """A virtual environment of this Python, made anew when `folder` holds one of another.

    Raises:
        SystemExit: when `folder` holds something else, or venv fails.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        if not os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
            raise SystemExit(
                "install: {!r} is no virtual environment (found {}). Choose another place: "
                "make VENV=.venv".format(folder, ", ".join(sorted(os.listdir(folder))[:3]))
            )
        if version_of(os.path.join(folder, "bin", "python")) == sys.version:
            return
    if subprocess.call([sys.executable, "-m", "venv", "--clear", folder]):
        raise SystemExit(
            f"install: {sys.executable} -m venv failed, see above. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def version_of(python):
    """sys.version of another Python; "" when it does not run."""
    try:
        return subprocess.check_output(
            [python, "-c", "import sys; sys.stdout.write(sys.version)"], universal_newlines=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""


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
    print(f"installing into {folder} (Python {version}, {constraints})")
    print("  a first time: 2 to 5 GB to download, 3 to 15 minutes", flush=True)
    make_environment(folder)
    pip(python, "--upgrade", "-c", constraints, "pip")
    pip(python, "-c", constraints, "-e", WANTED)
    with open(stamp, "w") as file:
        file.write(wanted)
    print(f"installed in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    install(sys.argv[1] if len(sys.argv) > 1 else ".venv")
