from __future__ import annotations

import json
import stat
from datetime import datetime, timezone

import pytest
from contests import TRUTH, make_contest, table

from medkit import files
from medkit.leaderboard.contest import Contest, held, read_answers, read_contest
from medkit.leaderboard.founding import new_contest


def test_a_folder_holds_rules_and_answers_for_the_organiser_alone(tmp_path):
    folder = make_contest(tmp_path / "대회", closes="2026-11-27T18:00:00+09:00")
    contest = read_contest(folder)
    assert contest.labels == ("0", "1") and contest.columns == ("id", "decayed")
    assert contest.closing == datetime(2026, 11, 27, 9, tzinfo=timezone.utc)
    assert (folder / "answers.csv").read_text() == table()
    for name in ("contest.json", "answers.csv", "contest.sqlite"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_two_contests_of_the_same_answers_are_split_differently(tmp_path):
    seeds = {read_contest(make_contest(tmp_path / str(k), seed=None)).seed for k in range(2)}
    assert len(seeds) == 2


def test_any_table_with_an_id_and_a_label_will_do(tmp_path):
    text = "age,label,image\n4,병변,001\n5,정상,002\n6,병변,NA\n7,정상,004\n"
    (tmp_path / "a.csv").write_text("\ufeff" + text, encoding="utf-8")
    contest = new_contest(
        tmp_path / "c", tmp_path / "a.csv", id_column="image", label_column="label"
    )
    assert contest.columns == ("image", "label") and contest.labels == ("병변", "정상")
    assert [row[0] for row in read_answers(tmp_path / "c" / "answers.csv")[1:]] == [
        "001",
        "002",
        "NA",
        "004",
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"metrics": ["f2"]}, r"metrics \['f2'\] \(expected some of f1_macro"),
        ({"closes": "tomorrow"}, r"closes 'tomorrow' is no time with a zone. Write it like"),
        ({"closes": "2026-11-27T18:00:00"}, "no time with a zone"),
        (
            {"opens": "2026-11-28T00:00:00Z", "closes": "2026-11-27T00:00:00Z"},
            "opens .* is not before closes",
        ),
        ({"public_share": 0}, "public_share 0"),
        ({"counts": "median"}, "expected 'best' or 'last'"),
        ({"members": (4, 2)}, r"members \[4, 2\]"),
        ({"limit": 0}, "limit 0"),
        ({"zone": "Mars/Base"}, "unknown zone 'Mars/Base'"),
        ({"task": "teeth"}, "unknown task 'teeth'"),
        ({"metrics": ["auc", "mae"]}, "want different answers"),
    ],
)
def test_rules_that_cannot_be_are_refused(tmp_path, rules, words):
    with pytest.raises(ValueError, match=words):
        make_contest(tmp_path / "c", **rules)
    assert not (tmp_path / "c" / "contest.json").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (table([1] * 8), r"1 different labels \['1'\] \(expected at least 2"),
        (table(["", *TRUTH[1:]]), r"1 ids have an empty cell, e\.g\. \['front_0'\]"),
        (table() + "front_3,1\n", r"1 ids stand more than once, e\.g\. \['front_3'\]"),
        ("id\na\n", r"columns \['id'\] \(expected an id and a label\)"),
        (table(TRUTH[:2]), r"2 rows cannot be split, .* \(1: no private part\)"),
    ],
)
def test_answers_that_cannot_score_are_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        make_contest(tmp_path / "c", text)
    assert not (tmp_path / "c" / "contest.json").exists()


def test_a_column_that_is_not_there_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(table())
    with pytest.raises(ValueError, match=r"no column 'y' \(found \['id', 'decayed'\]\)"):
        new_contest(tmp_path / "c", tmp_path / "a.csv", label_column="y")


def test_a_folder_is_not_overwritten_and_a_wrong_one_is_named(tmp_path):
    make_contest(tmp_path / "c")
    with pytest.raises(ValueError, match="holds a contest already"):
        make_contest(tmp_path / "c")
    with pytest.raises(FileNotFoundError, match=r"no contest .*Make one: python -m"):
        read_contest(tmp_path / "other")
    for text, words in (
        ('{"name": "x", "colour": 1}', "colour"),
        ("[", "Expecting"),
        ("{}", "seed"),
    ):
        (tmp_path / "c" / "contest.json").write_text(text)
        with pytest.raises(ValueError, match=f"not a contest's rules .*{words}"):
            read_contest(tmp_path / "c")


def test_rules_survive_being_written(tmp_path):
    contest = read_contest(make_contest(tmp_path / "c", window_s=3600.0))
    assert json.loads((tmp_path / "c/contest.json").read_text())["zone"] is None
    assert contest == Contest(**json.loads((tmp_path / "c/contest.json").read_text()))
    assert str(contest.quota()) == "10 in any 1:00:00"


def test_a_contest_on_a_disk_without_locks_is_not_served(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "lock", lambda handle, *, wait_s: False)
    with pytest.raises(RuntimeError, match="no locks, .* counted twice. Put the contest on a loc"):
        with held(tmp_path):
            pass
