from __future__ import annotations

import pytest

from medkit.machine import gpu_users, parse_users
from medkit.training import neighbours
from medkit.training.neighbours import (
    wait_for_room,
)

LINES = """\
GPU-1a2b, 4211, /opt/conda/bin/python, 20480
GPU-1a2b, 977, python train.py --size 3,4, 100
GPU-1a2b, 12, "python, again", [N/A]
"""


def test_the_drivers_lines_are_read():
    first, last = parse_users(LINES)
    assert first == {
        "gpu": "GPU-1a2b",
        "pid": 4211,
        "name": "/opt/conda/bin/python",
        "memory_bytes": 20480 * 2**20,
    }
    assert last["name"] == "python, again" and last["memory_bytes"] is None
    assert parse_users("No running processes found\n") == []


@pytest.mark.parametrize(
    ("script", "found"), [(f"echo '{LINES}'", 2), ("exit 9", None), ("", 0)], ids=str
)
def test_a_driver_may_tell_fail_or_show_nobody(tmp_path, monkeypatch, script, found):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    users = gpu_users()
    assert users == found if found is None else len(users) == found


def test_no_driver_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_users() is None


def test_waiting_ends_when_there_is_room(monkeypatch):
    monkeypatch.setattr(neighbours, "LOOK_EVERY_S", 0.0)
    free, told = iter([1e9, 1e9, 2e9, 5e9, 5e9]), []
    wait_for_room(4e9, lambda: (next(free), 8e9), limit_s=60, log=told.append, users=lambda: None)
    assert told == [
        "waiting up to 60 s for 4.0 GB of GPU memory (1.0 GB are free; "
        "the driver does not tell who is there)",
        "there is room now",
    ]


def test_nobody_waits_where_there_is_room():
    def users():
        raise AssertionError("asked the driver for nothing")

    wait_for_room(1e9, lambda: (2e9, 8e9), limit_s=0, log=pytest.fail, users=users)


def test_waiting_gives_up_and_says_who_is_there():
    words = r"1\.0 GB of GPU memory are free after 0 s \(expected 4\.0 GB; /opt/conda/bin/python "
    words += r"\(4211\) 21\.5 GB, python, again \(12\) \?\)\. Wait longer with wait_s"
    with pytest.raises(RuntimeError, match=words):
        wait_for_room(
            4e9, lambda: (1e9, 8e9), limit_s=0, log=print, users=lambda: parse_users(LINES)
        )


def test_nobody_waits_for_what_the_gpu_never_has():
    with pytest.raises(
        RuntimeError, match=r"about 9\.0 GB .* the GPU has 8\.0 GB\. Take checkpointing=True"
    ):
        wait_for_room(9e9, lambda: (8e9, 8e9), limit_s=600, log=pytest.fail, users=pytest.fail)
