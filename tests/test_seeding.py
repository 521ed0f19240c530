from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

from medkit import seeding


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_a_key_is_a_seed():
    assert seeding.key_seed("order", 1, 2) == seeding.key_seed("order", 1, 2)
    keys = [(1,), (1, 0), (1, 0, 0), (0, 1), ("order", 1), ("mix", 1), ("order", 1, 0)]
    assert len({seeding.key_seed(*key) for key in keys}) == len(keys)


def test_numpy_alone_would_take_short_keys_for_long_ones():
    """Why the length is part of the key."""
    plain = [np.random.SeedSequence(key).generate_state(1)[0] for key in [(1, 2), (1, 2, 0)]]
    assert plain[0] == plain[1]


def test_negative_keys_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        seeding.key_seed(-1)


def test_generators_of_one_key_agree():
    first, second = seeding.generator("x", 3), seeding.generator("x", 3)
    assert np.array_equal(first.random(5), second.random(5))


def test_keyed_seeds_the_global_generators_and_gives_them_back():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    wanted = draws()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with seeding.keyed("dropout", 1):
        inside = draws()
    assert draws() == wanted
    with seeding.keyed("dropout", 1):
        assert draws() == inside


def test_keyed_gives_them_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(KeyError):
        with seeding.keyed(1):
            torch.rand(3)
            raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_everything_seeds_everything(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "x")
    seeding.seed_everything(7)
    first = draws()
    seeding.seed_everything(7)
    assert draws() == first and os.environ["PYTHONHASHSEED"] == "7"
    with pytest.raises(ValueError, match=r"seed -1 is not a 32-bit number"):
        seeding.seed_everything(-1)


def test_reseeding_serves_both_lines_of_albumentations():
    import albumentations as A

    compose = A.Compose([A.RandomBrightnessContrast(p=1), A.HorizontalFlip(p=0.5)])
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)

    def augment(key):
        seeding.reseed(compose, "t", key)
        return compose(image=image)["image"]

    first = [augment(key) for key in range(5)]
    assert all(np.array_equal(augment(key), first[key]) for key in (4, 0, 2))
    assert len({picture.tobytes() for picture in first}) == 5
