"""Whole-or-nothing writes, hashes, append-only logs and locks.

A reader sees the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import math
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterable, Iterator

from medkit.errors import PlaceError

ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder, then run it again",
    errno.EDQUOT: "your disk quota is used up; free some space, then run it again",
    errno.EROFS: "the disk is read-only; choose a folder that you may write to",
    errno.EACCES: "you may not write here; choose a folder that you may write to",
    errno.EPERM: "you may not write here; choose a folder that you may write to",
    errno.ENOENT: "nothing can be made here; choose a folder that you may write to",
    errno.ENOTDIR: "a file is in the place of its folder; choose another folder",
    errno.EEXIST: "a file is in the place of its folder; choose another folder",
    errno.EISDIR: "a folder is in its place; choose another name",
}

LOCK_LOOK_S = 0.02  # whether another process has let go
NO_LOCKS = (  # what disks without locks say: of a folder, NFS the last of them
    errno.ENOLCK,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EBADF,
)


def explain(error: OSError, path: Path) -> PlaceError:
    """The error, saying which file, what happened and what to do next."""
    advice = ADVICE.get(error.errno, error.strerror or str(error))
    return PlaceError(error.errno, f"{path}: not written, {advice}", str(path))


def write_whole(
    path: Path, data: bytes | str | Iterable[bytes], *, mode: int = 0o644, keep: Path | None = None
) -> None:
    """Write `data` so that `path` holds all of it or what it held before.

    Args:
        data: bytes, text, or what is too large for the memory piece by piece.
        mode: permission bits of the new file, before the umask; 0o600 for what is private.
        keep: where the old file goes, in the same folder. Between two renames only `keep` is there.

    Raises:
        PlaceError: with the file's name and a next step; the file at `path` is then untouched.
    """
    path = Path(path)
    data = data.encode("utf-8") if isinstance(data, str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = beside(path)
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        temporary = name
        with os.fdopen(handle, "wb") as file:
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # the disk's first error is the one to tell
                os.unlink(temporary)


def make_folder(folder: Path | str) -> Path:
    """A folder, made with what lacks above it where it is not there.

    Raises:
        PlaceError: it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error
    return folder


def make_private(folder: Path) -> None:
    """Make a folder, and what lacks above it, for this user alone, whatever the umask."""
    folder = Path(folder)
    for place in [*reversed(folder.parents), folder]:
        try:
            place.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            if not place.is_dir():  # an existing one may be refused, too: read-only disks
                raise explain(error, folder) from error


def beside(path: Path) -> Path:
    """A name that nobody has, in the same folder: what is built there is renamed to `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left of a file; only for who knows that nobody writes it."""
    for temporary in Path(path).parent.glob(f".{glob.escape(Path(path).name)}.{8 * '[a-z0-9_]'}"):
        temporary.unlink()


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write `value` as JSON that a person can read, whole or not at all; arrays as lists."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=plain)
    write_whole(path, text + "\n", mode=mode)


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as the plain ones that they are; for `json.dumps(default=...)`.

    Raises:
        WrongType: for what JSON does not know.
    """
    if not hasattr(value, "tolist"):
        raise TypeError(f"{value!r}: {type(value).__name__} cannot be written as JSON.")
    return value.tolist()


def append_line(path: Path, line: str, *, mode: int = 0o644) -> None:
    """Add one line at the end of a log, on the disk before this returns."""
    path = Path(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
        with os.fdopen(handle, "ab") as file:
            file.write(line.rstrip("\n").encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(error, path) from error


def lock(handle: int, *, wait_s: float = math.inf) -> bool:
    """Hold an open file or folder for this process alone, until the handle is closed.

    Args:
        wait_s: for another process that holds it; 0 for not at all.

    Returns:
        Whether others are kept out: False where the disk has no locks. On Windows, where Python
        has none like these, nobody is.

    Raises:
        BlockingIOError: another process held it for so long.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOCK_LOOK_S)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot
            raise
    finally:
        os.close(handle)


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, also behind links, in the order of their paths.

    `Path.rglob` follows links to folders or does not, by the version of Python. A folder to which
    two ways lead is walked once.
    """
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above itself has no end
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in names]
    yield from sorted(found)


def listing(folder: Path, most: int = 8) -> str:
    """The first names in a folder, for messages; hidden ones (".cache") are left out."""
    folder = Path(folder)
    if not os.path.isdir(folder):
        return f"no folder {str(folder)!r}"
    try:
        names = sorted(name + "/" * os.path.isdir(folder / name) for name in os.listdir(folder))
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"
    names = [name for name in names if not name.startswith(".")]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "nothing"
