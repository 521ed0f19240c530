"""Each contest of the kit as tests need it: how small it is drawn, and what it must keep.

A seventh contest is a row of CONTRACT, by which tests/test_every_contest.py holds it to the laws
that all keep. What is special to a contest stands in a test file of its own.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

import medkit as mk
from medkit.datasets.handbone import BONES
from medkit.datasets.pathology import CLASSES
from medkit.images import rle
from medkit.images.crops import cropped


def mean_of_six(y_true, y_pred, each):
    """The score of pathology, but for the thousandth in its denominators."""
    both = {"labels": CLASSES, "zero_division": 0}
    precision, recall, *_ = precision_recall_fscore_support(y_true, y_pred, **both)
    return np.mean([accuracy_score(y_true, y_pred), *precision, *recall, each[1]])


def lines_of(table):
    return table.read_text(encoding="utf-8-sig").splitlines()


def photos(data):
    parts = (path.stem.split("_") for path in (data / "test_data/json").iterdir())
    return [f"{view}_{n}" for view, n in sorted(parts, key=lambda part: (part[0], int(part[1])))]


def sides(data):
    names = (path.stem.split("_") for path in sorted((data / "test").iterdir()))
    codes = [(name, dict(zip(("left", "right"), marks))) for name, *marks in names]
    return [f"{name}_{side}" for name, marks in codes for side in marks if marks[side] != "x"]


def bones(data):
    pictures = sorted((data / "test" / "DCM").rglob("*.png"))
    return [f"{path.name},{bone}" for path in pictures for bone in BONES]


SEED = 4  # by which each class is drawn often enough for folds, and for a leaderboard's two parts
USUAL = {  # what a row leaves out
    "fewer": {"n_train": 2, "n_test": 1},  # drawn once more, to be the same
    "splits": "train, test",
    "inside": "",  # what a message says of a missing part, beside its name
    "labels": range(18),  # what is handed in for each class: its number, where nothing is said
    "header": [],
    "line": "{id},{label}",  # of what is handed in; `truth` and all columns of cases are known, too
    "by_hand": lambda y_true, y_pred, each: np.mean(each),  # the score; each: F1 of each class
    "each": False,  # whether scores tell F1 of each class
    "within": 1e-12,
    "folds": 3,
}
MASK = {
    "drawn": {"n_train": 30, "n_test": 36, "size": (48, 64)},
    "parts": {"train": "train/train.csv", "test": "eval/info.csv"},
    "rows": lambda data: [line.split(",")[0] for line in lines_of(data / "eval/info.csv")[1:]],
    "header": ["ImageID,ans"],
    "score": "f1_18",
    "training": {"epochs": 12},
}
CONTRACT = {
    "caries": {
        "drawn": {"n_train": 18, "n_test": 12, "widths": (240, 320), "decayed_share": 0.2},
        "parts": {"train": "train_data", "test": "test_data"},  # without it there is no such split
        "inside": "/image/*.png and ",
        "splits": "train, test, sample",
        "rows": photos,  # ids of what is handed in, in the contest's order
        "header": ["id,decayed"],
        "score": "f1_macro",
        "training": {"epochs": 5, "best_by": "tooth_auc"},
        "learnt": {"tooth_auc": 0.6},  # more than this, of cases that were not trained on
    },
    "pathology": {
        "drawn": {"n_train": 48, "n_test": 16, "size": 64},
        "parts": {"train": "train/train_data", "test": "test/test_data"},
        "rows": lambda data: [line.split()[0] for line in lines_of(data / "test/test_label")],
        "line": "{id} {label}",
        **{"score": "mean_of_six", "by_hand": mean_of_six, "within": 1e-3},
        "training": {"epochs": 4, "batch_size": 8},
        "learnt": {"auc": 0.75, "mean_of_six": 0.6},
    },
    "sinus": {
        "drawn": {"n_train": 60, "n_test": 20, "size": 120},
        "parts": {"train": "train", "test": "test"},
        "splits": "train, test, test_submit",
        "rows": sides,
        "line": "{file},{side[0]},{truth},{label}",
        "by_hand": lambda y_true, y_pred, each: round(np.dot(each, (1, 2, 3, 4)) / 10, 10),
        **{"score": "f1_1234", "each": True},
        "training": {"epochs": 12},
        "learnt": {"f1_1234": 0.3, "auc": 0.65},  # all normal: about 0.08 and 0.5
    },
    "mask": {**MASK, "learnt": {"mask_auc": 0.6, "gender_auc": 0.6, "age_auc": 0.6}},
    "mask18": {**MASK, "learnt": {"f1_age": 0.45}},
    "sleep": {
        "drawn": {"n_train": 4, "n_test": 2, "epochs": 36, "size": (96, 54)},
        "fewer": {"n_train": 1, "n_test": 1, "epochs": 12},
        "parts": {"train": "trainset-for_user.csv", "test": "testset-for_user.csv"},
        "rows": lambda data: [line[6:-4] for line in lines_of(data / "testset-for_user.csv")],
        "labels": ("Wake", "N1", "N2", "N3", "REM"),
        "line": "{label}",
        **{"score": "f1_macro", "each": True},
        "folds": 2,
        "training": {"image_size": 48, "epochs": 8},
        "learnt": {"accuracy": 0.5},  # N2 alone: a third
    },
    "handbone": {
        "drawn": {"n_train": 12, "n_test": 4, "size": 64},
        "parts": {"train": "train/DCM", "test": "test/DCM"},
        "rows": bones,
        "header": ["image_name,class,rle"],
        "score": "dice",
        "training": {"epochs": 2, "batch_size": 4, "decoder_channels": (16, 16, 8, 8, 8)},
        "learnt": {},  # 29 bones of 64 pixels take longer than a test has
    },
}


@lru_cache(maxsize=None)
def drawn_contest(name, base):
    """A contest drawn once a session below `tmp_path_factory.getbasetemp()`, read-only for tests.

    Returns:
        Its row, with `task`, `reader` (what messages call it), `data` (the folder), and the cases
        of `train` and `test`.
    """
    task, row = mk.get_task(name), {**USUAL, **CONTRACT[name]}
    reader = task.own["inspect"].__module__.rpartition(".")[2]
    data = base / "대회" / reader
    if not data.exists():  # tasks that share a reader share what is drawn
        task.draw(data, seed=SEED, **row["drawn"])
    cases = {split: task.inspect(data, split)[0] for split in ("train", "test")}
    return SimpleNamespace(task=task, reader=reader, data=data, **cases, **row)


def masks_of(task, cases, folder, levels):
    """Predictions of masks: `levels(mask, rng)` of each true one, at the picture's own size."""
    rng, rows = np.random.default_rng(0), []
    for number, case in enumerate(cases.to_dict("records")):
        path = None
        if isinstance(case["path"], str):
            shape, truth = task.read_masks(case)
            planes = [levels(rle.to_mask(truth[name], shape), rng) for name in truth]
            path = str(folder / f"{number}.safetensors")
            cropped(case["id"], np.stack(planes), shape, task.scored.classes).write(Path(path))
        rows.append((case["id"], path))
    return pd.DataFrame(rows, columns=["id", "file"]).astype(object)


def some_masks(task, cases):
    """Guesses of masks: partly right, partly noise."""
    folder = Path(tempfile.mkdtemp())
    return masks_of(
        task,
        cases,
        folder,
        lambda mask, rng: (mask * rng.integers(0, 256, mask.shape)).astype("u1"),
    )


def right_masks(task, cases):
    """The true masks, as if they had been predicted."""
    return masks_of(task, cases, Path(tempfile.mkdtemp()), lambda mask, rng: 255 * mask)


def guess(task, cases):
    """Predictions by chance; probabilities add up to 1 over each head."""
    if task.scored.answer.lies_in == "files":
        return some_masks(task, cases)
    rng = np.random.default_rng(0)
    probs = [rng.dirichlet(np.ones(len(head.classes)), len(cases)) for head in task.heads]
    return pd.DataFrame(np.hstack(probs), columns=list(task.columns)).assign(id=list(cases["id"]))


def answer(task, cases, number=None):
    """Predictions that are right; or for all cases the class of this number."""
    table = {"id": list(cases["id"])}
    for head in task.heads:
        chosen = cases[head.name] if number is None else head.classes[number % len(head.classes)]
        table.update({name: (chosen == name) * np.ones(len(cases)) for name in head.classes})
    return pd.DataFrame(table)


def units_of(task, y_true, probs):
    """Units by hand, of numbers of classes and (N, C) probabilities."""
    ids, classes = [str(number) for number in range(len(y_true))], list(task.scored.classes)
    known = {"id": ids, "group": ids, "seen": True, "y_true": [classes[code] for code in y_true]}
    return pd.DataFrame(probs, columns=classes, dtype=float).assign(**known)


def quarantined(task, data, split="train", **options):
    """The cases of a split, and by id the reasons of what is quarantined."""
    cases, quarantine = task.inspect(data, split, **options)
    return cases, dict(zip(quarantine["id"], quarantine["reason"]))


def check_reasons(reasons, wanted):
    """Just these ids are quarantined, each with these words."""
    assert set(reasons) == set(wanted)
    assert {id: reasons[id] for id, words in wanted.items() if words not in reasons[id]} == {}


def grey(path, size=(12, 8)):
    """A picture by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 90, 90)).save(path)
    return path


def huge_png(side=20_000):
    """The bytes of a small PNG that says of itself that it is huge."""
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    data = buffer.getvalue()
    head = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
