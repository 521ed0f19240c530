"""Config: everything that decides a run's bits, flat, frozen, saved beside its weights."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, fields
from typing import Any, Mapping


@dataclass(frozen=True)
class Config:
    """The settings of a run. `dataclasses.replace(config, image_size=384)` makes a variant.

    What does not change the result (workers, saving, where files lie) is an argument of `fit`.
    """

    task: str
    name: str = "default"  # of this recipe, for people
    seed: int = 0
    # pictures
    image_size: int = 224  # pixels, both sides
    region_margin: float = 0.15  # context around a region, as a share of its longer side
    region_mask: bool = False  # black out what lies beyond the dilated region
    # model
    model: str = "resnet18"  # any timm name
    weights: str | None = None  # a local safetensors file; None trains from scratch
    facts: tuple[str, ...] = ()  # facts of a case that the model is told: "view", "tooth_number"
    drop_rate: float = 0.0  # dropout before the heads
    drop_path_rate: float = 0.0  # stochastic depth, where the backbone has it
    # steps
    epochs: int = 20
    batch_size: int = 32  # images a step, over all devices
    micro_batch: int = 0  # images through the model at once, on each device; 0 takes all of them
    sync_bn: bool = False  # BatchNorm over all GPUs, not on each
    peak_lr: float = 1e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    clip_norm: float = 1.0  # of the gradient; 0 does not clip
    ema_decay: float = 0.0  # of the averaged weights that are validated and kept; 0 keeps none
    # what the model sees
    augment: str = "medium"  # a recipe of loading.augment
    mixup: float = 0.0  # alpha of the Beta distribution; 0 does not mix
    cutmix: float = 0.0  # likewise; with both, each step draws one
    balanced: bool = False  # draw every class equally often
    label_smoothing: float = 0.0
    # choice
    best_by: str = "loss"  # validation loss, or a score of the task such as "auc"
    patience: int = 0  # epochs without a better one before stopping; 0 never stops early
    # device
    amp: bool = True  # half precision, on a GPU
    channels_last: bool = True  # on a GPU
    deterministic: bool = False  # on a GPU; a CPU always is

    def __post_init__(self) -> None:
        rules = {
            "seed": 0 <= self.seed < 2**32,
            "image_size": self.image_size >= 16,
            "region_margin": 0 <= self.region_margin <= 2,
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 1,
            "micro_batch": self.micro_batch >= 0,
            "peak_lr": self.peak_lr > 0,
            "warmup_epochs": self.warmup_epochs >= 0,
            "ema_decay": 0 <= self.ema_decay < 1,
            "mixup": self.mixup >= 0,
            "cutmix": self.cutmix >= 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "drop_rate": 0 <= self.drop_rate < 1,
            "drop_path_rate": 0 <= self.drop_path_rate < 1,
            "patience": self.patience >= 0,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in rules.items() if not holds]
        if wrong:
            raise ValueError(f"Config: {', '.join(wrong)} is out of range. See help(mk.Config).")
        object.__setattr__(self, "facts", tuple(self.facts))  # JSON knows lists only

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them."""
        return {**asdict(self), "facts": list(self.facts)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The config of a `config.json`.

        Raises:
            ValueError: for a setting that does not exist, with the nearest one that does.
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"Config: there is no setting {name!r}.{hint}")
        return cls(**values)


def differences(saved: Config, asked: Config) -> list[str]:
    """The settings in which two configs differ, as sentences "epochs: 5 saved, 9 asked"."""
    old, new = saved.to_dict(), asked.to_dict()
    return [
        f"{name}: {old[name]!r} saved, {new[name]!r} asked"
        for name in old
        if old[name] != new[name]
    ]
