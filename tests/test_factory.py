from __future__ import annotations

import dataclasses

import pytest
import safetensors.torch
import torch

import medkit as mk
from medkit.models.factory import make_model
from medkit.runs.tensor_files import weights_hash

TASK = mk.get_task("caries")
IMAGES = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_any_backbone_gives_logits_of_all_classes(name):
    model = make_model(TASK, name, image_size=32, facts=("view",)).eval()
    assert model(IMAGES, torch.zeros(2, 5)).shape == (2, 2)


def test_a_cosine_head_answers_by_angles_alone():
    model = make_model(TASK, "test_resnet", facts=("view",), cosine_scale=16).eval()
    logits = model(IMAGES, torch.zeros(2, 5))
    assert logits.shape == (2, 2) and logits.abs().max() <= 16
    with torch.no_grad():
        model.classifier.weight.mul_(7)  # a length is no angle
    assert torch.allclose(model(IMAGES, torch.zeros(2, 5)), logits, atol=1e-4)


def test_a_cosine_head_leaves_numbers_alone():
    heads = (mk.Head("decayed", ("sound", "decayed")), mk.Head("age"))
    task = dataclasses.replace(TASK, heads=heads, scored=None)
    cosine = make_model(task, "test_resnet", cosine_scale=4).eval()
    plain = make_model(task, "test_resnet").eval()
    assert set(cosine.state_dict()) == set(plain.state_dict())
    cosine.load_state_dict(plain.state_dict())
    one, other = (model(IMAGES, torch.zeros(2, 0)) for model in (cosine, plain))
    assert torch.allclose(one[:, 2], other[:, 2], atol=1e-6) and not torch.equal(one, other)


def test_bytes_are_normalised_in_the_model():
    model = make_model(TASK, "test_resnet").eval()
    grey = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    seen = {}
    model.backbone.register_forward_pre_hook(lambda m, args: None)
    whole = model.backbone.forward_features
    model.backbone.forward_features = lambda x: whole(seen.setdefault("x", x))
    model(grey, torch.zeros(1, 0))
    wanted = (128 / 255 - 0.485) / 0.229
    assert seen["x"][0, 0, 0, 0].item() == pytest.approx(wanted, abs=1e-5)


def test_initial_weights_depend_on_the_seed_alone():
    torch.rand(3)
    first = weights_hash(make_model(TASK, "test_resnet", seed=1).state_dict())
    torch.rand(5)
    state = torch.get_rng_state()
    assert weights_hash(make_model(TASK, "test_resnet", seed=1).state_dict()) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_hash(make_model(TASK, "test_resnet", seed=2).state_dict()) != first


def test_facts_reach_the_answer():
    model = make_model(TASK, "test_resnet", facts=("view", "tooth_number")).eval()
    left, right = torch.zeros(2, 37), torch.zeros(2, 37)
    right[:, 3] = 1
    assert not torch.equal(model(IMAGES, left), model(IMAGES, right))


def test_local_weights_are_loaded(tmp_path):
    donor = make_model(TASK, "test_resnet", seed=9)
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file(donor.backbone.state_dict(), str(path))
    model = make_model(TASK, "test_resnet", path, seed=1)
    assert weights_hash(model.backbone.state_dict()) == weights_hash(donor.backbone.state_dict())
    with pytest.raises(ValueError, match=r"not the weights of 'test_vit' \(\d+ of \d+ tensors"):
        make_model(TASK, "test_vit", path, image_size=32)


@pytest.mark.parametrize("weights", [True, "https://host/w.safetensors", "hf-hub:timm/x"])
def test_weights_are_never_downloaded(weights):
    with pytest.raises(ValueError, match="would be downloaded, and nothing is|expected a path"):
        make_model(TASK, "test_resnet", weights)


def test_a_model_of_a_hub_is_refused():
    with pytest.raises(ValueError, match="'hf-hub:timm/resnet18' would be downloaded"):
        make_model(TASK, "hf-hub:timm/resnet18")


def test_pickled_weights_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({}, path)
    with pytest.raises(ValueError, match="a pickled file can run any code"):
        make_model(TASK, "test_resnet", path)


def test_an_unknown_backbone_is_met_with_near_names():
    with pytest.raises(ValueError, match=r"unknown model 'resnet81'\. Did you mean 'resnet18'\?"):
        make_model(TASK, "resnet81")


def save_backbone(path, name="test_resnet", **metadata):
    backbone = make_model(TASK, name, seed=3).backbone
    safetensors.torch.save_file(backbone.state_dict(), str(path), metadata=metadata or None)


def test_local_weights_bring_their_own_normalisation(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_backbone(path, mean="[0.1, 0.2, 0.3]", std="[0.5, 0.5, 0.25]")
    model = make_model(TASK, "test_resnet", path)
    assert model.mean.flatten().tolist() == pytest.approx([25.5, 51.0, 76.5])
    assert model.std.flatten().tolist() == pytest.approx([127.5, 127.5, 63.75])
    images = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    plain = make_model(TASK, "test_resnet", seed=3).eval()
    assert not torch.equal(model.eval().features(images), plain.features(images))


def test_weights_without_metadata_take_what_timm_knows(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_backbone(path, "test_vit")
    known = make_model(TASK, "test_vit").backbone.pretrained_cfg
    model = make_model(TASK, "test_vit", path)
    wanted = [255 * value for value in known["mean"]]
    assert model.mean.flatten().tolist() == pytest.approx(wanted)


def test_a_wrong_normalisation_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_backbone(path, mean="grey")
    with pytest.raises(ValueError, match=r"its mean is 'grey' \(expected 3 numbers such as"):
        make_model(TASK, "test_resnet", path)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_efficientnet", "test_vit"])
def test_every_kind_of_backbone_answers(name):
    model = make_model(TASK, name, facts=("view",), image_size=32)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert model.eval()(images, torch.zeros(2, 5)).shape == (2, 2)


def test_a_backbone_without_stochastic_depth_is_named():
    with pytest.raises(ValueError, match="'densenet121' has no stochastic depth .*=0.1, expected"):
        make_model(TASK, "densenet121", drop_path_rate=0.1)
