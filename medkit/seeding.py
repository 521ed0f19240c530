"""Every random choice has a key: ("order", seed, epoch), ("augment", seed, epoch, position), ...

No random state is ever saved. Who needs random numbers makes a generator from a key; what can draw
only from a global generator (dropout, albumentations 1.4) is seeded from its key right before, and
the generator is given back after.
"""

from __future__ import annotations

import os
import random
import sys
import zlib
from contextlib import contextmanager
from typing import Any, Iterator

import numpy as np

from medkit.arguments import check_arguments
from medkit.errors import ConfigError


def key_seed(*key: int | str) -> int:
    """A 32-bit seed for a key such as ("order", seed, epoch).

    The key's length goes in first: NumPy pads short keys with zeros, so that the plain seeds of
    (1, 2) and (1, 2, 0) are one.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in key]
    if any(word < 0 for word in words):
        raise ConfigError(f"key {key!r}: seeds and counts must not be negative. Use 0 or more.")
    return int(np.random.SeedSequence([len(words), *words]).generate_state(1)[0])


def generator(*key: int | str) -> np.random.Generator:
    """A NumPy generator of its own for a key."""
    return np.random.default_rng(key_seed(*key))


@contextmanager
def keyed(*key: int | str) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch from a key; give them back after."""
    torch = sys.modules.get("torch")
    cuda = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    torch_state = torch.get_rng_state() if torch is not None else None
    cuda_state = torch.cuda.get_rng_state() if cuda else None
    try:
        with _given_back():
            seed_globals(key_seed(*key))
            yield
    finally:
        if torch is not None:
            torch.set_rng_state(torch_state)
        if cuda:
            torch.cuda.set_rng_state(cuda_state)


def seed_globals(seed: int) -> None:
    """Seed the global generators of Python, NumPy and, where it is loaded, torch."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices) for your own code in a notebook.

    `fit` needs none of it: its random choices come from the config's seed, whatever was drawn
    before. `PYTHONHASHSEED` is set for processes started later; this one keeps its own.

    Example:
        >>> import random
        >>> mk.seed_everything(7)
        >>> first = random.random()
        >>> mk.seed_everything(7)
        >>> random.random() == first
        True
    """
    check_arguments(seed_everything, locals())
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed {seed!r} is not a 32-bit number. Use 0 to {2**32 - 1}.")
    import torch  # noqa: F401  here, so that reading tables needs no torch

    os.environ["PYTHONHASHSEED"] = str(seed)
    seed_globals(int(seed))


@contextmanager
def reseeded(transform: Any, *key: int | str) -> Iterator[None]:
    """`reseed`, giving back after what it took: for 1.4 Python's and NumPy's generators.

    torch's is left alone, since albumentations draws nothing from it and seeding it is slow.
    """
    if hasattr(transform, "set_random_state"):
        reseed(transform, *key)
        yield
    else:
        with _given_back():
            reseed(transform, *key)
            yield


def reseed(transform: Any, *key: int | str) -> None:
    """Make the next call of an albumentations transform depend on `key` alone.

    albumentations 2 keeps generators of its own; 1.4 draws from the global ones, so go through
    `reseeded`, as `loading.augment` does.
    """
    seed = key_seed(*key)
    if hasattr(transform, "set_random_state"):  # albumentations 2: `set_random_seed` would mix in
        transform.set_random_state(np.random.default_rng(seed), random.Random(seed))  # the worker's
    else:
        random.seed(seed)
        np.random.seed(seed)


@contextmanager
def _given_back() -> Iterator[None]:
    """Python's and NumPy's global generators come out as they went in."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
