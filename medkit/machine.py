"""What this machine is, as far as it decides a run: versions, processor, GPU, memory.

Holds no host name, user name, path or environment: it may be handed to organisers.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    *("medkit", "torch", "torchvision", "timm", "albumentations", "numpy", "pandas", "pillow"),
    *("opencv-python-headless", "scikit-learn", "safetensors", "matplotlib", "ipywidgets"),
)
CGROUP_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def describe() -> dict[str, Any]:
    """Everything of this machine that a run's `machine.json` keeps."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions(),
        "code": code_hash(),
        "cores": cores(),
        "memory_limit": memory_limit(),
        "torch": _torch(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that the kit rests on, as installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def code_hash() -> str:
    """SHA-256 over medkit's own source files: names and bytes, sorted."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = CGROUP_CPU.read_text().split()
        return max(1, min(allowed or 1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a quota ("max")
        return allowed or 1


def memory_limit() -> int | None:
    """Bytes that the container may use; None without a limit."""
    for path in CGROUP_MEMORY:
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # not that version, or no limit ("max")
            continue
        return limit if limit < 2**60 else None
    return None


def _torch() -> dict[str, Any]:
    """The shape that decides the bits, as far as torch knows it; empty when it is not loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    facts = {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "threads": torch.get_num_threads(),
        "cpu_capability": _cpu_capability(torch),
    }
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        facts.update(gpu=gpu.name, gpu_memory=gpu.total_memory, gpus=torch.cuda.device_count())
    return facts


def _cpu_capability(torch: Any) -> str:
    """Which vector instructions torch uses: "AVX2", say."""
    if hasattr(torch.backends, "cpu"):
        return torch.backends.cpu.get_cpu_capability()
    lines = torch.__config__.show().splitlines()  # torch 1.13 tells it here alone
    found = [line.rpartition(" ")[2] for line in lines if "CPU capability usage" in line]
    return found[0] if found else "unknown"
