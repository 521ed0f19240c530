"""The house itself: who imports whom, what an import costs, what is never done."""

from __future__ import annotations

import ast
import importlib
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import medkit as mk

ROOT = Path(mk.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
BOTTOM = {"arguments", "errors", "naming", "seeding", "files", "machine", "progress", "korean"}
LAYERS = [  # each may import what stands before it
    BOTTOM,
    {"images"},
    {"metrics", "tables"},
    {"datasets"},
    {"splitting"},
    {"runs"},
    {"devices"},
    {"loading"},
    {"models"},
    {"inference"},
    {"training"},
]
SUBMITTING = BOTTOM | {"images", "metrics", "tables", "datasets"}  # never torch
ALLOWED = {
    name: set().union(*LAYERS[:k], layer) for k, layer in enumerate(LAYERS) for name in layer
}
ALLOWED.update(submission=SUBMITTING | {"submission"})
ALLOWED.update(leaderboard=SUBMITTING | {"submission", "leaderboard"})
ALLOWED.update(show=set(ALLOWED) | {"show"})
ALLOWED.update(rules=set(ALLOWED) | {"rules"})


def package(path):
    """The top-level name below medkit that a file belongs to."""
    part = path.relative_to(ROOT).parts[0]
    return part[:-3] if part.endswith(".py") else part


def imported(path):
    """The top-level names below medkit that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "medkit":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medkit."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("medkit."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = package(path)
    if name != "__init__":
        wrong = set(imported(path)) - ALLOWED[name]
        assert not wrong, f"{path.name} imports {wrong}"


def loaded_after(code):
    script = f"import sys; {code}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_loads_nothing():
    heavy = {"torch", "pandas", "numpy", "matplotlib", "requests", "sklearn", "cv2", "timm"}
    assert not heavy & loaded_after("import medkit")


def test_submitting_does_not_load_torch():
    code = "import medkit as mk; mk.submit; mk.write_submission; mk.check_submission"
    assert not {"torch", "timm", "matplotlib"} & loaded_after(code)


def test_what_holds_files_is_imported_where_there_is_no_fcntl():
    modules = "medkit.runs.holding, medkit.submission.ledger, medkit.leaderboard.contest"
    assert "torch" not in loaded_after(f"sys.modules['fcntl'] = None; import {modules}")


def test_looking_at_a_run_does_not_load_torch():
    code = "import medkit as mk; mk.stop; mk.list_runs; mk.Run; mk.get_task('caries')"
    assert not {"torch", "timm", "matplotlib"} & loaded_after(code)


def test_reading_a_contest_does_not_load_torch():
    code = "import medkit as mk; mk.get_task('caries'); mk.assign_folds; mk.find_leaks"
    assert not {"torch", "timm", "matplotlib"} & loaded_after(code)


@pytest.mark.parametrize("name", mk.__all__)
def test_every_public_name_is_there_and_hides_no_module(name):
    assert getattr(mk, name) is not None
    folders = {path.stem for path in ROOT.iterdir() if not path.name.startswith("_")}
    assert name in mk._STAGES["modules"] or name not in folders


def test_a_wrong_name_behaves():
    assert not hasattr(mk, "fitt") and sorted(mk.__all__) == dir(mk)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = mk.fitt


def test_each_public_name_stands_once_in_the_table():
    names = [name for names in mk._STAGES.values() for name in names]
    assert sorted(["__version__", *names]) == dir(mk)
    for names in mk._STAGES.values():
        assert all(words and len(words) <= 55 for _, words in names.values())


def test_help_is_a_table_of_contents():
    lines = pydoc.render_doc(mk, renderer=pydoc.plaintext).splitlines()
    table = lines[lines.index("DESCRIPTION") : lines.index("PACKAGE CONTENTS")]
    assert len(table) <= 95 and len(lines) <= 135 and max(map(len, table)) <= 80
    for name in set(dir(mk)) - {"__version__"}:
        assert sum(bool(re.search(rf"^ +(.* )?{name}  ", line)) for line in table) == 1, name


def test_all_of_it_may_be_imported():
    assert {"fit", "Task", "edf"} <= set(dir(mk)) <= imported_by_star()


def imported_by_star():
    names = {}
    exec("from medkit import *", names)
    return set(names)


def test_completing_loads_neither_torch_nor_what_is_slow():
    heavy = {"torch", "sklearn", "matplotlib", "timm"}
    assert not heavy & loaded_after("import medkit as mk; dir(mk)")
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell;"
        "shell = Shell.instance(); shell.run_cell('import medkit as mk');"
        "import warnings; warnings.simplefilter('ignore');"  # they call this way provisional
        "found = {c.text for c in shell.Completer.completions('mk.', 3)};"
        "assert {'fit', 'Task', 'edf'} <= found and 'summary' not in found"
    )
    assert not heavy & loaded_after(code)


@pytest.mark.parametrize("name", mk._OLD)
def test_an_old_name_works_and_tells_the_new_one(name):
    assert name not in dir(mk) and name not in mk._STAGES
    with pytest.warns(FutureWarning, match=rf"mk\.{name} is now (mk|medkit)\.") as told:
        old = getattr(mk, name)
    assert callable(old) and told[0].filename == __file__  # the line that asked for it
    for new in re.findall(r"(?:mk|medkit)\.([a-z_.]+\w)", mk._OLD[name][1]):
        found = mk
        for part in new.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_old_names_do_what_they_did():
    task = mk.get_task("caries")
    cases = pd.DataFrame({"id": list("abcd"), "group": list("abcd"), "path": "x.png"})
    labels = ["sound", "decayed"] * 2
    cases = cases.assign(photo=list("abcd"), decayed=labels, photo_decayed=labels)
    predictions = pd.DataFrame({"id": list("abcd"), "decayed": [0.2, 0.9, 0.6, 0.7]})
    predictions["sound"] = 1 - predictions["decayed"]
    with pytest.warns(FutureWarning):
        found = mk.fit_temperature(task, cases, predictions)
        cured = mk.with_temperature(task, predictions, dict(found))
        interval = mk.score_interval(task, cases, predictions, "accuracy", n_resamples=20)
    pd.testing.assert_frame_equal(cured, mk.calibrate(task, cases, predictions).apply(predictions))
    options = {"metrics": "accuracy", "n_resamples": 20}
    (row,) = mk.score_table(task, cases, predictions, **options).itertuples(index=False)
    assert (row.value, row.low, row.high) == interval


def test_sub_packages_are_empty():
    public = {"datasets", "leaderboard"}
    inits = [path for path in ROOT.glob("*/__init__.py") if path.parent.name not in public]
    assert len(inits) >= 8 and all(path.read_text() == "" for path in inits)


def test_pickle_is_never_read():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"torch\.load\(|pickle\.load|read_pickle|allow_pickle=True", text), (
            path
        )


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_what_scripts_import_is_there(folder):
    for path in sorted((ROOT.parent / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medkit."):
                module = importlib.import_module(node.module)
                lost = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert not lost, f"{path.name}: {node.module} has no {lost}"


def test_every_module_has_its_tests():
    """Some are tested through a neighbour: the figures, the drawings, the server."""
    told = {"serving", "refusing", "founding", "__main__"}  # test_leaderboard, test_contest
    told |= {"canvas", "fonts", "photos", "samples", "scores", "teeth"}  # test_figures
    told |= {"nights", "halves", "grid", "pictures"}  # test_structure, test_mistakes
    told |= {"photos", "crowns", "mouths", "painting"}  # test_drawing
    told |= {"answers", "posting"}  # test_client, test_hostile
    told |= {"cells"}  # test_checking, test_kinds
    told |= {"cuts", "missed", "shown"}  # test_figures, test_masks_shown
    told |= {"fitting", "preparing", "process", "state"}  # test_loop, test_launching
    told |= {"describing", "following", "spaces", "trials"}  # test_telling, test_live, test_tuning
    told |= {"task_data"}  # test_task
    told |= {"mask_units", "mask_lists"}  # test_masks, test_mask_files
    told |= {"answer", "mask_answer"}  # test_task, test_masks
    told |= {"stored_labels"}  # test_mask_runs
    told |= {"mask_answers", "mask_votes", "mask_model"}  # test_mask_runs
    told |= {"picture_model"}  # test_factory
    told |= {"missed", "cuts", "shown"}  # test_masks_shown, test_kinds
    told |= {"recording"}  # test_handing_in
    told |= {"retraining", "repeating", "admitting"}  # test_replaying
    told |= {"sources", "values", "scopes", "expressions", "walking", "calling"}  # test_auditing,
    told |= {"seeds", "network", "passwords", "record", "twins"}  # as all of rules/audit
    told |= {"sections", "results", "provenance"}  # test_reporting
    told |= {"lettering", "placing"}  # test_sheets
    told |= {"saying", "refusals", "checks"}  # test_korean_sentences
    told |= {"__init__"}  # this file
    here = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    missing = {p.stem for p in SOURCES if p.stem not in told and f"test_{p.stem}" not in here}
    assert not missing


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_threads_spin_little_while_they_wait_unless_told_otherwise(given, wanted):
    code = (
        "import os, sys, medkit as mk; before = os.environ.get('GOMP_SPINCOUNT'); mk.Config;"
        "assert 'torch' not in sys.modules; print(before, os.environ.get('GOMP_SPINCOUNT'))"
    )
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**rest, **given}, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == [given.get("GOMP_SPINCOUNT", "None"), wanted]
