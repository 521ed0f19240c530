from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from medkit import files


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "가.txt"
    files.write_whole(path, "이빨")
    assert path.read_bytes() == "이빨".encode() and os.listdir(path.parent) == ["가.txt"]
    files.write_whole(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "you may not write here"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, call, number, words):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(files.os, call, fail)
        with pytest.raises(OSError, match=rf"x\.txt: not written, {words}") as caught:
            files.write_whole(path, "new")
    assert caught.value.errno == number
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.txt"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def record(*args, name=name, real=real):
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else ""
            calls.append(name + kind)
            return real(*args)

        monkeypatch.setattr(files.os, name, record)
    files.write_whole(tmp_path / "x", b"1")
    assert calls == ["fsync", "replace", "fsyncfolder"]


def test_the_umask_holds_and_is_never_changed(tmp_path, monkeypatch):
    """It is the whole process's: while it is another, other threads make files with it."""
    before = os.umask(0o027)
    try:
        monkeypatch.delattr(files.os, "umask")
        files.write_whole(tmp_path / "x", "1")
        files.write_whole(tmp_path / "y", "1", mode=0o600)
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "xy"] == [0o640, 0o600]


def test_files_behind_links_are_found_and_a_ring_of_links_ends(tmp_path):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "deep" / "a.png").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.png").write_text("")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "data")
    found = [path.relative_to(tmp_path / "data") for path in files.walk(tmp_path / "data")]
    assert [str(path) for path in found] == ["b.png", "linked/deep/a.png"]


def test_only_what_a_killed_process_left_is_cleared(tmp_path):
    lost = [files.beside(tmp_path / "x.txt").name, ".x.txt.k3_x9zab"]  # and of an earlier version
    kept = ["x.txt", ".x.txt.local", ".x.txt.settings1", ".y.txt.ab12cd34"]
    for name in lost + kept:
        (tmp_path / name).write_text("1")
    files.clear_leftovers(tmp_path / "x.txt")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_what_is_large_is_written_piece_by_piece(tmp_path):
    path = tmp_path / "x"

    def pieces():
        yield b"ab"
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".x.")
        yield memoryview(b"cd")

    files.write_whole(path, pieces())
    assert path.read_bytes() == b"abcd" and os.listdir(tmp_path) == ["x"]


def test_lines_are_added_one_by_one(tmp_path):
    for line in ("하나", "둘\n"):
        files.append_line(tmp_path / "log.txt", line)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "하나\n둘\n"
    with pytest.raises(OSError, match="not written"):
        files.append_line(tmp_path, "x")


def test_json_is_readable_and_keeps_its_order(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": np.int64(1), "a": "가"})
    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": "가"\n}\n'
    files.write_json(tmp_path / "x.json", [np.float32(0.5), np.arange(2), np.bool_(True)])
    assert json.loads((tmp_path / "x.json").read_text()) == [0.5, [0, 1], True]
    with pytest.raises(TypeError, match="object.*cannot be written as JSON"):
        files.write_json(tmp_path / "x.json", object())


def test_hashes_are_sha_256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_file(tmp_path / "x") == wanted == files.sha256(b"abc")


def test_a_listing_is_short(tmp_path):
    assert files.listing(tmp_path) == "nothing"
    for k in range(10):
        (tmp_path / f"{k}.txt").write_text("")
    (tmp_path / "a").mkdir()
    assert files.listing(tmp_path, most=2) == "0.txt, 1.txt and 9 more"
    assert "a/" in files.listing(tmp_path, most=20)
    assert files.listing(tmp_path / "x").startswith("no folder")


@pytest.fixture
def twice(tmp_path):
    """Two handles of one folder: locks are of handles, also of two in one process."""
    handles = [os.open(tmp_path, os.O_RDONLY) for _ in range(2)]
    yield handles
    for handle in handles:
        with suppress(OSError):
            os.close(handle)


def test_a_lock_keeps_others_out_until_its_handle_is_closed(twice):
    first, second = twice
    assert files.lock(first)
    for wait_s in (0, 0.1):
        began = time.monotonic()
        with pytest.raises(BlockingIOError):
            files.lock(second, wait_s=wait_s)
        assert wait_s <= time.monotonic() - began < 5
    threading.Timer(0.2, os.close, [first]).start()
    assert files.lock(second) and files.lock(second, wait_s=0)


@pytest.mark.parametrize("number", [*files.NO_LOCKS, errno.EIO])
def test_a_disk_without_locks_is_told(twice, monkeypatch, number):
    def refused(*args):
        raise OSError(number, "refused")

    monkeypatch.setattr("fcntl.flock", refused)
    if number in files.NO_LOCKS:
        assert not files.lock(twice[0])
    else:
        with pytest.raises(OSError, match="refused"):
            files.lock(twice[0])


def test_without_fcntl_as_on_windows_nobody_is_kept_out(twice, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert files.lock(twice[0]) and files.lock(twice[1], wait_s=0)
