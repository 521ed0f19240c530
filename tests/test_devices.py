from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch.nn import SyncBatchNorm

import medkit as mk
from medkit import devices
from medkit.devices import FUSED_ATTENTION, find_device, has_bfloat16, torch_settings
from medkit.models.factory import new_model
from medkit.training import preparing
from medkit.training.ranks import Ranks

GPU = SimpleNamespace(type="cuda", index=0)


@pytest.fixture
def two_gpus(monkeypatch):
    """What torch answers where there are two GPUs, the first of them current."""
    current = [0]
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "current_device": lambda: current[0],
        "set_device": lambda number: current.__setitem__(0, number),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return current


def test_a_gpu_has_a_number_and_becomes_the_current_one(two_gpus):
    assert find_device() == find_device("cuda") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1) and two_gpus == [1]
    assert find_device("cuda") == torch.device("cuda", 1)
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device 'cuda:2': torch sees 2 GPUs here"):
        find_device("cuda:2")


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device() == torch.device("cpu")
    with pytest.raises(ValueError, match="device 'cuda': torch sees 0 GPUs here. Leave device out"):
        find_device("cuda")


def test_a_gpu_repeats_its_bits_where_it_was_asked_to():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    told = [
        devices.repeats(where, is_exact=asked) for where in (cpu, gpu) for asked in (False, True)
    ]
    assert told == [True, True, False, True]


@pytest.mark.parametrize(("capability", "is_there"), [((7, 5), False), ((8, 6), True)])
def test_emulated_bfloat16_is_none(monkeypatch, capability, is_there):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bfloat16(torch.device("cuda", 0)) is is_there


def test_memory_is_given_back_where_there_is_a_gpu(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    devices.free_memory()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    devices.free_memory()
    assert emptied == [1]


def test_synchronised_norms_keep_their_activations(monkeypatch):
    config = mk.Config("caries", model="mobilenetv3_small_050", image_size=32, sync_bn=True)
    model = new_model(mk.get_task("caries"), config)
    fused = [name for name, part in model.named_modules() if isinstance(part, BatchNormAct2d)]
    ranks = Ranks()
    ranks.size = 2
    monkeypatch.setattr(model, "to", lambda *args, **options: model)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *args, **options: self)
    placed = dict(preparing.place_model(model, config, GPU, ranks).named_modules())
    assert fused
    for name in fused:
        assert isinstance(placed[name], SyncBatchNorm) and hasattr(placed[name], "act")


def test_fused_attention_is_left_alone_in_deterministic_runs_on_a_gpu():
    def settings():
        names = [f"{name}_enabled" for name in FUSED_ATTENTION]
        return [getattr(torch.backends.cuda, n)() for n in names if hasattr(torch.backends.cuda, n)]

    before = settings()
    with torch_settings(torch.device("cpu"), is_exact=True):
        assert settings() == before
    with torch_settings(GPU, is_exact=True):
        assert not any(settings())
    assert settings() == before
    with torch_settings(GPU, is_exact=False):
        assert settings() == before


def test_sync_bn_takes_whole_steps_only():
    with pytest.raises(ValueError, match="sync_bn and micro_batch exclude each other"):
        mk.Config("caries", sync_bn=True, micro_batch=8)
