from __future__ import annotations

import cv2
import numpy as np
import openpyxl
import pytest

import medkit as mk
from medkit.datasets import TASKS
from medkit.datasets.drawing.writing import (
    check,
    check_counts,
    write_lines,
    write_picture,
    write_sheet,
)
from medkit.images.decode import read_image

PAIR, SIDE = r"\(expected width and height in pixels, from 16\)", r"\(expected pixels, from 16\)"
WIDTHS = "expected smallest and largest in pixels, from 100"
WRONG = [("caries", "widths", widths, WIDTHS) for widths in ((900, 480), (8, 900), 480)]
WRONG += [("caries", "decayed_share", share, f"{share} .expected 0 to 1") for share in (10, -0.1)]
WRONG += [("caries", "broken", 0.5, "draw_caries: broken 0.5 .expected a count, 0 or more")]
WRONG += [(task, "size", size, PAIR) for task in ("mask", "sleep") for size in (64, (64, 8))]
WRONG += [(task, "size", size, SIDE) for task in ("pathology", "sinus") for size in (64.0, 8)]
WRONG += [("handbone", "size", size, "size .* .expected pixels, from 64") for size in (63, 64.0)]
WRONG += [("sleep", "epochs", -3, "draw_sleep: epochs -3 .expected a count, 0 or more")]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["n_train", "n_test"])
def test_each_contest_names_a_count_that_is_none(task, name, tmp_path):
    for count in (-1, 2.0, None):
        with pytest.raises(ValueError, match=rf"^draw_\w+: {name} {count} \(expected a count, 0"):
            mk.get_task(task).draw(tmp_path, **{name: count})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("task", "name", "value", "words"), WRONG)
def test_each_contest_names_another_setting_that_is_wrong(task, name, value, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        mk.get_task(task).draw(tmp_path, **{name: value})
    assert not list(tmp_path.iterdir())


def test_what_is_right_passes():
    check_counts("here", none=0, some=np.int64(3))
    check("here", "whatever", True, name="anything")


def test_a_contest_of_nothing_is_drawn(tmp_path):
    for task in TASKS:
        mk.get_task(task).draw(tmp_path / task, n_train=0, n_test=0)
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg"])
def test_a_picture_keeps_its_colours(ending, tmp_path):
    picture = np.full((20, 30, 3), (200, 100, 20), np.uint8)
    write_picture(tmp_path / "사진" / f"red{ending}", picture)
    again = read_image(tmp_path / "사진" / f"red{ending}")
    assert again.shape == picture.shape and np.abs(again.astype(int) - picture).max() <= 3
    assert (again == picture).all() or ending != ".png"
    assert cv2.haveImageReader(str(tmp_path / "사진" / f"red{ending}"))


def test_each_line_has_its_end(tmp_path):
    write_lines(tmp_path / "table.csv", (f"{k},치아" for k in range(2)))
    assert (tmp_path / "table.csv").read_bytes() == "0,치아\n1,치아\n".encode()
    write_lines(tmp_path / "empty.csv", [])
    assert (tmp_path / "empty.csv").read_bytes() == b""


@pytest.mark.parametrize("is_read_only", [True, False])
def test_a_sheet_reads_back_and_is_the_same_bytes_again(is_read_only, tmp_path):
    rows = [("ID", "키(신장)", "a < b & c"), (1, 162.5, " _x0008_F"), ("", None, -3)]
    for name in ("a.xlsx", "b.xlsx"):
        write_sheet(tmp_path / "표" / name, rows)
    first, second = (tmp_path / "표" / name for name in ("a.xlsx", "b.xlsx"))
    assert first.read_bytes() == second.read_bytes()
    book = openpyxl.load_workbook(first, read_only=is_read_only)
    again = list(book.worksheets[0].iter_rows(values_only=True))
    book.close()
    assert again[:2] == rows[:2] and again[2] in [(None, None, -3), ("", None, -3)]
