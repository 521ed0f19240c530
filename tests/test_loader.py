from __future__ import annotations

import numpy as np
import pytest
import torch

import medkit as mk
from medkit.loading.loader import (
    KeyedSampler,
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


def test_a_balanced_epoch_draws_classes_equally_often():
    labels = np.array([0.0] * 90 + [1] * 10 + [np.nan] * 5)
    weights = TASK.heads[0].answer.chances(labels)
    sampler = KeyedSampler(np.arange(105), 0, count=105, weights=weights)
    drawn = np.array([row for _, _, row in sampler])
    assert drawn.max() < 100 and 35 < (drawn >= 90).sum() < 70


def test_an_epoch_of_more_steps_shows_all_cases_again_in_another_order():
    sampler = KeyedSampler(np.arange(7), 5, count=24, batch_size=6)
    order = sampler.order(3)
    assert len(list(sampler)) == len(sampler) == 24 and sampler.share == 6
    rounds = order[:21].reshape(3, 7)
    assert (np.sort(rounds) == np.arange(7)).all() and len({tuple(row) for row in rounds}) == 3
    once = KeyedSampler(np.arange(7), 5, count=6, batch_size=6).order(3)
    assert np.array_equal(once, rounds[0])
    weights = np.arange(7) == 2
    drawn = KeyedSampler(np.arange(7), 5, count=24, batch_size=6, weights=weights)
    assert len(list(drawn)) == 24 and set(drawn.order(0)) == {2}
