"""A table of cases by hand: teeth by threes, none of which has a picture."""

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
