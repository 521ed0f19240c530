"""Tables of masks, from predictions to the board: written, checked, refused, scored alike."""

from __future__ import annotations

import csv as csv_reader
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from drawn_masks import BONES, SIZES, draw, mask_task

import medkit as mk
from medkit.datasets import TASKS
from medkit.datasets.mask_units import mask_scores
from medkit.images import rle
from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import read_answers, read_contest
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.reading import READERS, Areas, likely
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.scoring import Answers, split
from medkit.submission.cells import kind_of_cells, pixels_of
from medkit.submission.checking import read_expected
from medkit.submission.parsing import csv_rows

KEYS = [f"{id},{name}" for id in SIZES for name in BONES]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The task, its cases and what was predicted of them."""
    task = mask_task()
    monkeypatch.setitem(TASKS, task.name, task)
    return (task, *draw(tmp_path / "data", task))


@pytest.fixture
def csv(drawn, tmp_path):
    return mk.write_submission(*drawn, tmp_path / "submission.csv")


def own_score(task):
    """The task with a function of its own for what it does anyway."""
    return replace(task, score_units=lambda units, cut=0.5: mask_scores(task, units, cut))


def board_of(folder, drawn, **rules):
    task, cases, _ = drawn
    answers = mk.leaderboard.write_answers(task, cases, folder / "answers.csv")
    rules = {"task": task.name, "public_share": 1.0, "seed": 0, **rules}
    contest = new_contest(folder / "contest", answers, **rules)
    return Answers(contest, read_answers(folder / "contest" / "answers.csv"), "answers.csv")


def rewritten(csv, change):
    """The table with other rows: `change` takes them, without the header, as lists of cells."""
    header, *rows = csv_rows(csv.read_text(), ",")
    with open(csv, "w", newline="", encoding="utf-8") as file:
        csv_reader.writer(file, lineterminator="\n").writerows([header, *change(rows)])
    return csv


def with_text(csv, text, row=1):
    def change(rows):
        rows[row][-1] = text
        return rows

    return rewritten(csv, change)


def test_a_table_of_masks_is_written_and_checked(csv):
    expected = read_expected(csv)
    assert csv.read_text().startswith("id,class,rle\n") and expected["ids"] == KEYS
    assert (
        expected["labels"] is None
        and kind_of_cells(expected) == "runs"
        and expected["filled"] == []
    )
    assert expected["sizes"] == {id: list(size) for id, size in SIZES.items()}
    assert mk.check_submission(csv) == ["All 6 ids and masks are as bones wants."]


def test_labels_of_the_test_are_not_read(drawn, tmp_path, monkeypatch):
    task, cases, predictions = drawn
    task = replace(task, read_masks=lambda case: pytest.fail("the true masks are read"))
    mk.write_submission(task, cases, predictions, tmp_path / "submission.csv")


def test_pictures_that_could_not_be_read_are_empty_masks(drawn, tmp_path):
    task, cases, predictions = drawn
    cases.loc[0, "path"], predictions.loc[0, "file"] = None, None
    csv = mk.write_submission(task, cases, predictions, tmp_path / "submission.csv")
    told = mk.check_submission(csv)
    assert "3 could not be looked at (hand one.png,finger-1" in told[-1]
    with_text(csv, "1 2401", row=0)  # how large that picture is, nobody knows
    assert "ids and masks are as bones wants" in mk.check_submission(csv)[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 3", r"an odd count of numbers, 3"),
        ("9 2 1 2", r"run 2 of 2 is '1 2' \(expected a start after the run before\)"),
        ("1 5 3 2", r"run 2 of 2 is '3 2' \(expected a start after the run before\)"),
        ("1 0", r"'1 0' \(expected a length from 1 on\)"),
        ("0 3", r"'0 3' \(expected a start from 1 on\)"),
        ("2400 2", r"'2400 2' \(expected the last pixel 2400 at most\)"),
        ("nan", "found 'n'"),
        ("None", "found 'N'"),
        ("1.0 2", r"found '\.'"),
    ],
)
def test_what_is_no_mask_is_named_by_its_row_on_both_sides(drawn, csv, tmp_path, text, words):
    with_text(csv, text)
    words = rf"1 masks are no runs of their pictures, e\.g\. 'hand one\.png,finger-2': .*{words}"
    with pytest.raises(ValueError, match=f"submission.csv would be refused: {words}"):
        mk.check_submission(csv)
    with pytest.raises(Refused, match=words):
        board_of(tmp_path, drawn).check(csv.read_bytes())


def test_the_last_pixel_is_inside_and_empty_is_an_answer(drawn, csv, tmp_path):
    board = board_of(tmp_path, drawn)
    for text in ("2400 1", "", " "):
        with_text(csv, text)
        assert "All 6 ids and masks" in mk.check_submission(csv)[0]
        assert board.check(csv.read_bytes())[1] == text


@pytest.mark.parametrize("base", [0, 1])
def test_where_pixels_count_from_is_told_by_the_layout(drawn, tmp_path, base):
    task, *tables = drawn
    task = replace(task, layout=mk.Layout(key_columns=2, answer="runs", order="F", base=base))
    csv = mk.write_submission(task, *tables, tmp_path / "submission.csv")
    with_text(csv, f"{base} 2400")
    assert mk.check_submission(csv)[0].startswith("All 6")
    with_text(csv, f"{base} 2401")
    with pytest.raises(ValueError, match=rf"expected the last pixel {2399 + base} at most"):
        mk.check_submission(csv)


def test_only_answers_may_be_empty(csv):
    rewritten(csv, lambda rows: [["hand one.png", "", "1 2"], *rows[1:]])
    with pytest.raises(ValueError, match=r"1 rows have an empty cell.*1 of 6 ids are missing"):
        mk.check_submission(csv)


def test_masks_that_are_all_empty_or_all_alike_are_worth_a_word(csv):
    rewritten(csv, lambda rows: [[*row[:-1], ""] for row in rows])
    assert mk.check_submission(csv)[0] == "Careful: every mask is empty."
    rewritten(csv, lambda rows: [[*row[:-1], "1 5"] for row in rows])
    assert mk.check_submission(csv)[0] == "Careful: every mask is the same."


def test_classes_in_another_order_are_noted_or_refused(csv):
    rewritten(csv, lambda rows: [*rows[2::-1], *rows[3:]])
    assert "another order; the contest goes by their ids" in mk.check_submission(csv)[0]
    facts = json.loads(csv.with_suffix(".json").read_text())
    facts["layout"]["by_row"] = True
    csv.with_suffix(".json").write_text(json.dumps(facts))
    words = r"refused: Its order is another, from 'hand one\.png,Ulna, left' on"
    with pytest.raises(ValueError, match=words):
        mk.check_submission(csv)


def test_rows_that_are_missing_are_named(drawn, csv, tmp_path):
    rewritten(csv, lambda rows: rows[:-1])
    words = r"1 of 6 ids are missing, e\.g\. \['hand two\.png,Ulna, left'\]"
    with pytest.raises(ValueError, match=words):
        mk.check_submission(csv)
    with pytest.raises(Refused, match=words):
        board_of(tmp_path, drawn).check(csv.read_bytes())


def test_lines_of_another_width_are_named_by_the_board(drawn, csv, tmp_path):
    board = board_of(tmp_path, drawn)
    text = csv.read_text()
    for found, words in (
        (text.replace("hand one.png,finger-2", "hand one.png"), "1 lines have .* line 3"),
        ("id,class,rle\n", "a header and no rows"),
        (text.replace(",", ";"), "separated by ';'"),
    ):
        with pytest.raises(Refused, match=words):
            board.check(found.encode())


def test_without_its_json_a_table_is_told_by_its_looks(csv):
    csv.with_suffix(".json").unlink()
    with_text(csv, "")
    assert len(mk.check_submission(csv)) == 1
    with_text(csv, "5 2 1")
    with pytest.raises(ValueError, match="'hand one.png,finger-2': an odd count of numbers"):
        mk.check_submission(csv)
    rewritten(csv, lambda rows: [[*row[:-1], "some"] for row in rows[:3]] + rows[3:])
    with pytest.raises(ValueError, match=r"2 ids stand more than once"):
        mk.check_submission(csv)


def test_pixels_are_found_by_how_a_key_begins():
    sizes = {"a": [2, 3], "a,b": [5, 5]}
    assert pixels_of(["a,x", "a,b,y", "a", "a,b", "z"], sizes)[:4].tolist() == [6, 25, 6, 25]
    assert pixels_of(["a"], {})[0] == pixels_of(["z"], sizes)[0] == 2**40


# the board


@pytest.mark.parametrize("kind", ["masks", "exclusive_masks"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_board_tells_the_scores_of_mk_score_to_the_bit(tmp_path, monkeypatch, kind, own, order):
    """By metrics, and by a score of the task's own, which is given units."""
    layout = mk.Layout(key_columns=2, answer="runs", order=order)
    task = mask_task(kind=kind, layout=layout)
    task = own_score(task) if own else task
    monkeypatch.setitem(TASKS, task.name, task)
    drawn = (task, *draw(tmp_path / "data", task))
    csv = mk.write_submission(*drawn, tmp_path / "submission.csv")
    board = board_of(tmp_path, drawn)
    assert board.contest.metrics == (() if own else ("dice", "iou")) and board.greater_is_better
    told = board.score(board.check(csv.read_bytes()))["public"]
    scores = mk.score(*drawn)
    assert 0.2 < scores["dice"] < 0.95 and told == {name: scores[name] for name in told}
    assert list(told) == (list(scores) if own else ["dice", "iou"])


def test_a_board_reads_a_threshold_of_each_class_as_it_was_written(drawn, tmp_path):
    cuts = dict(zip(BONES, (0.2, 0.5, 0.9)))
    csv = mk.write_submission(*drawn, tmp_path / "submission.csv", threshold=cuts)
    board = board_of(tmp_path, drawn, metrics=["dice"])
    told = board.score(board.check(csv.read_bytes()))["public"]
    assert told["dice"] == mk.score(*drawn, threshold=cuts)["dice"]


def test_masks_of_one_class_need_no_name_of_it(tmp_path, monkeypatch):
    usual = mask_task("lungs", ("lung",), layout=mk.Layout(answer="runs"))
    for task in (usual, own_score(usual)):
        monkeypatch.setitem(TASKS, "lungs", task)
        folder = tmp_path / str(task is usual)
        drawn = (task, *draw(folder / "data", task))
        csv = mk.write_submission(*drawn, folder / "submission.csv")
        assert csv.read_text().startswith("id,rle\nhand one.png,")
        board = board_of(folder, drawn, public_share=0.5)
        scores = board.score(board.check(csv.read_bytes()))
        assert list(scores) == ["public", "private"] and board.groups is board.ids


def test_a_board_knows_no_task_and_scores_masks_all_the_same(drawn, csv, tmp_path):
    """As in a process of its own, which knows the kit's contests alone."""
    board = board_of(tmp_path, drawn, task=None)
    assert board.contest.columns == ("id", "class", "rle")
    assert board.contest.metrics == ("dice", "iou") and board.contest.labels == ()
    told = board.score(board.check(csv.read_bytes()))["public"]
    assert told["dice"] == mk.score(*drawn)["dice"]
    with_text(csv, "0 3")  # who knows
    assert board.check(csv.read_bytes())
    with_text(csv, "5 0")
    with pytest.raises(Refused, match=r"'hand one.png,finger-2': .* is '5 0'"):
        board.check(csv.read_bytes())


def test_answers_say_how_large_pictures_are_and_need_not(drawn, csv, tmp_path):
    board = board_of(tmp_path, drawn)
    table = read_answers(tmp_path / "answers.csv")
    assert table[0] == ["id", "rle", "pixels"] and table[1][2] == "2400"
    with_text(csv, "1 2401")
    with pytest.raises(Refused, match="last pixel 2400 at most"):
        board.check(csv.read_bytes())
    other = Answers(board.contest, [row[:2] for row in table], "answers.csv")
    assert other.check(csv.read_bytes())[1] == "1 2401"
    assert other.fingerprint == board.fingerprint
    table[1][2] = "40 x 60"
    with pytest.raises(ValueError, match="pixels of 'hand one.png,finger-1' are '40 x 60'"):
        Answers(board.contest, table, "answers.csv")


def test_true_answers_that_are_no_masks_are_refused(drawn, tmp_path):
    board_of(tmp_path, drawn)
    table = read_answers(tmp_path / "answers.csv")
    contest = read_contest(tmp_path / "contest")
    table[2][1] = "5 2 1"
    with pytest.raises(ValueError, match="a.csv: 1 of 6 answers are no runs .* answer 2: an odd"):
        Answers(contest, table, "a.csv")


def test_answers_are_told_to_be_masks_by_their_looks():
    assert likely(None, ["", "1 2 5 2 9 1", "4 1"]) == "areas"
    for labels in (["1 2", "3 4"], ["3 2 1 0 7 7", "1"], ["1 2 5 2 9 1", "none"], ["", "1"]):
        assert likely(None, labels) == "labels"


def test_an_empty_label_is_still_no_label(tmp_path):
    (tmp_path / "a.csv").write_text("id,label\na,x\nb,\nc,y\nd,x\n")
    with pytest.raises(ValueError, match=r"a.csv: 1 ids have an empty cell, e\.g\. \['b'\]"):
        new_contest(tmp_path / "c", tmp_path / "a.csv")


def test_a_board_takes_files_several_times_the_truth_and_no_more(drawn, csv, tmp_path):
    board_of(tmp_path, drawn)
    noisy = " ".join(f"{k} 1" for k in range(1, 2400, 2))  # of a picture the most that can be
    rewritten(csv, lambda rows: [[*row[:-1], noisy if k < 3 else ""] for k, row in enumerate(rows)])
    live = Board(tmp_path / "contest")
    assert len(csv.read_bytes()) < live.most_bytes < 100_000 < live.contest.most_bytes
    assert live.answers.check(csv.read_bytes())
    with_text(csv, "1 1 " * 30_000)
    with pytest.raises(Refused, match="An answer has 120000 characters .expected at most 100000"):
        live.answers.check(csv.read_bytes())
    with pytest.raises(Refused, match="far larger than 6 rows"):
        live.answers.check(csv.read_bytes() + b"x,y,1 1\n" * 100)
    live.close()


def test_large_masks_raise_the_limit_of_a_file(monkeypatch, tmp_path):
    text = " ".join(f"{k} 1" for k in range(1, 100_000, 2))
    (tmp_path / "a.csv").write_text("id,rle\n" + "".join(f'"{k},a",{text}\n' for k in range(20)))
    contest = new_contest(tmp_path / "c", tmp_path / "a.csv")
    assert contest.most_bytes > 3 * 20 * 2 * len(text) > 20_000_000
    assert Areas([text]).most_cell == 8 * len(text)
    contest = new_contest(tmp_path / "d", tmp_path / "a.csv", most_bytes=1000)
    assert contest.most_bytes == 1000


def test_large_files_are_scored_one_after_the_other(drawn, csv, tmp_path, monkeypatch):
    board_of(tmp_path, drawn)
    live, asked = Board(tmp_path / "contest"), []
    monkeypatch.setattr(live.store, "unscored", lambda count: asked.append(count) or [])
    for most in (10 * live.most_bytes + 1, 1, 10**12):
        monkeypatch.setattr("medkit.leaderboard.board.AT_ONCE_BYTES", most)
        live.catch_up()
    assert asked == [10, 1, 50]
    live.close()


# the split


def test_rows_of_an_image_are_on_one_side(drawn, tmp_path):
    board = board_of(tmp_path, drawn, public_share=0.5, seed=3)
    assert board.is_public.tolist() in ([True] * 3 + [False] * 3, [False] * 3 + [True] * 3)
    task, cases, _ = drawn
    csv = mk.write_submission(*drawn, tmp_path / "submission.csv")
    scores = board.score(board.check(csv.read_bytes()))
    public = cases[[board.is_public[0], board.is_public[3]]]
    assert scores["public"]["dice"] == mk.score(task, public, drawn[2])["dice"]


def test_groups_are_split_like_rows_and_by_how_much_is_in_them():
    ids = [f"{image},{side}" for image in range(1000) for side in "lr"]
    groups = [name.partition(",")[0] for name in ids]
    strata = np.array([[k % 10 == 0, k % 20 == 0] for k in range(1000)]).ravel()
    found = split(ids, strata, 0.3, 5, groups=groups).reshape(1000, 2)
    assert (found[:, 0] == found[:, 1]).all() and found.sum() == 600
    assert found[::20].all(1).sum() == 15 and found[10::20].all(1).sum() == 15
    order = np.random.default_rng(0).permutation(2000)
    mixed = split([ids[k] for k in order], strata[order], 0.3, 5, groups=[groups[k] for k in order])
    assert (mixed == found.ravel()[order]).all()
    single = split(ids, strata, 0.3, 5, groups=ids)
    assert (single == split(ids, strata, 0.3, 5)).all()


def test_areas_are_those_of_the_pixels():
    rng = np.random.default_rng(0)
    masks = rng.random((2, 12, 9, 7)) < 0.4
    masks[:, 0] = False
    texts = [[rle.encode(mask) for mask in each] for each in masks]
    reader = READERS["areas"](texts[0])
    assert reader.truth.tolist() == masks[0].sum((1, 2)).tolist()
    assert reader.read(texts[1])[:, 0].tolist() == masks[1].sum((1, 2)).tolist()
    assert reader.read(texts[1])[:, 1].tolist() == (masks[0] & masks[1]).sum((1, 2)).tolist()
    assert (reader.read(texts[0]) == reader.perfect).all()


def test_a_row_that_names_no_class_cannot_be_scored_by_the_task(drawn, tmp_path, monkeypatch):
    task, cases, _ = drawn
    own = replace(task, score_units=lambda units, threshold=0.5: {"rows": len(units)})
    monkeypatch.setitem(TASKS, task.name, own)
    answers = mk.leaderboard.write_answers(task, cases, tmp_path / "answers.csv")
    answers.write_text(answers.read_text().replace("finger-1", "toe"))
    words = re.escape("row 'hand one.png,toe' names none of the classes finger-1, finger-2, Ulna")
    with pytest.raises(ValueError, match=f"its own labels cannot be scored .{words}"):
        new_contest(tmp_path / "contest", answers, task=task.name, public_share=1.0)
