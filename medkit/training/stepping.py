"""The gradients of one batch, whatever the memory: whole, in micro-batches, over several ranks."""

from __future__ import annotations

import gc
import time
from typing import Callable

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from medkit import seeding
from medkit.inference.predicting import is_out_of_memory, precision
from medkit.loading import augment
from medkit.loading.loader import Batch
from medkit.models.factory import CaseModel
from medkit.runs.config import Config
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks

TRIES = 3  # that may fail at one size, over the whole run, before the micro-batch is halved
WAIT_S = 10.0  # for a neighbour on the GPU, before the same step is tried again


class Stepper:
    """Puts the gradients of a batch into a model's parameters.

    When memory runs out, what was held is freed and the same step tried again, first as it was,
    then in halves: the same images make the step, fewer of them at once.

    Attributes:
        micro_batch: images that go through the model at once; it never grows again.
        scaler: of the loss, where the device computes in float16.
    """

    def __init__(
        self,
        objective: Objective,
        config: Config,
        model: CaseModel,
        ranks: Ranks,
        log: Callable[[str], None],
    ):
        self.objective, self.config, self.model = objective, config, model
        self.ranks, self.log = ranks, log
        self.device = model.mean.device
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self.micro_batch = config.micro_batch or -(-config.batch_size // ranks.size)
        self.scaler = _make_scaler(config, self.device)
        self._failures = 0

    def gradients(
        self, batch: Batch, epoch: int, step: int, *, stop: bool = False
    ) -> tuple[torch.Tensor, bool]:
        """Fill the gradients of a step; returns its loss, and whether any process wants to stop.

        Raises:
            RuntimeError: when memory does not hold the smallest micro-batch.
        """
        batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
        known = self.ranks.add((~batch.labels.isnan()).sum(0))
        while True:
            statistics = [b.clone() for norm in self.norms for b in norm.buffers()]
            loss = self._attempt(batch, known, epoch, step)
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
        """Clip the gradients and take the step."""
        if self.config.clip_norm:
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def _attempt(
        self, batch: Batch, known: torch.Tensor, epoch: int, step: int
    ) -> torch.Tensor | None:
        """One try; None when memory ran out."""
        try:
            return self.forward_backward(batch, known, epoch, step)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return None  # outside the handler: its traceback would hold the memory

    def forward_backward(
        self, batch: Batch, known: torch.Tensor, epoch: int, step: int
    ) -> torch.Tensor:
        """Fill the gradients of this process's part in micro-batches; returns its part of the loss.

        Args:
            batch: on the device.
            known: (heads,) labelled cases of the whole step, over all ranks.
        """
        for parameter in self.parameters:
            parameter.grad = None
        config, key, count = self.config, (self.config.seed, epoch, step), len(batch.images)
        images, facts, labels, partners, share = batch.images, batch.facts, batch.labels, None, 1.0
        mix = augment.draw_mix(config.mixup, config.cutmix, count, images.shape[-1], *key)
        if mix is not None:
            share, order, images, facts = augment.blend(images, facts, mix)
            partners = labels[order]
        total = torch.zeros((), device=self.device)
        parts = torch.arange(count).tensor_split(-(-count // self.micro_batch))
        for number, rows in enumerate(parts):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            rng = seeding.keyed("dropout", *key, self.ranks.rank, number)
            with rng, precision(self.device, config.amp):
                logits = self.model(images[part], facts[part])
            loss = share * self.objective(logits, labels[part], known=known)
            if partners is not None:
                loss = loss + (1 - share) * self.objective(logits, partners[part], known=known)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            total += loss.detach()
        return total

    def _free(self, statistics: list[torch.Tensor]) -> None:
        """Give back what a failed attempt holds, and undo what it did to BatchNorm."""
        buffers = [b for norm in self.norms for b in norm.buffers()]
        for buffer, value in zip(buffers, statistics):
            buffer.copy_(value)
        for parameter in self.parameters:
            parameter.grad = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

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
        least = 2 if self.norms else 1
        if half < 1 or count // -(-count // half) < least:
            why = "BatchNorm needs 2" if self.norms else "there is no smaller number"
            raise RuntimeError(
                f"fit: memory ran out with {size} images at once, and {why}. The last good state "
                "is kept: free the device (mk.gpu_users() names who is there), or take a smaller "
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
    if config.amp and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.cuda.amp.GradScaler()
    return None
