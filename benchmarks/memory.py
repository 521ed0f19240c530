"""How much memory an image takes while a model of masks is trained, by encoder and decoder.

    python benchmarks/memory.py [--size 1024] [--classes 29] [--peak resnet18]

A table of GiB in float32, with and without `checkpointing`, as `mk.estimate` reckons them from a
picture of 256 px: what autograd keeps of an image, and apart from it what the loss keeps. With
`--peak` a real step of one image at full size follows, in a process of its own, and how much its
resident memory grew: what is kept, and what a convolution on a CPU needs besides. The table stands
in docs/explanation/masks.md.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from dataclasses import replace

import torch

import medkit as mk
from medkit.loading.labels import label_type
from medkit.loading.loader import Batch
from medkit.models.factory import new_model
from medkit.training.losses import Objective
from medkit.training.memory import activation_bytes
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

ENCODERS = ("resnet18", "resnet34", "densenet121", "convnext_tiny", "efficientnet_b3")
ENCODERS += ("hrnet_w18", "hrnet_w48")
GIB = 2**30


def make_task(classes: int) -> mk.Task:
    names = tuple(f"class {number}" for number in range(classes))
    head = mk.Head("masks", names, kind="masks")
    return mk.add_task(
        mk.Task("measured", "To measure", "nothing", (head,), mask_files=mk.MaskFiles("planes"))
    )


def peak(task: mk.Task, config: mk.Config) -> None:
    """Print by how much a step of one image grows this process."""
    torch.set_num_threads(1)
    size, model = config.image_size, new_model(task, config).train()
    objective = Objective(task, config, torch.zeros(1, 1))
    stepper = Stepper(objective, config, model, Ranks(), print)
    images = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    labels = label_type(task).blank(task, 1, size)
    batch = Batch(images, labels, torch.zeros(1, 0), torch.zeros(1, dtype=torch.long))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stepper.gradients(batch, 0, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    weights = sum(4 * p.numel() for p in model.parameters())  # of the gradients
    told = sum(activation_bytes(model, config))
    print(f"{(grown - weights) / GIB:.2f} GiB grown, {told / GIB:.2f} reckoned", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=29)
    parser.add_argument("--peak", default="", help="of a step with this encoder")
    parser.add_argument("--alone", default="", help=argparse.SUPPRESS)  # decoder, checkpointing
    arguments = parser.parse_args()
    task = make_task(arguments.classes)
    config = mk.Config(task.name, image_size=arguments.size, batch_size=1, amp=False)
    if arguments.alone:
        decoder, again = arguments.alone.split(",")
        config = replace(config, model=arguments.peak, decoder=decoder)
        peak(task, replace(config, checkpointing=bool(int(again))))
        return
    print(f"GiB an image of {arguments.size} px, float32, {arguments.classes} classes")
    for name in ENCODERS if not arguments.peak else ():
        told = []
        for decoder in ("unet", "unet++"):
            for again in (False, True):
                tried = replace(config, model=name, decoder=decoder, checkpointing=again)
                kept, by_loss = activation_bytes(new_model(task, tried), tried)
                told.append(f"{kept / GIB:.1f}")
        print(f"| {name} | {' | '.join(told)} |", flush=True)
    if not arguments.peak:
        print(f"beside these the loss: {by_loss / GIB:.2f}")
        return
    for decoder in ("unet", "unet++"):
        for again in (0, 1):
            print(arguments.peak, decoder, "again" if again else "kept", end=": ", flush=True)
            command = [sys.executable, __file__, "--alone", f"{decoder},{again}"]
            command += ["--size", str(arguments.size), "--classes", str(arguments.classes)]
            subprocess.run([*command, "--peak", arguments.peak], check=True)


if __name__ == "__main__":
    main()
