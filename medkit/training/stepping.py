"""The gradients of one batch, whatever the memory: whole, in micro-batches, over several ranks."""

from __future__ import annotations

import time
from typing import Callable, NamedTuple

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from medkit import seeding
from medkit.devices import free_memory, has_bfloat16, is_out_of_memory, precision
from medkit.errors import RunError
from medkit.loading import augment
from medkit.loading.loader import Batch
from medkit.runs.config import Config
from medkit.training.distilling import Student, models_of, mutual
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks

TRIES = 3  # that may fail at one size, over the whole run, before the micro-batch is halved
WAIT_S = 10.0  # for a neighbour on the GPU, before the same step is tried again


class Mixed(NamedTuple):
    """A batch as the model is shown it; N cases, S pixels a side."""

    images: torch.Tensor  # (N, 3, S, S), 0 to 255: uint8, or float32 where pictures are blended
    facts: torch.Tensor  # (N, F)
    labels: tuple[tuple[float, torch.Tensor], ...]  # shares of the loss, and labels (N, ...)
    share: float  # of a picture's own, the rest is its partner's
    order: torch.Tensor | None  # (N,) the partners; None where nothing is mixed


def mix(config: Config, batch: Batch, epoch: int, step: int) -> Mixed:
    """MixUp or CutMix of a step's batch, as the config says; a function of seed, epoch and step."""
    count, size = len(batch.images), batch.images.shape[-1]
    drawn = augment.draw_mix(config.mixup, config.cutmix, count, size, config.seed, epoch, step)
    if drawn is None:
        return Mixed(batch.images, batch.facts, ((1.0, batch.labels),), 1.0, None)
    share, order, images, facts = augment.blend(batch.images, batch.facts, drawn)
    labels = (share, batch.labels), (1 - share, batch.labels[order])
    return Mixed(images, facts, labels, share, order)


class Stepper:
    """Puts the gradients of a batch into a model's parameters.

    When memory runs out, what was held is freed and the same step tried again, first as it was,
    then in halves: the same images make the step, fewer of them at once.

    Attributes:
        micro_batch: images that go through the model at once; it never grows again.
        scaler: of the loss, where the device computes in float16.
        soft: (cases, columns) what teachers say of each case, if there are any.
    """

    def __init__(
        self,
        objective: Objective,
        config: Config,
        model: Student,
        ranks: Ranks,
        log: Callable[[str], None],
    ):
        self.objective, self.config, self.model = objective, config, model
        self.ranks, self.log = ranks, log
        self.device = next(model.parameters()).device
        self.soft: torch.Tensor | None = None
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self.micro_batch = config.micro_batch or -(-config.batch_size // ranks.size)
        self.scaler = _make_scaler(config, self.device)
        self._failures, self._words = 0, "memory ran out on another process"

    def gradients(
        self, batch: Batch, epoch: int, step: int, *, stop: bool = False
    ) -> tuple[torch.Tensor, bool]:
        """Fill the gradients of a step; returns its loss, and whether any process wants to stop.

        Raises:
            RunError: when memory does not hold the smallest micro-batch.
        """
        batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
        known = self.objective.known(batch.labels).sum(0)
        counts = self.ranks.add(torch.cat([known, known.new_full((1,), len(batch.labels))]))
        while True:
            statistics = [b.clone() for norm in self.norms for b in norm.buffers()]
            loss = self._attempt(batch, counts, epoch, step)
            has_failed = loss is None
            if self.ranks.size > 1:
                told = torch.tensor([0.0, has_failed, stop], device=self.device)
                told[0] += 0.0 if has_failed else loss
                told = self.ranks.add_gradients(self.parameters, told)
                loss, (has_failed, stop) = told[0], (told[1:] > 0).tolist()
            if not has_failed:
                return loss, stop
            self._free(statistics)
            self._give_way(len(batch.images))

    def descend(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients, of each student alone, and take the step."""
        if self.config.clip_norm:
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            for student in models_of(self.model):
                parameters = [p for p in student.parameters() if p.requires_grad]
                torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def _attempt(
        self, batch: Batch, counts: torch.Tensor, epoch: int, step: int
    ) -> torch.Tensor | None:
        """One try; None when memory ran out."""
        try:
            return self.forward_backward(batch, counts, epoch, step)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._words = str(error).splitlines()[0]
            if self.config.sync_bn and self.ranks.size > 1:
                raise RunError(
                    f"fit: memory ran out on process {self.ranks.rank} ({self._words}). With "
                    "sync_bn all processes take each step together, so none can try again alone; "
                    "the last good state is kept. Take a smaller batch_size in a new folder."
                ) from error
        return None  # outside the handler: its traceback would hold the memory

    def forward_backward(
        self, batch: Batch, counts: torch.Tensor, epoch: int, step: int
    ) -> torch.Tensor:
        """Fill the gradients of this process's part in micro-batches; returns its part of the loss.

        Args:
            batch: on the device.
            counts: (heads + 1,) labelled cases of the whole step, over all ranks; last, all cases.
        """
        for parameter in self.parameters:
            parameter.grad = None
        config, key, count = self.config, (self.config.seed, epoch, step), len(batch.images)
        images, facts, labels, share, order = mix(config, batch, epoch, step)
        soft = None if self.soft is None else self.soft[batch.rows]
        if soft is not None and order is not None:
            soft = share * soft + (1 - share) * soft[order]
        total = torch.zeros((), device=self.device)
        parts = torch.arange(count).tensor_split(-(-count // self.micro_batch))
        for number, rows in enumerate(parts):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            rng = seeding.keyed("dropout", *key, self.ranks.rank, number)
            with rng, precision(self.device, config.amp):
                answers = self.model(images[part], facts[part])
            peers = list(answers) if config.peers > 1 else [answers]
            loss = mutual(self.objective, peers, counts[-1]) if config.peers > 1 else 0.0
            for logits in peers:
                loss = loss + self._loss(logits, part, labels, soft, counts)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            total += loss.detach() / config.peers
            del answers, peers, logits, loss  # what they lead to stays as long as they do
        return total

    def _loss(
        self,
        logits: torch.Tensor,
        part: slice,
        labels: tuple[tuple[float, torch.Tensor], ...],
        soft: torch.Tensor | None,
        counts: torch.Tensor,
    ) -> torch.Tensor:
        """One student's loss of a part of a batch: by the labels, and by what teachers say."""
        known, weight = counts[:-1], self.config.distill_weight
        loss = sum(share * self.objective(logits, own[part], known=known) for share, own in labels)
        if soft is None:
            return loss
        temperature = self.config.distill_temperature
        apart = self.objective.taught(logits, soft[part], count=counts[-1], temperature=temperature)
        return (1 - weight) * loss + weight * apart

    def _free(self, statistics: list[torch.Tensor]) -> None:
        """Give back what a failed attempt holds, and undo what it did to BatchNorm."""
        buffers = [b for norm in self.norms for b in norm.buffers()]
        for buffer, value in zip(buffers, statistics):
            buffer.copy_(value)
        for parameter in self.parameters:
            parameter.grad = None
        free_memory()

    def _give_way(self, count: int) -> None:
        """Wait for the neighbours, or go on with half as many images at once."""
        self._failures += 1
        size = min(self.micro_batch, count)
        if self._failures < TRIES:
            self.log(
                f"memory ran out with {size} images at once; the same step again in {WAIT_S:.0f} s"
            )
            time.sleep(WAIT_S)
            return
        half = size // 2
        least = max(m.least_at_once(self.config.input_size) for m in models_of(self.model))
        if half < 1 or count // -(-count // half) < least:
            why = "BatchNorm needs 2" if half else "there is no smaller number"
            less = "go on with checkpointing=True, which takes less memory for the same bits, "
            raise RunError(
                f"fit: memory ran out with {size} images at once, and {why} ({self._words}). The "
                "last good state is kept: free the device (mk.machine.gpu_users() names who is "
                f"there), {'' if self.config.checkpointing else less}or take a smaller "
                "image_size or model in a new folder."
            )
        self.micro_batch, self._failures = half, 0
        norm = " BatchNorm now sees fewer images at once." if self.norms else ""
        self.log(
            f"memory is short: from here {half} images at once, the same {count} a step. "
            f"Not bit-exact with a run that had room.{norm}"
        )


def _make_scaler(config: Config, device: torch.device) -> torch.cuda.amp.GradScaler | None:
    """Needed where the GPU has no bfloat16."""
    if config.amp and device.type == "cuda" and not has_bfloat16(device):
        return torch.cuda.amp.GradScaler()
    return None
