"""What is minimised where the answer is a mask: of each image and class for itself, added up.

Nothing is averaged over images, so that the parts of a batch, in micro-batches or on several
devices, add up to the whole. All of it is computed in float32, and by operations whose gradient is
deterministic on a GPU; the cross entropy of whole pictures, for one, is not.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Union

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from medkit.datasets.task import Head
from medkit.errors import ConfigError, DataError
from medkit.naming import did_you_mean

Answers = Union[torch.Tensor, Sequence[torch.Tensor]]
PARTS = {  # of each loss by name: methods, whose mean it is
    "cross_entropy": ("cross_entropy",),
    "dice": ("dice",),
    "cross_entropy_dice": ("cross_entropy", "dice"),
    "focal": ("focal",),
    "tversky": ("tversky",),
}
SMOOTH = 1.0  # pixels, added to both areas of a ratio: nothing said of nothing costs nothing


class MaskLoss:
    """The losses of one head of masks, any number of which may cover a pixel.

    Args:
        config: its `loss`, and `focal_gamma` or `tversky_alpha` where that takes it.
        known: of the labelled training cases; masks need nothing of it.
    """

    settings = ("loss",)  # that may differ from head to head
    names = tuple(PARTS)  # of losses
    without = ("cutmix", "balanced", "peers", "teacher", "facts")  # have no meaning, are refused
    without += ("arcface_margin", "class_weights", "label_smoothing", "region_mask")
    extra = 0  # channels of the answers in front of those of the classes

    def __init__(self, head: Head, config: Any, known: torch.Tensor | None = None):
        loss = config.loss
        name = loss.get(head.name, "cross_entropy") if isinstance(loss, Mapping) else loss
        if name not in PARTS:
            raise ConfigError(
                f"Config: loss={name!r} is none of masks, as {head.name} are (expected one of "
                f"{', '.join(PARTS)}). Take one of these.{did_you_mean(name, PARTS)}"
            )
        self.head, self.config, self.classes = head, config, len(head.classes)
        self.parts = [getattr(self, part) for part in PARTS[name]]

    def training(self, answers: Answers, bits: torch.Tensor) -> torch.Tensor:
        """Sum over images of the mean over classes; coarser answers weigh half of finer ones.

        Args:
            answers: logits (N, channels, S, S), or several, the finest first, each of half the size
                (rounded up) of the one before.
            bits: (N, S, S, bytes) uint8: class c is bit c % 8, the lowest first, of byte c // 8.
        """
        answers = [answers] if isinstance(answers, torch.Tensor) else answers
        weights = [0.5**halvings for halvings in range(len(answers))]
        total = 0.0
        for halvings, (logits, weight) in enumerate(zip(answers, weights)):
            step = 2**halvings
            total = total + weight * self._sum(self.parts, logits, bits[:, ::step, ::step])
        return total / sum(weights)

    def plain(self, answers: Answers, bits: torch.Tensor) -> torch.Tensor:
        """By soft Dice of the finest answers: what epochs, and runs, are compared by."""
        finest = answers if isinstance(answers, torch.Tensor) else answers[0]
        return self._sum([self.dice], finest, bits)

    def cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.by_pixel(logits, target, 0.0)

    def focal(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Source: Lin et al., arXiv 1708.02002, equation 4."""
        return self.by_pixel(logits, target, self.config.focal_gamma)

    def dice(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Source: Milletari et al., arXiv 1606.04797, section 3, with areas as they are."""
        return self.by_area(logits, target, 0.5)

    def tversky(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Source: Salehi et al., arXiv 1706.05721, equation 3; at alpha 0.5 it is Dice."""
        return self.by_area(logits, target, self.config.tversky_alpha)

    def target(self, bits: torch.Tensor) -> torch.Tensor:
        """Labels as the methods below take them: here (N, classes, S, S) bool."""
        return unpacked(bits, self.classes)

    def by_pixel(self, logits: torch.Tensor, target: torch.Tensor, gamma: float) -> torch.Tensor:
        """(N, classes): mean cross entropy of pixels, those of which it is sure weighed less."""
        right = torch.where(target, logits, -logits)  # above 0 where it is
        losses = -logsigmoid(right)
        if gamma:
            losses = losses * (gamma * logsigmoid(-right)).exp()  # a power with a gradient at 0
        return losses.mean((2, 3))

    def by_area(self, logits: torch.Tensor, target: torch.Tensor, alpha: float) -> torch.Tensor:
        """(N, classes): one minus hits among hits, `alpha` false alarms and 1 - `alpha` misses."""
        probs, masks = self.shares(logits, target)
        hits = (probs * masks).sum((2, 3))
        false_alarms, misses = probs.sum((2, 3)) - hits, masks.sum((2, 3)) - hits
        wrong = alpha * false_alarms + (1 - alpha) * misses
        return 1 - (2 * hits + SMOOTH) / (2 * hits + 2 * wrong + SMOOTH)

    def shares(
        self, logits: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities and masks, both (N, classes, S, S)."""
        return logits.sigmoid(), target

    def _sum(self, parts: list, logits: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        n, height, width = bits.shape[:3]
        wanted = (n, self.classes + self.extra, height, width)
        if logits.shape != wanted:
            raise ConfigError(
                f"masks of {self.head.name}: the answers are {tuple(logits.shape)} (expected "
                f"{wanted}). Give the model {wanted[1]} outputs, and labels of the pictures' size."
            )
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            target = self.target(bits)
            losses = [part(logits, target) for part in parts]
            return sum(loss.sum() / loss.shape[1] for loss in losses) / len(losses)


class ExclusiveMaskLoss(MaskLoss):
    """The losses of one head of masks, at most one of which covers a pixel.

    The answers' first channel is for none of the classes. Where labels overlap, the first of the
    classes counts.
    """

    extra = 1

    def target(self, bits: torch.Tensor) -> torch.Tensor:
        """(N, S, S): 0 for none, c + 1 for class c."""
        masks = unpacked(bits, self.classes)
        ranks = torch.arange(self.classes, 0, -1, dtype=torch.int16, device=bits.device)
        highest = (masks * ranks[:, None, None]).amax(1).long()  # 0 for none
        return torch.where(highest > 0, self.classes + 1 - highest, highest)

    def by_pixel(self, logits: torch.Tensor, target: torch.Tensor, gamma: float) -> torch.Tensor:
        """(N, 1), over all classes at once."""
        n, channels, height, width = logits.shape
        rows = logits.permute(0, 2, 3, 1).reshape(-1, channels)  # (pixels, channels)
        losses = cross_entropy(rows, target.flatten(), reduction="none")
        if gamma:  # of how unsure it is, kept off 0, where a small power has no gradient
            losses = losses * (-torch.expm1(-losses)).clamp(min=1e-7) ** gamma
        return losses.view(n, height * width).mean(1, keepdim=True)

    def shares(
        self, logits: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = torch.arange(1, self.classes + 1, device=target.device)
        return logits.softmax(1)[:, 1:], target[:, None] == numbers[:, None, None]


def unpacked(bits: torch.Tensor, classes: int) -> torch.Tensor:
    """(N, classes, S, S) bool of (N, S, S, bytes) uint8, where they lie."""
    if bits.dtype != torch.uint8 or bits.shape[3] != -(-classes // 8):
        raise DataError(
            f"masks: the labels are {tuple(bits.shape)} {bits.dtype} (expected uint8, and "
            f"{-(-classes // 8)} bytes a pixel for {classes} classes). Pack a class a bit."
        )
    powers = 2 ** torch.arange(8, dtype=torch.uint8, device=bits.device)
    masks = (bits[..., None] & powers).ne(0).flatten(3)  # (N, S, S, 8 * bytes)
    return masks[..., :classes].permute(0, 3, 1, 2)
