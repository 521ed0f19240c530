from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

import medkit as mk
from medkit.errors import Stopped
from medkit.runs.holding import read_status
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import following, launching, slots
from medkit.training.launching import Launch, command, read_command

SHORT = mk.Config(
    "caries", model="test_resnet", image_size=32, epochs=2, batch_size=16, augment="light", seed=2
)
LONG = mk.Config("caries", model="test_resnet", image_size=32, epochs=400, batch_size=16, seed=2)
QUICK = {"num_workers": 0, "device": "cpu"}


def result(run):
    files = [(run.path / name).read_bytes() for name in ("history.csv", "predictions.csv")]
    return weights_hash(load_state(run.last)[0]), files


def wait_until(condition, limit_s=300):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_run_in_the_background_is_the_run_in_the_foreground(cases, tmp_path):
    run = mk.start(SHORT, cases, tmp_path / "뒤에서", **QUICK)
    wait_until(lambda: run.state != "running")
    assert run.state == "finished"
    here = mk.fit(SHORT, cases, tmp_path / "here", progress=False, **QUICK)
    assert result(run) == result(here)
    table = mk.list_runs(tmp_path)
    assert list(table["state"]) == ["finished", "finished"] and list(table["epoch"]) == [2, 2]
    assert table["best"].notna().all() and table["reason"].eq("").all()
    assert mk.start(SHORT, cases, tmp_path / "뒤에서", **QUICK).state == "finished"


def test_a_background_run_is_stopped_cleanly_and_goes_on(cases, tmp_path, monkeypatch):
    for name in ("MEDKIT_EMAIL", "MEDKIT_PASSWORD", "MEDKIT_CONTEST_PASSWORD"):
        monkeypatch.setenv(name, "s3cret-of-mine")
    run = mk.start(LONG, cases, tmp_path / "run", **QUICK)
    pid = read_status(run.path)["holder"]["pid"]
    with open(f"/proc/{pid}/environ", "rb") as file:
        assert b"s3cret-of-mine" not in file.read()
    assert run.state == "running" and run.state == mk.list_runs(tmp_path)["state"][0]
    with pytest.raises(RuntimeError, match=r"process \d+ on .* trains in this folder"):
        mk.start(LONG, cases, tmp_path / "run", **QUICK)
    with pytest.raises(RuntimeError, match=r"process \d+ on .* trains in this folder"):
        mk.fit(LONG, cases, tmp_path / "run", progress=False, **QUICK)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match=rf"process {pid} on .* has not stopped within 0 s"):
            mk.stop(run, wait_s=0)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert mk.stop(run) == "stopped"
    assert "its state is saved" in mk.list_runs(tmp_path)["reason"][0]
    facts = load_state(run.last)[1]
    assert facts["epoch"] + facts["step"] > 0
    again = mk.start(LONG, cases, tmp_path / "run", **QUICK)
    assert "going on from epoch" in (run.path / "log.txt").read_text()
    mk.stop(again)
    later = load_state(run.last)[1]
    assert (later["epoch"], later["step"]) > (facts["epoch"], facts["step"])
    assert mk.stop(str(run.path)) == "stopped"  # a second time does nothing


def test_a_run_outlives_its_notebook_and_dies_alone(cases, drawn, tmp_path):
    script = f"""
        import medkit as mk
        from medkit.tables import read_cases
        cases = read_cases({str(tmp_path / "cases.csv")!r}, {str(drawn)!r})
        run = mk.start(mk.Config(**{LONG.to_dict()!r}), cases, {str(tmp_path / "run")!r},
                       num_workers=1, device="cpu")
        print(run.state, flush=True)
        import time; time.sleep(60)
    """
    from medkit.tables import write_cases

    write_cases(cases, tmp_path / "cases.csv", drawn)
    kernel = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdout.readline() == "running\n"
    os.killpg(kernel.pid, signal.SIGKILL)  # the kernel and all that it did not let go
    kernel.wait()
    kernel.stdout.close()
    run = mk.Run(tmp_path / "run")
    beat = read_status(run.path)["beat"]
    wait_until(lambda: read_status(run.path)["beat"] > beat)
    assert run.state == "running"
    os.kill(read_status(run.path)["holder"]["pid"], signal.SIGKILL)
    wait_until(lambda: run.state == "stale")
    with pytest.raises(
        RuntimeError, match="the run failed. Its process died; .* last saved state.\n--- l"
    ):
        following.raise_if_failed(run)


def test_an_error_of_the_child_reaches_the_notebook(cases, tmp_path, monkeypatch):
    gone = cases.copy()
    gone.loc[gone["photo"] == gone["photo"].iloc[-1], "path"] += ".gone"
    with pytest.raises(RuntimeError) as caught:
        mk.start(SHORT, gone, tmp_path / "run", **QUICK)
    message = str(caught.value)
    assert "run: the run failed. MissingError: " in message
    assert "the picture is gone" in message and "--- output.txt" in message
    assert mk.list_runs(tmp_path)["state"][0] == "failed"
    assert "the picture is gone" in mk.list_runs(tmp_path)["reason"][0]


def test_what_is_wrong_with_the_settings_shows_before_a_process_is_started(cases, tmp_path):
    with pytest.raises(ValueError, match="no column 'fold'"):
        mk.start(SHORT, cases.drop(columns="fold"), tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_following_a_run_that_somebody_stops_says_so(cases, tmp_path):
    run = mk.start(LONG, cases, tmp_path / "run", **QUICK)
    following.ask_to_stop(run.path)
    with pytest.raises(Stopped, match="its state is saved. Call fit again"):
        following.bring_to_end(run, progress=False)


def test_the_command_of_torchrun(cases, drawn, tmp_path):
    from medkit.runs.folder import open_folder

    run = open_folder(tmp_path, mk.get_task("caries"), SHORT, cases, data=drawn, fold=0)
    until = slots.moment("2026-11-27 17:50+09:00")
    launch = Launch(num_workers=3, data=drawn, until=until)
    alone = command(run, launch)
    assert alone[1:4] == ["-m", "medkit.training", str(tmp_path)] and "--device" not in alone
    assert read_command(alone[3:]) == (tmp_path, replace(launch, data=str(drawn)))
    two = command(run, Launch(devices=2))
    assert two[1:4] == ["-m", "torch.distributed.run", "--nproc_per_node=2"]
    assert two[5].startswith("--rdzv_endpoint=127.0.0.1:") and two[6:8] == alone[1:3]
    given = command(run, Launch(), torchrun=("--nnodes=2", "--rdzv_endpoint=a:1"))
    assert given[4:6] == ["--nnodes=2", "--rdzv_endpoint=a:1"]


def test_a_process_that_dies_before_it_has_the_folder_is_a_failure(cases, tmp_path, monkeypatch):
    """Though the status, from an earlier call, says that the run was stopped."""
    run, whole = mk.start(LONG, cases, tmp_path / "run", **QUICK), launching.command
    assert mk.stop(run) == "stopped"

    def command(*parts, **options):
        return [*whole(*parts, **options), "--no-such-option"]

    monkeypatch.setattr(launching, "command", command)
    with pytest.raises(RuntimeError, match=r"(?s)the run failed. Its process died.*no-such-option"):
        mk.start(LONG, cases, tmp_path / "run", **QUICK)
    monkeypatch.undo()
    assert mk.stop(mk.start(LONG, cases, tmp_path / "run", **QUICK)) == "stopped"


def test_an_interrupt_asks_all_runs_before_it_waits_for_one(monkeypatch):
    asked, runs = [], [SimpleNamespace(path="a"), SimpleNamespace(path="b")]

    def stop(run):
        assert asked == ["a", "b"]
        raise TimeoutError(f"{run.path} has not stopped")

    monkeypatch.setattr(following, "_ask", lambda run: asked.append(run.path))
    monkeypatch.setattr(following, "stop", stop)
    with pytest.warns(UserWarning, match="[ab] has not stopped") as told:
        with pytest.raises(KeyboardInterrupt), following.ended_with_us(runs):
            raise KeyboardInterrupt
    assert len(told) == 2


def test_a_process_that_is_interrupted_is_stopped_and_not_failed(cases, tmp_path):
    run = mk.start(LONG, cases, tmp_path / "run", **QUICK)
    os.kill(read_status(run.path)["holder"]["pid"], signal.SIGINT)
    mk.watch(run, every_s=0.1)
    assert run.state == "stopped"
