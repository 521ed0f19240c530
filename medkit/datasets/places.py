"""Where a folder lies that a person named."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from medkit import files
from medkit.errors import ConfigError, MissingError

_told: set[str] = set()  # folders that were named to whoever looks


def find_folder(folder: Path | str, advice: str = "Check its name.") -> Path:
    """An existing folder; a relative one is looked for from here upwards, as far as the home.

    Outside the home only here and in the folder above, and a path that begins with ".." or "." is
    taken as it stands. Where it was found is printed, once, when that is not here.

    Args:
        advice: the end of the message when there is none.

    Raises:
        MissingError: naming the places, and what they hold instead.
        ConfigError: two of these places hold one.
    """
    if not str(folder).strip():
        raise ConfigError(f"an empty name of a folder. {advice}")
    asked = Path(folder).expanduser()
    is_searched = not asked.is_absolute() and str(folder)[:1] != "."
    here = Path(os.path.abspath(asked)).parent if asked.is_absolute() else Path.cwd()
    places = _upwards(here) if is_searched else [here]
    found = [place / asked for place in places if os.path.isdir(place / asked)]
    if len({os.path.realpath(path) for path in found}) > 1:
        raise ConfigError(
            f"{folder}: there are {len(found)} such folders ({', '.join(map(str, found))}). "
            "Write the one that is meant in full."
        )
    if not found:
        raise MissingError(_not_found(folder, asked, places, advice))
    path = Path(os.path.abspath(found[0]))
    if path.parent != (here / asked).parent and is_searched and str(path) not in _told:
        _told.add(str(path))
        print(f"{folder}: taken from {path}")
    return path


def _upwards(here: Path) -> list[Path]:
    """A folder and those above it as far as the home; outside the home it and the next."""
    home = Path(os.path.realpath(os.path.expanduser("~")))
    chain = [here, *here.parents]
    return chain[: chain.index(home) + 1] if home in chain else chain[:2]


def _not_found(folder: Path | str, asked: Path, places: list[Path], advice: str) -> str:
    """What there is instead, and the name that was perhaps meant."""
    roots = [Path(os.path.abspath(place / asked)).parent for place in places]
    there = [child for root in roots for child in _folders(root)]
    near = difflib.get_close_matches(asked.name.lower(), [p.name.lower() for p in there], 3)
    meant = [p for p in there if p.name.lower() in near]
    meant += [
        p / asked.name for p in there if os.path.isdir(p / asked.name)
    ]  # one floor further down
    hint = f" Did you mean {' or '.join(repr(str(p)) for p in meant[:3])}?" if meant else ""
    where = "beside it" if asked.is_absolute() else f"in {roots[0]}"
    looked = f"{where}: {files.listing(roots[0])}"
    if len(places) > 1:
        looked += f"; above it as far as {roots[-1]}: {files.listing(roots[-1])}"
    return f"{folder}: no such folder ({looked}). {advice}{hint}"


def _folders(root: Path) -> list[Path]:
    try:
        return [p for p in sorted(root.iterdir()) if os.path.isdir(p) and p.name[:1] != "."]
    except OSError:  # it may be anyone's
        return []
