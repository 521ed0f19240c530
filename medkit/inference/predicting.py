"""Predictions: a table of probabilities by id. Validation inside `fit` is made here too."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from medkit import files, tables
from medkit.devices import find_device, free_memory, is_out_of_memory, precision
from medkit.inference.answers import collected
from medkit.inference.views import allowed_views, check_views, predict_views
from medkit.loading.loader import CaseDataset, make_dataset, make_loader
from medkit.models.factory import new_model
from medkit.models.picture_model import PictureModel
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
) -> pd.DataFrame:
    """Probabilities by a run's best weights.

    Args:
        cases: as `task.read` gives them. A case without a path gets the majority of the training
            cases, with a warning; a photo without a region has nothing to predict and no row.
        views: names of `views.VIEWS`, whose logits are averaged, or "all" that the task allows.
        batch_size: images at once; None takes twice the run's, and halves it when memory is short.
        folder: where masks are written, a file an image; by default one of the run folder's.

    Returns:
        `id`, then one probability column a class, which add up to 1 over a head, or its number; of
        masks `file`, the place of each image's (see `images.crops`).
    """
    config, task = run.config, run.task
    views = allowed_views(task.mirror) if views == "all" else views
    check_views(views, task.mirror)
    model = load_model(run, device=device)
    seen = tables.visible(cases)
    if not len(seen):
        raise ValueError(
            f"predict: none of {len(cases)} cases has a picture to look at. Read them with "
            "task.inspect(data, split), which lists what cannot be used."
        )
    dataset = make_dataset(task, config, seen, cache_folder=cache_folder)
    batches = predict_batches(
        model,
        dataset,
        np.arange(len(seen)),
        views=views,
        batch_size=batch_size or 2 * config.batch_size,
        num_workers=num_workers,
        amp=config.amp,
    )
    if folder is None:
        folder = run.path / "predicted" / _key(run, seen, views)
    table = collected(task, batches, seen, folder=Path(folder)).predictions(seen["id"])
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
    device = model.mean.device
    loader = make_loader(
        dataset,
        [(0, 0, int(row)) for row in rows],
        batch_size=batch_size,
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
    )
    was_training = model.training
    model.eval()
    try:
        for batch in loader:
            known = batch.facts, dataset.mirrored_facts[batch.rows]
            with torch.inference_mode(), precision(device, amp):  # not while others have their turn
                logits = _in_parts(model, batch.images, *known, views=views)
            yield logits, batch.labels
    finally:
        model.train(was_training)


def _in_parts(
    model: PictureModel,
    images: torch.Tensor,
    facts: torch.Tensor,
    mirrored: torch.Tensor,
    *,
    views: Sequence[str],
) -> torch.Tensor:
    """Logits; in halves where the GPU has no memory for the whole."""
    device = model.mean.device
    try:
        batch = (part.to(device, non_blocking=True) for part in (images, facts, mirrored))
        return predict_views(model, *batch, views=views)
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(images) == 1:
            raise
    free_memory()  # outside the handler: its traceback would hold the memory
    half = len(images) // 2
    parts = slice(None, half), slice(half, None)
    return torch.cat(
        [_in_parts(model, images[p], facts[p], mirrored[p], views=views) for p in parts]
    )


def _key(run: Run, cases: pd.DataFrame, views: Sequence[str]) -> str:
    """A name that changes with weights, cases, their pictures and views."""
    facts = [files.sha256_file(run.best), *views, *cases["id"].astype(str)]
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
