from __future__ import annotations

import math
from dataclasses import replace

import mask_contests
import pytest
import torch

import medkit as mk
from medkit.devices import is_out_of_memory
from medkit.loading import augment
from medkit.loading.loader import Batch
from medkit.runs.tensor_files import load_state
from medkit.training import stepping
from medkit.training.distilling import new_student
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks
from medkit.training.state import State
from medkit.training.stepping import Stepper

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries", model="test_vit", image_size=32, batch_size=8, mixup=0.3, seed=4)
QUIET = {"num_workers": 0, "device": "cpu", "progress": False}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(stepping, "WAIT_S", 0.0)


def make_batch(count=8):
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=rng, dtype=torch.uint8)
    labels = torch.arange(count).remainder(2)[:, None].float()
    labels[0] = math.nan
    return Batch(images, labels, torch.zeros(count, 0), torch.arange(count))


def make_stepper(config=CONFIG, told=None):
    log = print if told is None else told.append
    objective = Objective(TASK, config, make_batch().labels)
    return Stepper(objective, config, new_student(TASK, config), Ranks(), log)


def gradient(stepper, batch=None, step=0):
    loss, stop = stepper.gradients(batch or make_batch(), 0, step)
    assert not stop
    return loss, torch.cat([p.grad.flatten() for p in stepper.parameters])


def run_out(monkeypatch, times, *, above=0):
    """Fail as a GPU does: so many times, with more images at once than `above`."""
    left, whole = [times], Objective.__call__

    def fail(self, logits, labels, **options):
        if left[0] > 0 and len(labels) > above:
            left[0] -= 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(self, logits, labels, **options)

    monkeypatch.setattr(Objective, "__call__", fail)
    return left


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_micro_batches_add_up_to_the_whole(size):
    """A model without BatchNorm and dropout: the same gradient, but for the last bits."""
    loss, whole = gradient(make_stepper())
    parts = make_stepper(replace(CONFIG, micro_batch=size))
    loss_of_parts, sum_of_parts = gradient(parts)
    assert torch.allclose(loss, loss_of_parts, atol=1e-6)
    assert torch.allclose(whole, sum_of_parts, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"class_weights": (1, 4), "loss": "focal"},
        {"loss": "class_balanced", "class_balance_beta": 0.9, "label_smoothing": 0.1},
        {"arcface_margin": 0.3},
        {"peers": 2},
    ],
    ids=str,
)
def test_micro_batches_add_up_whatever_the_loss_and_the_teacher(settings):
    sums, torch_rng = [], torch.Generator().manual_seed(2)
    soft = torch.softmax(torch.randn(8, 2, generator=torch_rng), 1)
    for size in (0, 3):
        config = replace(CONFIG, micro_batch=size, **settings)
        stepper = make_stepper(config)
        stepper.soft = soft
        sums.append(gradient(stepper))
    (loss, whole), (loss_of_parts, sum_of_parts) = sums
    assert torch.allclose(loss, loss_of_parts, atol=1e-5)
    assert torch.allclose(whole, sum_of_parts, atol=2e-5, rtol=1e-3)


def test_what_teachers_say_is_mixed_as_the_pictures_are(monkeypatch):
    stepper, told, whole = make_stepper(), [], Objective.taught
    stepper.soft = torch.rand(8, 2, generator=torch.Generator().manual_seed(2))

    def taught(self, logits, soft, **options):
        told.append(soft)
        return whole(self, logits, soft, **options)

    monkeypatch.setattr(Objective, "taught", taught)
    gradient(stepper)
    partner, share, _ = augment.draw_mix(CONFIG.mixup, 0.0, 8, 32, CONFIG.seed, 0, 0)
    assert 0 < share < 1 and list(partner) != list(range(8))
    assert torch.allclose(told[0], share * stepper.soft + (1 - share) * stepper.soft[partner])


def test_each_peer_is_clipped_alone():
    stepper = make_stepper(replace(CONFIG, peers=2, clip_norm=1e-3))
    gradient(stepper)
    stepper.descend(torch.optim.SGD(stepper.parameters, 0.0))
    for peer in stepper.model.peers:
        norm = torch.cat([p.grad.flatten() for p in peer.parameters()]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_each_micro_batch_has_its_own_dropout():
    stepper = make_stepper(replace(CONFIG, drop_rate=0.5, micro_batch=4, mixup=0.0))
    twice = make_batch(4)
    twice = Batch(*(torch.cat([part, part]) for part in twice))
    seen = []
    stepper.model.dropout.register_forward_hook(lambda module, x, y: seen.append(y == 0))
    stepper.model.train()
    gradient(stepper, twice)
    first, second = seen
    assert not torch.equal(first, second)


def test_a_step_that_ran_out_of_memory_is_tried_again_to_the_same_bits(monkeypatch):
    told, config = [], replace(CONFIG, model="test_resnet", drop_rate=0.3)
    straight = make_stepper(config)
    loss, wanted = gradient(straight)
    run_out(monkeypatch, 2)
    stepper = make_stepper(config, told)
    retried, found = gradient(stepper)
    assert torch.equal(wanted, found) and torch.equal(loss, retried)
    for name, value in straight.model.state_dict().items():  # BatchNorm has seen the batch once
        assert torch.equal(value, stepper.model.state_dict()[name]), name
    assert stepper.micro_batch == 8 and len(told) == 2
    assert told[0] == "memory ran out with 8 images at once; the same step again in 0 s"


def test_then_the_micro_batch_is_halved_and_stays_so(monkeypatch):
    told = []
    run_out(monkeypatch, 10**6, above=2)
    stepper = make_stepper(told=told)
    gradient(stepper)
    assert stepper.micro_batch == 2
    assert "memory is short: from here 2 images at once, the same 8 a step" in told[-1]
    told.clear()
    gradient(stepper, step=1)
    assert not told


def test_batchnorm_refuses_a_micro_batch_of_one(monkeypatch):
    told, config = [], replace(CONFIG, model="test_resnet")
    run_out(monkeypatch, 10**6, above=1)
    with pytest.raises(RuntimeError, match="memory ran out with 2 images at once, and BatchNorm"):
        gradient(make_stepper(config, told))
    assert "BatchNorm now sees fewer images at once" in told[-3]


def masks_gradient(told, **settings):
    """A step of two pictures, of a model of masks."""
    settings = {**mask_contests.TINY, "batch_size": 2, "micro_batch": 2, **settings}
    config, task = mk.Config("shapes", **settings), mask_contests.make_task()
    size = config.image_size
    labels = torch.zeros(2, size, size, 1, dtype=torch.uint8)
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    batch = Batch(images, labels, torch.zeros(2, 0), torch.arange(2))
    objective = Objective(task, config, torch.ones(2, 1))
    stepper = Stepper(objective, config, new_student(task, config), Ranks(), told.append)
    stepper.gradients(batch, 0, 0)
    return stepper


def test_one_image_is_enough_where_norms_see_maps(monkeypatch):
    """A U-Net's do, down to the coarsest map."""
    told = []
    run_out(monkeypatch, 10**6, above=1)
    assert masks_gradient(told, image_size=64).micro_batch == 1
    assert "from here 1 images at once" in told[-1]


@pytest.mark.parametrize(
    "settings", [{"image_size": 32}, {"image_size": 64, "model": "rexnet_100"}]
)
def test_of_a_single_pixel_batchnorm_has_no_spread(monkeypatch, settings):
    """The coarsest map may have one, and rexnet normalises what it has pooled."""
    run_out(monkeypatch, 10**6, above=1)
    with pytest.raises(RuntimeError, match="with 2 images at once, and BatchNorm needs 2"):
        masks_gradient([], **settings)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_takes_less_memory_is_advised_unless_it_is_done(monkeypatch, checkpointing):
    run_out(monkeypatch, 10**6)
    with pytest.raises(RuntimeError, match="with 1 images at once, and there is no") as error:
        masks_gradient([], image_size=64, checkpointing=checkpointing)
    assert ("checkpointing=True" in str(error.value)) == (not checkpointing)


def test_no_try_goes_on_for_ever(monkeypatch):
    left = run_out(monkeypatch, 10**6)
    with pytest.raises(RuntimeError, match="with 1 images at once, and there is no smaller"):
        gradient(make_stepper())
    assert 10**6 - left[0] == 4 * stepping.TRIES  # at 8, 4, 2 and 1 images


def test_what_a_failed_try_held_is_given_back(monkeypatch):
    """The traceback of the failure must not keep the activations."""
    import gc
    import weakref

    kept, whole = [], Objective.__call__

    def fail(self, logits, labels, **options):
        if len(kept) == 0:
            kept.append(weakref.ref(logits))
            raise RuntimeError("CUDA out of memory")
        gc.disable()
        assert kept[0]() is None
        return whole(self, logits, labels, **options)

    monkeypatch.setattr(Objective, "__call__", fail)
    try:
        gradient(make_stepper())
    finally:
        gc.enable()
    assert len(kept) == 1


def test_other_errors_are_passed_on(monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Objective, "__call__", fail)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        gradient(make_stepper())


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "FIND was unable to find an engine to execute this computation",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_every_way_of_running_out_of_memory_is_known(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


RUN = mk.Config(
    "caries", model="test_resnet", image_size=32, epochs=3, batch_size=16, augment="light", seed=2
)


def test_a_run_short_of_memory_says_so_and_remembers(cases, tmp_path, monkeypatch):
    whole, cases = State.set_rate, cases[::2]

    def set_rate(self):
        if (self.epoch, self.step) == (1, 1):  # in the second epoch a neighbour comes
            run_out(monkeypatch, 10**6, above=8)
        if (self.epoch, self.step) == (2, 2):
            raise KeyboardInterrupt
        return whole(self)

    with monkeypatch.context() as patched:
        patched.setattr(State, "set_rate", set_rate)
        with pytest.raises(KeyboardInterrupt):
            mk.fit(RUN, cases, tmp_path / "run", **QUIET)
    monkeypatch.undo()
    facts = load_state(mk.Run(tmp_path / "run").last)[1]
    assert facts["shape"]["micro_batch"] == 8 and not facts["bit_exact"]
    run = mk.fit(RUN, cases, tmp_path / "run", **QUIET)
    assert list(run.history["micro_batch"]) == [16, 8, 8]
    assert list(run.history["bit_exact"]) == [True, False, False]
    log = (run.path / "log.txt").read_text()
    assert log.count("memory is short: from here 8 images at once, the same 16 a step") == 1


def test_gradients_are_accumulated_by_a_setting_exactly(cases, tmp_path):
    config, cases = replace(RUN, micro_batch=8, epochs=1), cases[::2]
    first = mk.fit(config, cases, tmp_path / "a", **QUIET)
    second = mk.fit(config, cases, tmp_path / "b", **QUIET)
    assert first.last.read_bytes() == second.last.read_bytes()
    assert list(first.history["micro_batch"]) == [8] and first.history["bit_exact"].all()
