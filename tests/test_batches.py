"""mk.show_batch: what it shows is what `fit` gives its model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_runs import QUIET

import medkit as mk
from medkit.loading.augment import draw_mix
from medkit.models.factory import CaseModel
from medkit.training.stepping import Stepper

CONFIG = mk.Config(
    "caries", model="test_resnet", image_size=32, epochs=2, batch_size=12, augment="strong", seed=5
)
MIXTURES = {
    "plain": CONFIG,
    "mixup": replace(CONFIG, mixup=0.8),
    "cutmix": replace(CONFIG, cutmix=1.0, facts=("view", "tooth_number")),
    "drawn evenly": replace(CONFIG, mixup=0.4, balanced=True, seed=1),
}


def trained_on(config, cases, folder, monkeypatch):
    """{(epoch, step): (images, facts)} that the model was given while it trained."""
    given, now = {}, []
    whole, forward = Stepper.gradients, CaseModel.forward

    def gradients(self, batch, epoch, step, **options):
        now.append((epoch, step))
        try:
            return whole(self, batch, epoch, step, **options)
        finally:
            now.clear()

    def seeing(self, images, facts):
        if now and self.training:
            given[now[0]] = images.clone(), facts.clone()
        return forward(self, images, facts)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "gradients", gradients)
        patch.setattr(CaseModel, "forward", seeing)
        mk.fit(config, cases, folder, fold=1, **QUIET)
    return given


def shown(page):
    """(N, S, S, 3) pictures of a figure, and its captions by line."""
    pictures = np.stack([axes.images[0].get_array() for axes in page.axes])
    return pictures, [axes.get_title("left").split("\n") for axes in page.axes]


@pytest.mark.parametrize("kind", MIXTURES)
def test_it_shows_what_the_loop_gives_the_model(kind, cases, tmp_path, monkeypatch):
    config = MIXTURES[kind]
    given = trained_on(config, cases, tmp_path / "run", monkeypatch)
    assert len(given) > 2
    for epoch, step in ((0, 0), (0, 1), (1, 0)):
        page = mk.show_batch(config, cases, n=12, fold=1, epoch=epoch, step=step)
        wanted = given[epoch, step][0].float().round().byte().permute(0, 2, 3, 1).numpy()
        assert (shown(page)[0] == wanted).all(), (epoch, step)
    first, other = (mk.show_batch(config, cases, n=12, fold=1, step=k) for k in (0, 1))
    assert (shown(first)[0] != shown(other)[0]).any()


def test_labels_are_those_of_the_cases(cases):
    page = mk.show_batch(replace(CONFIG, facts=("view",)), cases, n=12)
    by_id = cases.set_index("id")
    for name, label, told in shown(page)[1]:
        assert label == by_id.loc[name, "decayed"] and by_id.loc[name, "fold"] != 0
        assert told.startswith("told: ")
    text = page._suptitle.get_text()
    assert text.startswith("step 1 of 10 in epoch 1 of 2: 12 of 12 pictures, augment='strong'")


def test_a_mirrored_tooth_is_told_as_its_mirror_image(cases):
    """ "left" and "right" change places with the picture, as the model is told them."""
    config = replace(CONFIG, facts=("tooth_number",), augment="none", batch_size=48)
    by_id, seen = cases.set_index("id"), {True: 0, False: 0}
    for name, _, told in shown(mk.show_batch(config, cases, n=48))[1]:
        own = by_id.loc[name, "tooth_number"]
        mirrored = {"1": "2", "2": "1", "3": "4", "4": "3"}[own[0]] + own[1]
        assert told in (f"told: {own}", f"told: {mirrored}")
        seen[told == f"told: {own}"] += 1
    assert min(seen.values()) > 8


FACES = mk.Task(
    "얼굴들",
    "f",
    "f",
    (mk.Head("mask", ("없음", "착용")), mk.Head("age"), mk.Head("sex", ("f", "m"))),
)


@pytest.fixture
def faces(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for k in range(12):
        pixels = rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    mk.add_task(FACES)
    ids = [f"환자_{k}" for k in range(12)]
    table = {"id": ids, "group": ids, "path": [str(tmp_path / f"{k}.png") for k in range(12)]}
    table.update(mask=["없음", "착용"] * 6, age=[30.0 + k for k in range(12)])
    table.update(sex=[None, *"fmfmfmfmfmf"], fold=[k % 2 for k in range(12)])
    yield pd.DataFrame(table)
    mk.datasets.TASKS.pop(FACES.name)


def test_several_heads_are_told_together_and_soft_ones_by_share(faces):
    config = mk.Config(FACES.name, model="test_resnet", image_size=32, batch_size=6)
    by_id = faces.set_index("id")
    page = mk.show_batch(config, faces, fold=None)
    page._repr_png_()  # a missing glyph warns, and warnings are errors
    for name, told in shown(page)[1]:
        row = by_id.loc[name]
        assert told == f"{row['mask']}, {row['age']:.4g}, {row['sex'] or 'no label'}"
    config = replace(config, mixup=0.9)
    partners, share, _ = draw_mix(0.9, 0.0, 6, 32, 0, 0, 0)
    captions = shown(mk.show_batch(config, faces, fold=None))[1]
    assert 0.01 < share < 0.99
    for k, (name, mask, age, _) in enumerate(captions):
        own, other = by_id.loc[name], by_id.loc[captions[partners[k]][0]]
        for told, head in ((mask, "mask"), (age, "age")):
            texts = [f"{row[head]:.4g}" if head == "age" else row[head] for row in (own, other)]
            soft = f"{share:.2f} {texts[0]} + {1 - share:.2f} {texts[1]}"
            assert told == (texts[0] if texts[0] == texts[1] else soft)


def test_nothing_is_left_behind(cases, tmp_path, capsys):
    before, state = torch.get_rng_state(), np.random.get_state()[1].copy()
    mk.show_batch(CONFIG, cases, cache_folder=tmp_path / "cache", progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == state).all() and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "options, words",
    [
        ({"step": 10}, r"show_batch: step=10 .expected 0 to 9"),
        ({"epoch": 2}, r"show_batch: epoch=2 .expected 0 to 1"),
        ({"n": 0}, r"show_batch: n=0 .expected 1 to 12"),
        ({"fold": 9}, "no fold 9"),
    ],
)
def test_what_training_does_not_have_is_refused(cases, options, words):
    with pytest.raises(ValueError, match=words):
        mk.show_batch(CONFIG, cases, **options)
