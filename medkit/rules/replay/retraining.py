"""A hand-in's runs, its predictions and its table once more; see `secluding` for where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import torch

from medkit import files, tables
from medkit.datasets import TASKS, add_task
from medkit.rules.replay.manifest import FOLDERS, Manifest, read_manifest, run_folders
from medkit.rules.replay.recording import BEGUN_FROM, answers, read_test, without_places
from medkit.rules.replay.scoring import file_of, scores_of, test_of, told
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.submission.csv_files import submission_text
from medkit.training.fitting import fit
from medkit.training.repeating import first_losses

MOST_THREADS = 256


def whole(place: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Train each run to its end, predict the test and write its table, all below `place`."""
    folder, data = Path(wanted["handin"]), Path(wanted["data"])
    manifest, runs, hashes = read_manifest(folder), [], []
    for number, (run, config) in enumerate(_runs(folder, manifest)):
        again = fit(
            config,
            run.cases(data),
            place / f"run{number}",
            fold=run.fold,
            num_workers=0,
            device=wanted["device"],
            cache_folder=place / "cache",
            data=data,
            progress=f"run {number + 1} of {len(manifest.runs)}",
        )
        runs.append(again)
        hashes.append(weights_hash(load_state(again.best)[0]))
    test, task = read_test(folder, manifest, data), runs[0].task
    asked = {"device": wanted["device"], "cache_folder": place / "cache", "folder": place / "masks"}
    table = answers(task, runs, test, manifest.views, manifest.how, **asked)
    text = submission_text(task, test, table, manifest.threshold)[1]
    files.write_whole(place / "submission.csv", text)
    tables.write_csv(without_places(table), place / "answers.csv")
    scores = scores_of(task, test, table, manifest.threshold)
    if scores:
        files.write_whole(place / FOLDERS[1] / file_of(scores), told(scores))
    known = [run.cases(data) for run, _ in _runs(folder, manifest)]
    return {"weights": hashes, "test": test_of(task, data, test, known)}


def first_steps(place: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The losses of each run's first steps, twice."""
    folder, data = Path(wanted["handin"]), Path(wanted["data"])
    manifest, losses = read_manifest(folder), []
    for number, (run, config) in enumerate(_runs(folder, manifest)):
        print(
            f"run {number + 1} of {len(manifest.runs)}: {wanted['steps']} steps, twice", flush=True
        )
        asked = {"device": wanted["device"], "cache_folder": place / "cache", "fold": run.fold}
        cases = run.cases(data)
        steps = [
            first_losses(run.task, config, cases, steps=wanted["steps"], **asked) for _ in "12"
        ]
        losses.append(steps)
    return {"losses": losses}


def _runs(folder: Path, manifest: Manifest) -> Iterator[tuple[Run, Config]]:
    """Its runs, each with its task known here, and as many threads as it had."""
    for place in run_folders(folder, manifest):
        run = Run(place)
        threads = int(run.machine.get("threads") or torch.get_num_threads())
        torch.set_num_threads(max(1, min(threads, MOST_THREADS)))
        config = run.config
        if run.task.name not in TASKS:
            add_task(run.task)
        if config.weights:
            config = replace(config, weights=str(place.parent / BEGUN_FROM / config.weights))
        yield run, config
