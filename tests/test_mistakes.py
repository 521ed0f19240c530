from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import medkit as mk

KINDS = mk.Task("kinds", "k", "k", (mk.Head("kind", ("a", "b", "c")),))
AGES = mk.Task("ages", "a", "a", (mk.Head("age"),))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("사진")
    for k in range(6):
        Image.fromarray(np.full((20, 30, 3), 40 * k, np.uint8)).save(folder / f"{k}.png")
    ids = [f"환자_{k}" for k in range(6)]
    paths = [str(folder / f"{k}.png") for k in range(6)]
    return pd.DataFrame({"id": ids, "group": ids, "path": paths, "kind": list("aabbcc")})


def predicted(cases):
    probs = [
        *([0.9, 0.05, 0.05], [0.2, 0.7, 0.1]),  # right; wrong by 0.5
        *([0.1, 0.8, 0.1], [0.0, 0.05, 0.95]),  # right; wrong by 0.9
        *([0.3, 0.3, 0.4], [0.4, 0.35, 0.25]),  # right; wrong by 0.15
    ]
    return pd.DataFrame({"id": cases["id"], **dict(zip("abc", np.array(probs).T))})


def titles(page):
    return [axes.get_title("left") for axes in page.axes]


def test_the_surest_mistakes_come_first(pictures):
    shown = titles(mk.show_mistakes(KINDS, pictures, predicted(pictures), n=4))
    assert shown[0] == "환자_3\nWRONGLY c (0.95)\ntruth: b"
    assert [text[3] for text in shown] == ["3", "1", "5", "0"]
    assert "rightly a (0.90)" in shown[3]
    page = mk.show_mistakes(KINDS, pictures, predicted(pictures), n=2)
    assert page._suptitle.get_text() == "2 of 3 mistakes, the surest first (6 cases in all)"
    given = titles(mk.show_mistakes(KINDS, pictures, predicted(pictures), n=2, order="as given"))
    assert [text[3] for text in given] == ["0", "1"]


def test_a_threshold_of_each_class_decides(pictures):
    strict = {"a": 0.1, "b": 0.8, "c": 0.1}
    shown = titles(mk.show_mistakes(KINDS, pictures, predicted(pictures), threshold=strict, n=6))
    assert "rightly a" in next(text for text in shown if text.startswith("환자_1"))


def test_numbers_are_shown_by_how_far_they_are_off(pictures):
    cases = pictures.assign(age=[20.0, 30, 40, 50, 60, 70])
    guess = pd.DataFrame({"id": cases["id"], "age": [21.0, 30, 70, 55, 60, 71]})
    page = mk.show_mistakes(AGES, cases, guess, n=2)
    assert page._suptitle.get_text() == "2 of 6 cases, the farthest off first"
    shown = titles(page)
    assert shown[0] == "환자_2\npredicted 70\ntruth: 40" and shown[1].startswith("환자_3")
    table = mk.mistake_table(AGES, cases, guess)
    assert list(table) == ["low", "high", "cases", "error"] and table["cases"].sum() == 6


def test_the_table_counts_by_class(pictures):
    table = mk.mistake_table(KINDS, pictures, predicted(pictures))
    assert list(table["class"]) == list("abc") and list(table["cases"]) == [2, 2, 2]
    assert list(table["predicted"]) == [2, 2, 2] and list(table["recall"]) == [0.5] * 3


def test_teeth_have_a_threshold_of_their_own(cases):
    """That of photos is for the largest of many teeth, and misses most of them."""
    task, rng = mk.get_task("caries"), np.random.default_rng(0)
    teeth = mk.tables.visible(cases)
    prob = np.where(teeth["decayed"] == "decayed", 0.4, 0.2) + rng.uniform(-0.05, 0.05, len(teeth))
    guesses = pd.DataFrame({"id": teeth["id"], "sound": 1 - prob, "decayed": prob})
    for threshold in (0.5, 0.95):  # of photos
        table = mk.mistake_table(task, cases, guesses, threshold=threshold)
        assert table["missed"].sum() == table["false_alarms"].sum() == 0
    told = mk.mistake_table(task, cases, guesses, threshold=0.5, tooth_threshold=0.5)
    assert told["found"].sum() == 0
    sound = cases.assign(decayed="sound")
    assert mk.mistake_table(task, sound, guesses)["false_alarms"].sum() == 0


def test_photos_of_teeth_have_their_own(cases):
    predictions = pd.DataFrame({"id": cases["id"], "sound": 0.2, "decayed": 0.8})
    page = mk.show_mistakes(mk.get_task("caries"), cases, predictions, n=2)
    assert len(page.axes) == 2 and "probability of decayed 0.80" in titles(page)[0]
    table = mk.mistake_table(mk.get_task("caries"), cases, predictions)
    assert "tooth_number" in table
    with pytest.raises(ValueError, match="order 'best'"):
        mk.show_mistakes(KINDS, cases, predictions, order="best")


def test_a_unit_may_be_a_case_or_the_picture_of_which_cases_are_parts(cases):
    """A contest with the usual figures, that scores photos and has teeth for cases."""
    caries = mk.get_task("caries")
    task = replace(caries, figures="")
    predictions = pd.DataFrame({"id": cases["id"], "sound": 0.2, "decayed": 0.8})
    page = mk.show_mistakes(task, cases, predictions, n=2)
    units = caries.to_units(cases)
    assert f"({len(units)} photos in all)" in page._suptitle.get_text()
    assert not page.axes[0].patches  # all of a photo has no outline
    alone = replace(task, own={}, nouns=("teeth", "teeth"))  # a unit a tooth
    page = mk.show_mistakes(alone, cases, predictions, n=2)
    assert "teeth in all)" in page._suptitle.get_text() and len(page.axes[0].patches) == 1
    with pytest.raises(ValueError, match=r"unit '\w+' is no case, .*whole=\.\.\."):
        mk.show_mistakes(replace(task, whole=""), cases, predictions)


def test_an_option_of_teeth_is_refused_elsewhere():
    task = mk.Task("own", "own", "me", (mk.Head("sex", ("f", "m")),))
    with pytest.raises(ValueError, match=r"table of own takes no tooth_threshold .*Leave it out"):
        mk.mistake_table(task, pd.DataFrame(), pd.DataFrame(), tooth_threshold=0.3)
