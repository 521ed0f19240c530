from __future__ import annotations

import numpy as np
import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.runs.holding import read_status
from medkit.training import telling
from medkit.training.describing import bar, describe, title


@pytest.mark.parametrize(
    ("share", "shown"), [(-1, 0), (0, 0), (0.049, 0), (0.05, 1), (0.5, 10), (1, 20), (7, 20)]
)
def test_a_bar_has_one_width(share, shown):
    text = bar(share)
    assert text.count("#") == shown and len(text) == len(bar(0.5)) and text.endswith(" %")


def test_fit_tells_which_run_it_is_how_far_and_how_long_still(cases, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(telling, "SHOW_EVERY_S", -1)  # each step
    quiet = {**QUIET, "progress": "run 2 of 6"}
    run = mk.fit(TWO_EPOCHS, cases, tmp_path / "run", **quiet)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"run 2 of 6: {run.path}" == title(run, "run 2 of 6")
    (line,) = [line for line in shown if "images/s" in line]  # in a log the others are left out
    assert line.startswith("[") and "epoch 1/2  step 1/" in line and line.endswith(" left")
    assert describe(run, read_status(run.path)["facts"]).startswith(bar(1))  # as mk.watch tells it
    mk.fit(TWO_EPOCHS, cases, tmp_path / "run", **quiet)
    assert capsys.readouterr().out.startswith(f"run 2 of 6: {run.path}: finished after 2 epochs")
    mk.fit(TWO_EPOCHS, cases, tmp_path / "other", **QUIET)
    assert capsys.readouterr().out == ""


def test_a_table_of_runs_tells_models_and_scores(cases, tmp_path):
    run = mk.fit(TWO_EPOCHS, cases, tmp_path / "run", **QUIET)
    row = mk.list_runs(tmp_path).iloc[0]
    assert (row["model"], row["image_size"]) == ("test_resnet", 32)
    history = run.history
    best = history.loc[history["tooth_auc"].idxmax()]
    assert row["metric"] == "f1_macro" and row["score"] == round(best["f1_macro"], 4)
    assert row["best"] == round(best["tooth_auc"], 4)
    for text in ("", "epoch,train_loss\n1,2\n", "epoch,valid_loss,tooth_auc\n1,x,y\n"):
        (run.path / "history.csv").write_text(text)  # by somebody's hand
        assert mk.list_runs(tmp_path).iloc[0]["state"] == "finished"
    history.assign(tooth_auc=np.nan).to_csv(run.path / "history.csv", index=False)
    assert mk.list_runs(tmp_path).iloc[0]["state"] == "finished"
    whole = mk.fit(TWO_EPOCHS, cases, tmp_path / "whole", **{**QUIET, "fold": None})
    found = mk.list_runs(tmp_path).set_index("run").loc["whole"]
    assert whole.fold is None and found["state"] == "finished" and found.isna()["score"]
