from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

import medkit as mk
from medkit.loading.labels import TableLabels, label_type

TASK = mk.Task(
    "own",
    "own",
    "me",
    (mk.Head("kind", ("a", "b", "c")), mk.Head("age"), mk.Head("sex", ("f", "m"))),
)
CASES = pd.DataFrame({"id": list("xyz"), "kind": ["c", None, "a"], "age": [3, 4.5, None]})


def test_labels_are_numbers_with_gaps_where_they_are_missing():
    labels = TableLabels(TASK, CASES)
    wanted = torch.tensor([[2, 3, math.nan], [math.nan, 4.5, math.nan], [0, math.nan, math.nan]])
    assert torch.equal(labels[:].nan_to_num(-1), wanted.nan_to_num(-1))
    assert labels[0].dtype == torch.float32 and labels[[2, 0]].shape == (2, 3)
    known = TableLabels.known(labels[:])
    assert known.tolist() == [[True, True, False], [False, True, False], [True, False, False]]
    assert label_type(TASK) is TableLabels


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("kind", "d", "kind: 1 of 3 labels are none of its classes, e.g. 'd' .*'a', 'b', 'c'"),
        ("age", "old", "age: 1 of 3 labels are no numbers, e.g. 'old' .*number_columns"),
    ],
)
def test_labels_that_are_none_are_named(column, value, words):
    wrong = CASES.astype(object).assign(**{column: [value, None, CASES[column][2]]})
    with pytest.raises(ValueError, match=words):
        TableLabels(TASK, wrong)
