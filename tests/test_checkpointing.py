from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from mask_contests import TINY

import medkit as mk
from medkit.models import checkpointing
from medkit.models.checkpointing import blocks_of, checkpointed, undo
from medkit.models.factory import new_model
from medkit.models.unet import UNet
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training.memory import activation_bytes

QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
FAMILIES = ("resnet18", "hrnet_w18_small", "densenet121", "convnext_tiny", "efficientnet_b0")


def trained(model, *shown):
    """Gradients and statistics after one step of a model."""
    torch.manual_seed(1)
    sum(answers.square().mean() for answers in model(*shown)).backward()
    return [p.grad for p in model.parameters() if p.grad is not None] + list(model.buffers())


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_and_statistics_are_equal_to_the_bit(name, nested):
    """HRNet writes into the lists that its blocks are given, DenseNet adds to them."""
    model = UNet(name, 3, nested=nested, deep=1, channels=(16, 16, 8, 8, 8), drop_rate=0.2)
    again = copy.deepcopy(model)
    assert checkpointed(again.encoder) and checkpointed(again.blocks) == len(model.blocks)
    again = copy.deepcopy(again)  # as averages of weights are made
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours, wanted = trained(again, images), trained(model, images)
    assert len(ours) == len(wanted)
    assert all(torch.equal(one, other) for one, other in zip(ours, wanted))


def test_blocks_may_be_called_by_names():
    """EVA tells its blocks by the name "rope" where patches lie."""
    config = mk.Config("caries", model="eva02_tiny_patch14_224", image_size=56, drop_path_rate=0.2)
    model = new_model(mk.get_task("caries"), config)
    again = new_model(mk.get_task("caries"), replace(config, checkpointing=True))
    assert activation_bytes(again, config)[0] < activation_bytes(model, config)[0]
    shown = torch.randint(0, 256, (2, 3, 56, 56), dtype=torch.uint8), torch.zeros(2, 0)
    ours, wanted = trained(again, *shown), trained(model, *shown)
    assert all(torch.equal(one, other) for one, other in zip(ours, wanted))


def test_maps_that_timm_takes_by_hooks_are_taken_once():
    """xception41's lie inside of blocks: the second step got the first one's, in another order."""
    model = UNet("xception41", 1, channels=(16, 16, 8, 8, 8))
    again = copy.deepcopy(model)
    checkpointed(again.encoder), checkpointed(again.blocks)
    for seed in range(2):
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        ours, wanted = trained(again, images), trained(model, images)
        assert all(torch.equal(one, other) for one, other in zip(ours, wanted))
        assert not any(again.encoder.hooks._feature_outputs.values())


def test_a_forward_that_timm_has_set_stays():
    model = UNet("fasternet_t0", 1, channels=(16, 16, 8, 8, 8))
    blocks = checkpointed(model.encoder)
    assert len(undo(model.encoder)) == blocks > 1
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 1, 64, 64)


def test_tensors_in_lists_are_shown_to_torch(monkeypatch):
    """On a GPU torch 1.13 draws dropout again only where it sees a tensor."""
    shown, whole = [], checkpointing.checkpoint

    def check(run, *inputs, **options):
        shown.append(any(isinstance(part, torch.Tensor) for part in inputs))
        return whole(run, *inputs, **options)

    monkeypatch.setattr(checkpointing, "checkpoint", check)
    model = UNet("hrnet_w18_small", 1)
    checkpointed(model.encoder)
    model(torch.zeros(2, 3, 64, 64))
    assert all(shown) and len(shown) > 5


def test_blocks_are_residual_blocks_dense_layers_or_stages():
    def found(name):
        return {type(block).__name__ for block in blocks_of(UNet(name, 1).encoder)}

    assert found("resnet18") == {"BasicBlock"}
    assert found("densenet121") == {"DenseLayer", "DenseTransition"}
    assert {"HighResolutionModule", "Bottleneck"} <= found("hrnet_w18_small")


def test_the_inside_of_a_block_is_not_kept():
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    def count(model):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(torch.zeros(2, 3, 64, 64))
        return sum(kept)

    model = UNet("resnet18", 3)
    whole = count(model)
    checkpointed(model.encoder), checkpointed(model.blocks)
    assert count(model) < 0.3 * whole
    assert len(undo(model)) == 8 + 5 and count(model) == whole


def test_judged_or_without_gradients_nothing_is_computed_twice():
    model = UNet("resnet18", 3)
    checkpointed(model.encoder)
    calls, block = [], next(blocks_of(model.encoder))
    block.conv1.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(torch.zeros(2, 3, 64, 64))
    model.eval()(torch.zeros(1, 3, 64, 64))
    assert len(calls) == 2


RUN = {"epochs": 2, "seed": 3, "ema_decay": 0.8, "drop_rate": 0.1, "drop_path_rate": 0.1}
RUN.update(deep_supervision=1, micro_batch=2, mixup=0.3, **{**TINY, "model": "resnet18"})


def test_a_run_ends_in_the_same_bits_and_goes_on_with_it_or_without(shape_cases, tmp_path):
    config = mk.Config("shapes", **RUN)
    again = replace(config, checkpointing=True)
    straight, other = (
        mk.fit(c, shape_cases, tmp_path / c.decoder / str(c.checkpointing), **QUIET)
        for c in (config, again)
    )
    assert weights_hash(load_state(straight.last)[0]) == weights_hash(load_state(other.last)[0])
    assert straight.history.equals(other.history) and other.config.checkpointing

    def interrupted(*_):
        raise KeyboardInterrupt

    turned = tmp_path / "turned"
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("medkit.training.telling.Telling.epoch", interrupted)
        mk.fit(config, shape_cases, turned, **QUIET)
    run = mk.fit(again, shape_cases, turned, **QUIET)
    assert run.config.checkpointing and len(run.history) == 2
    assert weights_hash(load_state(run.last)[0]) == weights_hash(load_state(straight.last)[0])
    assert mk.fit(config, shape_cases, turned, **QUIET).config.checkpointing  # it is finished


def test_models_of_tables_can_be_so_too():
    task, config = mk.get_task("caries"), mk.Config("caries", checkpointing=True, image_size=32)
    model = new_model(task, config)
    assert len(undo(model)) == 8
    assert len(undo(new_model(task, replace(config, model="test_vit")))) > 1


def test_a_model_without_blocks_is_refused(monkeypatch):
    monkeypatch.setattr("medkit.models.factory.checkpointed", lambda stack: 0)
    config = mk.Config("caries", model="test_resnet", checkpointing=True)
    with pytest.raises(ValueError, match="model 'test_resnet' has no blocks to compute again"):
        new_model(mk.get_task("caries"), config)
