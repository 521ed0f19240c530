from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import medkit as mk
from medkit.runs.config import differences


def test_a_config_survives_json():
    config = mk.Config("caries", facts=("view",), seed=3)
    assert mk.Config.from_dict(config.to_dict()) == config


MANY = {
    "loss": {"age": "focal"},
    "class_weights": {"age": (1, 4, 6), "mask": "balanced"},
    "label_smoothing": {"age": 0.1},
    "teacher": ("runs/a", "runs/b"),
}


def test_settings_by_head_survive_json():
    config = mk.Config("caries", **MANY)
    again = mk.Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and differences(config, again) == []
    assert again.class_weights["age"] == (1, 4, 6) and again.teacher == ("runs/a", "runs/b")
    other = replace(config, class_weights={"age": [1, 4, 7]})
    assert differences(config, other) == [
        "class_weights: {'age': [1, 4, 6], 'mask': 'balanced'} saved, {'age': [1, 4, 7]} asked"
    ]
    assert mk.Config("caries", class_weights=[1, 9]) == mk.Config("caries", class_weights=(1, 9))
    assert mk.Config("caries", teacher=Path("runs") / "a").to_dict()["teacher"] == "runs/a"


def test_a_config_keeps_its_own_mapping():
    given = {"age": 0.1}
    config = mk.Config("caries", label_smoothing=given)
    given["age"] = 0.9
    assert config.label_smoothing == {"age": 0.1}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "adamW"}, r"no optimizer 'adamW' \(expected .*Did you mean 'adamw'\?"),
        ({"schedule": "one-cycle"}, "Did you mean 'one_cycle'?"),
        ({"loss": "focall"}, r"no loss 'focall' \(expected one of cross_entropy, focal"),
        ({"loss": {"age": "class_balance"}}, r"'class_balance' .* Did you mean 'class_balanced'"),
        (
            {"class_weights": (1, -4)},
            r"class_weights=\(1, -4\) .expected None, .balanced., or a number",
        ),
        ({"class_weights": {"age": "evenly"}}, "class_weights=.*expected None"),
        ({"class_weights": ("1", "4")}, "class_weights=.*expected None"),
        ({"label_smoothing": {"age": 1.0}}, "label_smoothing=.*expected 0 to 1, less than 1"),
        (
            {"lr_decay": 0.0, "peers": 0},
            r"lr_decay=0\.0 .expected more than 0, 1 at most., peers=0 .expected 1",
        ),
    ],
)
def test_wrong_names_and_weights_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        mk.Config("caries", **settings)


def test_what_goes_through_the_model_at_once_follows_from_the_settings():
    config = mk.Config("shapes", image_size=96, patch_size=32, batch_size=8)
    assert config.input_size == 32 and replace(config, patch_size=0).input_size == 96
    assert config.judged_at_once == 16 and replace(config, micro_batch=1).judged_at_once == 2
    with pytest.raises(ValueError, match=r"epoch_steps: found 2\.5 .expected a whole number"):
        replace(config, epoch_steps=2.5)


def test_a_config_is_a_value():
    config = mk.Config("caries")
    with pytest.raises(FrozenInstanceError):
        config.epochs = 3
    assert replace(config, epochs=3).epochs == 3 and config.epochs == 20


def test_settings_out_of_range_are_named_together():
    with pytest.raises(
        ValueError, match=r"Config: seed=-1 .*, epochs=0 .expected 1 or more.\. mk.Config"
    ):
        mk.Config("caries", epochs=0, seed=-1)


def test_a_misspelt_setting_is_met_with_the_right_one():
    with pytest.raises(ValueError, match=r"no setting 'epoch'\. Did you mean 'epochs'\?"):
        mk.Config.from_dict({"task": "caries", "epoch": 3})


def test_differences_are_named():
    old = mk.Config("caries", epochs=5)
    assert differences(old, replace(old, epochs=9)) == ["epochs: 5 saved, 9 asked"]
    assert differences(old, replace(old)) == []


def test_a_config_of_before_is_read_whose_numbers_were_of_another_kind():
    saved = {"epochs": 3.0, "amp": 1, "mixup": 1, "peak_lr": 1, "name": 3, "clip_norm": None}
    read = mk.Config.from_dict({"task": "caries", **saved})
    assert (read.epochs, read.amp, read.mixup, read.peak_lr) == (3, True, 1.0, 1.0)
    assert (read.name, read.clip_norm) == ("3", 0.0)
    for endless in (math.inf, math.nan, 2.5):
        with pytest.raises(mk.ConfigError, match="epochs: found"):
            mk.Config("caries", epochs=endless)
