"""docs/how-to/adding_a_contest.md, word for word; in the default suite with a smaller model."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_pages import names_that_are_not, run_page, working_folder

import medkit as mk

PAGE = "how-to/adding_a_contest.md"
SMALLER = {
    '"resnet18"': '"test_resnet"',
    "epochs=6": "epochs=2",
    "fold=0": "fold=0, num_workers=0",
    "(run, test)": "(run, test, num_workers=0)",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    with working_folder(tmp_path_factory.mktemp("own contest")) as folder:
        yield run_page(PAGE, folder, SMALLER)


def test_both_ways_of_reading_find_the_same_labels(done):
    by_class = done["by_class"].assign(name=done["by_class"]["path"].map(lambda p: Path(p).stem))
    by_class = by_class.set_index("name")
    assert len(by_class) == 400 and by_class["group"].nunique() == 40
    for row in done["cases"].itertuples():
        assert by_class["digit"][row.id] == row.digit
    assert done["cases"].groupby("group")["fold"].nunique().eq(1).all()


def test_the_submission_is_whole(done):
    lines = done["csv"].read_text().splitlines()
    assert lines[0] == "id,digit" and len(lines) == 101 and lines[1].startswith("0300,")


def test_several_heads_and_a_number_have_their_scores(done):
    many = done["many"][done["many"]["fold"] == 0]
    assert list(done["several"].predictions)[1:] == list(done["both"].columns)
    scores = mk.score(done["both"], many, done["several"].predictions)
    assert list(scores)[0] == "mae" and {"large_auc", "odd_sensitivity", "ink_r2"} <= set(scores)


def test_the_own_score_comes_first_and_alone(done):
    assert list(mk.score(done["own"], done["held_out"], done["run"].predictions)) == ["near"]


def test_the_page_names_only_what_there_is():
    assert not names_that_are_not(PAGE)


@pytest.mark.slow
def test_word_for_word_the_digits_are_learnt(tmp_path):
    with working_folder(tmp_path):
        done = run_page(PAGE, tmp_path)
        assert mk.score(done["task"], done["held_out"], done["run"].predictions)["f1_macro"] > 0.6
        many = done["many"][done["many"]["fold"] == 0]
        scores = mk.score(done["both"], many, done["several"].predictions)
    usual = many["ink"].sub(many["ink"].median()).abs().mean()
    assert scores["mae"] < usual and scores["large_auc"] > 0.75 and scores["odd_auc"] > 0.75
