"""Several processes that train one run, over gloo on this machine."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import medkit as mk
from medkit.loading.loader import Batch, KeyedSampler
from medkit.runs.folder import open_folder
from medkit.runs.holding import read_status
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import following, launching
from medkit.training.distilling import new_student
from medkit.training.launching import Launch
from medkit.training.losses import Objective
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

CONFIG = mk.Config(
    "caries",
    model="test_resnet",
    image_size=32,
    epochs=2,
    batch_size=15,  # 7 on the one, 8 on the other
    augment="light",
    ema_decay=0.9,
    drop_rate=0.2,
    mixup=0.2,
    seed=6,
)
QUICK = {"num_workers": 0, "device": "cpu", "save_every_s": 0}


def result(run):
    files = [(run.path / name).read_bytes() for name in ("history.csv", "predictions.csv")]
    return weights_hash(load_state(run.last)[0]), files


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_every_row_goes_to_one_process(ranks):
    rows, parts = np.arange(50), []
    whole = list(KeyedSampler(rows, 3, count=42, batch_size=14))
    for rank in range(ranks):
        sampler = KeyedSampler(rows, 3, count=42, batch_size=14, part=(rank, ranks))
        parts.append(list(sampler))
        assert len(sampler) == len(parts[-1]) == 3 * sampler.share
    assert sorted(key for part in parts for key in part) == sorted(whole)
    for step in range(3):  # and to the same step
        together = [k for p in parts for k in p[step * len(p) // 3 : (step + 1) * len(p) // 3]]
        assert together == whole[step * 14 : (step + 1) * 14]


def test_alone_every_call_gives_back_what_it_was_given():
    ranks, value = Ranks(), torch.arange(3.0)
    assert ranks.is_first and ranks.share(7) == slice(0, 7)
    assert ranks.add(value) is value and ranks.gather(value)[0] is value
    assert ranks.add_gradients([], value) is value


def children(pid):
    """The processes that a process has started; torchrun gives each a session of its own."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True)
    return [int(child) for child in found.stdout.split()]


@pytest.fixture(scope="module")
def both(cases, tmp_path_factory):
    """A run of two processes without a stop."""
    folder = tmp_path_factory.mktemp("ranks") / "both"
    return mk.fit(CONFIG, cases, folder, devices=2, progress=False, **QUICK)


def test_two_processes_validate_every_case_once(both, cases):
    held_out = cases[(cases["fold"] == 0) & cases["region"].notna()]
    assert list(both.predictions["id"]) == list(held_out["id"])
    assert both.machine["world_size"] == 2
    assert load_state(both.last)[1]["shape"]["world_size"] == 2
    log = (both.path / "log.txt").read_text()
    assert log.count("epoch 1/2") == 1 and log.count("finished after 2 epochs") == 1


def test_two_processes_share_the_masks_of_an_epoch(tmp_path):
    task = mk.get_task("handbone")
    task.draw(tmp_path / "data", n_train=6, n_test=1, size=64)
    cases = task.read(tmp_path / "data", "train").assign(fold=0)
    cases["fold"] = cases["group"].astype("category").cat.codes % 2
    options = {"image_size": 32, "decoder_channels": (16, 16, 8, 8, 8), "batch_size": 4}
    config = mk.Config("handbone", model="test_resnet", epochs=2, loss="dice", **options)
    run = mk.fit(config, cases, tmp_path / "run", devices=2, progress=False, **QUICK)
    held_out = cases[cases["fold"] == 0]
    assert sorted(run.predictions["id"]) == sorted(held_out["id"])
    best = run.history.loc[run.history["valid_loss"].idxmin()]
    assert mk.score(task, held_out, run.predictions)["dice"] == pytest.approx(best["dice"])
    assert run.machine["world_size"] == 2


def test_two_processes_that_are_killed_go_on_to_the_same_bits(both, cases, tmp_path):
    task = mk.get_task("caries")
    data = both._json("run.json")["data"]
    run = open_folder(tmp_path / "run", task, CONFIG, cases, data=data, fold=0)
    options = {**QUICK, "num_workers": 1}
    process = launching.spawn(run, Launch(**options, devices=2))
    until = time.monotonic() + 300
    while not run.is_begun:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    for pid in [process.pid, *children(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 120
    while run.state == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert run.state in ("stale", "finished")
    again = mk.fit(CONFIG, cases, tmp_path / "run", devices=2, progress=False, **QUICK)
    assert result(again) == result(both)


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(both, cases, tmp_path):
    run = mk.Run(shutil.copytree(both.path, tmp_path / "run"))
    config_file = run.path / "config.json"
    config_file.write_text(config_file.read_text().replace('"epochs": 2', '"epochs": 3'))
    (run.path / "status.json").unlink()
    run = mk.fit(replace(CONFIG, epochs=3), cases, run.path, progress=False, **QUICK)
    log = (run.path / "log.txt").read_text()
    assert re.search(r"not bit-exact from here: .*world_size 2 -> 1", log)
    assert list(run.history["bit_exact"]) == [True, True, False]


def test_a_process_that_dies_ends_the_run_with_its_reason(cases, tmp_path):
    task, long = mk.get_task("caries"), replace(CONFIG, epochs=400)
    data = os.path.commonpath(list(cases["path"]))
    run = open_folder(tmp_path / "run", task, long, cases, data=data, fold=0)
    launching.spawn(run, Launch(**QUICK, devices=2))
    following.wait_for_first_step(run)
    first = read_status(run.path)["holder"]["pid"]
    with open(f"/proc/{first}/stat") as file:
        agent = int(file.read().rpartition(")")[2].split()[1])
    second = next(pid for pid in children(agent) if pid != first)
    os.kill(second, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"the run failed\..*") as caught:
        following.bring_to_end(run, progress=False)
    assert "SIGKILL" in str(caught.value) and f"pid: {second}" in str(caught.value)
    assert load_state(run.last)[1]["epoch"] >= 0  # a good state


def test_an_error_is_left_for_torchrun_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
    code = (
        "import json, os\n"
        "from medkit.training.__main__ import WholeErrors\n"
        "def die(data, file): file.write(json.dumps(data)[:9]); file.flush(); os._exit(9)\n"
        "{}"
        "WholeErrors().record_exception(ValueError('a word'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code.format("json.dump = die\n")])
    assert killed.returncode == 9 and not file.exists()
    subprocess.run([sys.executable, "-c", code.format("")], check=True)
    assert json.loads(file.read_text())["message"]["message"] == "ValueError: a word"


def test_more_processes_than_images_are_refused(cases, tmp_path):
    config = replace(CONFIG, batch_size=1)
    with pytest.raises(RuntimeError, match="2 devices share 1 images of a step"):
        mk.fit(config, cases, tmp_path / "run", devices=2, progress=False, **QUICK)


def make_stepper(config, batch, ranks):
    """With peers, and a teacher that knows every case."""
    task = mk.get_task("caries")
    objective = Objective(task, config, batch.labels)
    stepper = Stepper(objective, config, new_student(task, config), ranks, print)
    stepper.soft = torch.linspace(0.1, 0.9, 18).view(9, 2)
    return stepper


def _gradient_of(rank, ranks, port, batch, config, out):
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    here = Ranks()
    here.join(torch.device("cpu"))
    stepper = make_stepper(config, batch, here)
    part = here.share(len(batch.images))
    assert here.any(rank == 1) and not here.any(False)
    loss, stop = stepper.gradients(Batch(*(p[part] for p in batch)), 0, 0, stop=rank == 1)
    gradient = torch.cat([p.grad.flatten() for p in stepper.parameters])
    torch.save([loss, stop, gradient], f"{out}-{rank}")
    here.leave()


def test_gradients_of_the_parts_are_the_gradient_of_the_whole(tmp_path):
    config = mk.Config(
        "caries",
        model="test_vit",
        image_size=32,
        batch_size=9,
        loss="focal",
        class_weights=(1, 4),
        label_smoothing=0.1,
        peers=2,
    )
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 3, 32, 32), generator=rng, dtype=torch.uint8)
    missing = math.nan
    labels = torch.tensor([0, 1, missing, missing, 0, 1, 1, 1, 0])[:, None]
    batch = Batch(images, labels, torch.zeros(9, 0), torch.arange(9))
    context = torch.multiprocessing.get_context("spawn")
    port, out = launching._free_port(), str(tmp_path / "gradient")
    processes = [
        context.Process(target=_gradient_of, args=(rank, 2, port, batch, config, out))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    alone = make_stepper(config, batch, Ranks())
    loss, _ = alone.gradients(batch, 0, 0)
    whole = torch.cat([p.grad.flatten() for p in alone.parameters])
    for rank in range(2):
        told, stop, gradient = torch.load(f"{out}-{rank}")
        assert stop and torch.allclose(told, loss, atol=1e-6)
        assert torch.allclose(gradient, whole, atol=1e-5)


def test_two_machines_meet_by_the_arguments_of_torchrun(both, cases, tmp_path, monkeypatch):
    """Two agents on this machine, as `mk.start(..., torchrun=...)` starts one on each of two."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun does for two processes of a machine
    task, data = mk.get_task("caries"), both._json("run.json")["data"]
    run = open_folder(tmp_path / "run", task, CONFIG, cases, data=data, fold=0)
    meeting = f"--rdzv_endpoint=127.0.0.1:{launching._free_port()}"
    torchrun = ("--nnodes=2", "--rdzv_backend=c10d", meeting, "--rdzv_id=7")
    agents = [launching.spawn(run, Launch(**QUICK), torchrun=torchrun) for _ in range(2)]
    assert [agent.wait(300) for agent in agents] == [0, 0]
    assert run.state == "finished" and run.machine["world_size"] == 2
    assert result(run) == result(both)
