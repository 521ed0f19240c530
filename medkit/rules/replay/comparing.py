"""What differs between what was handed in and what came of it here, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence, Tuple

import pandas as pd

from medkit import machine, tables
from medkit.errors import DataError
from medkit.rules.replay.manifest import FOLDER, FOLDERS, WEIGHTS, Manifest, files_in, run_folders
from medkit.rules.replay.recording import fingerprint
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_state, weights_hash

SHOWN = 3  # examples in a sentence
Row = Tuple[str, str]  # what was compared, and a sentence on the difference; "" where none is


def hand_in_itself(folder: Path, manifest: Manifest) -> list[Row]:
    """Whether its files are those that were written, and agree with each other."""
    found = files_in(folder)
    shared = set(found) & set(manifest.files)
    words = [
        _names("not of the hand-in", set(found) - set(manifest.files)),
        _names("missing", set(manifest.files) - set(found)),
        _names("changed", {name for name in shared if found[name] != manifest.files[name]}),
    ]
    rows = [("files", "; ".join(filter(None, words)))]
    rows.append(("sources", _sources(folder, manifest)))
    for name, run, told in _runs(folder, manifest):
        rows.append((f"{name}: begun from", _begun_from(run)))
        rows.append((f"{name}: settings", _settings(run, told)))
        rows.append((f"{name}: cases", _cases(run)))
        rows.append((f"{name}: history", "" if told.get("bit_exact", True) else NOT_EXACT))
    return rows


NONE_KEPT = "none were handed in"
NOT_EXACT = (
    "it was stopped and went on in another shape, or ran out of memory (its history says "
    "bit_exact False), so its bits cannot come again"
)


def environment(folder: Path, manifest: Manifest, device: str | None) -> list[Row]:
    """Whether this machine computes as that of the runs did.

    Args:
        device: that was asked for.
    """
    now, rows = machine.record(), []
    device = str(device or ("cuda" if now.get("gpus") else "cpu")).partition(":")[0]
    for name, run, _ in _runs(folder, manifest):
        was = run.machine
        versions = {
            package: (was.get("packages", {}).get(package), now["packages"].get(package))
            for package in machine.ARITHMETIC
        }
        versions["Python"] = (was.get("python"), now["python"])
        rows.append((f"{name}: versions", _changed(versions)))
        code = was.get("code") == now["code"]
        rows.append((f"{name}: medkit", "" if code else _other_code(was, now)))
        shape = {"CPU": (was.get("cpu_capability"), now.get("cpu_capability"))}
        shape["device"] = (was.get("device", device), device)
        shape["processes"] = (was.get("world_size", 1), 1)
        rows.append((f"{name}: shape", _changed(shape)))
    return rows


def pictures(folder: Path, manifest: Manifest, test: pd.DataFrame, data: Path) -> Row:
    """Whether the data folder holds the pictures that were trained on."""
    runs = [Run(place) for place in run_folders(folder, manifest)]
    now, was = fingerprint(runs, test, data), manifest.pictures
    sample = was.get("sample", {})
    other = [name for name, digest in sample.items() if now["sample"].get(name) != digest]
    counts = {name: (was.get(name), now[name]) for name in ("count", "bytes")}
    return "pictures", _names("other bytes", other) or _changed(counts)


def results(folder: Path, place: Path, manifest: Manifest, hashes: Sequence[str]) -> list[Row]:
    """Whether weights, tables and what is handed in are the same to the byte."""
    rows = []
    for number, (name, run, told) in enumerate(_runs(folder, manifest)):
        again = Run(place / f"run{number}")
        begun = run.machine.get("initial_weights"), again.machine["initial_weights"]
        rows.append((f"{name}: initial weights", _begun(*begun, run)))
        rows.append((f"{name}: losses", _losses(run, again)))
        for table in ("history.csv", "predictions.csv"):
            words = tables_differ(run.path / table, again.path / table)
            rows.append((f"{name}: {table}", words))
        rows.append((f"{name}: weights", _weights(run, told, hashes[number])))
    for table in ("answers.csv", "submission.csv"):
        rows.append((table, tables_differ(folder / FOLDER / table, place / table)))
    for scores in ("f1_score.txt", "scores.txt"):
        files = (root / FOLDERS[1] / scores for root in (folder, place))
        rows.append((scores, tables_differ(*files)))
    return rows


def departs(first: Sequence[float], second: Sequence[float], who: str) -> str:
    """At which step losses depart, if they do."""
    for step, (one, other) in enumerate(zip(first, second), 1):
        if one != other:
            return f"{who} depart at step {step} (loss {one!r} and {other!r})"
    return ""


def losses_of(run: Run) -> list[float]:
    """Of its first steps; none of a run that an earlier version trained."""
    path = run.path / "first_losses.csv"
    return list(tables.read_csv(path)["loss"]) if path.is_file() else []


def tables_differ(was: Path, now: Path) -> str:
    """Which cells of two CSVs differ, if their bytes do; nothing where neither is there."""
    if not was.exists() and not now.exists():
        return ""
    if not was.is_file() or not now.is_file():
        return f"{'it was not handed in' if now.is_file() else 'none came of it here'}"
    if was.read_bytes() == now.read_bytes():
        return ""
    here, there = (path.read_text("utf-8", "replace").splitlines() for path in (was, now))
    if len(here) != len(there):
        return f"{len(here)} lines handed in, {len(there)} here"
    header = here[0].split(",")
    cells = []
    for number, (one, other) in enumerate(zip(here, there), 1):
        if one != other:
            cells += _cells(number, header, one.split(","), other.split(","))
    if not cells:
        return "the same cells in other bytes (line ends?)"
    more = f" and {len(cells) - SHOWN} more" if len(cells) > SHOWN else ""
    return "; ".join(cells[:SHOWN]) + more


def _cells(number: int, header: list[str], one: list[str], other: list[str]) -> list[str]:
    """The cells of a line that differ."""
    if len(one) != len(other):
        return [f"line {number}: {len(one)} cells handed in, {len(other)} here"]
    names = header if len(header) == len(one) else [f"column {k + 1}" for k in range(len(one))]
    return [
        f"line {number} ({one[0][:60]}), {name}: {a[:40]!r} handed in, {b[:40]!r} here"
        for name, a, b in zip(names, one, other)
        if a != b
    ]


def _runs(folder: Path, manifest: Manifest) -> list[tuple[str, Run, Mapping[str, Any]]]:
    places = run_folders(folder, manifest)
    return [(place.name, Run(place), told) for place, told in zip(places, manifest.runs)]


def _sources(folder: Path, manifest: Manifest) -> str:
    """Whether medkit's own are there, are those of the training, and no weights beside them."""
    home = folder / FOLDERS[0]
    held = [path.name for path in home.rglob("*") if path.suffix.lower() in WEIGHTS]
    if held:
        return _names("they hold weights", held)
    if not (home / "medkit" / "__init__.py").is_file() or not (home / "versions.txt").is_file():
        return f"{FOLDERS[0]} holds no medkit and its versions"
    code = machine.code_hash(home / "medkit")
    odd = [name for name, run, _ in _runs(folder, manifest) if run.machine.get("code") != code]
    return _names("not the code that trained", odd)


def _begun_from(run: Run) -> str:
    weights = run.config.weights
    return f"the weights {weights!r}, which are of no training here" if weights else ""


def _settings(run: Run, told: Mapping[str, Any]) -> str:
    return _changed({"seed": (told["seed"], run.config.seed)})


def _cases(run: Run) -> str:
    cases = tables.read_cases(run.path / "cases.csv", run.path, text=run.facts["text"])
    is_same = tables.are_known_by(cases, run.facts["cases"])
    return "" if is_same else "cases.csv is not the table that the run was begun with"


def _begun(was: Any, now: str, run: Run) -> str:
    if was == now:
        return ""
    return (
        f"seed {run.config.seed} and its settings give others (handed in {str(was)[:12]}, here "
        f"{now[:12]}): the run began with another seed, model, or weights of others"
    )


def _losses(run: Run, again: Run) -> str:
    known = losses_of(run)
    return departs(known, losses_of(again), "the hand-in and here") if known else NONE_KEPT


def _weights(run: Run, told: Mapping[str, Any], now: str) -> str:
    """Those that were handed in, their hash in the manifest, and those that came here."""
    if run.best.is_file():
        try:
            own = weights_hash(load_state(run.best)[0])
        except DataError as error:
            return str(error)
        if own != told["weights"]:
            return f"{run.best.name} holds other weights ({own[:12]}) than the manifest tells"
    same = told["weights"] == now
    return "" if same else f"hash {told['weights'][:12]} handed in, {now[:12]} here"


def _other_code(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return (
        f"{was.get('medkit')} (code {str(was.get('code'))[:12]}) handed in, {now['medkit']} (code "
        f"{now['code'][:12]}) here"
    )


def _changed(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """What is not as it was: "torch 1.13.1 handed in, 2.10.0 here"."""
    odd = [
        f"{name} {was} handed in, {now} here" for name, (was, now) in pairs.items() if was != now
    ]
    return "; ".join(odd)


def _names(what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}: {', '.join(names[:SHOWN])}{more}" if names else ""
