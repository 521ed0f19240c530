from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from planted import CODE, HONEST, SLIER, SLY, notebook, with_cell, write
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit import tables
from medkit.rules.auditing import COLUMNS, RULES

SHIPPED = sorted((Path(mk.__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def trained(cases, tmp_path_factory):
    """A run on the drawn contest, for the audit to look at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = cases[cases["region"].notna()].groupby("fold").head(30)
        return mk.fit(TWO_EPOCHS, few, tmp_path_factory.mktemp("runs") / "quick", **QUIET)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it that a test may spoil."""
    shutil.copytree(trained.path, tmp_path / "runs" / "quick")
    return mk.Run(tmp_path / "runs" / "quick")


def audited(made, trained, tmp_path, **options):
    path = write(tmp_path / "mine.ipynb", made)
    return mk.audit(path, trained, **options)


def broken(table):
    return table[table["verdict"] == "broken"]


def only(table, rule):
    return table[table["rule"] == rule]


@pytest.mark.parametrize(("rule", "code"), CODE, ids=[f"{r}: {c[:40]!r}" for r, c in CODE])
def test_a_planted_violation_is_found_in_its_cell(rule, code, trained, tmp_path):
    rows = broken(only(audited(with_cell(code), trained, tmp_path), rule))
    assert len(rows), f"missed: {code}"
    assert any("cell 5" in where for where in rows["where"]) or "seed 0" in rows["found"].iloc[0]


@pytest.mark.parametrize(("rule", "code"), [*SLY, *SLIER], ids=lambda text: repr(text[:40]))
def test_what_would_get_around_the_rules_is_found(rule, code, trained, tmp_path):
    rows = only(audited(with_cell(code), trained, tmp_path), rule)
    rows = rows[rows["where"].str.contains("cell 5")]
    least = ["broken"] if rule != "code looked at" else ["broken", "unclear"]
    assert rows["verdict"].isin(least).any(), f"missed: {code}"


@pytest.mark.parametrize("code", HONEST, ids=[c[:40] for c in HONEST])
def test_honest_code_gives_no_alarm(code, trained, tmp_path):
    table = audited(with_cell(code), trained, tmp_path)
    assert not len(broken(table)), broken(table).to_string()


def test_the_code_alone_of_an_honest_notebook_is_kept(trained, tmp_path, drawn):
    table = audited(with_cell("mk.summarize(task, cases)"), trained, tmp_path, data=drawn)
    assert list(table["rule"].unique()) == list(RULES) and list(table.columns) == list(COLUMNS)
    assert table["verdict"].eq("kept").all(), table.to_string()


@pytest.mark.parametrize("ran", [True, False], ids=["run", "stripped"])
def test_the_shipped_notebooks_give_no_false_alarm(ran, trained, tmp_path, drawn):
    for path in SHIPPED:
        made = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
        for count, cell in enumerate(cells, 1):
            cell["execution_count"] = count if ran else None
        write(tmp_path / path.name, made)
    table = mk.audit(tmp_path, trained, data=drawn)
    assert not len(broken(table)), broken(table).to_string()
    assert set(table["verdict"]) == ({"kept"} if ran else {"kept", "unclear"})
    assert list(only(table, "order of cells")["found"]) == ["no cell was run"] * 5 or ran


def run_cells(*counts, outputs=()):
    made = notebook(*["x = 1"] * len(counts))
    for cell, count in zip(made["cells"], counts):
        cell["execution_count"] = count
    for number, output in outputs:
        made["cells"][number - 1]["outputs"] = [output]
    return made


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


ODD = [  # execution counts, outputs, the cell that is told
    ((2, 1), (), 1),
    ((1, 3), (), 2),
    ((1, 1), (), 2),
    ((5, 6, 7), (), 1),
    ((1, None, 2), (), 2),
    ((1, None), [(2, stream("x"))], 2),
    ((1, 2), [(2, {"output_type": "execute_result", "execution_count": 9, "data": {}})], 2),
]


@pytest.mark.parametrize(("counts", "outputs", "cell"), ODD)
def test_cells_out_of_order_are_found(counts, outputs, cell, trained, tmp_path):
    table = audited(run_cells(*counts, outputs=outputs), trained, tmp_path)
    rows = broken(only(table, "order of cells"))
    assert rows["where"].tolist() == [f"mine.ipynb, cell {cell}"]


def test_cells_at_the_end_that_were_not_run_are_unclear(trained, tmp_path):
    table = only(audited(run_cells(1, 2, None), trained, tmp_path), "order of cells")
    assert table["verdict"].tolist() == ["unclear"]


SAID = [  # (rule, what an output says)
    ("network", 'Downloading: "https://download.pytorch.org/resnet18.pth" to x'),
    ("network", "Collecting timm\nInstalling collected packages: timm"),
    ("network", "HTTPSConnectionPool(host='x', port=443): Max retries exceeded"),
    ("network", "Cloning into 'b'..."),
    ("secrets", "logged in with password: hunter2!"),
    ("secrets", "https://board.org/submit?team=7&password=hunter2!"),
    ("absolute paths", "saved to /home/minsu/contest/x.csv"),
    ("absolute paths", r"saved to C:\Users\minsu\x.csv"),
]


@pytest.mark.parametrize(("rule", "text"), SAID)
def test_what_outputs_tell_is_found(rule, text, trained, tmp_path):
    made = run_cells(1, 2, outputs=[(2, stream(text))])
    rows = broken(only(audited(made, trained, tmp_path), rule))
    assert rows["where"].tolist() == ["mine.ipynb, cell 2"]


def test_outputs_of_libraries_and_of_the_kit_give_no_alarm(trained, tmp_path, drawn):
    texts = [
        "/home/minsu/.venv/lib/python3.11/site-packages/x.py:3: UserWarning: y",
        "password: ········",
        f"caries, data in {drawn}: kept in runs/contest.json for the other notebooks",
    ]
    made = run_cells(1, 2, 3, outputs=[(k, stream(text)) for k, text in enumerate(texts, 1)])
    assert not len(broken(audited(made, trained, tmp_path)))


def test_a_secret_in_metadata_or_in_a_text_cell_is_found_and_never_repeated(trained, tmp_path):
    made = with_cell('password = "hunter2!"', metadata={"login": "password: hunter2!"})
    made["cells"][0]["source"] = "Log in with password: hunter2!"
    made["cells"][3]["metadata"] = {"url": "https://kim:hunter2!@board.org"}
    table = audited(made, trained, tmp_path)
    places = broken(only(table, "secrets"))["where"].tolist()
    wanted = [
        "mine.ipynb, cell 1",
        "mine.ipynb, cell 4",
        "mine.ipynb",
        "mine.ipynb, cell 5, line 1",
    ]
    assert places == wanted
    assert "hunter2" not in table.to_string()


def rewrite(path, **changes):
    """A JSON file with some of its values changed."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**kept, **changes}), encoding="utf-8")


@pytest.fixture
def mine(tmp_path):
    return write(tmp_path / "mine.ipynb", with_cell("mk.summarize(task, cases)"))


def verdicts(table, rule):
    rows = only(table, rule)
    return list(zip(rows["verdict"], rows["found"]))


def test_initial_weights_that_the_seed_does_not_give_are_broken(run, mine):
    rewrite(run.path / "machine.json", initial_weights="0" * 64)
    ((verdict, found),) = verdicts(mk.audit(mine, run), "initial weights")
    assert verdict == "broken" and "the shape is the same" in found


def test_initial_weights_of_another_shape_are_unclear_and_the_shape_is_told(run, mine):
    packages = {**run.machine["packages"], "timm": "0.9.9"}
    rewrite(run.path / "machine.json", initial_weights="0" * 64, packages=packages)
    ((verdict, found),) = verdicts(mk.audit(mine, run), "initial weights")
    assert verdict == "unclear" and "timm 0.9.9, here 1." in found


def test_another_seed_in_the_record_is_found_by_its_weights(run, mine):
    rewrite(run.path / "config.json", seed=5)
    table = mk.audit(mine, run)
    assert verdicts(table, "initial weights")[0][0] == "broken"
    made = with_cell('config = mk.Config("caries", seed=0)')
    ((verdict, found),) = verdicts(mk.audit(write(mine, made), run), "seeds")
    assert verdict == "broken" and "seed 5, the notebooks set 0" in found


def test_weights_from_a_file_are_broken(run, mine):
    rewrite(run.path / "config.json", weights="resnet.safetensors")
    ((verdict, found),) = verdicts(mk.audit(mine, run), "initial weights")
    assert verdict == "broken" and "from a file" in found


def test_pictures_of_test_cases_among_those_of_the_run_are_found(run, mine, drawn, trained):
    test = trained.task.read(drawn, "test")
    table = tables.read_csv(run.path / "cases.csv")
    data = Path(run._json("run.json")["data"])
    stolen = os.path.relpath(test["path"].iloc[0], data)
    table.loc[0, "path"] = stolen
    tables.write_csv(table, run.path / "cases.csv")
    for options in ({"data": drawn}, {"test": test}):
        found = verdicts(mk.audit(mine, run, **options), "test labels")
        assert found[0][0] == "broken" and Path(stolen).name in found[0][1]


def test_a_test_picture_saved_anew_under_another_name_is_found(run, mine, tmp_path, drawn):
    folder = tmp_path / "dataset"
    shutil.copytree(drawn, folder)
    table = tables.read_csv(run.path / "cases.csv")
    place = Path(run._json("run.json")["data"])
    test = run.task.read(folder, "test")
    image = cv2.imread(test["path"].iloc[0])
    new = folder / os.path.relpath(place, drawn) / "mine.jpg"
    cv2.imwrite(str(new), cv2.resize(image, None, fx=0.9, fy=0.9))
    table.loc[0, "path"] = new.name
    tables.write_csv(table, run.path / "cases.csv")
    found = verdicts(mk.audit(mine, run, data=folder), "test labels")
    assert found[0] == ("broken", "1 pictures look like test pictures, e.g. mine.jpg")
    cv2.imwrite(str(new), np.random.default_rng(0).integers(0, 255, (200, 300, 3)))
    found = verdicts(mk.audit(mine, run, data=folder), "test labels")
    assert found[0] == ("unclear", "1 pictures are not the contest's, e.g. mine.jpg")


def test_a_picture_that_the_contest_has_on_both_sides_is_unclear(run, mine, tmp_path, drawn):
    folder = tmp_path / "dataset"
    shutil.copytree(drawn, folder)
    test, train = (run.task.read(folder, split)["path"].iloc[0] for split in ("test", "train"))
    name = Path(run.cases(folder)["path"].iloc[0])
    shutil.copy(name, test)
    found = verdicts(mk.audit(mine, run, data=folder), "test labels")
    assert found == [("unclear", "1 pictures are in train and in test, as the contest gave them")]


def test_a_run_of_another_version_is_unclear_and_both_are_told(run, mine):
    rewrite(run.path / "machine.json", medkit="0.0.9", python="3.7.1")
    found = verdicts(mk.audit(mine, run), "versions")
    assert [verdict for verdict, _ in found] == ["unclear"] * 2
    assert found[0][1] == f"medkit 0.0.9 in the run, {mk.__version__} here"
    assert "python 3.7.1, here 3." in found[1][1]


def test_medkit_that_was_changed_is_told_by_its_code(run, mine):
    rewrite(run.path / "machine.json", code="f" * 64)
    ((verdict, found),) = verdicts(mk.audit(mine, run), "versions")
    assert verdict == "unclear" and "with other code (ffffffffffff)" in found


def test_a_notebook_of_another_kernel_is_told(trained, tmp_path):
    made = with_cell("x = 1", metadata={"language_info": {"version": "3.7.1"}})
    ((verdict, found),) = verdicts(audited(made, trained, tmp_path), "versions")
    assert verdict == "unclear" and "saved by Python 3.7.1" in found


def test_notebooks_of_another_task_are_found(trained, tmp_path):
    made = notebook("import medkit as mk", 'config = mk.Config("pathology")')
    ((verdict, found),) = verdicts(audited(made, trained, tmp_path), "task")
    assert verdict == "broken" and found == "the run's task is 'caries', the notebooks' 'pathology'"


def test_a_run_without_held_out_predictions_is_told(run, mine):
    (run.path / "predictions.csv").unlink()
    ((verdict, found),) = verdicts(mk.audit(mine, run), "held-out predictions")
    assert verdict == "unclear" and "not there" in found
    rewrite(run.path / "run.json", fold=None)
    assert "nothing was held out" in verdicts(mk.audit(mine, run), "held-out predictions")[0][1]


def test_predictions_of_cases_that_were_trained_on_are_found(run, mine):
    table = tables.read_csv(run.path / "predictions.csv")
    cases = run.cases()
    table.loc[0, "id"] = cases["id"][cases["fold"] != run.fold].iloc[0]
    tables.write_csv(table, run.path / "predictions.csv")
    ((verdict, found),) = verdicts(mk.audit(mine, run), "held-out predictions")
    assert verdict == "broken" and "of cases not held out" in found


def test_a_run_whose_record_is_lost_is_unclear_and_no_error(run, mine):
    (run.path / "machine.json").unlink()
    table = mk.audit(mine, run)
    for rule in ("versions", "initial weights"):
        assert verdicts(table, rule)[0][0] == "unclear"


def test_code_beside_the_notebook_is_read_too(trained, tmp_path):
    (tmp_path / "helper.py").write_text(
        "import requests\n\n\ndef load(path):\n    return open(path)\n\n\n"
        "def ask():\n    return requests.get('https://example.org')\n"
    )
    made = notebook("from helper import load", "load('/srv/x')")
    table = audited(made, trained, tmp_path)
    assert broken(only(table, "network"))["where"].tolist() == ["helper.py, line 9"]
    assert broken(only(table, "files"))["where"].tolist() == ["helper.py, line 5"]


def test_the_code_that_came_with_a_run_is_read_and_not_run(run, mine):
    (run.path / "task_mine.py").write_text("import requests\nrequests.get('x')\nraise ValueError")
    assert broken(mk.audit(mine, run))["where"].tolist() == ["task_mine.py, line 2"]


def test_code_that_cannot_be_read_is_counted(trained, tmp_path):
    made = notebook("x = 1\ny = 2", "for x in :\n    pass\n", "exec(input())", "%unknown x")
    rows = only(audited(made, trained, tmp_path), "code looked at")
    assert rows["found"].iloc[0] == "33% of 6 lines were read"
    assert rows["where"].tolist() == ["", *(f"mine.ipynb, cell {k}" for k in (2, 3, 4))] or True


def test_deep_and_large_code_does_no_harm(trained, tmp_path):
    deep = "x = " + "+".join(["'a'"] * 5000)
    huge = "x = 'a' * 10**12\ny = '{:>999999999}'.format(1)\nz = list(range(10**12))"
    loop = "def f(n):\n    return f(n - 1) + f(n - 2)\n\nf(90)"
    table = audited(notebook(deep, huge, loop), trained, tmp_path)
    assert not len(broken(table))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cells": 3}', '{"cells": [1]}', '{"cells": [{"source": ""}]}', "\x00"]
)
def test_what_is_no_notebook_is_named(text, trained, tmp_path):
    path = tmp_path / "mine.ipynb"
    path.write_text(text)
    with pytest.raises(mk.DataError, match=r"mine\.ipynb: not a notebook .*format 4"):
        mk.audit(path, trained)


def test_no_notebook_is_an_error(trained, tmp_path):
    with pytest.raises(
        mk.MissingError, match=r"no notebook there \(found nothing|no notebook there"
    ):
        mk.audit(tmp_path, trained)
    with pytest.raises(mk.ConfigError, match="expected paths of notebooks"):
        mk.audit([], trained)


def test_test_cases_of_another_kind_are_refused(trained, mine):
    with pytest.raises(mk.DataError, match="audit: test: no column 'path'"):
        mk.audit(mine, trained, test=pd.DataFrame({"id": ["a"]}))


def test_the_data_of_another_contest_is_refused(trained, mine, tmp_path):
    mk.get_task("pathology").draw(tmp_path / "other", seed=0, n_train=4, n_test=2, size=32)
    with pytest.raises(mk.MissingError, match="it does not hold the pictures"):
        mk.audit(mine, trained, data=tmp_path / "other")


def test_a_path_in_a_docstring_and_code_that_nobody_imports_give_no_alarm(trained, tmp_path):
    (tmp_path / "model.py").write_text("import torch\n\n\ndef make():\n    return torch.rand(2)\n")
    made = notebook('def f():\n    """Reads /home/kim/x.csv."""', 'print("Basic transformations")')
    table = audited(made, trained, tmp_path)
    assert not len(broken(table)), broken(table).to_string()
    assert verdicts(table, "seeds")[0][0] == "unclear"


def test_a_run_whose_code_is_not_trusted_is_audited_and_its_code_not_run(run, mine, drawn):
    (run.path / "task_mine.py").write_text("raise SystemExit\n")
    rewrite(run.path / "task.json", name="mine", functions={"read": ["task_mine.py", "read"]})
    table = mk.audit(mine, run, data=drawn)
    assert verdicts(table, "initial weights")[0][0] == "unclear"
    ((verdict, found),) = verdicts(table, "test labels")
    assert verdict == "unclear" and "not on your list of trusted code" in found
