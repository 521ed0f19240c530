"""Several tables of predictions, or several models, as one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
import pandas as pd

from medkit import files, tables
from medkit.datasets.kinds import Threshold
from medkit.datasets.scoring import judged_units, score_of_rows
from medkit.datasets.task import Head, Task, check_task
from medkit.inference.mask_votes import IN_MEMORY, hard_masks, soft_masks
from medkit.naming import did_you_mean
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_state, save_state

SAME = (  # settings that weights must share to have a mean
    *("task", "model", "image_size", "facts", "region_margin", "region_mask"),
    *("arcface_margin", "arcface_scale", "contrast", "decoder", "decoder_channels"),
    *("decoder_depth", "deep_supervision", "patch_size"),
)


def blend(
    task: Task,
    predictions: Sequence[pd.DataFrame],
    *,
    how: str = "soft",
    weights: Sequence[float] | None = None,
    folder: Path | str | None = None,
) -> pd.DataFrame:
    """One table of predictions out of several, matched by id, in the order of the first.

    Args:
        how: "soft" (mean of the probabilities), "hard" (the class that more than half of the votes
            are for, else the one of the largest mean probability), or "rank" (mean of the ranks of
            each class's probabilities over all cases, from 0 to 1: for scores that only rank; those
            of a case do not add up to 1). Of masks "soft" is the mean of each pixel, "hard" what
            more than half of the models have above one half; a tie is outside.
        weights: of the tables; by default all alike.
        folder: where blended masks are written; by default `blended` in the run folder of the first
            table.

    Raises:
        ValueError: for tables of different ids or classes, or weights that are none.
    """
    check_task(task, "blend")
    tables_, shares = _aligned(task, predictions), _shares(weights, len(predictions))
    ways = {head: _way(head, how) for head in task.heads}
    blended: dict[str, Any] = {"id": list(predictions[0]["id"])}
    for head, combine in ways.items():
        blended.update(combine(head, tables_, shares, folder))
    return pd.DataFrame(blended)


@dataclass(frozen=True)
class Weights:
    """What `choose_weights` found.

    Attributes:
        weights: of the tables, adding up to 1.
        predictions: out-of-fold, by the final weights.
        score: of these; the weights have seen the labels, so it is too good.
        nested: predictions of each fold by weights that were chosen on the other folds.
        nested_score: of these; report this one.
    """

    weights: tuple[float, ...]
    predictions: pd.DataFrame
    score: float
    nested: pd.DataFrame
    nested_score: float

    def __repr__(self) -> str:
        shares = ", ".join(f"{weight:.2f}" for weight in self.weights)
        return f"weights {shares}: {self.nested_score:.4f} nested, {self.score:.4f} on what chose"


def choose_weights(
    task: Task,
    cases: pd.DataFrame,
    predictions: Sequence[pd.DataFrame],
    *,
    metric: str | None = None,
    threshold: Threshold = 0.5,
    rounds: int = 20,
) -> Weights:
    """Greedy weights: again and again the table that helps the score most gets one vote more.

    Args:
        cases: labelled, with `fold`.
        predictions: out-of-fold tables, as `fit_folds` makes them; of cases that a model was
            trained on, its weight would be too large.
        metric: of `metrics.METRICS` or of the task; by default the contest's own score.
        rounds: votes to give.

    Source: Caruana et al., Ensemble selection from libraries of models, ICML 2004.
    """
    check_task(task, "choose_weights")
    if "fold" not in cases:
        raise ValueError("choose_weights: no column 'fold'. Pass the cases of mk.fit_folds.")
    metric = metric or next(iter(task.score(cases, predictions[0])))
    facts = {"metric": metric, "threshold": threshold, "rounds": rounds}
    weights = _greedy(task, cases, predictions, **facts)
    parts = []
    for fold in sorted(cases["fold"].unique()):
        others, held_out = cases[cases["fold"] != fold], cases[cases["fold"] == fold]
        chosen = _greedy(task, others, predictions, **facts)
        of_fold = [table[table["id"].isin(held_out["id"])] for table in predictions]
        parts.append(blend(task, of_fold, weights=chosen))
    blended, nested = blend(task, predictions, weights=weights), pd.concat(parts, ignore_index=True)
    return Weights(
        tuple(float(weight) for weight in weights),
        blended,
        _score(task, cases, blended, metric, threshold),
        nested,
        _score(task, cases, nested, metric, threshold),
    )


def soup(runs: Sequence[Run], folder: Path | str) -> Run:
    """A run folder whose weights are the mean of several runs' best weights.

    The runs have one architecture and, best, one start: fine-tuned from the same weights. From
    different starts a mean of weights is mostly worse than each: compare before you trust it.
    Statistics of BatchNorm are averaged, too.

    Raises:
        ValueError: for runs of different tasks, models or sizes, or a folder that is not empty.
    Source: Wortsman et al., arXiv 2203.05482.
    """
    folder = Path(folder)
    if not len(runs):
        raise ValueError("soup: no run. Pass a list of runs.")
    for run in runs[1:]:
        for name in SAME:
            one, other = getattr(runs[0].config, name), getattr(run.config, name)
            if one != other:
                raise ValueError(
                    f"soup: {runs[0].path} has {name} {one!r}, {run.path} has {other!r}. "
                    "Only weights of one architecture have a mean; use mk.blend for others."
                )
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder}: not empty ({files.listing(folder)}). Choose a new folder.")
    states = [load_state(run.best)[0] for run in runs]
    mean = {
        name: sum(state[name].double() for state in states).div(len(states)).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("task.json", "cases.csv", *(path.name for path in runs[0].path.glob("task_*.py"))):
        files.write_whole(folder / name, (runs[0].path / name).read_bytes())
    facts = json.loads((runs[0].path / "run.json").read_text(encoding="utf-8"))
    fold = facts["fold"] if len({run.fold for run in runs}) == 1 else None
    made_of = [str(run.path) for run in runs]
    files.write_json(folder / "run.json", {**facts, "fold": fold, "soup_of": made_of})
    save_state(folder / "best.safetensors", mean, {"epoch": 0})
    files.write_json(folder / "config.json", replace(runs[0].config, name="soup").to_dict())
    return Run(folder)


def _aligned(task: Task, predictions: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The columns of predictions of each table, in the order of the first."""
    if not len(predictions):
        raise ValueError("blend: no table of predictions. Pass a list of mk.predict's tables.")
    columns = list(task.columns)
    first, values = predictions[0], []
    for number, table in enumerate(predictions):
        missing = [name for name in ["id", *columns] if name not in table]
        if missing:
            raise ValueError(
                f"blend: table {number} has no column {missing[0]!r} (found {list(table)}). "
                f"Pass predictions of the task {task.name!r}."
            )
        if len(table) != len(first) or set(table["id"]) != set(first["id"]):
            odd = sorted(set(table["id"]) ^ set(first["id"]), key=str)
            raise ValueError(
                f"blend: tables 0 and {number} are of different cases ({len(first)} and "
                f"{len(table)} rows, e.g. {odd[:3]}). Predict the same cases with each run."
            )
        values.append(tables.match(first[["id"]], table)[["id", *columns]])
    return values


def _shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    """Weights that add up to 1."""
    shares = np.ones(count) if weights is None else np.asarray(weights, float)
    if (
        len(shares) != count
        or not np.isfinite(shares).all()
        or (shares < 0).any()
        or not shares.sum()
    ):
        raise ValueError(
            f"blend: weights {list(shares)} for {count} tables (expected a number from 0 for each, "
            "and not all 0)."
        )
    return shares / shares.sum()


# (head, tables, shares, folder) -> the head's columns
Combine = Callable[[Head, List[pd.DataFrame], np.ndarray, Any], Dict[str, Any]]


def _of_values(combine: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Combine:
    """A way to combine (tables, N, C) values by shares into (N, C), as a way to combine tables."""

    def columns(head: Head, parts: list[pd.DataFrame], shares: np.ndarray, folder: Any) -> dict:
        values = np.stack([table[list(head.columns)].to_numpy(float) for table in parts])
        return dict(zip(head.columns, combine(values, shares).T))

    return columns


def _mean(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.tensordot(shares, values, 1)


def _mean_rank(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    ranks = [pd.DataFrame(table).rank(pct=True).to_numpy() for table in values]
    return _mean(np.stack(ranks), shares)


def _majority(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """1 for the class that has more than half of the votes, else the largest mean probability."""
    one_hot = np.eye(values.shape[2])
    votes, means = _mean(one_hot[values.argmax(2)], shares), _mean(values, shares)
    has_majority = votes.max(1) > 0.5 + 1e-9
    return one_hot[np.where(has_majority, votes.argmax(1), means.argmax(1))]


BLENDS = {  # of each kind of answer, by how
    "classes": {
        "soft": _of_values(_mean),
        "hard": _of_values(_majority),
        "rank": _of_values(_mean_rank),
    },
    "number": {"soft": _of_values(_mean)},
    "masks": {"soft": soft_masks, "hard": hard_masks},
    "exclusive_masks": {"soft": soft_masks, "hard": hard_masks},
}


def _way(head: Head, how: str) -> Combine:
    """How the tables' answers of a head become one."""
    ways = BLENDS[head.kind]
    every = dict.fromkeys(name for known in BLENDS.values() for name in known)
    if how not in every:
        raise ValueError(
            f"blend: how={how!r} (expected one of {', '.join(every)}).{did_you_mean(how, every)}"
        )
    if how not in ways:
        raise ValueError(
            f"blend: {head.name} is {head.answer.words}; only how={list(ways)[0]!r} has a meaning."
        )
    return ways[how]


def _greedy(
    task: Task,
    cases: pd.DataFrame,
    predictions: Sequence[pd.DataFrame],
    *,
    metric: str,
    threshold: Threshold,
    rounds: int,
) -> np.ndarray:
    """Votes of each table; those that brought nothing better are taken back.

    Where the score has no value (a class is missing), all tables count alike.
    """
    parts = [table[table["id"].isin(cases["id"])] for table in predictions]
    sign = 1 if task.greater_is_better(metric) else -1
    votes, best, kept = np.zeros(len(parts)), -np.inf, np.ones(len(parts))
    for _ in range(rounds):
        tried = [votes + row for row in np.eye(len(parts))]
        found = [
            sign * _score(task, cases, table, metric, threshold)
            for table in (blend(task, parts, weights=w, folder=IN_MEMORY) for w in tried)
        ]
        found = [-np.inf if np.isnan(value) else value for value in found]  # a class is missing
        votes = tried[int(np.argmax(found))]
        if max(found) > best:
            best, kept = max(found), votes
    return kept / kept.sum()


def _score(
    task: Task, cases: pd.DataFrame, predictions: pd.DataFrame, metric: str, threshold: Threshold
) -> float:
    units = judged_units(task, cases, predictions)
    return float(score_of_rows(task, units, metric, threshold)(np.arange(len(units))))
