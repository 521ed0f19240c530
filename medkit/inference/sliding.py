"""Large pictures predicted window by window; their logits are added up where the model is."""

from __future__ import annotations

from typing import Callable

import torch

from medkit.images import windows
from medkit.models.picture_model import PictureModel

NOWHERE = 20.0  # logits where no window lies: sure that nothing is there


def slide(
    model: PictureModel,
    picture: torch.Tensor,
    predict: Callable[[torch.Tensor], torch.Tensor],
    place: windows.Box,
    *,
    size: int,
    at_once: int,
) -> torch.Tensor:
    """Logits (1, outputs, S, S) of a picture (3, S, S), means over the windows of each pixel.

    They overlap by half, and a window's middle counts more than its rim (`windows.weights`).
    Nothing of the size of the picture is kept but the sum.

    Args:
        predict: windows (N, 3, size, size) -> their logits (N, outputs, size, size), on the device.
        place: of the picture within its square.
        at_once: windows that are shown together.
    """
    device, whole = model.mean.device, picture.shape[-1]
    weight = torch.from_numpy(windows.weights(size)).to(device)
    total = torch.zeros(model.task.outputs, whole, whole, device=device)
    sums = torch.zeros(whole, whole, device=device)
    corners = windows.corners(place, size, whole)
    for first in range(0, len(corners), at_once):
        parts = [
            (slice(y, y + size), slice(x, x + size)) for x, y in corners[first : first + at_once]
        ]
        logits = predict(torch.stack([picture[(slice(None), *part)] for part in parts]))
        for part, own in zip(parts, logits):
            total[(slice(None), *part)].addcmul_(own.float(), weight)
            sums[part] += weight
    total /= sums.clamp(min=1e-9)
    is_nowhere = sums == 0
    if is_nowhere.any():
        none_of_them = model.task.outputs - len(model.task.scored.classes)  # its channels
        total[none_of_them:, is_nowhere] = -NOWHERE
        total[:none_of_them, is_nowhere] = NOWHERE
    return total[None]
