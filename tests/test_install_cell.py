"""The cell that version_check.ipynb prints is run as it stands, in a kernel, with a real zip.

Only pip is replaced, by one that writes down what it was asked for.
"""

from __future__ import annotations

import json
import os
import runpy
import zipfile
from pathlib import Path

import nbformat
import pytest
from fake_servers import NO_TORCH, load, server
from nbclient import NotebookClient

import medkit

ROOT = Path(__file__).resolve().parent.parent
make_zip = runpy.run_path(str(ROOT / "tools" / "make_zip.py"), run_name="make_zip")["make_zip"]
FOLDER = f"medkit-{medkit.__version__}"
FAKE_PIP = """
import json, os, sys
with open(os.path.join(os.path.dirname(__file__), "asked.jsonl"), "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A contestant's folder with the uploaded zips."""
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").touch()
    (tmp_path / "fake" / "pip" / "__main__.py").write_text(FAKE_PIP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), str(ROOT)]))
    here = tmp_path / "내 폴더"
    here.mkdir()
    make_zip(str(here / "medkit.zip"))
    with zipfile.ZipFile(str(here / "wheels.zip"), "w") as archive:
        archive.writestr("wheels/timm-1.0.30-py3-none-any.whl", "x")
    return here


def run(cell, place) -> str:
    """All that a cell prints when it is run in a kernel of this Python, as one text."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    folder = {"metadata": {"path": str(place)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    return "".join(output.get("text", "") for output in notebook.cells[0].outputs)


def asked(place) -> list:
    text = (place.parent / "fake" / "pip" / "asked.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kind", ["kept torch", "bare", "no network"])
def test_the_whole_cell_runs_and_a_second_time_leaves_my_notebooks_alone(place, kind):
    check = load()
    facts = server(check, **({"torch": NO_TORCH} if kind == "bare" else {}))
    facts["network"] = kind != "no network"
    cells = [line for line in check.verdict(facts) if line.startswith("import zipfile")]
    assert len(cells) == 1 + (kind == "no network")
    told = run(cells[0], place).rstrip().splitlines()
    assert told[-2] == "Now restart the kernel (menu Kernel) and open work/01_eda.ipynb"
    upgrade, install = asked(place)
    assert upgrade[-2:] == ["--upgrade", "pip==25.0.1"]
    assert install[-1] == f"./{FOLDER}[notebooks,leaderboard]" and (place / FOLDER).is_dir()
    if kind == "bare":
        assert install[1:3] == ["-c", f"{FOLDER}/constraints-py38.txt"]
        assert (place / install[2]).is_file()
    elif kind == "kept torch":
        assert install[1:3] == ["torch==1.13.0", "torchvision==0.14.0"]
        assert all("==" in word for word in install[1:-1])
    else:
        assert install[1:4] == ["--no-index", "--find-links", "wheels"]
        assert (place / "wheels" / "timm-1.0.30-py3-none-any.whl").is_file()
    mine = place / "work" / "02_training.ipynb"
    mine.write_text("edited")
    assert "work: nothing new; your notebooks stay as they are" in run(cells[0], place)
    assert mine.read_text() == "edited" and len(asked(place)) == 4
    assert len(list((place / "work").glob("*.ipynb"))) == 5
