"""A contest of one's own, from pictures to a table: classes, several heads, a number."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import medkit as mk
from medkit import datasets
from medkit.datasets import sinus
from medkit.datasets.scoring import score_interval
from medkit.datasets.task import class_scores
from medkit.files import write_json
from medkit.runs.own_tasks import load_task, save_task, trust_own, trusted, trusted_path

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
    return mk.assign_folds(DIGITS, pd.DataFrame(rows), n_folds=3, seed=0)


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
    found = score_interval(task, held_out, run.predictions, "f1_macro", n_resamples=50)
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


def _import(name):
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def test_another_process_finds_the_task(cases, tmp_path, monkeypatch):
    (tmp_path / "score_of_digits.py").write_text(
        "from medkit.datasets.task import class_scores\n\n\n"
        "def twice(units, threshold=0.5):\n"
        "    return {'twice': 2 * class_scores(TASK, units)['accuracy']}\n\n\n"
        "from medkit.datasets.task import Head, Task  # noqa: E402\n"
        "TASK = Task('d', 'd', 'd', (Head('digit', tuple('0123456789')),))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = _import("score_of_digits")
    task = mk.add_task(
        mk.Task("mine", "Mine", "me", DIGITS.heads, score_units=own.twice, mirror=("vertical",))
    )
    config = mk.Config("mine", best_by="twice", **{**SMALL, "epochs": 1})
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    (tmp_path / "score_of_digits.py").write_text("another")
    assert len(trusted()) == 1
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


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A run folder of somebody else, whose code leaves a mark when it is run."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "task_theirs.py").write_text(
        f"open({str(tmp_path / 'mark')!r}, 'w').close()\n\n\ndef theirs(units, threshold=0.5):\n"
        "    return {'theirs': 1.0}\n"
    )
    (tmp_path / "evil.py").write_text((folder / "task_theirs.py").read_text())
    task = mk.Task("foreign", "Foreign", "them", DIGITS.heads, score_units=class_scores)
    for name in ("run.json", "config.json"):
        write_json(folder / name, {"task": "foreign"})
    facts = task.describe()

    def names(*place):
        write_json(folder / "task.json", {**facts, "functions": {"score_units": place}})
        return folder

    return names


def test_the_code_of_others_is_not_run_until_it_is_trusted(foreign, tmp_path, monkeypatch):
    folder = foreign("task_theirs.py", "theirs")
    sentence = (
        r"task_theirs\.py: this run brings code .* open the run by mk\.Run\(.*, trust=True\)\.$"
    )
    for _ in range(2):
        with pytest.raises(PermissionError, match=sentence):
            _ = mk.Run(folder).task
    assert list(mk.list_runs(tmp_path)["state"]) == ["new"]
    assert not (tmp_path / "mark").exists() and not trusted()
    assert mk.Run(folder, trust=True).task.score_units(None) == {"theirs": 1.0}
    assert mk.Run(folder).task.name == "foreign"  # from now on
    monkeypatch.delenv("MEDKIT_TRUSTED")
    assert mk.Run(folder).task.name == "foreign"  # and in other kernels of this user
    assert trusted_path().stat().st_mode & 0o777 == 0o600
    with open(folder / "task_theirs.py", "a") as file:
        file.write("\n")
    with pytest.raises(PermissionError, match="not on your list"):
        _ = mk.Run(folder).task


@pytest.mark.parametrize(
    "place",
    [
        ("/tmp/evil.py", "theirs"),
        ("../evil.py", "theirs"),
        ("linked.py", "theirs"),
        ("os", "system"),
        ("medkit.files", "write_whole"),
        ("medkit.datasets.caries", "Path"),
        ("medkit.datasets.task", "METRICS"),
        ("medkit.datasets.task", "Task"),
        ("medkit.metrics.none", "f"),
        ("medkit.datasetsx", "f"),
        "os:system",
        ("task_theirs.py", "gone"),
    ],
    ids=str,
)
def test_only_code_of_the_folder_and_of_two_modules_is_ever_run(foreign, tmp_path, place):
    place = ("/".join([str(tmp_path), "evil.py"]), "theirs") if "/tmp" in place[0] else place
    folder = foreign(*place) if isinstance(place, tuple) else foreign(place)
    (folder / "linked.py").symlink_to(tmp_path / "evil.py")
    with pytest.raises(ValueError, match="its task.json names"):
        mk.Run(folder, trust=place[0].endswith(".py")).task.score(None, None)
    assert place[1] == "gone" or not (tmp_path / "mark").exists()


def test_what_was_put_in_the_place_of_a_trusted_file_is_not_trusted(foreign, tmp_path):
    folder = foreign("task_theirs.py", "theirs")
    task = mk.Run(folder, trust=True).task
    (tmp_path / "mark").unlink()
    good = (folder / "task_theirs.py").read_bytes()
    (folder / "task_theirs.py").write_text("raise SystemExit('evil')")
    trust_own(task)
    save_task(task, tmp_path / "mine")
    assert (tmp_path / "mine" / "task_theirs.py").read_bytes() == good
    with pytest.raises(PermissionError, match="not on your list"):
        _ = mk.Run(folder).task
    assert len(trusted()) == 1


def test_of_a_trusted_file_only_its_own_functions_are_used(foreign, tmp_path):
    folder = foreign("task_theirs.py", "rmtree")
    with open(folder / "task_theirs.py", "a") as file:
        file.write("from shutil import rmtree\n\nclass Own: pass\n")
    for name in ("rmtree", "Own", "open"):
        with pytest.raises(ValueError, match="its task.json names .*for a function"):
            _ = mk.Run(foreign("task_theirs.py", name), trust=True).task


@pytest.mark.parametrize("functions", [[], 5, {"score": 5}, {"score": [5]}, {"score": [5, 6]}])
def test_a_damaged_list_of_functions_is_named(foreign, functions):
    folder = foreign("task_theirs.py", "theirs")
    facts = {**json.loads((folder / "task.json").read_text()), "functions": functions}
    write_json(folder / "task.json", facts)
    for trust in (True, False):
        with pytest.raises(ValueError, match="its task.json names .*Get the folder anew"):
            _ = mk.Run(folder, trust=trust).task


def test_a_function_may_be_wrapped(cases, tmp_path, monkeypatch):
    (tmp_path / "wrapped.py").write_text(
        "import functools\n\n\n@functools.lru_cache\ndef own(units, threshold=0.5):\n"
        "    return {'own': 1.0}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = mk.Task("wrapped", "W", "me", DIGITS.heads, score_units=_import("wrapped").own)
    trust_own(task)
    save_task(task, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "task.json").read_text())
    assert load_task(facts, tmp_path / "run").score_units(1) == {"own": 1.0}


def test_a_kept_task_may_have_names_that_are_refused_by_now(foreign):
    folder = foreign("medkit.datasets.sinus", "score_units")
    facts = json.loads((folder / "task.json").read_text())
    facts.update(heads=[{"name": "photo", "classes": ["fold", "b"]}], functions={})
    facts.update(scored=facts["heads"][0])
    write_json(folder / "task.json", facts)
    assert mk.Run(folder).task.columns == ("fold", "b")


def test_going_on_trusts_what_this_kernel_has_run(cases, tmp_path, monkeypatch):
    """On another machine of the run, say, or after an update from a version without the list."""
    (tmp_path / "own_score.py").write_text(
        "def own(units, threshold=0.5):\n    return {'own': float(len(units))}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = mk.Task("elsewhere", "E", "me", DIGITS.heads, score_units=_import("own_score").own)
    mk.add_task(task)
    config = mk.Config("elsewhere", best_by="own", **{**SMALL, "epochs": 1})
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    trusted_path().unlink()
    monkeypatch.delenv("MEDKIT_TRUSTED")
    assert not trusted()
    mk.fit(config, cases, run.path, **QUIET)
    del datasets.TASKS["elsewhere"]
    assert mk.Run(run.path).task.score_units(cases) == {"own": 240.0}


def test_functions_of_medkit_are_used_without_asking(foreign):
    run = mk.Run(foreign("medkit.datasets.sinus", "score_units"))
    assert run.task.own["score_units"] is sinus.score_units


def test_a_home_that_cannot_be_written_is_no_obstacle(foreign, monkeypatch):
    folder = foreign("task_theirs.py", "theirs")
    trusted_path().parent.parent.mkdir()
    trusted_path().parent.write_text("no folder")
    with pytest.warns(UserWarning, match=r"list of trusted code cannot be written .*next kernel"):
        run = mk.Run(folder, trust=True)
    assert run.task.name == "foreign"


def test_what_cannot_be_a_task_is_named():
    with pytest.raises(ValueError, match="task 'caries' is one of the kit's"):
        mk.add_task(mk.Task("caries", "x", "x", DIGITS.heads))
    with pytest.raises(ValueError, match="'small' is a class of two heads"):
        mk.Task("x", "x", "x", (BOTH.heads[1], mk.Head("other", ("small", "tall"))))
    with pytest.raises(ValueError, match=r"task 'x': heads \(\) \(expected a tuple of mk\.Head"):
        mk.Task("x", "x", "x", ())
    with pytest.raises(ValueError, match="task 'digits' has no reader. Read its cases with mk"):
        DIGITS.read("data", "train")
