from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import medkit as mk
from medkit.inference import predicting
from medkit.inference.answers import to_table
from medkit.models.factory import new_model
from medkit.runs.tensor_files import weights_hash
from medkit.tables import visible

TASK = mk.get_task("caries")


@pytest.fixture(scope="module")
def run(cases, tmp_path_factory):
    config = mk.Config("caries", model="test_resnet", image_size=32, epochs=1, facts=("view",))
    folder = tmp_path_factory.mktemp("runs") / "run"
    return mk.fit(config, cases, folder, num_workers=0, device="cpu", progress=False)


def test_what_was_validated_is_what_is_predicted(run, cases):
    held_out = cases[cases["fold"] == 0]
    again = mk.predict(run, held_out, batch_size=64)
    pd.testing.assert_frame_equal(again, run.predictions, check_dtype=False)


def test_probabilities_by_id_whatever_the_order(run, drawn):
    test = TASK.read(drawn, "test")
    straight = mk.predict(run, test, num_workers=1)
    assert list(straight) == ["id", "sound", "decayed"]
    assert list(straight["id"]) == list(visible(test)["id"])
    assert np.allclose(straight["sound"] + straight["decayed"], 1)
    shuffled = mk.predict(run, test.sample(frac=1, random_state=0)).set_index("id")
    assert np.allclose(shuffled.loc[straight["id"], "decayed"], straight["decayed"], atol=1e-6)


def test_views_are_pairs_of_the_picture_and_its_mirror(run, drawn):
    test = TASK.read(drawn, "test")
    plain = mk.predict(run, test)
    both = mk.predict(run, test, views=("as is", "mirrored"))
    assert not np.allclose(plain["decayed"], both["decayed"], atol=1e-6)
    with pytest.raises(ValueError, match="changes the labels of this task"):
        mk.predict(run, test, views=("upside down",))


def test_a_case_without_a_picture_gets_the_majority_of_train(run, drawn):
    test = TASK.read(drawn, "test")
    lost = test.iloc[:1].assign(id="lost", photo="lost", path=None, region=None)
    with pytest.warns(UserWarning, match="1 cases cannot be looked at .*majority.*: lost"):
        predictions = mk.predict(run, pd.concat([test, lost], ignore_index=True))
    most = TASK.to_units(run.cases())["y_true"].value_counts().index[0]
    assert predictions.iloc[-1].to_dict() == {
        "id": "lost",
        "sound": float(most == "sound"),
        "decayed": float(most == "decayed"),
    }


def test_a_batch_that_does_not_fit_is_halved(run, drawn, monkeypatch):
    test = TASK.read(drawn, "test").iloc[:20]  # a whole batch, and a part of one
    whole, sizes = mk.predict(run, test), []
    honest = predicting.predict_views

    def crowded(model, images, *args, **options):
        sizes.append(len(images))
        if len(images) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return honest(model, images, *args, **options)

    monkeypatch.setattr(predicting, "predict_views", crowded)
    parts = mk.predict(run, test, batch_size=16)
    assert sizes == [16, *2 * [8, *2 * [4, 2, 2]], 4, 2, 2]
    assert np.allclose(parts["decayed"], whole["decayed"], atol=1e-6)


def test_a_gpu_without_room_for_one_image_says_so(run, drawn, monkeypatch):
    sizes = []

    def full(model, images, *args, **options):
        sizes.append(len(images))
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(predicting, "predict_views", full)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        mk.predict(run, TASK.read(drawn, "test"), batch_size=4)
    assert sizes == [4, 2, 1]


def test_other_errors_are_not_taken_for_a_full_gpu(run, drawn, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(predicting, "predict_views", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        mk.predict(run, TASK.read(drawn, "test"))


def test_a_new_model_is_of_its_configs_size_and_seed():
    config = mk.Config("caries", model="test_vit", image_size=48, seed=7)
    seeds = (7, 7, 8)
    models = [new_model(TASK, replace(config, seed=seed)) for seed in seeds]
    one, same, other = (weights_hash(model.state_dict()) for model in models)
    assert one == same != other
    images = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    assert models[0](images, torch.zeros(1, 0)).shape == (1, 2)


def test_only_a_model_of_arcface_answers_by_cosines():
    config = mk.Config("caries", model="test_resnet", image_size=32)
    arcface = replace(config, arcface_margin=0.3, arcface_scale=8.0)
    plain, cosine = (new_model(TASK, one).classifier for one in (config, arcface))
    assert type(plain) is torch.nn.Linear and cosine.scale == 8.0


def test_each_head_adds_up_to_one():
    two = replace(TASK, heads=(mk.Head("a", ("p", "q")), mk.Head("b", ("r", "s", "t"))))
    table = to_table(two, pd.Series(["x", "y"]), torch.randn(2, 5))
    assert list(table) == ["id", "p", "q", "r", "s", "t"]
    assert np.allclose(table[["p", "q"]].sum(axis=1), 1)
    assert np.allclose(table[["r", "s", "t"]].sum(axis=1), 1)


def test_whole_photos_are_a_unit_of_their_own(drawn, tmp_path):
    photos = mk.assign_folds(TASK, TASK.read(drawn, "train", unit="image"), n_folds=2, seed=0)
    config = mk.Config("caries", model="test_resnet", image_size=32, epochs=1, batch_size=4)
    run = mk.fit(config, photos, tmp_path / "run", num_workers=0, device="cpu", progress=False)
    assert "tooth_auc" not in run.history and "f1_macro" in run.history
    test = TASK.read(drawn, "test", unit="image")
    predictions = mk.predict(run, test)
    assert list(predictions["id"]) == list(test["photo"])
    csv = mk.write_submission(TASK, test, predictions, tmp_path / "submission.csv")
    assert mk.check_submission(csv)[-1].startswith(f"All {len(test)} ids")
