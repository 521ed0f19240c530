"""What an earlier version has made opens with this one: tests/kept/<version> was written by it.

Each folder holds: two runs (one stopped, one of a task of the user's own), a store of decoded
pictures, a ledger, credentials, a leaderboard, a search, and a CSV that is to be handed in.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from contests import TEAMS, Clock, send
from small_runs import QUIET

import medkit as mk
from medkit import tables
from medkit.datasets import TASKS
from medkit.leaderboard.board import Board
from medkit.leaderboard.standings import ranking
from medkit.loading.cache import open_cache
from medkit.submission.credentials import known
from medkit.submission.ledger import ledger_path
from medkit.training.spaces import check_same

KEPT = Path(__file__).parent / "kept"
CLOCK = 10**18  # ns: when the kept pictures were changed last


@pytest.fixture(params=sorted(path.name for path in KEPT.glob("v*")))
def kept(request, tmp_path):
    """A copy: what is opened may be written to."""
    folder = tmp_path / "kept"
    shutil.copytree(KEPT / request.param, folder)
    for path in (folder / "pictures").iterdir():
        os.utime(path, ns=(CLOCK, CLOCK))
    (folder / "credentials.json").chmod(0o600)  # git keeps no such mode
    return folder


def test_a_stopped_run_goes_on(kept):
    run = mk.Run(kept / "stopped")
    assert run.state == "stopped" and len(run.history) == 1
    cases = run.cases(kept / "pictures")
    mk.fit(run.config, cases, run.path, fold=run.fold, **QUIET)
    assert run.state == "finished" and list(run.history["epoch"]) == [1, 2]
    assert "going on from epoch 2, step 2" in (run.path / "log.txt").read_text()
    assert list(mk.list_runs(kept)["run"]) == ["stopped", "finished"]


def test_a_finished_run_of_an_own_task_predicts(kept, monkeypatch):
    run = mk.Run(kept / "finished", trust=True)  # its code was not trusted then
    assert "kept" not in TASKS and run.task.smaller_is_better == ("half",)
    cases = run.cases(kept / "pictures")
    predictions = mk.predict(run, cases, device="cpu")
    held_out = cases[cases["fold"] == run.fold]
    assert mk.score(run.task, held_out, run.predictions)["half"] == pytest.approx(
        run.history["half"].min()
    )
    csv = mk.write_submission(run.task, cases, predictions, kept / "again.csv")
    assert csv.read_text().count("\n") == 13
    assert mk.check_submission(kept / "finished" / "submission.csv")


def test_a_store_of_pictures_is_used_and_not_built_anew(kept, monkeypatch):
    monkeypatch.chdir(kept)
    before = sorted(path.name for path in (kept / "cache").iterdir())
    cases = tables.read_cases(kept / "finished" / "cases.csv", "pictures")
    cases["path"] = ["pictures/" + Path(path).name for path in cases["path"]]
    for table in (cases, cases.drop(columns="region")):
        settings = {"image_size": 16, "region_margin": 0.15, "region_mask": False}
        cache = open_cache(table, folder="cache", progress=False, **settings)
        assert cache[11].shape == (16, 16, 3)
    assert sorted(path.name for path in (kept / "cache").iterdir()) == before


def test_ledger_credentials_and_table_are_read(kept, monkeypatch):
    ledger_path().parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(kept / "submissions.jsonl", ledger_path())
    assert list(mk.submissions()["outcome"]) == ["accepted", "unknown"]
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(kept / "credentials.json"))
    assert known()["team"] == "42" and str(known()["password"]) == "site"
    assert mk.check_submission(kept / "mask.csv")[0] == (
        "All 36 ids, their order and labels are as mask wants."
    )


def test_a_leaderboard_opens_and_takes_more(kept):
    board = Board(kept / "leaderboard", clock=Clock())
    board.catch_up()
    first = [(row.name, row.entries, row.score) for row in ranking(board, Clock.now)]
    assert first == [("용감한", 1, 1.0), ("늦은", 2, first[1][2])] and first[1][2] < 1
    assert "남은 일일 제출 횟수는 7회/10회" in send(board, team=7)
    assert board.store.member(TEAMS[42][1]).name == TEAMS[42][2]
    assert not board.store.team(42).password.startswith("sha256$")  # a first version's
    board.guard.admit(42, email=TEAMS[42][1], password="site", contest_password="contest")
    assert board.store.team(42).password.startswith("sha256$")
    board.close()


def test_a_search_is_known_again(kept):
    run = mk.Run(kept / "finished")
    config = mk.Config(
        "pathology", **{k: v for k, v in run.config.to_dict().items() if k in SEARCHED}
    )
    cases = run.cases(kept / "pictures")
    space = {"peak_lr": (1e-4, 1e-2, "log"), "batch_size": [4, 8]}
    facts = {"config": config.to_dict(), "fold": 0, "space": space}
    check_same(kept / "search", {**facts, "cases": tables.cases_hash(cases)}, cases)
    with pytest.raises(ValueError, match="holds another search"):
        check_same(kept / "search", {**facts, "fold": 1, "cases": tables.cases_hash(cases)}, cases)


SEARCHED = ("model", "image_size", "augment", "batch_size", "optimizer", "momentum", "peak_lr")
