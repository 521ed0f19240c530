"""What a report says and draws first: team, model, data and folds.

Each section takes the sheets to write on, and what is reported on.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from medkit.datasets.task import Head
from medkit.errors import MedkitError
from medkit.rules.provenance import ended
from medkit.rules.sheets import Sheets
from medkit.rules.words import WORDS
from medkit.runs.config import Config
from medkit.runs.pictures import data_folder
from medkit.show.figures import show_balance, show_folds
from medkit.tables import part_column

if TYPE_CHECKING:
    from medkit.rules.reporting import Reported

PANELS = 2  # of a figure that stands beside a table
NAMED = 6  # classes that are named in a sentence
FLOORS = 3  # folders above the pictures in which the contest's data folder is looked for
TOLD = {  # settings that have words of their own, or say nothing of the model
    *("task", "name", "seed", "image_size", "patch_size", "region_margin", "region_mask", "model"),
    *("weights", "decoder", "epochs", "batch_size", "optimizer", "weight_decay", "peak_lr"),
    *("schedule", "augment", "loss", "best_by", "deterministic"),
}


def first(sheets: Sheets, about: Reported) -> None:
    """Title, team, and the numbers that a reader looks for."""
    words, config = about.words, about.configs[0]
    day, state = ended(about.runs)
    state_words = words(f"state {state}") if f"state {state}" in WORDS else state
    when = words("ended", day=day) if state == "finished" else words("not ended", state=state_words)
    sheets.title(about.title, words("title"), f"{words('team', team=about.team)}   ·   {when}")
    row = about.scores.iloc[0]
    width = words("no interval")
    if pd.notna(row["low"]):
        width = words("interval", low=f"{row['low']:.3f}", high=f"{row['high']:.3f}")
    groups, count = about.units["group"].nunique(), len(about.runs)
    sheets.band(
        [
            (words.score(row["metric"]), f"{row['value']:.3f}", width),
            (
                words("judged", noun=about.noun),
                f"{about.judged:,}",
                words("of groups", count=f"{groups:,}"),
            ),
            (words("weights"), words("million", count=about.weights[0].millions), config.model),
            (
                words("models"),
                str(count),
                words("one model") if count == 1 else words("folds judged"),
            ),
        ]
    )


def model(sheets: Sheets, about: Reported) -> None:
    """The model in short, in the team's own words first."""
    words, config = about.words, about.configs[0]
    sheets.heading(words("model"))
    if about.about.strip():
        sheets.paragraph(about.about.strip())
    start = words("from scratch")
    if config.weights:
        start = words("from weights", file=Path(config.weights).name)
    heads = words("and").join(_head(about, head) for head in about.task.heads)
    sheets.paragraph(
        words(
            "model in short",
            backbone=config.model,
            millions=about.weights[0].millions,
            start=start,
            size=config.input_size,
            heads=heads,
        )
    )
    sheets.facts([(words(name), text) for name, text in _settings(about, config) if text])


def _head(about: Reported, head: Head) -> str:
    """What a head answers, in words."""
    classes = ", ".join(head.classes)
    if len(head.classes) > NAMED:
        classes = about.words("many classes", count=len(head.classes))
    kind = "masks" if head.answer.lies_in == "files" else "classes" if classes else "number"
    return about.words(f"head {kind}", name=head.name, classes=classes)


def _settings(about: Reported, config: Config) -> list[tuple[str, str]]:
    """A run's settings by the names of their words; "" leaves one out."""
    words, run = about.words, about.runs[0]
    size = words("pixels", size=config.image_size)
    if config.patch_size:
        size = words("patches", patch=config.patch_size, size=config.image_size)
    part = part_column(about.cases)
    parts = words(part, margin=config.region_margin) if part else ""
    masked = words("masked") if part == "region" and config.region_mask else ""
    done = len(run.history)
    start = Path(config.weights).name if config.weights else words("none")
    by = words("validation loss") if config.best_by == "loss" else words.score(config.best_by)
    usual = Config(config.task)
    odd = [
        f"{f.name}={_short(getattr(config, f.name))}"
        for f in fields(Config)
        if f.name not in TOLD and getattr(config, f.name) != getattr(usual, f.name)
    ]
    masks = about.task.scored.answer.lies_in == "files"
    return [
        ("backbone", config.model),
        ("decoder", config.decoder if masks else ""),
        ("start", start),
        ("input", size),
        ("part", parts + masked),
        ("epochs", words("epochs done", done=done, all=config.epochs)),
        ("batch", words("images", count=config.batch_size)),
        ("loss", _short(config.loss)),
        ("optimizer", words("optimised", name=config.optimizer, decay=config.weight_decay)),
        ("rate", words("scheduled", peak=config.peak_lr, schedule=config.schedule)),
        ("augment", config.augment),
        ("chosen by", by),
        ("more", ", ".join(odd)),
    ]


def _short(value: Any) -> str:
    """A setting as text, without the folders of what it names."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_short(each)}" for name, each in value.items())
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    return Path(value).name if isinstance(value, str) and value else f"{value}"


def data(sheets: Sheets, about: Reported) -> None:
    """What there is of each label, and what could not be used."""
    words, cases = about.words, about.cases
    sheets.heading(words("data"))
    groups = cases["group"].nunique()
    sheets.paragraph(words("data in short", cases=f"{len(cases):,}", groups=f"{groups:,}"))
    rows = []
    for head in about.task.heads:
        several = f"{head.name}: " if len(about.task.heads) > 1 else ""
        for name in (*head.classes, None) if head.answer.lies_in == "table" else ():
            own = cases[cases[head.name].isna() if name is None else cases[head.name] == name]
            if name is not None or len(own):
                text = several + (words("unlabelled") if name is None else name)
                share = f"{len(own) / len(cases):.1%}"
                rows.append((text, f"{len(own):,}", share, f"{own['group'].nunique():,}"))
    figure, caption = show_balance(about.task, cases), words("balance")
    is_beside = bool(rows) and len(figure.axes) <= PANELS
    if rows:
        flatten(figure, 0.95)
        names = [words(name) for name in ("label", "cases", "share", "groups")]
        beside = figure if is_beside else None
        sheets.table(names, rows, right=(1, 2, 3), beside=beside, caption=caption)
    _quarantine(sheets, about)
    if not is_beside:
        sheets.figures(figure, caption=caption, scale=0.6)


def _quarantine(sheets: Sheets, about: Reported) -> None:
    words, found = about.words, _inspected(about)
    if found is None:
        sheets.paragraph(words("unknown quarantine"))
    elif found.empty:
        sheets.paragraph(words("no quarantine"))
    else:
        sheets.paragraph(words("quarantine", count=f"{len(found):,}"))
        reasons = [re.sub(r"\S*[/\\]", "", str(r)).rpartition(": ")[2] for r in found["reason"]]
        counts = pd.Series(reasons).value_counts()
        rows = [(reason, f"{count:,}") for reason, count in counts.head(6).items()]
        sheets.table([words("reason"), words("records")], rows, right=(1,))


def _inspected(about: Reported) -> pd.DataFrame | None:
    """The quarantine of the training data; None where the contest's folder cannot be read."""
    if "inspect" not in about.task.own:
        return None
    try:
        place = data_folder(about.cases)
    except MedkitError:
        return None
    places = [place, *list(place.parents)[:FLOORS]]
    for folder in places if about.data is None else [Path(about.data), *places]:
        try:
            return about.task.inspect(folder, "train")[1]
        except (MedkitError, OSError):  # it is another one
            continue
    return None


def folds(sheets: Sheets, about: Reported) -> None:
    """What each fold holds, and which ones are judged."""
    words, cases = about.words, about.cases
    if "fold" not in cases:
        return
    held = sorted(str(run.fold) for run in about.runs)
    sheets.heading(words("folds"))
    count = cases["fold"].nunique()
    figure = show_folds(about.task, cases)
    flatten(figure, 0.8)
    sheets.paragraph(words("folds in short", count=count, held=", ".join(held)), keep=105)
    sheets.figures(figure, caption=words("folds caption"), scale=0.64)


def flatten(figure: Figure, inches: float) -> None:
    """Take some of a figure's height: it is laid out anew."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height - inches)
