"""What a model learns from and what it is judged by: folds balanced by label, no group torn, no
picture on two sides."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medkit import files, seeding, tables
from medkit.arguments import check_arguments
from medkit.datasets.counting import label_columns
from medkit.datasets.task import Task
from medkit.errors import ConfigError, DataError, MissingError
from medkit.images import fingerprints
from medkit.naming import did_you_mean

GIANT = 5  # so many groups may become one, or a fourth of them, without a word
PAIR = ("path_a", "path_b")


def assign_folds(
    task: Task,
    cases: pd.DataFrame,
    *,
    n_folds: int = 5,
    seed: int = 0,
    stratify: Iterable[str] | None = None,
) -> pd.DataFrame:
    """A copy with a column `fold`: balanced by label, and no group in two folds.

    Args:
        task: whose labels are balanced; a number in four parts of its range.
        cases: labelled, with `group`.
        stratify: columns to balance by instead.

    Raises:
        ConfigError, DataError: with fewer groups than folds, cases without a group, or columns that
            are not there.

    Example:
        >>> table = mk.assign_folds(task, cases, n_folds=2)
        >>> sorted(table["fold"].unique().tolist())
        [0, 1]
    """
    check_arguments(assign_folds, locals())
    stratify = None if stratify is None else list(stratify)
    from sklearn.model_selection import StratifiedGroupKFold  # a second, when it is needed

    tables.check_columns("assign_folds", cases, ["id", "group"])
    labels, groups = _labels(task, cases, stratify), _shuffled_groups(cases, n_folds, seed)
    single = [name for name in labels if labels[name].nunique() == 1]
    if single and len(single) == len(labels.columns):
        only = labels[single[0]].dropna().iloc[0]
        warnings.warn(
            f"assign_folds: {single[0]!r} has one class only ({only!r}). A model needs two: check "
            "that all labels were read.",
            stacklevel=2,
        )
    folds = np.zeros(len(cases), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare strata; those that matter are told here
        splitter = StratifiedGroupKFold(n_folds)
        for fold, (_, rows) in enumerate(splitter.split(cases, _strata(labels, n_folds), groups)):
            folds[rows] = fold
    for sentence in _missing_labels(labels, folds, n_folds):
        warnings.warn(sentence, stacklevel=2)
    return cases.assign(fold=folds)


def _shuffled_groups(cases: pd.DataFrame, n_folds: int, seed: int) -> np.ndarray:
    """(N,) numbers of the groups, in an order that the seed decides.

    scikit-learn below 1.6 mixes groups up when it shuffles: shuffled names do it instead, alike in
    every version.
    """
    lost = list(cases["id"][cases["group"].isna()])
    if lost:
        raise DataError(
            f"assign_folds: {len(lost)} of {len(cases)} cases have no group, e.g. {lost[:3]}. "
            "Give each a group; its own id, if nothing is known."
        )
    n_groups = cases["group"].nunique()
    if not 2 <= n_folds <= n_groups:
        raise ConfigError(
            f"assign_folds: {n_folds} folds of {n_groups} groups are not possible. "
            f"Use 2 to {n_groups} folds."
        )
    _, codes = np.unique(cases["group"].astype(str), return_inverse=True)
    return seeding.generator("folds", seed).permutation(n_groups)[codes]


def _missing_labels(labels: pd.DataFrame, folds: np.ndarray, n_folds: int) -> list[str]:
    """A sentence for each label that some fold lacks."""
    told = []
    for column in labels:
        counts = pd.crosstab(folds, labels[column].to_numpy()).reindex(range(n_folds), fill_value=0)
        for name in counts.columns[(counts == 0).any()]:
            empty = [int(fold) for fold in counts.index[counts[name] == 0]]
            told.append(
                f"assign_folds: folds {empty} hold no {column} {name!r} "
                f"({int(counts[name].sum())} cases in all). Use fewer folds or another seed."
            )
    return told


def _labels(task: Task, cases: pd.DataFrame, stratify: Sequence[str] | None) -> pd.DataFrame:
    """The columns by which folds are balanced; of numbers, which quarter of them a case is in."""
    if stratify is not None:
        tables.check_columns("assign_folds: stratify", cases, stratify)
        return cases[list(stratify)]
    names = label_columns(task, cases)
    heads = [head for head in task.heads if head.name in names]
    if not heads:
        tables.check_columns(f"assign_folds: {task.name}", cases, [h.name for h in task.heads])
    return cases[names].assign(**{h.name: h.answer.strata(cases[h.name]) for h in heads})


def _strata(labels: pd.DataFrame, n_folds: int) -> pd.Series:
    """The labels of each case as one text; all alike when there is nothing to balance."""
    texts = labels.astype(object).where(labels.notna(), "")
    strata = pd.Series("", labels.index)
    for column in texts:  # .agg("|".join, axis=1) takes seconds where this takes a moment
        strata = strata + "|" + texts[column].astype(str)
    if strata.value_counts().max() < n_folds:  # every class rarer: scikit-learn refuses that
        strata = pd.Series("", labels.index)
    return strata


def split(task: Task, cases: pd.DataFrame, fold: int | None) -> tuple[pd.DataFrame, np.ndarray]:
    """The cases that can be shown to a model, and which of them are held out; without a fold none.

    Raises:
        ConfigError, DataError: no folds, a group on both sides, or a side on which a class is
            missing.
    """
    seen = tables.visible(cases).reset_index(drop=True)
    if fold is None:
        _check_classes(task, seen, "the cases")
        return seen, np.zeros(len(seen), bool)
    tables.check_columns("cases", cases, ["group", "fold"])
    if fold not in set(cases["fold"]):
        raise ConfigError(f"cases: no fold {fold!r} (found {sorted(set(cases['fold']))}).")
    is_held_out = cases["fold"] == fold
    torn = sorted(set(cases["group"][is_held_out]) & set(cases["group"][~is_held_out]))
    if torn:
        raise DataError(
            f"cases: {len(torn)} groups are on both sides of fold {fold}, e.g. {torn[:3]}. "
            "Let mk.assign_folds(task, cases) make the folds; it keeps groups together."
        )
    held_out = (seen["fold"] == fold).to_numpy()
    _check_classes(task, seen[~held_out], "the training cases")
    _check_classes(task, seen[held_out], f"fold {fold}")
    return seen, held_out


def _check_classes(task: Task, rows: pd.DataFrame, side: str) -> None:
    """Refuse cases that lack a column of labels, or a class."""
    for head in task.heads:
        if head.name not in rows:
            raise DataError(
                f"cases: no column {head.name!r}, which {task.name} asks for "
                f"(found {list(rows.columns)}). Read them with the same task."
                f"{did_you_mean(head.name, rows)}"
            )
        head.answer.check_learnt(rows)
        labels = rows[head.name].dropna()
        missing, is_empty = head.answer.missing(labels), not len(labels)
        if missing and not is_empty and len(head.columns) > 2 and side.startswith("fold"):
            warnings.warn(  # its scores are poorer, but there are some
                f"cases: {side} holds no {head.name} {missing[0]!r} ({len(rows)} cases).",
                stacklevel=5,
            )
        elif missing or is_empty:
            what = f"no case labelled {missing[0]!r}" if missing else f"no {head.name}"
            raise DataError(
                f"cases: {side} of {task.name} hold {what} ({len(rows)} cases). Use fewer folds, "
                "another seed of mk.assign_folds, or more cases."
            )


def find_leaks(
    cases: pd.DataFrame, *, other: pd.DataFrame | None = None, near: bool = True
) -> pd.DataFrame:
    """Pairs that would let a model see on one side what it is judged by on the other.

    Args:
        other: a second table; None compares the folds of `cases` with each other, and where there
            are none yet its groups, which folds could part: see `join_groups`.
        near: also look at the pictures for (nearly) the same one; decodes each, small.

    Returns:
        `kind, id_a, id_b, path_a, path_b`, one row a pair of pictures; kinds "same group",
        "same file" and "same picture".

    Example:
        >>> leaks = mk.find_leaks(cases, other=test_cases, near=False)
        >>> len(leaks), list(leaks.columns)
        (0, ['kind', 'id_a', 'id_b', 'path_a', 'path_b'])
    """
    check_arguments(find_leaks, locals())
    tables.check_columns("find_leaks", cases, ["path", "group"])
    parted_by = "fold" if "fold" in cases else "group"
    sides = cases.assign(side=cases[parted_by] if other is None else 0)
    if other is not None:
        sides = pd.concat([sides, other.assign(side=1)], ignore_index=True)
    pictures = sides[sides["path"].notna()].drop_duplicates(["path", "side"]).reset_index(drop=True)
    pairs: dict[tuple[int, int], str] = {}
    if near:
        for a, b in fingerprints.find_similar(list(pictures["path"])):
            pairs[a, b] = "same picture"
    for a, b in fingerprints.find_equal(list(pictures["path"])):
        pairs[a, b] = "same file"
    if other is None:  # numbers of train and test are counted apart
        for a, b in _across(pictures["group"], pictures["side"]):
            pairs.setdefault((a, b), "same group")
    side = pictures["side"].to_numpy()
    has_parts = cases["path"].dropna().duplicated().any()  # a picture then has no id of its own
    names = [Path(p).stem for p in pictures["path"]] if has_parts else list(pictures["id"])
    rows = [
        (kind, *(column[row] for column in (names, pictures["path"]) for row in pair))
        for pair, kind in sorted(pairs.items())
        if side[pair[0]] != side[pair[1]]
    ]
    return pd.DataFrame(rows, columns=["kind", "id_a", "id_b", "path_a", "path_b"])


def join_groups(cases: pd.DataFrame, leaks: pd.DataFrame | Path | str) -> pd.DataFrame:
    """A copy in which twins are of one group, so that no split parts them.

    Pairs are known by their pictures' paths; the groups of both become the one that stands first.
    Join before `assign_folds`, with the same pairs for each split.

    Args:
        leaks: pairs as `find_leaks(cases)` returns them, or the CSV that notebook 01 keeps.

    Raises:
        DataError: when none of the pairs' pictures is among the cases, a column is missing, or a
            case of a pair has no group.
        MissingError: there is no such CSV.

    Example:
        >>> joined = mk.join_groups(cases, mk.find_leaks(cases, near=False))
        >>> joined["group"].equals(cases["group"])
        True
    """
    check_arguments(join_groups, locals())
    if not isinstance(leaks, pd.DataFrame):
        leaks = _kept_leaks(Path(leaks))
    tables.check_columns("join_groups", cases, ["path", "group"])
    tables.check_columns("join_groups: leaks", leaks, PAIR)
    known = set(cases["path"].dropna())
    if len(leaks) and not known & {*leaks["path_a"], *leaks["path_b"]}:
        raise DataError(
            f"join_groups: none of {len(leaks)} pairs is of these cases (e.g. "
            f"{leaks['path_a'].iloc[0]}). Pass the pairs that mk.find_leaks(cases) finds in them."
        )
    own, groups = pd.factorize(cases["group"])
    paths = pd.Index(pd.unique(pd.concat([leaks[name] for name in PAIR])))
    place = paths.get_indexer(cases["path"])  # a path may stand in several groups
    if ((place >= 0) & (own < 0)).any():
        lost = list(cases["id"][(place >= 0) & (own < 0)])
        raise DataError(
            f"join_groups: {len(lost)} cases of the pairs have no group, e.g. {lost[:3]}. Give "
            "each a group; its own id, if nothing is known."
        )
    a = np.concatenate([own[place >= 0], len(groups) + paths.get_indexer(leaks[PAIR[0]])])
    b = len(groups) + np.concatenate([place[place >= 0], paths.get_indexer(leaks[PAIR[1]])])
    size = len(groups) + len(paths)
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(size, size))
    part = connected_components(graph, directed=False)[1][: len(groups)]
    first = pd.Series(groups).groupby(part).first()
    joined = cases["group"].where(own < 0, first[part[own]].to_numpy())
    _tell_giants(cases, joined)
    return cases.assign(group=joined)


def _kept_leaks(path: Path) -> pd.DataFrame:
    """The pairs that notebook 01 keeps beside the runs."""
    if not path.is_file():
        raise MissingError(
            f"{path}: not there (found {files.listing(path.parent)}). Run 01_eda.ipynb to its end, "
            "which writes it."
        )
    return tables.read_csv(path)


def _tell_giants(cases: pd.DataFrame, joined: pd.Series) -> None:
    """Warn of a chain of twins that has swallowed many groups."""
    swallowed = cases["group"].groupby(joined).nunique()
    if len(swallowed) and swallowed.max() > max(GIANT, cases["group"].nunique() / 4):
        warnings.warn(
            f"join_groups: {swallowed.max():,} of {cases['group'].nunique():,} groups are one now, "
            f"{swallowed.idxmax()!r}. Look at mk.show_leaks(leaks): pairs that are no twins should "
            "be left out.",
            stacklevel=3,
        )


def _across(groups: pd.Series, sides: pd.Series) -> list[tuple[int, int]]:
    """For each group on several sides, the first row of each side, in pairs."""
    first = ~pd.DataFrame({"group": groups, "side": sides}).duplicated()
    pairs = []
    for _, rows in groups[first].groupby(groups[first]).groups.items():
        pairs += [(rows[0], row) for row in rows[1:]]
    return pairs
