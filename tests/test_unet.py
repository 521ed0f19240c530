"""The U-Net: any size, any family of encoders, the same logits on both lanes as elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gradients import inexact
from torch.nn.functional import interpolate, pad

from medkit import seeding
from medkit.models.unet import UNet, repeated, widened

FAMILIES = {  # an encoder of each, and how many of its maps
    "test_resnet": 5,
    "densenet121": 5,
    "test_convnext": 4,  # the finest has a quarter of the picture's size
    "test_efficientnet": 5,
    "hrnet_w18_small": 5,
}
KEPT = Path(__file__).parent / "kept" / "unet_logits.json"
NESTED = pytest.mark.parametrize("nested", [False, True])
SMALL = {"channels": (16, 12, 8, 8, 4)}


def pictures(*sizes):
    return torch.from_numpy(seeding.generator("pictures").random((2, 3, *sizes), np.float32))


def shapes(answers):
    return [tuple(logits.shape) for logits in answers]


@NESTED
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_at_any_size_and_learns_everywhere(name, nested):
    model = UNet(name, 3, nested=nested, deep=2, **SMALL)
    assert all(module.training for module in model.modules())
    answers = model(pictures(75, 33))
    assert shapes(answers) == [(2, 3, 75, 33), (2, 3, 38, 17), (2, 3, 19, 9)]
    sum(logits.square().mean() for logits in answers).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@NESTED
@pytest.mark.parametrize("name", FAMILIES)
def test_a_smaller_depth_learns_all_that_it_needs(name, nested):
    model = UNet(name, 2, nested=nested, depth=FAMILIES[name] - 2, **SMALL)
    logits = model(pictures(75, 40))
    assert logits.shape == (2, 2, 75, 40)
    logits.square().mean().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    coarsest = 2 ** len([row for row in model.blocks if row.endswith("_1")])
    assert model.stride == 32 == 4 * coarsest


@pytest.mark.parametrize(
    ("name", "depth"), [("vgg11", None), ("dla34", 2), ("test_convnext", None)]
)
def test_the_finest_map_may_be_as_fine_as_the_picture_or_coarser(name, depth):
    model = UNet(name, 1, depth=depth, deep=1, **SMALL)
    assert shapes(model(pictures(40, 30))) == [(2, 1, 40, 30), (2, 1, 20, 15)]
    finest = model.encoder.feature_info.reduction()[0]
    assert finest == {"vgg11": 1, "dla34": 2, "test_convnext": 4}[name]
    assert len(model.blocks) == {"vgg11": 5, "dla34": 2, "test_convnext": 5}[name]


@NESTED
def test_judged_it_gives_the_finest_answer_alone(nested):
    model = UNet("test_convnext", 4, nested=nested, deep=3)  # no dropout, and ...
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # ... norms that see no batch: training is no different
    images = pictures(50, 64)
    answers = model(images)
    assert len(answers) == 4
    assert torch.equal(model.eval()(images), answers[0])


def test_what_is_padded_is_cut_off_again():
    model = UNet("test_resnet", 2, **SMALL).eval()
    images = pictures(45, 50)
    wide = pad(images, (0, 14, 0, 19), mode="replicate")
    assert torch.equal(widened(images, 32), wide) and torch.equal(widened(wide, 32), wide)
    with torch.no_grad():
        assert torch.equal(model(images), model(wide)[:, :, :45, :50])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_gradient_repeats_on_a_gpu(name):
    images = pictures(40, 33).requires_grad_()
    answers = UNet(name, 2, nested=True, deep=1, drop_rate=0.1, **SMALL)(images)
    assert inexact(sum(logits.sum() for logits in answers)) == []
    bilinear = interpolate(images, scale_factor=2, mode="bilinear")
    found = inexact(pad(bilinear, (0, 0, 0, 1), mode="replicate"))
    assert found == ["ReplicationPad2D", "UpsampleBilinear2D"]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_enlarging_repeats_pixels_and_keeps_the_layout(layout):
    maps = torch.rand(2, 3, 5, 7, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    larger = repeated(maps)
    assert torch.equal(larger, interpolate(maps, scale_factor=2, mode="nearest"))
    assert larger.is_contiguous(memory_format=layout)
    assert torch.autograd.gradcheck(repeated, maps)


def test_weights_depend_on_the_seed_alone():
    def drawn(seed):
        with seeding.keyed("model", seed):
            return UNet("test_efficientnet", 2, depth=3, nested=True).state_dict()

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_at_first_no_class_is_believed_in():
    model = UNet("test_resnet", 5).train()
    assert model(pictures(64, 64)).detach().abs().mean() < 1


def test_dropout_and_stochastic_depth_act_in_training_only():
    model = UNet("test_convnext", 2, drop_rate=0.5, drop_path_rate=0.5, **SMALL)
    assert {0.5} == {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout2d)}
    assert any(type(m).__name__ == "DropPath" for m in model.encoder.modules())
    images = pictures(32, 32)
    with torch.no_grad():
        assert not torch.equal(model(images), model(images))
        assert torch.equal(model.eval()(images), model(images))


def test_channels_that_are_too_many_are_taken_from_the_end():
    model = UNet("test_resnet", 2, depth=3, channels=(99, 77, 12, 8, 4))
    assert [block[0].out_channels for block in model.blocks.values()] == [12, 8, 4]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_vit", r"its maps have strides \[16, 16, 16\], expected such as .*'resnet34'"),
        ("swin_tiny_patch4_window7_224", r"its maps are NHWC, expected NCHW.*convolutional one"),
        ("maxvit_tiny_tf_224", "it takes no picture of 64 x 96 pixels: .*'hrnet_w18'"),
        (
            "legacy_xception",
            r"its maps are \[\(1, 64, 29, 45\), .*, expected \[\(1, 64, 32, 48\), ",
        ),
    ],
)
def test_an_encoder_that_fits_no_unet_is_refused(name, words):
    with pytest.raises(ValueError, match=f"UNet: '{name}' cannot be the encoder .{words}"):
        UNet(name, 2)


def test_an_encoder_of_which_timm_gives_no_maps_is_refused(monkeypatch):
    def refuse(*names, **options):
        raise RuntimeError("features_only not implemented for this.\nMore")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(
        ValueError, match="timm gives no maps of it: features_only not implemented for this.. Take"
    ):
        UNet("test_resnet", 2)


def test_an_encoder_that_is_not_there_is_met_with_near_names():
    with pytest.raises(ValueError, match="unknown encoder 'resnet81'. Did you mean 'resnet18'"):
        UNet("resnet81", 2)
    with pytest.raises(ValueError, match="unknown encoder 'hf-hub:timm/resnet18'. timm.list_mod"):
        UNet("hf-hub:timm/resnet18", 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": (8, 4)}, r"channels=\(8, 4\) do not fit .* \(found 2, expected 5 above 0"),
        ({"channels": (8, 8, 8, 8, 0)}, r"\(found 5, expected 5 above 0, one for each doubling"),
        ({"depth": 6}, r"depth=6 does not fit 'test_resnet' \(found 5 maps, expected 2 to 5"),
        ({"depth": 1}, "depth=1 does not fit"),
        ({"deep": 5}, r"deep=5 does not fit 'test_resnet' \(expected 0 to 4, since it answers"),
        ({"depth": 2, "deep": 2}, r"deep=2 does not fit 'test_resnet' \(expected 0 to 1"),
        ({"deep": -1}, "deep=-1 does not fit"),
        ({"outputs": 0}, r"outputs=0 \(expected 1 or more\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, words):
    with pytest.raises(ValueError, match=f"UNet: .*{words}"):
        UNet("test_resnet", **{"outputs": 2, **settings})


@pytest.mark.parametrize("name", ["densenet121", "hrnet_w18_small"])
def test_stochastic_depth_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' has no stochastic depth .found drop_path_rate"):
        UNet(name, 2, drop_path_rate=0.1)


@pytest.mark.skipif(sys.version_info < (3, 9), reason="segmentation_models_pytorch: 3.9 or newer")
@pytest.mark.parametrize("name", FAMILIES)
def test_equal_weights_give_the_logits_of_segmentation_models_pytorch(name):
    import segmentation_models_pytorch

    theirs = segmentation_models_pytorch.Unet(f"tu-{name}", encoder_weights=None, classes=3)
    ours = fill(UNet(name, 3))
    assert len(theirs.state_dict()) == len(ours.state_dict())  # both in order of their layers
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values())))
    images = pictures(96, 64)
    with torch.no_grad():
        found, wanted = ours.eval()(images), theirs.eval()(images)
    assert wanted.std() > 0.01 and (found - wanted).abs().max() < 1e-5


def fill(model):
    """Weights by each tensor's name, so that they are equal on both lanes."""
    for name, tensor in model.state_dict().items():
        values = seeding.generator(name).random(tuple(tensor.shape))
        if tensor.ndim > 1:
            values = (values - 0.5) * (12 / tensor[0].numel()) ** 0.5
        elif not name.endswith("bias") and not name.endswith("running_mean"):
            values = values * 0.5 + 0.75
        else:
            values = (values - 0.5) * 0.2
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(np.asarray(values)))
    return model


def sampled_logits(name):
    """64 logits of a nested U-Net, of an odd size."""
    model = fill(UNet(name, 3, nested=True, **SMALL)).eval()
    with torch.no_grad():
        logits = model(pictures(70, 45)).flatten()
    return logits[torch.linspace(0, len(logits) - 1, 64).long()]


@pytest.mark.parametrize("name", FAMILIES)
def test_both_lanes_give_the_same_logits(name):
    """`python tests/test_unet.py` wrote these, on the current lane."""
    wanted = torch.tensor(json.loads(KEPT.read_text(encoding="utf-8"))[name])
    assert wanted.std() > 0.01
    assert (sampled_logits(name) - wanted).abs().max() < 1e-4


if __name__ == "__main__":
    kept = {name: [round(float(x), 7) for x in sampled_logits(name)] for name in FAMILIES}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
