"""Any timm backbone with the heads of a task, drawn from a seed or read from a local file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

import timm
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.functional import linear, normalize

from medkit import seeding
from medkit.arguments import check_arguments
from medkit.datasets.task import Task
from medkit.errors import ConfigError, DataError
from medkit.loading.facts import fact_list
from medkit.models.checkpointing import checkpointed
from medkit.models.mask_model import MaskModel
from medkit.models.picture_model import MEAN, STD, PictureModel
from medkit.naming import did_you_mean
from medkit.runs.config import Config
from medkit.runs.tensor_files import load_state


class CosineLinear(nn.Linear):
    """A linear layer, some of whose answers are scaled cosines; the others stay as they are.

    Source: Deng et al., arXiv 1801.07698, section 3.1; its margin is a matter of the loss.
    """

    def __init__(self, n_features: int, task: Task, scale: float):
        super().__init__(n_features, task.outputs)
        has_angles = [LAYERS[head.kind].has_angles for head in task.heads for _ in head.columns]
        self.register_buffer("has_angles", torch.tensor(has_angles), persistent=False)
        self.scale = scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):  # angles need the precision
            features = features.float()
            cosines = linear(normalize(features), normalize(self.weight))
            return torch.where(self.has_angles, self.scale * cosines, super().forward(features))


class CaseModel(PictureModel):
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
        super().__init__(task)
        self.n_facts = sum(len(fact.values) for fact in fact_list(task, facts))
        pooled = getattr(backbone, "head_hidden_size", backbone.num_features)  # mobilenetv3: wider
        n_features = pooled + self.n_facts
        self.backbone = backbone
        self.dropout = nn.Dropout(drop_rate)
        if cosine_scale:
            self.classifier: nn.Linear = CosineLinear(n_features, task, cosine_scale)
        else:
            self.classifier = nn.Linear(n_features, task.outputs)
        self.has_units = any(LAYERS[head.kind].has_units for head in task.heads)
        if self.has_units:
            self.register_buffer("offset", torch.zeros(task.outputs))
            self.register_buffer("spread", torch.ones(task.outputs))

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
        return self.backbone.forward_features(self.normalised(images))

    def from_features(self, features: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        """Logits of a feature map."""
        pooled = self.backbone.forward_head(features, pre_logits=True)
        answers = self.classifier(torch.cat([self.dropout(pooled), facts.to(pooled.dtype)], 1))
        return answers.float() * self.spread + self.offset if self.has_units else answers


def check_model(task: Task, config: Config) -> None:
    """Refuse what can be refused of a config's model before it is built.

    Raises:
        ConfigError, MissingError: for an unknown backbone, an unknown fact, and weights that
            are no local safetensors file.
    """
    _check_name(config.model)
    fact_list(task, config.facts)
    if config.weights is not None:
        load_state(_local(config.weights))
        _metadata(Path(config.weights))


def new_model(task: Task, config: Config) -> PictureModel:
    """The untrained model of a config, on the CPU; the same bits for the same config."""
    model = task.common({kind: row.new for kind, row in LAYERS.items()})(task, config)
    if config.checkpointing and not sum(checkpointed(stack) for stack in model.stacks):
        raise ConfigError(
            f"model {config.model!r} has no blocks to compute again (found checkpointing=True, "
            "expected False). Set it to False, or take another model."
        )
    return model


def _case_model(task: Task, config: Config) -> CaseModel:
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


def _mask_model(task: Task, config: Config) -> MaskModel:
    _check_name(config.model)
    with seeding.keyed("model", config.seed):
        model = MaskModel(
            task,
            config.model,
            decoder=config.decoder,
            channels=config.decoder_channels,
            depth=config.decoder_depth or None,
            deep=config.deep_supervision,
            drop_rate=config.drop_rate,
            drop_path_rate=config.drop_path_rate,
        )
    if config.weights is not None:
        _load_backbone(model, model.backbone, config.model, config.weights)
    return model


class Layer(NamedTuple):
    """What is particular to a kind of answer in the last layer, and the model that has it."""

    new: Callable[[Task, Config], PictureModel]
    has_angles: bool = False  # may answer by scaled cosines, which suit what a softmax compares
    has_units: bool = False  # answers in standard deviations from the mean of the training labels


LAYERS = {  # of each kind of answer
    "classes": Layer(_case_model, has_angles=True),
    "number": Layer(_case_model, has_units=True),
    "masks": Layer(_mask_model),
    "exclusive_masks": Layer(_mask_model),
}


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
        ConfigError: unknown backbone (with near names), or weights that would be downloaded, are
            pickled or fit another model.
    """
    check_arguments(make_model, locals())
    _check_name(name)
    options = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    with seeding.keyed("model", seed):
        backbone = _backbone(name, image_size, options)
        if not hasattr(backbone, "forward_head"):
            raise ConfigError(f"model {name!r} has no feature map. Choose another backbone.")
        model = CaseModel(task, backbone, facts, drop_rate, cosine_scale)
    if weights is not None:
        _load_backbone(model, backbone, name, weights)
    return model


def _backbone(name: str, image_size: int, options: dict) -> nn.Module:
    """timm's model without its classifier; transformers are told the size."""
    for size in ({"img_size": image_size}, {}):  # convolutional ones take any, and no such argument
        try:
            return timm.create_model(name, pretrained=False, num_classes=0, **size, **options)
        except TypeError as error:
            failed = error
    if not options:
        raise failed
    raise ConfigError(
        f"model {name!r} has no stochastic depth (found drop_path_rate="
        f"{options['drop_path_rate']!r}, expected 0). Set it to 0, or take another backbone."
    ) from failed


def _check_name(name: str) -> None:
    if ":" in name or "/" in name:
        raise ConfigError(
            f"model {name!r} would be downloaded, and nothing is. "
            "Name an architecture of timm, and pass weights=... for a local safetensors file."
        )
    if not timm.is_model(name.split(".")[0]):
        near = did_you_mean(name, timm.list_models()) or " timm.list_models() lists them all."
        raise ConfigError(f"unknown model {name!r}.{near}")


def _load_backbone(
    model: PictureModel, backbone: nn.Module, name: str, weights: Path | str
) -> None:
    """Take weights from a file, and the mean and standard deviation that they were trained with."""
    saved, _ = load_state(_local(weights))
    saved = {name.replace(".", "_"): tensor for name, tensor in saved.items()}
    wanted = backbone.state_dict()  # of an encoder "stages_0.x" where the file has "stages.0.x"
    tensors = {name: saved.get(name.replace(".", "_")) for name in wanted}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    missing = sorted(set(wanted) - set(tensors))
    shapes = [k for k in wanted if k in tensors and wanted[k].shape != tensors[k].shape]
    if missing or shapes:
        raise DataError(
            f"{weights}: not the weights of {name!r} ({len(missing)} of {len(wanted)} tensors are "
            f"missing, {len(shapes)} have another shape, e.g. {(missing + shapes)[:3]}). "
            "Pass the file of the same architecture."
        )
    backbone.load_state_dict(tensors)
    told = {**getattr(backbone, "pretrained_cfg", {}), **_metadata(Path(weights))}
    for part, usual in (("mean", MEAN), ("std", STD)):
        model.set_normalisation(part, told.get(part, usual))


def _local(weights: Path | str) -> Path:
    """The path of a file of weights; nothing is downloaded."""
    if weights is True or "://" in str(weights) or str(weights).startswith("hf"):
        raise ConfigError(
            f"weights {weights!r} would be downloaded, and nothing is. "
            "Pass the path of a local safetensors file, or None to train from scratch."
        )
    return Path(weights)


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
            raise DataError(
                f"{path}: its {name} is {texts[name]!r} (expected 3 numbers such as [0.5, 0.5, "
                "0.5]). Write the file again with save_file(tensors, path, metadata=...)."
            )
    return found
