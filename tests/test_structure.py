from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import medkit as mk
from medkit.show.structure import show_groups, show_halves, show_heads, show_hypnogram

SLEEP = mk.Task("night", "n", "n", (mk.Head("stage", ("Wake", "N1", "REM")),))
FACE = mk.Task(
    "face", "f", "f", (mk.Head("worn", ("yes", "no")), mk.Head("age", ("young", "old", "older")))
)
ONE = mk.Task("one", "o", "o", (mk.Head("kind", ("a", "b")),))


def nights():
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"{night}_{k}", "group": night, "epoch": k, "stage": rng.choice(SLEEP.columns)}
        for night, length in (("밤1", 60), ("밤2", 90))
        for k in range(length)
    ]
    return pd.DataFrame(rows)


def test_nights_are_hypnograms_with_what_was_predicted():
    cases = nights()
    probs = np.random.default_rng(1).dirichlet(np.ones(3), len(cases))
    predictions = pd.DataFrame({"id": cases["id"], **dict(zip(SLEEP.columns, probs.T))})
    page = show_hypnogram(SLEEP, cases, predictions.iloc[:-5])
    first, second = page.axes
    assert first.get_title("left") == "밤2: 90 epochs" and len(first.lines) == 2
    assert [text.get_text() for text in first.get_yticklabels()] == list(SLEEP.columns)
    hours, stages = first.lines[0].get_data()
    assert hours.max() == pytest.approx(89 * 30 / 3600) and set(stages) <= {1, 2, 3}
    guessed = first.lines[1].get_ydata()
    assert np.isnan(guessed[-5:]).all() and not np.isnan(guessed[:-5]).any()
    assert len(show_hypnogram(SLEEP, cases, n=1).axes) == 1


def test_heads_stand_against_each_other():
    worn, age = ["yes", "yes", "no"], ["young", "old", "old"]
    cases = pd.DataFrame({"id": list("123"), "group": list("123"), "worn": worn, "age": age})
    (axes,) = show_heads(FACE, cases).axes
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "0", "1", "0"]
    with pytest.raises(ValueError, match="fewer than two heads"):
        show_heads(ONE, pd.DataFrame({"id": ["1"], "kind": ["a"]}))


def test_halves_are_framed_where_they_are(tmp_path):
    Image.fromarray(np.full((60, 80, 3), 120, np.uint8)).save(tmp_path / "p.png")
    cases = pd.DataFrame(
        {
            "id": ["7_left", "7_right"],
            "group": "7",
            "path": str(tmp_path / "p.png"),
            "box": [[40, 0, 80, 60], [0, 0, 40, 60]],
            "kind": ["a", None],
        }
    )
    (axes,) = show_halves(ONE, cases).axes
    frames = [patch.get_x() for patch in axes.patches]
    assert frames == [42, 2]
    assert [text.get_text() for text in axes.texts] == ["left\na", "right\nno label"]


def test_groups_of_one_class_are_counted():
    cases = pd.DataFrame({"id": list("123456"), "group": list("aabbbc"), "kind": list("abbbba")})
    left, right = show_groups(ONE, cases).axes
    assert left.get_title("left") == "3 groups, median 2 cases"
    assert [text.get_text() for text in right.texts] == ["1", "1", "1"]
    ages = mk.Task("age", "a", "a", (mk.Head("age"),))
    assert len(show_groups(ages, cases.assign(age=np.arange(6.0))).axes) == 2


@pytest.mark.parametrize("size, told", [(2, "3 groups, of 2 cases"), (1, "6 groups, of 1 case")])
def test_groups_of_one_size_are_told_in_words(size, told):
    groups = [f"환자{k // size}" for k in range(6)]
    cases = pd.DataFrame({"id": list("123456"), "group": groups, "kind": list("ababaa")})
    page = show_groups(ONE, cases)
    assert len(page.axes) == 1 and page.axes[0].get_ylabel() == "groups"
    assert page._suptitle.get_text() == f"{told} each"


def test_one_view_is_no_panel(cases):
    task = mk.get_task("caries")
    for seen in (cases, cases.assign(tooth_number=None)):
        assert len(mk.show_teeth(task, seen).axes) == 2
        (axes,) = mk.show_teeth(task, seen.assign(view="정면")).axes
        assert "by view" not in axes.get_title("left")
        assert len(mk.show_teeth(task, seen.drop(columns="view")).axes) == 1


def test_each_contest_gets_the_figure_that_suits_it(cases):
    assert "FDI" in mk.show_structure(mk.get_task("caries"), cases).axes[0].get_title("left")
    assert mk.show_structure(SLEEP, nights()).axes[-1].get_xlabel() == "hours"
    plain = pd.DataFrame({"id": list("12"), "group": list("ab"), "kind": list("ab")})
    assert "groups" in mk.show_structure(ONE, plain).axes[0].get_title("left")
    with pytest.raises(ValueError, match=r"show_structure: no column \['group'\]"):
        mk.show_structure(ONE, plain.drop(columns="group"))
