from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from medkit.images.fingerprints import find_equal, find_similar, fingerprint


def picture(seed, size=(200, 150)):
    small = np.random.default_rng(seed).integers(0, 255, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.BICUBIC)


def test_size_quality_and_brightness_do_not_matter(tmp_path):
    original = picture(0)
    variants = [
        original,
        original.resize((90, 70)),
        ImageEnhance.Brightness(original).enhance(0.6),
        original.convert("L"),
    ]
    paths = []
    for k, variant in enumerate(variants):
        paths.append(str(tmp_path / f"{k}.jpg"))
        variant.save(paths[-1], quality=50)
    pairs = find_similar(paths)
    assert pairs == [(i, j) for i in range(4) for j in range(i + 1, 4)]


def test_different_pictures_differ(tmp_path):
    paths = []
    for k in range(12):
        paths.append(str(tmp_path / f"{k}.png"))
        picture(k).save(paths[-1])
    assert find_similar(paths) == [] and find_similar([]) == []


def test_a_fingerprint_is_a_unit_vector(tmp_path):
    picture(1).save(tmp_path / "a.png")
    found = fingerprint(str(tmp_path / "a.png"))
    assert abs(np.linalg.norm(found) - 1) < 1e-5 and abs(found.sum()) < 1e-3
    Image.new("RGB", (50, 50), (9, 9, 9)).save(tmp_path / "b.png")
    assert np.isfinite(fingerprint(str(tmp_path / "b.png"))).all()


def test_a_copy_that_is_recoloured_and_cropped_a_little_is_found(tmp_path):
    original = picture(3, (400, 300))
    original.save(tmp_path / "a.png")
    copy = ImageEnhance.Color(ImageEnhance.Contrast(original).enhance(0.7)).enhance(0.3)
    copy.crop((12, 0, 400, 291)).resize((260, 200)).save(tmp_path / "b.jpg", quality=40)
    assert find_similar([str(tmp_path / "a.png"), str(tmp_path / "b.jpg")]) == [(0, 1)]


def test_equal_files_are_pairs_whatever_their_names(tmp_path):
    paths = [str(tmp_path / name) for name in "abcd"]
    for path, data in zip(paths, (b"same", b"else", b"same", b"same")):
        Path(path).write_bytes(data)
    assert find_equal(paths) == [(0, 2), (0, 3)] and find_equal([]) == []
