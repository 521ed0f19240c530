"""temporary"""

import torch


class MaskLoss:
    settings = ()
    names = ("cross_entropy", "dice", "cross_entropy_dice", "focal", "tversky")
    without = (
        "peers",
        "teacher",
        "cutmix",
        "balanced",
        "arcface_margin",
        "class_weights",
        "label_smoothing",
        "facts",
    )

    def __init__(self, head, config, known):
        self.classes = len(head.classes)

    def _t(self, bits, like):
        p = (2 ** torch.arange(8, device=bits.device)).to(torch.uint8)
        return (
            (bits[..., None] & p)
            .ne(0)
            .flatten(-2)[..., : self.classes]
            .permute(0, 3, 1, 2)
            .to(like)
        )

    def training(self, answers, bits):
        if isinstance(answers, list):
            answers = answers[0]
        t = self._t(bits, answers)
        return torch.nn.functional.binary_cross_entropy_with_logits(
            answers, t, reduction="none"
        ).mean((1, 2, 3)).sum() + self.plain(answers, bits)

    def plain(self, answers, bits):
        t, p = self._t(bits, answers), answers.sigmoid()
        d = 1 - (2 * (t * p).sum((2, 3)) + 1e-4) / (t.sum((2, 3)) + p.sum((2, 3)) + 1e-4)
        return d.mean(1).sum()


class ExclusiveMaskLoss(MaskLoss):
    pass
