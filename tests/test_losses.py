from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import medkit as mk
from medkit.inference.answers import answers_of
from medkit.runs import config
from medkit.training.losses import LOSSES, Objective, with_margin

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
    logits, labels = torch.randn(4, 5), torch.tensor([[0, 2], [1, math.nan], [1, 0], [0, 1]])
    known = torch.tensor([0, 2, 3])
    wanted = cross_entropy(logits[:, :2], labels[:, 0].long())
    wanted += cross_entropy(logits[known, 2:], labels[known, 1].long())
    assert Objective(TWO, CONFIG, labels)(logits, labels).item() == pytest.approx(
        wanted.item(), rel=1e-5
    )


def test_a_batch_without_labels_has_no_loss_and_no_nan():
    logits = torch.randn(4, 2, requires_grad=True)
    nothing = torch.full((4, 1), math.nan)
    loss = Objective(TASK, CONFIG, nothing)(logits, nothing)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros(4, 2))


def test_a_number_is_measured_in_its_own_spread():
    task = replace(TASK, heads=(mk.Head("a", ("p", "q")), mk.Head("age")), scored=None)
    labels = torch.tensor([[0, 20.0], [1, 60.0], [1, math.nan], [0, 40.0]])
    objective = Objective(task, CONFIG, labels)
    logits = torch.tensor([[9.0, -9, 20], [-9, 9, 60], [-9, 9, 7], [9, -9, 40]])
    assert objective(logits, labels).item() < 1e-6
    logits[0, 2] += 1e4 * labels[[0, 1, 3], 1].std(unbiased=False)
    assert objective(logits, labels).item() == pytest.approx((1e4 - 0.5) / 3, rel=1e-4)


def objective_of(labels, task=TASK, **settings):
    return Objective(task, mk.Config("caries", **settings), labels.float())


LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.2], [-1.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([[0.0], [1.0], [1.0], [0.0]])


def test_focal_loss_is_the_papers():
    right = torch.softmax(LOGITS, 1).gather(1, LABELS.long())[:, 0]
    wanted = (-((1 - right) ** 2.0) * right.log()).mean().item()
    assert objective_of(LABELS, loss="focal")(LOGITS, LABELS).item() == pytest.approx(wanted)
    without = objective_of(LABELS, loss="focal", focal_gamma=0.0)(LOGITS, LABELS).item()
    assert without == pytest.approx(cross_entropy(LOGITS, LABELS[:, 0].long()).item())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_certain_answer_has_a_focal_gradient(gamma):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = objective_of(LABELS, loss="focal", focal_gamma=gamma)
    loss(logits, torch.tensor([[0.0]])).backward()
    assert torch.isfinite(logits.grad).all()


SKEWED = torch.tensor([0.0] * 9 + [1.0] * 3)[:, None]  # 9 of one class, 3 of the other


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"class_weights": (1, 4)}, (1, 4)),
        ({"class_weights": "balanced"}, (1 / 9, 1 / 3)),
        (
            {"loss": "class_balanced", "class_balance_beta": 0.9},
            (1 / (1 - 0.9**9), 1 / (1 - 0.9**3)),
        ),
        ({"loss": "class_balanced", "class_balance_beta": 0.0}, (1, 1)),
    ],
)
def test_classes_weigh_what_they_should_and_one_on_average(settings, weights):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 2, generator=rng, dtype=torch.float64)
    each = cross_entropy(logits, SKEWED[:, 0].long(), reduction="none")
    weights = torch.tensor(weights, dtype=torch.float64)[SKEWED[:, 0].long()]
    wanted = (each * weights).sum() / weights.sum()
    objective = objective_of(SKEWED, **settings)
    assert objective(logits, SKEWED).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert objective.plain(logits, SKEWED).item() == pytest.approx(each.mean().item(), rel=1e-6)


def test_each_head_has_its_own_settings():
    labels = torch.tensor([[0, 2.0], [1, 1], [1, 0], [0, 2]])
    logits = torch.randn(4, 5, dtype=torch.float64)
    objective = objective_of(
        labels, TWO, loss={"b": "focal"}, class_weights={"a": [3, 1]}, label_smoothing={"a": 0.2}
    )
    first = cross_entropy(logits[:, :2], labels[:, 0].long(), label_smoothing=0.2, reduction="none")
    wanted = (first * torch.tensor([1.5, 0.5, 0.5, 1.5])).mean()
    right = torch.softmax(logits[:, 2:], 1).gather(1, labels[:, 1:].long())
    wanted = wanted - ((1 - right) ** 2 * right.log()).mean()
    assert objective(logits, labels).item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": {"c": "focal"}}, r"loss names 'c', which is no head .* \(expected one of a, b\)"),
        ({"label_smoothing": {"A": 0.1}}, "label_smoothing names 'A'"),
        ({"class_weights": (1, 2)}, r"are 2 \(expected one for each class of b: r, s, t\)"),
        (
            {"loss": "class_balanced", "class_weights": "balanced"},
            "weighs the classes of a already",
        ),
    ],
)
def test_settings_that_fit_no_head_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        objective_of(torch.zeros(4, 2), TWO, **settings)


def test_the_margin_is_added_to_the_true_angle():
    angles = torch.tensor([0.3, 1.2, 2.2, 3.0], dtype=torch.float64)
    answers = 16 * torch.stack([angles.cos(), torch.full((4,), 0.1)], 1)
    harder = with_margin(answers, torch.zeros(4, dtype=torch.long), 0.5, 16)
    assert torch.equal(harder[:, 1], answers[:, 1])
    assert torch.allclose(harder[:3, 0], 16 * (angles[:3] + 0.5).cos())
    assert harder[3, 0] == pytest.approx(16 * (angles[3].cos().item() - 0.5 * math.sin(0.5)))


def test_a_larger_angle_is_never_better():
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    answers = torch.stack([angles.cos(), torch.zeros(1001)], 1).requires_grad_()
    harder = with_margin(answers, torch.zeros(1001, dtype=torch.long), 0.5, 1.0)[:, 0]
    assert (harder[1:] < harder[:-1]).all() and (harder < angles.cos()).all()
    harder.sum().backward()
    assert torch.isfinite(answers.grad).all()


def test_the_margin_is_there_in_training_only():
    cosines = torch.tensor([[0.9, -0.9], [-0.5, 0.5]])
    labels = torch.tensor([[0.0], [1.0]])
    objective = objective_of(labels, arcface_margin=0.5, arcface_scale=4.0)
    plain = cross_entropy(4 * cosines, labels[:, 0].long()).item()
    assert objective.plain(4 * cosines, labels).item() == pytest.approx(plain)
    assert objective(4 * cosines, labels).item() > 4 * plain


def test_what_a_teacher_says_is_a_divergence():
    teacher = torch.randn(4, 2, dtype=torch.float64)
    soft = answers_of(TASK, teacher, 3.0).double()
    log_probs = torch.log_softmax(LOGITS.float().double() / 3, 1)
    wanted = 9 * (soft * (soft.log() - log_probs)).sum(1).mean()
    objective = objective_of(LABELS)
    found = objective.taught(LOGITS, soft, count=4, temperature=3.0)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    same = objective.taught(teacher, soft, count=4, temperature=3.0)
    assert same.item() == pytest.approx(0, abs=1e-6)


def test_a_teacher_of_several_heads_and_numbers():
    task = replace(TWO, heads=(*TWO.heads, mk.Head("age")), scored=None)
    labels = torch.tensor([[0, 2, 20.0], [1, math.nan, 60]])
    teacher = torch.tensor([[1.0, 2, 3, 4, 5, 30], [0, 0, 9, 9, 9, 50]])
    soft = answers_of(task, teacher, 2.0)
    assert torch.allclose(soft[:, :2].sum(1), torch.ones(2))
    assert torch.allclose(soft[:, 2:5].sum(1), torch.ones(2)) and soft[:, 5].tolist() == [30, 50]
    objective = objective_of(labels, task)
    student = teacher.clone()
    student[:, 5] += 40  # two standard deviations
    found = objective.taught(student, soft, count=2, temperature=2.0).item()
    assert found == pytest.approx(1.5, abs=1e-5)


def test_soft_labels_agree_with_hard_ones_when_they_are_sure():
    certain = torch.nn.functional.one_hot(LABELS[:, 0].long(), 2).float()
    found = objective_of(LABELS).taught(LOGITS, certain, count=4, temperature=1.0).item()
    assert found == pytest.approx(cross_entropy(LOGITS, LABELS[:, 0].long()).item(), rel=1e-6)


def test_a_config_knows_the_losses_of_all_kinds_and_no_others():
    assert set(config.LOSSES) == {name for loss in LOSSES.values() for name in loss.names}
