from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from medkit.datasets import CONTESTS, TASKS
from medkit.rules.report import words
from medkit.rules.report.words import LANGUAGES, NOUNS, TITLES, WORDS, Words
from medkit.tables import PARTS

HANGUL = re.compile("[가-힣]")
ALIKE = {"and", "million", "medkit", "optimised", "cuda", "pixels", "head classes"}


def places(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", WORDS)
def test_a_text_tells_the_same_in_both_languages(name):
    english, korean = WORDS[name]
    assert places(english) == places(korean)
    assert HANGUL.search(korean) or name in ALIKE
    assert not HANGUL.search(english)


def test_each_contest_and_what_it_is_made_of_has_a_korean_name():
    assert set(TITLES) == set(CONTESTS)
    assert {noun for name in CONTESTS for noun in TASKS[name].nouns} == set(NOUNS)
    korean, english = map(Words, LANGUAGES[::-1])
    assert korean.contest("caries", "teeth") == TITLES["caries"] != english.contest("caries", "t")
    assert korean.contest("own", "My title") == "My title" and korean.noun("frogs") == "frogs"


def test_no_text_is_never_said():
    folder = Path(words.__file__).parents[1]
    code = "".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.stem != "words")
    begun = ("state ", "head ", *PARTS)  # of which a run, a head or a table tells the rest
    said = set(re.findall(r"""["']([a-z ]+)["']""", code))
    assert not [n for n in WORDS if n not in said and not n.startswith(begun)]
