"""What votes on masks cost: of CSVs, of three models' crops, and in memory, beside the usual ways.

    python benchmarks/votes.py [--images 300] [--hands 16]

Hands of 29 overlapping bones are drawn (`medkit.datasets.drawing.bones`) at 2,048 px; a model's
crops lie at 1,024. The usual way votes by adding decoded masks up, and brings float32 planes of one
model to the picture's size before it encodes them. CPU time of one thread; measured on two cores
that others used, too (load 4), in brackets the floor lane:

    (a) five CSVs of 8,700 rows, file to file    2.2 s (2.9), 40 to 49 times as fast (24)
    (b) three models' crops to 29 texts          10.2 ms an image (14), 71 to 118 times (50)
          of which open and check 2.0, vote 1.8, enlarge 5.6, texts 0.9
        a hard vote 20 ms (29), without small parts 35 ms (41)
    (c) from logits to runs, peak above imports  358 to 416 MB: 4 to 16 images, one model or three
    (d) a file of crops                          0.51 MB an image, of a hard vote 0.06 MB
    (e) weights, 20 rounds, nested in 5 folds    18 ms an image and vote, 69 votes and not 360
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pandas as pd
import torch
from rle import usual_encode, usual_vote
from torch.nn.functional import interpolate

import medkit as mk
from medkit import tables
from medkit.datasets.drawing.bones import make_hand
from medkit.images import crops, rle
from medkit.inference import mask_votes, weighing
from medkit.inference.mask_answers import Masks

TASK = mk.get_task("handbone")
BONES = TASK.scored.classes
SIDE, INNER, VOTERS, MODELS = 2048, 1024, 5, 3
CUT = crops.cut_of(0.5)


def hand(seed: int) -> list[np.ndarray]:
    """The outlines of a hand's bones at 2,048 px, in the order of BONES."""
    rng = np.random.default_rng(seed)
    bones = list(make_hand(np.random.default_rng((seed, 1)), rng).values())
    low = np.concatenate(bones[:19]).min(0)
    scale = 0.85 * SIDE / (np.concatenate(bones[:-2]).max(0) - low).max()
    shift = (0.5 * SIDE, 0.07 * SIDE) - scale * np.array([np.concatenate(bones).mean(0)[0], low[1]])
    return [points * scale + shift for points in bones]


def box_of(points: np.ndarray, side: int, margin: int = 0) -> tuple[np.ndarray, int, int]:
    """An outline filled, with the x, y of its box in a square."""
    low = np.clip(np.floor(points.min(0)).astype(int) - margin, 0, side - 1)
    high = np.clip(np.ceil(points.max(0)).astype(int) + margin + 1, low + 1, side)
    mask = np.zeros((high - low)[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round(points - low).astype(np.int32)], 1)
    return mask, int(low[0]), int(low[1])


def text_of(points: np.ndarray) -> str:
    return rle.to_text(rle.shifted(*box_of(points, SIDE), SIDE))


def crops_of(id: str, bones: list[np.ndarray], rng: np.random.Generator) -> crops.Crops:
    """What a model says of a hand: sure inside, soft and noisy at the edge."""
    planes = np.zeros((len(bones), INNER, INNER), np.uint8)
    for plane, points in zip(planes, bones):
        points = points * INNER / SIDE + rng.normal(0, 1, 2)
        mask, x, y = box_of(points, INNER, margin=12)
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
        logits = (soft - 0.5) * 14 + rng.normal(0, 0.35, mask.shape)
        h, w = mask.shape
        plane[y : y + h, x : x + w] = np.rint(255 / (1 + np.exp(-logits)))
    return crops.cropped(id, planes, (SIDE, SIDE), BONES)


def of_csvs(folder: Path, images: int) -> None:
    """(a) Five CSVs as one, from file to file."""
    rng, rows = np.random.default_rng(5), [[] for _ in range(VOTERS)]
    for number in range(images):
        for name, points in zip(BONES, hand(number)):
            for own in rows:
                moved = points + rng.normal(0, 3, 2) + rng.normal(0, 1.5, points.shape)
                own.append((f"image{number}.png", name, text_of(moved)))
    csvs = [folder / f"{k}.csv" for k in range(VOTERS)]
    for csv, own in zip(csvs, rows):
        tables.write_csv(pd.DataFrame(own, columns=["image_name", "class", "rle"]), csv)
    texts, voted = file_to_file(csvs, folder / "voted.csv")
    ours = least(lambda _: file_to_file(csvs, folder / "voted.csv"), 1, rounds=2) / 1e3
    some = range(0, len(texts), max(1, len(texts) // 30))
    assert [voted[k] for k in some] == [usual_vote(texts[k]) for k in some]
    usual = least(lambda _: [usual_vote(texts[k]) for k in some], 1, rounds=3) / 1e3
    usual *= len(texts) / len(some)
    print(
        f"(a) {VOTERS} CSVs of {len(texts):,} rows, file to file: {ours:.2f} s; on "
        f"pixels {usual:.0f} s: {usual / ours:.0f} times as fast, the same text"
    )


def file_to_file(csvs: list[Path], voted: Path) -> tuple[list, list[str]]:
    """The vote of some CSVs, written; returns the texts, row by row, and those of the vote."""
    read = [tables.read_csv(csv, text=["rle"]) for csv in csvs]
    texts = list(zip(*(one["rle"].fillna("") for one in read)))
    found = rle.vote_texts(texts, SIDE * SIDE)
    tables.write_csv(read[0].assign(rle=found), voted)
    return texts, found


def predicted(folder: Path, hands: int) -> list[pd.DataFrame]:
    """Tables of three models' predictions."""
    made: list[pd.DataFrame] = []
    for model in range(MODELS):
        rows = []
        for number in range(hands):
            id, path = f"image{number}.png", folder / str(model) / f"{number}.safetensors"
            found = crops_of(id, hand(number), np.random.default_rng((model, number)))
            rows.append((id, str(path), found.write(path)))
        made.append(pd.DataFrame(rows, columns=["id", "file", "file_sha"]))
        tables.write_predictions(made[-1], folder / f"{model}.csv")
    return made


def least(work: Callable[[int], object], count: int, rounds: int = 5) -> float:
    """CPU milliseconds an image: the least of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for number in range(count):
            work(number)
        found.append((time.process_time() - began) / count * 1e3)
    return min(found)


def of_crops(folder: Path, made: list[pd.DataFrame]) -> None:
    """(b) Three models' crops to texts, step by step; (d) bytes of a file."""
    shares, hands = np.full(MODELS, 1 / MODELS), len(made[0])
    rows = list(zip(*(tables.files_of(one).values() for one in made)))

    def opened(k: int) -> list[crops.Crops]:
        return mask_votes.opened(rows[k], shares, f"image{k}.png", BONES)[0]

    every = [opened(k) for k in range(hands)]
    means = [mask_votes.soft(votes, shares) for votes in every]
    runs = [[mean.runs(name, CUT) for name in BONES] for mean in means]

    def usual(k: int) -> list[str]:
        up = interpolate(planes[None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return [usual_encode(mask) for mask in (up[0].numpy() > 0.5).astype(np.uint8)]

    steps = {
        "open and check three files": opened,
        "vote": lambda k: mask_votes.soft(every[k], shares),
        "enlarge, runs": lambda k: [means[k].runs(name, CUT) for name in BONES],
        "texts": lambda k: list(map(rle.to_text, runs[k])),
    }
    took = {name: least(work, hands) for name, work in steps.items()}
    whole = np.zeros((len(BONES), INNER, INNER), np.float32)
    for plane, name in zip(whole, BONES):
        x, y, levels = every[0][0].crops[name]
        plane[y : y + levels.shape[0], x : x + levels.shape[1]] = levels / np.float32(255)
    planes, ours = torch.from_numpy(whole), sum(took.values())
    slow = least(usual, 1, rounds=2)
    print(
        f"(b) three models' crops to 29 texts: {ours:.1f} ms an image "
        f"({', '.join(f'{name} {ms:.1f}' for name, ms in took.items())}); the usual way, of one "
        f"model, {slow:.0f} ms: {slow / ours:.0f} times"
    )
    cuts = [[CUT] * len(BONES)] * MODELS
    firm = least(lambda k: mask_votes.hard(every[k], shares, cuts=cuts), hands, 2)
    clean = least(lambda k: mask_votes.hard(every[k], shares, cuts=cuts, smallest=50), hands, 2)
    print(f"    a hard vote {firm:.1f} ms, without small parts {clean:.1f} ms")
    size = np.mean([os.path.getsize(file) for file in made[0]["file"]])
    decided = mk.blend(TASK, made, how="hard", folder=folder / "hard")
    firm = np.mean([os.path.getsize(file) for file in decided["file"]])
    print(f"(d) a file of crops {size / 1e6:.2f} MB, of a hard vote {firm / 1e6:.3f} MB an image")


def of_weights(folder: Path, made: list[pd.DataFrame]) -> None:
    """(e) Weights of three models, with all folds' searches."""
    truth = {f"image{k}.png": list(map(text_of, hand(k))) for k in range(len(made[0]))}

    def read_masks(case: dict) -> tuple:
        texts = zip(BONES, truth[case["id"]])
        return (SIDE, SIDE), {name: rle.to_runs(text, None) for name, text in texts}

    task, place = replace(TASK, read_masks=read_masks), str(folder / "empty.png")
    cv2.imwrite(place, np.zeros((SIDE, SIDE), np.uint8))
    cases = made[0][["id"]].assign(group=made[0]["id"], path=place, masks=place)
    cases["fold"] = np.arange(len(cases)) % 5
    counted, whole = [], mask_votes.soft
    weighing.soft = lambda *vote: counted.append(1) or whole(*vote)
    began = time.process_time()
    mk.choose_weights(task, cases, made, metric="dice", rounds=20)
    took = time.process_time() - began
    print(
        f"(e) weights of {MODELS} models in 20 rounds, nested in 5 folds: {took:.1f} s of CPU for "
        f"{len(cases)} images, {len(counted) / len(cases):.0f} votes of each; as blended and "
        f"scored one by one, {6 * 20 * MODELS} votes of each"
    )


def memory_mb(name: str) -> float:
    """What this process holds ("VmRSS"), or the most that it has held ("VmHWM")."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def logits_of(found: crops.Crops) -> torch.Tensor:
    """(1, 29, INNER, INNER) float32, as they come from a model."""
    logits = torch.full((1, len(BONES), INNER, INNER), -7.0)
    for plane, name in zip(logits[0], BONES):
        x, y, levels = found.crops[name]
        probs = torch.from_numpy(levels).float().div_(255).clamp_(1e-3, 1 - 1e-3)
        plane[y : y + levels.shape[0], x : x + levels.shape[1]] = torch.logit(probs)
    return logits


def one_peak(folder: Path, hands: int, models: int) -> None:
    """What a process of its own prints: MB from logits to a table of runs above the imports."""
    begun, made = memory_mb("VmRSS"), []
    for model in range(models):
        table = tables.read_predictions(folder / f"{model}.csv").head(hands)
        cases = table[["id"]].assign(path=str(folder / "empty.png"))
        answers = Masks(TASK, cases, folder=folder / f"answers-{hands}-{models}" / str(model))
        for id, file in zip(table["id"], table["file"]):
            answers.add(logits_of(crops.read(file, id=id, classes=BONES)), torch.empty(1, 0))
        made.append(answers.predictions(table["id"]))
    soft = mk.blend(TASK, made, folder=folder / f"blended-{hands}-{models}")
    assert len(TASK.submission_table(cases, soft)) == hands * len(BONES)
    print(memory_mb("VmHWM") - begun)


def peaks(folder: Path, hands: int) -> None:
    """(c) Memory from logits to runs, over images and models."""
    cv2.imwrite(str(folder / "empty.png"), np.zeros((SIDE, SIDE), np.uint8))
    for models in (1, MODELS):
        found = []
        for count in (hands // 4, hands // 2, hands):
            code = [sys.executable, __file__, "--peak", str(folder), str(count), str(models)]
            done = subprocess.run(code, capture_output=True, text=True, check=True)
            found.append((count, float(done.stdout)))
        told = ", ".join(f"{count} images {mb:.0f} MB" for count, mb in found)
        print(f"(c) peak above the imports, {models} model(s): {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--hands", type=int, default=16)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if asked.peak:
        one_peak(Path(asked.peak[0]), *map(int, asked.peak[1:]))
        return
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        made = predicted(Path(folder), asked.hands)
        of_crops(Path(folder), made)
        peaks(Path(folder), asked.hands)
        of_weights(Path(folder), made)
        of_csvs(Path(folder), asked.images)


if __name__ == "__main__":
    main()
