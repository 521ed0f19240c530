"""U-Net and U-Net++ over an encoder of timm: an answer for each pixel, of pictures of any size.

Maps are enlarged by repetition, whose gradient is a plain sum: that of bilinear interpolation adds
up in any order on a GPU, and a run has to repeat to the bit.
"""

from __future__ import annotations

import math
from typing import Any, Sequence

import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medkit.errors import ConfigError
from medkit.naming import did_you_mean

FAILURES = (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)


class UNet(nn.Module):
    """Logits (N, outputs, H, W) of float images (N, 3, H, W), whatever H and W.

    While it is trained with `deep` above 0, a list: these logits, then those of half the size
    (rounded up), of a quarter, and so on.

    Args:
        name: a timm model whose maps halve step by step, such as "resnet34", "densenet121",
            "convnext_tiny", "tf_efficientnetv2_s" or "hrnet_w18". Its weights are drawn.
        channels: of the decoder, the coarsest first, one for each doubling of the size; where there
            are more than doublings, the last ones are taken.
        depth: how many of the encoder's maps are used, the finest first; None takes all.
        nested: U-Net++, whose skips pass through blocks of their own.
        deep: how many coarser answers are given while it is trained (deep supervision).
        drop_rate: of whole channels, before the answers.
        drop_path_rate: stochastic depth of the encoder.
        prior: probability that its logits mean at first. Where most pixels are of no class, a small
            one spares it the way there: on drawn hands Dice is five times as high after 60 steps
            (Lin et al., arXiv 1708.02002, section 4.1).

    Attributes:
        stride: what it widens a picture's sides to a multiple of.
        norms_pooled: whether some BatchNorm sees one number a picture, as in resnest, skresnet and
            rexnet, whose attention normalises means of maps.

    Raises:
        ConfigError: an encoder that fits no U-Net, or a setting that does not fit the encoder.
    Source: Ronneberger et al., arXiv 1505.04597; Zhou et al., arXiv 1807.10165, section 3.1.
    """

    def __init__(
        self,
        name: str,
        outputs: int,
        *,
        channels: Sequence[int] = (256, 128, 64, 32, 16),
        depth: int | None = None,
        nested: bool = False,
        deep: int = 0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        prior: float = 0.5,
    ):
        super().__init__()
        self.encoder, self.stride, self.norms_pooled = _encoder(name, depth, drop_path_rate)
        maps = self.encoder.feature_info.channels()[::-1]  # the coarsest first, as rows are
        self.doublings = self.encoder.feature_info.reduction()[-1].bit_length() - 1
        self.n_maps, self.nested = len(maps), nested
        _check(name, outputs, channels, deep, self.doublings)
        widths = (maps[0], *tuple(channels)[-self.doublings :])  # after 0, 1, ... doublings
        self.blocks = nn.ModuleDict()
        for row in range(1, self.doublings + 1):
            is_beyond = row >= self.n_maps  # finer than any map of the encoder
            for column in range(1, self._columns(row) + 1):
                is_over_map = nested and column == 1 and not is_beyond
                under = maps[row - 1] if is_over_map else widths[row - 1]
                beside = 0 if is_beyond else maps[row] + (column - 1) * widths[row]
                self.blocks[f"{row}_{column}"] = Block(under + beside, widths[row])
        self.dropout = nn.Dropout2d(drop_rate)
        answering = range(self.doublings, self.doublings - deep - 1, -1)  # rows, the finest first
        self.heads = nn.ModuleDict(
            {str(row): _head(widths[row], outputs, prior) for row in answering}
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Logits; a list, the finest first, while it is trained with deep supervision."""
        height, width = images.shape[-2:]
        rows = self.decode(self.encoder(widened(images, self.stride)))
        answers = []
        for halvings, (row, head) in enumerate(self.heads.items()):
            logits, scale = head(self.dropout(rows[int(row)])), 2**halvings
            answers.append(logits[..., : -(-height // scale), : -(-width // scale)])
            if not self.training:
                break
        return answers if len(answers) > 1 else answers[0]

    def decode(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the encoder's maps (the finest first) come to after 0, 1, ... doublings."""
        last, outs = [maps[-1]], [maps[-1]]
        for row in range(1, self.doublings + 1):
            parts = [maps[-1 - row]] if row < self.n_maps else []
            for column in range(1, self._columns(row) + 1):
                is_nested = self.nested and row < self.n_maps
                under = last[column - 1] if is_nested else last[-1]
                parts.append(self.blocks[f"{row}_{column}"](under, *parts))
            last = parts
            outs.append(parts[-1])
        return outs

    def _columns(self, row: int) -> int:
        """How many blocks stand in a row, beside the encoder's map."""
        return row if self.nested and row < self.n_maps else 1


class Block(nn.Sequential):
    """A map of half the size, enlarged, and those beside it; two convolutions with their norms."""

    def __init__(self, inside: int, outside: int):
        layers: list[nn.Module] = []
        for width in (inside, outside):
            convolution = nn.Conv2d(width, outside, 3, padding=1, bias=False)
            nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
        super().__init__(*layers)

    def forward(self, under: torch.Tensor, *beside: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat([repeated(under), *beside], 1))


def repeated(maps: torch.Tensor) -> torch.Tensor:
    """Maps of twice the size, each pixel as four; channels stay last in memory where they are."""
    n, c, h, w = maps.shape
    if maps.is_contiguous(memory_format=torch.channels_last):
        rows = maps.permute(0, 2, 3, 1)[:, :, None, :, None]  # (N, H, 1, W, 1, C)
        return rows.expand(n, h, 2, w, 2, c).reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
    return maps[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def widened(images: torch.Tensor, stride: int) -> torch.Tensor:
    """Images whose last row and column are repeated until `stride` divides both sides."""
    for side in (-2, -1):
        size = images.shape[side]
        edge = images.narrow(side, size - 1, 1)
        images = torch.cat([images, *[edge] * (-size % stride)], side)
    return images


def _head(inside: int, outputs: int, prior: float) -> nn.Conv2d:
    """The logits of each pixel, at first near those of a probability."""
    head = nn.Conv2d(inside, outputs, 3, padding=1)
    nn.init.xavier_uniform_(head.weight)
    nn.init.constant_(head.bias, math.log(prior / (1 - prior)))
    return head


def _encoder(name: str, depth: int | None, drop_path_rate: float) -> tuple[nn.Module, int, bool]:
    """timm's model that gives maps, the finest first; what a picture's sides must divide by; and
    whether it normalises what it has pooled.

    They must divide by all of its strides, also of maps that are not used: HRNet computes them.
    """
    if not timm.is_model(name.split(".")[0]):
        near = did_you_mean(name, timm.list_models()) or " timm.list_models() lists them all."
        raise ConfigError(f"UNet: unknown encoder {name!r}.{near}")
    encoder = _features(name)
    strides, layout = encoder.feature_info.reduction(), getattr(encoder, "output_fmt", "NCHW")
    if strides[0] not in (1, 2, 4) or strides != [strides[0] << n for n in range(len(strides))]:
        raise _unfit(name, f"its maps have strides {strides}, expected such as [4, 8, 16, 32]")
    if layout != "NCHW":
        raise _unfit(name, f"its maps are {layout.value}, expected NCHW")
    if depth is not None and depth not in range(2, len(strides) + 1):
        raise ConfigError(
            f"UNet: depth={depth!r} does not fit {name!r} (found {len(strides)} maps, expected 2 "
            f"to {len(strides)} of them). Take None for all."
        )
    options: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    if depth is not None:  # by timm's numbers, which need not begin with 0
        options["out_indices"] = tuple(encoder.feature_info.out_indices)[:depth]
    if options:
        encoder = _features(name, **options)
    return encoder, strides[-1], _try(name, encoder, strides[-1])


def _features(name: str, **options: Any) -> nn.Module:
    rate, parts = options.get("drop_path_rate", 0.0), []
    try:
        encoder = timm.create_model(name, pretrained=False, features_only=True, **options)
        parts = [type(module).__name__ for module in encoder.modules()]
    except FAILURES as error:
        if not rate:
            raise _unfit(name, f"timm gives no maps of it: {_first_line(error)}") from error
    if rate and "DropPath" not in parts:
        raise ConfigError(
            f"UNet: {name!r} has no stochastic depth (found drop_path_rate={rate!r}, expected 0). "
            "Set it to 0, or take another encoder."
        )
    return encoder


def _try(name: str, encoder: nn.Module, stride: int) -> bool:
    """Refuse an encoder whose maps are not what it says; freeze what none of them needs.

    Returns:
        Whether a BatchNorm sees a map of one pixel, of a picture that leaves none of the maps one.
    """
    (height, width), pixels = (2 * stride, 3 * stride), []

    def look(norm: nn.Module, shown: tuple[torch.Tensor]) -> None:
        pixels.append(shown[0][0, 0].numel())

    norms = [module for module in encoder.modules() if isinstance(module, _BatchNorm)]
    looks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        maps = encoder.eval()(torch.zeros(1, 3, height, width))
    except FAILURES as error:
        why = f"it takes no picture of {height} x {width} pixels: {_first_line(error)}"
        raise _unfit(name, why) from error
    for handle in looks:
        handle.remove()
    info = encoder.feature_info
    wanted = [(1, c, height // s, width // s) for c, s in zip(info.channels(), info.reduction())]
    found = [tuple(part.shape) for part in maps]
    if found != wanted:
        raise _unfit(name, f"its maps are {found}, expected {wanted}")
    parameters = list(encoder.parameters())
    gradients = torch.autograd.grad([m.sum() for m in maps], parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        parameter.requires_grad_(gradient is not None)
    encoder.train()
    return 1 in pixels


def _unfit(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"UNet: {name!r} cannot be the encoder ({why}). Take a convolutional one, such as "
        "'resnet34', 'densenet121', 'convnext_tiny', 'tf_efficientnetv2_s' or 'hrnet_w18'."
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _check(name: str, outputs: int, channels: Sequence[int], deep: int, doublings: int) -> None:
    if outputs < 1:
        raise ConfigError(f"UNet: outputs={outputs!r} (expected 1 or more). Give one a class.")
    if len(channels) < doublings or min(channels) < 1:
        raise ConfigError(
            f"UNet: channels={tuple(channels)!r} do not fit {name!r} (found {len(channels)}, "
            f"expected {doublings} above 0, one for each doubling). Give more, or a smaller depth."
        )
    if deep not in range(doublings):
        raise ConfigError(
            f"UNet: deep={deep!r} does not fit {name!r} (expected 0 to {doublings - 1}, since it "
            f"answers at {doublings} sizes). Take one of these."
        )
