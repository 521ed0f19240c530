"""What is told of this machine decides a run's bits or explains a fault, and names nobody."""

from __future__ import annotations

import getpass
import json
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from medkit import machine


def test_the_record_is_json_and_tells_what_decides_the_bits():
    facts = json.loads(json.dumps(machine.record()))
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["numpy"] == metadata.version("numpy")
    assert facts["torch"].startswith(metadata.version("torch"))
    assert facts["cpu_capability"].split()[0].isupper()
    assert facts["threads"] >= 1 and facts["cores"] >= 1
    assert facts["code"] == machine.code_hash()


@pytest.mark.parametrize("told", [machine.record, machine.describe])
def test_what_is_told_names_no_person_place_or_secret(told, monkeypatch):
    for name in ("PASSWORD", "CONTEST_PASSWORD", "URL", "LEDGER"):
        monkeypatch.setenv(f"MEDKIT_{name}", "correct-horse-battery")
    monkeypatch.setenv("MEDKIT_TEAM", "team-8086")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(Path.home()))
    text = json.dumps(told())
    private = {platform.node(), getpass.getuser(), str(Path.home()), str(Path.cwd()), sys.prefix}
    for word in [*private, "correct-horse-battery", "team-8086"]:
        assert len(word) < 3 or word not in text


def lines_of(report):
    return dict(line.split(": ", 1) for line in report.splitlines())


def test_a_report_shows_as_it_is_and_tells_versions_machine_and_settings(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1f2e")
    report = machine.describe()
    assert repr(report) == str(report) and isinstance(report, str)
    lines = lines_of(report)
    assert lines["medkit"] == f"{machine.__version__}, code {machine.code_hash()[:12]}"
    assert lines["Python"].startswith(f"{platform.python_version()}, {platform.system()}")
    assert f"numpy {metadata.version('numpy')}" in lines["packages"]
    assert f"{machine.cores()} cores" in lines["machine"] and " GB " in lines["disks"]
    assert lines["torch"].startswith(metadata.version("torch")) and "unusual:" in lines["settings"]
    assert lines["notebook"] == "no"
    told = lines["variables"].split(", ")
    assert "OMP_NUM_THREADS=3" in told and "CUDA_VISIBLE_DEVICES" in told


def test_a_report_says_what_is_unusual(monkeypatch):
    import torch

    monkeypatch.setattr(machine, "cores", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    with torch.no_grad():
        told = lines_of(machine.describe())["settings"]
    assert told == "4 threads, deterministic False; unusual: more threads than cores, gradients off"


def test_a_report_is_made_where_torch_and_other_things_are_broken(monkeypatch, tmp_path):
    home = tmp_path / "kim" / "libcudart.so.11.0"
    break_torch(monkeypatch, OSError(f"{home}: cannot open shared object file"))
    monkeypatch.setattr(machine, "code_hash", lambda: [][1])
    lines = lines_of(machine.describe())
    said = "cannot be told (OSError: libcudart.so.11.0: cannot open shared object file)"
    assert lines["torch"] == lines["settings"] == said
    assert lines["medkit"] == "cannot be told (IndexError: list index out of range)"
    assert lines["Python"] and "torch 2" in lines["packages"] or "torch 1" in lines["packages"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo 'NVIDIA A6000, 300 MiB, 49140 MiB, 525.60.13'",
            "NVIDIA A6000, 300 MiB free of 49140 MiB, driver 525.60.13",
        ),
        (
            "echo 'NVIDIA-SMI has failed'; exit 9",
            "cannot be told (RuntimeError: nvidia-smi ended with 9: NVIDIA-SMI has failed)",
        ),
        ("echo nonsense", "cannot be told (IndexError: "),
        (None, "nvidia-smi is not there; no driver is loaded"),
    ],
)
def test_gpus_are_told_by_the_driver_or_why_not(monkeypatch, tmp_path, script, told):
    if script:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "driver", lambda: None)
    assert lines_of(machine.describe())["GPU"].startswith(told)


def test_torch_is_not_loaded_by_the_import():
    code = "import sys; from medkit import machine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def break_torch(monkeypatch, error):
    """Let torch be as where a library of its is missing."""

    class Broken:
        def find_spec(self, name, *_):
            if name == "torch":
                raise error

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_the_record_does_without_a_torch_that_loads(monkeypatch, error):
    break_torch(monkeypatch, error("libcudart.so.11.0: cannot open shared object file"))
    facts = machine.record()
    assert facts["torch"] is None
    assert facts["packages"]["torch"] == metadata.version("torch")


def test_gpus_are_described_by_name_memory_and_capability(monkeypatch):
    import torch

    card = SimpleNamespace(name="NVIDIA RTX A6000", total_memory=48 * 2**30, major=8, minor=6)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    expected = {"name": "NVIDIA RTX A6000", "memory_bytes": 48 * 2**30, "capability": "8.6"}
    assert machine.record()["gpus"] == [expected]


def test_cpu_capability_is_read_from_old_and_new_torch():
    text = "PyTorch built with:\n  - CPU capability usage: NO AVX\n  - Build settings: ..."
    old = SimpleNamespace(backends=SimpleNamespace(), __config__=SimpleNamespace(show=lambda: text))
    cpu = SimpleNamespace(get_cpu_capability=lambda: "AVX512")
    assert machine._cpu_capability(old) == "NO AVX"
    assert machine._cpu_capability(SimpleNamespace(backends=SimpleNamespace(cpu=cpu))) == "AVX512"


@pytest.mark.parametrize(
    "line, version",
    [
        ("NVIDIA UNIX x86_64 Kernel Module  525.60.13  Wed Nov 30 06:39:21 UTC 2022", "525.60.13"),
        ("NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build", "580.65.06"),
        ("no driver", None),
    ],
)
def test_driver_is_read_from_the_kernel_module(tmp_path, line, version):
    file = tmp_path / "proc" / "driver" / "nvidia" / "version"
    file.parent.mkdir(parents=True)
    file.write_text(f"NVRM version: {line}\nGCC version:  gcc version 11.3.0\n")
    assert machine.driver(tmp_path) == version


def test_code_hash_follows_names_and_bytes_of_the_sources_alone(tmp_path, monkeypatch):
    kit = tmp_path / "medkit"
    shutil.copytree(Path(machine.__file__).parent, kit)
    monkeypatch.setattr(machine, "__file__", str(kit / "machine.py"))
    first = machine.code_hash()
    (kit / "__pycache__" / "machine.pyc").parent.mkdir(exist_ok=True)
    (kit / "__pycache__" / "machine.pyc").write_bytes(b"compiled")
    assert machine.code_hash() == first
    (kit / "seeding.py").rename(kit / "seeds.py")
    renamed = machine.code_hash()
    (kit / "files.py").write_text("# changed\n")
    assert len({first, renamed, machine.code_hash()}) == 3
