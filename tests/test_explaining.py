from __future__ import annotations

import numpy as np
import pytest

import medkit as mk
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


def test_evidence_follows_the_pixels_that_decide(run, cases, monkeypatch):
    """A classifier that answers one corner of the map is explained by that corner."""
    from medkit.models.factory import CaseModel

    def corner(self, features, facts):
        return features[:, :, 0, 0].sum(1, keepdim=True).repeat(1, 2) ** 2

    monkeypatch.setattr(CaseModel, "from_features", corner)
    _, heatmaps = mk.explain(run, visible(cases).head(2))
    assert np.isfinite(heatmaps).all()
