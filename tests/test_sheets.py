from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pypdf import PdfReader

import medkit as mk
from medkit.rules.report import sheets as laid
from medkit.rules.report.lettering import Cell, cut, width_of, widths_of, wrapped
from medkit.rules.report.sheets import BOTTOM, MOST, ROOM, Sheets
from medkit.show.canvas import new_picture, styled


@pytest.fixture
def sheets():
    return Sheets("foot", "Figure {}. ", "Write less.")


def read(sheets):
    return [page.extract_text() for page in PdfReader(io.BytesIO(sheets.pdf())).pages]


@styled
def drawn(height=3.0, width=9.5):
    picture = new_picture(height, width=width)
    picture.subplots().set_title("curve of 손실")
    return picture


TEXT = st.text(st.sampled_from("ab cd 가나 W.\u00e9-1"), min_size=1, max_size=120)


@settings(deadline=None)
@given(TEXT, st.floats(40, 300))
def test_lines_fit_and_lose_nothing(text, room):
    lines = wrapped(text, 9.0, room)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width_of(line, 9.0) <= room or len(line) == 1 for line in lines) and lines


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=4))
@settings(deadline=None, max_examples=30)
def test_columns_are_never_wider_than_the_sheet(rows):
    widths = widths_of([[Cell(text) for text in row] for row in rows], 8.0, ROOM)
    assert sum(widths) <= ROOM + 1e-6 and min(widths) > 0


def test_a_number_that_is_too_long_loses_its_end():
    assert cut("1.0", 9.0, 100) == "1.0"
    short = cut("w" * 90, 9.0, 100)
    assert short.endswith("…") and width_of(short, 9.0) <= 100


def test_each_sheet_has_its_number_and_foot(sheets):
    for _ in range(3):
        sheets.paragraph("line\n" * 40)
    pages = read(sheets)
    assert len(pages) == 3
    assert all("foot" in text and f"{k} / 3" in text for k, text in enumerate(pages, 1))


def test_more_sheets_than_may_be_are_refused(sheets):
    for _ in range(MOST - 1):
        sheets.next_sheet()
    assert sheets.fits(sheets.left) and not sheets.fits(sheets.left + 1)
    with pytest.raises(mk.ConfigError, match=r"longer than 10 pages \(expected 1 to 10\). Write"):
        sheets.next_sheet()


def test_no_heading_stands_alone_at_the_foot(sheets):
    sheets.y = BOTTOM - 30
    sheets.heading("Results")
    assert len(sheets.pages) == 1  # it waits
    sheets.paragraph("first line")
    pages = read(sheets)
    assert "Results" not in pages[0] and "Results" in pages[1] and "first line" in pages[1]


def test_a_long_table_names_its_columns_on_each_sheet(sheets):
    sheets.table(["name", "count"], [(f"row {k}", k) for k in range(80)], right=[1])
    pages = read(sheets)
    assert len(pages) == 2 and all("count" in text for text in pages)
    assert "row 0" in pages[0] and "row 79" in pages[1]


def test_a_short_table_is_not_broken(sheets):
    sheets.y = BOTTOM - 60
    sheets.table(["name"], [[f"row {k}"] for k in range(6)])
    first, second = read(sheets)
    assert "row" not in first and "row 0" in second and "row 5" in second


def test_what_a_figure_says_stays_text_and_its_own_size_too(sheets):
    picture = drawn()
    before = picture.dpi, tuple(picture.get_size_inches())
    sheets.figures(picture, caption="of fold 0")
    sheets.paragraph("below")
    (text,) = read(sheets)
    assert "curve of 손실" in text and "Figure 1. of fold 0" in text and "below" in text
    assert (picture.dpi, tuple(picture.get_size_inches())) == before


def test_what_stands_above_is_read_first(sheets):
    sheets.paragraph("above")
    sheets.figures(drawn())
    sheets.paragraph("below")
    (text,) = read(sheets)
    places = [text.index(part) for part in ("above", "curve of", "Figure 1.", "below", "foot")]
    assert places == sorted(places)


def test_a_figure_is_made_smaller_before_it_takes_the_next_sheet(sheets):
    picture = drawn(5.0)
    full = 5.0 * 72 * laid.SCALE
    sheets.y = BOTTOM - 0.9 * full - 20
    sheets.figures(picture)
    assert len(sheets.pages) == 1
    sheets.y = BOTTOM - 0.5 * full
    sheets.figures(drawn(5.0))
    assert len(sheets.pages) == 2
    sheets.figures(drawn(40.0))  # more than a sheet at its scale
    assert len(sheets.pages) == 3 and sheets.y <= BOTTOM + 0.01


def test_after_a_figure_lines_and_clips_are_as_before(sheets):
    """A figure moves, scales and clips what it draws, and nothing behind it."""
    sheets.figures(drawn(), drawn(), caption="two")
    sheets.table(["name"], [["row"]], beside=drawn(2.0, 5.0), caption="beside")
    page = PdfReader(io.BytesIO(sheets.pdf())).pages[0]
    depth, least = 0, 0
    for _, operator in page.get_contents().operations:
        depth += {b"q": 1, b"Q": -1}.get(operator, 0)
        least = min(least, depth)
    assert depth == 0 and least == 0
    assert [page.extract_text().count(text) for text in ("curve of", "row")] == [3, 1]


def test_a_figure_of_pyplots_own_look_is_placed_as_well(sheets):
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot([0, 1], label="plain")
    figure.legend()
    sheets.figures(figure)
    assert "plain" in read(sheets)[0]
