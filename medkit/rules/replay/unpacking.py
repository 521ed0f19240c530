"""A hand-in of somebody else: a folder or a zip, of which nothing reaches beyond its place."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Iterator

from medkit import files
from medkit.errors import DataError, MedkitError, MissingError

MOST_FILES = 20_000
MOST_BYTES = 8 * 10**9  # a few models of 300 MB, and a table of 8,700 masks
BLOCK = 1 << 20
OF_MACOS = "__MACOSX/"  # what Finder adds
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


@contextmanager
def opened(handin: Path, mark: str) -> Iterator[Path]:
    """The folder that holds `mark`; of a zip unpacked in a place that goes away afterwards.

    Args:
        mark: a file below it, such as "replay_dir/manifest.json".

    Raises:
        MissingError, DataError: there is none, a name leads out of the folder, the zip is damaged
            or holds too much.
    """
    if handin.is_dir():
        _check_links(handin)
        yield _root(handin, mark, handin)
    elif handin.is_file():
        with tempfile.TemporaryDirectory(prefix="medkit-handin-") as place:
            _unpack(handin, Path(place), mark)
            yield _root(Path(place), mark, handin)
    else:
        found = files.listing(handin.parent)
        raise MissingError(f"{handin}: no such folder or zip (found {found}).")


def _root(folder: Path, mark: str, handin: Path) -> Path:
    """The folder itself, or the only one in it: zips often have one around all."""
    inner = [path for path in folder.iterdir() if path.is_dir()]
    for root in [folder, *inner[: len(inner) == 1]]:
        if (root / mark).is_file():
            return root
    raise _lacks(handin, mark, files.listing(folder))


def _lacks(handin: Path, mark: str, found: str) -> MissingError:
    return MissingError(
        f"{handin}: no {mark} in it (found {found}), without which nothing can be trained again. "
        "Make the folder by mk.handin(..., run=run)."
    )


def _check_links(folder: Path) -> None:
    """Refuse a link that leads out: what it shows was not handed in."""
    place = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and place not in Path(os.path.realpath(path)).parents:
            raise DataError(
                f"{folder}: {path.relative_to(folder).as_posix()!r} is a link that leads out of "
                "the folder. Put the file itself in its place."
            )


def _unpack(archive: Path, place: Path, mark: str) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            entries = [entry for entry in entries if not entry.filename.startswith(OF_MACOS)]
            _check_entries(archive, entries)
            if not any(f"/{entry.filename}".endswith(f"/{mark}") for entry in entries):
                raise _lacks(archive, mark, ", ".join(entry.filename for entry in entries[:3]))
            for entry in entries:
                _extract(archive, packed, entry, place / entry.filename)
    except OSError as error:
        if error.errno in OF_THE_DISK:
            raise files.explain(error, place) from error
        words = f"{archive}: its entries cannot be unpacked ({error.strerror}). Pack it anew."
        raise DataError(words) from error
    except MedkitError:
        raise
    except Exception as error:  # each way of packing has errors of its own
        raise DataError(f"{archive}: not a whole zip ({error}). Pack it anew.") from error


def _check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or size > MOST_BYTES:
        raise DataError(
            f"{archive}: it holds {len(entries):,} files of {size / 1e9:,.1f} GB (expected at most "
            f"{MOST_FILES:,} and {MOST_BYTES / 1e9:.0f} GB). Nothing was unpacked; look at what "
            "it holds."
        )
    for entry in entries:
        path, mode = PurePosixPath(entry.filename), entry.external_attr >> 16
        is_out = path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1])
        if is_out or "\\" in entry.filename or stat.S_ISLNK(mode):
            raise DataError(
                f"{archive}: {entry.filename!r} leads out of the folder. Nothing was unpacked; "
                "have it packed anew by whoever made it."
            )


def _extract(archive: Path, packed: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path) -> None:
    """One file, and no more bytes of it than its entry tells."""
    to.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with packed.open(entry) as source, open(to, "xb") as target:
        for block in iter(lambda: source.read(BLOCK), b""):
            left -= len(block)
            if left < 0:
                raise DataError(
                    f"{archive}: {entry.filename!r} is larger than the zip says. Pack it anew."
                )
            target.write(block)
