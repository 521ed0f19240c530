"""Augmentation recipes by name, always keyed; and the mixing of a batch.

Flips are not in the recipes: the dataset mirrors a picture itself, since what is known of the case
(tooth number, view) is mirrored along.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable

import cv2
import numpy as np
import torch

from medkit import seeding
from medkit.naming import did_you_mean

RECIPES = ("none", "light", "medium", "strong")


def make_transform(recipe: str) -> Callable[..., np.ndarray]:
    """A transform (image, *key) -> image of the same shape and dtype, a function of its arguments.

    What it returns lies in memory channel by channel, so that no tensor of it needs a copy.

    Args:
        recipe: "none", "light" (small shifts, turns and light), "medium" (larger ones, colour) or
            "strong" (also blur, noise and holes).
    """
    if recipe not in RECIPES:
        raise ValueError(
            f"unknown augmentation {recipe!r} (expected one of {', '.join(RECIPES)})."
            f"{did_you_mean(recipe, RECIPES)}"
        )
    if recipe == "none":
        return lambda image, *key: image
    steps = compose(recipe)

    def transform(image: np.ndarray, *key: int | str) -> np.ndarray:
        with seeding.reseeded(steps, "augment", *key):
            augmented = steps(image=image)["image"]
        planes = np.empty((3, *augmented.shape[:2]), np.uint8)
        cv2.split(augmented, list(planes))  # 8 times as fast as a copy of NumPy's transposed view
        return planes.transpose(1, 2, 0)

    return transform


def mirror(
    image: np.ndarray, flips: tuple[str, ...], rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """Each allowed flip with probability one half; says whether left and right changed places."""
    mirrored = "horizontal" in flips and rng.random() < 0.5
    if mirrored:
        image = cv2.flip(image, 1)  # 30 times as fast as a copy of NumPy's reversed view
    if "vertical" in flips and rng.random() < 0.5:
        image = cv2.flip(image, 0)
    return image, mirrored


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

    amount = {"light": 1, "medium": 2, "strong": 3}[recipe]
    steps = [
        A.Affine(
            scale=(1 - 0.08 * amount, 1 + 0.08 * amount),
            translate_percent=(-0.04 * amount, 0.04 * amount),
            rotate=(-7 * amount, 7 * amount),
            p=0.8,
        ),
        A.RandomBrightnessContrast(0.1 * amount, 0.1 * amount, p=0.7),
    ]
    if amount >= 2:
        steps.append(A.HueSaturationValue(4 * amount, 10 * amount, 0, p=0.5))
        steps.append(A.RandomGamma(gamma_limit=(80, 120), p=0.3))
    if amount >= 3:
        steps.append(A.GaussianBlur(blur_limit=(3, 5), p=0.2))
        holes = {"hole_height_range": (0.1, 0.25), "hole_width_range": (0.1, 0.25)}
        steps.append(A.CoarseDropout(num_holes_range=(1, 3), p=0.3, **holes))
    return A.Compose(steps)
