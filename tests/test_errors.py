"""What is raised for people: one tree, each also a built-in, one sentence in a notebook."""

from __future__ import annotations

import inspect
import pickle
import warnings

import pytest
from IPython.core.interactiveshell import InteractiveShell

import medkit as mk
from medkit import errors
from medkit.leaderboard.refusing import Refused

BUILT_IN = {
    "DataError": [ValueError],
    "MissingError": [ValueError, FileNotFoundError],
    "ConfigError": [ValueError],
    "WrongType": [ValueError, TypeError],
    "RunError": [RuntimeError],
    "Stopped": [],
    "NotTrusted": [PermissionError],
    "SubmitError": [RuntimeError],
    "PlaceError": [PermissionError],
    "WaitError": [TimeoutError],
    "NotInstalled": [ImportError],
    "MedkitError": [],
}


def test_each_is_a_medkit_error_and_a_built_in():
    made = [c for c in vars(errors).values() if inspect.isclass(c)]
    assert {c.__name__ for c in made if c.__module__ == errors.__name__} == set(BUILT_IN)
    for name, kinds in BUILT_IN.items():
        assert issubclass(getattr(errors, name), (errors.MedkitError, *kinds))
        assert all(issubclass(getattr(errors, name), kind) for kind in kinds)
    assert issubclass(mk.MissingError, mk.DataError)
    assert not issubclass(mk.Stopped, RuntimeError)  # `except RuntimeError` swallows no stop


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_crosses_to_another_process(name):
    kind = getattr(errors, name)
    facts = (
        {"outcome": "unknown", "status": 502, "answer": "later"} if name == "SubmitError" else {}
    )
    made = kind("some words", **facts)
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind and str(again) == "some words" and vars(again) == vars(made)


def test_a_place_keeps_number_and_path_and_a_refusal_its_status():
    again = pickle.loads(pickle.dumps(mk.PlaceError(28, "x: the disk is full", "x")))
    assert (again.errno, again.filename, str(again)) == (28, "x", "x: the disk is full")
    again = pickle.loads(pickle.dumps(Refused("no", 429, 7)))
    assert (again.status, again.wait_s, str(again)) == (429, 7, "no")
    assert issubclass(Refused, mk.MedkitError)


@pytest.fixture
def shown(capsys):
    """What a cell shows, in a shell of IPython."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shell = InteractiveShell.instance(colors="NoColor", history_length=0)
    shell.history_manager.enabled = False

    def run(cell):
        shell.run_cell(cell, store_history=True)
        out = capsys.readouterr()
        return (out.out + out.err).strip()

    yield run
    InteractiveShell.clear_instance()


def test_a_cell_shows_one_sentence_and_tb_the_lines(shown):
    told = shown("import medkit as mk; mk.get_task('carees')")
    assert told.startswith("ConfigError: unknown task 'carees'") and "\n" not in told
    for ask in ("%tb", "%tb Verbose", "%tb"):
        lines = shown(ask)
        assert "get_task" in lines and "raise ConfigError" in lines
        assert "unknown task 'carees'" in lines.splitlines()[-1]
    assert "\n" not in shown("mk.get_task('carees')")  # and the next cell a sentence again


def test_a_stop_is_no_error_and_a_foreseen_cause_is_told_by_the_words(shown):
    cell = "import medkit as mk\ntry:\n    {}\nexcept Exception as error:\n    raise {} from error"
    assert shown("import medkit as mk; raise mk.Stopped('it is saved')") == "it is saved"
    told = shown(cell.format("int('x')", "mk.ConfigError('no number')"))
    assert told == "ConfigError: no number"
    told = shown(cell.format("[][0]", "mk.DataError('a broken picture')"))
    assert told == "DataError: a broken picture"


def test_a_cause_that_nobody_foresaw_shows_its_lines(shown):
    cell = "import medkit as mk\ntry:\n    {}\nexcept Exception as error:\n    raise {} from error"
    told = shown(cell.format("{}['x']", "mk.RunError('it failed')"))
    assert "KeyError" in told and "{}['x']" in told and told.endswith("it failed")
    inner = cell.format("{}['x']", "mk.RunError('it failed')").replace("\n", "\n    ")
    told = shown(
        f"try:\n    {inner}\nexcept Exception as error:\n    raise mk.DataError('of it') from error"
    )
    assert "KeyError" in told and told.endswith("of it")


def test_without_a_notebook_the_lines_are_what_python_shows():
    with pytest.raises(mk.ConfigError) as caught:
        mk.get_task("carees")
    assert caught.value._render_traceback_() == [f"ConfigError: {caught.value}"]
    assert "get_task" in "".join(errors._lines(caught.value))
