"""What version_check.ipynb sees beside versions: the kit's zip, the widgets, the file it leaves."""

from __future__ import annotations

import json
import sys
import zipfile

import pytest
from fake_servers import load, server


@pytest.fixture
def check():
    return load()


def test_the_kits_zip_is_looked_into(check, tmp_path):
    path = tmp_path / "medkit.zip"
    assert check.look_at_kit(str(path)) == {"folder": None, "error": "not uploaded yet"}
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("dataset/photo.jpg", "x")
    assert "another zip: take the one" in check.look_at_kit(str(path))["error"]
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("__MACOSX/medkit-9/tools/copy_notebooks.py", "x")
        archive.writestr("medkit-9.9.9/tools/copy_notebooks.py", "x")
    kit = check.look_at_kit(str(path))
    assert kit == {"folder": "medkit-9.9.9", "error": ""}
    facts = server(check, kit=kit)
    row = next(row for row in check.Report(facts).rows if row[0] == "medkit.zip")
    assert row[3] == "!" and f"this check is of {check.VERSION}" in row[1]
    assert '"./medkit-9.9.9[notebooks,leaderboard]"' in check.cell_with_network(facts, "floor")
    path.write_bytes(path.read_bytes()[:-10])
    assert check.look_at_kit(str(path))["error"] == "broken: upload it again"


def process(root, pid, parent, *words):
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_text("\0".join(words) + "\0")
    (folder / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


LABEXTENSION = "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/package.json"


def front_end(root, prefix, version="5.0.15"):
    path = root / prefix.lstrip("/") / LABEXTENSION
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": "@jupyter-widgets/x", "version": version}))


@pytest.fixture
def home(monkeypatch):
    for name in ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")


@pytest.mark.parametrize(
    "words",
    [
        ("/opt/hub/bin/python3.9", "/opt/hub/bin/jupyter-labhub", "--ip=0.0.0.0"),
        ("/opt/hub/bin/python3.9", "/opt/hub/bin/jupyterhub-singleuser"),
        ("/opt/hub/bin/python3.9", "-m", "jupyterlab"),
    ],
)
def test_the_server_above_the_kernel_is_looked_at_and_not_the_kernel(
    check,
    tmp_path,
    home,
    words,
):
    process(tmp_path, 40, 1, *words)
    process(tmp_path, 50, 40, "/bin/sh", "-c", "start the kernel")
    assert check.look_at_widgets(tmp_path, 50)["lab"] is None
    front_end(tmp_path, sys.prefix)  # the kernel's own environment: no use to this server
    assert check.look_at_widgets(tmp_path, 50)["lab"] is None
    front_end(tmp_path, "/opt/hub")
    found = check.look_at_widgets(tmp_path, 50)
    assert found == {
        **{"server": words[-1] if words[1] == "-m" else words[1].split("/")[-1]},
        **{"lab": "5.0.15", "classic": False, "is_shared": False},
    }


@pytest.mark.parametrize("place", ["/home/someone/.local", "/usr/local", "/usr"])
def test_folders_that_every_server_reads_count(check, tmp_path, home, place):
    process(tmp_path, 40, 1, "/opt/hub/bin/python", "/opt/hub/bin/jupyter-lab")
    front_end(tmp_path, place)
    assert check.look_at_widgets(tmp_path, 40)["lab"] == "5.0.15"


def test_what_cannot_be_known_is_called_unknown(check, tmp_path, home):
    process(tmp_path, 40, 1, "python", "-m", "jupyterlab")  # which python? a relative name
    process(tmp_path, 41, 0, "/usr/bin/python3", "tools/run_notebooks.py")
    for pid in (40, 41, 42):
        found = check.look_at_widgets(tmp_path, pid)
        assert found["server"] is None
        assert check.widgets_in_words(found) == ("unknown: no Jupyter server in sight", "!")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, ("5.0.15", "✓")),
        ({"lab": "3.1.1"}, ("3.1.1, too old for ipywidgets 8", "!")),
        ({"lab": None}, ("only in the classic notebook", "!")),
        ({"lab": None, "classic": False, "is_shared": False}, ("no", "!")),
        (
            {"lab": None, "classic": False},
            ("no; installing adds them, reload the page then", "!"),
        ),
    ],
)
def test_widgets_are_a_row_in_words(check, changes, words):
    widgets = {**server(check)["widgets"], **changes}
    assert check.widgets_in_words(widgets) == words
    rows = check.Report(server(check, widgets=widgets)).rows
    assert ("widgets in Jupyter", words[0]) in [row[:2] for row in rows]


def test_a_folder_that_cannot_be_written_is_told_and_the_verdict_stands(check, tmp_path):
    facts = server(check)
    told = check.save(facts, str(tmp_path / "none" / "medkit_check.json"))
    assert told.startswith("! ") and told.endswith(
        "medkit_check.json is not saved (No such file or directory); "
        "nothing that you need depends on it."
    )
    assert check.Report(facts, told).lines == [*check.verdict(facts), told]


def test_what_was_found_is_left_whole_and_holds_no_folder_of_a_person(
    check,
    tmp_path,
    monkeypatch,
):
    path = tmp_path / "medkit_check.json"
    facts = server(check)
    assert check.save(facts, str(path)) == f"What was found is saved as {path}."
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(facts))
    monkeypatch.setenv("HOME", "/home/someone")
    process(tmp_path, 40, 1, "/home/someone/bin/python", "/home/someone/bin/jupyter-lab")
    assert "someone" not in json.dumps(check.look_at_widgets(tmp_path, 40))
    before = path.read_text(encoding="utf-8")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(check.os, "replace", fail)
    assert "No space left on device" in check.save({"python": "other"}, str(path))
    assert path.read_text(encoding="utf-8") == before
