"""A table as it lies on the disk, checked against the JSON beside it before it costs a slot."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Sequence

from medkit import files
from medkit.arguments import check_arguments
from medkit.datasets.task import Layout
from medkit.errors import DataError, MissingError
from medkit.submission.cells import CHECKS, NAMED, are_runs, kind_of_cells, wrong_cells
from medkit.submission.parsing import ANY_LENGTH, Limits, parsed

EMPTY = {"", "nan", "<na>", "none", "null"}  # how tables write that there is nothing


def check_submission(csv: Path | str) -> list[str]:
    """Check a CSV against the JSON beside it; returns what was checked, a sentence each.

    Without that JSON only what any table must keep can be checked, and the answer says so.

    Raises:
        MissingError: no such CSV.
        DataError: with every problem in one message, a sentence each.

    Example:
        >>> path = mk.write_submission(task, test_cases, predictions, "submission.csv", run=run)
        >>> all(isinstance(sentence, str) for sentence in mk.check_submission(path))
        True
    """
    check_arguments(check_submission, locals())
    csv = Path(csv)
    if not csv.is_file():
        what = "is a folder" if csv.is_dir() else "no such file"
        found = files.listing(csv if csv.is_dir() else csv.parent)
        raise MissingError(f"{csv}: {what} (found {found}). Pass what mk.write_submission returns.")
    expected = read_expected(csv)
    layout = Layout(**{"by_row": True, **(expected or {}).get("layout", {})})  # as it once was
    rows, problems = parsed(csv.read_bytes(), layout, _limits(expected, layout))
    notes: list[str] = []
    if not problems:
        rows, problems = with_keys(rows, expected, layout)
        problems = problems or check_rows(rows, expected)
        problems = problems or (_out_of_order(rows, expected) if layout.by_row else [])
        notes += [_one_class(rows, expected), _ends(csv)]
    if problems:
        raise DataError(f"{csv.name} would be refused: {' '.join(problems)}")
    told = _unchecked(csv) if expected is None else _checked(csv, rows, expected, layout)
    return [note for note in [*notes, *told] if note]


def _limits(expected: dict[str, Any] | None, layout: Layout) -> Limits | None:
    """As a board has them, of a table that holds nothing but keys and answers."""
    longest = CHECKS[kind_of_cells(expected)].most_cell
    width = len(expected["columns"]) if expected is not None else 0
    is_plain = 0 < width <= max(2, layout.key_columns + 1)
    if not is_plain or longest == ANY_LENGTH:
        return None
    return Limits(len(expected["ids"]), width, longest)


def _unchecked(csv: Path) -> list[str]:
    missing = expected_path(csv).name
    return [f"There is no {missing} beside it: ids and labels could not be checked."]


def _checked(
    csv: Path, rows: Sequence[Sequence[str]], expected: dict[str, Any], layout: Layout
) -> list[str]:
    """What a person is told of a table that is as it must be."""
    cell = CHECKS[kind_of_cells(expected)]
    checked = ["ids" if layout.key_columns else "lines"]
    checked += ["their order"] * bool(layout.key_columns and layout.by_row)
    checked += [cell.checked] if cell.checked else []
    keyed = " and ".join(filter(None, [", ".join(checked[:-1]), checked[-1]]))
    notes = [cell.note]
    if not layout.by_row and _out_of_order(rows, expected):
        notes.append("Its rows are in another order; the contest goes by their ids.")
    notes.append(f"All {len(rows) - 1} {keyed} are as {expected['task']} wants.")
    if expected["filled"]:
        names = ", ".join(expected["filled"][:NAMED])
        notes.append(f"{len(expected['filled'])} could not be looked at ({names}).")
    if expected["sha256"] != files.sha256_file(csv):
        notes.append("The file was changed after write_submission wrote it.")
    return notes


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
    answers = [row[-1] for row in body]
    cell = CHECKS[kind_of_cells(expected, answers)]
    last = len(header) - cell.may_be_empty  # of what must hold something
    nothing = EMPTY - {str(label).lower() for label in (expected or {}).get("labels") or ()}
    empty = [row[0] for row in body if any(c.strip().lower() in nothing for c in row[1:last])]
    if empty:
        problems.append(f"{len(empty)} rows have an empty cell, e.g. {empty[:NAMED]}.")
    problems += [] if expected is None else _wrong_ids(ids, expected)
    return problems + wrong_cells(answers, expected, ids)


def with_keys(
    rows: list[list[str]], expected: dict[str, Any] | None, layout: Layout
) -> tuple[list[list[str]], list[str]]:
    """Rows with a header and one id in front, however the contest wants them written."""
    if expected is None:  # masks are named by all that stands before them, all else by one id
        keys = len(rows[0]) - 1 if are_runs([row[-1] for row in rows[1:]]) else 1
        return [rows[0], *([row_key(row, keys), *row[1:]] for row in rows[1:])], []
    ids = expected["ids"]
    if layout.key_columns == 0:
        body = rows[layout.header :]
        if len(body) != len(ids):
            return rows, [f"It has {len(body)} lines (expected {len(ids)}, one a case in order)."]
        rows = [*rows[: layout.header], *([name, *row] for name, row in zip(ids, body))]
    if not layout.header:
        rows = [expected["columns"], *rows]
    keys = max(1, layout.key_columns)
    return [rows[0], *([row_key(row, keys), *row[1:]] for row in rows[1:])], []


def row_key(row: Sequence[str], key_columns: int) -> str:
    """What names a row: its first cells."""
    return ",".join(row[: max(1, key_columns)])


def _out_of_order(rows: Sequence[Sequence[str]], expected: dict[str, Any] | None) -> list[str]:
    """The first row that is not where it belongs, as a sentence; for scorers that go by row."""
    wanted = [] if expected is None else expected["ids"]
    for row, name in zip(rows[1:], wanted):
        if row[0] != name:
            return [f"Its order is another, from {row[0]!r} on (expected {name!r})."]
    return []


def _wrong_ids(ids: list[str], expected: dict[str, Any]) -> list[str]:
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
    return problems


def _one_class(rows: Sequence[Sequence[str]], expected: dict[str, Any] | None) -> str:
    labels = {row[-1] for row in rows[1:]}
    cell = CHECKS[kind_of_cells(expected, list(labels))]
    if len(rows) < 3:
        return ""
    if len(labels) > 1:
        return cell.odd([row[0] for row in rows[1:]], [row[-1] for row in rows[1:]])
    return f"Careful: {cell.alike(labels.pop())}."


def _ends(csv: Path) -> str:
    is_windows = b"\r\n" in csv.read_bytes()
    return "Careful: its lines end in \\r\\n (Windows, Excel); \\n is safer." if is_windows else ""


def expected_path(csv: Path) -> Path:
    """Where the JSON of what a CSV must hold lies."""
    return csv.with_suffix(".json")


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
        raise DataError(
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
