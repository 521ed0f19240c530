from __future__ import annotations

import numpy as np
import pytest
import torch
from mask_contests import CLASSES, TINY, make_task

import medkit as mk
from medkit.images.crop import place_in_square
from medkit.inference.sliding import slide
from medkit.models.factory import new_model


@pytest.fixture(scope="module")
def model():
    return new_model(make_task(), mk.Config("shapes", **TINY)).eval()


def pointwise(images):
    """Answers that depend on the pixel alone."""
    grey = images.float().mean(1, keepdim=True) / 64 - 2
    return torch.cat([grey * k for k in range(1, len(CLASSES) + 1)], 1)


def picture(whole, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, whole, whole), generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("shape", [(64, 64), (64, 30), (64, 9), (20, 64)])
@pytest.mark.parametrize("size", [16, 24, 64])
def test_what_pixels_decide_alone_is_the_same_in_windows(model, shape, size):
    shown, (x, y, w, h) = picture(64), place_in_square(*shape, 64)
    wanted = pointwise(shown[None])
    for at_once in (1, 5):
        found = slide(model, shown, pointwise, (x, y, w, h), size=size, at_once=at_once)
        assert found.shape == wanted.shape and found.dtype == torch.float32
        inside = (..., slice(y, y + h), slice(x, x + w))
        assert torch.allclose(found[inside], wanted[inside], atol=1e-5)


def test_the_middle_of_a_window_counts_more_than_its_rim(model):
    """Of two windows side by side, each sure of something else."""
    numbers = iter([0.0, 1.0])

    def predict(images):
        return torch.stack([torch.full((len(CLASSES), 32, 32), next(numbers)) for _ in images])

    found = slide(model, picture(48), predict, (0, 8, 48, 32), size=32, at_once=2)[0, 0, 20]
    assert (found[:16] == 0).all() and (found[32:] == 1).all()
    assert (found[16:32].diff() > 0).all()
    assert found[23] + found[24] == pytest.approx(1, abs=1e-5)


def test_where_no_window_lies_nothing_is(model):
    found = slide(model, picture(64), pointwise, (28, 0, 8, 64), size=16, at_once=4)
    assert (found[..., :20].sigmoid() < 1e-6).all() and (found[..., 40:].sigmoid() < 1e-6).all()
    exclusive = new_model(make_task(kind="exclusive_masks"), mk.Config("shapes", **TINY)).eval()

    def predict(images):
        return torch.zeros(len(images), 1 + len(CLASSES), 16, 16)

    found = slide(exclusive, picture(64), predict, (28, 0, 8, 64), size=16, at_once=4).softmax(1)
    assert (found[:, 0, :, :20] > 0.999).all()
    assert np.allclose(found[:, 0, :, 28:36], 1 / (1 + len(CLASSES)))


def test_only_so_many_windows_are_shown_at_once(model):
    counts = []

    def predict(images):
        counts.append(len(images))
        return pointwise(images)

    slide(model, picture(64), predict, (0, 0, 64, 64), size=16, at_once=8)
    assert max(counts) == 8 and sum(counts) == 49
