"""Texts of runs: what is read, and what is refused with a sentence that says where and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, configuration, example, given, settings
from hypothesis import strategies as st

from medkit.images import rle, rle_texts

tries = settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", autouse=True)
def hypothesis_home(tmp_path_factory):
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("texts") / "hypothesis")


WRONG = {  # of a picture of 64 pixels, counted from 1 on
    "1": r"an odd count of numbers, 1 \(expected pairs: start, length\)",
    "1 2 3": "an odd count of numbers, 3 .expected pairs",
    "1.5 2": r"found '\.' \(expected whole numbers with blanks between them\)",
    "a b": "found 'a'",
    "1 2x": "found 'x'",
    "1,2": "found ','",
    "-1 2": "found '-'",
    "+1 2": r"found '\+'",
    "1 -2": "found '-'",
    "1\t2": r"found '\\t'",
    "1 2\n": r"found '\\n'",
    "1 2\0": r"found '\\x00'",
    "nan": "found 'n'",
    "٣ ٤": "found '٣'",
    "1\u00a02": r"found '\\xa0'",
    "3 2 1 1": "run 2 of 2 is '1 1' .expected a start after the run before",
    "1 3 3 2": "run 2 of 2 is '3 2' .expected a start after the run before",
    "1 3 1 3": "run 2 of 2 is '1 3' .expected a start after",
    "5 0": "run 1 of 1 is '5 0' .expected a length from 1 on",
    "1 2 5 0 9 1": "run 2 of 3 is '5 0' .expected a length from 1 on",
    "0 4": "run 1 of 1 is '0 4' .expected a start from 1 on.. Pass the base",
    "60 9": "run 1 of 1 is '60 9' .expected the last pixel 64 at most",
    "1 2 65 1": "run 2 of 2 is '65 1' .expected the last pixel 64 at most",
    "1 99999999999999999999": "run 1 of 1 is '1 99999999999999999999' .expected the last pixel",
    "9223372036854775807 9223372036854775807": "run 1 of 1 is '9223372036854775807 922",
    "9223372036854775807 2 3 4": "run 2 of 2 is '3 4' .expected a start after",
    "1 " + "9" * 5000: "run 1 of 1 is '1 99999999999999999999' .expected the last pixel",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[:20]))
@pytest.mark.parametrize("near", ["", "1 2", " 7  1 "])
def test_a_wrong_text_is_refused_whatever_stands_beside_it(text, near):
    with pytest.raises(ValueError, match="^text: " + WRONG[text]):
        rle.to_runs(text, 64)
    with pytest.raises(ValueError, match="^row 1, voter 1: " + WRONG[text]):
        rle.vote_texts([[near, near], [near, text], [text, near]], 64)


@pytest.mark.parametrize("cell", [None, float("nan"), 12, b"1 2"])
def test_what_is_no_text_is_refused(cell):
    with pytest.raises(ValueError, match="row 1 of texts: found .* keep_default_na=False"):
        rle.overlaps(["1 2", cell], ["", ""], 64)


@pytest.mark.parametrize("text", ["1 2 1099511627777 1", "1 99999999999999999999"])
def test_a_picture_of_unknown_size_has_an_end_too(text):
    with pytest.raises(ValueError, match="expected the last pixel 1099511627776 at most"):
        rle.to_runs(text, None)
    with pytest.raises(ValueError, match="last pixel 1099511627775 at most"):
        rle.to_runs(" ".join(["9223372036854775807"] * 2), None, base=0)
    assert rle.to_runs("1099511627776 1", None).tolist() == [2**40 - 1, 2**40]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        (" ", ""),
        ("   ", ""),
        (" 1 2", "1 2"),
        ("1 2 ", "1 2"),
        ("1  2   5 1", "1 2 5 1"),
        ("007 02", "7 2"),
        ("1 3 4 2", "1 5"),  # runs that touch are one
        ("1 1 2 1 3 1 5 1 6 1", "1 3 5 2"),
        ("64 1", "64 1"),
    ],
)
def test_blanks_zeros_and_touching_runs_are_let_pass(text, wanted):
    assert rle.to_text(rle.to_runs(text, 64)) == wanted
    assert rle.vote_texts([[text], ["3 1"], [text]], 64) == [wanted, "3 1", wanted]
    area = rle.area(rle.to_runs(wanted, 64))
    whole = rle.overlaps([text, "1 64"], ["1 64", text], 64)
    assert [column.tolist() for column in whole] == [[area, 64], [64, area], [area, area]]


def pairs(text):
    """The runs of a text, read word by word; None if it is wrong."""
    if set(text) - set("0123456789 ") or len(text.split()) % 2:
        return None
    numbers, inside, reached = [int(word) for word in text.split()], set(), 1
    for start, length in zip(numbers[::2], numbers[1::2]):
        if start < reached or length < 1 or start + length > 65:
            return None
        reached = start + length
        inside |= set(range(start, reached))
    return inside


@tries
@given(st.lists(st.text(alphabet="0123456789  x", max_size=9), min_size=1, max_size=4))
@example(["1 2", "", "3"])
@example(["1 2 ", "3", " 4 5"])
@example(["5 0", "1 0"])
def test_texts_read_together_are_refused_as_if_alone(texts):
    inside = [pairs(text) for text in texts]
    for text, pixels in zip(texts, inside):
        if pixels is None:
            with pytest.raises(ValueError, match="^text: "):
                rle.to_runs(text, 64)
        else:
            mask = rle.decode(text, (8, 8)).ravel()
            assert set((np.flatnonzero(mask) + 1).tolist()) == pixels
    if None in inside:
        with pytest.raises(ValueError, match=f"^row {inside.index(None)} of others: "):
            rle.overlaps([""] * len(texts), texts, 64)
    else:
        _, areas, shared = rle.overlaps(["1 64"] * len(texts), texts, 64)
        assert areas.tolist() == shared.tolist() == [len(pixels) for pixels in inside]


def test_numbers_are_written_with_one_blank_between():
    assert rle_texts.written(np.array([], np.int64)) == ""
    assert rle_texts.written(np.array([1, 20, 2**40])) == "1 20 1099511627776"
