from __future__ import annotations

import pytest
from tiny_tables import make

import medkit as mk
from medkit.datasets.counting import label_columns

TASK = mk.get_task("caries")


def test_the_summary_counts_cases_and_groups():
    cases = make(6, per_group=2)
    cases["decayed"] = ["sound", "sound", "sound", "decayed", None, None]
    found = mk.summarize(TASK, cases).set_index("value")
    assert found.loc["sound", ["cases", "groups"]].tolist() == [3, 2]
    assert found.loc["(no label)", "share"] == pytest.approx(1 / 3)


def test_labels_are_what_the_task_says():
    cases = make(4).drop(columns="region").assign(box=[[0, 0, 5, 9]] * 4, side=list("lrlr"))
    assert label_columns(TASK, cases) == ["decayed"]
    assert label_columns(TASK, cases.assign(photo_decayed="sound"))[1:] == ["photo_decayed"]
