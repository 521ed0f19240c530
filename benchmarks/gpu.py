"""What only a GPU shows: speed and memory of steps, exactness, a neighbour, feeding, large masks.

    python benchmarks/gpu.py [--part steps exact neighbour fed large ranks] [--small]

steps: images a second of whole training steps and their peak memory, beside what is reckoned.
exact: runs that are made twice with `deterministic=True`, and twice without; the weights' hashes.
neighbour: another process takes the memory in the middle of a run, and gives it back or does not.
fed: images a second of `fit` over those of a step that has its batch on the device already.
large: masks at 1024 px: steps, checkpointing, and prediction whole and by windows.
ranks: two processes on the one GPU, twice, and what they say of a run of one.
`--small` is for a machine without a GPU, to see that this script runs. Figures are in the docs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

import medkit as mk
from medkit.devices import find_device, free_memory, torch_settings
from medkit.loading.loader import KeyedSampler, make_dataset, make_loader, on_device
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import sizing, stepping
from medkit.training.distilling import models_of, new_student
from medkit.training.losses import Objective
from medkit.training.memory import training_bytes
from medkit.training.optimizing import make_optimizer
from medkit.training.preparing import place_model
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

GB = 1e9
NEIGHBOUR = """
import sys, time, pathlib, torch
call, leave = pathlib.Path(sys.argv[1]), float(sys.argv[2])
torch.zeros(1, device="cuda")
(call / "ready").touch()
while not (call / "take").exists():
    time.sleep(0.02)
free = torch.cuda.mem_get_info()[0]
held = torch.empty(int(free - leave), dtype=torch.uint8, device="cuda")
(call / "taken").touch()
while not (call / "give").exists():
    time.sleep(0.02)
"""


def say(*words: Any) -> None:
    print(*words, flush=True)


def task_of(classes: tuple[str, ...] = ("sound", "decayed")) -> mk.Task:
    return mk.add_task(mk.Task("gpu", "Drawn", "drawn", (mk.Head("label", classes),)))


def draw(folder: Path, count: int, side: int) -> pd.DataFrame:
    """Pictures of noise with a bright disc in half of them, in two folds."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:side, :side]
    for k in range(count):
        pixels = rng.integers(0, 120, (side // 8, side // 8, 3)).repeat(8, 0).repeat(8, 1)
        at = rng.integers(side // 4, 3 * side // 4, 2)
        inside = (x - at[0]) ** 2 + (y - at[1]) ** 2 < (side // 8) ** 2
        pixels = pixels[:side, :side] + 60 * (inside & bool(k % 2))[..., None]
        path = folder / f"{k:05d}.jpg"
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)
        rows.append({"id": path.stem, "path": str(path), "group": path.stem, "fold": k // 2 % 2})
        rows[-1]["label"] = ("sound", "decayed")[k % 2]
    return pd.DataFrame(rows)


def draw_masks(folder: Path, people: int, side: int) -> tuple[mk.Task, pd.DataFrame]:
    task = mk.get_task("handbone")
    task.draw(folder, n_train=people, n_test=1, size=side)
    cases = task.read(folder, "train")
    return task, cases.assign(fold=cases["group"].astype("category").cat.codes % 2)


def step_row(config: mk.Config, device: torch.device, what: str) -> None:
    torch.backends.cudnn.benchmark = False
    free_memory()
    row = sizing._try_steps(config, device)
    student = new_student(mk.get_task(config.task), config)
    told = sum(training_bytes(m, config, config.batch_size) for m in models_of(student))
    if row is None:
        say(f"  {what}: memory ran out ({told / GB:.1f} GB reckoned)")
        return
    peak = row.get("peak_bytes", 0) / GB
    speed, told = row["images_per_s"], told / GB
    say(f"  {what}: {speed:8.1f} images/s, peak {peak:6.2f} GB, {told:6.2f} reckoned")


def plain_speed(name: str, size: int, batch: int, device: torch.device) -> float:
    """Images a second of the loop that everybody writes, with what we use: AMP, AdamW, clipping."""
    import timm

    model = timm.create_model(name, num_classes=2).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.train().parameters(), 1e-3)
    images = torch.rand(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    times: list[float] = []
    while len(times) < 8 or (sum(times[4:]) < 1.0 and len(times) < 60):
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        float(loss)
        times.append(time.perf_counter() - began)
    return batch / float(np.median(times[4:]))


def steps(device: torch.device, folder: Path, small: bool) -> None:
    task_of()
    size, batch = (32, 4) if small else (224, 64)
    names = ("resnet18", "resnet50", "convnext_tiny", "vit_small_patch16_224", "efficientnet_b0")
    for name in ("test_resnet",) if small else ("resnet18", "resnet50", "convnext_tiny"):
        config = mk.Config("gpu", model=name, image_size=size, batch_size=batch)
        with torch_settings(device, is_exact=False):
            plain = [plain_speed(name, size, batch, device) for _ in range(2)]
        ours = [sizing._try_steps(config, device)["images_per_s"] for _ in range(2)]
        shown = ", ".join(f"{a:,.0f} to {b:,.0f} ({a / b:.2f})" for a, b in zip(ours, plain))
        say(f"  {name}, batch {batch}, images/s of ours to a plain loop: {shown}")
    for name in ("test_resnet",) if small else names:
        base = mk.Config("gpu", model=name, image_size=size, batch_size=batch)
        step_row(base, device, f"{name} amp")
        step_row(replace(base, amp=False), device, f"{name} float32")
        step_row(replace(base, deterministic=True), device, f"{name} amp, deterministic")
        step_row(replace(base, checkpointing=True), device, f"{name} amp, checkpointing")
        if name in ("resnet50", "convnext_tiny"):
            step_row(replace(base, channels_last=False), device, f"{name} amp, channels first")
            step_row(replace(base, batch_size=4 * batch), device, f"{name} amp, {4 * batch}")


def result(run: mk.Run) -> tuple[str, str]:
    predictions = run.predictions
    numbers = predictions.select_dtypes("number").to_numpy().tobytes()
    return weights_hash(load_state(run.last)[0])[:10], str(abs(hash(numbers)))[:8]


def told(run: mk.Run) -> list[str]:
    lines = (run.path / "log.txt").read_text().splitlines()
    lines = [line for line in lines if "bit-exact" in line or "memory" in line]
    return [line.split("  ", 1)[-1][:170] for line in lines]


def exact(device: torch.device, folder: Path, small: bool) -> None:
    task = task_of()
    cases = draw(folder / "pictures", 64, 64)
    masks, mask_cases = draw_masks(folder / "hands", 8, 96)
    common = {"epochs": 2, "batch_size": 8, "image_size": 64, "mixup": 0.2, "ema_decay": 0.9}
    plain = [
        *("resnet18", "convnext_atto", "vit_tiny_patch16_224", "efficientnet_b0"),
        *("swin_tiny_patch4_window7_224", "mobilenetv3_small_100", "hrnet_w18_small"),
    ]
    tried = [
        (cases, mk.Config(task.name, model=name, drop_rate=0.2, **common))
        for name in (["test_resnet"] if small else plain)
    ]
    common["image_size"] = 64
    for decoder, model in (("unet", "resnet18"), ("unet++", "resnet18"), ("unet", "convnext_atto")):
        few = {"decoder_channels": (64, 32, 16, 16, 8)}
        config = mk.Config(masks.name, model=model, decoder=decoder, loss="cross_entropy_dice")
        tried.append((mask_cases, replace(config, **few, **{**common, "augment": "xray"})))
        if small:
            break
    tried.append((mask_cases, replace(tried[-1][1], checkpointing=True)))
    tried.append((mask_cases, replace(tried[-2][1], patch_size=32, image_size=96, mixup=0.0)))
    for number, (data, config) in enumerate(tried):
        what = f"{config.model} {config.decoder if data is mask_cases else ''}"
        what += " checkpointing" * config.checkpointing + " windows" * bool(config.patch_size)
        try:
            for is_exact in (True, False):
                made = replace(config, deterministic=is_exact)
                runs = []
                for turn in range(2):
                    where = folder / "exact" / f"{number}-{is_exact}-{turn}"
                    runs.append(mk.fit(made, data, where, num_workers=2 * turn, progress=False))
                same = len({result(run) for run in runs}) == 1
                say(f"  {what}: {'exact' if is_exact else 'usual'} twice the same: {same}")
                for line in told(runs[0]):
                    say("     ", line)
        except Exception as error:
            say(f"  {what}: {type(error).__name__}: {str(error)[:300]}")


def neighbour(device: torch.device, folder: Path, small: bool) -> None:
    if small:
        return
    task = task_of()
    cases = draw(folder / "many", 512, 96)
    config = mk.Config(task.name, model="resnet50", batch_size=128, epochs=1, augment="light")
    config = replace(config, amp=False, deterministic=True)
    quiet = {"progress": False, "num_workers": 4}
    alone = mk.fit(config, cases, folder / "alone", **quiet)
    whole = stepping.Stepper.gradients
    for number, gives_back in enumerate((True, False)):
        call = folder / f"call{number}"
        call.mkdir()
        process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(call), "9e9"])

        def gradients(self, batch, epoch, step, call=call, gives=gives_back, **options):
            if step == 1 and not (call / "take").exists():
                free_memory()  # what the allocator keeps would hide the neighbour
                (call / "take").touch()
                while not (call / "taken").exists():
                    time.sleep(0.02)
                say("   taken; free:", [round(b / GB, 1) for b in torch.cuda.mem_get_info()])
                say("   there:", mk.machine.gpu_users())
            return whole(self, batch, epoch, step, **options)

        log = stepping.Stepper._give_way

        def give_way(self, count, call=call, gives=gives_back, log=log):
            if gives:
                (call / "give").touch()
            say("   memory ran out:", self._words[:160])
            log(self, count)

        stepping.Stepper.gradients, stepping.Stepper._give_way = gradients, give_way
        stepping.WAIT_S = 4.0
        try:
            while not (call / "ready").exists():
                time.sleep(0.05)
            run = mk.fit(config, cases, folder / f"neighbour{number}", **quiet)
            say(f"  gives back {gives_back}: same bits as alone: {result(run) == result(alone)}")
            for line in told(run):
                say("     ", line)
        finally:
            (call / "give").touch()
            stepping.Stepper.gradients, stepping.Stepper._give_way = whole, log
            process.wait(60)


def fed(device: torch.device, folder: Path, small: bool) -> None:
    task = task_of()
    size, batch, count = (32, 4, 16) if small else (224, 64, 1024)
    cases = draw(folder / "feed", count, 2 * size)
    for name in ("test_resnet",) if small else ("resnet18", "resnet50", "convnext_tiny"):
        config = mk.Config(task.name, model=name, image_size=size, batch_size=batch)
        data = make_dataset(task, config, cases, recipe="medium", progress=False)
        with torch_settings(device, is_exact=False):
            model = place_model(new_student(task, config), config, device, Ranks()).train()
            objective = Objective(task, config, data.labels[:])
            stepper = Stepper(objective, config, model, Ranks(), say)
            optimizer = make_optimizer(model, config)

            def rate(batches: Any, stepper=stepper, optimizer=optimizer) -> float:
                seen, began = 0, 0.0
                for number, batch in enumerate(batches):
                    stepper.gradients(batch, 0, number)
                    stepper.descend(optimizer)
                    if number == 3:  # workers and kernels are warm
                        torch.cuda.synchronize() if device.type == "cuda" else None
                        began, seen = time.perf_counter(), 0
                    seen += len(batch.images)
                torch.cuda.synchronize() if device.type == "cuda" else None
                return (seen - len(batch.images)) / (time.perf_counter() - began)

            n_steps = 8 if small else 50
            rows = np.tile(np.arange(count), -(-n_steps * batch // count))
            sampler = KeyedSampler(rows, 0, count=n_steps * batch, batch_size=batch)
            first = next(iter(make_loader(data, sampler, batch_size=batch)))
            ready = type(first)(*(part.to(device) for part in first))
            constant = rate([ready] * n_steps)
            found = [f"constant {constant:,.0f}"]
            for workers in (0, 1) if small else (0, 2, 4, 8, 14):
                loader = make_loader(
                    data, sampler, batch_size=batch, num_workers=workers, pin_memory=True
                )
                speed = rate(on_device(loader, device))
                found.append(f"{workers} workers {speed:,.0f} ({speed / constant:.2f})")
            found.append(f"constant again {rate([ready] * n_steps) / constant:.2f}")
        say(f"  {name} {size} px, batch {batch}, images/s: " + ", ".join(found))
    config = mk.Config(task.name, model="resnet18", image_size=size, batch_size=batch, epochs=4)
    if not small:
        began = time.perf_counter()
        run = mk.fit(config, cases, folder / "fed", num_workers=14, progress=False)
        say(f"  fit resnet18, 4 epochs, 14 workers: {time.perf_counter() - began:.1f} s in all")
        say(pd.read_csv(run.path / "history.csv").iloc[:, :8].round(3).to_string())


def large(device: torch.device, folder: Path, small: bool) -> None:
    side = 64 if small else 1024
    task, cases = draw_masks(folder / "large", 6, side)
    names = (
        (("test_resnet", "unet", 2),)
        if small
        else (
            ("resnet34", "unet", 4),
            ("resnet34", "unet++", 4),
            ("hrnet_w48", "unet", 4),
            ("hrnet_w48", "unet++", 2),
        )
    )
    for name, decoder, batch in names:
        base = mk.Config(task.name, model=name, decoder=decoder, image_size=side)
        base = replace(base, batch_size=batch, loss="cross_entropy_dice")
        for amp in (True, False):
            for again in (False, True):
                config = replace(base, amp=amp, checkpointing=again)
                what = f"{name} {decoder} {side} px, batch {batch}, {'amp' if amp else 'float32'}"
                step_row(config, device, what + ", checkpointing" * again)
    patch = side // 2
    base = mk.Config(task.name, model=names[0][0], image_size=side, batch_size=4, epochs=2)
    base = replace(base, loss="cross_entropy_dice", augment="light")
    for what, config in (
        ("whole", base),
        ("windows", replace(base, patch_size=patch, epoch_steps=8)),
    ):
        began = time.perf_counter()
        run = mk.fit(config, cases, folder / what, num_workers=8, progress=False)
        say(f"  fit {what}: {time.perf_counter() - began:.1f} s; {told(run)}")
        say(pd.read_csv(run.path / "history.csv").iloc[:, :8].round(3).to_string())
        torch.cuda.reset_peak_memory_stats() if device.type == "cuda" else None
        for views in ("as is", "all"):
            began = time.perf_counter()
            views = ("as is",) if views == "as is" else ("as is", "mirrored")
            where = folder / f"{what}-{len(views)}"
            try:
                mk.predict(run, cases, views=views, folder=where, progress=False)
            except ValueError as error:
                say(f"     views: {error}")
                continue
            spent = (time.perf_counter() - began) / len(cases)
            peak = torch.cuda.max_memory_allocated() / GB if device.type == "cuda" else 0
            shown = f"{spent * 1e3:.0f} ms an image, {peak:.1f} GB"
            say(f"  predict {what}, {len(views)} views: {shown}")
        if what == "whole":
            ours = mk.predict(run, cases[:4], folder=folder / "g", progress=False)
            cpu = mk.predict(run, cases[:4], folder=folder / "c", device="cpu", progress=False)
            scores = [mk.score(task, cases[:4], table)["dice"] for table in (ours, cpu)]
            say(f"  Dice of GPU and CPU: {scores}")


def ranks(device: torch.device, folder: Path, small: bool) -> None:
    task = task_of()
    cases = draw(folder / "ranks", 64, 64)
    model = "test_resnet" if small else "resnet18"
    config = mk.Config(task.name, model=model, image_size=64, batch_size=16, epochs=2)
    config = replace(config, deterministic=True, amp=False)
    found = []
    for turn in range(2):
        began = time.perf_counter()
        run = mk.fit(config, cases, folder / f"two{turn}", devices=2, progress=False)
        found.append(result(run))
        say(f"  two processes on one device: {time.perf_counter() - began:.1f} s, {found[-1]}")
    one = mk.fit(config, cases, folder / "one", progress=False)
    losses = [round(float(r.history["train_loss"].iloc[-1]), 5) for r in (run, one)]
    say(f"  twice the same: {found[0] == found[1]}; last training loss of two, of one: {losses}")


PARTS = {f.__name__: f for f in (steps, exact, neighbour, fed, large, ranks)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    device = find_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    say(f"torch {torch.__version__} on {name}, {mk.machine.cores()} cores")
    for part in asked.part:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MEDKIT_CACHE"] = str(Path(folder) / "cache")
            say(f"{part}:")
            try:
                PARTS[part](device, Path(folder), asked.small)
            except Exception:  # the other parts go on
                traceback.print_exc(file=sys.stdout)
        say(f"  [{time.perf_counter() - began:.0f} s]")


if __name__ == "__main__":
    main()
