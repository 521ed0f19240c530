from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import medkit as mk
from medkit.runs import holding
from medkit.runs.holding import (
    Hold,
    Stopped,
    hold,
    identity,
    read_status,
    refuse_if_held,
    state_of,
)

HOLDER = """
import sys, time
from pathlib import Path
from medkit.runs.holding import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_is_held_until_the_end_of_the_block(tmp_path):
    assert state_of(tmp_path) == "new"
    with hold(tmp_path) as held:
        held.facts["epoch"] = 3
        assert state_of(tmp_path) == "running"
        with pytest.raises(RuntimeError, match=r"process \d+ on .* trains in this folder\. Look"):
            refuse_if_held(tmp_path)
    status = read_status(tmp_path)
    assert status["state"] == state_of(tmp_path) == "finished"
    assert status["facts"] == {"epoch": 3}
    refuse_if_held(tmp_path)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), "stopped", "interrupted"),
        (Stopped("asked to stop"), "stopped", "asked to stop"),
        (ValueError("no good"), "failed", "ValueError: no good"),
    ],
)
def test_the_status_says_how_it_ended(tmp_path, error, state, reason):
    with pytest.raises(type(error)):
        with hold(tmp_path):
            raise error
    status = read_status(tmp_path)
    assert (status["state"], status["reason"]) == (state, reason)


def test_another_process_is_refused_while_the_first_lives(tmp_path, other):
    with pytest.raises(RuntimeError, match=rf"process {other.pid} on"):
        with hold(tmp_path):
            raise AssertionError("two hold the folder")
    assert state_of(tmp_path) == "running"


def test_a_dead_holder_is_taken_over_at_once(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    while identity(other.pid)["started"] is not None:
        time.sleep(0.01)
    assert state_of(tmp_path) == "stale"  # not buried yet: nobody has waited for it
    with hold(tmp_path):
        assert state_of(tmp_path) == "running"


def test_a_process_id_that_was_used_again_is_another_process(tmp_path):
    with hold(tmp_path):
        status = read_status(tmp_path)
        assert holding.is_alive(status)
        status["holder"]["started"] -= 1
        assert not holding.is_alive(status)


def test_a_kernel_whose_run_could_not_say_its_end_can_go_on(tmp_path, monkeypatch):
    whole = holding.Hold._write

    def write(self, state, reason=""):
        if state == "failed":
            raise OSError(28, "No space left on device")
        whole(self, state, reason)

    monkeypatch.setattr(holding.Hold, "_write", write)
    with pytest.raises(ValueError, match="the loss"):
        with hold(tmp_path):
            raise ValueError("the loss is nan")
    assert read_status(tmp_path)["state"] == "running" and state_of(tmp_path) == "stale"
    with hold(tmp_path):
        assert state_of(tmp_path) == "running"


def test_a_heart_beats_on_after_an_error(tmp_path, monkeypatch):
    held = holding.Hold(tmp_path)
    held.take()

    def fail(folder):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(holding, "read_status", fail)
    held._beat()
    monkeypatch.undo()
    assert "Stale file handle" in held.facts["warning"] and not held.is_lost
    (tmp_path / "status.json").write_text("{")
    assert state_of(tmp_path) == "new"
    held._beat()
    assert state_of(tmp_path) == "running"
    held.release("finished")


def test_who_was_taken_over_notices_before_it_writes(tmp_path):
    held = holding.Hold(tmp_path)
    held.take()
    held.check()
    status = read_status(tmp_path)
    status["holder"]["token"] = "another"
    (tmp_path / "status.json").write_text(json.dumps(status))
    with pytest.raises(RuntimeError, match="another process trains in this folder now"):
        held.check()
    held._over.set()


@pytest.fixture(
    params=[{"host": "elsewhere"}, {"place": "another container"}], ids=["host", "place"]
)
def elsewhere(request, tmp_path):
    """Writes the status of a run on another machine, whose clock says what it likes."""
    with hold(tmp_path):
        status = read_status(tmp_path)
    holder = {**status["holder"], **request.param, "pid": 2**30, "token": "theirs"}

    def beat(at):
        status.update(state="running", reason="", holder=holder, beat=at)
        (tmp_path / "status.json").write_text(json.dumps(status))

    return beat


CLOCKS = {"ours": time.time(), "two minutes behind": time.time() - 120, "ahead": time.time() + 3600}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_holder_elsewhere_lives_as_long_as_its_heart_beats(
    tmp_path, elsewhere, monkeypatch, clock
):
    """Whatever its clock says: it is watched."""
    monkeypatch.setattr(holding, "LOOK_EVERY_S", 0.01)
    at = CLOCKS[clock]
    elsewhere(at)
    beats = iter(range(1, 9))
    monkeypatch.setattr(holding.time, "sleep", lambda s: elsewhere(at + next(beats)))
    with pytest.raises(RuntimeError, match=rf"process {2**30} on .* trains in this folder"):
        refuse_if_held(tmp_path)
    assert next(beats) == 2  # it was seen to beat once
    assert state_of(tmp_path) == "running"


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_holder_elsewhere_is_dead_after_a_minute_of_silence(
    tmp_path, elsewhere, monkeypatch, clock, capsys
):
    now = [1000.0]
    monkeypatch.setattr(holding.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(holding.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    elsewhere(CLOCKS[clock])
    assert state_of(tmp_path) == "running"  # nobody has watched it yet
    now[0] += holding.STALE_S / 2
    assert state_of(tmp_path) == "running"
    with hold(tmp_path):
        assert holding.STALE_S <= now[0] - 1000 <= holding.STALE_S + 1
        assert read_status(tmp_path)["holder"]["pid"] == os.getpid()
    told = capsys.readouterr().out
    assert "last heard 20" in told and "Watching for its next heartbeat" in told


def test_who_only_looks_waits_for_nothing(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(holding.time, "sleep", lambda s: pytest.fail("it waited"))
    for name in ("run.json", "config.json"):
        (tmp_path / name).write_text(json.dumps(mk.Config("caries").to_dict()))
    elsewhere(1_000_000_000)
    row = mk.list_runs(tmp_path).iloc[0]
    assert row["state"] == "running" and "last heard 2001-09-09" in row["reason"]
    now = time.monotonic()
    monkeypatch.setattr(holding.time, "monotonic", lambda: now + holding.STALE_S + 1)
    assert mk.list_runs(tmp_path)["state"][0] == "stale"


def test_who_took_the_folder_meanwhile_is_not_overwritten(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(holding, "STALE_S", 0.0)
    elsewhere(1.0)
    alone = holding._alone

    def slower(folder):
        monkeypatch.undo()
        elsewhere(2.0)
        return alone(folder)

    monkeypatch.setattr(holding, "_alone", slower)
    refuse_if_held(tmp_path)
    assert read_status(tmp_path)["state"] == "running" and read_status(tmp_path)["beat"] == 2.0


def test_a_dead_holder_that_lives_after_all_says_so(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(holding, "STALE_S", 0.0)
    elsewhere(time.time())
    refuse_if_held(tmp_path)
    status = read_status(tmp_path)
    assert status["state"] == "stopped" and "no sign of life from" in status["reason"]
    monkeypatch.setattr(holding, "STALE_S", 60.0)
    elsewhere(time.time())
    assert state_of(tmp_path) == "running"


@pytest.mark.parametrize(
    "text", ["[]", "{", "[" * 100_000, '{"state": "running"}', '"x"', '{"holder": null}'], ids=len
)
def test_a_damaged_status_is_no_status(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) == {} and state_of(tmp_path) == "new"
    refuse_if_held(tmp_path)
    with hold(tmp_path):
        assert state_of(tmp_path) == "running"


def test_who_was_taken_over_notices_and_writes_no_more(tmp_path):
    first = holding.Hold(tmp_path)
    first.take()
    (tmp_path / "status.json").unlink()  # as if its heart had stood still
    second = holding.Hold(tmp_path)
    second.take()
    first._beat()
    with pytest.raises(RuntimeError, match="another process trains in this folder now"):
        first.check()
    first.release("finished")
    assert read_status(tmp_path)["holder"]["token"] == second.me["token"]
    second.check()
    second.release("finished")


def test_the_heart_beats_and_the_wish_to_stop_arrives(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "BEAT_S", 0.02)
    with hold(tmp_path) as held:
        beat = read_status(tmp_path)["beat"]
        holding.ask_to_stop(tmp_path)
        until = time.monotonic() + 20
        while not held.stop_wanted or read_status(tmp_path)["beat"] == beat:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert sorted(os.listdir(tmp_path)) == ["status.json"]


def test_an_old_wish_to_stop_does_not_stop_a_new_run(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "BEAT_S", 0.02)
    holding.ask_to_stop(tmp_path)
    with hold(tmp_path) as held:
        time.sleep(0.1)
        assert not held.stop_wanted


def test_only_one_of_many_gets_the_folder(tmp_path):
    script = """
import sys
from pathlib import Path
from medkit.runs.holding import hold
print("ready", flush=True)
sys.stdin.readline()
try:
    with hold(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except RuntimeError:
    print("refused", flush=True)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    processes = [subprocess.Popen(command, **pipes) for _ in range(5)]
    assert [process.stdout.readline() for process in processes] == 5 * ["ready\n"]
    for process in processes:  # all at once
        process.stdin.write("go\n")
    told = [process.stdout.readline() for process in processes]
    assert sorted(told) == ["held\n"] + 4 * ["refused\n"]
    for process in processes:
        process.communicate()
        assert process.returncode == 0


def test_a_wish_that_a_signal_leaves_is_not_forgotten(tmp_path, monkeypatch):
    """The handler sets it while the heartbeat looks for the file."""
    with hold(tmp_path) as held:
        whole = Path.exists

        def exists(path):
            held.stop_wanted = held.stop_wanted or path.name == "stop"  # as the handler does
            return whole(path)

        monkeypatch.setattr(Path, "exists", exists)
        held._beat()
        assert held.stop_wanted
        monkeypatch.undo()


@pytest.mark.parametrize("moment", ["taken", "released"])
def test_an_interrupt_of_taking_or_releasing_leaves_the_folder_free(tmp_path, monkeypatch, moment):
    start = threading.Thread.start

    def started(self):
        start(self)
        raise KeyboardInterrupt

    def interrupt(self):
        raise KeyboardInterrupt

    held = Hold(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        if moment == "released":
            held.take()
            patched.setattr(threading.Thread, "join", interrupt)
            held.release("finished")
        patched.setattr(threading.Thread, "start", started)
        held.take()
    held._thread.join(60)
    assert not held._thread.is_alive() and state_of(tmp_path) == "stale"
    with hold(tmp_path):
        pass
