from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mask_contests import TINY, make_task

import medkit as mk
from medkit.models.factory import new_model
from medkit.training import memory
from medkit.training.memory import activation_bytes, training_bytes


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "resnet18"])
def test_memory_is_estimated_from_what_autograd_keeps(name):
    config = mk.Config("caries", model=name, image_size=64, amp=False)
    model = new_model(mk.get_task("caries"), config)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    (small, by_loss), large = activation_bytes(model, config), 0.0
    if name != "test_vit":
        large = activation_bytes(model, replace(config, image_size=128))[0]
        assert 3 < large / small < 6  # four times the pixels
    assert by_loss < 1000
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    weights = sum(p.numel() * 4 for p in model.parameters())
    assert training_bytes(model, config, 8) == pytest.approx(4 * weights + 8 * small, rel=0.01)
    sgd = replace(config, optimizer="sgd")
    assert training_bytes(model, sgd, 8) == training_bytes(model, config, 8) - weights
    plain = replace(sgd, momentum=0.0)
    assert training_bytes(model, plain, 8) == training_bytes(model, config, 8) - 2 * weights
    assert model.training


def test_the_estimate_is_that_of_a_well_known_network():
    """resnet18 keeps about 22 MB an image at 224 px: the sum of its feature maps by hand."""
    config = mk.Config("caries")
    model = new_model(mk.get_task("caries"), config)
    maps = 112**2 * 64 * 2 + 56**2 * 64 * 9 + 28**2 * 128 * 9 + 14**2 * 256 * 9 + 7**2 * 512 * 9
    assert activation_bytes(model, config)[0] == pytest.approx(4 * maps, rel=0.35)


def test_activations_of_large_masks_are_reckoned_from_small_ones(monkeypatch):
    config = mk.Config("shapes", **{**TINY, "image_size": 512})
    model = new_model(make_task(), config)
    reckoned = activation_bytes(model, config)
    monkeypatch.setattr(memory, "MEASURED", 512)
    assert reckoned == pytest.approx(activation_bytes(model, config), rel=0.02)


def test_what_the_loss_of_masks_keeps_is_told_apart_and_stays_in_32_bits():
    config = mk.Config("shapes", **{**TINY, "image_size": 128})
    model = new_model(make_task(), config)
    kept, by_loss = activation_bytes(model, config)
    planes = 4 * model.task.outputs * 128**2  # bytes of the logits
    assert planes < by_loss < 5 * planes
    half, whole = (training_bytes(model, replace(config, amp=amp), 4) for amp in (True, False))
    assert whole - half == pytest.approx(2 * kept, rel=0.01)


def test_of_a_picture_in_windows_a_window_is_reckoned():
    config = mk.Config("shapes", **{**TINY, "image_size": 512})
    model, window = new_model(make_task(), config), replace(config, patch_size=128)
    whole, part = activation_bytes(model, config)[0], activation_bytes(model, window)[0]
    assert whole == pytest.approx(16 * part, rel=0.02)


@pytest.mark.parametrize("name", ["resnet18", "hrnet_w18_small", "densenet121"])
def test_what_is_computed_again_is_not_kept(name):
    """Beside what a step keeps, counted by hand: what blocks are given, and the inside of one."""
    config = mk.Config("shapes", **{**TINY, "model": name, "image_size": 128})
    config = replace(config, decoder_channels=(256, 128, 64, 32, 16))
    again = replace(config, checkpointing=True)
    plain, less = (activation_bytes(new_model(make_task(), c), c) for c in (config, again))
    assert less[0] < 0.6 * plain[0]
    assert less[1] == plain[1]
