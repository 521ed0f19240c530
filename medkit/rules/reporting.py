"""`mk.report`: what a team hands in about a model, as a PDF of 1 to 10 pages.

Here: what it is made of, what is refused, and the order of its sections. What each of them says and
draws is in `sections`, `results` and `provenance`, in the words of `words`, on the `sheets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Sequence

import pandas as pd
from matplotlib.figure import Figure

from medkit import __version__, files, tables
from medkit.arguments import check_arguments
from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import judged
from medkit.errors import ConfigError, DataError, MissingError
from medkit.inference.judging import concat_predictions, score_table
from medkit.naming import did_you_mean
from medkit.rules.report import provenance, results, sections
from medkit.rules.report.sheets import Sheets
from medkit.rules.report.words import LANGUAGES, Words
from medkit.runs.config import Config
from medkit.runs.folder import Run
from medkit.runs.pictures import gone
from medkit.show.fonts import hangul_font, lacking
from medkit.show.mistakes import show_mistakes

AUDIT = ("rule", "verdict", "found", "where")
QUARTER = 0.25  # of a sheet, that may stay empty
LONGEST = 60  # characters of a team's name
ADVICE = (
    "Leave out some of figures=[...], show fewer mistakes (n=4) or none (pictures=False), or "
    "report fewer runs."
)


def report(
    run: Run | Path | str | Sequence[Run | Path | str],
    *,
    team: str,
    language: str = "ko",
    path: Path | str | None = None,
    about: str = "",
    threshold: Threshold = 0.5,
    audit: pd.DataFrame | None = None,
    figures: Sequence[Figure] = (),
    n: int = 8,
    pictures: bool = True,
    data: Path | str | None = None,
) -> Path:
    """Write a report on a model, ready to be handed in: a PDF of 1 to 10 pages (A4).

    It tells the team, the model in short, data and quarantine, folds, curves, scores with
    intervals by group, answers beside the truth, mistakes, environment and seeds.

    Args:
        run: a run with a held-out fold, or those of all folds (of `mk.fit_folds`).
        language: "ko" or "en"; figures are in English in both.
        path: of the PDF; by default report.pdf beside the run's folder.
        about: your own words on the model, which stand first.
        threshold: as `mk.choose_threshold` returns it.
        audit: `rule, verdict, found, where`, a row a rule that was checked.
        figures: more of your own, half a page each.
        n: how many mistakes are shown.
        pictures: False shows none, where patients' pictures must not leave.
        data: where the data folder is now, when it has moved.

    Raises:
        ConfigError: for a run that was trained on everything, a text that no font here can write,
            a config of another version, and what would take more than 10 pages.
        MissingError: when pictures are to be shown and are not there.

    Example:
        >>> path = mk.report(run, team="Team 7", language="en", path="report.pdf", n=2)
        >>> path.name, path.read_bytes()[:5]
        ('report.pdf', b'%PDF-')
    """
    check_arguments(report, locals())
    _check_words(team, language)
    runs = _opened(run)
    given = Reported(runs, team, Words(language), about, threshold, n, pictures, data)
    if audit is not None:
        tables.check_columns("report: audit", audit, AUDIT)
    _check_fonts(given, audit)
    if pictures:
        _check_pictures(given)
    words = given.words
    sheets = Sheets(f"{team}  ·  {given.title}", words("figure"), ADVICE)
    for section in (sections.first, sections.model, sections.data, sections.folds):
        section(sheets, given)
    results.curves(sheets, given)
    results.scores(sheets, given)
    last = [results.mistakes, provenance.environment, partial(provenance.rules, audit=audit)]
    if given.mistakes is not None and sheets.wasted(given.mistakes) > QUARTER:
        last.append(last.pop(0))  # what can be broken fills the sheet first
    for section in last:
        section(sheets, given)
    results.own_figures(sheets, given, figures)
    path = runs[0].path.parent / "report.pdf" if path is None else Path(path)
    facts = {"Title": f"{words('title')}: {given.title}", "Author": team}
    files.write_whole(path, sheets.pdf(**facts, Creator=f"medkit {__version__}"))
    return path


@dataclass
class Reported:
    """What is reported on, and how."""

    runs: list[Run]
    team: str
    words: Words
    about: str
    threshold: Threshold
    n: int
    pictures: bool
    data: Path | str | None

    def __post_init__(self) -> None:
        self.configs = [_config(run) for run in self.runs]
        self.weights = [provenance.weights_of(run) for run in self.runs]
        self.task: Task = self.runs[0].task
        self.predictions = _held_out(self.runs, self.task)
        self.cases = self.runs[0].cases(self.data)
        known = self.cases["id"].isin(self.predictions["id"])
        self.held_out = self.cases[known].reset_index(drop=True)
        if len(self.held_out) < len(self.predictions):
            odd = set(self.predictions["id"]) - set(self.held_out["id"])
            raise DataError(
                f"report: {len(odd)} predicted ids are none of the first run's cases, e.g. "
                f"{sorted(odd)[0]!r}. Pass the runs of one mk.fit_folds."
            )

    @cached_property
    def units(self) -> pd.DataFrame:
        """What is scored."""
        return judged(self.task, self.task.to_units(self.held_out, self.predictions))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores with their intervals; these take a while."""
        options = {"threshold": self.threshold}
        return score_table(self.task, self.held_out, self.predictions, **options)

    @cached_property
    def mistakes(self) -> Figure | None:
        """Pictures of mistakes, if any are to be shown."""
        if not self.pictures or self.n < 1:
            return None
        options = {"threshold": self.threshold, "n": self.n}
        return show_mistakes(self.task, self.held_out, self.predictions, **options)

    @property
    def judged(self) -> int:
        """How many things are scored; of masks, pictures."""
        is_masks = self.task.scored.answer.lies_in == "files"
        return len(self.held_out if is_masks else self.units)

    @property
    def title(self) -> str:
        return self.words.contest(self.task.name, self.task.title)

    @property
    def noun(self) -> str:
        """What is scored, in words."""
        return self.words.noun(self.task.nouns[1])


def _check_words(team: str, language: str) -> None:
    if language not in LANGUAGES:
        raise ConfigError(
            f"report: language {language!r} (expected one of {', '.join(LANGUAGES)})."
            f"{did_you_mean(language, LANGUAGES)}"
        )
    if not team.strip() or len(team) > LONGEST or not team.isprintable():
        raise ConfigError(
            f"report: team {team[:LONGEST]!r} (expected a name of 1 to {LONGEST} characters in one "
            "line). Write the name that the contest knows."
        )


def _opened(run: Any) -> list[Run]:
    several = not isinstance(run, (Run, Path, str))
    runs = [each if isinstance(each, Run) else Run(each) for each in (run if several else [run])]
    if not runs:
        raise ConfigError("report: run: found no run (expected one or more). Pass mk.Run(folder).")
    names = [each.task.name for each in runs]
    odd = [name for name in names if name != names[0]]
    if odd:
        raise ConfigError(
            f"report: runs of {names[0]!r} and of {odd[0]!r} (expected one task). Report each."
        )
    return runs


def _config(run: Run) -> Config:
    """A run's settings.

    Raises:
        ConfigError: naming both versions, where this one cannot read them.
    """
    try:
        return run.config
    except ConfigError as error:
        try:
            then = run.machine.get("medkit", "an unknown version")
        except MissingError:
            then = "an unknown version"
        raise ConfigError(
            f"{run.path}: the run is of medkit {then}, and medkit {__version__} cannot read its "
            f"settings ({error}). Install medkit {then} to report on it."
        ) from error


def _held_out(runs: list[Run], task: Task) -> pd.DataFrame:
    """The held-out predictions of all runs.

    Raises:
        ConfigError: when one has none, or two are of the same cases.
    """
    for run in runs:
        if not (run.path / "predictions.csv").is_file():
            why = "it held out no fold" if run.fold is None else f"it is {run.state}"
            raise ConfigError(
                f"{run.path}: the run has no held-out predictions ({why}; expected "
                "predictions.csv), so there is nothing to score. Report on a run of "
                "mk.fit(..., fold=0), or on those of mk.fit_folds."
            )
    found = concat_predictions(runs)
    twice = found["id"][found["id"].duplicated()]
    if len(twice):
        raise ConfigError(
            f"report: {len(twice)} cases are held out by two runs, e.g. {twice.iloc[0]!r} "
            "(expected runs of different folds). Pass one run of each fold."
        )
    return found


def _check_fonts(given: Reported, audit: pd.DataFrame | None) -> None:
    """Refuse what would show as empty boxes."""
    if given.words.language == "ko" and hangul_font() is None:
        raise ConfigError(
            "report: no font with Hangul was found (expected one for language='ko'). Install one "
            "with %pip install koreanize-matplotlib and restart the kernel, or take language='en'."
        )
    task = given.task
    texts = [given.team, given.about, given.title, *task.nouns, *task.columns]
    texts += [head.name for head in task.heads]
    texts += list(map(str, given.held_out["id"])) if given.pictures else []
    texts += [] if audit is None else [str(cell) for row in audit.to_numpy() for cell in row]
    lost = lacking("".join(texts))
    if lost:
        what = "Install one with %pip install koreanize-matplotlib and restart the kernel"
        raise ConfigError(
            f"report: no font here can write {lost[:8]!r} (found in the team's name, your words, "
            f"or names of classes and cases). {what}, or write it in other letters."
        )


def _check_pictures(given: Reported) -> None:
    paths = given.held_out["path"].dropna()
    lost = [path for path in paths.iloc[:1] if not Path(path).is_file()]
    if lost:
        where = Path(lost[0]).name
        raise MissingError(
            f"report: the picture {where!r} is not where the run found it. Pass data=... with the "
            "place of the data folder now, or pictures=False for a report without pictures."
        ) from gone(lost[0])
