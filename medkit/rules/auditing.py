"""The audit: what organisers look for in notebooks and in a run, rule by rule, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple

import pandas as pd

from medkit.arguments import check_arguments
from medkit.rules.audit import network, passwords, places, record, seeds, twins
from medkit.rules.audit.calling import walk_all
from medkit.rules.audit.sources import Finding, Source, read_sources
from medkit.rules.audit.walking import Walker
from medkit.runs.folder import Run

COLUMNS = ("rule", "verdict", "found", "where")
MOST = 20  # rows of one rule; the rest are counted


class Audited(NamedTuple):
    """All that rules are asked about."""

    sources: list[Source]
    walker: Walker
    run: Run
    places: places.Places
    data: Any
    test: pd.DataFrame | None


RULES: dict[str, tuple[Callable[[Audited], Iterator[Finding]], str]] = {  # and words when kept
    "seeds": (
        lambda a: seeds.check_seeds(a.walker, a.run.config.seed),
        "nothing random is drawn before a seed is set",
    ),
    "initial weights": (lambda a: record.check_weights(a.run), "the seed gives them again"),
    "files": (
        lambda a: places.check_files(a.walker, a.places),
        "no file outside of data, runs and the notebooks' folder",
    ),
    "network": (
        lambda a: network.check_network(a.walker, a.sources),
        "nothing reaches for it but mk.submit and mk.standing",
    ),
    "secrets": (
        lambda a: passwords.check_secrets(a.walker, a.sources),
        "none in cells, outputs and metadata",
    ),
    "absolute paths": (
        lambda a: places.check_absolute(a.sources, a.places),
        "none but in the cell of parameters",
    ),
    "order of cells": (lambda a: record.check_order(a.sources), "each run once, top to bottom"),
    "test labels": (
        lambda a: twins.check_twins(a.walker, a.run, a.data, a.test),
        "no test case in training: by pictures, and by reading",
    ),
    "task": (lambda a: record.check_task(a.walker, a.run), "notebooks and run are of one"),
    "held-out predictions": (lambda a: record.check_predictions(a.run), "there, of held-out cases"),
    "versions": (lambda a: record.check_versions(a.run, a.sources), "those of the run are here"),
    "code looked at": (lambda a: record.check_share(a.walker, a.sources), "all of it: "),
}


def audit(
    notebooks: Path | str | Iterable[Path | str],
    run: Run,
    *,
    data: Path | str | None = None,
    test: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What organisers would look for in notebooks and a run: a table, rule by rule.

    Code is read and never run. So "kept" says that nothing was found in what could be read, and
    proves no absence: "code looked at" says how much that was. Secrets are not repeated.

    Args:
        notebooks: paths, or a folder; .py files beside them are read, too.
        data: the contest's folder, to hold the run's pictures against those of its test cases.
        test: the test cases themselves.

    Returns:
        `rule, verdict, found, where`, at least a row of each rule: "kept", "broken", or "unclear",
        which a person has to look at.

    Raises:
        ConfigError, MissingError, DataError: no notebook, one that is none, other test cases.

    Example:
        >>> _ = Path("mine.ipynb").write_text('{"cells": [], "metadata": {}}')
        >>> table = mk.audit("mine.ipynb", run, data=data)
        >>> list(table["verdict"]).count("broken"), table["rule"].nunique()
        (0, 12)
    """
    check_arguments(audit, locals())
    sources = read_sources(notebooks, run.path)
    walker = walk_all(sources)
    free = places.places_of(walker, sources, run, data)
    audited = Audited(sources, walker, run, free, data, test)
    rows: list[tuple[str, str, str, str]] = []
    for rule, (check, words) in RULES.items():
        found = list(dict.fromkeys(check(audited)))
        found.sort(key=lambda finding: finding.verdict != "broken")
        if len(found) > MOST:
            more = f"and {len(found) - MOST} more of these"
            found = [*found[:MOST], Finding(found[MOST].verdict, more)]
        if not found:
            words += f"{record.share(walker, sources)[0]} lines" if words.endswith(": ") else ""
            found = [Finding("kept", words)]
        rows += [(rule, each.verdict, each.found, each.where) for each in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))
