"""Predictions: a table of probabilities by id. Validation inside `fit` is made here too."""

from __future__ import annotations

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from medkit import __version__, files, tables
from medkit.arguments import check_arguments
from medkit.devices import find_device, free_memory, is_out_of_memory, precision
from medkit.errors import DataError
from medkit.inference.answers import begin, collected
from medkit.inference.sliding import slide
from medkit.inference.views import allowed_views, check_views, predict_views
from medkit.loading.loader import CaseDataset, make_dataset, make_loader
from medkit.models.factory import new_model
from medkit.models.picture_model import PictureModel
from medkit.progress import track
from medkit.runs.folder import Run
from medkit.runs.tensor_files import load_state


def predict(
    run: Run,
    cases: pd.DataFrame,
    *,
    views: Sequence[str] | str = ("as is",),
    batch_size: int | None = None,
    num_workers: int = 0,
    device: str | None = None,
    cache_folder: Path | str | None = None,
    folder: Path | str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Probabilities by a run's best weights.

    Args:
        cases: as `task.read` gives them. A case without a path gets the majority of the training
            cases, with a warning; a photo without a region has nothing to predict and no row.
        views: names of `views.VIEWS`, whose logits are averaged, or "all" that the task allows.
        batch_size: images, or windows, at once; None takes twice as many as a step has at once. It
            is halved when memory is short.
        folder: where masks are written, a file an image; by default one of the run folder's. After
            an interrupt, or a full disk, the same call goes on with the images that are left.

    Returns:
        `id`, then one probability column a class, which add up to 1 over a head, or its number; of
        masks `file`, the place of each image's (see `images.crops`), and `file_sha`, what it holds.

    Example:
        >>> table = mk.predict(run, test_cases, views=("as is", "mirrored"), progress=False)
        >>> list(table.columns)
        ['id', 'sound', 'decayed']
    """
    check_arguments(predict, locals())
    config, task = run.config, run.task
    views = allowed_views(task.mirror) if views == "all" else views
    check_views(views, task.mirror)
    seen = tables.visible(cases)
    if not len(seen):
        raise DataError(
            f"predict: none of {len(cases)} cases has a picture to look at. Read them with "
            "task.inspect(data, split), which lists what cannot be used."
        )
    key, at_once = _key(run, seen, views), batch_size or config.judged_at_once
    folder = run.path / "predicted" / key if folder is None else Path(folder)
    rows, batches = np.flatnonzero(~begin(task, seen, folder, key)), iter(())
    if len(rows):
        batches = predict_batches(
            load_model(run, device=device),
            make_dataset(task, config, seen, cache_folder=cache_folder, progress=progress),
            rows,
            views=views,
            batch_size=at_once,
            num_workers=num_workers,
            amp=config.amp,
        )
        steps = len(rows) if config.patch_size else -(-len(rows) // at_once)
        batches = track(batches, "predicting", total=steps, enabled=progress)
    answers = collected(task, batches, seen.iloc[rows], folder=folder)
    table = answers.predictions(seen["id"])
    unread = list(cases["id"][cases["path"].isna()])
    if unread:
        warnings.warn(
            f"{len(unread)} cases cannot be looked at and get the majority of the training cases: "
            f"{', '.join(unread[:3])}.",
            stacklevel=2,
        )
        table = pd.concat([table, _likeliest(run, unread)], ignore_index=True)
    return table


def load_model(run: Run, *, device: str | None = None) -> PictureModel:
    """A run's model with its best weights, ready to predict."""
    tensors, _ = load_state(run.best)
    model = new_model(run.task, run.config)
    model.load_state_dict(tensors)
    return model.to(find_device(device)).eval()


def predict_batches(
    model: PictureModel,
    dataset: CaseDataset,
    rows: np.ndarray,
    *,
    views: Sequence[str] = ("as is",),
    batch_size: int,
    num_workers: int = 0,
    amp: bool = True,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits, where the model is, and labels of some rows of a dataset, batch by batch in order.

    When a GPU has no memory for a batch, the batch is halved, down to one image.
    """
    device, size = model.mean.device, dataset.patch_size
    loader = make_loader(
        dataset,
        [(0, 0, int(row)) for row in rows],
        batch_size=1 if size else batch_size,
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
    )
    was_training = model.training
    model.eval()
    try:
        for batch in loader:
            known = batch.facts, dataset.mirrored_facts[batch.rows]
            with torch.inference_mode(), precision(device, amp):  # not while others have their turn
                shown = partial(_in_parts, model, known=known, views=views)
                if size:
                    place = dataset.places[int(batch.rows)]
                    options = {"size": size, "at_once": batch_size}
                    logits = slide(model, batch.images[0], shown, place, **options)
                else:
                    logits = shown(batch.images)
            yield logits, batch.labels
    finally:
        model.train(was_training)


def _in_parts(
    model: PictureModel,
    images: torch.Tensor,
    *,
    known: tuple[torch.Tensor, torch.Tensor],
    views: Sequence[str],
) -> torch.Tensor:
    """Logits; in halves where the GPU has no memory for the whole.

    Args:
        known: facts and mirrored facts, (N, F) each, or (1, F) where these are windows of a case.
    """
    device, count = model.mean.device, len(images)
    try:
        facts = (part.expand(count, -1) for part in known)
        batch = (part.to(device, non_blocking=True) for part in (images, *facts))
        return predict_views(model, *batch, views=views)
    except RuntimeError as error:
        if not is_out_of_memory(error) or count == 1:
            raise
    free_memory()  # outside the handler: its traceback would hold the memory
    parts, half = [], count // 2
    for part in (slice(None, half), slice(half, None)):
        own = tuple(fact[part] if len(fact) == count else fact for fact in known)
        parts.append(_in_parts(model, images[part], known=own, views=views))
    return torch.cat(parts)


def _key(run: Run, cases: pd.DataFrame, views: Sequence[str]) -> str:
    """A name that changes with weights, cases, their pictures, views, and this version."""
    facts = [__version__, files.sha256_file(run.best), *views, *cases["id"].astype(str)]
    stats = {path: os.stat(path) for path in cases["path"].unique()}
    facts += [f"{p} {stats[p].st_size} {stats[p].st_mtime_ns}" for p in cases["path"]]
    return files.sha256("\n".join(facts).encode())[:12]


def _likeliest(run: Run, ids: list[str]) -> pd.DataFrame:
    """Of cases that nobody can look at: what is most frequent among the training cases."""
    task, cases = run.task, run.cases()
    table: dict[str, Any] = {"id": ids}
    for head in task.heads:
        labels = task.to_units(cases)["y_true"] if head == task.scored else cases[head.name]
        for name, value in zip(head.columns, head.answer.likeliest(labels)):
            table[name] = [value] * len(ids)
    return pd.DataFrame(table)
