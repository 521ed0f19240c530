"""Every public name, called with what it cannot take: what is raised says so in words.

Nothing here knows a function: right values go by the word of an argument, wrong ones are the same
for all. A new public name is tested by being public; a new word needs a right value in `Right`.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import time
import warnings
from pathlib import Path

import mask_contests
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from small_runs import QUIET, TWO_EPOCHS, draw_few

import medkit as mk
from medkit.inference import judging  # noqa: F401

WRONG = {
    "None": None,
    "3": 3,
    "nowhere": "nowhere",
    "[]": [],
    "{}": {},
    "an empty table": pd.DataFrame(),
    "object": object(),
}
OF_RUN = ("cases", "answers_folder", "forget_answers")
OF_TASK = ("inspect", "read", "draw", "to_units", "score", "submission_table")


def public():
    """Each public function and class by name, and the methods that people call."""
    for name in mk.__all__:
        value = getattr(mk, name)
        is_error = inspect.isclass(value) and issubclass(value, Exception)
        if callable(value) and not is_error:
            yield name, value
        elif inspect.ismodule(value) and name in ("edf", "leaderboard"):
            for of, each in vars(value).items():
                if inspect.isfunction(each) and each.__module__.startswith(value.__name__):
                    yield f"{name}.{of}", each
    for name in OF_RUN:
        yield f"Run.{name}", getattr(mk.Run, name)
    for name in OF_TASK:
        yield f"Task.{name}", getattr(mk.Task, name)


PUBLIC = {name: value for name, value in public() if not name.rpartition(".")[2].startswith("_")}
NIGHTS = ("smooth_epochs", "show_hypnogram")
MASKS = ("show_dice", "read_masks")
FEW = {"most": 2, "steps": 10, "n": 2, "rounds": 1, "n_resamples": 4, "zone": "Asia/Seoul"}
PLACES = re.compile("Path")


class Right:
    """Right values by the word of an argument, of one drawn contest and its run."""

    def __init__(self, task, cases, run, data, home):
        self.task, self.cases, self.run, self.home = task, cases, run, home
        self.data = data
        self.predictions = mk.predict(run, cases, device="cpu", progress=False)
        self.csv = home / "submission.csv"
        mk.write_submission(task, self.cases, self.predictions, self.csv)
        self.units = task.to_units(self.cases, self.predictions)
        self.leaks = pd.DataFrame({"kind": ["same"], "id_a": [cases["id"].iloc[0]],
                                   "id_b": [cases["id"].iloc[-1]],
                                   "path_a": [cases["path"].iloc[0]],
                                   "path_b": [cases["path"].iloc[-1]]})  # fmt: skip
        self.table = home / "table.csv"
        names = [Path(path).stem for path in cases["path"].unique()]
        pd.DataFrame({"id": names, "label": "x"}).to_csv(self.table, index=False)
        self.number = 0

    def new(self):
        """A place where nothing is yet."""
        self.number += 1
        return self.home / "new" / str(self.number)

    def value(self, name, word, kind):
        """What a function can take."""
        images = np.zeros((2, 8, 8, 3), np.uint8)
        known = {
            "task": "caries" if kind.startswith("str") else self.task,
            "self": self.run if name.startswith("Run.") else self.task,
            "config": self.run.config,
            "cases": self.cases,
            "predictions": self.predictions,
            "a": self.predictions,
            "b": self.predictions,
            "units": self.units,
            "run": self.run,
            "runs": [self.run],
            "csv": self.csv,
            "answers": self.csv,
            "leaks": self.leaks,
            "threshold": 0.5,
            "data": self.data,
            "split": "train",
            "temperature": {head.name: 1.0 for head in self.task.heads},
            "space": {"peak_lr": [1e-3]},
            "trials": 1,
            "table": self.table,
            "image_folder": Path(self.cases["path"].iloc[0]).parent,
            "images": images,
            "heatmaps": np.zeros((2, 8, 8)),
            "score": 0.5,
            "outcome": "accepted",
            "limit": 10,
            "zone": "Asia/Seoul",
            "seed": 0,
            "channels": ["C3"],
            "epoch": 1,
            "but_of": 1,
            "title": "a contest",
            "source": "nobody",
            "heads": (mk.Head("label", ("no", "yes")),),
            "values": ("11", "21"),
            "name": {"get_task": "caries", "make_model": "test_resnet"}.get(name, "label"),
            "found": pd.DataFrame({"lr": [1e-3, 1e-2], "loss": [1.0, 0.5], "smoothed": [1.0, 0.6]}),
        }  # fmt: skip
        if word == "folder" and name in ("fit", "start", "Run.__init__", "list_runs", "watch"):
            return self.run.path
        if word == "path" and name == "Run":
            return self.run.path
        if word == "run" and "Run" not in kind and "Any" not in kind:
            return self.run
        if word == "folder" and name == "read_folders":
            return known["image_folder"]
        if word == "table" and name == "show_intervals":
            return mk.score_table(self.task, self.cases, self.predictions)
        if (
            word in ("folder", "path", "runs")
            and word not in known
            or (word == "runs" and "Path" in kind)
        ):
            return self.new()
        value = known[word]
        return [value, value] if kind.startswith("Sequence[pd.DataFrame") else value

    def arguments(self, name):
        """All that must be given, and of the rest what has a right value."""
        given = {}
        for word, told in inspect.signature(PUBLIC[name]).parameters.items():
            if told.kind in (told.VAR_KEYWORD, told.VAR_POSITIONAL):
                continue
            if told.default is told.empty or word in ("cases", "predictions", "units"):
                given[word] = self.value(name, word, str(told.annotation))
            elif word in {**QUIET, **FEW}:
                given[word] = {**QUIET, **FEW}[word]
        return {**given, "n_train": 1, "n_test": 1} if name == "Task.draw" else given


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("calls")


@pytest.fixture(scope="module")
def worlds(home, drawn, cases):
    """By name: teeth, nights and masks, each with a run of one epoch."""
    from dataclasses import replace

    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = replace(TWO_EPOCHS, epochs=1)
        task = mk.get_task("caries")
        run = mk.fit(one, cases, home / "run", **QUIET)
        made["teeth"] = Right(task, cases, run, drawn, home)
        shapes = mk.add_task(mask_contests.make_task())
        masks = mask_contests.read(shapes, mask_contests.draw(home / "shapes", 6))
        config = replace(one, task="shapes", best_by="loss", decoder_channels=(8, 8, 8, 8, 8))
        (home / "masks").mkdir()
        run = mk.fit(config, masks, home / "masks/run", **QUIET)
        made["masks"] = Right(shapes, masks, run, home / "shapes", home / "masks")
        sleep = mk.get_task("sleep")
        sleep.draw(home / "nights", seed=1, n_train=4, n_test=1, epochs=36, size=(48, 32))
        nights = mk.assign_folds(sleep, sleep.read(home / "nights", "train"), n_folds=2)
        (home / "sleep").mkdir()
        run = mk.fit(
            replace(one, task="sleep", best_by="loss"), nights, home / "sleep/run", **QUIET
        )
        made["nights"] = Right(sleep, nights, run, home / "nights", home / "sleep")
    yield made
    mk.datasets.TASKS.pop("shapes")


@pytest.fixture
def world(worlds):
    def of(name):
        short = name.rpartition(".")[2]
        return worlds["nights" if short in NIGHTS else "masks" if short in MASKS else "teeth"]

    return of


@pytest.fixture(autouse=True)
def quickly(monkeypatch, home):
    """No process is started, nothing is asked, few resamples are drawn."""

    def none(*args, **options):
        if args[0][0] == "nvidia-smi":
            raise FileNotFoundError(args[0][0])
        raise mk.RunError(f"no process is started for {args[:1]}, as was expected of this test.")

    monkeypatch.setattr(subprocess, "Popen", none)
    monkeypatch.setattr(time, "sleep", lambda s: None)
    monkeypatch.chdir(home)
    draw_few(monkeypatch, 4)


CALLS = []


def call(name, given, said):
    """Make a call; what it raises must be meant for people, and say what is wrong.

    Args:
        said: words of which one must be in the message.
    """
    CALLS.append(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            PUBLIC[name](**given)
        except mk.MedkitError as error:
            words = str(error)
            assert any(word in words for word in said), f"{said}: {words}"
            return "told"
        except BaseException as error:
            where = error.__traceback__
            while where.tb_next:
                where = where.tb_next
            at = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
            return f"{type(error).__name__} at {at}: {str(error)[:80]}"
        finally:
            plt.close("all")
    return "works"


def problems(tries):
    """What was raised that is not for people, by its call."""
    found = []
    for label, name, given, said in tries:
        try:
            outcome = call(name, given, said)
        except AssertionError as error:
            outcome = f"without words: {error}"
        if outcome not in ("told", "works"):
            found.append(f"{name}({label}): {outcome}")
    return found


AS_FAR = (  # as a test lets a call come that has all that it wants
    "no process is started",
    "no url",
    "no address",
    "nobody can be asked",
    "was not sent from here",
    "there is no such recording",
    "the file is not EDF",
    "is one of the kit's",
    "this task asks for",
)


@pytest.mark.parametrize("name", PUBLIC)
def test_right_values_are_right(name, world):
    """Else what comes after the first refusal would not be tried."""
    try:
        PUBLIC[name](**world(name).arguments(name))
    except mk.MedkitError as error:
        assert any(words in str(error) for words in AS_FAR)


@pytest.mark.parametrize("name", PUBLIC)
def test_arguments_of_a_wrong_kind(name, world):
    given, tries = world(name).arguments(name), []
    for word, told in inspect.signature(PUBLIC[name]).parameters.items():
        if word != "self" and told.kind not in (told.VAR_KEYWORD, told.VAR_POSITIONAL):
            for label, value in WRONG.items():
                tries.append(
                    (
                        f"{word}={label}",
                        name,
                        {**given, word: value},
                        [word, name, "nowhere", "expected", "3"],
                    )
                )
    found = problems(tries)
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("name", PUBLIC)
def test_tables_without_a_column(name, world):
    given, tries = world(name).arguments(name), []
    for word, value in given.items():
        tables = value if isinstance(value, list) else [value]
        if isinstance(tables[0] if tables else None, pd.DataFrame):
            for column in tables[0]:
                less = tables[0].drop(columns=column)
                less = [less, *tables[1:]] if isinstance(value, list) else less
                tries.append(
                    (
                        f"{word} without {column}",
                        name,
                        {**given, word: less},
                        [str(column), word, name],
                    )
                )
    found = problems(tries)
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("name", PUBLIC)
def test_places_that_are_none(name, world, tmp_path):
    given, tries = world(name).arguments(name), []
    file = tmp_path / "file"
    file.write_text("a file")
    places = {
        "nothing": tmp_path / "nowhere" / "x.csv",
        "below a file": file / "below",
        "a file": file,
        "a folder": tmp_path,
        "below /proc": Path("/proc/nowhere/below"),
    }
    for word, told in inspect.signature(PUBLIC[name]).parameters.items():
        if PLACES.search(str(told.annotation)):
            for label, place in places.items():
                tries.append(
                    (f"{word} {label}", name, {**given, word: place}, [str(place), word, name])
                )
    found = problems(tries)
    assert not found, "\n".join(["", *found])
