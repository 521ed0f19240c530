"""Any timm backbone with the heads of a task, drawn from a seed or read from a local file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, Sequence

import timm
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.functional import linear, normalize

from medkit import seeding
from medkit.datasets.task import Task
from medkit.loading.loader import fact_list
from medkit.naming import did_you_mean
from medkit.runs.config import Config
from medkit.runs.state import load_state

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's: for drawn weights, by habit


class Layer(NamedTuple):
    """What is particular to the columns of a kind of answer in the last layer."""

    has_angles: bool  # may answer by scaled cosines, which suit what is compared by a softmax
    has_units: bool  # answers in standard deviations from the mean of the training cases' labels


LAYERS = {  # of each kind of answer
    "classes": Layer(has_angles=True, has_units=False),
    "number": Layer(has_angles=False, has_units=True),
}


class CosineLinear(nn.Linear):
    """A linear layer, some of whose answers are scaled cosines; the others stay as they are.

    Source: Deng et al., arXiv 1801.07698, section 3.1; its margin is a matter of the loss.
    """

    def __init__(self, n_features: int, task: Task, scale: float):
        super().__init__(n_features, len(task.columns))
        has_angles = [LAYERS[head.kind].has_angles for head in task.heads for _ in head.columns]
        self.register_buffer("has_angles", torch.tensor(has_angles), persistent=False)
        self.scale = scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):  # angles need the precision
            features = features.float()
            cosines = linear(normalize(features), normalize(self.weight))
            return torch.where(self.has_angles, self.scale * cosines, super().forward(features))


class CaseModel(nn.Module):
    """A backbone, the facts of a case, and one linear layer for all classes of all heads.

    Takes uint8 images and normalises them where they lie, so that workers hand over bytes.
    """

    def __init__(
        self,
        task: Task,
        backbone: nn.Module,
        facts: Sequence[str],
        drop_rate: float,
        cosine_scale: float = 0.0,
    ):
        super().__init__()
        self.n_facts = sum(len(fact.values) for fact in fact_list(task, facts))
        pooled = getattr(backbone, "head_hidden_size", backbone.num_features)  # mobilenetv3: wider
        n_features = pooled + self.n_facts
        self.task, self.backbone = task, backbone
        self.dropout = nn.Dropout(drop_rate)
        if cosine_scale:
            self.classifier: nn.Linear = CosineLinear(n_features, task, cosine_scale)
        else:
            self.classifier = nn.Linear(n_features, len(task.columns))
        self.has_units = any(LAYERS[head.kind].has_units for head in task.heads)
        if self.has_units:
            self.register_buffer("offset", torch.zeros(len(task.columns)))
            self.register_buffer("spread", torch.ones(len(task.columns)))
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.empty(1, 3, 1, 1), persistent=False)
            self.set_normalisation(name, value)

    def set_normalisation(self, name: str, value: Sequence[float]) -> None:
        """Set "mean" or "std", a number a channel, of pixels in 0..1."""
        getattr(self, name).copy_(255 * torch.tensor(value).view(1, 3, 1, 1))

    def set_units(self, labels: torch.Tensor) -> None:
        """Take mean and standard deviation from labels (N, heads), where heads answer in these."""
        for number, (head, part) in enumerate(self.task.parts()):
            if LAYERS[head.kind].has_units:
                known = labels[:, number][~labels[:, number].isnan()].double()
                self.offset[part] = known.mean()
                self.spread[part] = known.std(unbiased=False).clamp(min=1e-6)

    def forward(self, images: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes of all heads) of images (N, 3, S, S) in 0..255 and facts (N, F)."""
        return self.from_features(self.features(images), facts)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The backbone's last feature map: (N, C, h, w), or (N, tokens, C)."""
        return self.backbone.forward_features((images.float() - self.mean) / self.std)

    def from_features(self, features: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        """Logits of a feature map."""
        pooled = self.backbone.forward_head(features, pre_logits=True)
        answers = self.classifier(torch.cat([self.dropout(pooled), facts.to(pooled.dtype)], 1))
        return answers.float() * self.spread + self.offset if self.has_units else answers


def new_model(task: Task, config: Config) -> CaseModel:
    """The untrained model of a config, on the CPU; the same bits for the same config."""
    return make_model(
        task,
        config.model,
        config.weights,
        facts=config.facts,
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
        cosine_scale=config.arcface_scale if config.arcface_margin else 0.0,
        image_size=config.image_size,
        seed=config.seed,
    )


def make_model(
    task: Task,
    name: str,
    weights: Path | str | None = None,
    *,
    facts: Sequence[str] = (),
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    cosine_scale: float = 0.0,
    image_size: int = 224,
    seed: int = 0,
) -> CaseModel:
    """A model for a task, on the CPU.

    Args:
        name: any timm backbone, such as "resnet18" or "convnext_tiny".
        weights: a local safetensors file of the backbone, which brings the mean and standard
            deviation that it was trained with: its metadata's "mean" and "std" (JSON lists), or
            those that timm knows of `name`. None draws weights from `seed`.
        facts: names of the task's facts that the model is told beside the picture.
        cosine_scale: above 0, heads of classes answer by scaled cosines (ArcFace's head).
        image_size: pixels a side; matters to transformers only.

    Raises:
        ValueError: unknown backbone (with near names), or weights that would be downloaded, are
            pickled or fit another model.
    """
    _check_name(name)
    options = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    with seeding.keyed("model", seed):
        backbone = _backbone(name, image_size, options)
        if not hasattr(backbone, "forward_head"):
            raise ValueError(f"model {name!r} has no feature map. Choose another backbone.")
        model = CaseModel(task, backbone, facts, drop_rate, cosine_scale)
    if weights is not None:
        _load_backbone(backbone, name, weights)
        told = {**getattr(backbone, "pretrained_cfg", {}), **_metadata(Path(weights))}
        for part, usual in (("mean", MEAN), ("std", STD)):
            model.set_normalisation(part, told.get(part, usual))
    return model


def _backbone(name: str, image_size: int, options: dict) -> nn.Module:
    """timm's model without its classifier; transformers are told the size."""
    try:
        return timm.create_model(
            name, pretrained=False, num_classes=0, img_size=image_size, **options
        )
    except TypeError:  # a convolutional backbone takes any size and no such argument
        return timm.create_model(name, pretrained=False, num_classes=0, **options)


def _check_name(name: str) -> None:
    if ":" in name or "/" in name:
        raise ValueError(
            f"model {name!r} would be downloaded, and nothing is. "
            "Name an architecture of timm, and pass weights=... for a local safetensors file."
        )
    if not timm.is_model(name.split(".")[0]):
        near = did_you_mean(name, timm.list_models()) or " timm.list_models() lists them all."
        raise ValueError(f"unknown model {name!r}.{near}")


def _load_backbone(backbone: nn.Module, name: str, weights: Path | str) -> None:
    if weights is True or "://" in str(weights) or str(weights).startswith("hf"):
        raise ValueError(
            f"weights {weights!r} would be downloaded, and nothing is. "
            "Pass the path of a local safetensors file, or None to train from scratch."
        )
    tensors, _ = load_state(Path(weights))
    wanted = backbone.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    shapes = [k for k in wanted if k in tensors and wanted[k].shape != tensors[k].shape]
    if missing or shapes:
        raise ValueError(
            f"{weights}: not the weights of {name!r} ({len(missing)} of {len(wanted)} tensors are "
            f"missing, {len(shapes)} have another shape, e.g. {(missing + shapes)[:3]}). "
            "Pass the file of the same architecture."
        )
    backbone.load_state_dict({key: tensors[key] for key in wanted})


def _metadata(path: Path) -> dict[str, list[float]]:
    """The mean and the standard deviation that a file of weights names."""
    with safe_open(str(path), framework="pt") as file:
        texts = file.metadata() or {}
    found = {}
    for name in {"mean", "std"} & set(texts):
        try:
            found[name] = [float(value) for value in json.loads(texts[name])]
        except (ValueError, TypeError, RecursionError):
            found[name] = []
        if len(found[name]) != 3:
            raise ValueError(
                f"{path}: its {name} is {texts[name]!r} (expected 3 numbers such as [0.5, 0.5, "
                "0.5]). Write the file again with save_file(tensors, path, metadata=...)."
            )
    return found
