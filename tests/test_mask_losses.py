"""The losses of masks: their values by hand, their gradients, and that parts add up."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gradients import inexact
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softmax

import medkit as mk
from medkit.training.mask_losses import PARTS, ExclusiveMaskLoss, MaskLoss, unpacked

BOTH = pytest.mark.parametrize("kind", [MaskLoss, ExclusiveMaskLoss])
EVERY = pytest.mark.parametrize("loss", PARTS)


def loss_of(kind, loss="dice", classes=3, gamma=2.0, alpha=0.3):
    head = mk.Head("bones", tuple(f"bone {k}" for k in range(classes)))
    config = SimpleNamespace(loss=loss, focal_gamma=gamma, tversky_alpha=alpha)
    return kind(head, config, torch.zeros(0))


def packed(masks):
    """Bits (N, S, S, bytes) of masks (N, classes, S, S), by NumPy's packing."""
    return torch.from_numpy(np.packbits(masks.numpy(), axis=1, bitorder="little")).movedim(1, -1)


def drawn(kind, n=4, classes=3, size=6, seed=0, dtype=torch.float64):
    """Logits and masks of a kind; the first class of the first image is empty."""
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes + kind.extra, size, size, generator=rng, dtype=dtype)
    masks = torch.rand(n, classes, size, size, generator=rng) < 0.4
    masks[0, 0] = False
    return logits, masks


def certain(kind, masks, sure=40.0):
    """The logits of who knows the masks."""
    if kind is MaskLoss:
        return sure * (2.0 * masks - 1)
    return sure * torch.cat([~masks.any(1, keepdim=True), masks], 1).float()


def exclusive(masks):
    """Masks of which the first class alone is left."""
    return masks & (masks.cumsum(1) == 1)


@pytest.mark.parametrize("classes", [1, 7, 8, 9, 29])
def test_bits_are_unpacked_to_the_masks_that_were_packed(classes):
    masks = torch.rand(2, classes, 5, 5) < 0.5
    bits = packed(masks)
    assert bits.shape == (2, 5, 5, -(-classes // 8))
    assert torch.equal(unpacked(bits, classes), masks)
    by_hand = torch.zeros(1, 1, 1, 2, dtype=torch.uint8)
    by_hand[..., 1] = 2  # class 9 is the second lowest bit of the second byte
    assert unpacked(by_hand, 12)[0, :, 0, 0].nonzero().tolist() == [[9]]


@EVERY
@BOTH
def test_gradients_are_those_of_finite_differences(kind, loss):
    logits, masks = drawn(kind, n=2, size=4)
    bits, objective = packed(masks), loss_of(kind, loss)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: objective.training(x, bits), logits)
    coarse = drawn(kind, n=2, size=2, seed=1)[0].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *levels: objective.training(levels, bits), (logits, coarse)
    )
    assert torch.autograd.gradcheck(lambda x: objective.plain(x, bits), logits)


@EVERY
@BOTH
def test_micro_batches_add_up_to_the_whole(kind, loss):
    objective = loss_of(kind, loss)
    logits, masks = drawn(kind, n=5, size=9, dtype=torch.float32)
    coarse, bits = drawn(kind, n=5, size=5, seed=1, dtype=torch.float32)[0], packed(masks)
    for method in (objective.training, objective.plain):
        whole = method([logits, coarse], bits)
        parts = [method([logits[p], coarse[p]], bits[p]) for p in torch.arange(5).split([1, 2, 2])]
        assert torch.allclose(torch.stack(parts).sum(), whole, rtol=1e-6)
        nothing = method([logits[:0], coarse[:0]], bits[:0])
        assert nothing.item() == 0


@EVERY
@BOTH
def test_perfect_answers_cost_nothing_also_where_classes_are_empty(kind, loss):
    masks = drawn(kind)[1]
    masks[1] = False  # a picture of nothing
    masks = exclusive(masks) if kind is ExclusiveMaskLoss else masks
    objective = loss_of(kind, loss)
    for method in (objective.training, objective.plain):
        assert abs(method(certain(kind, masks), packed(masks)).item()) < 1e-5
        wrong = certain(kind, masks).flip(2)
        assert method(wrong, packed(masks)).item() > 0.5


def test_cross_entropy_is_the_mean_over_pixels_and_classes():
    logits, masks = drawn(MaskLoss)
    found = loss_of(MaskLoss, "cross_entropy").training(logits, packed(masks))
    wanted = 4 * binary_cross_entropy_with_logits(logits, masks.double())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_exclusive_cross_entropy_is_that_of_the_first_class_or_of_none():
    logits, masks = drawn(ExclusiveMaskLoss)
    numbers = torch.where(masks.any(1), masks.int().argmax(1) + 1, torch.zeros((), dtype=torch.int))
    objective = loss_of(ExclusiveMaskLoss, "cross_entropy")
    assert torch.equal(objective.target(packed(masks)), numbers.long())
    assert set(numbers.flatten().tolist()) == {0, 1, 2, 3}
    found = objective.training(logits, packed(masks))
    wanted = 4 * cross_entropy(logits, numbers.long())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


def by_hand(kind):
    """One picture of 2 x 2 pixels: an area said of 2.25, one true of 2, in both 1.5."""
    probs = torch.tensor([[0.9, 0.6], [0.5, 0.25]], dtype=torch.float64)
    masks = torch.tensor([[True, True], [False, False]])[None, None]
    if kind is MaskLoss:
        return torch.logit(probs)[None, None], masks
    return torch.stack([(1 - probs).log(), probs.log()])[None], masks


@BOTH
@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("dice", 1 - (2 * 1.5 + 1) / (2.25 + 2 + 1)),
        ("tversky", 1 - (2 * 1.5 + 1) / (2 * 1.5 + 2 * 0.3 * 0.75 + 2 * 0.7 * 0.5 + 1)),
        ("cross_entropy", -sum(map(math.log, (0.9, 0.6, 0.5, 0.75))) / 4),
        ("focal", -sum((1 - p) ** 2 * math.log(p) for p in (0.9, 0.6, 0.5, 0.75)) / 4),
    ],
)
def test_values_by_hand(kind, loss, wanted):
    logits, masks = by_hand(kind)
    found = loss_of(kind, loss, classes=1).training(logits, packed(masks))
    assert found.item() == pytest.approx(wanted, rel=1e-12)


@BOTH
def test_the_losses_are_related_as_they_should_be(kind):
    logits, masks = drawn(kind)
    bits = packed(masks)

    def value(loss, **settings):
        return loss_of(kind, loss, **settings).training(logits, bits).item()

    half = (value("cross_entropy") + value("dice")) / 2
    assert value("cross_entropy_dice") == pytest.approx(half, rel=1e-12)
    assert value("focal", gamma=0.0) == pytest.approx(value("cross_entropy"), rel=1e-12)
    assert value("focal", gamma=1.0) < value("cross_entropy")
    assert value("tversky", alpha=0.5) == pytest.approx(value("dice"), rel=1e-12)
    for loss in PARTS:
        assert loss_of(kind, loss).plain(logits, bits).item() == pytest.approx(value("dice"))


@BOTH
def test_alpha_weighs_what_is_said_too_much(kind):
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    masks[..., 2:6, 2:6] = True
    more, less = masks.clone(), masks.clone()
    more[..., 2:6, 6:8] = True
    less[..., 2:6, 4:6] = False

    def value(said, alpha):
        objective = loss_of(kind, "tversky", classes=1, alpha=alpha)
        return objective.training(certain(kind, said), packed(masks)).item()

    assert value(more, 0.9) > value(more, 0.5) > value(more, 0.1)
    assert value(less, 0.9) < value(less, 0.5) < value(less, 0.1)


@BOTH
def test_each_image_and_class_counts_alike_whatever_its_area(kind):
    masks = torch.zeros(2, 2, 16, 16, dtype=torch.bool)
    masks[0, 0] = masks[1, 1] = True
    masks[0, :, 0, 0] = torch.tensor([False, True])  # one pixel of the other class
    missed = certain(kind, masks)
    missed[0, 1 + kind.extra] = -40.0
    found = loss_of(kind, classes=2).training(missed, packed(masks)).item()
    assert found == pytest.approx((1 - 1 / (1 + 1)) / 2, abs=0.002)


@BOTH
def test_a_class_that_is_empty_is_pushed_away(kind):
    masks = torch.zeros(1, 3, 6, 6, dtype=torch.bool)
    logits = torch.zeros(1, 3 + kind.extra, 6, 6, requires_grad=True)
    loss_of(kind, "dice").training(logits, packed(masks)).backward()
    assert (logits.grad[:, kind.extra :] > 0).all()


@BOTH
def test_coarser_answers_weigh_half_and_see_every_second_pixel(kind):
    masks = drawn(kind, size=7)[1]
    objective, bits = loss_of(kind, "cross_entropy_dice"), packed(masks)
    levels = [drawn(kind, size=size, seed=size)[0] for size in (7, 4, 2)]
    values = [
        objective.training(logits, packed(masks[:, :, ::step, ::step])).item()
        for logits, step in zip(levels, (1, 2, 4))
    ]
    wanted = (values[0] + values[1] / 2 + values[2] / 4) / 1.75
    assert objective.training(levels, bits).item() == pytest.approx(wanted, rel=1e-12)
    assert objective.plain(levels, bits).item() == objective.plain(levels[0], bits).item()


@EVERY
@BOTH
def test_half_precision_is_left_for_float32(kind, loss):
    logits, masks = drawn(kind, dtype=torch.float32)
    objective, halved = loss_of(kind, loss), logits.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective.training(halved, packed(masks))
        plain = objective.plain(halved, packed(masks))
    wanted = objective.training(halved.detach().float(), packed(masks))
    assert found.dtype == plain.dtype == torch.float32 and torch.equal(found, wanted)
    found.backward()
    assert halved.grad.isfinite().all()


@EVERY
@BOTH
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_certain_answers_have_gradients(kind, loss, gamma):
    masks = exclusive(drawn(kind)[1])
    for right in (masks, ~masks):
        logits = certain(kind, right, 1e4).requires_grad_()
        loss_of(kind, loss, gamma=gamma).training(logits, packed(masks)).backward()
        assert logits.grad.isfinite().all()


@EVERY
@BOTH
def test_every_gradient_repeats_on_a_gpu(kind, loss):
    logits, masks = drawn(kind)
    logits.requires_grad_()
    assert (
        inexact(loss_of(kind, loss).training([logits, logits[..., ::2, ::2]], packed(masks))) == []
    )
    assert inexact(cross_entropy(logits, masks[:, 0].long())) == ["NllLoss2D"]


def test_probabilities_of_exclusive_classes_leave_none_out():
    logits, masks = drawn(ExclusiveMaskLoss)
    objective = loss_of(ExclusiveMaskLoss)
    probs, left = objective.shares(logits, objective.target(packed(masks)))
    assert torch.allclose(probs, softmax(logits, 1)[:, 1:])
    assert torch.equal(left, exclusive(masks))


def test_each_head_may_have_a_loss_of_its_own():
    logits, masks = drawn(MaskLoss)

    def value(loss):
        return loss_of(MaskLoss, loss).training(logits, packed(masks)).item()

    assert value({"bones": "dice"}) == value("dice")
    assert value({"other": "dice"}) == value("cross_entropy")


@BOTH
def test_a_loss_that_is_none_of_masks_is_refused(kind):
    with pytest.raises(ValueError, match="loss='class_balanced' is none of masks, as bones are"):
        loss_of(kind, "class_balanced")
    with pytest.raises(ValueError, match="Did you mean 'tversky'"):
        loss_of(kind, {"bones": "Tverski"})


@BOTH
def test_shapes_that_do_not_fit_are_refused(kind):
    logits, masks = drawn(kind)
    objective, outputs = loss_of(kind), 3 + kind.extra
    with pytest.raises(ValueError, match=f"answers are .4, 1, 6, 6.*Give the model {outputs} out"):
        objective.training(logits[:, :1], packed(masks))
    with pytest.raises(ValueError, match="of bones: the answers are .*labels of the pictures' si"):
        objective.plain(logits[..., :3], packed(masks))
    with pytest.raises(ValueError, match=r"are \(4, 6, 6, 2\) torch.uint8 \(expected .* 1 bytes"):
        objective.training(logits, packed(masks.repeat(1, 3, 1, 1)))
    with pytest.raises(ValueError, match=r"torch.int64 \(expected uint8"):
        objective.training(logits, packed(masks).long())
