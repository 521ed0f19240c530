"""Where a model looked: Grad-CAM on a convolutional backbone's last map; of masks, what it sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from medkit.arguments import check_arguments
from medkit.errors import ConfigError, DataError
from medkit.inference.answers import ANSWERS
from medkit.inference.mask_answers import SURE
from medkit.inference.predicting import load_model
from medkit.loading.loader import make_dataset
from medkit.models.picture_model import PictureModel
from medkit.naming import did_you_mean
from medkit.runs.folder import Run
from medkit.tables import visible


def explain(
    run: Run,
    cases: pd.DataFrame,
    *,
    class_name: str | None = None,
    device: str | None = None,
    cache_folder: Path | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the model was shown of each case, and which parts of it spoke for a class.

    Args:
        cases: a few visible rows; all go through the model at once.
        class_name: the class in question; None takes the last.

    Returns:
        images: (N, S, S, 3) uint8.
        heatmaps: (N, S, S) float32, 0 to 1 in each; all 0 where nothing spoke for the class. Of
            masks: how sure the model is of the class at each pixel.

    Raises:
        ConfigError, DataError: unknown class, no visible case, or a backbone without a map (a
            transformer).
    Source: Selvaraju et al., arXiv 1610.02391, equations 1 and 2.

    Example:
        >>> images, heatmaps = mk.explain(run, held_out[held_out["region"].notna()].head(2))
        >>> images.shape, heatmaps.shape
        ((2, 32, 32, 3), (2, 32, 32))
    """
    check_arguments(explain, locals())
    classes = [name for head in run.task.heads for name in head.answer.asked]
    name = classes[-1] if class_name is None else class_name
    if name not in classes:
        raise ConfigError(
            f"explain: no class {name!r} (expected one of {', '.join(classes)})."
            f"{did_you_mean(name, classes)}"
        )
    seen = visible(cases).reset_index(drop=True)
    if seen.empty:
        raise DataError(f"explain: none of {len(cases)} cases has a picture. Choose others.")
    model = load_model(run, device=device)
    dataset = make_dataset(run.task, run.config, seen, cache_folder=cache_folder, progress=False)
    shown = [dataset[0, 0, row] for row in range(len(seen))]
    images = torch.stack([case.images for case in shown]).to(model.mean.device)
    facts = torch.stack([case.facts for case in shown]).to(model.mean.device)
    maps = run.task.common(MAPS)(run, model, images, facts, classes.index(name))
    size = images.shape[-1]
    heatmaps = np.stack([cv2.resize(m, (size, size), interpolation=cv2.INTER_LINEAR) for m in maps])
    return images.permute(0, 2, 3, 1).cpu().numpy(), heatmaps


def _evidence(
    run: Run, model: PictureModel, images: torch.Tensor, facts: torch.Tensor, number: int
) -> np.ndarray:
    """(N, h, w): which parts of a feature map spoke for an output, up to 1 in each."""
    features = model.features(images).detach().requires_grad_(True)
    if features.ndim != 4 or features.shape[1] != model.backbone.num_features:
        raise ConfigError(
            f"explain: {run.config.model!r} keeps no (N, C, h, w) feature map "
            f"(found {tuple(features.shape)}). Grad-CAM needs a convolutional backbone."
        )
    model.from_features(features, facts)[:, number].sum().backward()
    weights = features.grad.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    maps = (weights * features).sum(1).clamp(min=0).detach().float().cpu().numpy()  # (N, h, w)
    return maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-12)


def _probability(
    run: Run, model: PictureModel, images: torch.Tensor, facts: torch.Tensor, number: int
) -> np.ndarray:
    """(N, S, S): how sure the model is of a class at each pixel: it says itself where it is."""
    with torch.inference_mode():
        levels = ANSWERS[run.task.scored.kind].collect.levels(model(images, facts))
    return levels[:, number].cpu().numpy().astype(np.float32) / SURE


MAPS = {  # of each kind of answer: (run, model, images, facts, number of the class) -> maps
    "classes": _evidence,
    "number": _evidence,
    "masks": _probability,
    "exclusive_masks": _probability,
}
