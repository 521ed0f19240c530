from __future__ import annotations

from typing import Mapping

import numpy as np
import pandas as pd
import pytest

import medkit as mk
from medkit.inference.calibrating import calibration_error, reliability, share_interval

KINDS = mk.Task("kinds", "Kinds", "a test", (mk.Head("kind", ("a", "b", "c")),))
CARIES = mk.get_task("caries")
TOLD = {0.5: "not sure enough", 1.0: "temperatures: kind ", 3.0: "too sure of itself"}


def drawn(temperature, count=4000, seed=0):
    """Labels drawn from probabilities, and predictions that are hotter or colder than these."""
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, 1.5, (count, 3))
    probs = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    labels = [rng.choice(list("abc"), p=row) for row in probs]
    sharp = np.exp(logs * temperature)
    sharp /= sharp.sum(1, keepdims=True)
    ids = [f"{k:05}" for k in range(count)]
    cases = pd.DataFrame({"id": ids, "group": ids, "path": "x.png", "kind": labels})
    return cases, pd.DataFrame({"id": ids, **dict(zip("abc", sharp.T))})


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_them_too_sure_is_found(temperature):
    cases, predictions = drawn(temperature)
    found = mk.calibrate(KINDS, cases, predictions)
    assert found["kind"] == pytest.approx(temperature, rel=0.08)
    assert isinstance(found, Mapping) and TOLD[temperature] in repr(found)
    cured = found.apply(predictions)
    assert (cured[list("abc")].idxmax(axis=1) == predictions[list("abc")].idxmax(axis=1)).all()
    assert np.allclose(cured[list("abc")].sum(axis=1), 1)
    before, after = (
        calibration_error(reliability(KINDS, KINDS.to_units(cases, table)))
        for table in (predictions, cured)
    )
    assert after < 0.03 and (temperature == 1 or before > 0.08)


def test_reliability_counts_as_by_hand():
    ids = list("123456")
    cases = pd.DataFrame({"id": ids, "group": ids, "path": "x", "decayed": "sound"})
    cases["photo"], cases["photo_decayed"] = ids, ["sound"] * 3 + ["decayed"] * 3
    predictions = pd.DataFrame({"id": ids, "decayed": [0.05, 0.15, 0.95, 0.92, 0.98, 1.0]})
    predictions["sound"] = 1 - predictions["decayed"]
    table = reliability(CARIES, CARIES.to_units(cases, predictions))
    assert list(table["cases"]) == [1, 1, 4] and list(table["low"]) == [0.0, 0.1, 0.9]
    assert list(table["right"]) == [0, 0, 0.75]
    wanted = (0.05 + 0.15 + 4 * (0.9625 - 0.75)) / 6
    assert calibration_error(table) == pytest.approx(wanted)


def test_the_interval_of_a_share_is_wilsons():
    """The numbers of Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3."""
    told = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611)}
    told[(1, 29)] = (0.0061, 0.1718)
    for (so, count), wanted in told.items():
        found = share_interval(pd.Series([so / count]), pd.Series([count]))
        assert [end[0] for end in found] == pytest.approx(wanted, abs=5e-5), (so, count)


def test_each_bin_has_an_interval_that_is_wide_where_cases_are_few():
    cases, predictions = drawn(1.0)
    table = reliability(KINDS, KINDS.to_units(cases, predictions))
    assert (table["right_low"] <= table["right"]).all()
    assert (table["right"] <= table["right_high"]).all()
    width = table["right_high"] - table["right_low"]
    assert width[table["cases"].idxmin()] > 2 * width[table["cases"].idxmax()]


def test_a_label_column_of_a_class_name_is_no_trouble():
    cases = pd.DataFrame({"id": list("1234"), "decayed": ["sound", "decayed"] * 2})
    predictions = pd.DataFrame({"id": list("4321"), "sound": [0.1, 0.9, 0.2, 0.7]})
    predictions["decayed"] = 1 - predictions["sound"]
    assert set(mk.calibrate(CARIES, cases, predictions)) == {"decayed"}
    with pytest.raises(ValueError, match="no case has a decayed"):
        mk.calibrate(CARIES, cases.assign(decayed=None), predictions)
