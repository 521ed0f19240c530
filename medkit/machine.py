"""What this machine is: versions, device, cores and memory; for a run's folder, and for a person.

Nothing but `gpu_users` names the machine, its user or a folder: it is handed to organisers.
"""

from __future__ import annotations

import csv
import hashlib
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

from medkit import __version__
from medkit.progress import Text, kernel

PACKAGES = (  # those whose version may change a result
    "albumentations",
    "matplotlib",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "safetensors",
    "scikit-learn",
    "timm",
    "torch",
    "torchvision",
)
USERS = "gpu_uuid,pid,process_name,used_memory"  # asked of nvidia-smi
ARITHMETIC = ("torch", "timm", "albumentations", "opencv-python-headless", "numpy")  # in training
BESIDE = (  # what else a fault may come from; the last four do not go with what medkit needs
    *("ipykernel", "ipywidgets", "jupyterlab", "requests", "flask", "optuna", "pyedflib"),
    *("opencv-python", "opencv-contrib-python", "albumentationsx", "pytorch-lightning"),
)
SETTINGS = re.compile(  # names of environment variables that change how things run
    "(OMP|GOMP|KMP|MKL|OPENBLAS|CUDA|CUBLAS|CUDNN|NCCL|NVIDIA|TORCH|PYTORCH|MEDKIT)_.+|LD_PRELOAD|"
    "LD_LIBRARY_PATH|PYTHONPATH|PYTHONHASHSEED|TMPDIR|(HTTPS?|NO)_PROXY",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    r"\w+_(NUM_THREADS|MAX_THREADS|SPINCOUNT)|CUDA_VISIBLE_DEVICES|PYTHONHASHSEED"
)
GB = 1e9
ASKED = "name,memory.free,memory.total,driver_version"  # of nvidia-smi


def describe() -> Text:
    """A text for the report of a fault: versions, device, memory, disks, settings.

    It holds nothing that names a person or a place: no user, machine, folder, address or team, and
    of environment variables the names (the values only where these are plain numbers). What is
    missing or broken here is said in its line.

    Example:
        >>> print(mk.machine.describe())
        medkit: 0.1.0, code ...
    """
    lines = (
        *(("medkit", _kit), ("Python", _python), ("machine", _memory), ("packages", _packages)),
        *(("torch", _torch_line), ("GPU", _gpu_line), ("settings", _settings), ("disks", _disks)),
        *(("notebook", _notebook), ("variables", _variables)),
    )
    return Text("\n".join(f"{name}: {_told(line)}" for name, line in lines))


def record() -> dict[str, Any]:
    """What a run's bits depend on, for machine.json."""
    return {
        "medkit": __version__,
        "code": code_hash(),
        "python": platform.python_version(),
        "platform": _platform(),
        "packages": {name: _installed(name) for name in PACKAGES},
        "driver": driver(),
        "cores": cores(),
        "memory_bytes": memory_limit(),
        **_torch(),
    }


def describe_shape() -> dict[str, Any]:
    """What the bits of a run depend on here, beside settings, cases, device and threads."""
    import torch

    shape = {name: _installed(name) for name in ARITHMETIC}
    return {**shape, "cpu_capability": _cpu_capability(torch), "medkit": code_hash()[:12]}


def code_hash(copy: Path | None = None) -> str:
    """SHA-256 over medkit's own source files: their names in order, and their bytes.

    Args:
        copy: another folder that holds them.
    """
    folder, digest = copy or Path(__file__).resolve().parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        content = path.read_bytes()
        # the length keeps a file's end and the next one's name apart
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def memory_limit(root: Path | str = "/") -> int | None:
    """Bytes of RAM that this process may use: the container's limit or the machine's RAM.

    Args:
        root: where /proc and /sys are.
    """
    texts = _limits("memory", "memory.max", root)  # version 2 of control groups
    texts += _limits("memory", "memory.limit_in_bytes", root)  # version 1
    found = re.search(r"MemTotal:\s+(\d+) kB", _read(Path(root, "proc/meminfo")))
    bounds = [int(found.group(1)) * 1024] if found else []
    return min([*bounds, *(int(text) for text in texts if text.isdigit())], default=None)


def cores(root: Path | str = "/") -> int:
    """How many cores this process may keep busy, by affinity and by the container's quota."""
    is_bound = hasattr(os, "sched_getaffinity")  # not on macOS
    count = len(os.sched_getaffinity(0)) if is_bound else os.cpu_count() or 1
    pairs = [text.split() for text in _limits("cpu", "cpu.max", root)]
    quotas = _limits("cpu", "cpu.cfs_quota_us", root)
    pairs += zip(quotas, _limits("cpu", "cpu.cfs_period_us", root))
    shares = [int(quota) / int(period) for quota, period in pairs if quota.isdigit()]
    return max(1, int(min([count, *shares])))


def driver(root: Path | str = "/") -> str | None:
    """Version of the NVIDIA driver, without asking it."""
    found = re.search(r"\b\d{3}\.\d[\d.]*", _read(Path(root, "proc/driver/nvidia/version")))
    return found.group(0) if found else None


def _told(line: Callable[[], str]) -> str:
    """What a line says; what is broken says how, without the folders that an error may name."""
    try:
        return line()
    except Exception as error:  # a report has no error of its own
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "...", str(error).split("\n")[0])
        words = re.sub(r"\S*[/\\]", "", words)
        return f"cannot be told ({type(error).__name__}: {words[:120]})"


def _kit() -> str:
    return f"{__version__}, code {code_hash()[:12]}"


def _python() -> str:
    return f"{platform.python_version()}, {_platform()}"


def _memory() -> str:
    limit = memory_limit()
    told = f"{limit / GB:.1f} GB of memory" if limit else "memory unknown"
    found = re.search(r"MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")))
    free = f", {int(found.group(1)) * 1024 / GB:.1f} GB free in the machine" if found else ""
    return f"{cores()} cores for this process of {os.cpu_count()}, {told}{free}"


def _packages() -> str:
    needed = [f"{name} {_installed(name) or 'missing'}" for name in PACKAGES]
    return ", ".join(needed + [f"{name} {_installed(name)}" for name in BESIDE if _installed(name)])


def _torch_line() -> str:
    import torch

    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    sees = torch.cuda.device_count() if torch.cuda.is_available() else "no"
    return f"{torch.__version__}, {built}, sees {sees} GPU, CPU {_cpu_capability(torch)}"


def _gpu_line() -> str:
    """Names and free memory, of the driver: torch would take memory of its own for asking."""
    command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader"]
    if not shutil.which(command[0]):
        there = f"driver {driver()} is loaded" if driver() else "no driver is loaded"
        return f"nvidia-smi is not there; {there}"
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, text=True
    )
    words = done.stdout.strip().split("\n")
    if done.returncode:
        raise RuntimeError(f"nvidia-smi ended with {done.returncode}: {words[0]}")
    return "; ".join("{}, {} free of {}, driver {}".format(*line.split(", ")) for line in words)


def _settings() -> str:
    """Threads and what decides whether arithmetic repeats, with a word on what is unusual."""
    import torch

    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    odd = {
        "more threads than cores": threads > cores(),
        "one thread for several cores": threads == 1 < cores(),
        "deterministic algorithms on outside of a run": exact,
        "cuDNN's benchmark on": torch.backends.cudnn.benchmark,
        "gradients off": not torch.is_grad_enabled(),
        f"numbers are {torch.get_default_dtype()}": torch.get_default_dtype() != torch.float32,
    }
    told = ", ".join(name for name, is_so in odd.items() if is_so) or "nothing"
    return f"{threads} threads, deterministic {exact}; unusual: {told}"


def _disks() -> str:
    shared = Path("/dev/shm")
    here = f"{shutil.disk_usage('.').free / GB:.1f} GB free in the working folder"
    here += "" if os.access(".", os.W_OK) else ", which is not writable"
    there = f"{shutil.disk_usage(shared).free / GB:.2f} GB in" if shared.is_dir() else "no"
    return f"{here}, {there} /dev/shm"


def _notebook() -> str:
    return "no" if kernel() is None else "yes"


def _variables() -> str:
    """Names; of threads and GPUs, where these are numbers, the values, too."""
    told = []
    for name in sorted(filter(SETTINGS.fullmatch, os.environ)):
        value = os.environ[name]
        is_plain = NUMBERED.fullmatch(name) and re.fullmatch(r"[\d,]{1,20}", value)
        told.append(f"{name}={value}" if is_plain else name)
    return ", ".join(told) or "none"


def gpu_users() -> list[dict[str, Any]] | None:
    """Who computes on the GPUs of this machine: `gpu`, `pid`, `name`, `memory_bytes` each.

    None where the driver does not tell; in a container it often hides the neighbours' processes.

    Example:
        >>> users = mk.machine.gpu_users()  # None without a driver
        >>> users is None or isinstance(users, list)
        True
    """
    command = ["nvidia-smi", f"--query-compute-apps={USERS}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_users(told.stdout) if told.returncode == 0 else None


def parse_users(text: str) -> list[dict[str, Any]]:
    """The lines of `nvidia-smi --query-compute-apps`, memory in MiB."""
    users = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == 4 and row[1].isdigit():
            size = int(row[3]) * 2**20 if row[3].isdigit() else None  # "[N/A]" in some containers
            users.append({"gpu": row[0], "pid": int(row[1]), "name": row[2], "memory_bytes": size})
    return users


def _torch() -> dict[str, Any]:
    """What torch is and sees; {"torch": None} where it cannot be loaded."""
    try:
        import torch
    except (ImportError, OSError):  # OSError: one of its libraries is missing
        return {"torch": None}
    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        generation = f"{facts.major}.{facts.minor}"
        gpus.append(
            {"name": facts.name, "memory_bytes": facts.total_memory, "capability": generation}
        )
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpus": gpus,
        "cpu_capability": _cpu_capability(torch),
        "threads": torch.get_num_threads(),
    }


def _cpu_capability(torch: Any) -> str | None:
    """The instruction set that torch chose: DEFAULT, AVX2, AVX512 ..."""
    if hasattr(torch.backends, "cpu"):
        return torch.backends.cpu.get_cpu_capability()
    found = re.search(r"CPU capability usage: (.+)", torch.__config__.show())  # torch 1.13
    return found.group(1).strip() if found else None


def _platform() -> str:
    """System, processor and C library: not the kernel's name, which may name its machine."""
    parts = (platform.system(), platform.machine(), *platform.libc_ver())
    return " ".join(part for part in parts if part)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _limits(controller: str, name: str, root: Path | str) -> list[str]:
    """What the files `name` say, of this process's control group and of those above it."""
    texts = []
    for line in _read(Path(root, "proc/self/cgroup")).splitlines():
        controllers, path = line.split(":", 2)[1:]
        if not controllers or controller in controllers.split(","):
            top = Path(root, "sys/fs/cgroup", controller if controllers else "")
            group = Path(path.lstrip("/"))
            texts += [_read(top / part / name) for part in (group, *group.parents)]
    return [text for text in texts if text]


def _read(path: Path) -> str:
    """The text of a small system file, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
