from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

import medkit as mk
from medkit.runs.config import differences


def test_a_config_survives_json():
    config = mk.Config("caries", facts=("view",), seed=3)
    assert mk.Config.from_dict(config.to_dict()) == config


def test_a_config_is_a_value():
    config = mk.Config("caries")
    with pytest.raises(FrozenInstanceError):
        config.epochs = 3
    assert replace(config, epochs=3).epochs == 3 and config.epochs == 20


def test_settings_out_of_range_are_named_together():
    with pytest.raises(ValueError, match=r"Config: seed=-1, epochs=0 is out of range"):
        mk.Config("caries", epochs=0, seed=-1)


def test_a_misspelt_setting_is_met_with_the_right_one():
    with pytest.raises(ValueError, match=r"no setting 'epoch'\. Did you mean 'epochs'\?"):
        mk.Config.from_dict({"task": "caries", "epoch": 3})


def test_differences_are_named():
    old = mk.Config("caries", epochs=5)
    assert differences(old, replace(old, epochs=9)) == ["epochs: 5 saved, 9 asked"]
    assert differences(old, replace(old)) == []
