from __future__ import annotations

import json
import shutil

import handed_in
import pytest
from handed_in import PLANTED, caught, edit, edit_run, edit_table, make, name_files, other, planted

import medkit as mk
from medkit.rules import replaying
from medkit.rules.replay import retraining

FAST = {"progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A hand-in of a contest of teeth, and its data folder; read-only for tests."""
    return make(tmp_path_factory.mktemp("회사"), 0)


@pytest.fixture
def here(monkeypatch):
    """Train in this process: what a test asks is told by the same code, seconds earlier."""

    def train(place, job, tell, trusted=()):
        try:
            return (retraining.first_steps if job["steps"] else retraining.whole)(place, job)
        except TypeError as error:  # of which the other process would die
            raise mk.RunError(str(error)) from error

    monkeypatch.setattr(replaying, "train_again", train)


@pytest.fixture
def own(honest, tmp_path):
    """A copy of it, to be changed."""
    folder = tmp_path / "handin"
    shutil.copytree(honest[0], folder)
    return folder, honest[1]


def test_an_honest_hand_in_is_the_same_to_the_byte(honest):
    found = mk.replay(*honest, **FAST)
    assert found.is_same and found.differences == []
    assert repr(found).startswith(f"the same to the byte: {len(found.table)} things compared in ")
    told = " ".join(found.table["what"])
    for what in ("files", "versions", "shape", "weights", "history.csv", "submission.csv"):
        assert what in told
    assert len(found.losses) > 2 and (found.losses["here"] == found.losses["handed_in"]).all()


def test_the_first_steps_alone_say_at_which_one_it_departs(own, here):
    folder, data = own
    found = mk.replay(folder, data, quick=True, steps=3, **FAST)
    assert found.is_same and "first steps are the same" in repr(found)
    assert list(found.losses["step"]) == [1, 2, 3]
    assert (found.losses["here"] == found.losses["again"]).all()
    edit_table(folder, "run0/first_losses.csv", other("loss", "0.125"))
    name_files(folder)
    found = mk.replay(folder, data, quick=True, steps=3, **FAST)
    assert [d.split(" (")[0] for d in found.differences] == [
        "run0: losses: the hand-in and here depart at step 2"
    ]


def test_a_hand_in_of_a_version_that_kept_no_losses_says_so(own, here):
    folder, data = own
    (folder / "replay_dir/run0/first_losses.csv").unlink()
    found = mk.replay(folder, data, quick=True, steps=1, **FAST)
    assert "run0: losses: none were handed in" in found.differences
    assert "files: missing: replay_dir/run0/first_losses.csv" in found.differences


def test_all_that_differs_is_told_at_once(own, here):
    """Of what needs no training: versions, shape, seed, files, weights of others."""
    folder, data = own
    handed_in.packages(folder, torch="1.9.0")
    edit(folder, "run0/machine.json", cpu_capability="SSE9", world_size=2)
    edit_run(folder, seed=7, bit_exact=False)
    (folder / "source_dir/extra.txt").write_bytes(b"x")
    found = mk.replay(folder, data, quick=True, steps=1, **FAST)
    assert repr(found).startswith(f"{len(found.differences)} of {len(found.table)} things differ")
    for words in (
        "files: not of the hand-in: source_dir/extra.txt; changed: replay_dir/run0/machine.json",
        "run0: settings: seed 7 handed in, 0 here",
        "run0: history: it was stopped and went on in another shape, or ran out of memory (its "
        "history says bit_exact False), so its bits cannot come again",
    ):
        assert words in found.differences
    told = "\n".join(found.differences)
    assert "versions: torch 1.9.0 handed in" in told
    assert "shape: CPU SSE9 handed in" in told and "processes 2 handed in, 1 here" in told


def test_another_data_folder_is_told(honest, tmp_path, here):
    folder, data = honest
    with pytest.raises(mk.MissingError, match="does not hold the pictures that were in"):
        mk.replay(folder, tmp_path, **FAST)
    with pytest.raises(mk.MissingError, match=r"replay: no data folder .*nowhere"):
        mk.replay(folder, tmp_path / "nowhere", **FAST)
    shutil.copytree(data, tmp_path / "dataset")
    handed_in.touch_picture(tmp_path / "dataset")
    found = mk.replay(folder, tmp_path / "dataset", quick=True, steps=1, **FAST)
    assert any(d.startswith("pictures: other bytes: train_data/image/") for d in found.differences)


def test_of_another_version_the_settings_are_named(own):
    folder, data = own
    edit(folder, "run0/config.json", attention="new")
    with pytest.raises(mk.ConfigError, match="attention"):
        mk.replay(folder, data, **FAST)


def test_a_student_of_a_teacher_is_refused(own):
    folder, data = own
    edit_run(folder, teacher=True)
    with pytest.raises(mk.ConfigError, match="a teacher's answers were learned from"):
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("run0/config.json", {"weights": "../../other.safetensors"}),
        ("run0/config.json", {"weights": "/etc/passwd"}),
        ("run0/run.json", {"data": "../../../etc"}),
        ("manifest.json", {"test": {"data": "/etc", "text": [], "cases": ""}}),
    ],
)
def test_no_file_of_another_place_is_opened(own, name, changed):
    folder, data = own
    edit(folder, name, **changed)
    with pytest.raises(mk.DataError, match="it names .*expected what lies in|does not hold the"):
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize("name", ["run0/cases.csv", "test.csv"])
@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../../etc/passwd"])
def test_no_picture_of_another_place_is_opened(own, name, path):
    folder, data = own
    edit_table(folder, name, other("path", path))
    with pytest.raises(mk.DataError, match=r"it names '/etc/passwd|it names '.*/\.\./etc/passwd"):
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("run0/machine.json", {"packages": []}),
        ("run0/run.json", {"text": None}),
        ("run0/run.json", {"fold": "none"}),
        ("run0/run.json", {"data": 3}),
        ("run0/config.json", {"image_size": "large"}),
        ("run0/config.json", {"epochs": float("nan")}),
        ("run0/task.json", {"heads": 3}),
        ("manifest.json", {"pictures": {"sample": []}}),
        ("manifest.json", {"test": {"data": [], "text": 3, "cases": None}}),
        ("manifest.json", {"views": [3]}),
    ],
)
def test_whatever_stands_in_a_file_is_told_as_its_fault(own, name, changed, here):
    folder, data = own
    edit(folder, name, **changed)
    with pytest.raises(mk.MedkitError):
        mk.replay(folder, data, quick=True, steps=1, **FAST)
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"views": ["sideways"]}, r"views \['sideways'\] .expected some of as is"),
        ({"how": "loud"}, "how='loud' .expected one of soft, hard, rank"),
        ({"threshold": "x"}, "threshold 'x' .expected a number"),
        ({"runs": [{"seed": 0, "weights": ""}] * 1000}, "1,000 runs are named, and are not there"),
    ],
)
def test_what_would_fail_after_hours_is_told_before_the_first_step(own, changed, words):
    folder, data = own
    edit(folder, "manifest.json", **changed)
    with pytest.raises(mk.DataError, match=words):
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize("name", ["run0/machine.json", "run0/cases.csv", "run0/history.csv"])
def test_a_record_that_is_missing_is_named(own, name):
    folder, data = own
    (folder / "replay_dir" / name).unlink()
    with pytest.raises(mk.DataError, match=f"run0: no {name[5:]}, without which"):
        mk.replay(folder, data, **FAST)


@pytest.mark.parametrize("region", ["[[", "[" * 100_000])
def test_a_region_that_is_none_is_the_hand_ins_fault(own, region):
    folder, data = own
    edit_table(folder, "run0/cases.csv", other("region", region))
    with pytest.raises(mk.DataError, match="do not hold what a hand-in does"):
        mk.replay(folder, data, **FAST)


def test_masks_of_another_place_are_not_opened(own):
    folder, data = own
    edit_table(folder, "run0/cases.csv", lambda table: table.assign(masks="/etc/passwd"))
    with pytest.raises(mk.DataError, match="it names '/etc/passwd'"):
        mk.replay(folder, data, **FAST)


def better_score(folder):
    path = folder / "performance_metric_dir/f1_score.txt"
    path.write_text(path.read_text().replace("f1_macro 0", "f1_macro 1", 1))


def other_sources(folder):
    (folder / "source_dir/medkit/training/loop.py").write_text("x = 1")


UNSEEN = {  # what a team could change with all hashes of its manifest, and what is told of it
    "a better score": (better_score, "f1_score.txt: line 1 "),
    "a label of the test": (
        lambda f: edit_table(f, "test.csv", handed_in.flipped("decayed")),
        "test cases: 1 labels of 'decayed' are others",
    ),
    "other sources": (other_sources, "sources: not the code that trained: run0"),
    "no sources": (
        lambda f: shutil.rmtree(f / "source_dir"),
        "sources: source_dir holds no medkit and its versions",
    ),
    "weights among sources": (
        lambda f: (f / "source_dir/model.bin").write_bytes(b"x"),
        "sources: they hold weights: model.bin",
    ),
    "no versions": (
        lambda f: edit(f, "run0/machine.json", packages={}),
        "run0: versions: torch None handed in",
    ),
    "no losses": (
        lambda f: (f / "replay_dir/run0/first_losses.csv").unlink(),
        "run0: losses: none were handed in",
    ),
    "no held-out predictions": (
        lambda f: (f / "replay_dir/run0/predictions.csv").unlink(),
        "run0: predictions.csv: it was not handed in",
    ),
}


@pytest.fixture(scope="module")
def once(honest, tmp_path_factory):
    """What training the honest hand-in again has left, to be compared with changed ones."""
    place = tmp_path_factory.mktemp("again")
    job = {"handin": str(honest[0]), "data": str(honest[1]), "device": "cpu", "steps": 0}
    return place, retraining.whole(place, job)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_the_manifest_cannot_prove_is_found(name, own, once, monkeypatch):
    """A team writes its manifest itself."""
    folder, data = own
    change, said = UNSEEN[name]
    change(folder)
    edit(folder, "manifest.json", files=handed_in.files_in(folder))

    def train(place, job, tell, trusted=()):
        shutil.copytree(once[0], place, dirs_exist_ok=True)
        test = retraining.read_test(folder, retraining.read_manifest(folder), data)
        found = retraining.test_of(mk.get_task("caries"), data, test, [])
        return {**once[1], "test": found}

    monkeypatch.setattr(replaying, "train_again", train)
    found = mk.replay(folder, data, **FAST)
    assert [words for words in found.differences if words.startswith(said)], found


def test_who_trains_on_the_test_is_found(honest):
    """However consistent all of it is."""
    folder, data = honest
    task = mk.get_task("caries")
    test = task.read(data, "test")
    train = task.read(data, "train")
    assert retraining.test_of(task, data, test, [train]) == ""
    leaked = retraining.test_of(task, data, test, [train, test.iloc[:30]])
    assert "of its pictures are among those that were trained on" in leaked
    assert "pictures handed in" in retraining.test_of(task, data, test.iloc[:20], [train])


def test_a_table_without_its_columns_is_told(own, here):
    folder, data = own
    (folder / "replay_dir/run0/first_losses.csv").write_text("a,b\n1,2\n")
    with pytest.raises(mk.DataError, match="do not hold what a hand-in does .KeyError: 'loss'"):
        mk.replay(folder, data, quick=True, steps=1, **FAST)


def test_a_training_that_fails_says_its_last_words(own):
    folder, data = own
    edit(folder, "run0/config.json", model="no_such_model")
    with pytest.raises(mk.RunError, match="replay: training again failed: .*no_such_model"):
        mk.replay(folder, data, **FAST)


def test_steps_are_one_at_least(honest):
    with pytest.raises(mk.ConfigError, match=r"steps=0 \(expected 1 or more\)"):
        mk.replay(*honest, quick=True, steps=0)


CODE = """
def own(units, threshold=0.5):
    {deed}
    return {{"count": float(len(units))}}
"""


def foreign(tmp_path, monkeypatch, deed="pass"):
    """A hand-in of a task with code of its own, in a kernel that has never seen it."""
    (tmp_path / "own_score.py").write_text(CODE.format(deed=deed))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    import importlib
    import sys

    sys.modules.pop("own_score", None)
    own = importlib.import_module("own_score").own
    drawn = mk.get_task("pathology")
    drawn.draw(tmp_path / "dataset", seed=0, n_train=16, n_test=4)
    head = mk.Head("tissue", ("benign", "malignant"))
    task = mk.add_task(mk.Task("ward", "Ward", "our own", (head,), score_units=own))
    read = {split: drawn.read(tmp_path / "dataset", split) for split in ("train", "test")}
    cases = mk.assign_folds(task, read["train"], n_folds=2, seed=0)
    config = handed_in.settings_of("ward", epochs=1)
    run = mk.fit(config, cases, tmp_path / "run", **handed_in.QUIET)
    answer = mk.predict(run, read["test"], device="cpu", progress=False)
    folder = mk.handin(task, read["test"], answer, tmp_path / "handin", run=run)
    del mk.datasets.TASKS["ward"]
    monkeypatch.delenv("MEDKIT_TRUSTED", raising=False)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    return folder, tmp_path / "dataset"


def test_code_of_others_is_run_when_it_is_trusted_and_reaches_nobody(tmp_path, monkeypatch):
    call = "socket.create_connection(('10.0.0.1', 9))"
    deed = f"import sys, socket\n    'pytest' in sys.modules or {call}"
    folder, data = foreign(tmp_path, monkeypatch, deed)
    with pytest.raises(mk.NotTrusted, match="this hand-in brings code .*pass trust=True"):
        mk.replay(folder, data, **FAST)
    with pytest.raises(mk.RunError, match=r"It tried to reach the network .socket.\w+ 10.0"):
        mk.replay(folder, data, trust=True, **FAST)


def test_a_task_of_ones_own_replays(tmp_path, monkeypatch):
    deed = "import os\n    open(os.path.join(os.environ['RAN'], str(os.getpid())), 'w').close()"
    ran = tmp_path / "ran"
    ran.mkdir()
    monkeypatch.setenv("RAN", str(ran))
    folder, data = foreign(tmp_path, monkeypatch, deed)
    before = {path: path.stat().st_mtime_ns for path in ran.iterdir()}  # this process trained it
    assert mk.replay(folder, data, trust=True, **FAST).is_same
    after = {path: path.stat().st_mtime_ns for path in ran.iterdir()}
    assert len(before) == 1 and len(after) == 2  # the other process ran it,
    assert before.items() <= after.items()  # and this one did not
    assert not (tmp_path / "home/.config/medkit/trusted.txt").exists()


def test_nothing_of_the_hand_in_is_changed_by_it(honest, here):
    folder, data = honest
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    mk.replay(folder, data, quick=True, steps=1, **FAST)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_there_are_thirty_that_are_planted():
    assert len(PLANTED) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_honest_ones_replay(number, tmp_path):
    assert mk.replay(*make(tmp_path, number), **FAST).differences == []


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PLANTED)[:5])
def test_what_was_planted_is_caught(name, tmp_path):
    folder, data, said = planted(tmp_path, name)
    found = mk.replay(folder, data, **FAST)
    assert caught(found, said), json.dumps(found.differences)
