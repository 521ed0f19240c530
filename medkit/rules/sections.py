"""What a report's sections say and draw, from the tables of a run folder: model, data and results.

Each takes the sheets to write on, and what is reported on.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import pandas as pd
from matplotlib.figure import Figure

from medkit.datasets.task import Head
from medkit.errors import ConfigError, MedkitError
from medkit.inference.judging import score_table
from medkit.rules.provenance import ended, millions
from medkit.rules.sheets import MOST, ROOM, Sheets
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.pictures import data_folder
from medkit.show.answers import show_answers, show_reliability
from medkit.show.figures import show_balance, show_folds
from medkit.show.grid import answer_table
from medkit.show.mistakes import show_mistakes
from medkit.show.scores import show_history, show_intervals
from medkit.tables import part_column

if TYPE_CHECKING:
    from medkit.rules.reporting import Reported

CURVES = 5  # runs whose curves are drawn
FEW = 6  # classes of which a small confusion matrix tells
NAMED = 6  # classes that are named in a sentence
HALF = 315  # points: the height of half a sheet, for a figure of the team's own
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
    when = words("ended", day=day) if state == "finished" else words("not ended", state=state)
    sheets.title(about.title, words("title"), f"{words('team', team=about.team)}   ·   {when}")
    about.scores = score_table(
        about.task, about.held_out, about.predictions, threshold=about.threshold
    )
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
            (words("weights"), words("million", count=millions(about.runs[0])), config.model),
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
            millions=millions(about.runs[0]),
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


def data_section(sheets: Sheets, about: Reported) -> None:
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
    if rows:
        names = [words(name) for name in ("label", "cases", "share", "groups")]
        sheets.table(names, rows, right=(1, 2, 3), beside=figure, caption=caption)
    _quarantine(sheets, about)
    if not rows:
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
    flatten(figure, 0.6)
    sheets.paragraph(words("folds in short", count=count, held=", ".join(held)), keep=120)
    sheets.figures(figure, caption=words("folds caption"), scale=0.64)


def flatten(figure: Figure, inches: float) -> None:
    """Take some of a figure's height: it is laid out anew."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height - inches)


def curves(sheets: Sheets, about: Reported) -> None:
    """The best epoch of each run, and its curves."""
    words, shown = about.words, about.runs[:CURVES]
    sheets.heading(words("curves"))
    own = about.scores["metric"].iloc[0]
    names = ["fold", "epochs", "best epoch", "train loss", "valid loss"]
    rows = [_best(run, config, own) for run, config in zip(about.runs, about.configs)]
    sheets.table([*map(words, names), words.score(own)], rows, right=range(1, 6))
    if len(shown) < len(about.runs):
        sheets.paragraph(words("curves left out", shown=CURVES, count=len(about.runs)))
    for run in shown:
        figure = show_history(run)
        flatten(figure, 0.6 if len(shown) > 1 else 0.3)
        sheets.figures(figure, caption=words("curves caption", fold=about.name(run)))


def _best(run: Run, config: Config, own: str) -> tuple[str, ...]:
    """A run's best epoch in a row."""
    history = run.history
    by = "valid_loss" if config.best_by == "loss" else config.best_by
    values = history[by].astype(float) if by in history else pd.Series(dtype=float)
    is_error = by == "valid_loss" or not run.task.greater_is_better(by)
    cells = [str(run.fold), f"{len(history)} / {config.epochs}"]
    if values.notna().sum() == 0:
        return (*cells, "", "", "", "")
    row = history.loc[values.idxmin() if is_error else values.idxmax()]
    told = [row["train_loss"], row.get("valid_loss"), row.get(own)]
    numbers = ["" if value is None else f"{float(value):.4f}" for value in told]
    return (*cells, str(int(row["epoch"])), *numbers)


def scores(sheets: Sheets, about: Reported) -> None:
    """Scores with intervals, and answers beside the truth."""
    words, table, task = about.words, about.scores, about.task
    sheets.heading(words("scores"))
    text = words(
        "scores in short",
        count=f"{about.judged:,}",
        noun=about.noun,
        groups=f"{about.units['group'].nunique():,}",
    )
    if task.scored.answer.has_classes:
        text += words("threshold", threshold=_threshold(about.threshold))
    sheets.paragraph(text, keep=60 + 26 * len(table))
    names = [words(name) for name in ("score", "value", "low", "high")]
    rows = [
        (words.score(row.metric), *(f"{v:.4f}" if pd.notna(v) else "–" for v in row[2:]))
        for row in table.itertuples()
    ]
    named = table.assign(metric=[words.score(name) for name in table["metric"]])
    figure, caption = show_intervals(named), words("intervals caption")
    sheets.table(names, rows, right=(1, 2, 3), beside=figure, caption=caption)
    _answers(sheets, about)


def _threshold(threshold: Any) -> str:
    if isinstance(threshold, dict):
        return ", ".join(f"{name} {value:.3g}" for name, value in threshold.items())
    return f"{threshold:.3g}"


def _answers(sheets: Sheets, about: Reported) -> None:
    """The figures that suit the kind of answer."""
    words, task = about.words, about.task
    beside = show_answers(task, about.units, threshold=about.threshold)
    if task.scored.answer.lies_in == "files":
        sheets.figures(beside, caption=words("dice"), scale=0.6)
        return
    told = answer_table(task, about.held_out, about.predictions, threshold=about.threshold)
    rows = [[_cell(value) for value in row] for row in told.itertuples(index=False)]
    names = [words.column(name) for name in told]
    right = range(1, len(names)) if task.scored.classes else range(len(names))
    sheets.table(names, rows, right=right)
    if not task.scored.classes:
        sheets.figures(beside, caption=words("agreement"))
        return
    told, sure = words("confusion", noun=about.noun), show_reliability(task, about.units)
    if len(task.scored.classes) > FEW:
        sheets.figures(beside, caption=f"{told}.", scale=0.62)
        sheets.figures(sure, caption=f"{words('reliability')}.", scale=0.62)
        return
    beside.set_size_inches(5.0, 4.7)
    sheets.figures(beside, sure, caption=f"{told}; {words('reliability')}.", scale=0.58)


def _cell(value: Any) -> str:
    """Counts as they are, other numbers with three decimals."""
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def mistakes(sheets: Sheets, about: Reported) -> None:
    """Pictures of mistakes, or why there are none."""
    words = about.words
    sheets.heading(words("mistakes"))
    if not about.pictures or about.n < 1:
        sheets.paragraph(words("no pictures"))
        return
    options = {"threshold": about.threshold, "n": about.n}
    figure = show_mistakes(about.task, about.held_out, about.predictions, **options)
    sheets.figures(figure, caption=words("mistakes caption", noun=about.noun))


def own_figures(sheets: Sheets, about: Reported, figures: Sequence[Figure]) -> None:
    """The team's own, two a sheet."""
    sheets.heading(about.words("figures"))
    for number, figure in enumerate(figures):
        width, height = figure.get_size_inches() * 72
        scale = min(1.0, ROOM / width, HALF / height)
        if not sheets.fits(scale * height + 70):
            raise ConfigError(
                f"report: {len(figures)} figures do not fit (found room for {number} of them on "
                f"{MOST} pages, beside what a report holds). Choose those that a jury should see."
            )
        sheets.figures(figure, scale=scale)


IN_ORDER = (first, model, data_section, folds, curves, scores)
