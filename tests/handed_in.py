"""Hand-ins that are honest, and such of which one thing was changed, with what must be said of it.

    python tests/handed_in.py --replays 30

is what `make replay` calls: more of both than a test run has time for.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import warnings
from itertools import islice
from pathlib import Path

import pandas as pd
from PIL import Image, ImageEnhance
from small_runs import QUIET, TINY

import medkit as mk
from medkit.rules.replay.manifest import MARK, files_in

DRAWN = {  # small ones
    "caries": {"n_train": 18, "n_test": 8, "widths": (240, 320), "decayed_share": 0.2},
    "sinus": {"n_train": 24, "n_test": 8},
    "pathology": {"n_train": 24, "n_test": 8},
    "mask": {"n_train": 30, "n_test": 12},
    "sleep": {"n_train": 6, "n_test": 1, "epochs": 36, "size": (48, 32)},
    "handbone": {"n_train": 12, "n_test": 2, "size": 64},
}
MASKS = {"decoder_channels": (16, 16, 8, 8, 8), "loss": "cross_entropy_dice", "batch_size": 4}
HONEST = [  # a contest, settings of its run, and how it is handed in
    ("caries", {"augment": "light"}, {"views": "all"}),
    ("sinus", {"class_weights": (1, 4, 6, 9), "optimizer": "sgd"}, {"weights": True}),
    ("handbone", {**MASKS, "augment": "xray"}, {}),
    ("caries", {"ema_decay": 0.9, "mixup": 0.2, "cutmix": 0.5}, {"folds": 2}),
    ("mask", {"label_smoothing": 0.1}, {"packed": True}),
    ("pathology", {"augment": "strong", "balanced": True}, {"fold": None}),
    ("sleep", {"schedule": "one_cycle", "drop_rate": 0.2}, {}),
    ("caries", {"loss": "focal", "micro_batch": 4}, {"threshold": 0.3}),
    ("caries", {"facts": ("view", "tooth_number")}, {}),
    ("sinus", {"seed": 11, "schedule": "plateau", "epochs": 3}, {"folds": 2, "how": "hard"}),
]


def settings_of(contest, **settings):
    best_by = "tooth_auc" if contest == "caries" else "loss"
    base = {"epochs": 2, "batch_size": 8, "best_by": best_by, **TINY}
    return mk.Config(contest, **{**base, **settings})


def make(place, number):
    """An honest hand-in, and the data folder; by number they differ in more than the seed."""
    contest, settings, asked = HONEST[number % len(HONEST)]
    task, asked, data = mk.get_task(contest), dict(asked), place / "dataset"
    task.draw(data, seed=number, **DRAWN[contest])
    cases = mk.assign_folds(task, task.read(data, "train"), n_folds=2, seed=number)
    config = settings_of(contest, **{"seed": number, **settings})
    packed, fold = asked.pop("packed", False), asked.pop("fold", 0)
    folds = range(asked.pop("folds", 0)) or [fold]
    runs = [mk.fit(config, cases, place / f"runs/fold{k}", fold=k, **QUIET) for k in folds]
    test, views, how = task.read(data, "test"), asked.get("views", ("as is",)), asked.get("how")
    answers = [mk.predict(run, test, views=views, device="cpu", progress=False) for run in runs]
    answer = answers[0]
    if len(answers) > 1:
        answer = mk.blend(task, answers, **({"how": how} if how else {}))
    folder = mk.handin(task, test, answer, place / "handin", run=runs, **asked)
    if packed:
        folder = Path(shutil.make_archive(str(place / "packed"), "zip", place, "handin"))
    return folder, data


def name_files(folder):
    """Let the manifest name the files as they are now, as whoever changes one would."""
    facts = json.loads((folder / MARK).read_text("utf-8"))
    edit(folder, "manifest.json", files={**facts["files"], **files_in(folder)})


def edit(folder, name, **changed):
    """Change entries of a JSON file of `replay_dir`."""
    path = folder / "replay_dir" / name
    facts = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**facts, **changed}, ensure_ascii=False), "utf-8")


def edit_run(folder, **changed):
    """Change what the manifest tells of the first run."""
    facts = json.loads((folder / MARK).read_text("utf-8"))
    runs = [{**facts["runs"][0], **changed}, *facts["runs"][1:]]
    edit(folder, "manifest.json", runs=runs)


def edit_table(folder, name, change):
    """Change a table of `replay_dir`, whose cells stay texts."""
    path = folder / "replay_dir" / name
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False, lineterminator="\n")


def other(column, value):
    """A table with another value in the second row of a column."""

    def change(table):
        table.loc[1, column] = value
        return table

    return change


OPPOSITE = {"0": "1", "1": "0", "sound": "decayed", "decayed": "sound"}


def flipped(column):
    """A table in which the second row says the opposite."""
    return lambda table: other(column, OPPOSITE[table.loc[1, column]])(table)


def packages(folder, **versions):
    facts = json.loads((folder / "replay_dir/run0/machine.json").read_text("utf-8"))
    edit(folder, "run0/machine.json", packages={**facts["packages"], **versions})


def foreign_weights(folder):
    """Weights of another run."""
    task = mk.get_task("caries")
    cases = mk.assign_folds(task, task.read(folder.parent / "dataset", "train"), n_folds=2, seed=5)
    run = mk.fit(settings_of("caries", seed=99), cases, folder.parent / "foreign", **QUIET)
    shutil.copy(run.best, folder / "replay_dir/run0/best.safetensors")


def touch_picture(data):
    """Make the first picture of a data folder darker."""
    path = sorted((data / "train_data/image").glob("*.png"))[0]
    with Image.open(path) as image:
        ImageEnhance.Brightness(image).enhance(0.5).save(path)


def same_but(**settings):
    return lambda folder: edit(folder, "run0/config.json", **settings)


# by name: what is changed in the first honest hand-in, and what must be said of it
PLANTED = {
    "another seed": (same_but(seed=7), "run0: settings: seed 0 handed in, 7 here"),
    "a foreign torch": (lambda f: packages(f, torch="1.9.0"), "run0: versions: torch 1.9.0"),
    "a cell of the CSV": (
        lambda f: edit_table(f, "submission.csv", flipped("decayed")),
        r"submission.csv: line 3 \(.*\), decayed: '\d' handed in, '\d' here",
    ),
    "foreign weights": (foreign_weights, "run0: weights: best.safetensors holds other weights"),
    "an extra file": (
        lambda f: (f / "source_dir/model.bin").write_bytes(b"x"),
        "files: not of the hand-in: source_dir/model.bin",
    ),
    "another instruction set": (
        lambda f: edit(f, "run0/machine.json", cpu_capability="SSE9"),
        "run0: shape: CPU SSE9 handed in",
    ),
    "another seed in both files": (
        lambda f: (same_but(seed=7)(f), edit_run(f, seed=7)),
        "run0: initial weights: seed 7 and its settings give others",
    ),
    "another model": (same_but(model="test_vit"), "run0: initial weights: seed 0 and its"),
    "another learning rate": (same_but(peak_lr=0.02), "run0: losses: .* depart at step 2"),
    "another augmentation": (same_but(augment="none"), "run0: losses: .* depart at step 1"),
    "a larger batch": (same_but(batch_size=6), "run0: losses: .* depart at step 1"),
    "more epochs": (same_but(epochs=3), "run0: history.csv: 3 lines handed in, 4 here"),
    "dropout": (same_but(drop_rate=0.5), "run0: losses: .* depart at step 1"),
    "a better history": (
        lambda f: edit_table(f, "run0/history.csv", other("valid_loss", "0.01")),
        r"run0: history.csv: line 3 \(2\), valid_loss: '0.01' handed in",
    ),
    "a better prediction": (
        lambda f: edit_table(f, "run0/predictions.csv", other("decayed", "0.99")),
        "run0: predictions.csv: line 3 .*, decayed: '0.99' handed in",
    ),
    "another loss": (
        lambda f: edit_table(f, "run0/first_losses.csv", other("loss", "0.1")),
        "run0: losses: the hand-in and here depart at step 2",
    ),
    "another answer": (
        lambda f: edit_table(f, "answers.csv", other("decayed", "0.77")),
        "answers.csv: line 3 .*, decayed: '0.77' handed in",
    ),
    "a row of the CSV is missing": (
        lambda f: edit_table(f, "submission.csv", lambda t: t.iloc[1:]),
        r"submission.csv: \d+ lines handed in, \d+ here",
    ),
    "rows of the CSV are swapped": (
        lambda f: edit_table(f, "submission.csv", lambda t: t.iloc[::-1]),
        "submission.csv: line 2",
    ),
    "another hash of weights": (
        lambda f: edit_run(f, weights="0" * 64),
        "run0: weights: hash 000000000000 handed in",
    ),
    "another Python": (
        lambda f: edit(f, "run0/machine.json", python="2.7"),
        "run0: versions: Python 2.7 handed in",
    ),
    "another medkit": (
        lambda f: edit(f, "run0/machine.json", code="beef" * 16, medkit="9.9"),
        r"run0: medkit: 9.9 \(code beefbeefbeef\) handed in",
    ),
    "a GPU": (
        lambda f: edit(f, "run0/machine.json", device="cuda"),
        "run0: shape: device cuda handed in, cpu here",
    ),
    "two processes": (
        lambda f: edit(f, "run0/machine.json", world_size=2),
        "run0: shape: processes 2 handed in, 1 here",
    ),
    "a missing file": (
        lambda f: (f / "source_dir/medkit/seeding.py").unlink(),
        "files: missing: source_dir/medkit/seeding.py",
    ),
    "a changed source": (
        lambda f: (f / "source_dir/medkit/seeding.py").write_text("x = 1"),
        "files: changed: source_dir/medkit/seeding.py",
    ),
    "a flipped label": (
        lambda f: edit_table(f, "run0/cases.csv", flipped("decayed")),
        "run0: cases: cases.csv is not the table",
    ),
    "another threshold": (
        lambda f: edit(f, "manifest.json", threshold=1e-6),
        "submission.csv: line",
    ),
    "other views": (
        lambda f: edit(f, "manifest.json", views=["as is"]),
        r"answers.csv: line 2 .*, (sound|decayed)",
    ),
    "a run that was resumed in another shape": (
        lambda f: edit_run(f, bit_exact=False),
        "run0: history: it was stopped and went on in another shape",
    ),
    "other initial weights": (
        lambda f: edit(f, "run0/machine.json", initial_weights="1" * 64),
        "run0: initial weights: .*handed in 111111111111",
    ),
    "another picture": (
        lambda f: touch_picture(f.parent / "dataset"),
        "pictures: other bytes: train_data/image/",
    ),
}
UNNAMED = ("an extra file", "a missing file", "a changed source")  # the manifest must name files


def planted(place, name):
    """A copy of the first honest hand-in with one thing changed; what must be said of it."""
    change, said = PLANTED[name]
    folder, data = make(place, 0)
    change(folder)
    if name not in UNNAMED:
        name_files(folder)
    return folder, data, said


def caught(replay, said):
    return not replay.is_same and any(re.search(said, words) for words in replay.differences)


def soak(count):
    """Replays of so many honest hand-ins and as many planted ones; says how many went right."""
    warnings.simplefilter("ignore")
    honest = named = 0
    for number in range(count):
        with tempfile.TemporaryDirectory() as place:
            found = mk.replay(*make(Path(place), number), device="cpu", progress=False)
            honest += found.is_same
            print(f"honest {number + 1}: {found}", flush=True)
    for name in islice(PLANTED, count):
        with tempfile.TemporaryDirectory() as place:
            folder, data, said = planted(Path(place), name)
            found = mk.replay(folder, data, device="cpu", trust=True, progress=False)
            named += caught(found, said)
            print(f"{name}: {'caught' if caught(found, said) else f'MISSED: {found}'}", flush=True)
    print(f"{honest} of {count} honest ones replay, {named} of {count} planted ones are caught")
    return honest == named == count


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replays", type=int, default=30)
    sys.exit(0 if soak(parser.parse_args().replays) else 1)
