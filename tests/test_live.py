from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest

import medkit as mk
from medkit import progress
from medkit.runs.folder import open_folder
from medkit.runs.holding import Hold, Stopped, hold
from medkit.show import live

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
    return notebook


def write_history(run, epochs):
    rows = "".join(f"{k},0.001,{1 / k},{1.2 / k}\n" for k in range(1, epochs + 1))
    (run.path / "history.csv").write_text("epoch,lr,train_loss,valid_loss\n" + rows)


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

    monkeypatch.setattr(live, "time", SimpleNamespace(sleep=next_moment))
    held = Hold(run.path)
    held.take()
    assert live.watch(run, every_s=7).path == run.path
    assert steps == [7, 7, 7, 7]
    text, figure = notebook.outputs
    assert "줄 1\n" not in text.shown[-1].text and "줄 2\n줄 3" in text.shown[-1].text
    progress = "epoch 3/9  step 5/12  loss 0.5123  321 images/s  1:15 left  "
    progress += "GPU 21.0 of 51.0 GB (ours at most 9.0)"
    assert any(progress in shown.text for shown in text.shown)
    assert text.shown[-1].text.endswith(f"epoch 2/9  끝\n{run.path}: finished")
    assert len(figure.shown) == 2  # drawn when there is a new epoch, and not each time


def test_a_finished_run_is_shown_at_once_and_again(cases, tmp_path, notebook, monkeypatch):
    done = mk.fit(CONFIG, cases, tmp_path / "run", num_workers=0, device="cpu", progress=False)
    monkeypatch.setattr(live, "time", SimpleNamespace(sleep=pytest.fail))
    for _ in range(2):
        mk.watch(str(done.path))
    assert len(notebook.outputs) == 4
    assert "finished after 2 epochs" in notebook.outputs[2].shown[-1].text
    assert notebook.outputs[3].shown[0]._repr_png_()[:4] == b"\x89PNG"


def test_a_failed_run_is_raised_with_its_reason(run, capsys):
    (run.path / "log.txt").write_text("2026-01-01 00:00:00  the last words\n")
    with pytest.raises(ValueError):
        with hold(run.path):
            raise ValueError("no picture")
    with pytest.raises(RuntimeError, match="failed. ValueError: no picture\n--- log.txt\n.*last w"):
        live.watch(run)
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

    monkeypatch.setattr(live, "time", SimpleNamespace(sleep=interrupt))
    with hold(run.path):
        live.watch(run)
        assert run.state == "running"
    assert "it goes on without being watched. mk.watch(run)" in capsys.readouterr().out


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        live.watch(tmp_path / "nowhere")


def test_a_real_run_is_watched_until_its_end(cases, tmp_path, capsys):
    run = mk.start(CONFIG, cases, tmp_path / "run", num_workers=0, device="cpu")
    began = time.monotonic()
    mk.watch(run, every_s=0.1)
    assert time.monotonic() - began < 60
    out = capsys.readouterr().out
    assert "epoch 2/2" in out and out.endswith("run: finished\n")
