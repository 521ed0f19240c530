from __future__ import annotations

import inspect

import pytest
import torch

import medkit as mk
from medkit.training.optimizing import average, load_optimizer, make_optimizer, optimizer_tensors


def test_the_optimizer_spares_biases_and_norms():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decayed, spared = make_optimizer(model, mk.Config("caries")).param_groups
    assert [p.ndim for p in decayed["params"]] == [4] and decayed["weight_decay"] == 0.05
    assert len(spared["params"]) == 3 and spared["weight_decay"] == 0


@pytest.mark.parametrize(
    ("settings", "kind", "momentum"),
    [
        ({}, torch.optim.AdamW, None),
        ({"optimizer": "adam"}, torch.optim.Adam, None),
        ({"optimizer": "sgd"}, torch.optim.SGD, 0.9),
        ({"optimizer": "sgd", "momentum": 0.0}, torch.optim.SGD, 0.0),
    ],
)
def test_the_optimizer_is_the_one_that_was_named(settings, kind, momentum):
    config = mk.Config("caries", peak_lr=0.3, **settings)
    model, _ = build(torch.contiguous_format, KINDS[0])
    optimizer = make_optimizer(model, config)
    assert type(optimizer) is kind and optimizer.defaults.get("momentum") == momentum
    walk(model, optimizer, 2)
    kept = optimizer_tensors(optimizer, model)  # without momentum there is nothing to keep
    assert bool(kept) == (momentum != 0.0) and all(torch.is_tensor(v) for v in kept.values())


def test_averaged_weights_move_towards_the_model():
    ema, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = ema.weight.clone()
    average(ema, model, 0.75)
    assert torch.allclose(ema.weight, 0.75 * before + 0.25 * model.weight)


def kinds():
    for name, settings in (("AdamW", {}), ("Adam", {}), ("SGD", {"momentum": 0.9})):
        known = inspect.signature(getattr(torch.optim, name)).parameters
        yield name, settings
        for speed in {"foreach", "fused"} & set(known):  # torch 1.13 fuses Adam on a GPU only
            if speed == "foreach" or torch.__version__ > "2":
                yield name, {**settings, speed: True}


KINDS = sorted(kinds(), key=str)


def build(layout, kind):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
    model = model.to(memory_format=layout)
    name, settings = kind
    return model, getattr(torch.optim, name)(model.parameters(), 1e-2, **settings)


def walk(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(torch.rand(2, 3, 12, 12)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_restored_optimizer_walks_on_to_the_same_bits(layout, kind):
    straight, optimizer = build(layout, kind)
    walk(straight, optimizer, 6)
    stopped, optimizer = build(layout, kind)
    walk(stopped, optimizer, 3)
    kept = {k: v.clone().contiguous() for k, v in optimizer_tensors(optimizer, stopped).items()}
    weights = {name: value.clone().contiguous() for name, value in stopped.state_dict().items()}
    resumed, optimizer = build(layout, kind)
    resumed.load_state_dict(weights)
    load_optimizer(optimizer, resumed, kept)
    walk(resumed, optimizer, 3, first=3)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
