"""A contest of one's own, from pictures to a table: classes, several heads, a number."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import medkit as mk
from medkit import datasets
from medkit.datasets.task import class_scores
from medkit.runs.own_tasks import load_task

DIGITS = mk.Task(
    name="digits",
    title="Handwritten digits",
    source="scikit-learn's load_digits",
    heads=(mk.Head("digit", tuple("0123456789")),),
)
BOTH = mk.Task(
    name="digits2",
    title="How large, and how much ink",
    source="scikit-learn's load_digits",
    heads=(mk.Head("ink"), mk.Head("size", ("small", "large"))),
)
SMALL = {
    "model": "test_resnet",
    "image_size": 32,
    "epochs": 3,
    "batch_size": 16,
    "augment": "none",
    "peak_lr": 5e-3,
    "warmup_epochs": 0.2,
}
QUIET = {"num_workers": 0, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True)
def own_tasks(monkeypatch):
    monkeypatch.setattr(datasets, "TASKS", dict(datasets.TASKS))
    monkeypatch.setattr("medkit.runs.own_tasks.TASKS", datasets.TASKS)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder, digits = tmp_path_factory.mktemp("digits"), load_digits()
    rows = []
    for number in range(240):
        path = folder / f"{number:04}.png"
        picture = Image.fromarray((digits.images[number] * 15.9).astype(np.uint8))
        picture.resize((32, 32)).save(path)
        label = int(digits.target[number])
        rows.append(
            {
                "id": f"{number:04}",
                "path": str(path),
                "group": f"{number:04}",
                "digit": str(label),
                "size": "large" if label > 4 else "small",
                "ink": float(digits.images[number].mean()),
            }
        )
    return mk.assign_folds(pd.DataFrame(rows), n_folds=3, seed=0)


def test_ten_classes_from_pictures_to_a_table(cases, tmp_path):
    task = mk.add_task(DIGITS)
    run = mk.fit(mk.Config("digits", best_by="f1_macro", **SMALL), cases, tmp_path / "run", **QUIET)
    assert list(run.cases()["digit"]) == list(cases["digit"])  # "0" is no number
    held_out = cases[cases["fold"] == 0]
    scores = mk.score(task, held_out, run.predictions)
    assert list(scores)[0] == "f1_macro" and scores["auc"] > 0.8
    threshold = mk.choose_threshold(task, held_out, run.predictions)
    assert set(threshold) == set("0123456789")
    better = mk.score(task, held_out, run.predictions, threshold=threshold)
    assert better["f1_macro"] >= scores["f1_macro"]
    found = mk.score_interval(task, held_out, run.predictions, "f1_macro", n_resamples=50)
    assert found.low < found.value == scores["f1_macro"] < found.high
    csv = mk.write_submission(task, held_out, run.predictions, tmp_path / "submission.csv")
    assert mk.check_submission(csv)[0].startswith(f"All {len(held_out)} ids")
    labels = pd.read_csv(csv, dtype=str)
    assert list(labels) == ["id", "digit"] and set(labels["digit"]) <= set("0123456789")


def test_a_number_beside_classes(cases, tmp_path):
    task = mk.add_task(BOTH)
    run = mk.fit(mk.Config("digits2", best_by="mae", **SMALL), cases, tmp_path / "run", **QUIET)
    held_out = cases[cases["fold"] == 0]
    assert list(run.predictions) == ["id", "ink", "small", "large"]
    scores = mk.score(task, held_out, run.predictions)
    usual = held_out["ink"].sub(held_out["ink"].median()).abs().mean()
    assert list(scores)[0] == "mae" and scores["mae"] < usual and scores["size_auc"] > 0.6
    assert run.history["mae"].min() == scores["mae"]  # the least is the best
    again = mk.predict(run, held_out)
    assert np.allclose(again["ink"], run.predictions.set_index("id")["ink"][again["id"]], atol=1e-4)
    csv = mk.write_submission(task, held_out, again, tmp_path / "submission.csv")
    mk.check_submission(csv)
    broken = csv.read_text().replace("\n", "\nx", 1).replace(again["id"][0], "", 1)
    (tmp_path / "submission.csv").write_text(broken.replace(",4", ",four", 1))
    with pytest.raises(ValueError, match="are no numbers|ids are missing"):
        mk.check_submission(csv)


def test_another_process_finds_the_task(cases, tmp_path, monkeypatch):
    (tmp_path / "score_of_digits.py").write_text(
        "from medkit.datasets.task import class_scores\n\n\n"
        "def twice(units, threshold=0.5):\n"
        "    return {'twice': 2 * class_scores(TASK, units)['accuracy']}\n\n\n"
        "from medkit.datasets.task import Head, Task  # noqa: E402\n"
        "TASK = Task('d', 'd', 'd', (Head('digit', tuple('0123456789')),))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("score_of_digits")
    task = mk.add_task(
        mk.Task("mine", "Mine", "me", DIGITS.heads, score_units=own.twice, mirror=("vertical",))
    )
    config = mk.Config("mine", best_by="twice", **{**SMALL, "epochs": 1})
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    (tmp_path / "score_of_digits.py").unlink()
    code = (
        "import medkit as mk, sys; run = mk.Run(sys.argv[1]); task = run.task;"
        "print(task.describe() == eval(sys.argv[2]), list(task.score(run.cases(), mk.predict("
        "run, run.cases()))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path), repr(task.describe())],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "True ['twice']", done.stderr


def test_a_function_of_a_cell_stays_in_its_kernel(cases, tmp_path):
    def own(units, threshold=0.5):
        return class_scores(DIGITS, units, threshold, ("accuracy",))

    mk.add_task(mk.Task("cell", "Cell", "me", DIGITS.heads, score_units=own))
    config = mk.Config("cell", best_by="accuracy", **{**SMALL, "epochs": 1})
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    assert list(mk.score(run.task, cases, mk.predict(run, cases))) == ["accuracy"]
    del datasets.TASKS["cell"]
    with pytest.raises(ValueError, match="score_units of task 'cell' stood in a notebook cell"):
        load_task(run._json("task.json"), run.path)


def test_what_cannot_be_a_task_is_named():
    with pytest.raises(ValueError, match="task 'caries' is one of the kit's"):
        mk.add_task(mk.Task("caries", "x", "x", DIGITS.heads))
    with pytest.raises(ValueError, match="'small' is a class of two heads"):
        mk.Task("x", "x", "x", (BOTH.heads[1], mk.Head("other", ("small", "tall"))))
    with pytest.raises(ValueError, match=r"task 'x': heads \(\) \(expected a tuple of mk\.Head"):
        mk.Task("x", "x", "x", ())
    with pytest.raises(ValueError, match="task 'digits' has no reader. Read its cases with mk"):
        DIGITS.read("data", "train")
