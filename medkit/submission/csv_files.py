"""The table that is handed in: written exactly, and checked as it lies on the disk."""

from __future__ import annotations

import csv as csv_reader
import io
import json
import math
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence

import pandas as pd

from medkit import files, tables
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Layout, Task
from medkit.submission.held_out import held_out_of, local_score, run_name, runs_of

NAMED = 3  # examples in a message
EMPTY = {"", "nan", "<na>", "none", "null"}  # how tables write that there is nothing
TAKEN = ("cases", "config", "history", "leaks", "machine", "predictions", "receipt", "run", "task")


def write_submission(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    path: Path | str,
    *,
    threshold: Threshold = 0.5,
    run: Any = None,
    held_out: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Path:
    """Write the contest's table, and beside it a JSON file of what it must hold.

    Args:
        cases: of the whole test split. Their labels, where they have some, are not looked at.
        threshold: from held-out cases; see `mk.choose_threshold`.
        run: the `mk.Run` that predicted, or the runs of several folds. Its score on the cases that
            it held out, with the 95 % interval, stands beside the leaderboard's in
            `mk.submissions()`.
        held_out: (cases, predictions) instead, of cases that no model had seen; for a blend.

    Returns:
        The path of the CSV. `<name>.json` beside it holds task, ids in order, labels, hash, runs
        and the held-out score.

    Raises:
        ValueError: for a name that a run folder needs for itself, or runs that are none, that
            are of another contest, or that held out the same cases.

    Example:
        >>> mk.write_submission(task, test, predictions, csv, run=run)  # doctest: +SKIP
    """
    path = Path(path)
    if path.stem in TAKEN:
        raise ValueError(
            f"{path}: a run keeps its own {path.stem!r} file. Choose another name: submission.csv."
        )
    table, layout = task.submission_table(cases, predictions, threshold=threshold), task.layout
    written = table if layout.key_columns else table.iloc[:, 1:]  # rows go by their order alone
    text = written.to_csv(
        index=False, header=layout.header, sep=layout.separator, lineterminator="\n"
    )
    units = task.to_units(cases, predictions)
    runs = runs_of(run, task)
    expected = {
        "task": task.name,
        "columns": list(table.columns),
        "layout": asdict(layout),
        "ids": [_key(row, layout.key_columns) for row in table.astype(str).to_numpy().tolist()],
        "labels": _labels(task, table),
        "sha256": files.sha256(text.encode("utf-8")),
        "threshold": threshold,
        "run": run_name([str(run.path) for run in runs] or _run_folder(path)),
        "runs": [str(run.path) for run in runs],
        **local_score(task, held_out or held_out_of(runs), threshold),
        "filled": [str(name) for name in units["id"][~units["seen"]]],
    }
    files.write_whole(path, text)
    files.write_json(expected_path(path), expected)
    return path


def _labels(task: Task, table: pd.DataFrame) -> list[Any] | None:
    """What the last column may hold: [] any number; None: a table of the task's own that holds
    something else, such as probabilities, so that nobody knows."""
    labels = list(task.submission_labels)
    own = "submission_table" in task.own
    known = set(table.iloc[:, -1].astype(str)) <= {str(label) for label in labels}
    return None if own and not known else labels


def write_answers(task: Task, cases: pd.DataFrame, path: Path | str) -> Path:
    """Write the true labels of labelled cases as the practice leaderboard wants them.

    Raises:
        ValueError: when a unit has no label.
    """
    units = task.to_units(cases)
    unknown = list(units["id"][units["y_true"].isna()])
    if unknown:
        raise ValueError(
            f"write_answers: {len(unknown)} of {len(units)} have no label, e.g. "
            f"{unknown[:NAMED]}. Use a split whose labels are known."
        )
    labels = task.scored.answer.written(units["y_true"], task.submission_labels)
    ids, keys = list(units["id"]), task.layout.key_columns
    if keys > 1:  # a row of what is handed in is named by several cells
        even = pd.DataFrame({"id": cases["id"], **dict.fromkeys(task.columns, 1.0)})
        rows = task.submission_table(cases, even).astype(str).to_numpy().tolist()
        ids = [_key(row, keys) for row in rows]
    tables.write_csv(pd.DataFrame({"id": ids, task.scored.name: labels}), path)
    return Path(path)


def check_submission(csv: Path | str) -> list[str]:
    """Check a CSV against the JSON beside it; returns what was checked, a sentence each.

    Without that JSON only what any table must keep can be checked, and the answer says so.

    Raises:
        FileNotFoundError: no such CSV.
        ValueError: with every problem in one message, a sentence each.
    """
    csv = Path(csv)
    if not csv.is_file():
        raise FileNotFoundError(f"{csv}: no such file (found {files.listing(csv.parent)}).")
    expected = read_expected(csv)
    layout = Layout(**{"by_row": True, **(expected or {}).get("layout", {})})  # as it once was
    rows, problems = _rows(csv, layout.separator)
    notes = []
    if rows and not problems:
        rows, problems = with_keys(rows, expected, layout)
        problems = problems or check_rows(rows, expected)
        problems = problems or (_out_of_order(rows, expected) if layout.by_row else [])
        notes += [_one_class(rows), _ends(csv)]
    if problems:
        raise ValueError(f"{csv.name} would be refused: {' '.join(problems)}")
    if expected is None:
        notes.append(
            f"There is no {expected_path(csv).name} beside it: ids and labels could not be checked."
        )
    else:
        checked = [*(["ids"] if layout.key_columns else ["lines"])]
        checked += ["their order"] * bool(layout.key_columns and layout.by_row)
        if expected["labels"] is None:
            notes.append("What it answers could not be checked: the table is the task's own.")
        else:
            checked.append("labels")
        keyed = " and ".join(filter(None, [", ".join(checked[:-1]), checked[-1]]))
        if not layout.by_row and _out_of_order(rows, expected):
            notes.append("Its rows are in another order; the contest goes by their ids.")
        notes.append(f"All {len(rows) - 1} {keyed} are as {expected['task']} wants.")
        if expected["filled"]:
            names = ", ".join(expected["filled"][:NAMED])
            notes.append(f"{len(expected['filled'])} could not be looked at ({names}).")
        if expected["sha256"] != files.sha256_file(csv):
            notes.append("The file was changed after write_submission wrote it.")
    return [note for note in notes if note]


def check_rows(rows: Sequence[Sequence[str]], expected: dict[str, Any] | None) -> list[str]:
    """What is wrong with a table of text (header first), a sentence each."""
    header, body = list(rows[0]), rows[1:]
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        found = re.search(r"[;\t|]", header[0]).group(0)
        return [f"Its cells are separated by {found!r} (expected ','); write it with commas."]
    if expected is not None and header != expected["columns"]:
        advice = " Write it with index=False." if header[1:] == expected["columns"] else ""
        return [f"Its columns are {header} (expected {expected['columns']}).{advice}"]
    if not body:
        return ["It has a header and no rows."]
    problems = []
    ragged = [k for k, row in enumerate(body, 2) if len(row) != len(header)]
    if ragged:
        return [f"{len(ragged)} lines have another number of cells, e.g. line {ragged[0]}."]
    ids = [row[0] for row in body]
    doubled = [name for name, count in Counter(ids).items() if count > 1]
    if doubled:
        problems.append(f"{len(doubled)} ids stand more than once, e.g. {doubled[:NAMED]}.")
    nothing = EMPTY - {str(label).lower() for label in (expected or {}).get("labels") or ()}
    empty = [row[0] for row in body if any(c.strip().lower() in nothing for c in row[1:])]
    if empty:
        problems.append(f"{len(empty)} rows have an empty cell, e.g. {empty[:NAMED]}.")
    if expected is not None:
        problems += _against(ids, body, expected)
    return problems


def with_keys(
    rows: list[list[str]], expected: dict[str, Any] | None, layout: Layout
) -> tuple[list[list[str]], list[str]]:
    """Rows with a header and one id in front, however the contest wants them written."""
    if expected is None:
        return rows, []
    ids = expected["ids"]
    if layout.key_columns == 0:
        body = rows[layout.header :]
        if len(body) != len(ids):
            return rows, [f"It has {len(body)} lines (expected {len(ids)}, one a case in order)."]
        rows = [*rows[: layout.header], *([name, *row] for name, row in zip(ids, body))]
    if not layout.header:
        rows = [expected["columns"], *rows]
    keys = max(1, layout.key_columns)
    return [rows[0], *([_key(row, keys), *row[1:]] for row in rows[1:])], []


def _key(row: Sequence[str], key_columns: int) -> str:
    """What names a row: its first cells."""
    return ",".join(row[: max(1, key_columns)])


def _out_of_order(rows: Sequence[Sequence[str]], expected: dict[str, Any] | None) -> list[str]:
    """The first row that is not where it belongs, as a sentence; for scorers that go by row."""
    wanted = [] if expected is None else expected["ids"]
    for row, name in zip(rows[1:], wanted):
        if row[0] != name:
            return [f"Its order is another, from {row[0]!r} on (expected {name!r})."]
    return []


def expected_path(csv: Path) -> Path:
    """Where the JSON of what a CSV must hold lies."""
    return csv.with_suffix(".json")


def _against(ids: list[str], body: Sequence[Sequence[str]], expected: dict) -> list[str]:
    problems, wanted = [], expected["ids"]
    there, known = set(ids), set(wanted)
    missing = [name for name in wanted if name not in there]
    extra = [name for name in ids if name not in known]
    if missing:
        problems.append(f"{len(missing)} of {len(wanted)} ids are missing, e.g. {missing[:NAMED]}.")
    if extra:
        problems.append(f"{len(extra)} ids are not of this contest, e.g. {extra[:NAMED]}.")
    if len(ids) != len(wanted):
        problems.append(f"It has {len(ids)} rows (expected {len(wanted)}).")
    if expected["labels"] is None:
        return problems
    labels = [str(label) for label in expected["labels"]]
    wrong = [row[-1] for row in body if row[-1] not in labels and row[-1].strip()]
    if not labels:
        wrong = [text for text in wrong if not _is_number(text)]
        if wrong:
            problems.append(f"{len(wrong)} answers are no numbers, e.g. {wrong[:NAMED]}.")
    elif wrong:
        problems.append(
            f"{len(wrong)} labels are none of {', '.join(labels)}, "
            f"e.g. {sorted(set(wrong))[:NAMED]}."
        )
    return problems


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _rows(csv: Path, separator: str = ",") -> tuple[list[list[str]], list[str]]:
    """The lines of a CSV as text, and what is wrong with its bytes."""
    data = csv.read_bytes()
    if data.startswith(b"\xef\xbb\xbf"):
        return [], ["It begins with a byte order mark; write it as plain utf-8."]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [], [f"It is not utf-8 ({charset(data)}, perhaps); write it as utf-8."]
    if not text.strip():
        return [], ["It is empty."]
    if "\0" in text:
        return [], ["It holds zero bytes (utf-16, perhaps); write it as utf-8."]
    if re.search(r"\r(?!\n)", text):
        return [], ["Some of its lines end in \\r alone; end them with \\n."]
    try:
        return [row for row in csv_reader.reader(io.StringIO(text), delimiter=separator) if row], []
    except csv_reader.Error as error:
        return [], [f"It is not a CSV ({error}); end its lines with \\n."]


def charset(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        return "cp949" if re.search("[가-힣]", data.decode("cp949")) else "latin-1"
    except UnicodeDecodeError:
        return "latin-1"


def _one_class(rows: Sequence[Sequence[str]]) -> str:
    labels = {row[-1] for row in rows[1:]}
    if len(labels) > 1 or len(rows) < 3:
        return ""
    return f"Careful: every row has the label {labels.pop()!r}."


def _ends(csv: Path) -> str:
    is_windows = b"\r\n" in csv.read_bytes()
    return "Careful: its lines end in \\r\\n (Windows, Excel); \\n is safer." if is_windows else ""


def read_expected(csv: Path) -> dict[str, Any] | None:
    """What the JSON beside a CSV says that it must hold; None where there is none."""
    path = expected_path(csv)
    if not path.is_file():
        return None
    try:
        expected = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        expected = None
    needed = {"task", "columns", "ids", "labels", "sha256", "filled"}
    if not isinstance(expected, dict) or not needed <= set(expected):
        raise ValueError(
            f"{path}: not what write_submission writes beside a CSV. Write the CSV again."
        )
    return expected


def scored(csv: Path) -> str:
    """What the models of a CSV scored on held-out cases, as text; "" where nobody knows."""
    made = read_expected(csv) or {}
    if not made.get("local_score") or made["sha256"] != files.sha256_file(csv):
        return ""
    name, value = next(iter(made["local_score"].items()))
    low, high = made.get("local_interval") or (None, None)
    ends = "" if low is None else f" ({low:.4f} to {high:.4f})"
    return f"{name} {value:.4f}{ends} held out"


def _run_folder(path: Path) -> list[str]:
    """The run that a CSV was made of: the folder it lies in, when that is one."""
    return [str(path.parent)] if (path.parent / "run.json").is_file() else []
