"""What a report's last sections say: where a model was trained, if that repeats, and the rules.

Nothing here names a machine, a person or a folder.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from medkit import __version__, machine
from medkit.errors import MedkitError, MissingError
from medkit.rules.report.lettering import INK, Cell
from medkit.rules.report.sheets import Sheets
from medkit.runs.folder import Run
from medkit.runs.holding import read_status
from medkit.runs.tensor_files import load_state, weights_hash

if TYPE_CHECKING:
    from medkit.rules.reporting import Reported

GOOD, BAD, OPEN = "#1B7A3D", "#B3261E", "#8A5A00"
VERDICTS = {  # their colours, by the word that a verdict begins with
    **dict.fromkeys(("ok", "kept", "pass", "passed", "yes", "holds", "통과", "준수"), GOOD),
    **dict.fromkeys(("broken", "fail", "failed", "no", "violated", "위반", "실패"), BAD),
}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # no parameters
COMPARED = ("medkit", "code", "python", "packages", "device", "gpus", "cuda")
LONGEST = 240  # characters of a line of a log
SHORT = 16  # characters of a hash


def environment(sheets: Sheets, given: Reported) -> None:
    """Machine, versions, seeds, hashes, and what does not repeat."""
    words, run = given.words, given.runs[0]
    facts = _machine(run)
    sheets.heading(words("environment"))
    for text in _notes(given, facts):
        sheets.paragraph(text, keep=60)
    sheets.facts(_facts(given, facts))
    versions = [(name, v) for name, v in facts.get("packages", {}).items() if v]
    half = -(-len(versions) // 3)
    columns = [versions[k : k + half] for k in range(0, len(versions), half)] if half else []
    rows = [
        [cell for column in columns for cell in (column[k] if k < len(column) else ("", ""))]
        for k in range(half)
    ]
    if rows:
        sheets.table([words("package"), words("version")] * len(columns), rows)


def _machine(run: Run) -> dict[str, Any]:
    """machine.json; empty where it is lost."""
    try:
        return run.machine
    except MedkitError:
        return {}


def _facts(given: Reported, facts: dict[str, Any]) -> list[tuple[str, str]]:
    words, config = given.words, given.configs[0]
    gpus = ", ".join(gpu["name"] for gpu in facts.get("gpus") or ())
    is_gpu = facts.get("device") == "cuda"
    device = gpus if is_gpu else f"CPU ({facts.get('cpu_capability') or '?'})"
    count = facts.get("world_size") or 1
    memory = (facts.get("memory_bytes") or 0) / 1e9
    exact = (
        "exact always" if not is_gpu else "exact chosen" if config.deterministic else "exact not"
    )
    cuda = f"{facts.get('cuda')}, driver {facts.get('driver')}" if is_gpu else ""
    seeds = {str(c.seed) for c in given.configs}
    first, best = [], []
    for run, weights in zip(given.runs, given.weights):
        initial = _machine(run).get("initial_weights")
        for hashes, text in ((first, initial), (best, weights.digest)):
            text = text[:SHORT] if text else words("gone")
            many = len(given.runs) > 1
            hashes.append(words("of fold", fold=run.fold, text=text) if many else text)
    pairs = [
        ("medkit", f"{facts.get('medkit', '?')} ({str(facts.get('code', '?'))[:12]})"),
        ("system", f"Python {facts.get('python', '?')}, {facts.get('platform', '?')}"),
        ("device", device + f" x {count}" * (count > 1)),
        ("cuda", cuda),
        ("cpu", words("cores", cores=facts.get("cores", "?"), memory=f"{memory:.0f}")),
        ("threads", str(facts.get("threads", "?"))),
        ("seed", ", ".join(sorted(seeds))),
        ("exactness", words(exact)),
        ("first weights", ", ".join(first)),
        ("best weights", ", ".join(best)),
    ]
    return [(words(name), text) for name, text in pairs if text]


def _notes(given: Reported, facts: dict[str, Any]) -> list[str]:
    """What a reader should know of versions, and of how the runs went."""
    words, notes = given.words, []
    then, code, now = facts.get("medkit", "?"), str(facts.get("code", "?")), machine.code_hash()
    if then != __version__:
        notes.append(words("other version", then=then, code=code[:12], now=__version__))
    elif code != now:
        notes.append(words("other code", code=code[:12], now=now[:12]))
    others = [_machine(run) for run in given.runs[1:]]
    odd = [name for name in COMPARED if any(o.get(name) != facts.get(name) for o in others)]
    if odd:
        notes.append(words("differing", names=", ".join(odd)))
    for run in given.runs:
        log = run.path / "log.txt"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        texts = [line[19:].strip() for line in lines]
        told = dict.fromkeys(text for text in texts if "not bit-exact" in text.lower())
        told = [re.sub(r"\S*[/\\]\S*", "…", text)[:LONGEST] for text in told]
        notes += [words("inexact", fold=run.fold, text=text) for text in told[:3]]
        again = sum(text.startswith("going on from") for text in texts)
        notes += [words("resumed", fold=run.fold, count=again)] if again else []
    return notes


def rules(sheets: Sheets, given: Reported, *, audit: pd.DataFrame | None) -> None:
    """The audit's table, a rule a row."""
    if audit is None or audit.empty:
        return
    words = given.words
    sheets.heading(words("audit"))
    rows = []
    for rule, verdict, found, where in audit[["rule", "verdict", "found", "where"]].to_numpy():
        word = re.match(r"\w*", str(verdict).strip().lower()).group(0)
        cell = Cell(str(verdict), VERDICTS.get(word, OPEN if word else INK))
        rows.append((str(rule), cell, _told(found), _told(where)))
    sheets.table([words(name) for name in ("rule", "verdict", "found", "where")], rows)


def _told(value: Any) -> str:
    """A cell of the audit, without the folders above what it names."""
    text = "" if value is None or value != value else str(value)
    return re.sub(r"(?:[A-Za-z]:|~)?[/\\](?:[^\s/\\]+[/\\])+", "", text)


class Weights(NamedTuple):
    """Of a run's best epoch: how many parameters in millions, and the hash of all that is kept."""

    millions: str
    digest: str | None


def weights_of(run: Run) -> Weights:
    """What a report tells of a run's weights; they may be gone from its folder."""
    try:
        tensors = load_state(run.best)[0]
    except MissingError:
        return Weights("?", None)
    count = sum(t.numel() for name, t in tensors.items() if not name.endswith(BUFFERS)) / 1e6
    return Weights(f"{count:.1f}" if count >= 1 else f"{count:.2g}", weights_hash(tensors))


def ended(runs: list[Run]) -> tuple[str, str]:
    """The day of the last sign of life of all runs, and how they stand."""
    beats = [read_status(run.path).get("beat") for run in runs]
    days = [datetime.fromtimestamp(int(beat)).strftime("%Y-%m-%d") for beat in beats if beat]
    odd = [run.state for run in runs if run.state != "finished"]
    return max(days, default="?"), odd[0] if odd else "finished"
