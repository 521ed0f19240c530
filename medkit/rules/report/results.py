"""What a report says and draws of how a model was trained and how well it does.

Each section takes the sheets to write on, and what is reported on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import pandas as pd
from matplotlib.figure import Figure

from medkit.errors import ConfigError
from medkit.rules.report.sections import flatten
from medkit.rules.report.sheets import MOST, ROOM, Sheets
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.show.answers import show_answers, show_reliability
from medkit.show.grid import answer_table
from medkit.show.scores import show_history, show_intervals

if TYPE_CHECKING:
    from medkit.rules.reporting import Reported

CURVES = 5  # runs whose curves are drawn
CURVE = 185  # points: the height of the first one, below the table
FEW = 6  # classes of which a small confusion matrix tells
HALF = 315  # points: the height of half a sheet, for a figure of the team's own


def curves(sheets: Sheets, given: Reported) -> None:
    """The best epoch of each run, and its curves."""
    words, shown = given.words, given.runs[:CURVES]
    sheets.heading(words("curves"))
    own = given.scores["metric"].iloc[0]
    names = ["fold", "epochs", "best epoch", "train loss", "valid loss"]
    rows = [_best(run, config, own) for run, config in zip(given.runs, given.configs)]
    sheets.table([*map(words, names), words.score(own)], rows, right=range(1, 6), keep=CURVE)
    if len(shown) < len(given.runs):
        sheets.paragraph(words("curves left out", shown=CURVES, count=len(given.runs)))
    for run in shown:
        figure = show_history(run)
        flatten(figure, 0.6 if len(shown) > 1 else 0.3)
        sheets.figures(figure, caption=words("curves caption", fold=run.fold))


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


def scores(sheets: Sheets, given: Reported) -> None:
    """Scores with intervals, and answers beside the truth."""
    words, table, task = given.words, given.scores, given.task
    sheets.heading(words("scores"))
    text = words(
        "scores in short",
        count=f"{given.judged:,}",
        noun=given.noun,
        groups=f"{given.units['group'].nunique():,}",
    )
    is_chosen = isinstance(given.threshold, dict) or len(task.scored.classes) == 2
    if is_chosen or task.scored.answer.lies_in == "files":  # of more, the likeliest is chosen
        text += words("threshold", threshold=_threshold(given.threshold))
    sheets.paragraph(text, keep=50 + 23 * len(table))
    names = [words(name) for name in ("score", "value", "low", "high")]
    rows = [
        (words.score(row.metric), *(f"{v:.4f}" if pd.notna(v) else "–" for v in row[2:]))
        for row in table.itertuples()
    ]
    named = table.assign(metric=[words.score(name) for name in table["metric"]])
    figure, caption = show_intervals(named), words("intervals caption")
    sheets.table(names, rows, right=(1, 2, 3), beside=figure, caption=caption)
    _answers(sheets, given)


def _threshold(threshold: Any) -> str:
    if isinstance(threshold, dict):
        return ", ".join(f"{name} {value:.3g}" for name, value in threshold.items())
    return f"{threshold:.3g}"


def _answers(sheets: Sheets, given: Reported) -> None:
    """The figures that suit the kind of answer."""
    words, task = given.words, given.task
    beside = show_answers(task, given.units, threshold=given.threshold)
    if task.scored.answer.lies_in == "files":
        flatten(beside, 0.1 * len(task.scored.classes))  # whose lines have room to spare
        sheets.figures(beside, caption=words("dice"), scale=0.62)
        return
    told = answer_table(task, given.held_out, given.predictions, threshold=given.threshold)
    rows = [[_cell(value) for value in row] for row in told.itertuples(index=False)]
    names = [words.column(name) for name in told]
    has_classes = task.scored.answer.has_classes
    right = range(1 if has_classes else 0, len(names))
    if not has_classes:
        sheets.table(names, rows, right=right)
        sheets.figures(beside, caption=words("agreement"))
        return
    matrix, sure = words("confusion", noun=given.noun), show_reliability(task, given.units)
    if len(task.scored.classes) > FEW:
        beside.set_size_inches(5.6, min(6.4, 5.0 + 0.06 * len(rows)))
        sheets.table(names, rows, right=right, beside=beside, caption=f"{matrix}.")
        sheets.figures(sure, caption=f"{words('reliability')}.", scale=0.62)
        return
    sheets.table(names, rows, right=right)
    beside.set_size_inches(4.9, 4.4)
    sure.set_size_inches(6.3, 4.4)
    sheets.figures(beside, sure, caption=f"{matrix}; {words('reliability')}.", scale=0.58)


def _cell(value: Any) -> str:
    """Counts as they are, other numbers with three decimals."""
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def mistakes(sheets: Sheets, given: Reported) -> None:
    """Pictures of mistakes, or why there are none."""
    words = given.words
    sheets.heading(words("mistakes"))
    if given.mistakes is None:
        sheets.paragraph(words("no pictures"))
    else:
        caption = words("mistakes caption", noun=given.noun)
        sheets.figures(given.mistakes, caption=caption)


def own_figures(sheets: Sheets, given: Reported, figures: Sequence[Figure]) -> None:
    """The team's own, two a sheet."""
    sheets.heading(given.words("figures"))
    for number, figure in enumerate(figures):
        width, height = figure.get_size_inches() * 72
        scale = min(1.0, ROOM / width, HALF / height)
        if not sheets.fits(scale * height + 70):
            raise ConfigError(
                f"report: {len(figures)} figures do not fit (found room for {number} of them on "
                f"{MOST} pages, beside what a report holds). Choose those that a jury should see."
            )
        sheets.figures(figure, scale=scale)
