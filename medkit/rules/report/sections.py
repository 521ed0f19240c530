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
from medkit.rules.report.provenance import ended
from medkit.rules.report.sheets import Sheets
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


def first(sheets: Sheets, given: Reported) -> None:
    """Title, team, and the numbers that a reader looks for."""
    words, config = given.words, given.configs[0]
    day, state = ended(given.runs)
    is_over = state == "finished"
    when = words("ended", day=day) if is_over else words("not ended", state=words(f"state {state}"))
    sheets.title(given.title, words("title"), f"{words('team', team=given.team)}   ·   {when}")
    row = given.scores.iloc[0]
    width = words("no interval")
    if pd.notna(row["low"]):
        width = words("interval", low=f"{row['low']:.3f}", high=f"{row['high']:.3f}")
    groups, count = given.units["group"].nunique(), len(given.runs)
    number, millions = f"{row['value']:.3f}", words("million", count=given.weights[0].millions)
    many = words("one model") if count == 1 else words("folds judged")
    judged = words("judged", noun=given.noun)
    sheets.band(
        [
            (words.score(row["metric"]), number, width),
            (judged, f"{given.judged:,}", words("of groups", count=f"{groups:,}")),
            (words("weights"), millions, config.model),
            (words("models"), str(count), many),
        ]
    )


def model(sheets: Sheets, given: Reported) -> None:
    """The model in short, in the team's own words first."""
    words, config = given.words, given.configs[0]
    sheets.heading(words("model"))
    if given.about.strip():
        sheets.paragraph(given.about.strip())
    start = words("from scratch")
    if config.weights:
        start = words("from weights", file=Path(config.weights).name)
    heads = words("and").join(_head(given, head) for head in given.task.heads)
    sheets.paragraph(
        words(
            "model in short",
            backbone=config.model,
            millions=given.weights[0].millions,
            start=start,
            size=config.input_size,
            heads=heads,
        )
    )
    sheets.facts([(words(name), text) for name, text in _settings(given, config) if text])


def _head(given: Reported, head: Head) -> str:
    """What a head answers, in words."""
    classes = ", ".join(head.classes)
    if len(head.classes) > NAMED:
        classes = given.words("many classes", count=len(head.classes))
    answer = head.answer
    kind = "masks" if answer.lies_in == "files" else "classes" if answer.has_classes else "number"
    return given.words(f"head {kind}", name=head.name, classes=classes)


def _settings(given: Reported, config: Config) -> list[tuple[str, str]]:
    """A run's settings by the names of their words; "" leaves one out."""
    words, run = given.words, given.runs[0]
    size = words("pixels", size=config.image_size)
    if config.patch_size:
        size = words("patches", patch=config.patch_size, size=config.image_size)
    part = part_column(given.cases)
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
    masks = given.task.scored.answer.lies_in == "files"
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


def data(sheets: Sheets, given: Reported) -> None:
    """What there is of each label, and what could not be used."""
    words, cases = given.words, given.cases
    sheets.heading(words("data"))
    groups = cases["group"].nunique()
    sheets.paragraph(words("data in short", cases=f"{len(cases):,}", groups=f"{groups:,}"))
    rows = _labels(given)
    figure, caption = show_balance(given.task, cases), words("balance")
    is_beside = bool(rows) and len(figure.axes) <= PANELS
    if rows:
        flatten(figure, 0.95)
        names = [words(name) for name in ("label", "cases", "share", "groups")]
        beside = figure if is_beside else None
        sheets.table(names, rows, right=(1, 2, 3), beside=beside, caption=caption)
    _quarantine(sheets, given)
    if not is_beside:
        sheets.figures(figure, caption=caption, scale=0.6, least=0.75)


def _labels(given: Reported) -> list[tuple[str, ...]]:
    """Cases and groups of each label, a row each; none of numbers and masks."""
    words, cases, rows = given.words, given.cases, []
    for head in given.task.heads:
        several = f"{head.name}: " if len(given.task.heads) > 1 else ""
        for name in (*head.classes, None) if head.answer.lies_in == "table" else ():
            own = cases[cases[head.name].isna() if name is None else cases[head.name] == name]
            if name is not None or len(own):
                text = several + (words("unlabelled") if name is None else name)
                share = f"{len(own) / len(cases):.1%}"
                rows.append((text, f"{len(own):,}", share, f"{own['group'].nunique():,}"))
    return rows


def _quarantine(sheets: Sheets, given: Reported) -> None:
    words, found = given.words, _inspected(given)
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


def _inspected(given: Reported) -> pd.DataFrame | None:
    """The quarantine of the training data; None where the contest's folder cannot be read."""
    if "inspect" not in given.task.own:
        return None
    try:
        place = data_folder(given.cases)
    except MedkitError:
        return None
    places = [place, *list(place.parents)[:FLOORS]]
    for folder in places if given.data is None else [Path(given.data), *places]:
        try:
            return given.task.inspect(folder, "train")[1]
        except (MedkitError, OSError):  # it is another one
            continue
    return None


def folds(sheets: Sheets, given: Reported) -> None:
    """What each fold holds, and which ones are judged."""
    words, cases = given.words, given.cases
    if "fold" not in cases:
        return
    held = sorted(str(run.fold) for run in given.runs)
    sheets.heading(words("folds"))
    count = cases["fold"].nunique()
    figure = show_folds(given.task, cases)
    flatten(figure, 0.8)
    how = {"scale": 0.64, "least": 0.7}
    room = 72 * figure.get_size_inches()[1] * how["scale"] * how["least"] + 30
    sheets.paragraph(words("folds in short", count=count, held=", ".join(held)), keep=room)
    sheets.figures(figure, caption=words("folds caption"), **how)


def flatten(figure: Figure, inches: float) -> None:
    """Take some of a figure's height: it is laid out anew."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height - inches)
