from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

import medkit as mk
from medkit.inference.predicting import load_model
from medkit.models.factory import CaseModel
from medkit.tables import visible


@pytest.fixture(scope="module")
def run(cases, tmp_path_factory):
    config = mk.Config("caries", model="test_resnet", image_size=32, epochs=1)
    folder = tmp_path_factory.mktemp("runs") / "run"
    return mk.fit(config, cases, folder, num_workers=0, device="cpu", progress=False)


def test_explaining_shows_where_the_evidence_lies(run, cases):
    chosen = visible(cases).head(3)
    images, heatmaps = mk.explain(run, chosen)
    assert images.shape == (3, 32, 32, 3) and images.dtype == np.uint8
    assert heatmaps.shape == (3, 32, 32) and heatmaps.min() >= 0 and heatmaps.max() <= 1
    with pytest.raises(ValueError, match="no class 'gold'"):
        mk.explain(run, chosen, class_name="gold")
    with pytest.raises(ValueError, match="none of 3 cases has a picture"):
        mk.explain(run, chosen.assign(path=None))


def test_a_backbone_without_a_map_is_refused(cases, tmp_path):
    config = mk.Config("caries", model="test_vit", image_size=32, epochs=1)
    run = mk.fit(config, cases, tmp_path / "run", num_workers=0, device="cpu", progress=False)
    with pytest.raises(ValueError, match="'test_vit' keeps no .* feature map"):
        mk.explain(run, visible(cases).head(2))


def enlarged(maps, size=32):
    """(N, h, w) maps as heatmaps: nothing below zero, each up to 1, at the size of the picture."""
    maps = np.maximum(maps, 0)
    maps = maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-12)
    return np.stack([cv2.resize(m, (size, size), interpolation=cv2.INTER_LINEAR) for m in maps])


def brightness(self, images):
    """A map whose first channel is how bright each part is; the others say nothing."""
    bright = adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 4) / 255
    silent = torch.zeros(len(images), self.backbone.num_features - 1, 4, 4)
    return torch.cat([bright, silent], 1)


def bright_is_decayed(self, features, facts):
    answer = features[:, :1].mean((2, 3))
    return torch.cat([-answer, answer], 1)


def test_evidence_lies_where_the_pixels_that_decide_lie(run, cases, monkeypatch):
    monkeypatch.setattr(CaseModel, "features", brightness)
    monkeypatch.setattr(CaseModel, "from_features", bright_is_decayed)
    images, heatmaps = mk.explain(run, visible(cases).head(3))
    parts = images.reshape(3, 4, 8, 4, 8, 3).mean((2, 4, 5)).astype(np.float32)
    assert np.allclose(heatmaps, enlarged(parts), atol=1e-4)
    _, against = mk.explain(run, visible(cases).head(3), class_name="sound")
    assert not against.any()  # nothing speaks for it


def test_evidence_of_a_pooled_map_is_what_the_last_layer_weighs(run, cases):
    """Grad-CAM is CAM where the map is averaged and weighed (arXiv 1610.02391, section 3)."""
    images, heatmaps = mk.explain(run, visible(cases).head(3))
    model = load_model(run)
    with torch.no_grad():
        features = model.features(torch.from_numpy(images).permute(0, 3, 1, 2))  # (N, C, h, w)
    weights = model.classifier.weight[1, : features.shape[1]].detach()
    weighed = torch.einsum("c,nchw->nhw", weights, features).numpy()
    assert np.allclose(heatmaps, enlarged(weighed), atol=1e-4)
