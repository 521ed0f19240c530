"""Tables by hand: teeth by threes, and three photos with predictions; none has a picture."""

from __future__ import annotations

import numpy as np
import pandas as pd


def make(n=60, per_group=3, seed=0):
    rng = np.random.default_rng(seed)
    groups = [f"{k // per_group:03d}" for k in range(n)]
    labels = np.where(rng.random(n) < 0.3, "decayed", "sound")
    regions = [[[0, 0], [k, 1.5], [3, k]] for k in range(n)]
    ids = [f"{k:06d}" for k in range(n)]
    paths = [f"/d/앞니/{k}.png" for k in range(n)]
    frame = {"id": ids, "path": paths, "group": groups, "decayed": labels, "region": regions}
    return pd.DataFrame(frame)


def whole_photos(names, labels):
    """A test split of the caries contest."""
    rows = [(n, n, f"/d/{n}.png", n, "front", label, label) for n, label in zip(names, labels)]
    columns = ["id", "photo", "path", "group", "view", "photo_decayed", "decayed"]
    return pd.DataFrame(rows, columns=columns)


TEST = whole_photos(["front_1", "front_2", "front_10"], ["sound", "decayed", "sound"])
GUESSED = pd.DataFrame(
    {"id": ["front_10", "front_1", "front_2"], "sound": [0.7, 0.6, 0.1], "decayed": [0.3, 0.4, 0.9]}
)
