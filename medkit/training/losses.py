"""What is minimised: a loss a head, added up."""

from __future__ import annotations

import math
import warnings
from typing import Any, Callable

import torch
from torch.nn.functional import cross_entropy, kl_div, smooth_l1_loss

from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError
from medkit.loading.labels import label_type
from medkit.naming import did_you_mean
from medkit.runs.config import Config, each
from medkit.training.mask_losses import ExclusiveMaskLoss, MaskLoss


class Objective:
    """The loss of a task: of its classes as the config says, smooth L1 of its numbers.

    Each head's losses are added up and divided by the number of labelled cases, whatever their
    weights: these have mean 1 over the training cases. So the parts of a batch, in micro-batches or
    on several devices, add up to the whole.

    Args:
        labels: (N, heads) codes of the training cases (see `labels.codes_of`), NaN where missing;
            classes are counted in these, and the loss of a number is measured in standard
            deviations of these.
    """

    def __init__(self, task: Task, config: Config, labels: torch.Tensor):
        _check_heads(task, config)
        self.task, self.labels = task, label_type(task)
        self.known = self.labels.known
        self.losses = [
            LOSSES[head.kind](head, config, column[~column.isnan()])
            for head, column in zip(task.heads, labels.T)
        ]

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, *, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sum over heads of the mean loss of the labelled cases; 0 when none is labelled.

        Args:
            logits: (N, outputs of all heads), or (N, outputs, S, S); a list of such where coarser
                answers are trained as well.
            labels: of the same cases, as `labels.LABELS` has them.
            known: (heads,) how many labels the sum is divided by, where these are a part of a
                batch.
        """
        return self._sum([loss.training for loss in self.losses], logits, labels, known)

    def plain(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """By plain cross entropy: what epochs, and runs of other settings, are compared by."""
        return self._sum([loss.plain for loss in self.losses], logits, labels, None)

    def taught(
        self,
        logits: torch.Tensor,
        soft: torch.Tensor,
        *,
        count: torch.Tensor | int,
        temperature: float,
    ) -> torch.Tensor:
        """How far the answers are from soft labels, with or without a label of their own.

        Args:
            soft: (N, columns of all heads), as `answers_of` gives them at this temperature.
            count: cases that the sum is divided by.
        Source: Hinton et al., arXiv 1503.02531, section 2.
        """
        total = logits.sum() * 0.0
        for loss, (_, part) in zip(self.losses, self.task.parts()):
            total = total + loss.taught(logits[:, part].float(), soft[:, part], temperature)
        return total / count

    def _sum(
        self,
        losses: list[Callable[..., torch.Tensor]],
        logits: torch.Tensor,
        labels: torch.Tensor,
        known: torch.Tensor | None,
    ) -> torch.Tensor:
        is_known = self.known(labels)
        known = is_known.sum(0) if known is None else known
        levels = logits if isinstance(logits, list) else [logits]
        total = levels[0].sum() * 0.0  # keeps the graph when nothing is labelled
        for number, (_, part) in enumerate(self.task.parts()):
            rows = is_known[:, number]
            answers = [level[rows, part].float() for level in levels]
            answers = answers if isinstance(logits, list) else answers[0]
            wanted = self.labels.of_head(labels, number)[rows]
            total = total + losses[number](answers, wanted) / known[number].clamp(min=1)
        return total


def _cross_entropy(answers: torch.Tensor, wanted: torch.Tensor, loss: ClassLoss) -> torch.Tensor:
    return cross_entropy(answers, wanted, label_smoothing=loss.smoothing, reduction="none")


def _focal(answers: torch.Tensor, wanted: torch.Tensor, loss: ClassLoss) -> torch.Tensor:
    """Source: Lin et al., arXiv 1708.02002, equation 4."""
    sure = torch.softmax(answers, 1).gather(1, wanted[:, None])[:, 0]
    return _cross_entropy(answers, wanted, loss) * (1 - sure).clamp(min=1e-7) ** loss.gamma


OF_CLASSES = {  # logits (N, classes), numbers of classes (N,), settings -> losses (N,), by name
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "class_balanced": _cross_entropy,  # with weights: see `_class_weights`
}


class ClassLoss:
    """The losses of one head of classes, added up over cases.

    Args:
        known: (N,) numbers of the classes of the labelled training cases.
    """

    settings = ("loss", "class_weights", "label_smoothing")  # that may differ from head to head
    names = tuple(OF_CLASSES)  # of losses
    without: tuple[str, ...] = ("patch_size", "patch_foreground")  # mean nothing, are refused

    def __init__(self, head: Head, config: Config, known: torch.Tensor):
        self.by_case = OF_CLASSES[_of(config.loss, head, "cross_entropy")]
        self.smoothing, self.gamma = _of(config.label_smoothing, head, 0.0), config.focal_gamma
        self.margin, self.scale = config.arcface_margin, config.arcface_scale
        counts = torch.bincount(known.long(), minlength=len(head.classes)).double()
        self.weights = _class_weights(head, config, counts)

    def training(self, answers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        wanted = wanted.long()
        if self.margin:
            answers = with_margin(answers, wanted, self.margin, self.scale)
        losses = self.by_case(answers, wanted, self)
        if self.weights is not None:
            self.weights = self.weights.to(answers.device)
            losses = losses * self.weights[wanted]
        return losses.sum()

    def plain(self, answers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return cross_entropy(answers, wanted.long(), reduction="sum")

    def taught(self, answers: torch.Tensor, soft: torch.Tensor, temperature: float) -> torch.Tensor:
        """Divergence, times the square of the temperature: so its gradient keeps its size."""
        log_probs = torch.log_softmax(answers / temperature, 1)
        return temperature**2 * kl_div(log_probs, soft, reduction="sum")


class NumberLoss:
    """The losses of one head that is a number, in standard deviations of the known ones."""

    settings: tuple[str, ...] = ()
    names = ClassLoss.names
    without = ClassLoss.without

    def __init__(self, head: Head, config: Config, known: torch.Tensor):
        spread = float(known.double().std(unbiased=False)) if len(known) else 0.0
        self.spread = spread or 1.0

    def training(self, answers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        answers, wanted = answers[:, 0] / self.spread, wanted / self.spread
        return smooth_l1_loss(answers, wanted, reduction="sum")

    plain = training

    def taught(self, answers: torch.Tensor, soft: torch.Tensor, temperature: float) -> torch.Tensor:
        return self.training(answers, soft[:, 0])


LOSSES = {  # of each kind of answer
    "classes": ClassLoss,
    "number": NumberLoss,
    "masks": MaskLoss,
    "exclusive_masks": ExclusiveMaskLoss,
}


def with_margin(
    answers: torch.Tensor, wanted: torch.Tensor, margin: float, scale: float
) -> torch.Tensor:
    """Scaled cosines, that of the true class as if its angle were larger by `margin`.

    Beyond half a turn, where the cosine would rise again, it goes on in a straight line.
    Source: Deng et al., arXiv 1801.07698, equation 3.
    """
    cosines = answers.gather(1, wanted[:, None]) / scale
    sines = (1 - cosines**2).clamp(min=1e-6).sqrt()  # the root of 0 has no gradient
    harder = cosines * math.cos(margin) - sines * math.sin(margin)
    beyond = cosines - math.sin(margin) * margin
    harder = torch.where(cosines > -math.cos(margin), harder, beyond)
    return answers.scatter(1, wanted[:, None], scale * harder)


def _class_weights(head: Head, config: Config, counts: torch.Tensor) -> torch.Tensor | None:
    """(classes,) with mean 1 over the training cases.

    Source: Cui et al., arXiv 1901.05555, equation 4.
    """
    given = _of(config.class_weights, head, None)
    if _of(config.loss, head, "cross_entropy") == "class_balanced":
        if given is not None:
            raise ConfigError(
                f"Config: loss='class_balanced' weighs the classes of {head.name} already "
                f"(found class_weights={given!r}). Leave one of the two out."
            )
        beta = config.class_balance_beta
        weights = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    elif given == "balanced":
        weights = 1 / counts.clamp(min=1)
    elif given is not None:
        if len(given) != len(head.classes):
            raise ConfigError(
                f"Config: class_weights={given!r} are {len(given)} (expected one for each class of "
                f"{head.name}: {', '.join(head.classes)}). With several heads give them by head: "
                f"class_weights={{{head.name!r}: ...}}."
            )
        weights = torch.tensor(given, dtype=torch.float64)
    else:
        return None
    mean = (weights * counts).sum() / counts.sum().clamp(min=1)
    return (weights / mean if mean > 0 else weights).float()


def _of(setting: Any, head: Head, default: Any) -> Any:
    """What a setting says of one head."""
    return setting.get(head.name, default) if isinstance(setting, dict) else setting


def _check_heads(task: Task, config: Config) -> None:
    """Refuse what a kind of answer has no use for, and a mapping that names no head with it."""
    for head in task.heads:
        loss, words = LOSSES[head.kind], head.answer.words
        for name in each(config.loss):
            if name not in loss.names:
                raise ConfigError(
                    f"Config: loss={name!r}, and {head.name} is {words} (expected one of "
                    f"{', '.join(loss.names)}). Choose one of these."
                )
        usual = Config(config.task)
        for name in loss.without:
            if getattr(config, name) != getattr(usual, name):
                raise ConfigError(
                    f"Config: {name}={getattr(config, name)!r} has no meaning where {head.name} is "
                    f"{words} (expected {getattr(usual, name)!r}). Leave it out."
                )
    is_set = config.patch_foreground != Config(config.task).patch_foreground
    if is_set and not config.patch_size:
        warnings.warn(
            f"Config: patch_foreground={config.patch_foreground!r} has no meaning without patches "
            "(found patch_size=0). Set patch_size, or leave it out.",
            stacklevel=2,
        )
    for setting in dict.fromkeys(name for loss in LOSSES.values() for name in loss.settings):
        names = [head.name for head in task.heads if setting in LOSSES[head.kind].settings]
        value = getattr(config, setting)
        unknown = [name for name in value if name not in names] if isinstance(value, dict) else []
        if unknown:
            raise ConfigError(
                f"Config: {setting} names {unknown[0]!r}, which is no head of classes of "
                f"{task.name} (expected one of {', '.join(names) or 'none: it has numbers only'}). "
                f"Correct the name.{did_you_mean(unknown[0], names)}"
            )
