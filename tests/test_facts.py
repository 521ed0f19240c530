from __future__ import annotations

import pytest
import torch

import medkit as mk
from medkit.loading.facts import encode_facts
from medkit.loading.loader import make_dataset
from medkit.tables import visible

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries", image_size=32, facts=("view", "tooth_number"), seed=5)


@pytest.fixture(scope="module")
def dataset(cases):
    return make_dataset(TASK, CONFIG, visible(cases).reset_index(drop=True)).augmented("medium")


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


def test_unknown_facts_are_named(cases):
    with pytest.raises(ValueError, match=r"no fact 'age' \(expected one of view, tooth_number\)"):
        encode_facts(TASK, cases, ("age",))
