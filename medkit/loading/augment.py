"""Augmentation recipes by name, always keyed; and the mixing of a batch.

Flips are not in the recipes: the dataset mirrors a picture itself, since what is known of the case
(tooth number, view) is mirrored along.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Optional, Tuple

import cv2
import numpy as np
import torch

from medkit import seeding
from medkit.errors import ConfigError
from medkit.images import masks
from medkit.naming import did_you_mean

Pair = Tuple[np.ndarray, Optional[np.ndarray]]


def make_transform(recipe: str) -> Callable[..., Pair]:
    """A transform (image, *key, bits=None) -> (image, bits), a function of its arguments.

    Both keep shape and dtype. The image lies in memory channel by channel, so that no tensor of it
    needs a copy. Bits of masks (`images.masks`) are moved as the image is, to the nearest pixel:
    all masks at once, and each as it would be alone.

    Args:
        recipe: a row of `RECIPES`.
    """
    if recipe not in RECIPES:
        raise ConfigError(
            f"unknown augmentation {recipe!r} (expected one of {', '.join(RECIPES)})."
            f"{did_you_mean(recipe, RECIPES)}"
        )
    if RECIPES[recipe] is None:
        return lambda image, *key, bits=None: (image, bits)
    steps = compose(recipe)

    def transform(image: np.ndarray, *key: int | str, bits: np.ndarray | None = None) -> Pair:
        along = {} if bits is None else {"mask": bits}
        with seeding.reseeded(steps, "augment", *key):
            augmented = steps(image=image, **along)
        planes = np.empty((3, *image.shape[:2]), np.uint8)
        cv2.split(augmented["image"], list(planes))  # 8 times as fast as NumPy's transposed copy
        return planes.transpose(1, 2, 0), augmented.get("mask")

    return transform


def mirror(
    image: np.ndarray,
    flips: tuple[str, ...],
    rng: np.random.Generator,
    *,
    bits: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Each allowed flip with probability one half, of an image and the bits of its masks.

    The last says whether left and right changed places.
    """
    mirrored = "horizontal" in flips and rng.random() < 0.5
    upturned = "vertical" in flips and rng.random() < 0.5
    for axis, wanted in ((1, mirrored), (0, upturned)):
        if wanted:
            image = cv2.flip(image, axis)  # 30 times as fast as a copy of NumPy's reversed view
            bits = None if bits is None else masks.mirrored(bits, axis)
    return image, bits, mirrored


def draw_mix(
    mixup: float, cutmix: float, count: int, size: int, *key: int | str
) -> tuple[np.ndarray, float, tuple[int, int, int, int] | None] | None:
    """How to mix a batch: partner of each image, share of its own, box that the partner fills.

    Args:
        mixup, cutmix: alphas; with both above 0, each has probability one half.
        count: images in the batch; size: pixels a side.

    Returns:
        None when neither is on; box is None for MixUp, else (top, bottom, left, right).
    Source: Zhang et al., arXiv 1710.09412; Yun et al., arXiv 1905.04899, algorithm A1.
    """
    if mixup <= 0 and cutmix <= 0:
        return None
    rng = seeding.generator("mix", *key)
    cut = cutmix > 0 and (mixup <= 0 or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    partner, share = rng.permutation(count), float(rng.beta(alpha, alpha))
    if not cut:
        return partner, share, None
    half = size * np.sqrt(1 - share) / 2
    y, x = rng.integers(0, size, 2)
    top, bottom = int(max(0, y - half)), int(min(size, y + half))
    left, right = int(max(0, x - half)), int(min(size, x + half))
    return partner, 1 - (bottom - top) * (right - left) / size**2, (top, bottom, left, right)


def blend(
    images: torch.Tensor, facts: torch.Tensor, mix: tuple[np.ndarray, float, Any]
) -> tuple[float, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mix a batch as `draw_mix` says: (share of its own, partners, images, facts)."""
    order, share, box = mix
    partner = torch.from_numpy(order).to(images.device)
    if box is None:
        mixed = images.float() * share + images[partner].float() * (1 - share)
    else:
        top, bottom, left, right = box
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    return share, partner, mixed, facts * share + facts[partner] * (1 - share)


def compose(recipe: str) -> Any:
    """The albumentations pipeline; the differences of 1.4 and 2.0 stand here and in `reseeded`."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # import asks the network otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations as A

    return A.Compose(RECIPES[recipe](A))


def _moved(A: Any, amount: int, *, turn: int | None = None) -> list[Any]:
    """Shifts, turns (by `turn` degrees at most) and light, more of them with the amount."""
    turn = 7 * amount if turn is None else turn
    return [
        A.Affine(
            scale=(1 - 0.08 * amount, 1 + 0.08 * amount),
            translate_percent=(-0.04 * amount, 0.04 * amount),
            rotate=(-turn, turn),
            p=0.8,
        ),
        A.RandomBrightnessContrast(0.1 * amount, 0.1 * amount, p=0.7),
    ]


def _evened_out(A: Any) -> Any:
    """Contrast that is evened out by more or less."""
    return A.CLAHE(clip_limit=(1, 4), tile_grid_size=(8, 8), p=0.5)


def _coloured(A: Any, amount: int) -> list[Any]:
    return [
        A.HueSaturationValue(4 * amount, 10 * amount, 0, p=0.5),
        A.RandomGamma(gamma_limit=(80, 120), p=0.3),
    ]


def _light(A: Any) -> list[Any]:
    """Small shifts, turns and light."""
    return _moved(A, 1)


def _medium(A: Any) -> list[Any]:
    """Larger ones, and colour."""
    return [*_moved(A, 2), *_coloured(A, 2)]


def _strong(A: Any) -> list[Any]:
    """Also blur and holes."""
    holes = {"hole_height_range": (0.1, 0.25), "hole_width_range": (0.1, 0.25)}
    return [
        *_moved(A, 3),
        *_coloured(A, 3),
        A.GaussianBlur(blur_limit=(3, 5), p=0.2),
        A.CoarseDropout(num_holes_range=(1, 3), p=0.3, **holes),
    ]


def _clahe(A: Any) -> list[Any]:
    """Light, and contrast that is evened out."""
    return [*_moved(A, 1), _evened_out(A)]


def _xray(A: Any) -> list[Any]:
    """Grey pictures of bodies that turn: wide turns, light, contrast, gamma, blur; no colour."""
    return [
        *_moved(A, 2, turn=30),
        _evened_out(A),
        A.RandomGamma(gamma_limit=(70, 140), p=0.5),
        A.GaussianBlur(blur_limit=(3, 3), p=0.2),
    ]


RECIPES: dict[str, Callable[[Any], list[Any]] | None] = {  # steps of albumentations, by name
    "none": None,
    "light": _light,
    "medium": _medium,
    "strong": _strong,
    "clahe": _clahe,
    "xray": _xray,
}
