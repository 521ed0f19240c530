"""A submitted table against the answers: parsed within limits, checked, scored."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Sequence

import numpy as np
import pandas as pd

from medkit.datasets import get_task
from medkit.datasets.task import Layout
from medkit.errors import DataError
from medkit.leaderboard.contest import Contest
from medkit.leaderboard.reading import read_truth
from medkit.leaderboard.refusing import Refused
from medkit.metrics import METRICS
from medkit.submission.checking import check_rows, with_keys
from medkit.submission.parsing import Limits, parsed

OWN_BYTES = 64  # a row, of what a task's own table holds between id and answer


class Answers:
    """The true labels, in memory only: no address of the server leads to them.

    Args:
        table: header and rows of `read_answers`.
        path: where it is from, for messages.

    Raises:
        DataError: they cannot be scored by the contest's rules, or not be split.
    """

    def __init__(self, contest: Contest, table: Sequence[Sequence[str]], path: Path | str):
        self.contest, self.task = contest, get_task(contest.task) if contest.task else None
        self.ids, self.labels = [row[0] for row in table[1:]], [row[1] for row in table[1:]]
        self.reader = read_truth(contest, self.task, self.ids, self.labels, path)
        # Of masks without a task nobody knows whether the first pixel is 0 or 1.
        keys = len(contest.columns) - 1 if self.reader.cell else 1
        self.layout = self.task.layout if self.task else Layout(key_columns=keys, base=0)
        self.groups = self.ids
        if self.reader.cell and self.layout.key_columns > 1:  # an image's rows stay together
            self.groups = [name.partition(",")[0] for name in self.ids]
        share, seed = contest.public_share, contest.seed
        self.is_public = split(self.ids, self.reader.strata, share, seed, groups=self.groups)
        self._check_split(path)
        layout = {"answer": self.reader.cell, "base": self.layout.base}
        self._expected = {"columns": list(contest.columns), "ids": self.ids, "layout": layout}
        self._expected["labels"] = list(contest.labels)
        if self.task is not None:
            self._expected["sizes"] = pixels_told(table, path)

    @property
    def fingerprint(self) -> str:
        """Changes when the same submission would get another score."""
        facts = asdict(self.contest)
        rules = {
            name: facts[name] for name in ("labels", "task", "metrics", "public_share", "seed")
        }
        by_group = ["by group"] * (self.groups is not self.ids)  # once such rows were split too
        text = json.dumps([rules, self.ids, self.labels, *by_group], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def longest(self) -> int:
        """Bytes of the longest table that is right, or of masks, that could be meant."""
        own = OWN_BYTES if self.task is not None else 0
        answer = self.reader.longest + own + 8  # quotes, \r\n
        rows = sum(len(name.encode()) + answer for name in self.ids)
        return rows + len(",".join(self.contest.columns).encode()) + own + 8

    @cached_property
    def greater_is_better(self) -> bool:
        if self.contest.metrics:
            return METRICS[self.contest.metrics[0]].greater_is_better
        own = next(iter(self._task_scores(self.reader.perfect, np.ones(len(self.ids), bool))))
        return self.task.greater_is_better(own)

    def check(self, data: bytes) -> list[str]:
        """The answers of a submitted file in the order of the ids.

        Raises:
            Refused: with every problem of the file.
        """
        limits = Limits(len(self.ids), len(self.contest.columns), self.reader.most_cell)
        if self.task is not None:  # whose table may have columns in between
            limits = limits._replace(spare=limits.spare + OWN_BYTES)
        rows, problems = parsed(data, self.layout, limits)
        if problems:
            raise _bad(problems)
        rows, problems = with_keys(rows, self._expected, self.layout)
        if self.task is not None:
            rows = self._ids_and_answers(rows)
        problems = problems or check_rows(rows, self._expected)
        problems = problems or self.reader.problems([row[-1] for row in rows[1:]])
        if problems:
            raise _bad(problems)
        given = {row[0]: row[-1] for row in rows[1:]}
        return [given[name] for name in self.ids]

    def score(self, guesses: Sequence[str]) -> dict[str, dict[str, float]]:
        """Scores by part ("public", "private") and name, the ranking one first (private: alone).

        Raises:
            DataError: when a score is no number.
        """
        parts = {"public": self.is_public}
        if self.contest.has_private:
            parts["private"] = ~self.is_public
        coded, truth = self.reader.read(guesses), self.reader.truth
        scores = {}
        for part, rows in parts.items():
            if self.contest.metrics:
                names = self.contest.metrics if part == "public" else self.contest.metrics[:1]
                found = {name: METRICS[name](truth[rows], coded[rows]) for name in names}
            else:
                found = self._task_scores(coded, rows)
            scores[part] = {name: float(value) for name, value in found.items()}
            first = next(iter(scores[part]))
            if not math.isfinite(scores[part][first]):
                raise DataError(f"the {part} {first} is {scores[part][first]}")
        return scores

    def _task_scores(self, guesses: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """The task's own scores of answers as the reader gives them."""
        units = pd.DataFrame({"id": np.array(self.ids, object)[rows], "seen": True})
        units["group"] = np.array(self.groups, object)[rows]
        told = self.reader.units(self.task.scored, self.ids, guesses, rows)
        units = units.assign(**told)
        return self.task.score_units(units, 0.5)

    def _ids_and_answers(self, rows: list[list[str]]) -> list[list[str]]:
        """A task's table, which may name its columns as it likes and have others in between.

        Raises:
            Refused: not all of its lines have as many cells.
        """
        told = rows[not self.layout.header :]
        width = len(told[0]) if told else 0
        if width < 2:
            return rows
        ragged = [line for line, row in enumerate(told, 1) if len(row) != width]
        if ragged:
            count = len(ragged)
            raise _bad([f"{count} lines have another number of cells, e.g. line {ragged[0]}."])
        return [list(self.contest.columns), *([row[0], row[-1]] for row in rows[1:])]

    def _check_split(self, path: Path | str) -> None:
        """Each part needs rows of each label, or their scores would mean different things."""
        parts = [self.is_public, ~self.is_public] if self.contest.has_private else []
        for part in parts:
            if not part.any() or self.reader.lacks(part):
                raise DataError(
                    f"{path}: {len(self.ids)} rows cannot be split, as a part would hold no row of "
                    "some label. Give more answers, or another public_share (1: no private part)."
                )


def split(
    ids: Sequence[str],
    strata: np.ndarray,
    share: float,
    seed: int,
    *,
    groups: Sequence[str] | None = None,
) -> np.ndarray:
    """(N,) which rows are public: the share of each stratum, the same ones for ever.

    By hashes of the ids, so that neither their order nor a library's version changes it.

    Args:
        groups: what each row must not be parted from, by default nothing. A group goes by the
            least of its ids, and its stratum is the sum of its rows'.
    """
    members: dict[str, list[int]] = {}
    for row, group in enumerate(ids if groups is None else groups):
        members.setdefault(group, []).append(row)
    alike: dict[int, list[tuple[bytes, list[int]]]] = {}
    for rows in members.values():
        key = hashlib.sha256(f"{seed}:{min(ids[row] for row in rows)}".encode()).digest()
        alike.setdefault(int(strata[rows].sum()), []).append((key, rows))
    is_public = np.zeros(len(ids), bool)
    for found in alike.values():
        count = len(found) if share == 1 else round(share * len(found))
        if share < 1 and len(found) > 1:
            count = min(max(count, 1), len(found) - 1)
        for _, rows in sorted(found)[:count]:
            is_public[rows] = True
    return is_public


def pixels_told(table: Sequence[Sequence[str]], path: Path | str) -> dict[str, list[int]]:
    """Pixels of the picture of each row of `read_answers`, where the table says so."""
    told = {row[0]: row[2] for row in table[1:] if len(row) > 2 and row[2]}
    odd = [name for name, text in told.items() if not re.fullmatch(r"\d{1,12}", text)]
    if odd:
        raise DataError(
            f"{path}: pixels of {odd[0]!r} are {told[odd[0]]!r} (expected height times width of "
            "its picture). Make it with mk.leaderboard.write_answers(task, cases, path)."
        )
    return {name: [int(text)] for name, text in told.items()}


def _bad(problems: Sequence[str]) -> Refused:
    return Refused(f"채점할 수 없습니다. {' '.join(problems)}")
