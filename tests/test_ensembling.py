from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import QUIET, TINY

import medkit as mk
from medkit.runs.folder import open_folder
from medkit.runs.pictures import data_folder
from medkit.runs.tensor_files import load_state

TASK = mk.Task(
    "three",
    "Three classes",
    "a test",
    (mk.Head("kind", ("a", "b", "c")),),
)
CARIES = mk.get_task("caries")


def table(rows, ids=None):
    values = np.asarray(rows, float)
    ids = [f"{k:02}" for k in range(len(values))] if ids is None else ids
    return pd.DataFrame({"id": ids, **dict(zip("abc", values.T))})


def drawn(seed=0, count=30):
    return table(np.random.default_rng(seed).dirichlet(np.ones(3), count))


@pytest.mark.parametrize("how", ["soft", "rank"])
def test_one_table_blended_is_that_table(how):
    one = drawn()
    blended = mk.blend(TASK, [one, one], how=how)
    wanted = one[list("abc")] if how == "soft" else one[list("abc")].rank(pct=True)
    assert np.allclose(blended[list("abc")], wanted) and list(blended["id"]) == list(one["id"])
    single = mk.blend(TASK, [one, drawn(1)], how=how, weights=(3, 0))
    assert np.allclose(single[list("abc")], mk.blend(TASK, [one], how=how)[list("abc")])


def test_the_order_of_rows_does_not_matter():
    a, b = drawn(1), drawn(2)
    assert mk.blend(TASK, [a, b]).equals(mk.blend(TASK, [a, b.sample(frac=1, random_state=0)]))


def test_soft_is_the_weighted_mean():
    a, b = drawn(1), drawn(2)
    wanted = (3 * a[list("abc")] + b[list("abc")]) / 4
    assert np.allclose(mk.blend(TASK, [a, b], weights=(0.3, 0.1))[list("abc")], wanted)


def test_a_majority_is_more_than_half():
    sure = [[0.9, 0.1, 0.0]]
    others = [[0.4, 0.6, 0.0]], [[0.3, 0.7, 0.0]]
    three = mk.blend(TASK, [table(sure), *map(table, others)], how="hard")
    assert list(three.loc[0, list("abc")]) == [0, 1, 0]  # one of three does not win, however sure
    two = mk.blend(TASK, [table(sure), table(others[0])], how="hard")
    assert list(two.loc[0, list("abc")]) == [1, 0, 0]  # a tie: the mean probability decides
    rows = [[0.5, 0.3, 0.2], [0.5, 0.1, 0.4], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9], [0.0, 0.8, 0.2]]
    five = mk.blend(TASK, [table([row]) for row in rows], how="hard")
    assert list(five.loc[0, list("abc")]) == [0, 1, 0]  # two, two, one: no majority either


def test_ranks_are_those_of_scipy_and_ignore_scale():
    a, b = drawn(1), drawn(2)
    squeezed = a.assign(**{name: a[name] ** 3 for name in "abc"})
    one, other = (mk.blend(TASK, [first, b], how="rank") for first in (a, squeezed))
    assert one.equals(other)


def test_tables_that_do_not_fit_are_named():
    a = drawn()
    with pytest.raises(ValueError, match=r"tables 0 and 1 are of different cases .*\['29'\]"):
        mk.blend(TASK, [a, a.iloc[:-1]])
    with pytest.raises(ValueError, match="table 1 has no column 'c'"):
        mk.blend(TASK, [a, a.drop(columns="c")])
    with pytest.raises(ValueError, match="how='loud'"):
        mk.blend(TASK, [a], how="loud")
    with pytest.raises(ValueError, match="for 1 tables .expected a number from 0"):
        mk.blend(TASK, [a], weights=(1, 1))
    with pytest.raises(ValueError, match="no table of predictions"):
        mk.blend(TASK, [])
    numbers = replace(TASK, heads=(mk.Head("age"),), scored=None)
    with pytest.raises(ValueError, match="age is a number; only how='soft'"):
        mk.blend(numbers, [pd.DataFrame({"id": ["1"], "age": [3.0]})], how="hard")


def test_a_soup_is_the_mean_of_weights(cases, tmp_path):
    cases = cases[::2]
    config = mk.Config("caries", epochs=1, batch_size=16, **TINY)
    runs = [
        mk.fit(replace(config, peak_lr=lr), cases, tmp_path / str(lr), **QUIET)
        for lr in (1e-3, 2e-3)
    ]
    soup = mk.soup(runs, tmp_path / "soup")
    one, other, mean = (load_state(run.best)[0] for run in (*runs, soup))
    for name, value in mean.items():
        assert torch.allclose(value.float(), (one[name].float() + other[name].float()) / 2), name
    assert soup.config == replace(runs[0].config, name="soup")
    assert soup.fold == 0 and len(mk.predict(soup, cases, device="cpu")) == len(
        runs[0].predictions
    ) + (len(cases[(cases["fold"] != 0) & cases["region"].notna()]))
    same = mk.soup([runs[0], runs[0]], tmp_path / "same")
    assert mk.predict(same, cases, device="cpu").equals(mk.predict(runs[0], cases, device="cpu"))
    with pytest.raises(ValueError, match="soup: not empty|not empty"):
        mk.soup(runs, tmp_path / "soup")
    facts = {"data": data_folder(cases), "fold": 0}
    wide = replace(config, image_size=48)
    wide = open_folder(tmp_path / "wide", CARIES, wide, cases, **facts)
    with pytest.raises(ValueError, match="image_size 32.*48.*mk.blend"):
        mk.soup([runs[0], wide], tmp_path / "other")


def test_a_majority_can_be_larger_than_half():
    rows = [[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 1.0, 0.0]]
    three = [table([row]) for row in rows]
    assert list(mk.blend(TASK, three, how="hard").loc[0, list("abc")]) == [1, 0, 0]
    strict = mk.blend(TASK, three, how="hard", more_than=0.7)  # two of three are not enough
    assert list(strict.loc[0, list("abc")]) == [0, 1, 0]
    with pytest.raises(ValueError, match="more_than=0.4 .expected 0.5 to below 1, for one answer"):
        mk.blend(TASK, three, how="hard", more_than=0.4)
    known = (("hard", "smallest", 7), ("hard", "threshold", 0.7), ("rank", "more_than", 0.7))
    for how, asked, value in known:
        with pytest.raises(ValueError, match=f"{asked}={value} has no meaning for how={how!r}"):
            mk.blend(TASK, three, how=how, **{asked: value})
