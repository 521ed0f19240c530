"""`mk.report`: what it tells of small runs, what it keeps to itself, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess

import pandas as pd
import pytest
from drawn_contests import drawn_contest
from matplotlib.figure import Figure
from pypdf import PdfReader
from small_runs import QUIET, TWO_EPOCHS, draw_few, learn

import medkit as mk
from medkit.rules.report.words import WORDS, Words
from medkit.show import fonts

TEAM = "튼튼한 이"
SECTIONS = ("model", "data", "folds", "curves", "scores", "environment", "mistakes")
AUDIT = pd.DataFrame(
    [
        ("no other data", "kept", "12 cases", "cases.csv"),
        ("외부 가중치 금지", "broken", "weights", "/home/kim/runs/fold0/config.json"),
    ],
    columns=["rule", "verdict", "found", "where"],
)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    draw_few(monkeypatch, 8)


@pytest.fixture(scope="module")
def runs(cases, tmp_path_factory):
    """A run of each fold; read-only for tests."""
    folder = tmp_path_factory.mktemp("runs")
    return [mk.fit(TWO_EPOCHS, cases, folder / f"fold{k}", fold=k, **QUIET) for k in range(3)]


@pytest.fixture
def run(runs, tmp_path):
    """A copy of the first one, to be spoilt."""
    return mk.Run(shutil.copytree(runs[0].path, tmp_path / "runs" / "fold0"))


def text_of(path):
    """All that can be copied, without the breaks of its lines."""
    pages = PdfReader(str(path)).pages
    assert 1 <= len(pages) <= 10
    assert all(abs(page.mediabox.width - 595.28) < 0.1 for page in pages)  # A4
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def pictures_in(path):
    """How many there are, that of a confusion matrix among them."""
    things = {}
    for page in PdfReader(str(path)).pages:
        things.update(page["/Resources"].get("/XObject") or {})
    return sum(thing.get_object()["/Subtype"] == "/Image" for thing in things.values())


def changed(run, name, **facts):
    path = run.path / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.mark.parametrize("language", ["ko", "en"])
def test_it_tells_all_that_is_asked_for(runs, language, tmp_path):
    run, words = runs[0], Words(language)
    given = {"team": TEAM, "language": language, "about": "Teeth, 치아.", "audit": AUDIT}
    path = mk.report(run, path=tmp_path / "out" / "보고서.pdf", n=2, **given)
    told = text_of(path)
    for name in (*SECTIONS, "audit"):
        assert words(name) in told, name
    cases = run.cases()
    scores = mk.score(run.task, cases[cases["fold"] == 0], run.predictions)
    digest = run.machine["initial_weights"][:16]
    for text in (TEAM, "Teeth, 치아.", f"{scores['f1_macro']:.4f}", "test_resnet", digest):
        assert text in told
    for name, version in run.machine["packages"].items():
        assert f"{name} {version}" in told
    assert words("no quarantine") in told and words("part") in told
    assert "kept" in told and "config.json" in told


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler is not here")
def test_other_programs_copy_its_hangul(runs, tmp_path):
    path = mk.report(runs[0], team=TEAM, path=tmp_path / "r.pdf", n=1)
    done = subprocess.run(["pdftotext", str(path), "-"], stdout=subprocess.PIPE, check=True)
    told = done.stdout.decode()
    assert TEAM in told and WORDS["title"][1] in told and "그림 1. 라벨 분포." in told
    assert "validation scores" in told  # what figures say is text, too


def test_it_lies_beside_the_run_and_is_the_same_each_time(run):
    path = mk.report(run.path, team="A", language="en", n=1)
    assert path == run.path.parent / "report.pdf"
    before = path.read_bytes()
    assert mk.report(run, team="A", language="en", n=1).read_bytes() == before
    facts = PdfReader(str(path)).metadata
    assert facts["/Author"] == "A" and "/CreationDate" not in facts and len(before) < 4_000_000


def test_the_runs_of_all_folds_are_judged_together(runs, cases, tmp_path):
    path = mk.report([r.path for r in runs], team=TEAM, path=tmp_path / "r.pdf", pictures=False)
    told, words = text_of(path), Words("ko")
    assert words("folds judged") in told and "0, 1, 2." in told
    scores = mk.score(runs[0].task, cases, mk.concat_predictions(runs))
    assert f"{scores['f1_macro']:.4f}" in told
    for run in runs:
        assert words("curves caption", fold=run.fold) in told
        assert f"{run.history['valid_loss'].min():.4f}" in told or run.config.best_by != "loss"


@pytest.mark.parametrize("name", ["sinus", "mask", "sleep", "handbone"])
@pytest.mark.filterwarnings("ignore:score_table. all")
def test_each_contest_has_its_report(name, tmp_path, tmp_path_factory):
    contest = drawn_contest(name, tmp_path_factory.getbasetemp())
    cases = mk.assign_folds(contest.task, contest.train, n_folds=contest.folds, seed=0)
    settings = {**contest.training, "epochs": 1, "image_size": 32}
    run = learn(name, cases, tmp_path / "fold0", **settings)
    told = text_of(mk.report(run, team=TEAM, n=3))
    words = Words("ko")
    assert words.contest(name, "") in told and words("mistakes") in told
    shown = "dice" if name == "handbone" else "reliability"
    assert words(shown) in told


def test_a_number_has_its_report(tmp_path, cases):
    mk.add_task(mk.Task("ages", "Ages of teeth", "drawn", (mk.Head("age"),)))
    try:
        known = cases.drop(columns=["decayed", "photo_decayed"]).assign(
            age=[20.0 + 3 * (k % 17) for k in range(len(cases))]
        )
        run = learn("ages", known, tmp_path / "fold0", epochs=1)
        told = text_of(mk.report(run, team="A", language="en", n=2))
    finally:
        mk.datasets.TASKS.pop("ages")
    words = Words("en")
    assert "Ages of teeth" in told and "MAE" in told and words("agreement") in told
    assert words("unknown quarantine") in told  # it has no reader


def test_what_is_quarantined_is_told_with_its_reason(runs, tmp_path, drawn):
    data = shutil.copytree(drawn, tmp_path / "moved")
    photo = next(p for p in sorted((data / "train_data/image").iterdir()))
    photo.write_bytes(b"")
    path = mk.report(
        runs[0], team="A", language="en", path=tmp_path / "r.pdf", data=data, pictures=False
    )
    told = text_of(path)
    assert "Quarantine: 1 records" in told and "not a picture" in told and str(data) not in told


def test_no_picture_leaves_where_none_must(runs, tmp_path):
    options = {"team": TEAM, "path": tmp_path / "r.pdf", "n": 2}
    assert pictures_in(mk.report(runs[0], **options)) == 3
    path = mk.report(runs[0], pictures=False, **options)
    told = text_of(path)
    assert pictures_in(path) == 1
    assert WORDS["no pictures"][1] in told
    assert not [id for id in runs[0].predictions["id"] if id in told]


def test_nothing_tells_where_and_whose_it_is(run, tmp_path):
    with open(run.path / "log.txt", "a") as log:
        log.write("2026-01-01 10:00:00  not bit-exact from here: weights /home/kim/x.st -> b\n")
    path = mk.report(run, team=TEAM, audit=AUDIT, n=1)
    told = text_of(path) + str(PdfReader(str(path)).metadata)
    assert "not bit-exact from here: weights … -> b" in told
    for secret in ("kim", "/home", str(tmp_path), str(run.cases()["path"].iloc[0])):
        assert secret not in told


def test_weights_that_are_gone_are_told_to_be(run):
    run.best.unlink()
    assert WORDS["gone"][1] in text_of(mk.report(run, team=TEAM, n=1))


def test_a_run_of_another_version_is_told(run):
    changed(run, "machine.json", medkit="0.0.9", code="abc")
    told = text_of(mk.report(run, team="A", language="en", n=1))
    assert (
        f"Trained by medkit 0.0.9 (code abc); this report was made by medkit {mk.__version__}"
        in (told)
    )


def test_settings_of_another_version_are_refused_by_both_names(run):
    changed(run, "machine.json", medkit="9.9.9")
    changed(run, "config.json", swirl=0.5)
    words = rf"run is of medkit 9\.9\.9, and medkit {mk.__version__} cannot read its settings"
    with pytest.raises(mk.ConfigError, match=words):
        mk.report(run, team="A")


def test_a_run_without_held_out_predictions_is_refused(cases, tmp_path):
    config = mk.Config("caries", epochs=1, batch_size=8, model="test_resnet", image_size=32)
    run = mk.fit(config, cases, tmp_path / "all", fold=None, **QUIET)
    with pytest.raises(mk.ConfigError, match="no held-out predictions .it held out no fold"):
        mk.report(run, team="A")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"language": "kor"}, r"language 'kor' \(expected one of en, ko\)\. Did you mean 'ko'"),
        ({"team": " "}, r"team ' ' \(expected a name of 1 to 60 characters in one line\)"),
        ({"team": "a\nb"}, "expected a name of 1 to 60"),
        ({"team": "\U0001f9b7 team"}, "no font here can write '\U0001f9b7'"),
        ({"audit": AUDIT.drop(columns="found")}, "report: audit: no column 'found'"),
        ({"about": "word " * 30_000}, r"longer than 10 pages \(expected 1 to 10\)\. Leave out"),
        ({"figures": [Figure()] * 40}, r"40 figures do not fit \(found room for \d+ of them on 10"),
        ({"run": []}, "report: run: found no run"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_words(runs, wrong, words, tmp_path):
    path = tmp_path / "r.pdf"
    given = {"run": runs[0], "team": "A", "pictures": False, "path": path, **wrong}
    with pytest.raises(ValueError, match=words):
        mk.report(**given)
    assert not path.exists()


def test_runs_that_do_not_belong_together_are_refused(runs, shapes, shape_cases, tmp_path):
    with pytest.raises(mk.ConfigError, match="are held out by two runs, e.g. '"):
        mk.report([runs[0], runs[0]], team="A")
    other = learn("shapes", shape_cases, tmp_path / "other", epochs=1, decoder_channels=(8,) * 5)
    with pytest.raises(mk.ConfigError, match="runs of 'caries' and of 'shapes'"):
        mk.report([runs[0], other], team="A")


def test_figures_of_ones_own_stand_two_a_page(runs, tmp_path):
    figures = []
    for k in range(4):
        figures.append(Figure(figsize=(6, 6)))
        figures[-1].text(0.5, 0.5, f"own figure {k}")
    path = mk.report(
        runs[0], team="A", language="en", path=tmp_path / "r.pdf", pictures=False, figures=figures
    )
    counts = [page.extract_text().count("own figure") for page in PdfReader(str(path)).pages]
    assert sum(counts) == 4 and max(counts) == 2


def test_pictures_that_have_moved_are_asked_for(run, tmp_path, drawn):
    changed(run, "run.json", data=str(tmp_path / "gone" / "train_data" / "image"))
    with pytest.raises(mk.MissingError, match="Pass data=.*or pictures=False"):
        mk.report(run, team=TEAM)
    assert WORDS["unknown quarantine"][1] in text_of(mk.report(run, team=TEAM, pictures=False))
    assert WORDS["no quarantine"][1] in text_of(mk.report(run, team=TEAM, data=drawn, n=1))


def test_without_a_font_with_hangul_it_says_so_before_it_begins(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "INSTALLED", ())
    monkeypatch.setattr(fonts, "PACKAGE", "no_such_package")
    fonts.families.cache_clear()
    given = {"path": tmp_path / "r.pdf", "pictures": False}
    try:
        with pytest.raises(mk.ConfigError, match="no font with Hangul .*koreanize-matplotlib"):
            mk.report(runs[0], team="A", **given)
        with pytest.raises(mk.ConfigError, match="no font here can write '튼한이'"):
            mk.report(runs[0], team=TEAM, language="en", **given)
        with pytest.warns(UserWarning, match="no font with Hangul"):
            told = text_of(mk.report(runs[0], team="A", language="en", **given))
    finally:
        fonts.families.cache_clear()
    assert "Model report" in told
