"""What a disk, a kill and a power cut can do to the state of a run: never lose it.

No call is named in advance: those of a real save are recorded, and each of them is made to fail.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from medkit import files
from medkit.runs import tensor_files
from medkit.runs.tensor_files import load_newest, previous, save_generation

SEEN = ("fdopen", "fsync", "replace", "open", "close", "unlink")
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
ADVICE = "disk is full|quota is used up|disk is read-only|may not write here|Input/output error"


class Watched:
    """Notes each call to the disk that medkit.files makes, and may end some badly."""

    def __init__(self):
        self.calls, self.wrong, self.torn = [], {}, None

    def install(self, monkeypatch):
        homes = [(files.os, name) for name in SEEN]
        for home, name in [*homes, (files.Path, "mkdir")]:
            monkeypatch.setattr(home, name, self._watch(name, getattr(home, name)))
        return self

    def _watch(self, name, real):
        def call(*args, **options):
            if name == "fdopen":
                return _File(real(*args, **options), self)
            self.note(self._label(name, args))
            return real(*args, **options)

        return call

    def note(self, label):
        number = len(self.calls)
        self.calls.append(label)
        if number in self.wrong:
            raise self.wrong[number]

    def _label(self, name, args):
        if name == "fsync":
            is_folder = stat.S_ISDIR(os.fstat(args[0]).st_mode)
            return "fsync folder" if is_folder else "fsync file"
        if name == "replace":
            return f"replace {_short(args[0])} {_short(args[1])}"
        return name


class _File:
    """A file that notes its writes; a torn one writes half of what it is given."""

    def __init__(self, file, watched):
        self.file, self.watched = file, watched

    def write(self, data):
        number = len(self.watched.calls)
        if number == self.watched.torn:
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            self.watched.calls.append("write")
            raise OSError(errno.ENOSPC, "No space left on device")
        self.watched.note("write")
        return self.file.write(data)

    def flush(self):
        self.watched.note("flush")
        self.file.flush()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *what):
        return self.file.__exit__(*what)


def _short(path):
    name = os.path.basename(path)
    return "temporary" if name.startswith(".") else name


def tensors(number):
    return {"w": torch.full((40,), float(number)), "b": torch.arange(3) + number}


def epoch_of(path):
    """The number of the state that would be gone on from; its tensors are its own."""
    found, facts, _ = load_newest(path)
    assert torch.equal(found["w"], tensors(facts["epoch"])["w"])
    return facts["epoch"]


@pytest.fixture
def saved(tmp_path):
    """A folder with two generations: 0, and 1 the newer."""
    path = tmp_path / "실행" / "last.safetensors"
    for number in (0, 1):
        save_generation(path, tensors(number), {"epoch": number})
    return path


def record(saved, monkeypatch):
    """The calls of one save."""
    with monkeypatch.context() as patched:
        watched = Watched().install(patched)
        save_generation(saved, tensors(2), {"epoch": 2})
    return watched.calls


def test_a_state_is_on_the_disk_before_it_has_its_name(saved, monkeypatch):
    calls = record(saved, monkeypatch)
    wanted = ["mkdir", "write", "write", "write", "flush", "fsync file"]
    wanted += ["replace last.safetensors last.previous.safetensors"]
    wanted += ["replace temporary last.safetensors", "fsync folder"]
    assert [call for call in calls if call not in ("open", "close")] == wanted
    assert sorted(os.listdir(saved.parent)) == ["last.previous.safetensors", "last.safetensors"]


@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_no_error_of_the_disk_loses_a_state(saved, monkeypatch, number, stays):
    """Each call of a save fails, alone or with all after it: a clear error, and a whole state."""
    count = len(record(saved, monkeypatch))
    for call in range(count):
        for k in (0, 1):
            save_generation(saved, tensors(k), {"epoch": k})
        with monkeypatch.context() as patched:
            watched = Watched().install(patched)
            for wrong in range(call, count + 9 if stays else call + 1):
                watched.wrong[wrong] = OSError(number, os.strerror(number))
            with pytest.raises(OSError, match=rf"last\.safetensors: not written, .*({ADVICE})"):
                save_generation(saved, tensors(2), {"epoch": 2})
        assert epoch_of(saved) in (1, 2), watched.calls
        if "replace temporary last.safetensors" not in watched.calls[:call]:
            assert epoch_of(saved) == 1
        if stays:
            files.clear_leftovers(saved)
        assert not list(saved.parent.glob(".*")), "a temporary file was left behind"
        save_generation(saved, tensors(3), {"epoch": 3})  # and it goes on when the disk is well
        assert epoch_of(saved) == 3


def test_an_interrupt_at_any_call_loses_nothing(saved, monkeypatch):
    """The stop button of a notebook, which no `except OSError` sees."""
    for call in range(len(record(saved, monkeypatch))):
        save_generation(saved, tensors(1), {"epoch": 1})
        with monkeypatch.context() as patched:
            watched = Watched().install(patched)
            watched.wrong[call] = KeyboardInterrupt()
            with pytest.raises(KeyboardInterrupt):
                save_generation(saved, tensors(2), {"epoch": 2})
        is_in_place = "replace temporary last.safetensors" in watched.calls[:call]
        assert epoch_of(saved) == 1 + is_in_place and not list(saved.parent.glob(".*"))


def test_a_write_that_stops_half_way_loses_nothing(saved, monkeypatch):
    calls = record(saved, monkeypatch)
    for call in [k for k, name in enumerate(calls) if name == "write"]:
        with monkeypatch.context() as patched:
            watched = Watched().install(patched)
            watched.torn = call
            with pytest.raises(OSError, match="the disk is full; free some space"):
                save_generation(saved, tensors(3), {"epoch": 3})
        assert epoch_of(saved) == 2 and not list(saved.parent.glob(".*"))


def test_a_kill_between_any_two_calls_loses_nothing(tmp_path):
    """A real SIGKILL, before each call of a save; what it leaves is cleared by the next process."""
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        import pytest
        from test_faults import Watched, tensors
        from medkit.runs.tensor_files import save_generation
        for call in range(40):
            pid = os.fork()
            path = Path(sys.argv[1]) / str(call) / "last.safetensors"
            if pid == 0:
                for k in (0, 1):
                    save_generation(path, tensors(k), {{"epoch": k}})
                watched = Watched().install(pytest.MonkeyPatch())
                real = watched.note
                def note(label):
                    if len(watched.calls) == call:
                        os.kill(os.getpid(), signal.SIGKILL)
                    real(label)
                watched.note = note
                save_generation(path, tensors(2), {{"epoch": 2}})
                os._exit(0)
            if os.waitpid(pid, 0)[1] == 0:
                print(call)
                break
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count >= 8
    for call in range(count):
        path = tmp_path / str(call) / "last.safetensors"
        assert epoch_of(path) in (1, 2)
        files.clear_leftovers(path)
        save_generation(path, tensors(3), {"epoch": 3})
        assert epoch_of(path) == 3
        names = {"last.safetensors", "last.previous.safetensors"}
        assert {name for name in os.listdir(path.parent) if "damaged" not in name} == names


# a power cut: what was not fsynced may be gone


def history_of(saved, monkeypatch, first, last):
    """What a restart and some saves did to the folder, in order: ("rename", from, to) and so on."""
    effects, real_replace, real_fsync = [], os.replace, os.fsync

    def replace(source, target):
        effects.append(("rename", os.path.basename(source), os.path.basename(target)))
        real_replace(source, target)

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            effects.append(("sync folder",))
        else:
            name = os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))
            effects.append(("sync file", name, Path(saved.parent, name).read_bytes()))
        real_fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", replace)
        patched.setattr(files.os, "fsync", fsync)
        load_newest(saved)
        for number in range(first, last):
            save_generation(saved, tensors(number), {"epoch": number})
            effects.append(("returned", number))
    return effects


def after_a_cut(start, effects):
    """Every folder that a power cut after these effects may leave.

    Renames reach the disk in order, but how many of those since the folder's last fsync is open;
    a file that was not fsynced is there empty, or not at all.
    """
    synced = max((k for k, effect in enumerate(effects) if effect[0] == "sync folder"), default=-1)
    renames = [effect for effect in effects[: synced + 1] if effect[0] == "rename"]
    later = [effect for effect in effects[synced + 1 :] if effect[0] == "rename"]
    contents = {effect[1]: effect[2] for effect in effects if effect[0] == "sync file"}
    for count in range(len(later) + 1):
        folder = dict(start)
        for _, source, target in [*renames, *later[:count]]:
            moved = folder.pop(source) if source in folder else contents.get(source, b"")
            folder[target] = moved
        yield folder


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_power_cut_after_any_call_loses_no_state_that_was_saved(
    saved, tmp_path, monkeypatch, is_damaged
):
    """Also when the newest state is damaged at first, so that only the one before it is left."""
    if is_damaged:
        saved.write_bytes(saved.read_bytes()[:-1])
    start = {path.name: path.read_bytes() for path in saved.parent.iterdir()}
    effects = history_of(saved, monkeypatch, 2, 6)
    assert [effect[0] for effect in effects].count("sync file") == 4
    tried = 0
    for cut in range(len(effects) + 1):
        returned = [effect[1] for effect in effects[:cut] if effect[0] == "returned"]
        for folder in after_a_cut(start, effects[:cut]):
            shutil.rmtree(tmp_path / "cut", ignore_errors=True)
            (tmp_path / "cut").mkdir()
            for name, data in folder.items():
                (tmp_path / "cut" / name).write_bytes(data)
            assert epoch_of(tmp_path / "cut" / saved.name) >= max(
                returned, default=0 if is_damaged else 1
            )
            tried += 1
    assert tried > len(effects)


def test_a_save_without_fsync_would_be_noticed(saved, tmp_path, monkeypatch):
    """The replay is able to fail: without the file's fsync a cut leaves an empty newest state."""
    start = {path.name: path.read_bytes() for path in saved.parent.iterdir()}
    effects = [e for e in history_of(saved, monkeypatch, 2, 3) if e[0] != "sync file"]
    (folder,) = after_a_cut(start, effects)
    assert folder["last.safetensors"] == b""


def test_a_damaged_newest_state_never_pushes_out_the_good_one(saved):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(bytes(data))
    found, facts, notes = load_newest(saved)
    assert facts["epoch"] == 0 and "its tensors or facts are not those" in notes[0]
    assert not saved.exists() and previous(saved).exists()
    assert (saved.parent / "last.damaged.safetensors").read_bytes() == bytes(data)
    assert notes[1] == "the damaged state is now last.damaged.safetensors"
    save_generation(saved, tensors(1), {"epoch": 1})
    assert epoch_of(previous(saved)) == 0 and epoch_of(saved) == 1


def test_a_damaged_state_in_a_folder_that_is_read_only_gives_a_clear_error(saved, monkeypatch):
    """Going on from the one before it would end in the same error at the first save."""
    saved.write_bytes(b"")
    with monkeypatch.context() as patched:
        watched = Watched().install(patched)
        watched.wrong = {k: OSError(errno.EROFS, os.strerror(errno.EROFS)) for k in range(9)}
        with pytest.raises(
            OSError, match=r"last\.damaged\.safetensors: not written, the disk is r"
        ):
            load_newest(saved)
    assert epoch_of(saved) == 0


def test_a_state_that_cannot_be_read_is_passed_over(saved, monkeypatch):
    real = tensor_files.safe_open

    def fail(path, **options):
        if path == str(saved):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, **options)

    monkeypatch.setattr(tensor_files, "safe_open", fail)
    found, facts, notes = load_newest(saved)
    assert facts["epoch"] == 0 and "Input/output error" in notes[0]


def test_a_disk_that_is_really_full_gives_a_clear_error(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        path = disk / "last.safetensors"
        for number in (0, 1):
            save_generation(path, tensors(number), {"epoch": number})
        large = {"w": torch.zeros(60_000)}
        with pytest.raises(OSError, match="the disk is full; free some space or choose another"):
            save_generation(path, large, {"epoch": 2})
        assert epoch_of(path) == 1 and len(os.listdir(disk)) == 2
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OSError, match="the disk is read-only; choose a folder that you may"):
            save_generation(path, tensors(2), {"epoch": 2})
        assert epoch_of(path) == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)
