"""Labels counted: which columns of cases hold some, and how often each occurs."""

from __future__ import annotations

import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets.task import Task
from medkit.tables import check_columns


def label_columns(task: Task, cases: pd.DataFrame) -> list[str]:
    """The columns of labels that cases have: of the heads, and by which else folds are balanced."""
    names = dict.fromkeys([*(head.name for head in task.heads), *task.stratify])
    return [name for name in names if name in cases]


def summarize(task: Task, cases: pd.DataFrame) -> pd.DataFrame:
    """`column, value, cases, share, groups`: how often each label occurs, or quarter of numbers; of
    masks, in how many images each class is.

    Example:
        >>> mk.summarize(task, cases)[["column", "value", "cases"]].head(2)
            column    value  cases
        0  decayed    sound    177
        1  decayed  decayed     52
    """
    check_arguments(summarize, locals())
    check_columns("summarize", cases, ["group"])
    heads, rows = {head.name: head for head in task.heads}, []
    cases = cases.reset_index(drop=True)
    for column in label_columns(task, cases):
        labels = heads[column].answer.counted(task, cases) if column in heads else cases[column]
        unknown = cases.index[cases[column].isna()]
        known = labels.astype(object)[labels.notna().to_numpy()]
        known = known[~known.index.isin(unknown)]
        values = pd.concat([known, pd.Series("(no label)", unknown, dtype=object)])
        for value, count in values.value_counts().items():
            groups = cases["group"].loc[values.index[values == value]].nunique()
            rows.append((column, value, int(count), count / len(cases), groups))
    return pd.DataFrame(rows, columns=["column", "value", "cases", "share", "groups"])
