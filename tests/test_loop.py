from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import medkit as mk
from medkit.errors import Stopped
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import pacing, preparing, process, state, validating
from medkit.training.plan import make_plan
from medkit.training.state import State
from medkit.training.stepping import Stepper
from medkit.training.validating import Validation

CONFIG = mk.Config(
    "caries",
    model="test_resnet",
    image_size=32,
    epochs=3,
    batch_size=16,
    seed=11,
    augment="light",
    mixup=0.2,
    cutmix=0.5,
    balanced=True,
    ema_decay=0.9,
    drop_rate=0.2,
    label_smoothing=0.05,
    facts=("view", "tooth_number"),
)
QUIET = {"num_workers": 0, "device": "cpu", "progress": False}


def pictures(labels, folds):
    """Cases of a task of one's own; what is asked of them here opens no picture."""
    ids = [str(k) for k in range(len(labels))]
    table = {"id": ids, "path": "x.png", "group": ids, "label": labels, "fold": folds}
    return pd.DataFrame(table)


def test_balanced_epochs_count_what_is_trained_on_and_nothing_else():
    task = mk.Task("shares", "s", "s", (mk.Head("label", ("no", "yes")),))
    labels = ["no"] * 90 + ["yes"] * 10 + ["no"] * 10 + ["yes"] * 90  # valid: the other way round
    config = mk.Config("shares", model="test_resnet", image_size=32, batch_size=10, balanced=True)
    sampler = make_plan(task, config, pictures(labels, [1] * 100 + [0] * 100), 0).sampler()
    drawn = np.concatenate([sampler.order(epoch) for epoch in range(20)])
    assert abs(np.mean(drawn >= 90) - 0.5) < 0.03 and drawn.max() < 100


def test_a_number_has_no_classes_to_balance():
    task = mk.Task("amounts", "a", "a", (mk.Head("label"), mk.Head("kind", ("a", "b"))))
    cases = pictures([-1.0, 2.0, 3.0, -4.0], [0, 0, 1, 1]).assign(kind=list("abab"))
    config = mk.Config("amounts", model="test_resnet", image_size=32, balanced=True)
    with pytest.raises(ValueError, match="balanced=True draws each class .* label is a number"):
        make_plan(task, config, cases, 0)


def result(run):
    """All that must be equal bit for bit."""
    names = ("history.csv", "predictions.csv", "best.safetensors")
    return {
        "weights": weights_hash(load_state(run.last)[0]),
        **{name: (run.path / name).read_bytes() for name in names},
    }


@pytest.fixture(scope="module")
def cases(cases):
    """Every other tooth: 4 steps an epoch."""
    return cases[::2].reset_index(drop=True)


@pytest.fixture(scope="module")
def straight(cases, tmp_path_factory):
    """A run without a stop."""
    return mk.fit(CONFIG, cases, tmp_path_factory.mktemp("runs") / "straight", **QUIET)


@pytest.fixture(scope="module")
def stopped(cases, tmp_path_factory):
    """Puts into a folder a run that was stopped dead right before a step, saved at each one."""
    made = {}

    def put(folder, *place):
        if place not in made:
            made[place] = tmp_path_factory.mktemp("stopped") / "run"
            with pytest.MonkeyPatch.context() as patched, pytest.raises(Stop):
                stop_at(patched, *place)
                patched.setattr(pacing, "SAVES_APART", 0)
                mk.fit(CONFIG, cases, made[place], save_every_s=0, **QUIET)
        return mk.Run(shutil.copytree(made[place], folder))

    return put


@pytest.fixture(scope="module")
def early(stopped, tmp_path_factory):
    """A run after its first epoch: as far as a difference in the beginning needs."""
    return stopped(tmp_path_factory.mktemp("runs") / "early", 1, 0)


def first_epoch(monkeypatch, config, cases, folder):
    """What is left of a run that is stopped where `early` was."""
    with monkeypatch.context() as patched, pytest.raises(Stop):
        stop_at(patched, 1, 0)
        mk.fit(config, cases, folder, **QUIET)
    return mk.Run(folder)


class Stop(Exception):
    pass


def stop_at(monkeypatch, epoch, step):
    """Make `fit` stop dead right before a step."""
    whole = State.set_rate

    def set_rate(self):
        if (self.epoch, self.step) == (epoch, step):
            raise Stop
        return whole(self)

    monkeypatch.setattr(State, "set_rate", set_rate)


def test_the_run_folder_holds_what_is_promised(straight, cases):
    names = {path.name for path in straight.path.iterdir()}
    wanted = "config.json task.json run.json cases.csv history.csv log.txt last.safetensors "
    wanted += "last.previous.safetensors best.safetensors predictions.csv machine.json status.json "
    wanted += "pictures.csv first_losses.csv"
    assert names == set(wanted.split())
    assert straight.config == CONFIG and straight.fold == 0
    assert list(straight.history["epoch"]) == [1, 2, 3]
    assert {"lr", "train_loss", "valid_loss", "f1_macro", "auc"} <= set(straight.history)
    held_out = cases[(cases["fold"] == 0) & cases["region"].notna()]
    assert list(straight.predictions["id"]) == list(held_out["id"])
    assert np.allclose(straight.predictions[["sound", "decayed"]].sum(axis=1), 1)
    columns = ["id", "path", "group", "decayed", "fold", "region"]
    pd.testing.assert_frame_equal(straight.cases()[columns], cases[columns], check_dtype=False)


def test_workers_do_not_change_a_bit(straight, cases, tmp_path):
    run = mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": 2})
    assert result(run) == result(straight)


@pytest.mark.parametrize(("epoch", "step", "workers"), [(0, 0, 1), (1, 0, 0), (1, 2, 2), (2, 1, 0)])
def test_a_stopped_run_goes_on_to_the_same_bits(
    straight, cases, tmp_path, stopped, epoch, step, workers
):
    stopped(tmp_path / "run", epoch, step)
    torch.rand(7), np.random.rand(7)
    run = mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": workers})
    assert result(run) == result(straight)
    words = f"going on from epoch {epoch + 1}, step {step + 1}"
    assert words in (run.path / "log.txt").read_text() or epoch == step == 0


def test_a_run_goes_on_in_a_new_process(straight, tmp_path, stopped):
    stopped(tmp_path / "run", 2, 1)
    script = f"""
        import warnings, torch; torch.set_num_threads({torch.get_num_threads()})
        import medkit as mk
        run = mk.Run({str(tmp_path / "run")!r})
        mk.fit(run.config, run.cases(), run.path, num_workers=2, device="cpu", progress=False)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=300)
    assert result(mk.Run(tmp_path / "run")) == result(straight)


def test_another_seed_is_another_run(early, cases, tmp_path, monkeypatch):
    run = first_epoch(monkeypatch, replace(CONFIG, seed=12), cases, tmp_path / "run")
    assert result(run)["weights"] != result(early)["weights"]


def test_a_finished_run_is_returned_as_it_is(straight, cases, monkeypatch):
    before, log = result(straight), (straight.path / "log.txt").read_text()
    stop_at(monkeypatch, 0, 0)
    assert result(mk.fit(CONFIG, cases, straight.path, **QUIET)) == before
    assert (straight.path / "log.txt").read_text() == log


def test_a_damaged_state_is_passed_over(straight, cases, tmp_path, stopped):
    last = stopped(tmp_path / "run", 2, 1).last
    data = bytearray(last.read_bytes())
    data[-5] ^= 1
    last.write_bytes(bytes(data))
    run = mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    assert "passed over a damaged state" in (run.path / "log.txt").read_text()
    assert result(run) == result(straight)


def test_other_settings_are_refused_by_name(straight, cases):
    with pytest.raises(ValueError, match=r"other settings \(epochs: 3 saved, 9 asked; peak_lr"):
        mk.fit(replace(CONFIG, epochs=9, peak_lr=0.1), cases, straight.path, **QUIET)
    with pytest.raises(ValueError, match=r"fold: 0 saved, 1 asked"):
        mk.fit(CONFIG, cases, straight.path, fold=1, **QUIET)
    with pytest.raises(ValueError, match=r"cases: other ids"):
        mk.fit(CONFIG, cases.iloc[:-1], straight.path, **QUIET)


def test_a_folder_of_something_else_is_refused(cases, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"neither empty nor a run \(found thesis\.txt\)"):
        mk.fit(CONFIG, cases, tmp_path, **QUIET)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "resnet81"}, r"unknown model 'resnet81'\. Did you mean 'resnet18'"),
        ({"augment": "wild"}, "unknown augmentation 'wild'"),
        ({"facts": ("age",)}, "no fact 'age'"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors: no such file"),
        ({"task": "carries"}, r"unknown task 'carries' \(expected one of caries"),
    ],
)
def test_a_wrong_name_leaves_no_folder_behind(cases, tmp_path, change, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        mk.fit(replace(CONFIG, **change), cases, tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_which_nothing_was_trained_takes_new_settings(
    early, cases, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        stop_at(patched, 0, 0)
        with pytest.raises(Stop):
            mk.fit(replace(CONFIG, seed=48), cases, tmp_path / "run", **QUIET)
    run = first_epoch(monkeypatch, CONFIG, cases, tmp_path / "run")
    assert result(run) == result(early) and run.machine == early.machine


def test_a_loss_that_is_no_number_stops_the_run(cases, tmp_path):
    wild = replace(CONFIG, peak_lr=1e30, clip_norm=0.0, warmup_epochs=0.0, mixup=0.0, cutmix=0.0)
    words = r"the loss is (nan|inf) in epoch 1, step 2 of 4 \(cases \w+, .* and 8 more\)\. The last"
    with pytest.raises(RuntimeError, match=words):
        mk.fit(wild, cases, tmp_path / "run", **QUIET)
    assert mk.Run(tmp_path / "run").state == "failed"


def test_weights_that_are_no_numbers_are_never_saved(cases, tmp_path, monkeypatch):
    """A gradient can be none though the loss is a number: the next loss shows it, after a save."""
    descend, set_rate, is_spoilt = Stepper.descend, State.set_rate, []

    def spoil(self):
        is_spoilt[:] = [True] * ((self.epoch, self.step) == (1, 2))
        set_rate(self)

    def spoilt(self, optimizer):
        if is_spoilt:
            self.parameters[0].grad[0] = float("nan")
        descend(self, optimizer)

    monkeypatch.setattr(State, "set_rate", spoil)
    monkeypatch.setattr(Stepper, "descend", spoilt)
    monkeypatch.setattr(pacing, "SAVES_APART", 0)
    words = r"weights are no longer numbers after step 3 of epoch 2, .*The last good state is kept"
    with pytest.raises(RuntimeError, match=words):
        mk.fit(replace(CONFIG, clip_norm=0.0), cases, tmp_path / "run", save_every_s=0, **QUIET)
    tensors, facts = load_state(mk.Run(tmp_path / "run").last)
    assert (facts["epoch"], facts["step"]) == (1, 2)
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())


def test_an_interrupt_of_the_last_validation_stops_what_comes_after(cases, tmp_path, monkeypatch):
    whole = State.end_epoch

    def end_epoch(self, scores):
        os.kill(os.getpid(), signal.SIGINT)
        return whole(self, scores)

    monkeypatch.setattr(State, "end_epoch", end_epoch)
    with pytest.raises(KeyboardInterrupt, match="run had come to its end"):
        mk.fit(replace(CONFIG, epochs=1), cases, tmp_path / "run", **QUIET)
    assert mk.Run(tmp_path / "run").state == "finished"


def test_patience_stops_early(cases, tmp_path):
    config = replace(CONFIG, epochs=9, patience=1, peak_lr=1e-9, ema_decay=0.0, best_by="f1_micro")
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    assert len(run.history) < 9
    assert mk.fit(config, cases, tmp_path / "run", **QUIET).history.equals(run.history)


def signal_at(monkeypatch, number, step, times=1):
    """Send this process a signal in the middle of a step of the second epoch."""
    whole = State.set_rate

    def set_rate(self):
        if (self.epoch, self.step) == (1, step):
            for _ in range(times):
                os.kill(os.getpid(), number)
        return whole(self)

    monkeypatch.setattr(State, "set_rate", set_rate)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped)]
)
def test_a_signal_lets_the_step_end_and_the_state_be_saved(
    straight, cases, tmp_path, monkeypatch, number, error
):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        signal_at(patched, number, 2)
        with pytest.raises(error, match="stopped in epoch 2 after step 3; its state is saved"):
            mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": 1})
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    run = mk.Run(tmp_path / "run")
    assert run.state == "stopped" and load_state(run.last)[1]["step"] == 3
    assert result(mk.fit(CONFIG, cases, run.path, **QUIET)) == result(straight)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_signal_ends_a_validation_that_goes_on_with_the_next_call(
    straight, cases, tmp_path, monkeypatch, epoch
):
    whole, calls = Validation.predict, []

    def predict(self, model, dataset, rows, folder=None, **options):
        if folder is not None:  # not the rehearsal's
            calls.append(1)
            if len(calls) == epoch + 1:
                os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, model, dataset, rows, folder, **options)

    with monkeypatch.context() as patched, pytest.raises(Stopped, match=r"its state is saved"):
        patched.setattr(Validation, "predict", predict)
        mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    run = mk.Run(tmp_path / "run")
    facts = load_state(run.last)[1]
    assert run.state == "stopped" and (facts["epoch"], facts["step"]) == (epoch, 4)
    assert result(mk.fit(CONFIG, cases, run.path, **QUIET)) == result(straight)


def test_a_second_interrupt_stops_at_once(cases, tmp_path, monkeypatch):
    signal_at(monkeypatch, signal.SIGINT, 2, times=2)
    with pytest.raises(KeyboardInterrupt):
        mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    facts = load_state(mk.Run(tmp_path / "run").last)[1]
    assert (facts["epoch"], facts["step"]) == (1, 0)


def test_what_is_compared_holds_no_clock_and_no_path(straight, cases):
    words = [str(straight.path.parent), straight.path.name, time.strftime("%Y-")]
    for name in ("history.csv", "predictions.csv", "best.safetensors"):
        content = (straight.path / name).read_bytes()
        text = content if name.endswith(".csv") else _header(content)
        assert [word for word in words if word.encode() in text] == [], name
    columns = [*straight.history, *straight.predictions]
    assert not [name for name in columns if re.search("time|date|second|_s$|path|host", name)]


def _header(content):
    """The names and facts of a safetensors file, without the numbers, which may be anything."""
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def test_the_initial_weights_can_be_recomputed(straight):
    from medkit.models.factory import new_model

    model = new_model(straight.task, straight.config)
    assert weights_hash(model.state_dict()) == straight.machine["initial_weights"]


def test_every_json_file_can_be_read_by_a_person(straight):
    for path in straight.path.glob("*.json"):
        assert json.loads(path.read_text()) and "\n" in path.read_text()


def count_saves(monkeypatch, cases, folder, apart):
    steps, whole = [], state.save_generation

    def save_generation(path, tensors, facts):
        steps.append((facts["epoch"], facts["step"]))
        whole(path, tensors, facts)

    with monkeypatch.context() as patched:
        patched.setattr(state, "save_generation", save_generation)
        patched.setattr(pacing, "SAVES_APART", apart)
        mk.fit(replace(CONFIG, epochs=2), cases, folder, save_every_s=0, **QUIET)
    return steps


def test_saves_are_as_far_apart_as_their_cost_asks(cases, tmp_path, monkeypatch):
    ends = [(1, 0), (2, 0)]
    each = count_saves(monkeypatch, cases, tmp_path / "each", 0)
    assert len(each) == 8 and set(ends) < set(each)  # 4 steps an epoch, the last one with its end
    few = count_saves(monkeypatch, cases, tmp_path / "few", 10**9)
    assert few == [(0, 1), *ends]  # the first one's cost is not known yet
    assert "saving took" in (tmp_path / "few" / "log.txt").read_text()


def test_a_full_disk_ends_the_run_and_loses_nothing(straight, cases, tmp_path, monkeypatch):
    whole, count = state.save_generation, []

    def save_generation(path, tensors, facts):
        count.append(path)
        if len(count) == 2:
            raise OSError(28, f"{path}: not written, the disk is full; free some space")
        whole(path, tensors, facts)

    with monkeypatch.context() as patched:
        patched.setattr(state, "save_generation", save_generation)
        with pytest.raises(OSError, match="last.safetensors: not written, the disk is full"):
            mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    run = mk.Run(tmp_path / "run")
    assert run.state == "failed" and "the disk is full" in mk.list_runs(tmp_path)["reason"][0]
    assert result(mk.fit(CONFIG, cases, run.path, **QUIET)) == result(straight)


def test_a_run_folder_that_was_moved_goes_on(straight, cases, tmp_path, stopped):
    stopped(tmp_path / "run", 2, 1)
    (tmp_path / "run").rename(tmp_path / "다른 곳")
    assert result(mk.fit(CONFIG, cases, tmp_path / "다른 곳", **QUIET)) == result(straight)


def test_the_death_of_a_loading_process_is_explained(straight, cases, tmp_path, monkeypatch):
    whole = State.set_rate

    def set_rate(self):
        if (self.epoch, self.step) == (1, 1):
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            time.sleep(60)  # much shorter: the news of the death breaks in
        return whole(self)

    with monkeypatch.context() as patched:
        patched.setattr(State, "set_rate", set_rate)
        words = r"one of 2 loading processes died, most likely for want of memory .*num_workers=0"
        with pytest.raises(RuntimeError, match=words):
            mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": 2})
    assert not multiprocessing.active_children()
    assert result(mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)) == result(straight)


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed.", "memory"),
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error.",
            r"shared memory \(/dev/shm\)",
        ),
        ("unable to open shared memory object </torch_1> in read-write mode", "shared memory"),
    ],
)
def test_each_death_of_a_loading_process_has_its_reason(text, memory):
    with pytest.raises(RuntimeError, match=f"for want of {memory} .*Call fit again with num_w"):
        with process._explained(3):
            raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="^shapes cannot be multiplied$"), process._explained(3):
        raise RuntimeError("shapes cannot be multiplied")


def test_no_loading_process_stays_behind(cases, tmp_path, monkeypatch):
    stop_at(monkeypatch, 0, 2)
    with pytest.raises(Stop) as kept:  # as a notebook keeps the last traceback
        mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": 2})
    assert kept.value is not None and not multiprocessing.active_children()


def test_operations_without_a_deterministic_kernel_are_named(capsys):
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(
            "upsample_bicubic2d_backward_out_cuda does not have a deterministic "
            "implementation, but you set 'torch.use_deterministic_algorithms(True, ...",
            stacklevel=1,
        )
        warnings.warn("something else", stacklevel=1)
    with pytest.warns(UserWarning, match="something else"):
        preparing._tell_kernels(caught, told.append)
    assert told == ["not bit-exact on this device: upsample_bicubic2d_backward_out_cuda"]


def test_settings_of_torch_are_given_back(cases, tmp_path):
    config = replace(CONFIG, deterministic=True, epochs=1)
    mk.fit(config, cases, tmp_path / "run", **QUIET)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_rehearsal_leaves_no_trace(early, cases, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "_rehearse", lambda *parts: None)
    run = first_epoch(monkeypatch, CONFIG, cases, tmp_path / "run")
    assert result(run) == result(early)


def test_a_mistake_in_loading_shows_before_the_first_epoch(cases, tmp_path, monkeypatch):
    asked = []

    def predict(self, model, dataset, rows):
        asked.append(len(rows))
        raise ValueError("the validation pictures are broken")

    monkeypatch.setattr(validating.Validation, "predict", predict)
    with pytest.raises(ValueError, match="validation pictures are broken"):
        mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    assert asked == [2 * CONFIG.batch_size] and not (tmp_path / "run" / "last.safetensors").exists()


def test_a_signal_before_training_ends_it_at_once(cases, tmp_path, monkeypatch):
    def restore(self, run):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(State, "restore", restore)
    with pytest.raises(KeyboardInterrupt):
        mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)
    assert mk.Run(tmp_path / "run").state == "stopped"
