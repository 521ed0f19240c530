"""What a search tries: settings with their ranges and choices, and the file that keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import pandas as pd

from medkit import files, tables
from medkit.errors import ConfigError
from medkit.runs.config import Config

FORM = 2  # of search.json


def check_space(config: Config, space: Mapping[str, Any]) -> None:
    """Refuse settings that do not exist, or that do not go together with the others."""
    if not space:
        raise ConfigError("tune: the space is empty. Name a setting, as {'peak_lr': (1e-4, 1e-2)}.")
    for name, asked in space.items():
        if not _is_range(asked):
            raise ConfigError(
                f"tune: {name}={asked!r} is no range (expected a list of choices, (low, high) or "
                '(low, high, "log") with low < high).'
            )
        for value in asked if isinstance(asked, list) else asked[:2]:
            Config.from_dict({**config.to_dict(), name: value})
    if {"seed", "task", "name", "best_by"} & set(space):
        raise ConfigError(
            "tune: seed, task, name and best_by are not searched: trials must compare."
        )


def _is_range(asked: Any) -> bool:
    if isinstance(asked, list):
        return bool(asked)
    if not isinstance(asked, tuple) or asked[2:] not in ((), ("log",)) or len(asked) < 2:
        return False
    return asked[0] < asked[1] and (len(asked) == 2 or asked[0] > 0)


def plain(value: Any) -> Any:
    """A value without NumPy's numbers and arrays."""
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part) for part in value)
    return value.tolist() if hasattr(value, "tolist") else value


def suggest(trial: Any, name: str, asked: Any) -> Any:
    """A value for one setting."""
    if isinstance(asked, list):  # as JSON: the journal gives tuples back as lists
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in asked]))
    is_whole = isinstance(asked[0], int) and isinstance(asked[1], int)
    draw = trial.suggest_int if is_whole else trial.suggest_float
    return draw(name, asked[0], asked[1], log=len(asked) == 3)


def shown(value: Any) -> Any:
    """A setting as it was asked for: choices are kept as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def check_same(folder: Path, facts: Mapping[str, Any], cases: pd.DataFrame) -> str:
    """Write what is searched into the folder; refuse one that holds another search.

    Returns:
        The name of the recipe in that folder.
    """
    path, asked = folder / "search.json", dict(facts["space"])
    told = {name: _told(value) for name, value in asked.items()}
    now = json.loads(json.dumps({**facts, "space": told, "form": FORM}))
    if not path.is_file():
        files.write_json(path, now)
        return now["config"]["name"]
    saved = json.loads(path.read_text(encoding="utf-8"))
    if saved.get("form", 1) < FORM:  # which told a range and a list of choices alike
        now["space"] = json.loads(json.dumps(asked))
    changed = [
        f"{part}: {name} {old.get(name)!r} saved, {new.get(name)!r} asked"
        for part, old, new in (
            ("config", Config.from_dict(saved["config"]).to_dict(), now["config"]),
            ("space", saved["space"], now["space"]),
        )
        for name in {**old, **new}
        if old.get(name) != new.get(name) and (part, name) != ("config", "name")
    ]
    if saved["fold"] != now["fold"]:
        changed.append(f"fold {saved['fold']} saved, {now['fold']} asked")
    if saved["cases"] != now["cases"] and not tables.are_known_by(cases, saved["cases"]):
        changed.append("cases: other ids, labels or folds than saved")
    if changed:
        raise ConfigError(
            f"{folder}: it holds another search ({'; '.join(changed)}). Choose another folder for "
            "this one: values of different searches do not compare."
        )
    return saved["config"]["name"]


def _told(asked: Any) -> Any:
    """What is asked of a setting, as JSON that tells a range from a list of choices."""
    if isinstance(asked, list):
        return asked
    return {"low": asked[0], "high": asked[1], "log": asked[2:] == ("log",)}
