from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import medkit as mk
from medkit.show.halves import show_halves
from medkit.show.nights import show_hypnogram
from medkit.show.structure import FIGURES, show_groups, show_heads
from medkit.show.teeth import show_teeth

SLEEP = mk.Task("night", "n", "n", (mk.Head("stage", ("Wake", "N1", "REM")),), figures="nights")
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


def test_a_number_stands_against_classes_by_its_quarters():
    task = mk.Task("faces", "f", "f", (mk.Head("age"), mk.Head("worn", ("yes", "no"))))
    cases = pd.DataFrame({"age": np.arange(8.0), "worn": ["yes"] * 4 + ["no"] * 4})
    (axes,) = show_heads(task, cases).axes
    names = ["0 to 1.75", "1.75 to 3.5", "3.5 to 5.25", "5.25 to 7"]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    assert [text.get_text() for text in axes.texts] == list("20200202")
    with pytest.raises(ValueError, match=r"fewer than two heads \(found \['worn'\]\)"):
        show_heads(task, cases.assign(age=None))


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
        assert len(show_teeth(task, seen).axes) == 2
        (axes,) = show_teeth(task, seen.assign(view="정면")).axes
        assert "by view" not in axes.get_title("left")
        assert len(show_teeth(task, seen.drop(columns="view")).axes) == 1


def test_each_contest_gets_the_figure_that_suits_it(cases):
    assert "FDI" in mk.show_structure(mk.get_task("caries"), cases).axes[0].get_title("left")
    assert mk.show_structure(SLEEP, nights()).axes[-1].get_xlabel() == "hours"
    plain = pd.DataFrame({"id": list("12"), "group": list("ab"), "kind": list("ab")})
    assert "groups" in mk.show_structure(ONE, plain).axes[0].get_title("left")
    photos = cases.drop(columns=["region", "tooth_number"]).drop_duplicates("photo")
    shown = mk.show_structure(mk.get_task("caries"), photos).axes[-1]
    assert shown.get_title("left") == "groups whose cases are all of one class"
    with pytest.raises(ValueError, match=r"show_structure: no column 'group'"):
        mk.show_structure(ONE, plain.drop(columns="group"))


TEETH = mk.Task(
    "own", "o", "o", (mk.Head("state", ("fine", "filled", "bad")),),
    whole="photo", nouns=("teeth", "photos"), figures="teeth",
)  # fmt: skip


@pytest.fixture
def teeth(cases):
    """Teeth of a contest of one's own, which scores teeth and has words of its own."""
    states = np.where(cases["decayed"] == "decayed", "bad", "fine").astype(object)
    states[::5] = "filled"
    return cases.drop(columns=["decayed", "photo_decayed"]).assign(state=states)


def test_a_task_of_ones_own_gets_the_figures_that_it_names(teeth):
    assert "bad teeth by FDI" in mk.show_structure(TEETH, teeth).axes[0].get_title("left")
    predictions = pd.DataFrame({"id": teeth["id"], "fine": 0.4, "filled": 0.3, "bad": 0.3})
    page = mk.show_mistakes(TEETH, teeth, predictions, n=2)
    bad = int((teeth["state"] == "bad").sum())
    told = f"2 of {bad} mistakes, the surest first ({len(teeth)} teeth in all)"
    assert page._suptitle.get_text() == told
    each = {"fine": 0.5, "filled": 0.4, "bad": 0.1}  # by which all are called bad
    titles = [
        axes.get_title("left")
        for axes in mk.show_mistakes(
            TEETH, teeth, predictions, threshold=each, n=99, order="as given"
        ).axes
    ]
    assert sum("found" in title for title in titles) > 0
    assert not any("MISSED" in title for title in titles)
    table = mk.mistake_table(TEETH, teeth, predictions, tooth_threshold=each)
    assert table["bad"].sum() == table["found"].sum() == bad
    assert mk.show_structure(SLEEP, nights()).axes[-1].get_xlabel() == "hours"


def test_what_is_no_row_of_figures_is_named(teeth):
    task = replace(TEETH, figures="tooth")
    words = r"task 'own': figures 'tooth' \(expected one of '', 'teeth', .*Did you mean 'teeth'\?"
    for ask in (mk.show_structure, partial(mk.show_mistakes, predictions=teeth)):
        with pytest.raises(ValueError, match=words):
            ask(task, teeth)
    assert {task.figures for task in mk.datasets.TASKS.values()} <= set(FIGURES)


def test_figures_of_classes_are_refused_for_a_number(teeth):
    task = mk.Task("sizes", "s", "s", (mk.Head("size"),), figures="teeth")
    sizes, guess = teeth.assign(size=1.0), pd.DataFrame({"id": teeth["id"], "size": 1.0})
    for ask, words in (
        (lambda: mk.show_structure(task, sizes), "show_teeth: this task asks for a number"),
        (lambda: mk.show_mistakes(task, sizes, guess), "show_photos: this task asks for a number"),
        (lambda: mk.mistake_table(task, sizes, guess), "tooth_table: this task asks for a number"),
        (lambda: show_hypnogram(task, sizes), "show_hypnogram: this task asks for a number"),
    ):
        with pytest.raises(ValueError, match=f"{words}. Use show_balance"):
            ask()


def test_as_given_nights_are_whole_and_mistakes_are_epochs(tmp_path):
    Image.new("RGB", (20, 10), "grey").save(tmp_path / "p.png")
    cases = nights().assign(path=str(tmp_path / "p.png"))
    probs = np.tile([0.5, 0.3, 0.2], (len(cases), 1))
    predictions = pd.DataFrame({"id": cases["id"], **dict(zip(SLEEP.columns, probs.T))})
    page = mk.show_mistakes(SLEEP, cases, predictions, order="as given")
    assert set(page.axes[0].lines[1].get_ydata()) == {3.12}  # Wake, which stands on top
    limits = {"Wake": 0.6, "N1": 0.1, "REM": 0.3}
    page = mk.show_mistakes(SLEEP, cases, predictions, order="as given", threshold=limits)
    assert set(page.axes[0].lines[1].get_ydata()) == {2.12}
    assert len(mk.show_mistakes(SLEEP, cases, predictions, n=3).axes) == 3
