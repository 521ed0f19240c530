"""Each notebook runs top to bottom, without a network, and is committed without outputs."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest

import medkit as mk

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import run_notebooks  # noqa: E402

NOTEBOOKS = run_notebooks.NOTEBOOKS
ALL = [*NOTEBOOKS, ROOT / "version_check.ipynb"]
SMALL = {
    **{"MODEL": "test_resnet", "IMAGE_SIZE": 32, "EPOCHS": 2, "BATCH_SIZE": 16, "N_PHOTOS": 2},
    **{"MODELS": ["test_resnet", "test_efficientnet"], "N_FOLDS": 2},
}


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def outputs(path):
    """All that an executed notebook shows, as text."""
    shown = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            shown.append(output.get("text") or data.get("text/plain", ""))
    return "\n".join(shown)


@pytest.fixture(scope="module")
def executed(drawn, tmp_path_factory):
    """The notebooks, run in order beside a practice leaderboard, without a network."""
    folder = tmp_path_factory.mktemp("노트북")
    task = mk.get_task("caries")
    test = task.read(drawn, "test")
    answers = mk.leaderboard.write_answers(task, test, folder / "answers.csv")
    values = {"DATA": str(drawn), "RUNS": str(folder / "runs")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests" / "offline"))
        patch.setenv("MEDKIT_CACHE", str(folder / "cache"))
        patch.setenv("MEDKIT_LEDGER", str(folder / "submissions.jsonl"))
        board = mk.leaderboard.start(answers, folder / "board")
        secrets = json.loads((folder / "board" / "credentials.json").read_text())
        try:
            for path in NOTEBOOKS:
                run_notebooks.run_notebook(path, folder, {**SMALL, **values})
                values = {"SEND": True, "NOTE": "첫 번째"}  # the others take what 01 has set
        finally:
            board.stop()
    return folder, secrets


OTHERS = {  # task: what is drawn, and the one notebook that each `make test` runs
    "pathology": ({"n_train": 48, "n_test": 16, "size": 64}, "02_training"),
    "sinus": ({"n_train": 40, "n_test": 12, "size": 120}, "01_eda"),
    "mask": ({"n_train": 12, "n_test": 60, "size": (96, 128)}, "01_eda"),
    "handbone": ({"n_train": 12, "n_test": 4, "size": 96}, "01_eda"),
    "sleep": ({"n_train": 6, "n_test": 2, "epochs": 24, "size": (120, 68)}, "01_eda"),
}


KOREAN = "pathology"  # run in Korean by the long test, with all that organisers are shown


def run_other(task, folder, monkeypatch, notebooks):
    """Notebooks of another contest, beside a practice leaderboard where they submit."""
    mk.get_task(task).draw(folder / "dataset", seed=1, **OTHERS[task][0])
    monkeypatch.setenv("MEDKIT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "offline"))
    first = {"TASK": task, "DATA": str(folder / "dataset"), "RUNS": str(folder / "runs")}
    metric = {"handbone": "dice"}.get(task, "accuracy")
    others = {**SMALL, "N_FOLDS": 2, "METRIC": metric, "SEND": True, "HAND_IN": task == KOREAN}
    for path in notebooks:
        values = first if path.name == NOTEBOOKS[0].name else others
        run_notebooks.run_notebook(path, folder, {**values, "N_FOLDS": 2})


@pytest.mark.parametrize("task", OTHERS)
def test_another_contest_is_one_parameter(task, tmp_path, monkeypatch):
    last = [path.stem for path in NOTEBOOKS].index(OTHERS[task][1])
    run_other(task, tmp_path, monkeypatch, NOTEBOOKS[: last + 1])
    for cell in nbformat.read(tmp_path / NOTEBOOKS[last].name, as_version=4).cells:
        if cell.cell_type == "code" and cell.source.startswith("mk.show_"):
            assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source


@pytest.mark.slow
@pytest.mark.parametrize("task", OTHERS)
def test_all_notebooks_run_for_every_contest(task, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKIT_LEDGER", str(tmp_path / "submissions.jsonl"))
    other = mk.get_task(task)
    other.draw(tmp_path / "dataset", seed=1, **OTHERS[task][0])
    test = other.read(tmp_path / "dataset", "test")
    answers = mk.leaderboard.write_answers(other, test, tmp_path / "answers.csv")
    board = mk.leaderboard.start(answers, tmp_path / "board", task=task)
    try:
        language = "ko" if task == KOREAN else "en"
        run_other(task, tmp_path, monkeypatch, run_notebooks.LANGUAGES[language])
    finally:
        board.stop()
    receipt = json.loads((tmp_path / "runs/quick/receipt.json").read_text(encoding="utf-8"))
    assert "제출이 완료" in receipt["message"]
    mk.check_submission(tmp_path / "runs/ensemble/submission.csv")
    if task == KOREAN:
        assert (tmp_path / "runs/quick/report.pdf").is_file()
        assert mk.replay(
            tmp_path / "runs/quick/handin", tmp_path / "dataset", progress=False
        ).is_same


def test_every_contest_is_drawn_for_the_notebooks():
    assert set(run_notebooks.DRAWN) == set(mk.datasets.CONTESTS)


def test_all_run_top_to_bottom(executed):
    folder, _ = executed
    for path in NOTEBOOKS:
        notebook = nbformat.read(folder / path.name, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), path.name
    assert "next: 02_training.ipynb" in outputs(folder / "01_eda.ipynb")
    receipt = json.loads((folder / "runs/quick/receipt.json").read_text(encoding="utf-8"))
    assert "제출이 완료" in receipt["message"] and receipt["left"] == 9


def test_every_figure_is_one_picture(executed):
    folder, _ = executed
    for path in NOTEBOOKS:
        for cell in nbformat.read(folder / path.name, as_version=4).cells:
            if cell.cell_type == "code" and cell.source.startswith("mk.show_"):
                shown = [o["data"] for o in cell.outputs]  # on a busy machine, progress too
                others = [data["text/plain"] for data in shown if "image/png" not in data]
                assert len(shown) - len(others) == 1, cell.source
                assert all(re.match(r"(decoding|looking)\b.* in \d", text) for text in others)


def test_nothing_is_printed_to_stderr(executed):
    folder, _ = executed
    for path in NOTEBOOKS:
        for cell in nbformat.read(folder / path.name, as_version=4).cells:
            told = [o["text"] for o in cell.get("outputs", []) if o.get("name") == "stderr"]
            assert told == [], f"{path.name}: {cell.source}"


def test_training_tells_its_end_and_no_frozen_bar(executed):
    shown = outputs(executed[0] / "02_training.ipynb")
    assert "epoch 2/2" in shown and "finished after 2 epochs" in shown and "0%|" not in shown


def test_running_again_does_no_harm(executed, drawn, monkeypatch):
    folder, _ = executed
    log = (folder / "runs/quick/fold0/log.txt").read_text()
    monkeypatch.setenv("MEDKIT_CACHE", str(folder / "cache"))
    values = {**SMALL, "DATA": str(drawn), "RUNS": str(folder / "runs")}
    run_notebooks.run_notebook(NOTEBOOKS[1], folder, values)
    assert (folder / "runs/quick/fold0/log.txt").read_text() == log


def test_no_secret_is_anywhere_in_what_is_left(executed):
    folder, secrets = executed
    hidden = [secrets["password"].encode(), secrets["contest_password"].encode()]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data for secret in hidden), path


def test_the_network_is_really_blocked(tmp_path):
    script = "import requests; requests.get('http://192.0.2.1', timeout=1)"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "offline")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert "the network was asked for: '192.0.2.1'" in done.stderr


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_is_committed_without_outputs(path):
    allowed = {"kernelspec", "language_info"}
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content["metadata"]) <= allowed
    for cell in content["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
        assert set(cell["metadata"]) <= {"tags"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_reads_like_prose(path):
    code = ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]
    prose = " ".join("".join(c["source"]) for c in cells(path) if c["cell_type"] == "markdown")
    lines = [line for cell in code for line in cell.splitlines() if line.strip()]
    assert 10 <= len(cells(path)) <= 30 and max(len(c.splitlines()) for c in code) <= 14
    assert 5 <= len(prose.split()) / len(lines) <= 15
    assert all("!pip" not in cell and "%" not in cell.split("\n")[0][:1] for cell in code)
    assert "import medkit as mk" in code[0] and code[-1].rstrip().rsplit("\n", 1)[-1].startswith(
        "print("
    )
    for cell in code:
        tree = ast.parse(cell)
        assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        assert not any(
            isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(tree)
        )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_plain_assignments(path):
    (cell,) = [c for c in cells(path) if "parameters" in c["metadata"].get("tags", [])]
    for node in ast.parse("".join(cell["source"])).body:
        assert isinstance(node, ast.Assign)
        ast.literal_eval(node.value)
    rest = "".join("".join(c["source"]) for c in cells(path) if c is not cell)
    assert "password=" not in rest and '"/' not in rest


@pytest.fixture
def run_cells(tmp_path):
    """Run a notebook of these cells: what `make run` does with one."""

    def run(*sources, **options):
        notebook = nbformat.v4.new_notebook()
        tagged = nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})
        notebook.cells = [tagged, *map(nbformat.v4.new_code_cell, sources)]
        nbformat.write(notebook, tmp_path / "x.ipynb")
        (tmp_path / "out").mkdir(exist_ok=True)
        return run_notebooks.run_notebook(
            tmp_path / "x.ipynb", tmp_path / "out", {"OUT": str(tmp_path / "out")}, **options
        )

    return run


WAIT = """
import time
from pathlib import Path
def wait_for(name):
    while not Path(OUT, name).exists():
        time.sleep(0.05)
"""


def test_a_failing_notebook_ends_in_its_own_sentence(run_cells, tmp_path):
    words = r"^x\.ipynb failed in its code cell 2: ValueError: no column 'id'\. See .*out.x\.ipynb$"
    with pytest.raises(SystemExit, match=words) as caught:
        run_cells("raise ValueError(\"no column 'id'.\")", "print('never')")
    assert "Traceback" not in str(caught.value)
    assert "ValueError" in (tmp_path / "out" / "x.ipynb").read_text()


def test_what_a_cell_prints_appears_while_it_runs(run_cells, tmp_path, monkeypatch, capsys):
    hear = run_notebooks.Echo.hear

    def answer(self, kind, content):
        hear(self, kind, content)
        if "epoch 1" in str(content):
            (tmp_path / "out" / "heard").touch()

    monkeypatch.setattr(run_notebooks.Echo, "hear", answer)
    run_cells(
        WAIT,
        "from medkit.progress import Status\nstatus = Status()\n"
        "print('reading', end='')\nprint(' done')\nstatus.line('epoch 1')\nwait_for('heard')\n"
        "status.update('step 3')\nstatus.line('epoch 2')\nprint('no newline', end='')",
    )
    shown = capsys.readouterr().out.splitlines()
    lines = [line for line in shown if line != "  step 3"]  # rewritten: shown or not
    assert sorted(lines) == ["  epoch 1", "  epoch 2", "  no newline", "  reading done"]
    assert lines.index("  epoch 1") < lines.index("  epoch 2")


def test_a_cell_that_moves_is_waited_for_and_one_that_does_not_is_ended(run_cells, tmp_path):
    write = "end = time.time() + 6\nwhile time.time() < end:\n    time.sleep(0.1)\n    "
    run_cells(WAIT, write + "Path(OUT, 'log.txt').write_text(str(time.time()))", stuck_s=4)
    words = (
        r"x\.ipynb was stuck: it printed and wrote nothing for .* minutes, in its code cell 3\. "
    )
    with pytest.raises(SystemExit, match=words + "What is done is kept: run it again"):
        run_cells(WAIT, write + "Path(OUT, 'status.json').write_text('beats in vain')", stuck_s=2)


def test_an_interrupt_lets_the_cell_save_what_it_has(run_cells, tmp_path):
    def interrupt():
        while not (tmp_path / "out" / "training").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    training = "Path(OUT, 'training').touch()\ntry:\n    wait_for('never')\n"
    with pytest.raises(SystemExit, match=r"x\.ipynb was interrupted, in its code cell 3\. What is"):
        run_cells(WAIT, training + "finally:\n    Path(OUT, 'saved').touch()")
    assert (tmp_path / "out" / "saved").exists() and (tmp_path / "out" / "x.ipynb").exists()


def test_a_kernel_that_dies_is_told(run_cells):
    with pytest.raises(SystemExit, match="failed in its code cell 2: its kernel died, most likely"):
        run_cells("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")


def test_a_contest_is_drawn_once_and_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(run_notebooks.DRAWN, "pathology", {"n_train": 4, "n_test": 2, "size": 64})
    task = mk.get_task("pathology")
    folder = run_notebooks.draw(task, tmp_path / "dataset")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run_notebooks.draw(task, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (tmp_path / "dataset.json").unlink()  # as after a kill in the middle
    (folder / "train/left.png").touch()
    run_notebooks.draw(task, folder)
    assert not (folder / "train/left.png").exists() and len(task.read(folder, "train")) == 4
