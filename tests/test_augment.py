from __future__ import annotations

import random
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from medkit import seeding
from medkit.images.masks import unpacked
from medkit.loading.augment import RECIPES, blend, compose, draw_mix, make_transform, mirror
from medkit.runs import config

IMAGE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_augmentation_is_a_function_of_its_key(recipe):
    transform = make_transform(recipe)
    first = [transform(IMAGE, 7, 0, i)[0] for i in range(6)]
    other = make_transform(recipe)
    for i in (5, 0, 3):
        random.random(), np.random.rand(), torch.rand(1)
        assert np.array_equal(other(IMAGE, 7, 0, i)[0], first[i])
    assert all(image.shape == IMAGE.shape and image.dtype == np.uint8 for image in first)
    distinct = {image.tobytes() for image in first}
    assert len(distinct) == (1 if recipe == "none" else 6)


def test_an_augmentation_gives_the_global_generators_back():
    transform = make_transform("strong")
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    transform(IMAGE, 1, 2, 3)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match="unknown augmentation 'heavy' .expected one of none"):
        make_transform("heavy")


def test_a_config_names_every_recipe():
    shown = Path(config.__file__).read_text(encoding="utf-8")
    line = next(line for line in shown.splitlines() if line.startswith("    augment: "))
    assert set(re.findall('"(.*?)"', line)) == set(RECIPES)


def test_only_allowed_flips_are_made():
    drawn = [mirror(IMAGE, ("horizontal",), seeding.generator("t", i)) for i in range(40)]
    for image, _, mirrored in drawn:
        assert np.array_equal(image, IMAGE[:, ::-1] if mirrored else IMAGE)
    assert 8 < sum(mirrored for _, _, mirrored in drawn) < 32
    still, _, mirrored = mirror(IMAGE, (), seeding.generator("t", 0))
    assert np.array_equal(still, IMAGE) and not mirrored


def test_mixing_is_keyed_and_off_by_default():
    assert draw_mix(0, 0, 8, 32, 1, 2, 3) is None
    partner, share, box = draw_mix(0.4, 0, 8, 32, 1, 2, 3)
    again = draw_mix(0.4, 0, 8, 32, 1, 2, 3)
    assert sorted(partner) == list(range(8)) and 0 <= share <= 1 and box is None
    assert np.array_equal(partner, again[0]) and share == again[1]


def test_cutmix_shares_are_the_areas():
    for step in range(30):
        _, share, (top, bottom, left, right) = draw_mix(0, 1.0, 4, 32, 0, 0, step)
        assert share == pytest.approx(1 - (bottom - top) * (right - left) / 32**2)
        assert 0 <= top <= bottom <= 32 and 0 <= left <= right <= 32


def test_both_mixes_take_turns():
    kinds = {draw_mix(1.0, 1.0, 4, 32, 0, 0, step)[2] is None for step in range(20)}
    assert kinds == {True, False}


def test_blending_is_linear():
    images = torch.randint(0, 255, (4, 3, 8, 8), dtype=torch.uint8)
    facts = torch.eye(4)
    order = np.array([1, 0, 3, 2])
    share, _, mixed, told = blend(images, facts, (order, 0.25, None))
    assert torch.allclose(mixed, 0.25 * images.float() + 0.75 * images[order].float())
    assert torch.allclose(told[0], torch.tensor([0.25, 0.75, 0, 0])) and share == 0.25
    _, _, cut, _ = blend(images, facts, (order, 0.75, (0, 4, 0, 4)))
    assert torch.equal(cut[0, :, :4, :4], images[1, :, :4, :4])
    assert torch.equal(cut[0, :, 4:], images[0, :, 4:])


def test_an_augmentation_is_albumentations_and_lies_channel_by_channel():
    image, _ = make_transform("strong")(IMAGE, 1, 2, 3)
    steps = compose("strong")
    with seeding.reseeded(steps, "augment", 1, 2, 3):
        assert np.array_equal(image, steps(image=IMAGE)["image"])
    assert image.transpose(2, 0, 1).flags.c_contiguous


def test_an_augmentation_leaves_torch_alone(monkeypatch):
    """Seeding torch would cost as much as the augmentation, which draws nothing from it."""
    transform = make_transform("strong")
    monkeypatch.setattr(torch, "manual_seed", None)
    monkeypatch.setattr(torch, "set_rng_state", None)
    assert transform(IMAGE, 1, 2, 3)[0].shape == IMAGE.shape


def test_both_flips_are_those_of_numpy():
    drawn = [
        mirror(IMAGE, ("horizontal", "vertical"), seeding.generator("t", i)) for i in range(40)
    ]
    ways = {
        (bool(m), bool(np.array_equal(i, (IMAGE[:, ::-1] if m else IMAGE)[::-1])))
        for i, _, m in drawn
    }
    assert len(ways) == 4


def some_masks(classes, size=40):
    """(size, size, classes) of overlapping discs, and their bits."""
    rng, masks = np.random.default_rng(classes), np.zeros((size, size, classes), np.uint8)
    for number in range(classes):
        disc = np.zeros((size, size), np.uint8)
        middle = tuple(int(v) for v in rng.integers(4, size - 4, 2))
        cv2.circle(disc, middle, int(rng.integers(3, 12)), 1, -1)
        masks[..., number] = disc
    return masks, np.packbits(masks, axis=-1, bitorder="little")


@pytest.mark.parametrize("classes", [1, 3, 29, 100])
@pytest.mark.parametrize("recipe", RECIPES)
def test_bits_are_moved_as_each_mask_would_be(recipe, classes):
    image = np.random.default_rng(1).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    masks, bits = some_masks(classes)
    transform = make_transform(recipe)
    for number in range(4):
        shown, moved = transform(image, 5, 0, number, bits=bits)
        assert moved.shape == bits.shape and moved.dtype == np.uint8
        assert np.array_equal(shown, transform(image, 5, 0, number)[0])  # they change no picture
        wanted = masks
        if recipe != "none":
            steps = compose(recipe)
            with seeding.reseeded(steps, "augment", 5, 0, number):
                wanted = steps(image=image, masks=list(masks.transpose(2, 0, 1)))["masks"]
            wanted = np.stack(wanted, -1)
        assert np.array_equal(unpacked(moved, classes), wanted)


def test_bits_are_mirrored_with_their_picture():
    masks, bits = some_masks(3)
    image = np.repeat(255 * masks[..., :1], 3, 2)
    seen = set()
    for number in range(40):
        rng = seeding.generator("t", number)
        shown, moved, _ = mirror(image, ("horizontal", "vertical"), rng, bits=bits)
        assert np.array_equal(unpacked(moved, 3)[..., 0] * 255, shown[..., 0])
        seen.add(moved.tobytes())
    assert len(seen) == 4
