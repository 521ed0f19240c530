from __future__ import annotations

import builtins
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_runs import QUIET, TWO_EPOCHS

import medkit as mk
from medkit.errors import Stopped
from medkit.runs import holding
from medkit.runs.holding import state_of
from medkit.training import following, spaces, tuning
from medkit.training.pacing import Pace
from medkit.training.plan import make_plan
from medkit.training.process import train_here
from medkit.training.telling import Telling
from medkit.training.trials import Trials

SPACE = {"peak_lr": (1e-4, 1e-2, "log"), "augment": ["none", "light"], "batch_size": (4, 8)}


@pytest.fixture(scope="module")
def quick_start():
    """Starts processes in no time: forks of one that has imported the kit and done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["medkit.training.fitting"])
    return context


@pytest.fixture
def in_processes(cases, monkeypatch, quick_start):
    """Trials run in processes of their own, as they do, but without the wait for their imports."""
    processes = {}

    def spawn(run, launch):
        process = quick_start.Process(target=_fit, args=(run.path, launch), daemon=True)
        processes[run.path] = process
        process.start()

    monkeypatch.setattr(tuning, "spawn", spawn)
    for module in (following, tuning):
        monkeypatch.setattr(module, "is_going", lambda run: processes[run.path].is_alive())
    yield processes
    for process in processes.values():
        process.kill()
        process.join()


def _fit(path, launch):
    try:
        run = mk.Run(path)
        if run.config.name == "waits":
            Telling.epoch = _until_stopped(Telling.epoch)
        if run.config.name == "slot":  # it is over after 21 steps of a call
            Pace.is_slot_over = lambda self, is_last: self.steps == 20
        train_here(run, make_plan(run.task, run.config, run.cases(), run.fold), launch)
    except Stopped:
        return


def _until_stopped(tell):
    """The first epoch's end waits for the wish to stop, however long that is on its way."""

    def wait(self, state):
        tell(self, state)
        while state.epoch == 1 and not self.held.stop_wanted:
            time.sleep(0.01)

    return wait


def test_a_search_goes_on_and_proposes_the_same(cases, tmp_path, in_processes):
    first = mk.tune(TWO_EPOCHS, cases, tmp_path / "a", space=SPACE, trials=2, **QUIET)
    assert list(first.trials["state"]) == ["finished"] * 2
    found = mk.tune(TWO_EPOCHS, cases, tmp_path / "a", space=SPACE, trials=3, **QUIET)
    straight = mk.tune(TWO_EPOCHS, cases, tmp_path / "b", space=SPACE, trials=3, **QUIET)
    columns = ["value", *SPACE]
    assert found.trials[columns].equals(straight.trials[columns])  # called once or twice
    assert found.trials["batch_size"].between(4, 8).all()
    best = json.loads((tmp_path / "a/best_config.json").read_text())
    assert mk.Config.from_dict(best) == found.best == found.run.config
    assert found.trials["value"].max() == found.run.history["tooth_auc"].max()
    assert repr(found).startswith("tooth_auc 0.") and "3 finished" in repr(found)
    assert len({process.pid for process in in_processes.values()} - {os.getpid()}) == 6
    assert len(mk.show_tuning(found)._repr_png_()) > 5000


def test_a_trial_that_lags_is_stopped(cases, tmp_path, in_processes, monkeypatch):
    optuna = pytest.importorskip("optuna")
    monkeypatch.setattr(
        optuna.pruners.MedianPruner, "prune", lambda self, study, trial: trial.number == 1
    )
    found = mk.tune(replace(TWO_EPOCHS, epochs=20), cases, tmp_path, space=SPACE, trials=2, **QUIET)
    assert list(found.trials["state"]) == ["finished", "pruned"]
    assert 0 < found.trials["epochs"].iloc[1] < 20
    assert state_of(tmp_path / found.trials["run"].iloc[1]) == "stopped"


def test_an_interrupted_trial_is_begun_again_where_it_stood(
    cases, tmp_path, in_processes, monkeypatch
):
    real, config = tuning._values, replace(TWO_EPOCHS, epochs=3, name="waits")

    def values(run, column):
        if len(real(run, column)) == 1:
            raise KeyboardInterrupt
        return real(run, column)

    monkeypatch.setattr(tuning, "_values", values)
    with pytest.raises(KeyboardInterrupt):
        mk.tune(config, cases, tmp_path, space=SPACE, trials=1, **QUIET)
    monkeypatch.setattr(tuning, "_values", real)
    found = mk.tune(config, cases, tmp_path, space=SPACE, trials=1, **QUIET)
    assert list(found.trials["state"]) == ["failed", "finished"]
    assert found.trials["run"].nunique() == 1  # the same folder, the same run
    assert "going on from epoch" in (found.run.path / "log.txt").read_text()


def test_a_search_that_only_fails_ends(cases, tmp_path, monkeypatch):
    def fail(run, launch):
        raise RuntimeError("no process can be started")

    monkeypatch.setattr(tuning, "spawn", fail)
    with pytest.raises(RuntimeError, match="3 trials in a row have failed; .*no process can be"):
        mk.tune(TWO_EPOCHS, cases, tmp_path, space=SPACE, trials=20, **QUIET)


def test_a_folder_holds_one_search(cases, tmp_path, in_processes):
    space = {"class_weights": [None, (1, 4)]}  # a tuple: the journal keeps lists
    mk.tune(replace(TWO_EPOCHS, epochs=1), cases, tmp_path, space=space, trials=1, **QUIET)
    found = mk.tune(replace(TWO_EPOCHS, epochs=1), cases, tmp_path, space=space, trials=2, **QUIET)
    assert list(found.trials["state"]) == ["finished"] * 2
    assert all(value in (None, [1, 4]) for value in found.trials["class_weights"])
    words = (
        r"another search \(config: epochs 1 saved, 2 asked; config: best_by 'tooth_auc' saved, "
        r"'loss' asked; space: class_weights \[None, \[1, 4\]\] saved, None asked; "
        r"space: mixup None saved, \{'low': 0\.0, 'high': 0\.2, 'log': False\} asked; "
        r"fold 0 saved, 1 asked; cases: other"
    )
    other = replace(TWO_EPOCHS, best_by="loss")
    with pytest.raises(ValueError, match=words):
        mk.tune(
            other,
            cases.iloc[::-1],
            tmp_path,
            space={"mixup": (0.0, 0.2)},
            trials=2,
            fold=1,
            **QUIET,
        )


def test_a_trial_that_died_on_another_machine_is_begun_again(
    cases, tmp_path, in_processes, monkeypatch
):
    config, space = replace(TWO_EPOCHS, epochs=1), {"batch_size": [8]}
    found = mk.tune(config, cases, tmp_path, space=space, trials=1, **QUIET)
    search = Trials(tmp_path, greater_is_better=True)
    _, tried = search.ask(config, space)  # it runs, for all we know
    status = holding.read_status(found.run.path)
    status["holder"].update(host="elsewhere", token="theirs")
    (found.run.path / "status.json").write_text(json.dumps({**status, "state": "running"}))
    monkeypatch.setattr(holding, "STALE_S", 0.2)
    monkeypatch.setattr(holding, "LOOK_EVERY_S", 0.05)
    search.take_back()
    assert (
        list(search.table(space)["state"]) == ["finished", "failed", "waiting"]
        and tried.batch_size == 8
    )


def test_a_range_is_no_list_of_choices_and_a_name_no_setting(tmp_path):
    facts = {"config": TWO_EPOCHS.to_dict(), "fold": 0, "cases": "ab"}
    for number, (kept, other) in enumerate((((1e-4, 1e-2), [1e-4, 1e-2]), ([2, 4], (2, 4)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        spaces.check_same(folder, {**facts, "space": {"peak_lr": kept}}, None)
        renamed = {**facts, "config": replace(TWO_EPOCHS, name="other").to_dict()}
        assert spaces.check_same(folder, {**renamed, "space": {"peak_lr": kept}}, None) == "default"
        with pytest.raises(ValueError, match="another search .space: peak_lr .* saved, .* asked"):
            spaces.check_same(folder, {**facts, "space": {"peak_lr": other}}, None)


def test_a_space_may_hold_numbers_of_numpy(cases, tmp_path, in_processes):
    space = {"batch_size": (np.int64(4), np.int64(8)), "peak_lr": [np.float32(0.5)]}
    found = mk.tune(
        replace(TWO_EPOCHS, epochs=1), cases, tmp_path, space=space, trials=np.int64(1), **QUIET
    )
    assert found.best.peak_lr == 0.5 and type(found.best.batch_size) is int


def test_what_cannot_be_searched_is_named(cases, tmp_path, monkeypatch):
    def tune(space, **options):
        return mk.tune(
            TWO_EPOCHS, cases, tmp_path, **{"space": space, "trials": 1, **options, **QUIET}
        )

    with pytest.raises(ValueError, match=r"peak_lr=\(2, 1\) is no range"):
        tune({"peak_lr": (2, 1)})
    with pytest.raises(ValueError, match="no setting 'peek_lr'.*'peak_lr'"):
        tune({"peek_lr": (1e-4, 1e-2)})
    with pytest.raises(ValueError, match="the space is empty"):
        tune({})
    with pytest.raises(ValueError, match="seed, task, name and best_by are not searched"):
        tune({"seed": [0, 1]})
    with pytest.raises(ValueError, match="neither trials nor minutes"):
        tune(SPACE, trials=None)
    with pytest.raises(RuntimeError, match="none of 0 trials has finished"):
        tune(SPACE, minutes=0.0)
    whole = builtins.__import__

    def missing(name, *args, **more):
        if name == "optuna":
            raise ImportError(name)
        return whole(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r'pip install "medkit\[tuning\]"'):
        tune(SPACE)


@pytest.mark.slow
def test_two_servers_share_a_search(cases, tmp_path):
    """Two processes on one journal, with real runs of their own; one is killed and comes back."""
    cases.to_pickle(tmp_path / "cases.pickle")
    code = (
        "import medkit as mk, pandas as pd; from test_tuning import *;"
        f"mk.tune(TWO_EPOCHS, pd.read_pickle({str(tmp_path / 'cases.pickle')!r}), "
        f"{str(tmp_path / 'tune')!r}, space=SPACE, trials=5, **QUIET)"
    )
    here = Path(__file__).parent
    servers = [subprocess.Popen([sys.executable, "-c", code], cwd=here) for _ in range(2)]
    time.sleep(12)
    servers[0].kill()
    servers[0].wait()
    assert servers[1].wait(300) == 0
    found = mk.tune(TWO_EPOCHS, cases, tmp_path / "tune", space=SPACE, trials=5, **QUIET)
    finished = found.trials[found.trials["state"].isin(["finished", "pruned"])]
    assert len(finished) >= 4 and finished["run"].nunique() == len(finished)


def test_a_search_stops_in_time_and_goes_on(cases, tmp_path, in_processes):
    config, later = replace(TWO_EPOCHS, name="slot"), "2099-01-01 00:00"
    space = {"peak_lr": (1e-4, 1e-2, "log")}
    options = {**QUIET, "until": later}
    with pytest.raises(Stopped, match="epoch 2 after step 5, in time for 00:00"):
        mk.tune(config, cases, tmp_path, space=space, trials=1, **options)
    found = mk.tune(config, cases, tmp_path, space=space, **options)  # what was found by then
    assert list(found.trials["state"]) == ["failed", "finished", "failed", "waiting"]
    assert found.trials["run"].nunique() == 2
    assert "going on from epoch 2, step 6" in (found.run.path / "log.txt").read_text()
    assert state_of(tmp_path / found.trials["run"].iloc[2]) == "stopped"
    over = mk.tune(config, cases, tmp_path, space=space, trials=2, **QUIET)
    assert list(over.trials["state"]) == ["failed", "finished", "failed", "finished"]
