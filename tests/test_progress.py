from __future__ import annotations

import sys
import types

import pytest

from medkit import progress
from medkit.progress import Status, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves by hand."""
    now = types.SimpleNamespace(s=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.s)
    return now


@pytest.fixture
def notebook(monkeypatch):
    """A notebook's display: what the one output holds."""
    shown = []

    class Handle:
        def __init__(self, first):
            shown.append(repr(first))

        def update(self, text):
            shown.append(repr(text))

    monkeypatch.setattr(progress, "new_output", Handle)
    return shown


def test_short_work_says_nothing(capsys, clock):
    assert list(track([1, 2, 3], "reading")) == [1, 2, 3]
    assert capsys.readouterr().out == ""


def test_long_work_says_how_much_is_left_and_how_long_it_took(capsys, clock):
    for _ in track(range(4), "reading"):
        clock.s += 40
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "reading: 1 of 4, 2:00 left" and out[-1] == "reading: 4 in 2:40"


def test_a_log_file_gets_few_lines(capsys, clock):
    status = Status(quiet_s=30)
    for step in range(100):
        clock.s += 1
        status.update(f"step {step}")
    status.line("done")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[-1] == "done"


def test_a_line_that_was_just_shown_is_not_told_twice(capsys, clock):
    status = Status(quiet_s=30)
    for text in ("epoch 1", "epoch 2"):
        clock.s += 40
        status.update(text)
        status.line(text)
    status.line("epoch 2")
    assert capsys.readouterr().out.splitlines() == ["epoch 1", "epoch 2", "epoch 2"]


def test_a_notebook_keeps_one_output_that_ends_with_the_result(notebook, clock, capsys):
    status = Status()
    status.line("epoch 1")
    clock.s += 1
    status.update("epoch 2, step 3")
    assert notebook[-1] == "epoch 1\nepoch 2, step 3"
    status.line("epoch 2")
    assert notebook[-1] == "epoch 1\nepoch 2" and capsys.readouterr().out == ""


def test_a_notebook_can_keep_the_newest_lines_alone(notebook, clock):
    status = Status(keep=2)
    for word in ("a", "b", "c"):
        status.line(word)
    clock.s += 1
    status.update("d")
    assert notebook[-1] == "b\nc\nd"


def test_a_terminal_is_rewritten_in_place(capsys, clock, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "5")
    status = Status()
    status.update("half, and wider than the terminal")
    status.line("done")
    assert capsys.readouterr().out == "\r\x1b[Khalf\r\x1b[Kdone\n"


def test_it_can_be_silent(capsys, clock):
    for _ in track(range(3), "x", enabled=False):
        clock.s += 50
    status = Status(enabled=False)
    status.line("a"), status.update("b")
    assert capsys.readouterr().out == ""


def test_outside_a_kernel_there_is_no_display():
    assert progress.new_output("x") is None
