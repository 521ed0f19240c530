"""What the docstring of a public name holds. That its example runs, pytest sees for itself."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest

import medkit as mk

MOST_SKIPPED = 8
SKIPPED = re.compile(r"# (.+?)\s+# doctest: \+SKIP")
MODULES = ("datasets.sleep", "edf", "leaderboard", "machine")  # whose functions users are shown:
SHOWN = ("smooth_epochs", "channels", "pictures", "hypnogram", "describe", "gpu_users")


def public():
    """Every function and class that users are shown, by the name they call it."""
    for name in mk.__all__:
        value = getattr(mk, name)
        if callable(value):
            yield f"mk.{name}", value
    for name in MODULES:
        module = mk
        for part in name.split("."):
            module = getattr(module, part)
        for own, value in vars(module).items():
            is_public = inspect.isfunction(value) and not own.startswith("_")
            if is_public and own in getattr(module, "__all__", SHOWN):
                yield f"mk.{name}.{own}", value


NAMES = dict(public())
FUNCTIONS = {name: value for name, value in NAMES.items() if inspect.isfunction(value)}


def examples(value):
    return doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")


def is_skipped(value):
    return all(doctest.SKIP in example.options for example in examples(value))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name):
    if isinstance(NAMES[name], type) and issubclass(NAMES[name], BaseException):
        return  # they stand in the examples and words of what raises them
    shown = examples(NAMES[name])
    assert shown, f"{name}: no example. Give its docstring one, see conftest.py"
    assert any(name in example.source for example in shown), f"{name}: is not in its own example"


def test_few_examples_are_skipped_each_with_its_reason():
    skipped = {name for name, value in NAMES.items() if examples(value) and is_skipped(value)}
    assert len(skipped) <= MOST_SKIPPED
    for name in skipped:
        assert SKIPPED.search(inspect.getdoc(NAMES[name])), f"{name}: skipped without a reason"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_three_parameters_say_what_they_take(name):
    if len(inspect.signature(FUNCTIONS[name]).parameters) >= 3:
        assert "\nArgs:\n" in inspect.getdoc(FUNCTIONS[name])
