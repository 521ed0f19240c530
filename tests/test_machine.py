"""machine.json must tell what decides a run's bits, and nothing that names a person or a place."""

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


def test_description_is_json_and_tells_what_decides_the_bits():
    facts = json.loads(json.dumps(machine.describe()))
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["numpy"] == metadata.version("numpy")
    assert facts["torch"].startswith(metadata.version("torch"))
    assert facts["cpu_capability"].split()[0].isupper()
    assert facts["threads"] >= 1 and facts["cores"] >= 1
    assert facts["code"] == machine.code_hash()


def test_description_names_no_person_place_or_secret(monkeypatch):
    monkeypatch.setenv("MEDKIT_PASSWORD", "correct-horse-battery")
    text = json.dumps(machine.describe())
    private = {platform.node(), getpass.getuser(), str(Path.home()), str(Path.cwd()), sys.prefix}
    for word in [*private, "correct-horse-battery", "MEDKIT_"]:
        assert len(word) < 3 or word not in text


def test_torch_is_not_loaded_by_the_import():
    code = "import sys; from medkit import machine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_description_does_without_a_torch_that_loads(monkeypatch, error):
    class Broken:
        def find_spec(self, name, *_):
            if name == "torch":
                raise error("libcudart.so.11.0: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    facts = machine.describe()
    assert facts["torch"] is None
    assert facts["packages"]["torch"] == metadata.version("torch")


def test_gpus_are_described_by_name_memory_and_capability(monkeypatch):
    import torch

    card = SimpleNamespace(name="NVIDIA RTX A6000", total_memory=48 * 2**30, major=8, minor=6)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    expected = {"name": "NVIDIA RTX A6000", "memory_bytes": 48 * 2**30, "capability": "8.6"}
    assert machine.describe()["gpus"] == [expected]


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
