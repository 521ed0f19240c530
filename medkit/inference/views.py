"""Test-time views as pairs: see the image so, turn the answer back so."""

from __future__ import annotations

from typing import Sequence

import torch

from medkit.errors import ConfigError
from medkit.naming import did_you_mean

VIEWS = {  # name: (see, turn back), both on (N, C, H, W)
    "as is": (lambda x: x, lambda y: y),
    "mirrored": (lambda x: x.flip(-1), lambda y: y.flip(-1)),
    "upside down": (lambda x: x.flip(-2), lambda y: y.flip(-2)),
    "turned about": (lambda x: x.flip(-1, -2), lambda y: y.flip(-1, -2)),
}
NEEDS = {  # the flips under which a task's labels must stay true
    "mirrored": {"horizontal"},
    "upside down": {"vertical"},
    "turned about": {"horizontal", "vertical"},
}


def allowed_views(flips: Sequence[str]) -> list[str]:
    """All views under which a task's labels stay true.

    Args:
        flips: the flips that the task allows.
    """
    return [view for view in VIEWS if NEEDS.get(view, set()) <= set(flips)]


def check_views(views: Sequence[str], flips: Sequence[str]) -> None:
    """Refuse views that are unknown, or under which the labels would change.

    Args:
        flips: the flips that the task allows.
    """
    if not views:
        raise ConfigError(f"views: found none (expected some of {', '.join(VIEWS)}).")
    for view in views:
        if view not in VIEWS:
            raise ConfigError(
                f"unknown view {view!r} (expected one of {', '.join(VIEWS)})."
                f"{did_you_mean(view, VIEWS)}"
            )
        if not NEEDS.get(view, set()) <= set(flips):
            raise ConfigError(
                f"view {view!r} changes the labels of this task (it allows {list(flips)}). "
                "Leave the view out."
            )


def predict_views(
    model: torch.nn.Module,
    images: torch.Tensor,
    facts: torch.Tensor,
    mirrored_facts: torch.Tensor,
    views: Sequence[str],
) -> torch.Tensor:
    """Mean of the logits over views; what is known of a case is mirrored along.

    Logits that have places, (N, C, H, W), are turned back first; those of a whole picture need not.

    Args:
        images: (N, 3, S, S) uint8; facts, mirrored_facts: (N, F).
    """
    logits = []
    for view in views:
        see, back = VIEWS[view]
        known = mirrored_facts if "horizontal" in NEEDS.get(view, ()) else facts
        answers = model(see(images), known).float()
        logits.append(back(answers) if answers.ndim == 4 else answers)
    return torch.stack(logits).mean(0)
