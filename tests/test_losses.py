from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import medkit as mk
from medkit.loading.loader import UNLABELLED
from medkit.training.losses import Objective

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries")
TWO = replace(TASK, heads=(mk.Head("a", ("p", "q")), mk.Head("b", ("r", "s", "t"))))


def test_one_head_is_cross_entropy():
    logits, labels = torch.randn(8, 2), torch.randint(0, 2, (8, 1))
    objective = Objective(TASK, replace(CONFIG, label_smoothing=0.1), labels.float())
    wanted = cross_entropy(logits, labels[:, 0], label_smoothing=0.1)
    assert objective(logits, labels.float()).item() == pytest.approx(wanted.item())
    plain = cross_entropy(logits, labels[:, 0])
    assert objective.plain(logits, labels.float()).item() == pytest.approx(plain.item())


def test_heads_add_up_and_missing_labels_do_not_count():
    logits, labels = torch.randn(4, 5), torch.tensor([[0, 2], [1, UNLABELLED], [1, 0], [0, 1]])
    known = torch.tensor([0, 2, 3])
    wanted = cross_entropy(logits[:, :2], labels[:, 0].long())
    wanted += cross_entropy(logits[known, 2:], labels[known, 1].long())
    assert Objective(TWO, CONFIG, labels)(logits, labels).item() == pytest.approx(
        wanted.item(), rel=1e-5
    )


def test_a_batch_without_labels_has_no_loss_and_no_nan():
    logits = torch.randn(4, 2, requires_grad=True)
    nothing = torch.full((4, 1), UNLABELLED)
    loss = Objective(TASK, CONFIG, nothing)(logits, nothing)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(4, 2))


def test_a_number_is_measured_in_its_own_spread():
    task = replace(TASK, heads=(mk.Head("a", ("p", "q")), mk.Head("age")), scored=None)
    labels = torch.tensor([[0, 20.0], [1, 60.0], [1, UNLABELLED], [0, 40.0]])
    objective = Objective(task, CONFIG, labels)
    logits = torch.tensor([[9.0, -9, 20], [-9, 9, 60], [-9, 9, 7], [9, -9, 40]])
    assert objective(logits, labels).item() < 1e-6
    logits[0, 2] += 1e4 * labels[[0, 1, 3], 1].std(unbiased=False)
    assert objective(logits, labels).item() == pytest.approx((1e4 - 0.5) / 3, rel=1e-4)
