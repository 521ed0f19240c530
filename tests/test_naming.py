from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import medkit as mk
from medkit.datasets.scoring import score_interval
from medkit.inference.views import check_views
from medkit.loading.augment import make_transform
from medkit.loading.facts import fact_list
from medkit.models.factory import make_model
from medkit.naming import did_you_mean

CARIES = mk.get_task("caries")
KINDS = mk.Task("kinds", "k", "k", (mk.Head("kind", ("a", "b", "c")),))


def test_the_nearest_name_is_told_and_no_far_one():
    known = ["constant", "cosine", "one_cycle", 7]
    assert did_you_mean("Cosin", known) == " Did you mean 'cosine'?"
    assert did_you_mean("One-Cycle", known) == " Did you mean 'one_cycle'?"
    assert did_you_mean("8", known) == did_you_mean("plateau", known) == did_you_mean("x", []) == ""


def units(kinds="abc"):
    probs = dict(zip(KINDS.columns, np.eye(3)))
    return pd.DataFrame(
        {"id": list("xyz"), "group": list("xyz"), "path": "p", "kind": list(kinds), **probs}
    )


def table(tmp_path):
    (tmp_path / "t.csv").write_text("name,label\na,b\n")
    return mk.read_table(tmp_path / "t.csv", tmp_path, id_column="nam")


SLIPS = {  # what somebody types, and what was meant
    "carries": (lambda tmp_path: mk.get_task("carries"), "caries"),
    "f1_marco": (lambda tmp_path: mk.metrics.get_metric("f1_marco"), "f1_macro"),
    "acuracy": (lambda tmp_path: score_interval(KINDS, units(), units(), "acuracy"), "accuracy"),
    "mirored": (lambda tmp_path: check_views(["mirored"], ["horizontal"]), "mirrored"),
    "midium": (lambda tmp_path: make_transform("midium"), "medium"),
    "resnet_18": (lambda tmp_path: make_model(CARIES, "resnet_18"), "resnet18"),
    "epoch": (lambda tmp_path: mk.Config("caries", epoch=3), "epochs"),
    "cosin": (lambda tmp_path: mk.Config("caries", schedule="cosin"), "cosine"),
    "focale": (lambda tmp_path: mk.Config("caries", loss="focale"), "focal"),
    "views": (lambda tmp_path: fact_list(CARIES, ["views"]), "view"),
    "softt": (lambda tmp_path: mk.blend(KINDS, [units(), units()], how="softt"), "soft"),
    "tain": (lambda tmp_path: CARIES.read(tmp_path, "tain"), "train"),
    "teeth": (lambda tmp_path: CARIES.read(tmp_path, "train", unit="toth"), "tooth"),
    "error first": (
        lambda tmp_path: mk.show_mistakes(KINDS, units(), units(), order="error first"),
        "errors first",
    ),
    "nam": (table, "name"),
    "kin": (
        lambda tmp_path: mk.assign_folds(KINDS, units().rename(columns={"kind": "kin"})),
        "kin",
    ),
    "kind": (
        lambda tmp_path: mk.show_balance(KINDS, units().rename(columns={"kind": "kinds"})),
        "kinds",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_every_name_that_a_person_types_is_met_with_the_nearest(slip, tmp_path):
    call, meant = SLIPS[slip]
    with pytest.raises(ValueError, match=rf"Did you mean '{meant}'\?"):
        call(tmp_path)


def test_a_wrong_column_to_choose_the_best_epoch_by(cases, tmp_path):
    config = mk.Config("caries", model="test_resnet", image_size=32, best_by="tooth_acu")
    with pytest.raises(ValueError, match=r"no score 'tooth_acu' .* Did you mean 'tooth_auc'\?"):
        mk.fit(config, cases, tmp_path / "run", device="cpu")
    config = mk.Config("caries", loss={"decay": "focal"})
    with pytest.raises(ValueError, match=r"loss names 'decay'.* Did you mean 'decayed'\?"):
        mk.fit(config, cases, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
