"""Test cases in training: by their pictures' bytes in the run's record, by their way in notebooks.

Ids alone prove nothing: many contests number train and test each from 1. A picture does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pandas as pd

from medkit import files, tables
from medkit.errors import MedkitError
from medkit.images.fingerprints import find_similar
from medkit.rules.audit.sources import Finding
from medkit.rules.audit.walking import Walker
from medkit.runs.folder import Run

SINKS = ("fit start fit_folds tune assign_folds choose_threshold calibrate choose_weights").split()
SINKS += ["partial_fit", "fit_transform", "fit_generator", "train", "lr_find"]


def check_twins(
    walker: Walker, run: Run, data: Any, test: pd.DataFrame | None
) -> Iterator[Finding]:
    """Test cases that are trained on, or by which something is chosen."""
    for call in walker.calls:
        is_own = call.name.startswith(("medkit.", "sklearn.", "?", "torch", "xgboost", "lightgbm"))
        if call.last in SINKS and is_own and "test" in call.marks:
            found = f"what was read of the test split goes into {call.last}"
            yield Finding("broken", found, call.where)
    cases = run.cases(data)
    official: set[str] | None = None
    if data is not None:
        try:
            task = run.task
        except MedkitError as error:  # its code is not trusted, or not here
            why = str(error).partition(":")[2].strip()[:80]
            yield Finding("unclear", f"the run's task cannot be opened: {why}", run.path.name)
            return
        official = set(_hashes(task.inspect(data, "train")[0]))
        test = task.inspect(data, "test")[0] if test is None else test
    if test is None:
        yield Finding("unclear", "not compared with test cases: pass data= or test=", "")
        return
    tables.check_columns("audit: test", test, ["id", "path"])
    yield from _compared(run, cases, test, official)


def _compared(
    run: Run, cases: pd.DataFrame, test: pd.DataFrame, official: set[str] | None
) -> Iterator[Finding]:
    """Pictures of the run held against those of the test cases, and those of the contest."""
    where = f"{run.path.name}/cases.csv"
    ours, theirs = _hashes(cases), _hashes(test)
    if not ours or not theirs:
        few = "the run's" if not ours else "the test"
        yield Finding("unclear", f"{few} pictures are not there", where)
        return
    shared = set(ours) & set(theirs)
    own = shared & (official or set())
    if shared - own:
        first = ours[min(shared - own)]
        what = f"{len(shared - own)} test pictures are among the run's, e.g. {first.name}"
        yield Finding("broken", what, where)
    if own:
        what = f"{len(own)} pictures are in train and in test, as the contest gave them"
        yield Finding("unclear", what, where)
    strange = [] if official is None else [ours[h] for h in set(ours) - official - shared]
    if strange:
        paths = [str(path) for path in [*strange, *theirs.values()]]
        near = {a for a, b in find_similar(paths) if a < len(strange) <= b}
        if near:
            what = f"{len(near)} pictures look like test pictures, e.g. {strange[min(near)].name}"
            yield Finding("broken", what, where)
        elif len(strange) > len(near):
            what = f"{len(strange)} pictures are not the contest's, e.g. {strange[0].name}"
            yield Finding("unclear", what, where)


def _hashes(cases: pd.DataFrame) -> dict[str, Path]:
    """By the hash of its bytes each picture that is there."""
    paths = map(Path, dict.fromkeys(cases["path"].dropna()))
    return {files.sha256_file(path): path for path in paths if path.is_file()}
