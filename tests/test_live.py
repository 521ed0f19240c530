from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest

import medkit as mk
from medkit import files, progress
from medkit.errors import Stopped
from medkit.runs.folder import open_folder
from medkit.runs.holding import Hold, hold, read_status
from medkit.show import live
from medkit.training import following, launching

CONFIG = mk.Config(
    "caries", model="test_resnet", image_size=32, epochs=2, batch_size=16, augment="light"
)
FACTS = {
    "epoch": 3,
    "epochs": 9,
    "step": 5,
    "steps": 12,
    "loss": 0.51234,
    "images_per_s": 321.4,
    "left_s": 75,
    "micro_batch": 8,
}


@pytest.fixture
def run(cases, drawn, tmp_path):
    """A run folder in which nothing was trained yet."""
    task = mk.get_task("caries")
    return open_folder(tmp_path / "충치", task, CONFIG, cases, data=drawn, fold=0)


class Notebook:
    """Stands for a notebook's outputs: what each shows now."""

    def __init__(self):
        self.outputs = []

    def display(self, first):
        output = SimpleNamespace(shown=[first])
        output.update = output.shown.append
        self.outputs.append(output)
        return output


@pytest.fixture
def notebook(monkeypatch):
    notebook = Notebook()
    for module in (progress, live):
        monkeypatch.setattr(module, "new_output", notebook.display)
    monkeypatch.setattr(live, "kernel", object)
    return notebook


def clocks(sleep):
    """The module `time`, of which one function is another."""
    return SimpleNamespace(sleep=sleep, time=time.time, monotonic=time.monotonic)


def write_history(run, epochs):
    rows = "".join(f"{k},0.001,{1 / k},{1.2 / k}\n" for k in range(1, epochs + 1))
    (run.path / "history.csv").write_text("epoch,lr,train_loss,valid_loss\n" + rows)


def _height(text):
    return len(text.splitlines())


def test_a_run_is_watched_from_its_first_step_to_its_end(run, notebook, monkeypatch):
    log = run.path / "log.txt"
    log.write_text("".join(f"2026-01-01 00:00:0{k}  줄 {k}\n" for k in range(10)))
    steps = []

    def next_moment(seconds):
        steps.append(seconds)
        if len(steps) == 1:
            write_history(run, 1)
        elif len(steps) == 2:
            held.facts.update(FACTS, gpu_free=30e9, gpu_total=51e9, gpu_peak_own=9e9)
            held._beat()
        elif len(steps) == 4:
            write_history(run, 2)
            log.write_text(log.read_text() + "2026-01-01 00:00:11  epoch 2/9  끝\n")
            held.release("finished")

    monkeypatch.setattr(following, "time", clocks(next_moment))
    clock = SimpleNamespace(monotonic=lambda: 100.0 + len(steps))
    monkeypatch.setattr(progress, "time", clock)
    held = Hold(run.path)
    held.take()
    live.watch(run, every_s=7)
    assert steps == [7, 7, 7, 7]
    text, figure = notebook.outputs
    texts = text.shown
    assert texts[9].endswith("\n줄 8\n줄 9\nrunning, before its first step")
    assert not any("줄 1\n" in shown for shown in texts) and max(map(_height, texts)) == 9
    line = (
        "[#####...............]  27 %  epoch 3/9  step 5/12  loss 0.5123  321 images/s  1:15 left  "
    )
    line += "8 of 16 images at once  GPU 21.0 of 51.0 GB (ours at most 9.0)"
    assert any(line in shown for shown in texts)
    assert texts[-1].endswith(f"epoch 2/9  끝\n{run.path}: finished")
    assert len(figure.shown) == 2  # drawn when there is a new epoch, and not each time


def test_a_finished_run_is_shown_at_once_and_again(run, notebook, monkeypatch):
    with hold(run.path):
        write_history(run, 2)
        (run.path / "log.txt").write_text("2026-01-01 00:00:00  finished after 2 epochs\n")
    monkeypatch.setattr(following, "time", clocks(pytest.fail))
    for _ in range(2):
        mk.watch(str(run.path))
    assert len(notebook.outputs) == 4
    assert "finished after 2 epochs" in notebook.outputs[2].shown[-1]
    assert notebook.outputs[3].shown[0]._repr_png_()[:4] == b"\x89PNG"


def test_a_failed_run_is_raised_with_its_reason(run, capsys):
    (run.path / "log.txt").write_text("2026-01-01 00:00:00  the last words\n")
    with pytest.raises(ValueError):
        with hold(run.path):
            raise ValueError("no picture")
    words = "failed. ValueError: no picture\n--- log.txt\n.*last w"
    with pytest.raises(RuntimeError, match=words) as caught:
        live.watch(run)
    in_a_notebook = caught.value._render_traceback_()
    assert in_a_notebook == [f"RunError: {caught.value}"]
    assert "the last words" in capsys.readouterr().out


def test_a_stopped_run_is_no_error(run, capsys):
    with pytest.raises(Stopped):
        with hold(run.path):
            raise Stopped("by me")
    live.watch(run)
    assert re.search(r"충치: stopped\n$", capsys.readouterr().out)


def test_an_interrupt_ends_the_watching_alone(run, capsys, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "time", clocks(interrupt))
    with hold(run.path):
        live.watch(run)
        assert run.state == "running"
    assert "it goes on without being watched. mk.watch(run)" in capsys.readouterr().out


def test_a_dead_process_is_told_with_a_next_step(run, capsys):
    held = Hold(run.path)
    held.take()
    held._over.set()
    status = {**read_status(run.path), "holder": {**held.me, "started": 1}}
    files.write_json(run.path / "status.json", status)
    with pytest.raises(RuntimeError, match="Its process died; call mk.start again and it goes on"):
        live.watch(run)
    assert capsys.readouterr().out.endswith("충치: stale\n")


def test_a_run_that_another_notebook_just_started_is_waited_for(run, capsys, monkeypatch):
    def begin(seconds):
        with hold(run.path):
            held.append(run.state)

    held = []
    live.watch(run)
    assert "충치: never started. mk.start(config, cases, folder)" in capsys.readouterr().out
    (run.path / "output.txt").touch()
    monkeypatch.setattr(following, "time", clocks(begin))
    live.watch(run)
    assert held == ["running"] and capsys.readouterr().out.endswith("충치: finished\n")


def test_a_run_that_another_notebook_started_again_is_followed(run, monkeypatch):
    over = launching.Child(SimpleNamespace(poll=lambda: 0), "")  # long ended
    monkeypatch.setitem(launching._children, str(run.path.resolve()), over)
    with hold(run.path):
        assert following.is_going(run)
    assert not following.is_going(run)


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        live.watch(tmp_path / "nowhere")


def test_a_real_run_is_watched_until_its_end(cases, tmp_path, capsys):
    run = mk.start(CONFIG, cases, tmp_path / "run", num_workers=0, device="cpu")
    began = time.monotonic()
    mk.watch(run, every_s=0.1)
    assert time.monotonic() - began < 600
    out = capsys.readouterr().out
    assert "epoch 2/2" in out and out.endswith("run: finished\n")
