from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import medkit as mk
from medkit.loading.loader import UNLABELLED
from medkit.training.losses import task_loss

TASK = mk.get_task("caries")
TWO = replace(TASK, heads=(mk.Head("a", ("p", "q")), mk.Head("b", ("r", "s", "t"))))


def test_one_head_is_cross_entropy():
    logits, labels = torch.randn(8, 2), torch.randint(0, 2, (8, 1))
    wanted = cross_entropy(logits, labels[:, 0], label_smoothing=0.1)
    assert task_loss(TASK, logits, labels, label_smoothing=0.1).item() == pytest.approx(
        wanted.item()
    )


def test_heads_add_up_and_missing_labels_do_not_count():
    logits, labels = torch.randn(4, 5), torch.tensor([[0, 2], [1, UNLABELLED], [1, 0], [0, 1]])
    known = torch.tensor([0, 2, 3])
    wanted = cross_entropy(logits[:, :2], labels[:, 0])
    wanted += cross_entropy(logits[known, 2:], labels[known, 1])
    assert task_loss(TWO, logits, labels).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_batch_without_labels_has_no_loss_and_no_nan():
    logits = torch.randn(4, 2, requires_grad=True)
    loss = task_loss(TASK, logits, torch.full((4, 1), UNLABELLED))
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(4, 2))
