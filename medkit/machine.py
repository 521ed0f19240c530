"""What this machine is: versions, device, cores and memory, as far as they decide a run.

Nothing in it names the machine, its user or a folder: it is handed to organisers.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from medkit import __version__

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
ARITHMETIC = ("torch", "timm", "albumentations", "opencv-python-headless", "numpy")  # in training


def describe() -> dict[str, Any]:
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


def code_hash() -> str:
    """SHA-256 over medkit's own source files: their names in order, and their bytes."""
    folder, digest = Path(__file__).resolve().parent, hashlib.sha256()
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
