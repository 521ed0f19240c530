"""The part of a hand-in that `mk.replay` reads: records of runs, test cases, answers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pandas as pd

from medkit import __version__, files, tables
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.errors import ConfigError, MissingError
from medkit.inference.ensembling import blend
from medkit.inference.predicting import predict
from medkit.inference.views import allowed_views
from medkit.rules.replay.manifest import FOLDER, Manifest, files_in
from medkit.runs.folder import Run
from medkit.runs.pictures import above, data_folder, gone, place_now
from medkit.runs.tensor_files import load_state, weights_hash

RECORDS = (  # of a run folder, what says how it was trained and what came of it
    *("run.json", "config.json", "task.json", "cases.csv", "pictures.csv", "machine.json"),
    *("history.csv", "first_losses.csv", "predictions.csv"),
)
VOTES = ("soft", "hard", "rank")  # of `mk.blend`, as far as they need no more settings
BEGUN_FROM = "begun_from"  # weights of others, where a run began with some
FEW = 8  # cases that are predicted once more, before a mistake is handed in
CLOSE = 1e-3  # between probabilities of a case in another batch
SAMPLE = 32  # pictures whose bytes are hashed: all of them may be many gigabytes


def finished(runs: Sequence[Run]) -> list[Run]:
    """The runs, if each has come to its end.

    Raises:
        ConfigError: naming the one that has not.
    """
    places = [run.path.resolve() for run in runs]
    if len(set(places)) < len(places):
        raise ConfigError(f"handin: a run stands twice in run=[...] (found {runs}). Take it once.")
    for run in runs:
        if run.state == "finished" and not run.best.is_file():
            raise MissingError(
                f"handin: {run.best} is gone (found {files.listing(run.path)}). Copy the run's "
                "folder anew, or train it again."
            )
        if run.state != "finished":
            raise ConfigError(
                f"handin: {run.path} is not finished (found {run.state!r}), and trained again it "
                "would go on to its end. Call mk.fit once more first."
            )
    return list(runs)


def answers(
    task: Task,
    runs: Sequence[Run],
    cases: pd.DataFrame,
    views: Sequence[str] | str,
    how: str,
    *,
    folder: Path | None = None,
    **options: Any,
) -> pd.DataFrame:
    """What runs say of cases, as one table.

    Args:
        folder: where masks are written; by default in the run folders.
    """
    votes = [
        predict(run, cases, views=views, folder=folder and folder / str(number), **options)
        for number, run in enumerate(runs)
    ]
    place = {} if folder is None else {"folder": folder / "blended"}
    return votes[0] if len(votes) == 1 else blend(task, votes, how=how, **place)


def check_predictions(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    runs: Sequence[Run],
    views: Sequence[str] | str,
    how: str,
) -> None:
    """Predict a few cases once more: what these runs do not say cannot be replayed.

    Raises:
        ConfigError: naming the first case, what was found and what is expected.
    """
    few = tables.by_turns(tables.visible(cases)).iloc[:FEW]
    if how == "rank":  # a rank is among all cases
        return
    with tempfile.TemporaryDirectory() as place:
        again = answers(task, runs, few, views, how, folder=Path(place), progress=False)
        known = predictions.set_index("id").reindex(again["id"])
        for column in [name for name in again if name not in ("id", "file")]:
            here, there = known.get(column), again[column].to_numpy()
            if here is None or not _alike(here.to_numpy(), there):
                found = "nothing" if here is None else _plain(here.iloc[0])
                raise ConfigError(
                    f"handin: the predictions are not what {runs[0].path} says with "
                    f"views={views!r} (column {column!r} of case {again['id'].iloc[0]!r}: found "
                    f"{found}, expected {_plain(there[0])}). Pass views=... (and how=...) as "
                    "mk.predict (and mk.blend) were given them."
                )


def _plain(value: Any) -> str:
    return value[:12] if isinstance(value, str) else f"{float(value):.6f}"


def _alike(here: np.ndarray, there: np.ndarray) -> bool:
    if there.dtype == object or here.dtype == object:  # hashes of masks
        return list(here) == list(there)
    return bool(np.allclose(here.astype(float), there.astype(float), rtol=CLOSE, atol=CLOSE))


def record(
    folder: Path,
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    runs: Sequence[Run],
    *,
    text: str,
    views: Sequence[str] | str,
    how: str,
    threshold: Threshold,
    weights: bool,
    pictures: dict[str, Any],
    moved_to: Path | str | None,
) -> None:
    """Write `replay_dir`; last the manifest, which names all files of the hand-in.

    Args:
        text: of the table that is handed in.
        pictures: their `fingerprint`.
        moved_to: where the data folder is now, when it has moved.
    """
    place, data = folder / FOLDER, data_folder(cases)
    kept = tables.write_cases(cases, place / "test.csv", data)
    tables.write_csv(without_places(predictions), place / "answers.csv")
    files.write_whole(place / "submission.csv", text)
    told = [
        _record_run(run, place / f"run{k}", weights, short(run.cases(moved_to), moved_to))
        for k, run in enumerate(runs)
    ]
    manifest = Manifest(
        medkit=__version__,
        task=task.name,
        runs=told,
        views=list(allowed_views(task.mirror) if views == "all" else views),
        how=how,
        threshold=threshold,
        test={**kept, "data": short(cases, moved_to)},
        pictures=pictures,
        files=files_in(folder),
    )
    manifest.write(folder)


def read_test(folder: Path, manifest: Manifest, data: Path) -> pd.DataFrame:
    """The test cases of a hand-in, with their pictures below `data`."""
    path, facts = folder / FOLDER / "test.csv", manifest.test
    first = tables.read_csv(path)["path"].dropna().iloc[0]
    return tables.read_cases(path, place_now(data, facts["data"], first), text=facts["text"])


def without_places(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of which only the names of files are told: their hashes stand beside."""
    if "file_sha" not in predictions:
        return predictions
    names = [file and Path(file).name for file in predictions["file"].astype(object)]
    return predictions.assign(file=pd.Series(names, predictions.index, dtype=object))


def short(cases: pd.DataFrame, data: Path | str | None) -> str:
    """Where the pictures of cases lie below the data folder.

    Where that is not told, the last three folders, and of these none from the user's name up.
    """
    place = data_folder(cases)
    if data is not None and Path(data).resolve() in (place, *place.parents):
        return place.relative_to(Path(data).resolve()).as_posix()
    parts = place.parts[1:][-3:]
    own = [k for k, part in enumerate(parts) if part == Path.home().name]
    return "/".join(parts[own[-1] + 1 if own else 0 :]) or "."


def fingerprint(
    runs: Sequence[Run], cases: pd.DataFrame, data: Path | str | None
) -> dict[str, Any]:
    """What tells whether pictures are the same: their bytes, and the hashes of a few.

    Args:
        cases: the test cases, beside those of the runs.
        data: where the data folder is now, when it has moved.

    Raises:
        MissingError: one of them is gone.
    """
    every = [cases, *(run.cases(data) for run in runs)]
    paths = sorted({path for table in every for path in table["path"].dropna()})
    root, few = above(map(Path, paths)), paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]
    lost = [path for path in paths if not Path(path).is_file()]
    if lost:
        raise gone(lost[0])
    sample = {Path(path).relative_to(root).as_posix(): files.sha256_file(path) for path in few}
    size = sum(Path(path).stat().st_size for path in paths)
    return {"count": len(paths), "bytes": size, "sample": sample}


def _record_run(run: Run, place: Path, weights: bool, data: str) -> dict[str, Any]:
    """Copy what says how a run was trained; returns what the manifest says of it.

    Raises:
        ConfigError: it began with weights of others, and they are not to be handed in.
    """
    for name in RECORDS:
        if (run.path / name).is_file():
            files.write_whole(place / name, (run.path / name).read_bytes())
    for path in run.path.glob("task_*.py"):
        files.write_whole(place / path.name, path.read_bytes())
    facts = json.loads((place / "run.json").read_text(encoding="utf-8"))
    files.write_json(place / "run.json", {**facts, "data": data})
    config, begun_from = run.config.to_dict(), run.config.weights
    if begun_from and not weights:
        raise ConfigError(
            f"handin: {run.path} began with {Path(begun_from).name!r}, without which it cannot be "
            "trained again. Pass weights=True, if the rules allow it."
        )
    if begun_from:
        copy = place.parent / BEGUN_FROM / Path(begun_from).name
        files.write_whole(copy, Path(begun_from).read_bytes())
    config["weights"] = begun_from and Path(begun_from).name
    files.write_json(place / "config.json", config)
    tensors, _ = load_state(run.best)
    if weights:
        files.write_whole(place / run.best.name, run.best.read_bytes())
    exact = run.history.get("bit_exact", pd.Series([True]))
    return {
        "seed": run.config.seed,
        "weights": weights_hash(tensors),
        "bit_exact": bool(exact.all()),
        "teacher": run.config.teacher is not None,
    }
