"""One table, two readers: what the client says of any bytes is what the server says."""

from __future__ import annotations

import csv as csv_reader
import io
import json

import pandas as pd
import pytest
from contests import IDS, TRUTH, table
from hypothesis import HealthCheck, configuration, given, settings
from hypothesis import strategies as st

import medkit as mk
from medkit.files import sha256_file
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.scoring import Answers
from medkit.submission.parsing import csv_rows

GOOD, NUMBERS = table(), [k / 8 for k in range(8)]
LONG_IDS = [*IDS[1:], "x" * 300]  # longer than any label
ODD = {
    "good": (GOOD, True),
    "blank lines between": (GOOD.replace("\n", "\n\n"), True),
    "windows": (GOOD.replace("\n", "\r\n"), True),
    "no last end": (GOOD.rstrip("\n"), True),
    "quoted": ("".join(f'"{line}"\n' for line in GOOD.replace(",", '","').split()), True),
    "another order": (table(TRUTH[::-1], IDS[::-1]), True),
    "nothing": ("", False),
    "spaces": ("  \n \t\n", False),
    "line ends": ("\n" * 20, False),
    "mark": ("\ufeff" + GOOD, False),
    "mark and bytes of latin-1": (b"\xef\xbb\xbf\xe9", False),
    "mark alone": (b"\xef\xbb\xbf", False),
    "mark inside": (GOOD.replace("id", "i\ufeffd"), False),
    "utf-16": (GOOD.encode("utf-16"), False),
    "utf-16 without a mark": (GOOD.encode("utf-16-le"), False),
    "cp949": ("id,decayed\n앞니,1\n".encode("cp949"), False),
    "half a letter": (GOOD.encode() + b"\xec\x95", False),
    "surrogates": (GOOD.encode() + b"\xed\xa0\x80", False),
    "zero": (GOOD + "\0", False),
    "old ends": (GOOD.replace("\n", "\r"), False),
    "one old end": (GOOD + "\r", False),
    "an old end in quotes": (GOOD.replace("front_0", '"front\r0"'), False),
    "end in quotes": (GOOD.replace("front_0", '"front\n0"'), False),
    "open quote": (GOOD.replace("front_0", '"front_0'), False),
    "odd ends": (GOOD.replace("\n", "\x0b"), False),
    "cells by ;": (GOOD.replace(",", ";"), False),
    "far more ends of lines": (GOOD + "\n" * 100, True),
    "some more lines": (GOOD + "\n" * 10, True),
    "far more cells": (GOOD + "," * 1000, False),
    "far more rows": (GOOD * 20, False),
    "long label": (table(["1" * 300, *TRUTH[1:]]), False),
    "longest cell": (table(["1" * 200_000, *TRUTH[1:]]), False),
    "long header": (GOOD.replace("decayed", "d" * 201), False),
    "long first cell": (GOOD.replace("front_0", "f" * 300), False),
    "digits of another script": (table(["١", *TRUTH[1:]]), False),
}


def sides_of(folder, answers):
    """What either side says of bytes: a sentence or more, or "" for a table that it takes."""
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").write_text(answers)
    contest = new_contest(folder / "contest", folder / "a.csv", public_share=1.0)
    server, csv = Answers(contest, read_answers(folder / "a.csv"), "a.csv"), folder / "s.csv"
    layout = {**server._expected["layout"], "by_row": False}
    expected = {**server._expected, "layout": layout, "task": "x", "sha256": "", "filled": []}
    csv.with_suffix(".json").write_text(json.dumps(expected))

    def asked(data):
        csv.write_bytes(data if isinstance(data, bytes) else data.encode())
        told = []
        for ask, begin in (
            (lambda: mk.check_submission(csv), "s.csv would be refused: "),
            (lambda: server.check(csv.read_bytes()), "채점할 수 없습니다. "),
        ):
            try:
                ask()
                told.append("")
            except (ValueError, Refused) as error:
                assert str(error).startswith(begin)
                told.append(str(error)[len(begin) :])
        return told

    return asked


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    configuration.set_hypothesis_home_dir(folder / "hypothesis")
    return {
        "labels": sides_of(folder / "labels", GOOD),
        "numbers": sides_of(folder / "numbers", table(NUMBERS)),
    }


@pytest.mark.parametrize("name", ODD)
def test_both_sides_say_the_same_of_odd_bytes(asked, name):
    data, is_taken = ODD[name]
    for kind in asked:
        client, server = asked[kind](data)
        assert client == server, kind
        assert kind == "numbers" or (client == "") == is_taken, client


def test_what_is_far_too_large_is_not_parsed(asked, monkeypatch):
    monkeypatch.setattr("medkit.submission.parsing.csv_rows", None)
    told = "It is far larger than 8 rows of 2 cells."
    for data in (b"id,decayed\n" + b"a,1\n" * 100, b"id,decayed\n" + b"," * 1000):
        assert asked["labels"](data) == [told, told]


def test_a_number_longer_than_any_is_told_before_it_costs_a_slot(asked):
    for cell in ("0." + "3" * 300, "0" * 150_000 + "1"):
        client, server = asked["numbers"](table([cell, *NUMBERS[1:]]))
        assert client == server and ("An answer has 302" in client or "not a CSV" in client)


def test_an_id_may_be_longer_than_any_label(tmp_path):
    asked = sides_of(tmp_path, table(TRUTH, LONG_IDS))
    assert asked(table(TRUTH, LONG_IDS)) == ["", ""]


pieces = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b'"', b",", b"\xef\xbb\xbf", b"\0", b" ", b"\xff", b"1"]
    ),
)


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 3), pieces), max_size=4))
def test_both_sides_say_the_same_of_any_damage(asked, changes):
    data = GOOD.encode()
    for at, cut, put in changes:
        data = data[:at] + put + data[at + cut :]
    client, server = asked["labels"](data)
    assert client == server


def test_runs_longer_than_pythons_limit_of_cells_are_read():
    before = csv_reader.field_size_limit()
    long = " ".join(f"{k} 1" for k in range(1, 60_000, 2))
    assert len(long) > before
    for text in (f'a,"{long}"\n', f"a,{long}\n"):
        assert csv_rows(f"id,rle\n{text}", ",") == [["id", "rle"], ["a", long]]
    with pytest.raises(csv_reader.Error, match="larger than field limit"):
        csv_rows(text, ",", longest=before)
    assert csv_reader.field_size_limit() == before


@pytest.mark.parametrize(
    "text", ["a,b\r\nc,d", '"a\nb",c\n\n\nd,"e"', "a\n", "", "a\x0bb,\u2028c\n"]
)
def test_rows_are_those_of_pythons_reader(text):
    assert csv_rows(text, ",") == [row for row in csv_reader.reader(io.StringIO(text)) if row]


OWN = {  # tables of a task's own, that neither side may refuse for their size
    "a list in a cell": lambda k: {"id": f"p{k}", "answer": json.dumps(list(range(40)))},
    "text of many lines": lambda k: {"id": f"p{k}", "answer": "one\ntwo\n" * 9},
    "a long remark between": lambda k: {"id": f"p{k}", "remark": "r" * 250, "label": str(k % 2)},
    "many columns between": lambda k: {
        "id": f"p{k}",
        **{f"c{n}": n for n in range(40)},
        "label": str(k % 2),
    },
}


@pytest.mark.parametrize("name", OWN)
def test_a_table_of_ones_own_has_no_limits(tmp_path, name):
    made, csv = pd.DataFrame([OWN[name](k) for k in range(60)]), tmp_path / "s.csv"
    made.to_csv(csv, index=False)
    labels = ["0", "1"] if "label" in made else None
    expected = {"columns": list(made), "ids": list(made["id"]), "labels": labels, "filled": []}
    expected.update(task="own", sha256=sha256_file(csv), layout={})
    csv.with_suffix(".json").write_text(json.dumps(expected))
    assert any("All 60 ids" in note for note in mk.check_submission(csv))


@pytest.mark.parametrize("name", ["a long remark between", "many columns between"])
def test_the_board_takes_a_task_with_columns_of_its_own(tmp_path, name):
    made = pd.DataFrame([OWN[name](k) for k in range(60)])
    made[["id", "label"]].to_csv(tmp_path / "a.csv", index=False)
    contest = new_contest(tmp_path / "c", tmp_path / "a.csv", public_share=1.0, task="caries")
    server = Answers(contest, read_answers(tmp_path / "a.csv"), "a.csv")
    assert server.check(made.to_csv(index=False).encode()) == list(made["label"])
