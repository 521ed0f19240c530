"""Kinds of answers: every layer has a row for each, and nobody else asks which one it is."""

from __future__ import annotations

import ast
import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_masks import draw, mask_task

import medkit as mk
from medkit.datasets.kinds import KINDS
from medkit.datasets.task import USUAL
from medkit.leaderboard.reading import READERS, taken
from medkit.metrics import METRICS
from medkit.submission.cells import CHECKS, kind_of_cells
from medkit.submission.checking import read_expected

ROOT = Path(mk.__file__).parent
TABLES = {  # what each layer knows of a kind of answer
    "datasets.kinds": "KINDS",  # labels, metrics, what is chosen and written
    "loading.labels": "LABELS",  # labels as tensors
    "models.factory": "LAYERS",  # the last layer
    "inference.answers": "ANSWERS",  # what becomes of logits
    "inference.judging": "CUTS",  # how a threshold is chosen
    "inference.ensembling": "BLENDS",  # how several answers become one
    "inference.calibrating": "RELIABLE",  # how often what is said is so
    "inference.explaining": "MAPS",  # where a model looked
    "training.losses": "LOSSES",
    "show.kinds": "SHOWN",  # how labels and answers stand in figures
}
CELLS = {  # what its cell holds in a table handed in
    "classes": "label",
    "number": "number",
    "masks": "runs",
    "exclusive_masks": "runs",
}
ANSWERS = {"areas": ["", "5 1"] * 4}  # of a board, worth 0 and 1; elsewhere they are these numbers


@pytest.mark.parametrize("module", TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_has_a_row_for_every_kind(module, kind):
    table = getattr(importlib.import_module(f"medkit.{module}"), TABLES[module])
    assert kind in table and set(table) == set(KINDS)


def test_answers_lie_where_a_contest_can_find_them():
    assert {answer.lies_in for answer in KINDS.values()} == set(USUAL)


@pytest.mark.parametrize("kind", KINDS)
def test_a_leaderboard_reads_whatever_scores_take_of_a_kind(kind):
    """Its table has a row for each way in which an answer is handed in: `takes`."""
    assert {metric.kind for metric in METRICS.values()} <= set(READERS)
    for takes in KINDS[kind].takes:
        answers = ANSWERS.get(takes, ["0", "1"] * 4)
        reader = READERS[takes](answers, ("0", "1") if READERS[takes].names_labels else ())
        assert reader.truth.tolist() == [0, 1] * 4
        assert reader.read(answers).tolist() == reader.perfect.tolist()
        assert not reader.problems(answers) and len(reader.strata) == 8 and reader.longest > 0
        usual = reader.usual(["0", "1"])
        assert {METRICS[name].kind for name in usual} == {takes}
        assert taken(usual, None, ("0", "1") if reader.names_labels else ()) == takes


def asks(tree):
    """The lines of a module on which a kind of answer is asked for, and not looked up."""
    for node in ast.walk(tree):
        tests = []
        if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
            tests = [node.test]
        elif isinstance(node, ast.comprehension):
            tests = node.ifs
        elif isinstance(node, ast.BoolOp):
            tests = node.values
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            tests = [node.operand]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "bool":
            tests = node.args
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(s, ast.Attribute) and s.attr == "kind" and of_head(s) for s in sides):
                yield node.lineno
        for test in tests:
            if isinstance(test, ast.Attribute) and test.attr == "classes":
                yield test.lineno
            elif isinstance(test, ast.Name) and test.id == "classes":
                yield test.lineno


def of_head(node):
    value = node.value
    name = getattr(value, "id", getattr(value, "attr", ""))
    return name in ("head", "h", "scored")


def test_asking_is_seen():
    code = "if head.classes: 1\nx = 1 if not classes else 2\ny = head.kind == 'number'\n"
    code += (
        "z = [h for h in task.heads if h.classes]\nfine = TABLE[head.kind]\nmetric.kind == 'a'\n"
    )
    assert sorted(set(asks(ast.parse(code)))) == [1, 2, 3, 4]


ASKING = {"datasets/task_data.py"}  # `Head` itself, which tells the kind by the classes


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_nobody_asks_for_the_kind(path):
    if path.relative_to(ROOT).as_posix() not in ASKING:
        assert not list(asks(ast.parse(path.read_text(encoding="utf-8"))))


THREE, TWO, AGE = mk.Head("kind", ("a", "b", "c")), mk.Head("sex", ("f", "m")), mk.Head("age")
HEADS = [THREE, TWO, AGE]  # of every kind one at least
MASKED = ["masks", "exclusive_masks"]  # kinds whose labels and answers are files


def test_every_kind_is_taken_through_these_tests():
    assert {head.kind for head in HEADS} | set(MASKED) == set(KINDS)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_an_answer_is_read_told_and_written_back(head):
    answer = head.answer
    labels = pd.Series([*(answer.label(code) for code in (0, 1, 1, 0)), None])
    codes = answer.codes(labels)
    assert codes[:4].tolist() == [0, 1, 1, 0] and np.isnan(codes[4])
    assert answer.truth(labels[:4]).tolist() == [0, 1, 1, 0]
    words = [f"word of {name}" for name in answer.columns]
    wanted = [words[k] for k in (0, 1, 1, 0)] if answer.is_probability else [0, 1, 1, 0]
    assert answer.written(list(labels[:4]), words) == wanted
    assert len(answer.likeliest(labels.dropna())) == len(answer.columns) == len(head.columns)
    assert {METRICS[name].kind for name in answer.usual} <= set(answer.takes)
    for name in (*answer.usual, *answer.shown):
        answer.check_metric(name)
    assert len(answer.strata(labels)) == len(labels)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_a_table_that_is_handed_in_is_checked_by_kind(head, tmp_path):
    assert set(CELLS) == set(KINDS) and set(CELLS.values()) <= set(CHECKS)
    task = mk.Task("own", "a question of one's own", "here", (head,))
    ids = [str(k) for k in range(4)]
    cases = pd.DataFrame({"id": ids, "path": "x.png", "group": ids})
    values = np.tile(np.eye(len(head.columns)), (4, 1))[:4]
    guesses = pd.DataFrame(values, columns=list(head.columns)).assign(id=ids)
    csv = mk.write_submission(task, cases, guesses, tmp_path / "submission.csv")
    assert kind_of_cells(read_expected(csv)) == CELLS[head.kind]
    assert mk.check_submission(csv)[-1] == "All 4 ids and labels are as own wants."
    csv.write_text(csv.read_text().rpartition(",")[0] + ",?\n")
    with pytest.raises(ValueError, match=r"1 \w+ are (none of|no numbers).*'\?'"):
        mk.check_submission(csv)


@pytest.mark.parametrize("kind", MASKED)
def test_a_table_of_masks_is_checked_by_kind(kind, tmp_path):
    task = mask_task(kind=kind)
    csv = mk.write_submission(task, *draw(tmp_path / "data", task), tmp_path / "submission.csv")
    assert kind_of_cells(read_expected(csv)) == CELLS[kind]
    assert mk.check_submission(csv)[-1] == "All 6 ids and masks are as bones wants."
    csv.write_text(csv.read_text().rpartition(",")[0] + ",?\n")
    with pytest.raises(ValueError, match=r"1 masks are no runs .*found '\?'"):
        mk.check_submission(csv)


def test_what_is_predicted_is_chosen_by_kind():
    three, two, age = THREE.answer, TWO.answer, AGE.answer
    probs = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    assert three.chosen(probs).tolist() == [0, 2]
    assert three.chosen(probs, {"a": 0.9, "b": 0.1, "c": 0.9}).tolist() == [1, 1]
    assert two.chosen(probs[:, :2], 0.25).tolist() == [1, 0]
    assert age.chosen(np.array([[61.0], [3.5]])).tolist() == [61.0, 3.5]
    assert two.guesses(probs[:, :2], 0.5, "auc").tolist() == [0.3, 0.2]
    assert three.guesses(probs, 0.5, "auc").shape == (2, 3)
    assert age.guesses(np.array([[61.0]]), 0.5, "mae").tolist() == [61.0]


def test_a_kind_is_told_by_the_classes_or_by_name():
    assert [head.kind for head in (THREE, TWO, AGE)] == ["classes", "classes", "number"]
    assert mk.Head("age", kind="number") == mk.Head("age")
    with pytest.raises(ValueError, match=rf"kind 'numbr' \(expected one of {', '.join(KINDS)}\)"):
        mk.Head("age", kind="numbr")


def test_numbers_are_not_drawn_equally_often():
    with pytest.raises(ValueError, match="balanced=True draws each class .* age is a number"):
        mk.Head("age").answer.chances(np.zeros(3))


def test_a_kind_and_its_classes_fit_together():
    for classes, kind in ((("a", "b"), "number"), ((), "classes")):
        with pytest.raises(ValueError, match=f"kind '{kind}' with classes .*told by the classes"):
            mk.Head("y", classes, kind)
    both = replace(mk.Head("ink"), classes=("0", "1"), kind="")
    assert both.kind == "classes" and both.columns == ("0", "1")
