"""A submitted CSV against the answers: parsed within limits, checked, scored."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from medkit.metrics import METRICS
from medkit.submission.csv_files import check_rows
from medkit.tables import read_csv

SCORES = ("f1_macro", "f1_binary", "f1_micro", "f1_weighted")  # the first ranks
MOST_CELL = 200  # characters


class Refused(ValueError):
    """A file that cannot be scored; the message is for the participant."""


class Answers:
    """The true labels, in memory only: no address of the server leads to them."""

    def __init__(self, path: Path | str):
        table = read_csv(path)
        self.columns = list(table.columns[:2])
        self.ids = [str(name) for name in table.iloc[:, 0]]
        self.truth = {str(k): str(v) for k, v in zip(table.iloc[:, 0], table.iloc[:, 1])}
        self.labels = sorted(set(self.truth.values()))
        if len(self.labels) != 2:
            raise ValueError(
                f"{path}: {len(self.labels)} different labels {self.labels[:5]} (expected 2). "
                "Make it with medkit.write_answers(task, cases, path)."
            )

    def score(self, data: bytes) -> dict[str, float]:
        """Scores by name, the ranking one first.

        Raises:
            Refused: with every problem of the file.
        """
        rows = self._parse(data)
        wanted = {"columns": self.columns, "ids": self.ids, "labels": self.labels}
        problems = check_rows(rows, wanted)
        if problems:
            raise Refused(" ".join(problems))
        positive = self.labels[1]
        y_pred = [int(row[1] == positive) for row in rows[1:]]
        y_true = [int(self.truth[row[0]] == positive) for row in rows[1:]]
        return {name: METRICS[name](y_true, y_pred) for name in SCORES}

    def _parse(self, data: bytes) -> list[list[str]]:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused("The file is not utf-8; write it as utf-8.") from error
        if text.startswith("\ufeff"):
            raise Refused("The file begins with a byte order mark; write it as plain utf-8.")
        most = 2 * len(self.ids) + 10
        rows = []
        try:
            for row in csv.reader(io.StringIO(text)):
                rows.append(row)
                if len(rows) > most or any(len(cell) > MOST_CELL for cell in row):
                    raise Refused(f"The file is far larger than {len(self.ids)} rows of 2 cells.")
        except csv.Error as error:
            raise Refused(f"The file is not a CSV ({error}).") from error
        rows = [row for row in rows if row]
        if not rows:
            raise Refused("The file is empty.")
        return rows
