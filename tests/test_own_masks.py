"""Cases of a mask contest of one's own."""

from __future__ import annotations

import shutil
import unicodedata

import numpy as np
import pytest
from mask_contests import CLASSES, draw, make_task, planes, write

import medkit as mk
from medkit.images import rle


@pytest.fixture
def folder(tmp_path):
    return draw(tmp_path / "data", 4)


def first_masks(task, cases):
    shape, found = task.read_masks(cases.iloc[0].to_dict())
    return np.stack([rle.to_mask(found[name], shape) for name in CLASSES])


@pytest.mark.parametrize("pattern", ["{c}/{s}", "{s}/{c}", "{s}_{c}", "{c}_{s}"])
def test_pictures_of_masks_are_found_by_their_names(folder, pattern):
    places = folder / "other"
    for name in CLASSES:
        for number in range(4):
            place = places / f"{pattern.format(c=name, s=f'p{number:02d}')}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "masks" / name / f"p{number:02d}.png", place)
    task = make_task()
    cases = mk.read_masks(task, folder / "images", places)
    assert list(cases) == ["id", "path", "group", "masks", "masks_sha"]
    assert list(cases["id"]) == [f"p{k:02d}.png" for k in range(4)]
    assert cases["masks_sha"].nunique() == 4
    assert np.array_equal(first_masks(task, cases), planes(0))


def test_pictures_without_masks_are_unlabelled(folder):
    for name in CLASSES:
        (folder / "masks" / name / "p02.png").unlink()
    with pytest.warns(UserWarning, match=r"1 of 4 pictures have no masks, e\.g\. \['p02.png'\]"):
        cases = mk.read_masks(make_task(), folder / "images", folder / "masks")
    assert list(cases["masks"].isna()) == [False, False, True, False]
    assert mk.read_masks(make_task(), folder / "images").columns.tolist() == ["id", "path", "group"]


def test_korean_names_and_groups(folder):
    shutil.move(folder / "images" / "p00.png", folder / "images" / "손 뼈 1.png")
    for name in CLASSES:
        shutil.move(folder / "masks" / name / "p00.png", folder / "masks" / name / "손 뼈 1.png")
    groups = {"손 뼈 1.png": "가", **{f"p{k:02d}.png": "나" for k in range(1, 4)}}
    cases = mk.read_masks(make_task(), folder / "images", folder / "masks", groups=groups)
    assert cases["masks"].notna().all() and set(cases["group"]) == {"가", "나"}
    with pytest.raises(ValueError, match="groups lacks 3 of 4 pictures, e.g. "):
        mk.read_masks(make_task(), folder / "images", groups={"손 뼈 1.png": "가"})


def test_an_index_picture_bears_the_name_of_its_image(folder):
    for number in range(4):
        disc, bar, _ = planes(number, ((40, 56), (48, 32))[number % 2])
        write(folder / "index" / f"p{number:02d}.png", disc + bar)
    task = make_task(classes=("disc", "bar"), files=mk.MaskFiles())
    cases = mk.read_masks(task, folder / "images", folder / "index")
    assert cases["masks"].notna().all() and task.read_masks(cases.iloc[1])[0] == (48, 32)


def test_one_file_of_all(folder):
    table = folder / "train.csv"
    table.write_text("image,class,runs\np00,disc,1 3\np01.png,bar,1 3\n")
    task = make_task(files=mk.MaskFiles("rle"))
    with pytest.warns(UserWarning, match="2 of 4 pictures have no masks"):
        cases = mk.read_masks(task, folder / "images", table)
    assert list(cases["masks"].notna()) == [True, True, False, False]
    assert cases["masks_sha"].nunique() == 1
    with pytest.raises(FileNotFoundError, match="no such file .*'rle'"):
        mk.read_masks(task, folder / "images", folder / "nowhere.csv")


def test_what_is_no_contest_of_masks_is_refused(folder, tmp_path):
    task = make_task()
    with pytest.raises(ValueError, match="the folder of the images themselves"):
        mk.read_masks(task, folder / "images", folder / "images")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "x.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="no masks of 4 pictures .*class.*stem"):
        mk.read_masks(task, folder / "images", tmp_path / "other")
    shutil.move(folder / "masks" / "disc", folder / "masks" / "disks")
    with pytest.raises(ValueError, match="no picture of 'disc' .found .*Did you mean 'disks'"):
        mk.read_masks(task, folder / "images", folder / "masks")
    table = folder / "train.csv"
    table.write_text("image,class,runs\nz00,disc,1 3\n")
    with pytest.raises(ValueError, match="nothing of 4 pictures, such as 'p00.png'"):
        mk.read_masks(make_task(files=mk.MaskFiles("rle")), folder / "images", table)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        mk.read_masks(task, tmp_path / "empty")
    with pytest.raises(ValueError, match="caries asks for one of 2 classes .expected masks"):
        mk.read_masks(mk.get_task("caries"), folder / "images")
    with pytest.raises(TypeError, match="expected a task first"):
        mk.read_masks(folder, folder / "images")


def test_what_is_handed_in_of_masks_is_runs_whatever_else_a_layout_says():
    task = make_task("one", ("disc",), layout=mk.Layout(key_columns=1, order="F"))
    assert task.layout == mk.Layout(key_columns=1, order="F", answer="runs")


def test_pictures_of_one_name_have_masks_of_their_own(tmp_path):
    for ward, number in (("a", 0), ("b", 2)):
        masks = planes(number)
        write(tmp_path / "images" / ward / "01.png", np.zeros((40, 56, 3), np.uint8))
        for name, mask in zip(CLASSES, masks):
            write(tmp_path / "by class" / name / ward / "01.png", 255 * mask)
            write(tmp_path / "by ward" / ward / name / "01.png", 255 * mask)
            write(tmp_path / "flat" / name / "01.png", 255 * mask)
    task = make_task()
    for folder in ("by class", "by ward"):
        cases = mk.read_masks(task, tmp_path / "images", tmp_path / folder)
        assert list(cases["id"]) == ["a/01.png", "b/01.png"]
        assert np.array_equal(first_masks(task, cases), planes(0))
        assert np.array_equal(first_masks(task, cases[1:]), planes(2))
    with pytest.raises(ValueError, match="the masks of .*a/01.png and of .*b/01.png"):
        mk.read_masks(task, tmp_path / "images", tmp_path / "flat")


def test_names_that_are_decomposed_on_the_disk_are_found(tmp_path):
    classes = ("뼈", "bar", "both")
    for name, mask in zip(classes, planes(0)):
        place = tmp_path / "masks" / unicodedata.normalize("NFD", name)
        write(place / unicodedata.normalize("NFD", "손.png"), 255 * mask)
    write(tmp_path / "images" / unicodedata.normalize("NFD", "손.png"), np.zeros((40, 56, 3), "u1"))
    task = make_task(classes=classes)
    cases = mk.read_masks(task, tmp_path / "images", tmp_path / "masks")
    _, found = task.read_masks(cases.iloc[0].to_dict())
    assert np.array_equal(rle.to_mask(found["뼈"], (40, 56)), planes(0)[0])


@pytest.mark.parametrize(
    ("classes", "name", "words"),
    [
        (("a", "a"), "masks", "'a' twice"),
        (tuple(f"c{k}" for k in range(101)), "masks", "101 classes .expected 1 to 100"),
        (("a",), "bones", "bears the name of the column .* .expected 'masks'"),
    ],
)
def test_heads_of_masks_are_checked(classes, name, words):
    with pytest.raises(ValueError, match=words):
        mk.Head(name, classes, kind="masks")
