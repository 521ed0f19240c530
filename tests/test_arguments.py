"""Arguments are checked by the annotations of what is called."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
import tiny_tables
import torch

import medkit as mk
from medkit import arguments
from medkit.arguments import check_arguments

TASK, CASES = mk.get_task("caries"), tiny_tables.make()


def refused(words, function, *args, **options):
    with pytest.raises(mk.ConfigError, match=words) as caught:
        function(*args, **options)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: mk.score(TASK, None, CASES),
            r"score: cases: found None \(expected a table\)\.",
        ),
        (
            lambda: mk.score(CASES, CASES, CASES),
            "score: found a DataFrame .expected a task first",
        ),
        (
            lambda: mk.score(TASK, CASES, CASES, threshold="0"),
            "threshold: found '0' .*number or numbers",
        ),
        (lambda: mk.choose_weights(TASK, CASES, CASES), "found a DataFrame .*a list of tables"),
        (
            lambda: mk.Config("caries", epochs=2.5),
            r"epochs: found 2.5 .*a whole number\)\.$",
        ),
        (lambda: mk.Run(3), r"Run: path: found 3 \(expected a path\)\.$"),
        (
            lambda: mk.predict("a", CASES),
            r"predict: run: found 'a' .*a run\)\. Open it by",
        ),
    ],
)
def test_a_refusal_names_function_argument_what_was_found_and_what_is_expected(call, words):
    refused(words, call)


def test_what_numpy_pandas_and_pathlib_give_is_as_good(tmp_path):
    config = mk.Config("caries", epochs=np.int64(3), peak_lr=np.float32(0.5), seed=0)
    assert config.epochs == 3 and replace(config, peak_lr=1).peak_lr == 1
    with pytest.raises(mk.MissingError):
        mk.Run(tmp_path)
    folds = mk.assign_folds(TASK, CASES, n_folds=np.int64(2), stratify=pd.Index(["decayed"]))
    assert set(folds["fold"]) == {0, 1}


def test_a_number_is_no_text_and_no_truth():
    for word, value in (
        ("epochs", True),
        ("amp", 2),
        ("amp", "no"),
        ("model", 18),
        ("facts", "view"),
    ):
        refused(f"Config: {word}: found", mk.Config, "caries", **{word: value})


def test_secrets_are_not_shown():
    with pytest.raises(mk.ConfigError) as caught:
        mk.submit("x.csv", credentials="hunter2")
    assert "hunter2" not in str(caught.value) and "found a str" in str(caught.value)


def test_a_default_is_right_whatever_its_annotation_says():
    def of_own(path: Path = None, names: tuple[str, int] = ("a", 1)) -> None:
        check_arguments(of_own, locals())

    of_own()
    of_own(Path("x"), ("b", 2))
    words = "of_own: names: found .'b', 'c'. .expected .a text, a whole number."
    refused(words, of_own, Path(), ("b", "c"))


def test_public_functions_are_what_they_were():
    for name in ("fit", "score", "predict", "blend"):
        function = getattr(mk, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert next(iter(inspect.signature(function).parameters)) != "args"


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (Iterable[str], {"a"}, True),
        (Iterable[str], (name for name in "ab"), True),
        (Iterable[str], "ab", False),
        (Mapping[str, float], pd.Series({"a": 0.5}), True),
        (float, np.asarray(0.4), True),
        (float, np.asarray([0.4]), False),
        (Sequence[float], np.asarray(0.4), False),
        (str, torch.device("cpu"), True),
        (bool, 1, True),
        (bool, 2, False),
    ],
)
def test_what_can_stand_for_it_is_taken(kind, value, fits):
    assert arguments._fits(value, kind) == fits
