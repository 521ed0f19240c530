from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from drawn_contests import huge_png
from PIL import Image

from medkit.images.decode import TURNS, probe, read_image, size

SCENE = np.zeros((24, 40, 3), np.uint8)
SCENE[:8, :16] = (255, 0, 0)
SCENE[16:, 24:] = (0, 0, 255)


def test_every_exif_turn_is_undone(tmp_path):
    for orientation in range(1, 9):
        image = Image.fromarray(SCENE)
        if orientation in TURNS:
            undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
            image = image.transpose(undo.get(orientation, TURNS[orientation]))
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        image.save(path, exif=exif)
        assert np.array_equal(read_image(path), SCENE)
        assert probe(path) == (40, 24)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_three_bytes(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.fromarray(SCENE).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == SCENE.shape and image.dtype == np.uint8


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_deep_grey_is_scaled_by_its_bit_depth(tmp_path, bits):
    grey = np.array([[0, 2**bits - 1], [2 ** (bits - 1), 1]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image[:, :, 0].tolist() == [[0, 255], [128, round(255 / (2**bits - 1))]]


def test_a_large_jpeg_is_decoded_at_a_fraction(tmp_path):
    large = np.kron(SCENE, np.ones((20, 20, 1), np.uint8))
    Image.fromarray(large).save(tmp_path / "x.jpg", quality=95)
    assert read_image(tmp_path / "x.jpg").shape == (480, 800, 3)
    assert read_image(tmp_path / "x.jpg", min_size=100).shape == (120, 200, 3)
    assert read_image(tmp_path / "x.jpg", min_size=481).shape == (480, 800, 3)
    small = read_image(tmp_path / "x.jpg", min_size=60)
    assert small.shape == (60, 100, 3) and small[5, 5, 0] > 240 and small[55, 90, 2] > 240


def test_hangul_paths_are_read(tmp_path):
    path = tmp_path / "충치 사진" / "앞니_1.png"
    path.parent.mkdir()
    Image.fromarray(SCENE).save(path)
    assert np.array_equal(read_image(path), SCENE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_off_file_is_named(tmp_path, kind):
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(buffer, kind)
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(ValueError, match=rf"x\.{kind.lower()}: the picture is cut off"):
        probe(path)
    with pytest.raises(ValueError, match=rf"x\.{kind.lower()}: the picture is broken"):
        read_image(path)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(ValueError, match=r"x\.png: this is not a picture"):
        read_image(tmp_path / "x.png")
    with pytest.raises(FileNotFoundError, match=r"y\.png: there is no such picture"):
        probe(tmp_path / "y.png")


def test_a_picture_that_is_too_large_is_named_with_its_size(tmp_path):
    (tmp_path / "x.png").write_bytes(huge_png())
    for look in (probe, size, read_image):
        with pytest.raises(
            ValueError, match=r"x\.png: the picture is too large .*400000000 pixels"
        ):
            look(tmp_path / "x.png")


@pytest.mark.parametrize(
    "error", [struct.error("unpack"), IndexError(), KeyError("x"), MemoryError(), zlib.error("bad")]
)
def test_whatever_pillow_raises_names_the_picture(tmp_path, monkeypatch, error):
    Image.fromarray(SCENE).save(tmp_path / "x.tif")

    def fail(*args):
        raise error

    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", fail)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.getexif", fail)
    for look in (probe, size, read_image):
        with pytest.raises(
            ValueError,
            match=r"x\.tif: (the picture is broken \(.+\)|there is not enough memory .*)\.",
        ):
            look(tmp_path / "x.tif")


def test_the_size_is_that_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(SCENE).save(tmp_path / "x.jpg", exif=exif)
    assert size(tmp_path / "x.jpg") == probe(tmp_path / "x.jpg") == (24, 40)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_jpeg_is_decoded_at_a_fraction_too(tmp_path, orientation):
    turn = TURNS.get(orientation)
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation, turn)
    image = Image.fromarray(np.kron(SCENE, np.ones((20, 20, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image if undo is None else image.transpose(undo)
    stored.save(tmp_path / "x.jpg", quality=95, exif=exif)
    small = read_image(tmp_path / "x.jpg", min_size=100)
    assert small.shape == (120, 200, 3) and small[5, 5, 0] > 240 and small[115, 195, 2] > 240
