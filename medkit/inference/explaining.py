"""Where a model looked: Grad-CAM on the last feature map of a convolutional backbone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from medkit.inference.predicting import load_model
from medkit.loading.loader import make_dataset
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
        heatmaps: (N, S, S) float32, 0 to 1 in each; all 0 where nothing spoke for the class.

    Raises:
        ValueError: unknown class, no visible case, or a backbone without a map (a transformer).
    Source: Selvaraju et al., arXiv 1610.02391, equations 1 and 2.
    """
    classes = run.task.columns
    name = classes[-1] if class_name is None else class_name
    if name not in classes:
        raise ValueError(
            f"explain: no class {name!r} (expected one of {', '.join(classes)})."
            f"{did_you_mean(name, classes)}"
        )
    seen = visible(cases).reset_index(drop=True)
    if seen.empty:
        raise ValueError(f"explain: none of {len(cases)} cases has a picture. Choose others.")
    model = load_model(run, device=device)
    dataset = make_dataset(run.task, run.config, seen, cache_folder=cache_folder, progress=False)
    items = [dataset[0, 0, row] for row in range(len(seen))]
    images = torch.stack([item.images for item in items]).to(model.mean.device)
    features = model.features(images).detach().requires_grad_(True)
    if features.ndim != 4 or features.shape[1] != model.backbone.num_features:
        raise ValueError(
            f"explain: {run.config.model!r} keeps no (N, C, h, w) feature map "
            f"(found {tuple(features.shape)}). Grad-CAM needs a convolutional backbone."
        )
    facts = torch.stack([item.facts for item in items]).to(features.device)
    model.from_features(features, facts)[:, classes.index(name)].sum().backward()
    weights = features.grad.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    maps = (weights * features).sum(1).clamp(min=0).detach().float().cpu().numpy()  # (N, h, w)
    maps = maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-12)
    size = images.shape[-1]
    heatmaps = np.stack([cv2.resize(m, (size, size), interpolation=cv2.INTER_LINEAR) for m in maps])
    return images.permute(0, 2, 3, 1).cpu().numpy(), heatmaps
