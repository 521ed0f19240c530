"""What a table of masks costs when it is handed in: 300 hands of 29 bones at 2048 x 2048 pixels.

    python benchmarks/handing_in.py [--images 300]

Prints seconds of CPU: the check of a participant, that of the board, its score, and what the scores
of these rows would take pixel by pixel. On one core of a server the 8,700 rows (31 MB) were checked
in 0.4 s, checked again by the board in 0.3 s and scored in 0.4 s, which is 100 times as fast as
drawing each mask.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

import numpy as np
from rle import BONES, SIDE, bone, usual_counts

import medkit as mk
from medkit.datasets import add_task
from medkit.images import rle
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.scoring import Answers

DRAWN = 20  # hands, which are taken again and again
CLASSES = tuple(f"finger-{k}" for k in range(1, BONES + 1))
SAMPLE = 100  # rows that are scored pixel by pixel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    images = parser.parse_args().images
    task = add_task(mk.Task("hands", "hands", "drawn", (mk.Head("masks", CLASSES, "masks"),)))
    keys = [(f"image{k:013}.png", name) for k in range(images) for name in CLASSES]
    truth, found = drawn(0, images), drawn(1, images)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        csv = write(folder, task, keys, truth, found)
        timed("check_submission", lambda: mk.check_submission(csv))
        options = {"task": task.name, "public_share": 1.0}
        contest = new_contest(folder / "contest", folder / "answers.csv", **options)
        board = Answers(contest, read_answers(folder / "answers.csv"), "answers.csv")
        guesses = timed("the board's check", lambda: board.check(csv.read_bytes()))
        scored = timed("the board's score", lambda: board.score(guesses))
    print(f"dice {scored['public']['dice']:.4f} of {len(keys)} rows")
    pairs = list(zip(truth, found))[:SAMPLE]
    rows = len(keys) / len(pairs)
    timed("pixel by pixel", lambda: [usual_counts(*pair) for pair in pairs], times=rows, rounds=1)


def drawn(seed: int, images: int) -> list[str]:
    """Texts of the bones of hands, in the order of hands and bones."""
    rng, texts = np.random.default_rng(seed), []
    for _ in range(min(DRAWN, images)):
        for number in range(BONES):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            bone(mask, rng, number)
            texts.append(rle.encode(mask))
    return (texts * (images // DRAWN + 1))[: images * BONES]


def write(
    folder: Path, task: mk.Task, keys: list[tuple[str, str]], truth: list[str], found: list[str]
) -> Path:
    """The true answers, and a table that is handed in, with the JSON beside it."""
    lines = [f'"{image},{name}",{text},{SIDE * SIDE}' for (image, name), text in zip(keys, truth)]
    (folder / "answers.csv").write_text("\n".join(["id,rle,pixels", *lines, ""]))
    lines = [f"{image},{name},{text}" for (image, name), text in zip(keys, found)]
    csv = folder / "submission.csv"
    csv.write_text("\n".join(["id,class,rle", *lines, ""]))
    expected = {
        "task": task.name,
        "columns": ["id", "class", "rle"],
        "layout": asdict(task.layout),
        "ids": [",".join(key) for key in keys],
        "labels": None,
        "sha256": mk.files.sha256_file(csv),
        "filled": [],
        "sizes": {image: [SIDE, SIDE] for image, _ in keys},
    }
    csv.with_suffix(".json").write_text(json.dumps(expected))
    return csv


def timed(what: str, call: Callable[[], Any], *, times: float = 1.0, rounds: int = 3) -> Any:
    """Call some times, and print how long the fastest took."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        answer = call()
        best = min(best, time.process_time() - began)
    print(f"{what:20} {best * times:7.2f} s")
    return answer


if __name__ == "__main__":
    main()
