"""Pictures and lines of drawn contests on the disk, and the settings that all of them check."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Any, Iterable

import cv2
import numpy as np

from medkit import files


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, as PNG or JPEG by the file's ending."""
    _, payload = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    files.write_whole(path, payload.tobytes())


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a table's lines, each with its end."""
    files.write_whole(path, "".join(f"{line}\n" for line in lines))


def check(where: str, wanted: str, is_good: bool, **setting: Any) -> None:
    """Refuse a setting by its name; `where` is the function that was given it."""
    for name, value in setting.items():
        if not is_good:
            raise ValueError(f"{where}: {name} {value!r} (expected {wanted}).")


def check_counts(where: str, **counts: Any) -> None:
    """Refuse what is no count, by its name."""
    for name, count in counts.items():
        check(where, "a count, 0 or more", _is_whole(count, 0), **{name: count})


def check_size(where: str, size: Any, *, sides: int) -> None:
    """Refuse what is not the size of a picture: one number of pixels, or width and height."""
    wanted = "width and height in pixels" if sides == 2 else "pixels"
    check(where, f"{wanted}, from 16", is_size(size, sides, least=16), size=size)


def is_size(size: Any, sides: int, *, least: int) -> bool:
    """Whether it is one whole number, or a pair of them, none below `least`."""
    numbers = [size] if sides == 1 else size if isinstance(size, (tuple, list)) else []
    return len(numbers) == sides and all(_is_whole(number, least) for number in numbers)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and value >= least
