"""What a model is told of a case beside its picture, as numbers."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import pandas as pd
import torch

from medkit.datasets.task import Fact, Task
from medkit.errors import ConfigError
from medkit.naming import did_you_mean


def encode_facts(
    task: Task, cases: pd.DataFrame, names: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Facts as one-hot (N, F) float32, as they are and as they read in a mirrored picture."""
    facts = fact_list(task, names)
    plain = [_one_hot(cases, fact, {}) for fact in facts]
    mirrored = [_one_hot(cases, fact, fact.mirrored) for fact in facts]
    nothing = [np.zeros((len(cases), 0), np.float32)]
    return tuple(
        torch.from_numpy(np.concatenate(nothing + blocks, 1)) for blocks in (plain, mirrored)
    )


def fact_list(task: Task, names: Sequence[str]) -> list[Fact]:
    """The facts of a task by name.

    Raises:
        ConfigError: for a fact that the task does not know.
    """
    known = {fact.name: fact for fact in task.facts}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"{task.name}: no fact {unknown[0]!r} (expected one of {', '.join(known) or 'none'})."
            f"{did_you_mean(unknown[0], known)}"
        )
    return [known[name] for name in names]


def _one_hot(cases: pd.DataFrame, fact: Fact, renamed: dict) -> np.ndarray:
    """(N, values) float32; a missing or unknown value is all zeros."""
    values = cases[fact.name].map(lambda value: renamed.get(value, value))
    return np.stack([(values == name).to_numpy(bool) for name in fact.values], 1).astype(np.float32)
