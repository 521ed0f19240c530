"""The laws that each contest of the kit keeps; a seventh is a row of drawn_contests.CONTRACT."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_contests import SEED, answer, drawn_contest, guess, huge_png
from sklearn.metrics import f1_score
from small_runs import learn

import medkit as mk
from medkit import tables
from medkit.datasets import TASKS
from medkit.datasets.reading import PICTURES
from medkit.datasets.task import from_description
from medkit.files import listing
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.scoring import Answers
from medkit.loading.facts import encode_facts

SPLITS = {"train": "test", "test": "train"}  # and the other one


@pytest.fixture(scope="session", params=TASKS)
def contest(request, tmp_path_factory):
    return drawn_contest(request.param, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", params=[n for n in TASKS if n != "handbone"])
def tabled(request, tmp_path_factory):
    """One whose answers stand in a table; for those of masks see test_handbone.py."""
    return drawn_contest(request.param, tmp_path_factory.getbasetemp())


def chosen(probs):
    """A threshold by which no class is always chosen, and the number of each row's class."""
    each = np.linspace(0.3, 0.5, probs.shape[1])
    if probs.shape[1] > 2:
        return dict(zip(probs, each)), (probs / each).to_numpy().argmax(axis=1)
    middle = float(probs.iloc[:, 1].median())
    return middle, (probs.iloc[:, 1] >= middle).astype(int)


@pytest.mark.parametrize("split", SPLITS)
def test_it_is_read_without_a_word_and_whole(contest, split, tmp_path, monkeypatch):
    task, cases = contest.task, getattr(contest, split)
    monkeypatch.chdir(contest.data.parent)
    again = task.read(contest.data.name, split, verify=True)  # a warning would be an error
    assert list(again["path"]) == list(cases["path"])  # absolute, however DATA is written
    assert tables.cases_hash(again) == tables.cases_hash(cases) and cases["id"].is_unique
    assert {type(text) for name in ("id", "group", "path") for text in cases[name]} == {str}
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in cases["path"])
    for head in task.heads:
        assert not head.answer.missing(cases[head.name]) and cases[head.name].notna().all()
    for fact in task.facts:
        assert set() < set(cases[fact.name].dropna()) <= set(fact.values)
    units = task.to_units(cases)
    assert not task.scored.answer.missing(units["y_true"]) and units["y_true"].notna().all()
    assert units["seen"].all()
    tables.write_cases(cases, tmp_path / "cases.csv", contest.data)
    text = tables.text_columns(cases)
    again = tables.read_cases(tmp_path / "cases.csv", contest.data, text=text)
    assert tables.cases_hash(again) == tables.cases_hash(cases)
    assert list(again["path"]) == list(cases["path"]) and list(again) == list(cases)


def test_train_test_and_folds_share_no_group_and_no_picture(contest):
    assert not set(contest.train["group"]) & set(contest.test["group"])
    near = not contest.task.looks_alike
    assert mk.find_leaks(contest.train, other=contest.test, near=near).empty
    cases = mk.assign_folds(contest.task, contest.train, n_folds=contest.folds, seed=0)
    assert cases.groupby("group")["fold"].nunique().eq(1).all()
    assert set(cases["fold"]) == set(range(contest.folds))


def test_what_is_drawn_stays_when_more_is_drawn(contest, tmp_path):
    contest.task.draw(tmp_path, seed=SEED, **{**contest.drawn, **contest.fewer})
    for path in (path for path in tmp_path.rglob("*") if path.suffix in PICTURES):
        assert path.read_bytes() == (contest.data / path.relative_to(tmp_path)).read_bytes()
    for split in SPLITS:
        few, cases = contest.task.read(tmp_path, split), getattr(contest, split)
        same = cases[cases["id"].isin(few["id"])]
        assert len(few) < len(cases) and tables.cases_hash(few) == tables.cases_hash(same)


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_not_there_is_named(contest, split, tmp_path):
    task, copy, other = contest.task, tmp_path / "dataset", SPLITS[split]
    shutil.copytree(contest.data, copy)
    part = copy / contest.parts[split]
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    words = f"not the layout of the {contest.reader} contest (found {listing(copy)}; expected "
    words += contest.parts[split] + contest.inside
    with pytest.raises(ValueError, match=re.escape(words)):
        task.read(copy, split)
    assert list(task.inspect(copy, other)[0]["id"]) == list(getattr(contest, other)["id"])
    with pytest.raises(FileNotFoundError, match=r"no such folder \(beside it: dataset/\)\. Set DA"):
        task.read(tmp_path / "data", split)
    words = rf"{contest.reader}: split 'val' \(expected one of {contest.splits}\)"
    with pytest.raises(ValueError, match=words):
        task.read(copy, "val")


BROKEN = {"train": (b"", "not a picture"), "test": (huge_png(), "too large to be opened")}


@pytest.mark.parametrize("split", SPLITS)
def test_a_broken_picture_is_told_and_of_the_test_its_rows_are_kept(contest, split, tmp_path):
    task, cases, copy = contest.task, getattr(contest, split), tmp_path / "dataset"
    shutil.copytree(contest.data, copy)
    path = cases["path"].iloc[len(cases) // 2]
    content, words = BROKEN[split]
    (copy / Path(path).relative_to(contest.data)).write_bytes(content)
    with pytest.warns(UserWarning, match=f"1 records of {split} are quarantined.*{words}"):
        found = task.read(copy, split)
    units, lost = task.to_units(found), task.to_units(cases[cases["path"] == path])["id"]
    if split == "train":
        ids = task.to_units(cases)["id"]
        assert list(units["id"]) == list(ids[~ids.isin(lost)]) and units["seen"].all()
        return
    assert list(units["id"]) == contest.rows(copy)
    assert list(units["id"][~units["seen"]]) == list(lost)
    csv = mk.write_submission(task, found, guess(task, found), tmp_path / "submission.csv")
    *_, whole, missing = mk.check_submission(csv)
    assert whole.startswith(f"All {len(units)} ") and "could not be looked at" in missing


def test_the_submission_is_as_the_contest_writes_it_and_any_other_is_refused(tabled, tmp_path):
    contest = tabled
    task, cases, classes = contest.task, contest.test, list(contest.task.scored.classes)
    rows, labels = contest.rows(contest.data), contest.labels[: len(classes)]
    predictions = guess(task, cases)
    units = task.to_units(cases, predictions)
    assert list(units["id"]) == rows
    threshold, codes = chosen(units[classes])
    lines, known = [*contest.header], cases.set_index("id").to_dict("index")
    for id, truth, code in zip(rows, units["y_true"], codes):
        cells = {"id": id, "truth": labels[classes.index(truth)], "label": labels[code]}
        lines.append(contest.line.format(**cells, **known.get(id, {})))
    shuffled = predictions.sample(frac=1, random_state=1)[["id", *task.columns[::-1]]]
    csv = tmp_path / "submission.csv"
    mk.write_submission(task, cases, shuffled, csv, threshold=threshold)
    assert csv.read_text().splitlines() == lines
    keyed = "ids" if task.layout.key_columns else "lines"
    keyed += ", their order" * task.layout.by_row
    told = f"All {len(rows)} {keyed} and labels are as {task.name} wants."
    assert mk.check_submission(csv) == [told]
    key, mark, _ = lines[-1].rpartition(task.layout.separator)
    wrong = {f"1 labels are none of {', '.join(map(str, labels))}": [*lines[:-1], f"{key}{mark}?"]}
    if task.layout.key_columns:
        last = json.loads(csv.with_suffix(".json").read_text(encoding="utf-8"))["ids"][-1]
        wrong[rf"1 of {len(rows)} ids are missing, e\.g\. \['{last}'\]"] = lines[:-1]
        swapped = [*lines[:-2], lines[-1], lines[-2]]
        if task.layout.by_row:
            wrong[f"order is another, from '{last}' on"] = swapped
        else:
            csv.write_text("\n".join(swapped) + "\n")
            assert "in another order; the contest goes by their ids" in mk.check_submission(csv)[0]
    else:
        wrong[rf"It has {len(rows) - 1} lines \(expected {len(rows)}"] = lines[:-1]
    for words, changed in wrong.items():
        csv.write_text("\n".join(changed) + "\n")
        with pytest.raises(ValueError, match=words):
            mk.check_submission(csv)
    words = rf"1 of {len(rows)} \w+ lack a prediction, e\.g\. \['{rows[-1]}'\]"
    with pytest.raises(ValueError, match=words):
        task.submission_table(cases, predictions[:-1])
    with pytest.raises(ValueError, match=f"1 of {len(cases)} ids have none"):
        mk.score(task, cases, predictions[:-1])


def test_the_score_is_scikit_learns(tabled):
    contest = tabled
    task, cases, classes = contest.task, contest.test, list(contest.task.scored.classes)
    predictions = guess(task, cases)
    units = task.to_units(cases, predictions)
    threshold, codes = chosen(units[classes])
    both = units["y_true"].to_numpy(), np.array(classes)[codes]
    each = f1_score(*both, labels=classes, average=None, zero_division=0)
    wanted = {contest.score: contest.by_hand(*both, each), "accuracy": (both[0] == both[1]).mean()}
    wanted.update({f"f1_{name}": f1 for name, f1 in zip(classes, each) if contest.each})
    shuffled = predictions.sample(frac=1, random_state=0)
    found = mk.score(task, cases, shuffled, threshold=threshold)
    assert next(iter(found)) == contest.score  # the contest's own stands first
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=contest.within)


def test_the_answers_score_best_here_and_on_a_leaderboard(tabled, tmp_path):
    contest = tabled
    task, cases, right = contest.task, contest.test, answer(contest.task, contest.test)
    best = pytest.approx(1, abs=contest.within)
    assert mk.score(task, cases, right)[contest.score] == best
    for number in range(max(len(head.classes) for head in task.heads)):  # one class for all
        assert mk.score(task, cases, answer(task, cases, number))[contest.score] < 0.7
    csv = mk.write_submission(task, cases, right, tmp_path / "submission.csv")
    truth = mk.leaderboard.write_answers(task, cases, tmp_path / "answers.csv")
    rules = new_contest(tmp_path / "board", truth, task=task.name, public_share=0.5)
    board = Answers(rules, read_answers(truth), truth)
    scores = board.score(board.check(csv.read_bytes()))
    assert [next(iter(part.items())) for part in scores.values()] == [(contest.score, best)] * 2


def test_the_board_takes_of_odd_bytes_what_the_check_takes(tabled, tmp_path):
    task, cases = tabled.task, tabled.test
    right = answer(task, cases)
    csv = mk.write_submission(task, cases, right, tmp_path / "submission.csv")
    truth = mk.leaderboard.write_answers(task, cases, tmp_path / "answers.csv")
    rules = new_contest(tmp_path / "board", truth, task=task.name, public_share=1.0)
    board, good = Answers(rules, read_answers(truth), truth), csv.read_bytes()
    first, cut = good.split(b"\n", 1)[0], good[: len(good) // 2]
    odd = [b"", b" \n" * good.count(b"\n"), b"\n\n", cut, good + first, good + b"\0", good * 9]
    odd += [b"\xef\xbb\xbf" + good, good + b"\xff", good.decode().encode("utf-16")]
    odd += [good.replace(b"\n", end) for end in (b"\r", b"\r\n", b"\n\n", b";")]
    odd += [good + b"\n" * (2 * len(good)), good.rstrip(b"\n"), first + b"," * len(good) * 9]
    for data in (good, *odd):
        csv.write_bytes(data)
        told = [said_by(mk.check_submission, csv), said_by(board.check, data)]
        assert bool(told[0]) == bool(told[1]), (data[:80], told)


def said_by(check, *args):
    """What is wrong with a table; "" when it is taken."""
    try:
        return check(*args) and ""
    except (ValueError, Refused) as error:
        return str(error)


def test_mirroring_twice_is_the_identity(contest):
    task, there = contest.task, {}
    assert set(task.mirror) <= {"horizontal", "vertical"}
    for fact in task.facts:
        other = {value: fact.mirrored.get(value, value) for value in fact.values}
        assert set(fact.mirrored) <= set(other) and all(other[other[v]] == v for v in other)
        there[fact.name] = contest.train[fact.name].map(other)
    plain, mirrored = encode_facts(task, contest.train, list(there))
    again = encode_facts(task, contest.train.assign(**there), list(there))
    assert torch.equal(again[0], mirrored) and torch.equal(again[1], plain)


def test_it_describes_itself_in_json(contest):
    task, told = contest.task, json.loads(json.dumps(contest.task.describe()))
    again = from_description(told, **task.own)
    assert again.describe() == told and again.own == task.own
    for name, value in vars(task).items():
        assert callable(value) or getattr(again, name) == value, name


def test_something_is_learnt_from_the_drawn_pictures(contest, tmp_path):
    task, cases = (
        contest.task,
        mk.assign_folds(contest.task, contest.train, n_folds=contest.folds, seed=0),
    )
    settings = {"best_by": contest.score, **contest.training}
    run = learn(task.name, cases, tmp_path / "run", **settings)
    known = ["file_sha"] if task.scored.answer.lies_in == "files" else []
    assert list(run.predictions) == ["id", *task.columns, *known]
    test = mk.predict(run, contest.test, views="all", device="cpu")
    unseen = (cases[cases["fold"] == 0], run.predictions), (contest.test, test)
    scores = pd.DataFrame([mk.score(task, *both) for both in unseen]).mean()
    for name, least in contest.learnt.items():
        assert scores[name] > least, (name, scores[name])
    mk.check_submission(mk.write_submission(task, contest.test, test, tmp_path / "submission.csv"))
