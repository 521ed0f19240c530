"""Several tables of predictions, or several models, as one."""

from __future__ import annotations

import json
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping, NamedTuple, Sequence

import numpy as np
import pandas as pd

from medkit import files, tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Head, Task
from medkit.errors import ConfigError, DataError
from medkit.inference.mask_votes import hard_masks, soft_masks
from medkit.naming import did_you_mean
from medkit.runs.folder import Run

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
    more_than: float = 0.5,
    threshold: Threshold | Sequence[Threshold] = 0.5,
    smallest: int = 0,
    folder: Path | str | None = None,
) -> pd.DataFrame:
    """One table of predictions out of several, matched by id, in the order of the first.

    Args:
        how: "soft" (mean of the probabilities), "hard" (the class that more than half of the votes
            are for, else the one of the largest mean probability), or "rank" (mean of the ranks of
            each class's probabilities over all cases, from 0 to 1: for scores that only rank; those
            of a case do not add up to 1). Of masks "soft" is the mean of each pixel, "hard" what
            more than half of the models have inside at the picture's own size: decided, the same
            at every threshold.
        weights: of the tables; by default all alike.
        more_than: of a hard vote, the share of the weights that is not enough; a tie is outside.
        threshold: of a hard vote of masks, one for all tables or a list of one each.
        smallest: of a hard vote of masks, the pixels, at the picture's own size, of the smallest
            part of a mask that stays; 0 keeps all.
        folder: where blended masks are written; by default `blended` in the run folder of the first
            table. None of the masks that are voted on may lie there.

    Raises:
        ConfigError, DataError: for tables of different ids, classes or pictures, weights that are
            none, or a setting that has no meaning for this vote.

    Example:
        >>> both = mk.blend(task, [predictions, predictions], weights=[2, 1])
        >>> both["decayed"].round(6).equals(predictions["decayed"].round(6))
        True
    """
    check_arguments(blend, locals())
    parts, shares = aligned(task, predictions), _shares(weights, len(predictions))
    asked = {"more_than": more_than, "threshold": threshold, "smallest": smallest}
    ways = {head: _way(head, how, asked) for head in task.heads}
    blended: dict[str, Any] = {"id": list(predictions[0]["id"])}
    for head, way in ways.items():
        taken = {name: asked[name] for name in way.takes}
        blended.update(way.combine(head, parts, shares, folder, **taken))
    return pd.DataFrame(blended)


def soup(runs: Iterable[Run], folder: Path | str) -> Run:
    """A run folder whose weights are the mean of several runs' best weights.

    The runs have one architecture and, best, one start: fine-tuned from the same weights. From
    different starts a mean of weights is mostly worse than each: compare before you trust it.
    Statistics of BatchNorm are averaged, too.

    Raises:
        ConfigError: for runs of different tasks, models or sizes, or a folder that is not empty.
    Source: Wortsman et al., arXiv 2203.05482.

    Example:
        >>> mixed = mk.soup(runs, "runs/soup")
        >>> list(mk.predict(mixed, test_cases, progress=False).columns)
        ['id', 'sound', 'decayed']
    """
    check_arguments(soup, locals())
    from medkit.runs.tensor_files import load_state, save_state  # torch: a vote needs none

    runs, folder = list(runs), Path(folder)
    if not runs:
        raise ConfigError("soup: no run. Pass a list of runs.")
    for run in runs[1:]:
        for name in SAME:
            one, other = getattr(runs[0].config, name), getattr(run.config, name)
            if one != other:
                raise ConfigError(
                    f"soup: {runs[0].path} has {name} {one!r}, {run.path} has {other!r}. "
                    "Only weights of one architecture have a mean; use mk.blend for others."
                )
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: not empty ({files.listing(folder)}). Choose a new folder.")
    states = [load_state(run.best)[0] for run in runs]
    mean = {
        name: sum(state[name].double() for state in states).div(len(states)).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    files.make_folder(folder)
    for name in ("task.json", "cases.csv", *(path.name for path in runs[0].path.glob("task_*.py"))):
        files.write_whole(folder / name, (runs[0].path / name).read_bytes())
    facts = json.loads((runs[0].path / "run.json").read_text(encoding="utf-8"))
    fold = facts["fold"] if len({run.fold for run in runs}) == 1 else None
    made_of = [str(run.path) for run in runs]
    files.write_json(folder / "run.json", {**facts, "fold": fold, "soup_of": made_of})
    save_state(folder / "best.safetensors", mean, {"epoch": 0})
    files.write_json(folder / "config.json", replace(runs[0].config, name="soup").to_dict())
    return Run(folder)


def aligned(task: Task, predictions: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The columns of predictions of each table, in the order of the first.

    Raises:
        ConfigError, DataError: for no table, tables of different ids, or without some of the
            columns.
    """
    if not len(predictions):
        raise ConfigError("blend: no table of predictions. Pass a list of mk.predict's tables.")
    columns = list(task.columns)
    first, values = predictions[0], []
    for number, table in enumerate(predictions):
        missing = [name for name in ["id", *columns] if name not in table]
        if missing:
            raise DataError(
                f"blend: table {number} has no column {missing[0]!r} (found {list(table)}). "
                f"Pass predictions of the task {task.name!r}."
            )
        if len(table) != len(first) or set(table["id"]) != set(first["id"]):
            odd = sorted(set(table["id"]) ^ set(first["id"]), key=str)
            raise DataError(
                f"blend: tables 0 and {number} are of different cases ({len(first)} and "
                f"{len(table)} rows, e.g. {odd[:3]}). Predict the same cases with each run."
            )
        beside = [name for head in task.heads for name in head.answer.beside if name in table]
        values.append(tables.match(first[["id"]], table)[["id", *columns, *beside]])
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
        raise ConfigError(
            f"blend: weights {shares.tolist()} for {count} tables (expected a number from 0 for "
            "each, and not all 0)."
        )
    return shares / shares.sum()


# (head, tables, shares, folder, settings of its own) -> the head's columns
Combine = Callable[..., Dict[str, Any]]


class Way(NamedTuple):
    """How the tables' answers of a head become one, and what can be asked of it.

    Attributes:
        takes: settings of `blend`.
        least: of `more_than`, below which an answer could be two things at once.
    """

    combine: Combine
    takes: tuple[str, ...] = ()
    least: float = 0.0


def _of_values(combine: Callable[..., np.ndarray]) -> Combine:
    """A way to combine (tables, N, C) values by shares into (N, C), as a way to combine tables."""

    def columns(
        head: Head, parts: list[pd.DataFrame], shares: np.ndarray, folder: Any, **asked: Any
    ) -> dict:
        values = np.stack([table[list(head.columns)].to_numpy(float) for table in parts])
        return dict(zip(head.columns, combine(values, shares, **asked).T))

    return columns


def _mean(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.tensordot(shares, values, 1)


def _mean_rank(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    ranks = [pd.DataFrame(table).rank(pct=True).to_numpy() for table in values]
    return _mean(np.stack(ranks), shares)


def _majority(values: np.ndarray, shares: np.ndarray, more_than: float) -> np.ndarray:
    """1 for the class that has more than this share of the votes, else the largest mean."""
    one_hot = np.eye(values.shape[2])
    votes, means = _mean(one_hot[values.argmax(2)], shares), _mean(values, shares)
    has_majority = votes.max(1) > more_than + 1e-9
    return one_hot[np.where(has_majority, votes.argmax(1), means.argmax(1))]


OF_MASKS = ("more_than", "threshold", "smallest")
USUAL = {"more_than": 0.5, "threshold": 0.5, "smallest": 0}
BLENDS = {  # of each kind of answer, by how
    "classes": {
        "soft": Way(_of_values(_mean)),
        "hard": Way(_of_values(_majority), ("more_than",), least=0.5),
        "rank": Way(_of_values(_mean_rank)),
    },
    "number": {"soft": Way(_of_values(_mean))},
    "masks": {"soft": Way(soft_masks), "hard": Way(hard_masks, OF_MASKS)},
    "exclusive_masks": {"soft": Way(soft_masks), "hard": Way(hard_masks, OF_MASKS, least=0.5)},
}


def _way(head: Head, how: str, asked: Mapping[str, Any]) -> Way:
    """How the tables' answers of a head become one.

    Raises:
        ConfigError: there is no such way, or something is asked that it cannot take.
    """
    ways = BLENDS[head.kind]
    every = dict.fromkeys(name for known in BLENDS.values() for name in known)
    if how not in every:
        raise ConfigError(
            f"blend: how={how!r} (expected one of {', '.join(every)}).{did_you_mean(how, every)}"
        )
    if how not in ways:
        raise ConfigError(
            f"blend: {head.name} is {head.answer.words}; only how={list(ways)[0]!r} has a meaning."
        )
    way, more_than, smallest = ways[how], asked["more_than"], asked["smallest"]
    for name, value in asked.items():
        is_usual = isinstance(value, Real) and value == USUAL[name]
        if name not in way.takes and not is_usual:
            other = [f", or take how={key!r}" for key, of in ways.items() if name in of.takes]
            raise ConfigError(
                f"blend: {name}={value!r} has no meaning for how={how!r} where {head.name} is "
                f"{head.answer.words}. Leave it out{''.join(other)}."
            )
    if not way.least <= more_than < 1:
        raise ConfigError(
            f"blend: more_than={more_than!r} (expected {way.least} to below 1"
            f"{', for one answer alone' if way.least else ''}). Leave it out for more than half."
        )
    if smallest < 0:
        raise ConfigError(
            f"blend: smallest={smallest!r} (expected whole pixels from 0 on). Leave it out to keep "
            "every part of a mask."
        )
    return way
