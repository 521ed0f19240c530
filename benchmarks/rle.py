"""What masks cost as runs: texts, votes and scores of 2048 x 2048 pixels, beside the usual ways.

    python benchmarks/rle.py [--images 300]

Bones are drawn: 29 ellipses an image, 323 runs each. Printed is the CPU time of one core, least of
some rounds; both ways give the same texts and counts. Measured with NumPy 2.4 (in brackets 1.24):

    encode, by rows         7.2 ms the usual way, 0.22 ms ours: 32 times as fast (34)
    encode, by columns      19 ms, 0.29 ms: 63 times (50)
    decode                  0.22 ms, 0.18 ms: 1.2 times (1.2), most of it the memory of the mask
    encode, noise           360 ms, 165 ms: 2.2 times (9.9)
    decode, noise           570 ms, 58 ms: 9.9 times (10)
    vote of 5, a row        10.8 ms, 0.20 ms: 54 times (55); 8,700 rows in 1.7 s (1.8)
    areas and overlap       5.2 ms, 0.05 ms: 99 times (86); 8,700 rows in 0.46 s (0.51)
"""

from __future__ import annotations

import argparse
import time
from typing import Callable, Iterable

import cv2
import numpy as np

from medkit.images.rle import decode, encode, overlaps, vote_texts

SIDE = 2048
BONES = 29
VOTERS = 5


def usual_encode(mask: np.ndarray) -> str:
    """As contest notebooks do it: flatten, frame, compare neighbours, join."""
    pixels = np.concatenate([[0], mask.flatten(), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(number) for number in runs)


def usual_decode(text: str) -> np.ndarray:
    """As contest notebooks do it: split, fill run by run."""
    words = text.split()
    starts, lengths = (np.asarray(part, dtype=int) for part in (words[::2], words[1::2]))
    flat = np.zeros(SIDE * SIDE, np.uint8)
    for start, length in zip(starts - 1, lengths):
        flat[start : start + length] = 1
    return flat.reshape(SIDE, SIDE)


def usual_vote(texts: Iterable[str]) -> str:
    """Masks added up pixel by pixel."""
    total = np.zeros((SIDE, SIDE), np.uint8)
    for text in texts:
        total += usual_decode(text)
    return usual_encode((total > VOTERS / 2).astype(np.uint8))


def usual_counts(text: str, other: str) -> tuple[int, int, int]:
    a, b = usual_decode(text), usual_decode(other)
    return int(a.sum()), int(b.sum()), int((a & b).sum())


def bone(mask: np.ndarray, rng: np.random.Generator, seed: int) -> np.ndarray:
    """An ellipse as long as a bone of a hand; of one seed always nearly the same."""
    shape = np.random.default_rng(seed)
    middle, half = shape.uniform(300, 1750, 2), shape.uniform((110, 35), (250, 60))
    middle, half = middle + rng.normal(0, 3, 2), half + rng.normal(0, 2, 2)
    angle = 90 + shape.normal(0, 20) + rng.normal(0, 2)
    axes = tuple(np.round(half).astype(int).tolist())
    centre = tuple(np.round(middle).astype(int).tolist())
    cv2.ellipse(mask, centre, axes, angle, 0, 360, 1, thickness=-1)
    return mask


def best(call: Callable, items: Iterable, *, times: int = 5) -> float:
    """Milliseconds of CPU an item: the least of some rounds."""
    items, rounds = list(items), []
    for _ in range(times):
        began = time.process_time()
        for item in items:
            call(item)
        rounds.append((time.process_time() - began) / len(items))
    return 1000 * min(rounds)


def compare(name: str, usual: float, ours: float) -> None:
    print(f"{name:<30} {usual:9.3f} ms usual {ours:9.3f} ms ours {usual / ours:8.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    images, rng = parser.parse_args().images, np.random.default_rng(0)
    cv2.setNumThreads(1)

    masks = [bone(np.zeros((SIDE, SIDE), np.uint8), rng, seed) for seed in range(BONES)]
    texts = [usual_encode(mask) for mask in masks]
    size = SIDE * SIDE
    assert [encode(mask) for mask in masks] == texts
    assert all((decode(text, (SIDE, SIDE)) == mask).all() for text, mask in zip(texts, masks))
    print(f"{np.mean([len(text.split()) // 2 for text in texts]):.0f} runs a bone")
    usual = best(usual_encode, masks)
    compare("encode, by rows", usual, best(encode, masks))
    usual = best(lambda mask: usual_encode(mask.T), masks, times=2)
    compare("encode, by columns", usual, best(lambda mask: encode(mask, order="F"), masks))
    usual = best(usual_decode, texts)
    compare("decode", usual, best(lambda text: decode(text, (SIDE, SIDE)), texts))
    noise = (rng.random((SIDE, SIDE)) < 0.5).astype(np.uint8)
    noisy = usual_encode(noise)
    assert encode(noise) == noisy and (decode(noisy, noise.shape) == noise).all()
    compare("encode, noise", best(usual_encode, [noise], times=2), best(encode, [noise]))
    usual = best(usual_decode, [noisy], times=2)
    compare("decode, noise", usual, best(lambda text: decode(text, noise.shape), [noisy]))

    columns: list[list[str]] = [[] for _ in range(VOTERS)]
    plane = np.zeros((SIDE, SIDE), np.uint8)
    for seed in range(images * BONES):
        for column in columns:
            mask = bone(plane, rng, seed)
            column.append(encode(mask))
            mask[:] = 0
    rows, some = list(zip(*columns)), slice(None, None, max(1, images * BONES // 10))
    assert vote_texts(rows[some], size) == list(map(usual_vote, rows[some]))
    assert list(zip(*overlaps(columns[0][some], columns[1][some], size))) == [
        usual_counts(*row[:2]) for row in rows[some]
    ]
    usual = best(usual_vote, rows[some], times=2)
    ours = best(lambda rows: vote_texts(rows, size), [rows], times=2)
    compare(f"vote of {VOTERS}, a row", usual, ours / len(rows))
    print(f"  all {len(rows):,} rows: {ours / 1000:.2f} s")
    usual = best(lambda row: usual_counts(*row[:2]), rows[some], times=2)
    ours = best(lambda pair: overlaps(*pair, size), [columns[:2]], times=2)
    compare("areas and overlap, a row", usual, ours / len(rows))
    print(f"  all {len(rows):,} rows: {ours / 1000:.2f} s")


if __name__ == "__main__":
    main()
