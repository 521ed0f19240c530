"""A submitted table against the answers: parsed within limits, checked, scored."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Sequence

import numpy as np
import pandas as pd

from medkit.datasets import get_task
from medkit.datasets.task import Layout
from medkit.leaderboard.contest import Contest
from medkit.leaderboard.reading import read_truth
from medkit.leaderboard.refusing import Refused
from medkit.metrics import METRICS
from medkit.submission.checking import charset, check_rows, with_keys

MOST_CELL = 200  # characters
OWN_BYTES = 64  # a row, of what a task's own table holds between id and answer


class Answers:
    """The true labels, in memory only: no address of the server leads to them.

    Args:
        table: header and rows of `read_answers`.
        path: where it is from, for messages.

    Raises:
        ValueError: they cannot be scored by the contest's rules, or not be split.
    """

    def __init__(self, contest: Contest, table: Sequence[Sequence[str]], path: Path | str):
        self.contest, self.task = contest, get_task(contest.task) if contest.task else None
        self.layout = self.task.layout if self.task else Layout()
        self.ids, self.labels = [row[0] for row in table[1:]], [row[1] for row in table[1:]]
        self.reader = read_truth(contest, self.task, self.labels, path)
        self.is_public = split(self.ids, self.reader.strata, contest.public_share, contest.seed)
        self._check_split(path)
        self._expected = {"columns": list(contest.columns), "ids": self.ids}
        self._expected["labels"] = list(contest.labels)

    @property
    def fingerprint(self) -> str:
        """Changes when the same submission would get another score."""
        facts = asdict(self.contest)
        rules = {
            name: facts[name] for name in ("labels", "task", "metrics", "public_share", "seed")
        }
        text = json.dumps([rules, self.ids, self.labels], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def longest(self) -> int:
        """Bytes of the longest table that is right."""
        own = OWN_BYTES if self.task is not None else 0
        answer = self.reader.longest + own + 8  # quotes, \r\n
        rows = sum(len(name.encode()) + answer for name in self.ids)
        return rows + len(",".join(self.contest.columns).encode()) + own + 8

    @property
    def greater_is_better(self) -> bool:
        if self.contest.metrics:
            return METRICS[self.contest.metrics[0]].greater_is_better
        own = next(iter(self._task_scores(self.reader.truth, np.ones(len(self.ids), bool))))
        return self.task.greater_is_better(own)

    def check(self, data: bytes) -> list[str]:
        """The answers of a submitted file in the order of the ids.

        Raises:
            Refused: with every problem of the file.
        """
        rows = self._parse(data)
        problems: list[str] = []
        if self.task is not None:
            rows, problems = with_keys(rows, self._expected, self.layout)
            rows = self._ids_and_answers(rows)
        problems = problems or check_rows(rows, self._expected)
        problems = problems or self.reader.problems([row[1] for row in rows[1:]])
        if problems:
            raise Refused(f"채점할 수 없습니다. {' '.join(problems)}")
        given = {row[0]: row[1] for row in rows[1:]}
        return [given[name] for name in self.ids]

    def score(self, guesses: Sequence[str]) -> dict[str, dict[str, float]]:
        """Scores by part ("public", "private") and name, the ranking one first (private: alone).

        Raises:
            ValueError: when a score is no number.
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
                raise ValueError(f"the {part} {first} is {scores[part][first]}")
        return scores

    def _task_scores(self, guesses: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """The task's own scores of answers as the reader gives them."""
        units = pd.DataFrame({"id": np.array(self.ids, object)[rows], "seen": True})
        units["group"] = units["id"]
        for name, values in self.reader.units(self.task.scored, guesses, rows).items():
            units[name] = values
        return self.task.score_units(units, 0.5)

    def _ids_and_answers(self, rows: list[list[str]]) -> list[list[str]]:
        """A task's table, which may name its columns as it likes and have others in between."""
        width = len(rows[1]) if len(rows) > 1 else 0
        if width < 2 or any(len(row) != width for row in rows[not self.layout.header :]):
            return rows
        return [list(self.contest.columns), *([row[0], row[-1]] for row in rows[1:])]

    def _check_split(self, path: Path | str) -> None:
        """Each part needs rows of each label, or their scores would mean different things."""
        parts = [self.is_public, ~self.is_public] if self.contest.has_private else []
        for part in parts:
            if not part.any() or self.reader.lacks(part):
                raise ValueError(
                    f"{path}: {len(self.ids)} rows cannot be split, as a part would hold no row of "
                    "some label. Give more answers, or another public_share (1: no private part)."
                )

    def _parse(self, data: bytes) -> list[list[str]]:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"{charset(data)}, perhaps"
            raise _bad(f"The file is not utf-8 ({found}); write it as utf-8.") from error
        if text.startswith("\ufeff"):
            raise _bad("The file begins with a byte order mark; write it as plain utf-8.")
        if "\0" in text:
            raise _bad("The file holds zero bytes (utf-16, perhaps); write it as utf-8.")
        if re.search(r"\r(?!\n)", text):
            raise _bad("Some lines of the file end in \\r alone; end them with \\n.")
        most = 2 * len(self.ids) + 10
        separators = text.count(self.layout.separator)
        if text.count("\n") > most or separators > most * (len(self.contest.columns) + 10):
            raise _bad(f"The file is far larger than {len(self.ids)} rows of 2 cells.")
        try:
            reader = csv.reader(io.StringIO(text), delimiter=self.layout.separator)
            rows = [row for row in reader if row]
        except csv.Error as error:
            raise _bad(f"The file is not a CSV ({error}).") from error
        longest = max(map(len, chain.from_iterable(rows)), default=0)
        if longest > MOST_CELL:
            raise _bad(f"A cell holds {longest} characters (expected at most {MOST_CELL}).")
        if not rows:
            raise _bad("The file is empty.")
        return rows


def split(ids: Sequence[str], strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) which rows are public: the share of each stratum, the same ones for ever.

    By hashes of the ids, so that neither their order nor a library's version changes it.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in ids]
    is_public = np.zeros(len(ids), bool)
    for stratum in np.unique(strata):
        rows = sorted(np.flatnonzero(strata == stratum), key=keys.__getitem__)
        count = len(rows) if share == 1 else round(share * len(rows))
        if share < 1 and len(rows) > 1:
            count = min(max(count, 1), len(rows) - 1)
        is_public[rows[:count]] = True
    return is_public


def _bad(sentence: str) -> Refused:
    return Refused(f"채점할 수 없습니다. {sentence}")
