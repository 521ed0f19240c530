from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.errors import Stopped
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import pacing, slots
from medkit.training.launching import Launch
from medkit.training.pacing import MARGIN_S, SLOW_DISK, Pace

LATER = "2099-01-01 00:00"


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes when it is told to."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def pace_of(valid_steps=0.0, **launch):
    return Pace(Launch(**launch), state_bytes=SLOW_DISK, valid_steps=valid_steps)


def test_saves_are_apart_by_the_clock_and_by_what_they_cost(clock):
    pace = pace_of(save_every_s=60)
    clock.now = 60.0
    assert not pace.is_save_due
    clock.now = 60.5
    assert pace.is_save_due
    with pace.saving():
        clock.now += 4.0  # fifty times as long
    clock.now += 199.0
    assert not pace.is_save_due
    clock.now += 2.0
    assert pace.is_save_due and pace.saving_s == 4.0
    assert pace.saving_share == pytest.approx(4 / clock.now)


def test_a_slot_has_room_for_a_step_a_save_and_what_follows(clock, monkeypatch):
    left = []
    monkeypatch.setattr(slots, "left_s", lambda until: left[0])

    def ends_with(pace, seconds, is_last=False):
        """Whether the slot is over for this pace just below so many seconds, and not above."""
        left[:] = [seconds - 0.01]
        below = pace.is_slot_over(is_last=is_last)
        left[:] = [seconds + 0.01]
        return below and not pace.is_slot_over(is_last=is_last)

    pace = pace_of(valid_steps=3.0, until=datetime.now())
    assert ends_with(pace, MARGIN_S + 1.0)  # a save of that size on a slow disk
    for length in (2.0, 5.0, 1.0):
        clock.now += length
        pace.step()
    assert pace.steps == 3 and pace.step_s == pytest.approx(8 / 3)
    assert ends_with(pace, MARGIN_S + 1.0 + 2 * 5.0)  # the longest of late, and the one after it
    assert ends_with(pace, MARGIN_S + 1.0 + 2 * 5.0 + 3 * 5.0, is_last=True)
    with pace.saving():
        clock.now += 0.25
    with pace.validating():
        clock.now += 7.0
    assert ends_with(pace, MARGIN_S + 0.25 + 2 * 5.0)
    assert ends_with(pace, MARGIN_S + 0.25 + 2 * 5.0 + 7.0, is_last=True)
    clock.now += 1.0
    pace.step()
    assert max(pace._recent) == 5.0  # neither save nor validation counts as a step's


def test_a_run_without_a_slot_is_never_over():
    assert not pace_of().is_slot_over(is_last=True)


def result(run):
    names = ("history.csv", "predictions.csv", "best.safetensors")
    return weights_hash(load_state(run.last)[0]), [(run.path / n).read_bytes() for n in names]


@pytest.fixture(scope="module")
def config():
    return mk.Config(
        "caries", model="test_resnet", image_size=32, epochs=3, batch_size=16, ema_decay=0.9
    )


@pytest.fixture(scope="module")
def straight(config, cases, tmp_path_factory):
    return mk.fit(config, cases, tmp_path_factory.mktemp("runs") / "straight", **QUIET)


@pytest.mark.parametrize("step", [0, 2, 7])  # the last one: its epoch's validation is left
def test_a_run_stops_in_time_and_goes_on_to_the_same_bits(
    config, straight, cases, tmp_path, monkeypatch, step
):
    steps = 8
    place = 1 * steps + step + 1  # steps that are made in the slot
    with monkeypatch.context() as patched:
        patched.setattr(Pace, "is_slot_over", lambda self, is_last: self.steps == place - 1)
        with pytest.raises(Stopped, match=f"epoch 2 after step {step + 1}, in time for 00:00; its"):
            mk.fit(config, cases, tmp_path / "run", until=LATER, **QUIET)
    run = mk.Run(tmp_path / "run")
    facts = load_state(run.last)[1]
    assert run.state == "stopped" and (facts["epoch"], facts["step"]) == (1, step + 1)
    assert len(run.history) == 1
    again = mk.fit(config, cases, run.path, until=LATER, **QUIET)
    assert result(again) == result(straight)
    place = "epoch 2's end" if step + 1 == steps else f"epoch 2, step {step + 2}"
    assert f"going on from {place}\n" in (run.path / "log.txt").read_text()


def test_a_slot_that_ends_before_the_device_is_taken_loses_nothing(
    config, cases, tmp_path, monkeypatch
):
    ends = iter([60.0, 60.0, -1.0])  # when it is called, when it is told, before the device
    with monkeypatch.context() as patched:
        patched.setattr(slots, "left_s", lambda until: next(ends))
        with pytest.raises(Stopped, match="00:00 came before the first step; nothing is lost"):
            mk.fit(config, cases, tmp_path / "run", until=LATER, **QUIET)
    assert mk.list_runs(tmp_path)["state"][0] == "stopped"
    assert not mk.Run(tmp_path / "run").is_begun


def test_what_a_slot_allows_is_told(cases, tmp_path, monkeypatch, capsys):
    from medkit.training import telling

    monkeypatch.setattr(telling, "SHOW_EVERY_S", -1)
    mk.fit(TWO_EPOCHS, cases, tmp_path, until=LATER, **{**QUIET, "progress": True})
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].startswith("until 00:00 by this machine's clock, which is in ")
    (line,) = [line for line in shown if "images/s" in line]
    assert line.endswith(" left, epoch 2 of 2 by 00:00")


def test_folds_stop_in_time_and_go_on(cases, tmp_path):
    cases = cases.assign(fold=cases["fold"].clip(upper=1))
    long = mk.Config("caries", model="test_resnet", image_size=32, epochs=4000, batch_size=16)
    soon = datetime.now() + timedelta(seconds=25)
    with pytest.raises(Stopped, match=r"in time for|came before"):
        mk.fit_folds(long, cases, tmp_path, until=soon, **QUIET)
    states = mk.list_runs(tmp_path).set_index("run")["state"]
    assert set(states) <= {"stopped", "new"} and list(states.index.sort_values())[0] == "fold0"
    shutil.rmtree(tmp_path)
