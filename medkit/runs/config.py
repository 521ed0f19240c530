"""Config: everything that decides a run's bits, flat, frozen, saved beside its weights."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, Callable, Mapping

from medkit.arguments import check_arguments
from medkit.errors import ConfigError
from medkit.naming import did_you_mean

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "restarts", "one_cycle", "exponential", "plateau", "constant")
LOSSES = ("cross_entropy", "focal", "class_balanced")
LOSSES += ("dice", "cross_entropy_dice", "tversky")  # of masks
DECODERS = ("unet", "unet++")
CONTRASTS = ("", "clahe")
ALL_SETTINGS = "mk.Config?? in a cell shows every setting and what it means."


@dataclass(frozen=True)
class Config:
    """The settings of a run. `dataclasses.replace(config, image_size=384)` makes a variant.

    Each setting and what it means: `mk.Config??` in a cell, or docs/reference/training.md.
    What does not change the result (workers, saving, where files lie) is an argument of `fit`.
    `loss`, `class_weights` and `label_smoothing` hold for every head of classes; a mapping, such as
    loss={"age": "focal"}, gives each head its own, and leaves the others at the default.

    Example:
        >>> from dataclasses import replace
        >>> config = mk.Config("caries", model="convnext_tiny", image_size=224)
        >>> replace(config, image_size=384).input_size
        384
    """

    task: str
    name: str = "default"  # of these settings, for people
    seed: int = 0
    # pictures
    image_size: int = 224  # pixels, both sides
    patch_size: int = 0  # of windows of a picture, which are shown alone; 0 shows it whole
    patch_foreground: float = 0.33  # the share of windows that are laid around a pixel of a mask
    region_margin: float = 0.15  # context around a region, as a share of its longer side
    region_mask: bool = False  # black out what lies beyond the dilated region
    contrast: str = ""  # of pictures as they are decoded: "clahe" evens it out
    # model
    model: str = "resnet18"  # any timm name
    weights: str | None = None  # a local safetensors file; None trains from scratch
    facts: tuple[str, ...] = ()  # facts of a case that the model is told: "view", "tooth_number"
    drop_rate: float = 0.0  # dropout before the heads
    drop_path_rate: float = 0.0  # stochastic depth, where the backbone has it
    arcface_margin: float = 0.0  # angle in radians; above 0 heads of classes answer by cosine
    arcface_scale: float = 16.0  # of these cosines; the paper takes 64 for thousands of classes
    # model, where the answer is masks
    decoder: str = "unet"  # or "unet++"
    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)  # one a doubling, the coarsest first
    decoder_depth: int = 0  # maps of the encoder that are used, the finest first; 0 takes all
    deep_supervision: int = 0  # coarser answers that are trained as well
    # steps
    epochs: int = 20
    batch_size: int = 32  # images a step, over all devices
    epoch_steps: int = 0  # steps an epoch; 0 takes as many as show each image once
    micro_batch: int = 0  # images through the model at once, on each device; 0 takes all of them
    sync_bn: bool = False  # BatchNorm over all GPUs, not on each
    optimizer: str = "adamw"  # or "adam", "sgd"
    momentum: float = 0.9  # of "sgd"
    weight_decay: float = 0.05
    clip_norm: float = 1.0  # of the gradient; 0 does not clip
    ema_decay: float = 0.0  # of the averaged weights that are validated and kept; 0 keeps none
    # the learning rate
    peak_lr: float = 1e-3
    schedule: str = "cosine"  # or "restarts", "one_cycle", "exponential", "plateau", "constant"
    warmup_epochs: float = 1.0  # before any schedule but "one_cycle", which rises by itself
    restart_epochs: float = 5.0  # of "restarts": the length of its first period
    restart_factor: float = 2.0  # of "restarts": how much longer each period is than the last
    lr_decay: float = 0.9  # the factor of "exponential" (each epoch) and "plateau" (each fall)
    plateau_patience: int = 3  # of "plateau": epochs without a better one before the rate falls
    # what the model sees
    augment: str = "medium"  # or "none", "light", "strong", "clahe", "xray"
    mixup: float = 0.0  # alpha of the Beta distribution; 0 does not mix
    cutmix: float = 0.0  # likewise; with both, each step draws one
    balanced: bool = False  # draw every class equally often
    # what is minimised
    loss: str | Mapping[str, str] = "cross_entropy"  # or "focal", "class_balanced"; of masks also
    # "dice", "cross_entropy_dice", "tversky": cross entropy is the binary one where masks overlap
    tversky_alpha: float = (
        0.3  # of "tversky": the weight of false alarms; missed pixels have 1 - it
    )
    focal_gamma: float = 2.0  # of "focal": 0 is cross entropy
    class_balance_beta: float = 0.999  # of "class_balanced": 0 weighs nothing, 1 by frequency
    class_weights: Any = None  # one a class, such as (1, 4, 6, 9), or "balanced"
    label_smoothing: float | Mapping[str, float] = 0.0
    # learning from other models
    teacher: str | tuple[str, ...] | None = None  # runs, or folders of `fit_folds`; several vote
    distill_weight: float = 0.5  # of the teacher's answers in the loss; the labels have the rest
    distill_temperature: float = 2.0  # softens the answers of both
    peers: int = 1  # models that are trained together and teach each other; the best is kept
    # choice
    best_by: str = "loss"  # validation loss, or a score of the task such as "auc"
    patience: int = 0  # epochs without a better one before stopping; 0 never stops early
    # device
    amp: bool = True  # half precision, on a GPU
    channels_last: bool = True  # on a GPU
    checkpointing: bool = False  # less memory and more time, to the same bits
    deterministic: bool = False  # on a GPU; a CPU always is

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _frozen(getattr(self, field.name))
            object.__setattr__(self, field.name, _of_kind(value, field.default))
        check_arguments(Config, vars(self))
        wrong = [
            f"{name}={getattr(self, name)!r} (expected {wanted})"
            for name, (wanted, holds) in _ranges(self).items()
            if not holds
        ]
        if wrong:
            raise ConfigError(f"Config: {', '.join(wrong)}. {ALL_SETTINGS}")
        if self.sync_bn and self.micro_batch:
            raise ConfigError(
                "Config: sync_bn and micro_batch exclude each other: processes that take different "
                "numbers of parts would wait for each other. Set one of them."
            )
        names = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}
        names.update(decoder=DECODERS, contrast=CONTRASTS)
        for setting, known in names.items():
            for name in each(getattr(self, setting)):
                if name not in known:
                    raise ConfigError(
                        f"Config: there is no {setting} {name!r} (expected one of "
                        f"{', '.join(known)}).{did_you_mean(name, known)}"
                    )

    @property
    def input_size(self) -> int:
        """Pixels a side that a model is shown at once."""
        return self.patch_size or self.image_size

    @property
    def judged_at_once(self) -> int:
        """Images that go through the model at once where it keeps nothing for a gradient."""
        return 2 * (self.micro_batch or self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The config of a `config.json`.

        Raises:
            ConfigError: for a setting that does not exist, with the nearest one that does.
        """
        kept = {**values, "name": str(values.get("name", cls.name))}
        if kept.get("clip_norm", 0.0) is None:  # as it once could be
            kept["clip_norm"] = 0.0
        return cls(**kept)


def _with_known_settings(init: Callable[..., None]) -> Callable[..., None]:
    """The dataclass's own `__init__`, whose TypeError names no setting that is near."""

    @wraps(init)
    def known(self: Config, *values: Any, **settings: Any) -> None:
        names = [field.name for field in fields(self)]
        for name in settings:
            if name not in names:
                near = did_you_mean(name, names) or f" {ALL_SETTINGS}"
                raise ConfigError(f"Config: there is no setting {name!r}.{near}")
        init(self, *values, **settings)

    return known


Config.__init__ = _with_known_settings(Config.__init__)  # type: ignore[method-assign]


def differences(saved: Config, asked: Config) -> list[str]:
    """The settings in which two configs differ, as sentences "epochs: 5 saved, 9 asked".

    But for those that decide no bit: the name, and `checkpointing`.
    """
    old, new = saved.to_dict(), asked.to_dict()
    return [
        f"{name}: {old[name]!r} saved, {new[name]!r} asked"
        for name in old
        if old[name] != new[name] and name not in ("name", "checkpointing")
    ]


def each(setting: Any) -> list[Any]:
    """The values of a setting that may be a mapping by head."""
    return list(setting.values()) if isinstance(setting, Mapping) else [setting]


def _ranges(config: Config) -> dict[str, tuple[str, bool]]:
    """By setting what is expected, and whether it is so."""
    return {
        "seed": ("0 to 2**32 - 1", 0 <= config.seed < 2**32),
        "image_size": ("16 or more", config.image_size >= 16),
        "patch_size": (
            "0, or 16 to image_size",
            config.patch_size == 0 or 16 <= config.patch_size <= config.image_size,
        ),
        "patch_foreground": ("0 to 1", 0 <= config.patch_foreground <= 1),
        "epoch_steps": ("0 or more", config.epoch_steps >= 0),
        "region_margin": ("0 to 2", 0 <= config.region_margin <= 2),
        "epochs": ("1 or more", config.epochs >= 1),
        "batch_size": ("1 or more", config.batch_size >= 1),
        "micro_batch": ("0 or more", config.micro_batch >= 0),
        "momentum": ("0 to 1, less than 1", 0 <= config.momentum < 1),
        "peak_lr": ("more than 0", config.peak_lr > 0),
        "warmup_epochs": ("0 or more", config.warmup_epochs >= 0),
        "restart_epochs": ("more than 0", config.restart_epochs > 0),
        "restart_factor": ("1 or more", config.restart_factor >= 1),
        "lr_decay": ("more than 0, 1 at most", 0 < config.lr_decay <= 1),
        "plateau_patience": ("0 or more", config.plateau_patience >= 0),
        "ema_decay": ("0 to 1, less than 1", 0 <= config.ema_decay < 1),
        "mixup": ("0 or more", config.mixup >= 0),
        "cutmix": ("0 or more", config.cutmix >= 0),
        "focal_gamma": ("0 or more", config.focal_gamma >= 0),
        "class_balance_beta": ("0 to 1, less than 1", 0 <= config.class_balance_beta < 1),
        "class_weights": (
            'None, "balanced", or a number above 0 a class',
            all(_are_weights(value) for value in each(config.class_weights)),
        ),
        "label_smoothing": (
            "0 to 1, less than 1",
            all(0 <= value < 1 for value in each(config.label_smoothing)),
        ),
        "arcface_margin": ("0 to 1.5, less than 1.5", 0 <= config.arcface_margin < 1.5),
        "arcface_scale": ("more than 0", config.arcface_scale > 0),
        "decoder_channels": ("each more than 0", all(c > 0 for c in config.decoder_channels)),
        "decoder_depth": ("0 or more", config.decoder_depth >= 0),
        "deep_supervision": ("0 or more", config.deep_supervision >= 0),
        "tversky_alpha": ("0 to 1", 0 <= config.tversky_alpha <= 1),
        "drop_rate": ("0 to 1, less than 1", 0 <= config.drop_rate < 1),
        "drop_path_rate": ("0 to 1, less than 1", 0 <= config.drop_path_rate < 1),
        "distill_weight": ("0 to 1", 0 <= config.distill_weight <= 1),
        "distill_temperature": ("more than 0", config.distill_temperature > 0),
        "peers": ("1 or more", config.peers >= 1),
        "patience": ("0 or more", config.patience >= 0),
    }


def _are_weights(value: Any) -> bool:
    """Whether a head's classes can be weighed so."""
    if isinstance(value, tuple):
        return all(isinstance(w, (int, float)) and w >= 0 for w in value) and sum(value) > 0
    return value is None or (isinstance(value, str) and value == "balanced")


def _of_kind(value: Any, usual: Any) -> Any:
    """A number as its setting has it, where none is lost: 3.0 epochs are 3, and amp=1 is True."""
    is_number = type(value) in (int, float) and isinstance(usual, (bool, int, float))
    if is_number and math.isfinite(value):
        own = type(usual)(value)
        return own if own == value else value
    return value


def _frozen(value: Any) -> Any:
    """A value as a config keeps it: JSON knows lists and text only."""
    if isinstance(value, Mapping):
        return {name: _frozen(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(part) for part in value)
    if hasattr(value, "tolist"):  # NumPy's
        return _frozen(value.tolist())
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _plain(value: Any) -> Any:
    """A config's value as JSON knows it."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
