"""Any image file as an array: (H, W, 3) uint8 RGB, turned as its EXIF tag says.

Pillow decodes, since it names a truncated file where OpenCV hands out a half-grey picture.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from medkit.errors import DataError, MissingError

TURNS = {  # EXIF orientation: what brings the picture upright (EXIF 2.32, tag 0x0112)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}  # what the last bytes of a whole file hold
TAIL = 65536  # bytes read from the end; cameras may append a preview behind the picture


def read_image(path: Path | str, *, min_size: float | None = None) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB; grey is repeated, 16 bit is scaled, transparency dropped.

    Args:
        min_size: allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as its
            shorter side keeps this many pixels. That is 3 to 10 times faster.

    Raises:
        MissingError, DataError: naming the file.
    """
    with _opened(path) as image, _named(path):
        if min_size is not None and image.format == "JPEG":
            shrink = max(1.0, min(image.size) / max(1.0, min_size))
            if image.mode in ("RGB", "L", "YCbCr"):
                image.draft(image.mode, (int(image.width / shrink), int(image.height / shrink)))
        image.load()
        turn = TURNS.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
        if upright.mode[0] in "IF":  # 16 or 32 bit grey
            grey = _to_8_bit(np.asarray(upright))
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))


def probe(path: Path | str) -> tuple[int, int]:
    """Width and height in pixels, EXIF turn applied, without decoding.

    Raises:
        MissingError, DataError: naming the file; a cut-off JPEG or PNG is noticed too.
    """
    with _opened(path) as image, _named(path):
        end = ENDS.get(image.format or "")
        if end is not None and end not in _tail(path):
            raise DataError(f"{path}: the picture is cut off (a {image.format} without its end).")
        return _upright_size(image)


def size(path: Path | str) -> tuple[int, int]:
    """Width and height in pixels, EXIF turn applied, from the first bytes alone.

    Raises:
        MissingError, DataError: naming the file.
    """
    with _opened(path) as image, _named(path):
        return _upright_size(image)


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """One kind of error for whatever Pillow raises on a picture: readers quarantine it.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    try:
        yield
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS
        raise DataError(
            f"{path}: the picture is too large to be opened ({error}). If it is what it seems, "
            f"make it smaller, or set PIL.Image.MAX_IMAGE_PIXELS (now half of {most:,})."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path}: there is not enough memory for the picture.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: this is not a picture that can be read.") from error
    except Exception as error:  # SyntaxError, struct.error, zlib.error, IndexError, KeyError, ...
        is_of_the_disk = isinstance(error, OSError) and error.errno is not None
        if is_of_the_disk or str(error).startswith(f"{path}: "):
            raise
        what = str(error) or type(error).__name__
        raise DataError(f"{path}: the picture is broken ({what}).") from error


def _opened(path: Path | str) -> ImageFile.ImageFile:
    try:
        with _named(path):
            return Image.open(path)  # type: ignore[return-value]
    except FileNotFoundError as error:
        raise MissingError(f"{path}: there is no such picture.") from error


def _upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF tag, as far as it stands before the pixels (asking a PNG for more decodes it)."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return image.getexif().get(0x0112, 1)


def _tail(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL))
        return file.read()


def _to_8_bit(grey: np.ndarray) -> np.ndarray:
    """Grey of more than 8 bits to uint8, by the smallest usual bit depth that holds its values."""
    top = float(grey.max(initial=0))
    full = next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if top < 2**bits), max(top, 1.0))
    return np.clip(np.round(grey.astype(np.float64) * (255.0 / full)), 0, 255).astype(np.uint8)
