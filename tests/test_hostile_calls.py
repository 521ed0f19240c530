"""Every public name, called with what it cannot take: what is raised says so in words.

Nothing here knows a function: right values go by the word of an argument, wrong ones are the same
for all. A new public name is tested by being public; a new word wants a right value in `Right`.
"""

from __future__ import annotations

import inspect
import subprocess
import time
import warnings
from dataclasses import replace
from pathlib import Path

import mask_contests
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from small_runs import QUIET, TWO_EPOCHS, draw_few

import medkit as mk
from medkit.training.probing import LearningRates
from medkit.training.tuning import Tuning

WRONG = {
    "None": None,
    "3": 3,
    "'nowhere'": "nowhere",
    "[]": [],
    "{}": {},
    "an empty table": pd.DataFrame(),
    "an object": object(),
}
METHODS = {
    mk.Run: ("cases", "answers_folder", "forget_answers"),
    mk.Task: ("inspect", "read", "draw", "to_units", "score", "submission_table"),
}


def public():
    """Each public function and class by name, and the methods that people call."""
    for name in mk.__all__:
        value = getattr(mk, name)
        is_error = inspect.isclass(value) and issubclass(value, Exception)
        if callable(value) and not is_error:
            yield name, value
        if name in ("edf", "leaderboard"):
            for of, each in vars(value).items():
                if inspect.isfunction(each) and each.__module__.startswith(value.__name__):
                    yield f"{name}.{of}", each
    yield "write_answers", mk.leaderboard.write_answers
    yield "smooth_epochs", mk.datasets.sleep.smooth_epochs
    for kind, names in METHODS.items():
        for name in names:
            yield f"{kind.__name__}.{name}", getattr(kind, name)


PUBLIC = {name: value for name, value in public() if "._" not in name}
EACH = pytest.mark.parametrize("name", PUBLIC)
WORLDS = {"smooth_epochs": "nights", "show_dice": "shapes"}
WORLDS["read_masks"] = "shapes"
FEW = {"n_folds": 2, "most": 2, "steps": 10, "n": 2, "rounds": 1, "n_resamples": 4}
FEW["zone"] = "Asia/Seoul"
THREE_IS_RIGHT = ("num_workers", "save_every_s", "wait_s", "minutes", "timeout_s", "at_once")
AS_FAR = (  # as a test lets a call come that has all that it wants
    "neither trials nor minutes",
    "no process is started",
    "no url",
    "no address",
    "nobody can be asked",
    "was not sent from here",
    "there is no such recording",
    "the file is not EDF",
    "is one of the kit's",
    "this task asks for",
    "the loss falls nowhere",
    "contest.json: not there",
    "no CSV below",
)
TELLING = ("expected", "found ", "none of", "no column", "no such", "would be refused")


def words_of(name):
    """Each argument of a function by its word, but for `self` and what takes any number."""
    told = inspect.signature(PUBLIC[name]).parameters
    many = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {word: of for word, of in told.items() if of.kind not in many and word != "self"}


class Right:
    """Right values by the word of an argument, of one drawn contest and its run."""

    def __init__(self, contest, cases, data, home):
        home.mkdir()
        self.task, self.cases, self.data, self.home = mk.get_task(contest), cases, data, home
        more = {} if contest == "caries" else {"best_by": "loss"}
        config = replace(TWO_EPOCHS, task=contest, epochs=1, decoder_channels=(8,) * 5, **more)
        self.run = mk.fit(config, cases, home / "run", **QUIET)
        self.predictions = mk.predict(self.run, cases, device="cpu", progress=False)
        self.places = 0

    def new(self):
        """A place where nothing is yet."""
        self.places += 1
        return self.home / "new" / str(self.places)

    def csv(self):
        path = self.new() / "submission.csv"
        return mk.write_submission(self.task, self.cases, self.predictions, path)

    def notebooks(self):
        path = self.new()
        path.mkdir(parents=True)
        (path / "mine.ipynb").write_text('{"cells": []}')
        return path

    def handin(self):
        made = self.new()
        return mk.handin(self.task, self.cases, self.predictions, made, run=self.run)

    def table(self):
        """A table of pictures and labels, as `read_table` takes it."""
        ids = [Path(path).stem for path in self.cases["path"].unique()]
        path = self.new()
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame({"id": ids, "label": "x"}).to_csv(path, index=False)
        return path

    def leaks(self):
        first, last = (self.cases[["id", "path"]].iloc[row].to_dict() for row in (0, -1))
        pair = {f"{of}_a": [value] for of, value in first.items()}
        pair.update({f"{of}_b": [value] for of, value in last.items()})
        return pd.DataFrame({"kind": ["same"], **pair})

    def value(self, name, word, kind):
        """What a function can take.

        Args:
            kind: its annotation, where a word alone does not tell.
        """
        pictures = Path(self.cases["path"].iloc[0]).parent
        tried = {"trial": [0], "state": ["finished"], "value": [0.5], "run": [self.run.path.name]}
        tried["peak_lr"] = [1e-3]
        rates = {"lr": [1e-4, 1e-3, 1e-2], "loss": [0.7, 0.6, 0.5], "smoothed": [0.7, 0.6, 0.5]}
        special = {
            ("show_lr_find", "found"): LearningRates(pd.DataFrame(rates), 1e-3),
            ("show_tuning", "found"): Tuning(
                pd.DataFrame(tried), self.run.config, self.run, {"peak_lr": [1e-3]}
            ),
            ("get_task", "name"): "caries",
            ("fit", "folder"): self.run.path,
            ("list_runs", "folder"): self.run.path,
            ("read_folders", "folder"): pictures,
            ("Run", "path"): self.run.path,
            ("edf.pictures", "channels"): ["C3"],
            ("show_intervals", "table"): pd.DataFrame(
                {"value": [1.0], "low": [0.5], "high": [2.0]}
            ),
        }
        of_kind = {
            ("task", "str"): "caries",
            ("runs", "Path | str"): self.new(),
            ("predictions", "Sequence[pd.DataFrame]"): [self.predictions] * 2,
        }
        known = {
            "task": self.task,
            "config": self.run.config,
            "cases": self.cases,
            "a": self.predictions,
            "b": self.predictions,
            "predictions": self.predictions,
            "units": lambda: self.task.to_units(self.cases, self.predictions),
            "run": self.run,
            "runs": [self.run],
            "csv": self.csv,
            "answers": self.csv,
            "handin": self.handin,
            "notebooks": self.notebooks,
            "leaks": self.leaks,
            "table": self.table,
            "threshold": 0.5,
            "data": self.data,
            "split": "train",
            "folder": self.new,
            "path": self.new,
            "image_folder": pictures,
            "temperature": {head.name: 1.0 for head in self.task.heads},
            "space": {"peak_lr": [1e-3]},
            "trials": 1,
            "images": np.zeros((2, 8, 8, 3), np.uint8),
            "heatmaps": np.zeros((2, 8, 8)),
            "channels": ["C3"],
            "score": 0.5,
            "outcome": "accepted",
            "limit": 10,
            "seed": 0,
            "epoch": 1,
            "but_of": 1,
            "name": "label",
            "title": "a contest",
            "source": "nobody",
            "heads": (mk.Head("label", ("no", "yes")),),
            "values": ("11", "21"),
            "team": "Team 7",
        }
        value = special.get((name, word), of_kind.get((word, kind), known.get(word)))
        assert value is not None, f"{name}: give {word!r}, a new word, a right value in `Right`"
        return value() if inspect.isroutine(value) else value

    def arguments(self, name):
        """All that must be given, the tables, and what makes a call quick and quiet."""
        given = {word: value for word, value in {**QUIET, **FEW}.items() if word in words_of(name)}
        if name.rpartition(".")[0] in ("Run", "Task"):
            given["self"] = self.run if name.startswith("Run") else self.task
        given.update({"n_train": 1, "n_test": 1} if name == "Task.draw" else {})
        for word, told in words_of(name).items():
            is_table = word in ("cases", "predictions", "units") and name != "show_saliency"
            if word not in given and (told.default is told.empty or is_table):
                given[word] = self.value(name, word, str(told.annotation))
        return given


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, drawn, cases):
    """By name: teeth, nights and masks."""
    home = tmp_path_factory.mktemp("calls")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {"teeth": Right("caries", cases, drawn, home / "teeth")}
        mk.add_task(mask_contests.make_task())
        shapes = mask_contests.read(mk.get_task("shapes"), mask_contests.draw(home / "pictures", 6))
        made["shapes"] = Right("shapes", shapes, home / "pictures", home / "shapes")
        sleep = mk.get_task("sleep")
        sleep.draw(home / "data", seed=1, n_train=4, n_test=1, epochs=36, size=(48, 32))
        nights = mk.assign_folds(sleep, sleep.read(home / "data", "train"), n_folds=2)
        made["nights"] = Right("sleep", nights, home / "data", home / "nights")
    yield made
    mk.datasets.TASKS.pop("shapes")


@pytest.fixture
def right(worlds, name):
    return worlds[WORLDS.get(name.rpartition(".")[2], "teeth")]


@pytest.fixture(autouse=True)
def quickly(monkeypatch, tmp_path):
    """No process is started, nobody waits, few resamples are drawn."""

    def none(command, *args, **options):
        if command[0] == "nvidia-smi":
            raise FileNotFoundError(command[0])
        raise mk.RunError(f"no process is started for {command} (expected none in this test).")

    monkeypatch.setattr(subprocess, "Popen", none)
    monkeypatch.setattr(time, "sleep", lambda s: None)
    monkeypatch.chdir(tmp_path)
    draw_few(monkeypatch, 4)


def wrong_with(name, given, said):
    """What is wrong with how a call ends: "" where it works, or raises what is meant for people.

    Args:
        said: one of these words, or of those that tell what is expected, stands in the message.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            PUBLIC[name](**given)
        except mk.MedkitError as error:
            is_told = any(str(word) in str(error) for word in (*said, *TELLING))
            return "" if is_told else f"says little: {error}"
        except Exception as error:
            at = inspect.getinnerframes(error.__traceback__)[-1]
            return f"{type(error).__name__} in {Path(at.filename).name}:{at.lineno}: {error}"
        finally:
            plt.close("all")
    return ""


def check(name, given, changes):
    """Make a call for each of some changes (word, what is wrong, value) of right arguments."""
    found = []
    for word, what, value in changes:
        how = wrong_with(name, {**given, word: value}, (name, word, value))
        found += [f"{name}({word}: {what}): {how}"] if how else []
    assert not found, "\n".join(found)


@EACH
def test_right_values_are_right(name, right):
    """Else what comes after a first refusal would not be tried."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            PUBLIC[name](**right.arguments(name))
        except mk.MedkitError as error:
            assert any(words in str(error) for words in AS_FAR), error


@EACH
def test_arguments_of_a_wrong_kind(name, right):
    changes = [
        (word, what, value)
        for word, told in words_of(name).items()
        for what, value in WRONG.items()
        if value is not told.default and not (what == "3" and word in THREE_IS_RIGHT)
    ]
    check(name, right.arguments(name), changes)


@EACH
def test_tables_without_a_column(name, right):
    given, changes = right.arguments(name), []
    for word, value in given.items():
        tables = list(value) if isinstance(value, list) else [value]
        for column in tables[0] if tables and isinstance(tables[0], pd.DataFrame) else ():
            less = tables[0].drop(columns=column)
            less = [less, *tables[1:]] if isinstance(value, list) else less
            changes.append((word, f"no {column}", less))
    check(name, given, changes)


@EACH
def test_places_where_nothing_is_or_can_be(name, right, tmp_path):
    file = tmp_path / "file"
    file.write_text("a file")
    places = {
        "nothing": tmp_path / "nowhere" / "x.csv",
        "a file": file,
        "below a file": file / "below",
        "a folder": tmp_path,
        "where root cannot write": Path("/proc/nowhere/below"),
    }
    words = [word for word, told in words_of(name).items() if "Path" in str(told.annotation)]
    changes = ((word, what, place) for word in words for what, place in places.items())
    check(name, right.arguments(name), changes)
