from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
from planted import CODE, HONEST, SLY, notebook, with_cell, write
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
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


@pytest.mark.parametrize(("rule", "code"), SLY, ids=[f"{r}: {c[:40]!r}" for r, c in SLY])
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
