"""Names that a person types: what was perhaps meant by one that is not known."""

from __future__ import annotations

import difflib
from typing import Any, Iterable


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """The end of a message, such as " Did you mean 'cosine'?"; "" where nothing is near.

    Example:
        >>> did_you_mean("Cosin", ["constant", "cosine"])
        " Did you mean 'cosine'?"
    """
    by_form = {_form(other): other for other in known}
    near = difflib.get_close_matches(_form(name), by_form, n=1, cutoff=0.6)
    return f" Did you mean {by_form[near[0]]!r}?" if near else ""


def _form(name: Any) -> str:
    """Case, hyphens and spaces make no difference: "F1-Macro" is meant for "f1_macro"."""
    return str(name).lower().replace("-", "_").replace(" ", "_")
