"""One word, one meaning: the arguments of all public functions, read and compared."""

from __future__ import annotations

import inspect

import pytest

import medkit as mk
from medkit.submission.quota import MAIC

NEEDED = inspect.Parameter.empty
FIRST = ("task", "config", "run", "runs", "cases", "units", "predictions", "folder")  # in order
WORDS = {  # annotation and default of a word; those of FIRST by place or name, all others by name
    "task": ("Task", NEEDED),
    "config": ("Config", NEEDED),
    "run": ("Run", NEEDED),
    "runs": ("Iterable[Run]", NEEDED),
    "cases": ("pd.DataFrame", NEEDED),
    "units": ("pd.DataFrame", NEEDED),
    "predictions": ("pd.DataFrame", NEEDED),
    "folder": ("Path | str", NEEDED),
    "cache_folder": ("Path | str | None", None),
    "class_name": ("str | None", None),
    "device": ("str | None", None),
    "devices": ("int", 1),
    "fold": ("int | None", 0),
    "metric": ("str | None", None),
    "metrics": ("Iterable[str] | str | None", None),
    "minutes": ("float | None", None),
    "n": ("int", 8),
    "n_folds": ("int", 5),
    "n_resamples": ("int", 1000),
    "num_workers": ("int", 2),
    "progress": ("bool", True),
    "quota": ("Quota", MAIC),
    "save_every_s": ("float", 60.0),
    "seed": ("int", 0),
    "space": ("Mapping[str, Any]", NEEDED),
    "threshold": ("Threshold", 0.5),
    "trials": ("int | None", None),
    "until": ("str | datetime | None", None),
    "wait_s": ("float", 600.0),
}
NAME = "the name of a contest, as a notebook's parameters have it"
FOLDER = "of a run that somebody else trains the folder is enough"
MASKS = "only masks need a place"
SHORT = "what is short needs no processes of its own"
OWN = "a task's own function may have a default of its own"
EXCEPTIONS = {  # why a word differs
    ("remember", "task"): NAME,
    ("remember", "runs"): "the folder that all runs are below, as a notebook's parameters have it",
    ("recall", "task"): NAME,
    ("recall", "runs"): "as remember",
    ("leaderboard.start", "task"): NAME,
    ("stop", "run"): FOLDER,
    ("watch", "run"): FOLDER,
    ("show_history", "run"): "a history is enough, without its run",
    ("handin", "run"): "one or several, or none where only scores are asked for",
    ("write_submission", "run"): "one or several, and to submit no torch is loaded",
    ("report", "run"): "one, or those of all folds; where it is read alone, the folder is enough",
    ("estimate", "cases"): "without them there are no times",
    ("blend", "predictions"): "several tables",
    ("choose_weights", "predictions"): "several tables",
    ("show_mistakes", "predictions"): "None shows the truth alone",
    ("show_saliency", "predictions"): "pictures and heatmaps come first, and are enough",
    ("Task.to_units", "predictions"): "what is true is known without",
    ("blend", "folder"): MASKS,
    ("predict", "folder"): MASKS,
    ("submit_form", "folder"): "by default the notebook's own",
    ("tune", "fold"): "trials are judged by the fold that is held out",
    ("fit", "progress"): "its words stand before the run's name, as 'run 3 of 6'",
    ("lr_find", "num_workers"): SHORT,
    ("predict", "num_workers"): SHORT,
    ("seed_everything", "seed"): "it is all that is asked for",
    ("stop", "wait_s"): "for the end of a step, and not for a neighbour",
    ("blend", "threshold"): "one of each table",
    ("Task.score", "threshold"): OWN,
    ("Task.score_units", "threshold"): OWN,
    ("Task.submission_table", "threshold"): OWN,
}
BY_PLACE = {  # where something is left out by place, and why
    "remember": "task, data and runs are one line of a notebook",
    "recall": "as remember",
    "read_masks": "pictures and masks, where they lie in two folders",
    "estimate": "cases, as in fit",
    "Run.cases": "the data folder, as in Task.read",
    "Task.to_units": "predictions, as in score",
    "Task.score_units": "as a task's own functions are called",
}


def public_functions():
    """All by name, with the methods of public classes; settings of dataclasses are no arguments."""
    for name in dir(mk):
        thing = getattr(mk, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            yield from ((f"{name}.{key}", own) for key, own in functions_of(thing))
    yield from ((f"edf.{key}", own) for key, own in functions_of(mk.edf))
    yield from ((f"leaderboard.{key}", getattr(mk.leaderboard, key)) for key in ORGANISERS)


def functions_of(thing):
    """The public functions that are defined in a class or module."""
    for key, value in vars(thing).items():
        home = thing.__name__ if inspect.ismodule(thing) else thing.__module__
        if inspect.isfunction(value) and value.__module__ == home and not key.startswith("_"):
            yield key, value


ORGANISERS = ("start", "write_answers")
FUNCTIONS = dict(public_functions())


def odd_words():
    """(function, word) of what differs from the table."""
    for name, function in FUNCTIONS.items():
        for word, parameter in inspect.signature(function).parameters.items():
            kind = parameter.POSITIONAL_OR_KEYWORD if word in FIRST else parameter.KEYWORD_ONLY
            found = (parameter.kind, parameter.annotation, parameter.default)
            if word in WORDS and found != (kind, *WORDS[word]):
                yield name, word


def test_each_word_is_the_same_everywhere_or_there_is_a_reason():
    assert len(FUNCTIONS) > 70
    assert set(odd_words()) == set(EXCEPTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_comes_first_comes_in_one_order(name):
    words = [
        word
        for word, parameter in inspect.signature(FUNCTIONS[name]).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY and (name, word) not in EXCEPTIONS
    ]
    places = [FIRST.index(word) for word in words if word in FIRST]
    assert places == sorted(places)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_may_be_left_out_is_given_by_name(name):
    """But for what comes first of all, as in `mk.submit_form("runs")`."""
    others = list(inspect.signature(FUNCTIONS[name]).parameters.values())[1:]
    kinds = {p.kind for p in others if p.default is not NEEDED}
    assert (inspect.Parameter.POSITIONAL_OR_KEYWORD in kinds) == (name in BY_PLACE)
