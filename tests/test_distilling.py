from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import QUIET, TINY

import medkit as mk
from medkit.inference.answers import answers_of
from medkit.models.factory import new_model
from medkit.runs.folder import open_folder
from medkit.runs.tensor_files import load_state, save_state, weights_hash
from medkit.training import distilling, preparing, probing, validating
from medkit.training.distilling import models_of, mutual, new_student
from medkit.training.losses import Objective
from medkit.training.state import State

TASK = mk.get_task("caries")
CONFIG = mk.Config("caries", epochs=2, batch_size=16, seed=3, **TINY)


@pytest.fixture(scope="module")
def cases(cases):
    """Every other tooth, to be quicker."""
    return cases[::2].reset_index(drop=True)


@pytest.fixture(scope="module")
def teacher(cases, tmp_path_factory):
    config = replace(CONFIG, image_size=48, seed=8)
    return mk.fit(config, cases, tmp_path_factory.mktemp("teachers") / "one", **QUIET)


@pytest.fixture(scope="module")
def taught(cases, teacher, tmp_path_factory):
    config = replace(CONFIG, teacher=teacher.path, distill_weight=0.7, distill_temperature=3.0)
    return mk.fit(config, cases, tmp_path_factory.mktemp("runs") / "taught", **QUIET)


def weights(run):
    return weights_hash(load_state(run.last)[0])


class Asked(Exception):
    pass


def ask(config, cases, folder, **options):
    """A run that ends before its first step, when its teachers have been asked."""

    def rehearse(*parts):
        raise Asked

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Asked):
        patched.setattr(preparing, "_rehearse", rehearse)
        mk.fit(config, cases, folder, **options, **QUIET)
    return mk.Run(folder)


def test_soft_labels_are_what_the_teacher_predicts(taught, teacher, cases):
    seen = mk.tables.visible(cases).reset_index(drop=True)
    soft = distilling.taught(taught)
    held_out = np.array(seen["fold"] == 0)
    assert soft[held_out].isnan().all() and not soft[~held_out].isnan().any()
    told = mk.predict(teacher, seen[~held_out], device="cpu")
    logits = torch.from_numpy(np.log(told[["sound", "decayed"]].to_numpy()))
    wanted = torch.softmax(logits / 3, 1).float()
    assert torch.allclose(soft[~held_out], wanted, atol=1e-5)


def test_a_student_follows_its_teacher(cases, teacher, tmp_path):
    """With the teacher's answers alone, it comes nearer to them with every epoch."""
    config = replace(CONFIG, teacher=teacher.path, distill_weight=1.0, epochs=4, peak_lr=3e-3)
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    losses = list(run.history["train_loss"])
    assert losses[-1] < 0.5 * losses[0] and losses[-1] < 0.1


def test_a_weight_of_nothing_is_no_teacher(cases, teacher, tmp_path):
    plain = mk.fit(replace(CONFIG, epochs=1), cases, tmp_path / "plain", **QUIET)
    deaf = replace(CONFIG, epochs=1, teacher=teacher.path, distill_weight=0.0)
    assert weights(mk.fit(deaf, cases, tmp_path / "deaf", **QUIET)) == weights(plain)


def test_several_teachers_vote_softly(cases, teacher, taught, tmp_path):
    both = replace(CONFIG, teacher=(str(teacher.path), str(taught.path)))
    alone = [replace(both, teacher=path) for path in both.teacher]
    runs = [ask(config, cases, tmp_path / str(k)) for k, config in enumerate([both, *alone])]
    mean, *each = [distilling.taught(run) for run in runs]
    assert torch.allclose(mean, sum(each) / 2, equal_nan=True)


def test_each_fold_has_the_teacher_of_its_own_fold(cases, teacher, taught, tmp_path):
    shutil.copytree(teacher.path, tmp_path / "fold0")
    shutil.copytree(taught.path, tmp_path / "full")
    for fold, name in ((0, "fold0"), (None, "full")):
        assert distilling._open(str(tmp_path), TASK, fold).path == tmp_path / name
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        distilling._open(str(tmp_path), TASK, 1)


def test_a_run_keeps_what_it_was_taught(cases, teacher, taught, tmp_path, monkeypatch):
    shutil.copytree(teacher.path, tmp_path / "teacher")
    config = replace(taught.config, teacher=tmp_path / "teacher")
    whole = State.set_rate

    def set_rate(self):
        if self.epoch == 1:
            raise KeyboardInterrupt
        return whole(self)

    with monkeypatch.context() as patched:
        patched.setattr(State, "set_rate", set_rate)
        with pytest.raises(KeyboardInterrupt):
            mk.fit(config, cases, tmp_path / "run", **QUIET)
    shutil.rmtree(tmp_path / "teacher")
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    assert weights(run) == weights(taught)


def test_a_run_not_begun_asks_again(cases, teacher, tmp_path):
    config = replace(CONFIG, teacher=teacher.path)
    first = distilling.taught(ask(config, cases, tmp_path / "run"))
    sharper = replace(config, distill_temperature=1.0)
    second = distilling.taught(ask(sharper, cases, tmp_path / "run"))
    assert not torch.allclose(first, second, equal_nan=True)


def test_cases_without_a_label_learn_from_the_teacher(cases, teacher, tmp_path):
    lacking = cases.assign(decayed=cases["decayed"].where(np.arange(len(cases)) % 2 == 0))
    config = replace(CONFIG, teacher=teacher.path, epochs=1)
    run = mk.fit(config, lacking, tmp_path / "run", **QUIET)
    seen = mk.tables.visible(lacking).reset_index(drop=True)
    unlabelled = np.array((seen["fold"] != 0) & seen["decayed"].isna())
    assert unlabelled.sum() > 20 and not distilling.taught(run)[unlabelled].isnan().any()


def test_a_teacher_that_is_not_there_is_named(cases, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: not a run folder"):
        mk.fit(replace(CONFIG, teacher="nowhere"), cases, tmp_path / "run", **QUIET)
    empty = open_folder(
        tmp_path / "empty",
        TASK,
        CONFIG,
        cases,
        data=cases["path"].iloc[0].rsplit("/", 1)[0],
        fold=0,
    )
    with pytest.raises(
        FileNotFoundError, match="empty: this teacher has no weights yet .*Train it"
    ):
        mk.fit(replace(CONFIG, teacher=empty.path), cases, tmp_path / "run", **QUIET)


def test_a_teacher_of_another_task_is_refused(cases, teacher, tmp_path, monkeypatch):
    other = replace(TASK, heads=(mk.Head("decayed", ("sound", "carious")),), scored=None)
    monkeypatch.setattr(mk.Run, "task", other)
    with pytest.raises(ValueError, match=r"answers for sound, carious \(expected sound, decayed\)"):
        distilling._open(str(teacher.path), TASK, 0)


def test_a_student_larger_than_its_teacher_is_a_warning(cases, teacher, tmp_path):
    config = replace(CONFIG, model="test_efficientnet", teacher=teacher.path)
    small = sum(p.numel() for p in new_model(TASK, config).parameters())
    assert small < sum(p.numel() for p in new_model(TASK, CONFIG).parameters())
    run = ask(config, cases, tmp_path / "small")  # warnings are errors here
    save_state(run.best, new_model(TASK, config).state_dict(), {"epoch": 0})
    larger = replace(CONFIG, teacher=run.path)
    with pytest.warns(
        UserWarning, match=r"student test_resnet \(0\.\d million weights\) is larger"
    ):
        ask(larger, cases, tmp_path / "large")


def test_a_teacher_that_saw_the_held_out_cases_is_a_warning(cases, teacher, tmp_path):
    config = replace(CONFIG, teacher=teacher.path)
    with pytest.warns(
        UserWarning, match=r"was trained on \d+ of \d+ groups that are held out here"
    ):
        ask(config, cases, tmp_path / "run", fold=1)


def test_the_first_peer_is_the_model_of_a_run_without():
    peers = models_of(new_student(TASK, replace(CONFIG, peers=3)))
    hashes = [weights_hash(peer.state_dict()) for peer in peers]
    assert len(set(hashes)) == 3
    assert hashes[0] == weights_hash(new_student(TASK, CONFIG).state_dict())


def test_peers_that_agree_have_nothing_to_learn_from_each_other():
    objective = Objective(TASK, CONFIG, torch.zeros(4, 1))
    one, other = torch.randn(2, 4, 2, requires_grad=True).unbind()
    assert mutual(objective, [one, one], torch.tensor(4)).item() == pytest.approx(0, abs=1e-6)
    soft = [answers_of(TASK, logits).detach() for logits in (one, other)]
    apart = (soft[1] * (soft[1].log() - torch.log_softmax(one, 1))).sum(1).mean()
    apart = apart + (soft[0] * (soft[0].log() - torch.log_softmax(other, 1))).sum(1).mean()
    found = mutual(objective, [one, other], torch.tensor(4))
    assert found.item() == pytest.approx(apart.item(), rel=1e-5)
    wanted, gradient = (torch.autograd.grad(x, one, retain_graph=True)[0] for x in (apart, found))
    assert torch.allclose(wanted, gradient, atol=1e-7)  # each other's answers are taken as given


def test_the_best_peer_is_kept(cases, tmp_path, monkeypatch):
    whole, told = validating.Validation.score, []

    def score(self, model, dataset, ranks, folder, **options):
        scores, predictions = whole(self, model, dataset, ranks, folder, **options)
        told.append((scores["valid_loss"], weights_hash(model.state_dict())))
        return scores, predictions

    monkeypatch.setattr(validating.Validation, "score", score)
    run = mk.fit(replace(CONFIG, peers=2), cases, tmp_path / "run", **QUIET)
    assert len(told) == 4  # two of each epoch
    assert weights_hash(load_state(run.best)[0]) == min(told)[1]
    for row, pair in zip(run.history.itertuples(), (told[:2], told[2:])):
        assert row.valid_loss == min(pair)[0] and row.peer == 1 + pair.index(min(pair))
    assert list(mk.predict(run, cases[:5], device="cpu").columns) == ["id", "sound", "decayed"]


def test_peers_without_a_fold_keep_the_first_one(cases, tmp_path):
    run = mk.fit(replace(CONFIG, peers=2, epochs=1), cases, tmp_path / "run", fold=None, **QUIET)
    last = load_state(run.last)[0]
    for name, value in load_state(run.best)[0].items():
        assert torch.equal(value, last[f"model.peers.0.{name}"])


def test_peers_and_teachers_can_be_probed(cases, teacher, monkeypatch):
    config = replace(CONFIG, peers=2, teacher=teacher.path)
    monkeypatch.setattr(probing, "steepest", lambda curve: 0.0)
    found = mk.lr_find(config, cases, steps=10, device="cpu", progress=False)
    assert len(found.curve) == 10
    told, alone = (mk.estimate(c, device="cpu") for c in (config, CONFIG))
    assert told.weights == 2 * alone.weights and told.training_bytes == 2 * alone.training_bytes
