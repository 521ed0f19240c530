from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medkit.images import crop, decode
from medkit.loading import cache as caching
from medkit.loading.cache import open_cache

BOX = [[2, 2], [20, 2], [20, 18], [2, 18]]
HOW = {"image_size": 24, "region_margin": 0.1, "region_mask": True}


@pytest.fixture
def photos(tmp_path):
    """Two photos, three regions."""
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / name) for name in ("a.png", "나.png")]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    regions = [BOX, [[20, 20], [49, 20], [49, 39]], BOX]
    return pd.DataFrame(
        {"id": list("xyz"), "path": [paths[i] for i in (0, 0, 1)], "region": regions}
    )


def test_a_row_is_its_crop(photos, tmp_path):
    cache = open_cache(photos, folder=tmp_path / "cache", **HOW)
    assert len(cache) == 3
    for row, case in photos.iterrows():
        image = decode.read_image(case["path"])
        wanted = crop.crop_region(image, case["region"], size=24, margin=0.1, mask=True)
        assert np.array_equal(cache[row], wanted)


def test_a_case_without_region_is_the_whole_picture(photos, tmp_path):
    cache = open_cache(photos.drop(columns="region"), folder=tmp_path / "cache", **HOW)
    wanted = crop.pad_to_square(decode.read_image(photos["path"][2]), size=24)
    assert np.array_equal(cache[2], wanted)


def test_a_store_is_built_once(photos, tmp_path, monkeypatch):
    first = open_cache(photos, folder=tmp_path / "cache", **HOW)
    monkeypatch.setattr(caching, "_build", None)
    assert open_cache(photos, folder=tmp_path / "cache", **HOW).path == first.path


@pytest.mark.parametrize("change", ["picture", "region", "size", "order"])
def test_what_changes_the_bytes_makes_another_store(photos, tmp_path, change):
    how, table = dict(HOW), photos.copy()
    first = open_cache(table, folder=tmp_path / "cache", **how)
    if change == "picture":
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(table["path"][0])
    elif change == "region":
        table.at[0, "region"] = [[1, 1], [20, 2], [20, 18]]
    elif change == "size":
        how["image_size"] = 32
    else:
        table = table.iloc[::-1].reset_index(drop=True)
    second = open_cache(table, folder=tmp_path / "cache", **how)
    assert second.path != first.path
    if change == "picture":
        assert second[0].max() == 0
    if change == "order":
        assert np.array_equal(second[0], first[2])


def test_a_disk_without_room_is_refused_before_decoding(photos, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda folder: usage(0, 0, 1000))
    with pytest.raises(OSError, match=r"3 pictures need 0\.00 GB, and the disk has 0\.00 GB left"):
        open_cache(photos, folder=tmp_path / "cache", **HOW)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(photos, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.os, "pwrite", full)
    with pytest.raises(OSError, match="the disk is full; free some space"):
        open_cache(photos, folder=tmp_path / "cache", **HOW)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_takes_little_at_a_time_holds_the_whole_picture(photos, tmp_path, monkeypatch):
    whole, pwrite = open_cache(photos, folder=tmp_path / "whole", **HOW), os.pwrite
    monkeypatch.setattr(
        caching.os, "pwrite", lambda handle, data, offset: pwrite(handle, data[:700], offset)
    )
    pieces = open_cache(photos, folder=tmp_path / "pieces", **HOW)
    assert pieces.path.read_bytes() == whole.path.read_bytes()


def test_a_read_only_folder_is_named(photos, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(caching.Path, "mkdir", refuse)
    words = r"cache: not written, the disk is read-only.*set MEDKIT_CACHE, or pass cache_folder="
    with pytest.raises(OSError, match=words):
        open_cache(photos, folder=tmp_path / "cache", **HOW)


TWO_USERS = """
import os, stat, sys
import pandas as pd
from medkit.loading.cache import open_cache
photos, folder = pd.read_pickle(sys.argv[1]), sys.argv[2]
how = {"region_margin": 0.1, "region_mask": True, "progress": False, "folder": folder}
first = open_cache(photos, image_size=24, **how)
os.umask(0o077)
private = open_cache(photos, image_size=32, **how)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
second = open_cache(photos, image_size=24, **how)
print(second.path == first.path, (second[2] == first[2]).all())
for size in (32, 48):
    try:
        open_cache(photos, image_size=size, **how)
    except PermissionError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_two_users_may_share_a_cache(photos, tmp_path_factory):
    folder = Path(tempfile.mkdtemp())  # those of pytest are for one user
    try:
        folder.chmod(0o755)
        for path in photos["path"].unique():
            shutil.copy(path, folder)
        own = photos.assign(path=[str(folder / Path(path).name) for path in photos["path"]])
        own.to_pickle(folder / "photos.pkl")
        command = [sys.executable, "-c", TWO_USERS, str(folder / "photos.pkl"), folder / "cache"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(folder)
    lines = done.stdout.splitlines()
    assert lines[0] == "True True", done.stderr
    assert "another user's, which only they may read; set MEDKIT_CACHE" in lines[1]
    assert "you may not write here" in lines[2]
    assert all("or pass cache_folder=..., with a folder of yours" in line for line in lines[1:])


def as_forms(points):
    yield [tuple(point) for point in points]
    yield tuple(map(tuple, points))
    yield np.array(points)
    yield np.array(points, np.float32)
    yield [[float(x), float(y)] for x, y in points]
    yield [np.array(point, np.int16) for point in points]


def test_a_polygon_has_one_store_in_whatever_form(photos, tmp_path, monkeypatch):
    first = open_cache(photos, folder=tmp_path / "cache", **HOW)
    monkeypatch.setattr(caching, "_build", None)
    for forms in zip(*map(as_forms, photos["region"])):
        table = photos.assign(region=pd.Series(list(forms), dtype=object))
        assert open_cache(table, folder=tmp_path / "cache", **HOW).path == first.path


@pytest.mark.parametrize("region", [[[1, 2, 3]], [1, 2], "[[1, 2]]", [["a", 2]]], ids=str)
def test_what_is_no_polygon_is_named(photos, tmp_path, region):
    photos.at[1, "region"] = region
    with pytest.raises(ValueError, match=r"is no polygon \(expected points \[x, y\] in pixels\)"):
        open_cache(photos, folder=tmp_path / "cache", **HOW)


def test_long_polygons_that_differ_in_the_middle_have_two_stores(photos, tmp_path):
    turns = np.linspace(0, 2 * np.pi, 800)
    one = np.stack([20 + 9 * np.cos(turns), 20 + 9 * np.sin(turns)], 1)
    other = one.copy()
    other[300:500] += 3  # NumPy shows neither of them
    assert str(one) == str(other)
    stores = [
        open_cache(
            photos.assign(region=[points] * 3),
            folder=tmp_path / "cache",
            **{**HOW, "image_size": 48},
        )
        for points in (one, other)
    ]
    assert stores[0].path != stores[1].path and not np.array_equal(stores[0][0], stores[1][0])


def test_broken_pictures_are_all_named(photos, tmp_path):
    for path in photos["path"].unique():
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: len(data) // 2] + data[-40:])
    with pytest.raises(ValueError, match=r"2 pictures cannot be decoded.*a\.png.*verify=True"):
        open_cache(photos, folder=tmp_path / "cache", **HOW)


def test_a_picture_that_is_gone_is_named(photos, tmp_path):
    os.unlink(photos["path"][0])
    with pytest.raises(FileNotFoundError, match=r"a\.png: the picture is gone \(found .*나\.png"):
        open_cache(photos, folder=tmp_path / "cache", **HOW)


def build(photos, folder):
    open_cache(photos, folder=folder, **HOW)


def test_two_processes_may_build_at_once(photos, tmp_path):
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=build, args=(photos, tmp_path / "cache")) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0, 0, 0]
    (store,) = (tmp_path / "cache").iterdir()
    kept = (store / "images.u8").read_bytes()
    shutil.rmtree(store)
    build(photos, tmp_path / "cache")
    assert (store / "images.u8").read_bytes() == kept


def test_a_forgotten_half_built_store_is_removed(photos, tmp_path):
    forgotten = tmp_path / "cache" / "abc.partial-xyz"
    forgotten.mkdir(parents=True)
    os.utime(forgotten, (0, 0))
    open_cache(photos, folder=tmp_path / "cache", **HOW)
    assert not forgotten.exists()


def test_the_folder_may_be_named_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDKIT_CACHE", str(tmp_path / "elsewhere"))
    assert caching.default_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("MEDKIT_CACHE")
    assert caching.default_folder().parts[-2:] == (".cache", "medkit")


@pytest.fixture
def halves(tmp_path):
    """A JPEG of 1600 x 900 and its two halves, then a PNG of 51 x 40 and its halves."""
    rng = np.random.default_rng(1)
    rows = []
    for name, (width, height) in {"반.jpg": (1600, 900), "b.png": (51, 40)}.items():
        path = str(tmp_path / name)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)
        half = width // 2
        rows += [(path, (half, 0, 2 * half, height)), (path, (0, 0, half, height))]
    return pd.DataFrame(rows, columns=["path", "box"])


def test_a_box_is_cut_out_and_padded_to_a_square(halves, tmp_path):
    cache = open_cache(halves, folder=tmp_path / "cache", **HOW)
    for row, (path, (left, top, right, bottom)) in enumerate(halves.to_numpy()):
        part = decode.read_image(path)[top:bottom, left:right]
        assert np.array_equal(cache[row], crop.pad_to_square(part, size=24))
    assert cache[0][:, :1].max() == 0 and cache[0][12, 12].max() > 0  # tall: black beside it


def test_nothing_outside_a_box_is_shown(halves, tmp_path):
    first = open_cache(halves, folder=tmp_path / "cache", **HOW)
    png = halves["path"][2]
    image = decode.read_image(png).copy()
    image[:, :25], image[:, 50:] = 255, 255  # all but the first of its halves
    Image.fromarray(image).save(png)
    second = open_cache(halves, folder=tmp_path / "cache", **HOW)
    assert second.path != first.path and np.array_equal(second[2], first[2])
    assert not np.array_equal(second[3], first[3])


def test_a_box_is_not_widened_nor_masked(halves, tmp_path):
    plain = open_cache(halves, folder=tmp_path / "cache", **HOW)
    other = {"image_size": 24, "region_margin": 0.5, "region_mask": False}
    assert np.array_equal(plain[1], open_cache(halves, folder=tmp_path / "cache", **other)[1])


def test_another_box_makes_another_store(halves, tmp_path):
    first = open_cache(halves, folder=tmp_path / "cache", **HOW)
    again = halves.assign(box=[list(box) for box in halves["box"]])  # as read_cases gives them
    assert open_cache(again, folder=tmp_path / "cache", **HOW).path == first.path
    moved = halves.assign(box=[(0, 0, 24, 40), *halves["box"][1:]])
    swapped = halves.assign(box=list(halves["box"][[1, 0, 3, 2]]))
    whole = halves.drop(columns="box")
    stores = [open_cache(t, folder=tmp_path / "cache", **HOW).path for t in (moved, swapped, whole)]
    assert len({first.path, *stores}) == 4


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 52, 40),
        (-1, 0, 5, 5),
        (5, 5, 5, 9),
        (5, 9, 9, 9),
        (0, 0, 5.5, 9),
        (0, 0, 5),
        (0, 0, 5, 9, 1),
    ],
)
def test_a_wrong_box_is_named(halves, tmp_path, box):
    halves.at[3, "box"] = box
    with pytest.raises(ValueError, match=r"b\.png: the box is \(.*expected left, .*within 51 x 40"):
        open_cache(halves, folder=tmp_path / "cache", **HOW)


def test_a_region_and_a_box_do_not_stand_together(photos, tmp_path):
    both = photos.assign(box=[(0, 0, 5, 5)] * 3)
    with pytest.raises(ValueError, match="both a 'region' and a 'box'"):
        open_cache(both, folder=tmp_path / "cache", **HOW)


def test_several_cases_may_be_one_whole_picture(photos, tmp_path):
    whole = photos.drop(columns="region").head(2)
    twice = pd.concat([whole, whole], ignore_index=True)
    cache = open_cache(twice, folder=tmp_path / "cache", **HOW)
    assert np.array_equal(cache[0], cache[2]) and np.array_equal(cache[1], cache[3])
    assert cache[3].max() > 0


def test_a_jpeg_that_is_decoded_smaller_lies_where_it_is_reckoned_to(tmp_path):
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (1025, 2047, 3), dtype=np.uint8), (0, 0), 9)
    Image.fromarray(np.clip(4 * pixels.astype(int) - 384, 60, 255).astype("u1")).save(
        tmp_path / "x.jpg"
    )
    cases = pd.DataFrame({"id": ["x"], "path": [str(tmp_path / "x.jpg")]})
    how = {**HOW, "image_size": 224, "folder": tmp_path / "cache"}
    shown = open_cache(cases, aligned=True, **how)[0].max(axis=(1, 2)) > 30
    _, y, _, height = crop.place_in_square(2047, 1025, 224)
    assert shown.nonzero()[0].tolist() == list(range(y, y + height))
