"""The two tables: read and written exactly, matched by id, split by group, checked for leaks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from medkit import files, seeding
from medkit.images import fingerprints
from medkit.naming import did_you_mean

TEXT = ("id", "group", "photo", "path", "view", "tooth_number")  # columns that stay text
QUARTERS = ("low", "below", "above", "high")  # of the values of a number
PARTS = ("region", "box")  # columns that say which part of its picture a case is
NOT_LABELS = (*TEXT, *PARTS, "side", "file", "fold", "years", "epoch")
_EXACT = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}  # 3 is exact as it is


def read_csv(path: Path | str, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV as it was written: ids stay text, "NA" stays "NA", floats keep their bits.

    Args:
        text: more columns that stay text, such as labels "0" and "1".

    Raises:
        FileNotFoundError, ValueError: naming the file, and what is wrong with it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such table (found {files.listing(Path(path).parent)}). Check its name."
        )
    try:
        header = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        return _parsed(path, header, text)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not UTF-8 (found byte {error.object[error.start]:#x}). "
            'Save it as "CSV UTF-8"; older Korean programs write cp949.'
        ) from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(
            f"{path}: not a table ({str(error).strip()}). Look at the file."
        ) from error


def _parsed(csv: Any, header: Sequence[str], text: Sequence[str]) -> pd.DataFrame:
    return pd.read_csv(
        csv,
        dtype={name: object for name in header if name in TEXT or name in text},
        keep_default_na=False,
        na_values={name: [""] for name in header},
        encoding="utf-8-sig",
        **_EXACT,
    )


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as UTF-8 with "\\n", whole or not at all; floats so that they read back."""
    files.write_whole(Path(path), table.to_csv(index=False, lineterminator="\n"))


def write_cases(cases: pd.DataFrame, path: Path | str, data: Path | str) -> None:
    """Write cases with paths relative to the data folder, regions and boxes as JSON."""
    data = Path(os.path.abspath(data))
    write_csv(_flat(cases.assign(path=[_relative(value, data) for value in cases["path"]])), path)


def text_columns(cases: pd.DataFrame) -> list[str]:
    """The columns that hold text, whatever it looks like, and those that hold nothing."""
    return [
        str(name)
        for name in cases
        if not pd.api.types.is_numeric_dtype(cases[name])
        and (any(isinstance(cell, str) for cell in cases[name]) or cases[name].isna().all())
    ]


def read_cases(path: Path | str, data: Path | str, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Cases that `write_cases` wrote, with absolute paths below `data`.

    Args:
        text: the columns that were text; see `text_columns`.
    """
    table, data = read_csv(path, text=text), os.path.abspath(data)
    for name in table:
        if pd.api.types.is_object_dtype(table[name]):
            table[name] = table[name].where(table[name].notna(), None)
    table["path"] = [path and os.path.join(data, path) for path in table["path"]]
    part = part_column(table)
    if part:
        values = [None if _is_missing(text) else json.loads(text) for text in table[part]]
        table[part] = pd.Series(values, table.index, dtype=object)
    return table


def cases_hash(cases: pd.DataFrame) -> str:
    """SHA-256 over everything of the cases but where their pictures lie.

    Of the cells as `read_cases` would give them back: on the way through a CSV whole numbers of a
    column with gaps become floats, groups become text, and every gap is the same.
    """
    cases, part = cases.rename(columns=str), part_column(cases)
    flat = cases.drop(columns=["path", part] if part else "path")
    csv = io.StringIO(flat.to_csv(index=False))
    table = _parsed(csv, list(flat.columns), text_columns(cases))
    columns = {n: cases[n] if n == part else table[n] for n in cases if n != "path"}
    rows = {
        name: [None if _is_missing(cell) else cell for cell in column.tolist()]
        for name, column in columns.items()
    }
    return hashlib.sha256(json.dumps(rows, default=files.plain).encode()).hexdigest()


def earlier_hash(cases: pd.DataFrame) -> str:
    """As version 0.1 hashed cases, with whose runs and searches this one goes on."""
    table = cases.drop(columns="path").reset_index(drop=True)
    rows = table.where(table.notna(), None).to_dict("list")
    plain = {"default": lambda v: v.item() if isinstance(v, np.generic) else str(v)}
    return hashlib.sha256(json.dumps(rows, **plain).encode()).hexdigest()


def _flat(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases as cells of a CSV: a region or box as JSON."""
    part = part_column(cases)
    if part is None:
        return cases
    texts = [None if _is_missing(v) else json.dumps(v, default=files.plain) for v in cases[part]]
    return cases.assign(**{part: pd.Series(texts, cases.index, dtype=object)})


def visible(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases that a model can be shown: with a picture and, where parts are meant, a part."""
    keep, part = cases["path"].notna(), part_column(cases)
    return cases[keep & cases[part].notna()] if part else cases[keep]


def counted(cases: pd.DataFrame) -> str:
    """How many cases there are, in words that explain what else is counted.

    A photo in which no tooth is marked is a case, and one of the photos; it is no tooth, nothing is
    learned from it, and in the test it is taken for sound.
    """
    part, text = part_column(cases), f"{len(cases):,} cases"
    unread = int(cases["path"].isna().sum())
    unmarked = int((cases["path"].notna() & cases[part].isna()).sum()) if part else 0
    pieces = [f"{unmarked:,} of them without a marked part"] * bool(unmarked)
    pieces += [f"{unread:,} without a picture"] * bool(unread)
    return f"{text} ({' and '.join(pieces)})" if pieces else text


def part_column(cases: pd.DataFrame) -> str | None:
    """The column that says which part of its picture a case is; None where it is the whole.

    "region" is a polygon, shown with a margin around it. "box" is (left, top, right, bottom) in
    pixels, beyond which nothing is shown: its part of the picture is the case's picture.

    Raises:
        ValueError: when there are both.
    """
    there = [name for name in PARTS if name in cases]
    if len(there) > 1:
        raise ValueError(
            "cases: they have both a 'region' and a 'box' (expected one of them). "
            "Drop the column that does not say what the model is shown."
        )
    return there[0] if there else None


def match(cases: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Cases with their predictions beside them, matched by id, in the order of the cases.

    Columns of one name get "_x" (cases) and "_y" (predictions).

    Raises:
        ValueError: when an id is doubled, or has no prediction.
    """
    for name, table in (("cases", cases), ("predictions", predictions)):
        doubled = table["id"][table["id"].duplicated()].unique()
        if len(doubled):
            raise ValueError(
                f"{name}: {len(doubled)} ids stand more than once, e.g. {list(doubled[:3])}. "
                "Keep one row for each id."
            )
    missing = cases["id"][~cases["id"].isin(predictions["id"])]
    if len(missing):
        raise ValueError(
            f"predictions: {len(missing)} of {len(cases)} ids have none, e.g. {list(missing[:3])}. "
            "Predict the same cases that are scored."
        )
    return cases.merge(predictions, on="id", how="left", validate="one_to_one")


def assign_folds(
    task: Any,
    cases: pd.DataFrame | None = None,
    *,
    n_folds: int = 5,
    seed: int = 0,
    stratify: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A copy with a column `fold`: balanced by label, and no group in two folds.

    Args:
        task: whose labels are balanced; a number in four parts of its range.
        cases: labelled, with `group`.
        stratify: columns to balance by instead.

    Raises:
        ValueError: with fewer groups than folds, cases without a group, or columns that are not
            there.
    """
    if isinstance(task, pd.DataFrame):
        warnings.warn(
            "assign_folds(cases) balances by whatever looks like a label, and will be gone in the "
            "next version. Write assign_folds(task, cases): the task knows its labels.",
            FutureWarning,
            stacklevel=2,
        )
        task, cases = None, task
    labels = _labels(task, cases, stratify)
    lost = list(cases["id"][cases["group"].isna()])
    if lost:
        raise ValueError(
            f"assign_folds: {len(lost)} of {len(cases)} cases have no group, e.g. {lost[:3]}. "
            "Give each a group; its own id, if nothing is known."
        )
    n_groups = cases["group"].nunique()
    if not 2 <= n_folds <= n_groups:
        raise ValueError(
            f"assign_folds: {n_folds} folds of {n_groups} groups are not possible. "
            f"Use 2 to {n_groups} folds."
        )
    strata = _strata(labels, n_folds)
    single = [name for name in labels if labels[name].nunique() == 1]
    if single and len(single) == len(labels.columns):
        only = labels[single[0]].dropna().iloc[0]
        warnings.warn(
            f"assign_folds: {single[0]!r} has one class only ({only!r}). A model needs two: check "
            "that all labels were read.",
            stacklevel=2,
        )
    # scikit-learn below 1.6 mixes groups up when it shuffles: shuffled names do it instead, alike
    # in every version
    _, codes = np.unique(cases["group"].astype(str), return_inverse=True)
    groups = seeding.generator("folds", seed).permutation(n_groups)[codes]
    splitter = StratifiedGroupKFold(n_folds)
    folds = np.zeros(len(cases), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare strata; those that matter are told here
        for fold, (_, rows) in enumerate(splitter.split(cases, strata, groups)):
            folds[rows] = fold
    for column in labels:
        counts = pd.crosstab(folds, labels[column].to_numpy()).reindex(range(n_folds), fill_value=0)
        for name in counts.columns[(counts == 0).any()]:
            empty = [int(fold) for fold in counts.index[counts[name] == 0]]
            warnings.warn(
                f"assign_folds: folds {empty} hold no {column} {name!r} "
                f"({int(counts[name].sum())} cases in all). Use fewer folds or another seed.",
                stacklevel=2,
            )
    return cases.assign(fold=folds)


def _labels(task: Any, cases: pd.DataFrame, stratify: Sequence[str] | None) -> pd.DataFrame:
    """The columns by which folds are balanced; of numbers, which quarter of them a case is in."""
    if stratify is not None:
        _check_columns("assign_folds: stratify", cases, stratify)
        return cases[list(stratify)]
    if task is None:
        names = label_columns(cases)
        return cases[names or [c for c in cases if c not in NOT_LABELS and cases[c].nunique() == 1]]
    heads = [head for head in task.heads if head.name in cases]
    if not heads:
        _check_columns(f"assign_folds: {task.name}", cases, [head.name for head in task.heads])
    names = [*(head.name for head in heads), *(name for name in task.stratify if name in cases)]
    labels = cases[names].copy()
    for head in heads:
        if not head.classes:
            values = pd.to_numeric(cases[head.name], errors="coerce")
            ranks = values.rank(pct=True)
            quarters = np.select([ranks <= k / 4 for k in (1, 2, 3, 4)], QUARTERS, None)
            labels[head.name] = quarters if values.nunique() > 1 else None
    return labels


def _check_columns(where: str, table: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(
            f"{where}: no column {missing[0]!r} (found {', '.join(map(str, table))})."
            f"{did_you_mean(missing[0], table)}"
        )


def _strata(labels: pd.DataFrame, n_folds: int) -> pd.Series:
    """The labels of each case as one text; all alike when there is nothing to balance."""
    texts = labels.astype(object).where(labels.notna(), "")
    strata = pd.Series("", labels.index)
    for column in texts:  # .agg("|".join, axis=1) takes seconds where this takes a moment
        strata = strata + "|" + texts[column].astype(str)
    if strata.value_counts().max() < n_folds:  # every class rarer: scikit-learn refuses that
        strata = pd.Series("", labels.index)
    return strata


def label_columns(cases: pd.DataFrame) -> list[str]:
    """The columns that look like labels: 2 to 20 values, and not among the known others."""
    names = [name for name in cases.columns if name not in NOT_LABELS]
    return [name for name in names if 2 <= cases[name].nunique() <= 20]


def summarize(cases: pd.DataFrame) -> pd.DataFrame:
    """`column, value, cases, share, groups`: how often each label occurs."""
    rows = []
    for column in label_columns(cases):
        values = cases[column].astype(object).where(cases[column].notna(), "(no label)")
        for value, count in values.value_counts().items():
            groups = cases["group"][values == value].nunique()
            rows.append((column, value, int(count), count / len(cases), groups))
    return pd.DataFrame(rows, columns=["column", "value", "cases", "share", "groups"])


def find_leaks(
    cases: pd.DataFrame, *, other: pd.DataFrame | None = None, near: bool = True
) -> pd.DataFrame:
    """Pairs that would let a model see on one side what it is judged by on the other.

    Args:
        other: a second table; None compares the folds of `cases` with each other.
        near: also look at the pictures for (nearly) the same one; decodes each, small.

    Returns:
        `kind, id_a, id_b, path_a, path_b`, one row a pair of pictures; kinds "same group",
        "same file" and "same picture".
    """
    if other is None and "fold" not in cases:
        raise ValueError("find_leaks: no column 'fold'. Call assign_folds first, or pass other=...")
    sides = cases.assign(side=cases["fold"] if other is None else 0)
    if other is not None:
        sides = pd.concat([sides, other.assign(side=1)], ignore_index=True)
    pictures = sides[sides["path"].notna()].drop_duplicates(["path", "side"]).reset_index(drop=True)
    pairs: dict[tuple[int, int], str] = {}
    if near:
        for a, b in fingerprints.find_similar(list(pictures["path"])):
            pairs[a, b] = "same picture"
    for a, b in _equal_files(list(pictures["path"])):
        pairs[a, b] = "same file"
    if other is None:  # numbers of train and test are counted apart
        for a, b in _across(pictures["group"], pictures["side"]):
            pairs.setdefault((a, b), "same group")
    side, name = pictures["side"].to_numpy(), "photo" if "photo" in pictures else "id"
    rows = [
        (kind, *(pictures[column][row] for column in (name, "path") for row in pair))
        for pair, kind in sorted(pairs.items())
        if side[pair[0]] != side[pair[1]]
    ]
    return pd.DataFrame(rows, columns=["kind", "id_a", "id_b", "path_a", "path_b"])


def _across(groups: pd.Series, sides: pd.Series) -> list[tuple[int, int]]:
    """For each group on several sides, the first row of each side, in pairs."""
    first = ~pd.DataFrame({"group": groups, "side": sides}).duplicated()
    pairs = []
    for _, rows in groups[first].groupby(groups[first]).groups.items():
        pairs += [(rows[0], row) for row in rows[1:]]
    return pairs


def _equal_files(paths: list[str]) -> list[tuple[int, int]]:
    """Pairs of rows whose files hold the same bytes; only files of one size are read."""
    by_size: dict[int, list[int]] = {}
    for row, path in enumerate(paths):
        by_size.setdefault(Path(path).stat().st_size, []).append(row)
    pairs = []
    for rows in by_size.values():
        seen: dict[str, int] = {}
        for row in rows if len(rows) > 1 else ():
            digest = files.sha256_file(Path(paths[row]))
            if digest in seen:
                pairs.append((seen[digest], row))
            seen.setdefault(digest, row)
    return pairs


def _relative(path: Any, data: Path) -> str | None:
    if _is_missing(path):
        return None
    try:
        return Path(os.path.abspath(path)).relative_to(data).as_posix()
    except ValueError as error:
        raise ValueError(
            f"{path}: not below the data folder {str(data)!r}. Pass the folder above all pictures."
        ) from error


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
