"""What comes before the first step: pictures, room on the device, the model, a rehearsal."""

from __future__ import annotations

import re
import time
import warnings
from typing import Callable, NamedTuple

import torch
from timm.layers import convert_sync_batchnorm

from medkit import files, machine
from medkit.devices import free_memory
from medkit.errors import ConfigError
from medkit.loading.loader import CaseDataset, make_dataset
from medkit.progress import clock
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.pictures import check_pictures
from medkit.runs.tensor_files import weights_hash
from medkit.training import distilling, memory, neighbours, slots
from medkit.training.distilling import Student, models_of
from medkit.training.launching import Launch
from medkit.training.plan import Plan
from medkit.training.ranks import Ranks
from medkit.training.state import State
from medkit.training.stepping import Stepper
from medkit.training.telling import Telling


class Ready(NamedTuple):
    """All that the loop needs."""

    state: State
    train_set: CaseDataset  # augmented
    valid_set: CaseDataset  # the same cases as they are


def prepare(plan: Plan, run: Run, launch: Launch, ranks: Ranks, telling: Telling) -> Ready:
    """Pictures, a model on its device, and what an earlier call has left.

    Raises:
        ConfigError, DataError, RunError, MissingError: what would have failed later.
        Stopped: when the slot is over before the device is taken.
    """
    plan.check_ranks(ranks)
    model = plan.new_model()  # what it refuses shows before a picture is decoded
    valid_set = _open_pictures(plan, run, launch, ranks)
    train_set = valid_set.augmented(plan.config.augment)
    if ranks.any(slots.left_s(launch.until) <= 0):
        raise telling.came_too_late(launch.until)
    stepper = _make_stepper(model, plan, run, launch, ranks, telling.log)
    state = State(plan, stepper)
    telling.begin(state, state.restore(run))
    if state.is_new:
        _rehearse(state, train_set, valid_set, telling.log)
    return Ready(state, train_set, valid_set)


def _open_pictures(plan: Plan, run: Run, launch: Launch, ranks: Ranks) -> CaseDataset:
    """The cases of a run with their pictures, decoded once: by the first process of each machine.

    Raises:
        MissingError, DataError: for pictures that are gone, or not those of then.
    """
    if ranks.local_rank == 0:
        check_pictures(run.path, plan.seen, is_begun=run.is_begun)
    else:
        ranks.wait_for_all()
    progress = launch.progress and ranks.is_first
    options = {"cache_folder": launch.cache_folder, "progress": progress}
    data = make_dataset(plan.task, plan.config, plan.seen, **options)
    if ranks.local_rank == 0:
        ranks.wait_for_all()
    if data.labels.never and ranks.is_first:
        warnings.warn(
            f"fit: none of {len(plan.seen)} cases has a pixel of "
            f"{', '.join(map(repr, data.labels.never))}. Look whether its masks lie "
            "where the task's mask_files say, or leave the class out.",
            stacklevel=5,
        )
    return data


def _make_stepper(
    model: Student,
    plan: Plan,
    run: Run,
    launch: Launch,
    ranks: Ranks,
    log: Callable[[str], None],
) -> Stepper:
    """The model on its device, when there is room, with all that its steps need."""
    config, device = plan.config, ranks.device
    if device.type == "cuda":
        images = config.micro_batch or -(-config.batch_size // ranks.size)
        free_memory()  # of an earlier run in this kernel
        neighbours.wait_for_room(
            sum(memory.training_bytes(m, config, images) for m in models_of(model))
            + memory.CUDA_BYTES,
            lambda: torch.cuda.mem_get_info(device),
            limit_s=min(launch.wait_s, slots.left_s(launch.until)),
            log=log,
        )
    if not run.is_begun and ranks.is_first:
        _note_machine(run, model, ranks)
    stepper = Stepper(plan.objective, config, place_model(model, config, device, ranks), ranks, log)
    if config.teacher is not None:
        stepper.soft = _soft_labels(plan, run, launch, ranks, log)
    return stepper


def _note_machine(run: Run, model: Student, ranks: Ranks) -> None:
    """Write what the run begins on, and with which weights."""
    facts = {"initial_weights": weights_hash(model.state_dict())}
    facts.update(device=ranks.device.type, world_size=ranks.size)
    files.write_json(run.path / "machine.json", {**machine.record(), **facts})


def place_model(model: Student, config: Config, device: torch.device, ranks: Ranks) -> Student:
    """A model on its device, in the memory format that is fast there."""
    if config.sync_bn and ranks.size > 1:
        if device.type != "cuda":
            raise ConfigError("Config: sync_bn needs GPUs. Leave it off on a CPU.")
        model = convert_sync_batchnorm(model)  # torch's own drops timm's fused activations
    on_gpu = device.type == "cuda" and config.channels_last
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    return model.to(device, memory_format=layout)


def _soft_labels(
    plan: Plan, run: Run, launch: Launch, ranks: Ranks, log: Callable[[str], None]
) -> torch.Tensor:
    """What the teachers say of each training case; the first process asks them."""
    if ranks.is_first:
        asked = {"device": ranks.device, "cache_folder": launch.cache_folder, "log": log}
        distilling.teach(run, plan.task, plan.config, plan.seen, plan.train_rows, **asked)
    ranks.wait_for_all()
    return distilling.taught(run).to(ranks.device)


def _rehearse(
    state: State, train_set: CaseDataset, valid_set: CaseDataset, log: Callable[[str], None]
) -> None:
    """Pull one batch of each side through model and loss, and leave no trace of it.

    A mistake shows in seconds here, and not after an epoch.
    """
    plan, stepper, ranks = state.plan, state.stepper, state.stepper.ranks
    buffers = {name: value.clone() for name, value in state.model.named_buffers()}
    batch = plan.batch(train_set, ranks)
    state.model.train()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):  # the first one warms up
            began = time.monotonic()
            float(stepper.gradients(batch, 0, 0)[0])
            if state.device.type == "cuda":
                torch.cuda.synchronize(state.device)
            step_s = time.monotonic() - began
    _tell_kernels(caught, log)
    for name, value in state.model.named_buffers():
        value.copy_(buffers[name])
    state.optimizer.zero_grad(set_to_none=True)
    rows = plan.valid_rows[ranks.share(len(plan.valid_rows))][: 2 * len(batch.rows)]
    if len(rows):
        plan.validation.predict(models_of(state.model)[0], valid_set, rows).loss()
    count = sum(p.numel() for p in stepper.parameters) / 1e6
    log(
        f"{plan.config.model}: {count:.1f} million weights; {plan.steps} steps of "
        f"{plan.step_size} images an epoch, about {clock(plan.steps * step_s)} an epoch and "
        f"{clock(state.left_s(step_s))} in all"
    )


def _tell_kernels(caught: list[warnings.WarningMessage], log: Callable[[str], None]) -> None:
    """Log the operations that repeat no bits on this device; pass other warnings on."""
    for warning in caught:
        text = str(warning.message)
        if re.search("not have a deterministic|non-?deterministic|not deterministic", text):
            log(f"not bit-exact on this device: {text.split(' does not')[0]}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
