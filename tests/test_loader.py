from __future__ import annotations

import numpy as np
import pytest
import torch

import medkit as mk
from medkit.loading.loader import (
    KeyedSampler,
    encode_facts,
    make_dataset,
    make_loader,
)
from medkit.tables import visible

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries", image_size=32, facts=("view", "tooth_number"), seed=5)


@pytest.fixture(scope="module")
def dataset(cases):
    return make_dataset(TASK, CONFIG, visible(cases).reset_index(drop=True)).augmented("medium")


def batches(dataset, workers, epoch=1, first=0):
    sampler = KeyedSampler(np.arange(40), 5, count=40, batch_size=16)
    sampler.epoch, sampler.first = epoch, first
    return list(make_loader(dataset, sampler, batch_size=16, num_workers=workers))


def same(left, right):
    return len(left) == len(right) and all(
        torch.equal(a, b) for x, y in zip(left, right) for a, b in zip(x, y)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_workers(dataset, workers):
    state = torch.get_rng_state()
    alone = batches(dataset, 0)
    assert same(alone, batches(dataset, workers))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_can_be_entered_in_the_middle(dataset):
    assert same(batches(dataset, 0)[1:], batches(dataset, 0, first=1))


def test_epochs_differ(dataset):
    assert not same(batches(dataset, 0, epoch=1), batches(dataset, 0, epoch=2))


def test_a_batch_holds_bytes_labels_and_facts(dataset, cases):
    batch = batches(dataset, 0)[0]
    assert batch.images.shape == (16, 3, 32, 32) and batch.images.dtype == torch.uint8
    assert batch.labels.shape == (16, 1) and batch.facts.shape == (16, 5 + 32)
    truth = visible(cases).reset_index(drop=True)["decayed"].iloc[batch.rows.numpy()]
    assert [TASK.columns[int(i)] for i in batch.labels[:, 0]] == list(truth)


def test_facts_are_mirrored_with_the_picture(dataset, cases):
    plain, mirrored = encode_facts(TASK, visible(cases), ("tooth_number",))
    numbers = TASK.facts[1].values
    there = [numbers[i] for i in plain.argmax(1)]
    back = [numbers[i] for i in mirrored.argmax(1)]
    assert all(TASK.facts[1].mirrored[a] == b for a, b in zip(there, back))
    still = dataset.augmented("none")
    for key in [(0, position, 0) for position in range(12)]:
        item = still[key]
        original = torch.from_numpy(dataset.cache[0]).permute(2, 0, 1)
        if torch.equal(item.images, original):
            assert torch.equal(item.facts, still.facts[0])
        else:
            assert torch.equal(item.images, original.flip(-1))
            assert torch.equal(item.facts, still.mirrored_facts[0])


def test_a_balanced_epoch_draws_classes_equally_often():
    labels = np.array([0.0] * 90 + [1] * 10 + [np.nan] * 5)
    weights = TASK.heads[0].answer.chances(labels)
    sampler = KeyedSampler(np.arange(105), 0, count=105, weights=weights)
    drawn = np.array([row for _, _, row in sampler])
    assert drawn.max() < 100 and 35 < (drawn >= 90).sum() < 70


def test_unknown_facts_are_named(cases):
    with pytest.raises(ValueError, match=r"no fact 'age' \(expected one of view, tooth_number\)"):
        encode_facts(TASK, cases, ("age",))
