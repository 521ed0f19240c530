from __future__ import annotations

import io
import itertools
import re
import sys
from functools import partial

import matplotlib
import numpy as np
import pandas as pd
import pytest
from colour_vision import VISIONS, contrast_with_white, distance
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.patches import Polygon
from PIL import Image

import medkit as mk
from medkit.datasets import get_task
from medkit.datasets.drawing.photos import draw_caries
from medkit.datasets.task import Head, Task
from medkit.inference.calibrating import reliability
from medkit.metrics import Comparison
from medkit.show import canvas, fonts
from medkit.show.answers import (
    show_agreement,
    show_confusion,
    show_reliability,
    show_threshold,
)
from medkit.show.figures import show_balance, show_folds, show_sizes
from medkit.show.mistakes import show_mistakes
from medkit.show.photos import show_photos
from medkit.show.samples import show_cases, show_leaks, show_saliency
from medkit.show.scores import show_history, show_intervals
from medkit.show.teeth import show_teeth, tooth_table

TASK = get_task("caries")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("사진") / "입 안"
    draw_caries(folder, seed=1, n_train=8, n_test=0, widths=(120, 160), decayed_share=0.15)
    cases = TASK.read(folder, "train")
    cases["fold"] = pd.factorize(cases["group"])[0] % 2
    cases["id"] = "치아_" + cases["id"]
    return cases


@pytest.fixture(scope="module")
def predictions(cases):
    rng = np.random.default_rng(0)
    prob = rng.beta(1, 12, len(cases)) + 0.6 * (cases["decayed"] == "decayed")
    return _predictions(cases["id"], prob.clip(0, 1))


def _predictions(ids, prob):
    prob = np.asarray(prob, float)
    return pd.DataFrame({"id": list(ids), "sound": 1 - prob, "decayed": prob})


def _history(epochs=6):
    epoch = np.arange(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "lr": 1e-3 * 0.5**epoch,
            "train_loss": 0.7 * 0.7**epoch,
            "valid_loss": 0.5 + 0.05 * (epoch - 2) ** 2,
            "auc": 0.9 - 0.02 * (epoch - 3) ** 2,
        }
    )


def _intervals():
    rows = [("F1 매크로", 0.8, 0.7, 0.9), ("A - B", -0.02, -0.1, 0.05)]
    return pd.DataFrame(rows, columns=["name", "value", "low", "high"])


FIGURES = {
    "balance": lambda c, p, u: show_balance(TASK, c),
    "sizes": lambda c, p, u: show_sizes(c),
    "teeth": lambda c, p, u: show_teeth(TASK, c),
    "teeth without numbers": lambda c, p, u: show_teeth(TASK, c.assign(tooth_number=None)),
    "cases": lambda c, p, u: show_cases(TASK, c, n=5),
    "one case": lambda c, p, u: show_cases(TASK, c.head(1)),
    "whole pictures": lambda c, p, u: show_cases(TASK, c.drop(columns="region"), n=2),
    "photos": lambda c, p, u: show_photos(TASK, c, p, threshold=0.4, n=5),
    "one photo": lambda c, p, u: show_photos(TASK, c, p, threshold=0.4, n=1),
    "photos without predictions": lambda c, p, u: show_photos(TASK, c, n=2),
    "folds": lambda c, p, u: show_folds(TASK, c),
    "no leak": lambda c, p, u: show_leaks(_leaks(c).head(0)),
    "leak": lambda c, p, u: show_leaks(_leaks(c).head(1)),
    "leaks": lambda c, p, u: show_leaks(_leaks(c)),
    "history": lambda c, p, u: show_history(_history()),
    "history of one epoch": lambda c, p, u: show_history(_history(1).drop(columns="auc")),
    "confusion": lambda c, p, u: show_confusion(TASK, u, threshold=0.4),
    "threshold": lambda c, p, u: show_threshold(TASK, u, threshold=0.4),
    "saliency": lambda c, p, u: show_saliency(
        TASK, np.zeros((7, 9, 9, 3), np.uint8), np.ones((7, 9, 9)), titles=["충치"] * 7
    ),
    "saliency with probabilities": lambda c, p, u: show_saliency(
        TASK,
        np.zeros((6, 9, 9, 3), np.uint8),
        np.ones((6, 9, 9)),
        titles=list(c["id"][:6]),
        predictions=p,
    ),
    "intervals": lambda c, p, u: show_intervals(_intervals()),
    "differences": lambda c, p, u: show_intervals(
        pd.DataFrame([Comparison(0.02, -0.01, 0.05, 0.9)], index=["소프트 투표"]), metric="auc"
    ),
    "reliability": lambda c, p, u: show_reliability(TASK, u),
}


def _leaks(cases):
    paths = list(cases["path"].unique())
    return pd.DataFrame(
        {
            "kind": "비슷한 사진",
            "id_a": [f"왼쪽_{k}" for k in range(3)],
            "id_b": [f"오른쪽_{k}" for k in range(3)],
            "path_a": paths[:3],
            "path_b": paths[3:6],
        }
    )


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_one_whole_png_and_leaves_matplotlib_as_it_was(name, cases, predictions):
    before = dict(matplotlib.rcParams)
    page = FIGURES[name](cases, predictions, TASK.to_units(cases, predictions))
    png = page._repr_png_()  # a missing glyph warns, and warnings are errors
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] <= canvas.WIDTH * canvas.DPI + 1
    assert (pixels[0] == 255).all() and pixels.std() > 5  # white page, something on it
    drawn, whole = page.get_tightbbox(page.canvas.get_renderer()), page.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02, "clipped"
    assert drawn.x1 <= whole[0] + 0.02 and drawn.y1 <= whole[1] + 0.02, "clipped"


def test_a_notebook_shows_a_figure_once():
    formatters = pytest.importorskip("IPython.core.formatters")
    shown, _ = formatters.DisplayFormatter().format(show_history(_history()))
    assert sorted(shown) == ["image/png", "text/plain"]


def test_what_the_notebook_has_set_does_not_change_a_figure():
    plain = show_history(_history())._repr_png_()
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        assert show_history(_history())._repr_png_() == plain


def test_hangul_comes_from_the_package_where_no_font_is_installed(monkeypatch):
    monkeypatch.setattr(fonts, "INSTALLED", ())
    fonts.families.cache_clear()
    try:
        assert fonts.families() == ("DejaVu Sans", "NanumGothic")
        assert fonts.PACKAGE not in sys.modules
        show_intervals(_intervals())._repr_png_()
    finally:
        fonts.families.cache_clear()


def test_a_missing_hangul_font_is_said_once(monkeypatch):
    monkeypatch.setattr(fonts, "INSTALLED", ())
    monkeypatch.setattr(fonts, "PACKAGE", "no_such_package")
    fonts.families.cache_clear()
    try:
        with pytest.warns(UserWarning, match="no font with Hangul.*koreanize-matplotlib"):
            fonts.families()
        fonts.families()
    finally:
        fonts.families.cache_clear()


def _photo(tmp_path, name, teeth, *, size=(200, 100)):
    """Cases of a grey picture with square teeth: (left, label)."""
    path = tmp_path / f"{name}.png"
    Image.new("RGB", size, "grey").save(path)
    decayed = any(label == "decayed" for _, label in teeth)
    rows = []
    for k, (left, label) in enumerate(teeth):
        row = {"id": f"{name}_{k}", "photo": name, "path": str(path), "group": name}
        row.update(view="front", tooth_number="11", decayed=label)
        row["photo_decayed"] = "decayed" if decayed else "sound"
        row["region"] = [[left, 10], [left + 30, 10], [left + 30, 40], [left, 40]]
        rows.append(row)
    return pd.DataFrame(rows)


def _outlines(page, colour):
    found = page.findobj(lambda a: isinstance(a, Polygon) and a.get_edgecolor()[3] > 0)
    return [a for a in found if to_hex(a.get_edgecolor()) == colour.lower()]


def test_real_decay_is_red_and_solid_predicted_decay_blue_dashed_and_beside_it(tmp_path):
    cases = _photo(tmp_path, "front_1", [(0, "decayed"), (50, "sound"), (100, "decayed")])
    page = show_photos(TASK, cases, _predictions(cases["id"], [0.9, 0.8, 0.1]), threshold=0.5)
    real, called = _outlines(page, canvas.REAL), _outlines(page, canvas.PREDICTED)
    assert [round(a.get_xy()[0][0]) for a in real] == [0, 100]
    assert [round(a.get_xy()[0][0]) for a in called] == [-1, 49]
    assert {a.get_linestyle() for a in real} == {"-"}
    assert all(a.get_linestyle() != "-" for a in called)


def _marks(page):
    """(symbol, x, y) on the photos."""
    lines = [line for axes in page.axes for line in axes.lines]
    return [(line.get_marker(), *np.ravel(line.get_data()).tolist()) for line in lines]


def test_a_miss_and_a_false_alarm_have_a_shape_of_their_own(tmp_path):
    labels = ["decayed", "sound", "decayed", "sound", None, "decayed"]
    cases = _photo(tmp_path, "앞니", [(30 * k, label) for k, label in enumerate(labels)])
    predictions = _predictions(cases["id"][:5], [0.1, 0.9, 0.9, 0.1, 0.9])
    page = show_photos(TASK, cases, predictions)
    assert _marks(page) == [("v", 15, 10), ("X", 45, 10)]  # over the first and the second tooth
    (legend,) = page.legends
    told = {text.get_text(): handle for text, handle in zip(legend.texts, legend.legend_handles)}
    assert [told[name].get_marker() for name in ("missed", "false alarm")] == ["v", "X"]
    assert "thin white: no label or sound" in told
    assert not _marks(show_photos(TASK, cases))  # nothing is predicted, so nothing is missed
    decayed = cases[cases["decayed"] == "decayed"]
    words = [text.get_text() for text in show_photos(TASK, decayed).legends[0].texts]
    assert words == ["really decayed"]


@pytest.mark.parametrize("colour", ["#E3001B", "white", "black", "#8A7A5A"])
def test_a_miss_shows_on_any_picture_without_its_colour(tmp_path, colour):
    cases = _photo(tmp_path, "front_1", [(0, "decayed")])
    Image.new("RGB", (200, 100), colour).save(cases["path"].iloc[0])
    page = show_photos(TASK, cases, _predictions(cases["id"], [0.1]))
    with Image.open(io.BytesIO(page._repr_png_())) as image:
        grey = np.asarray(image.convert("L"))
    x, y = page.axes[0].transData.transform((15, 10)).round().astype(int)
    mark = grey[len(grey) - y - 10 : len(grey) - y + 10, x - 10 : x + 10]
    assert (mark > 240).sum() > 10 and (mark < 60).sum() > 10


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_are_told_apart_with_any_kind_of_vision(vision):
    assert distance(canvas.REAL, canvas.PREDICTED, vision) > 100
    pairs = itertools.combinations(canvas.COLOURS, 2)
    assert min(distance(one, other, vision) for one, other in pairs) > 15


def test_no_colour_is_pale_on_white():
    for colour in (*canvas.COLOURS, canvas.REAL, canvas.PREDICTED, canvas.GREY):
        assert contrast_with_white(colour) >= 3, colour


def test_how_many_of_how_many_mistakes_are_shown(tmp_path):
    labels = {"a": "sound", "b": "sound", "c": "decayed", "라": "decayed", "마": "sound"}
    cases = pd.concat([_photo(tmp_path, name, [(0, label)]) for name, label in labels.items()])
    predictions = _predictions(cases["id"], [0.1, 0.7, 0.2, 0.9, 0.8])

    def told(**options):
        return show_photos(TASK, cases, predictions, **options)._suptitle.get_text()

    assert told(n=2) == "2 of 3 mistakes, the surest first (5 photos in all)"
    assert told(n=4) == "all 3 mistakes, then 1 of 2 other photos"
    assert told(n=4, threshold=0.75) == "all 2 mistakes, then 2 of 3 other photos"
    assert told(n=6, threshold=0.85) == "the only mistake, then 4 of 4 other photos"
    assert told(n=2, order="as given") == "2 of 5 photos"
    assert told(n=3, order="probability") == "3 of 5 photos, the highest probability first"
    assert show_photos(TASK, cases, n=2)._suptitle.get_text() == "2 of 5 photos"


def test_outlines_fit_a_picture_that_is_shown_smaller(tmp_path):
    cases = _photo(tmp_path, "front_1", [(1000, "decayed")], size=(2000, 1000))
    (outline,) = _outlines(show_photos(TASK, cases), canvas.REAL)
    assert outline.get_xy()[0] == pytest.approx([320, 3.2])


def test_errors_come_first_and_by_turns(tmp_path):
    labels = {"a": "sound", "b": "sound", "c": "decayed", "d": "decayed", "e": "sound"}
    cases = pd.concat([_photo(tmp_path, name, [(0, label)]) for name, label in labels.items()])
    predictions = _predictions(cases["id"], [0.1, 0.7, 0.2, 0.9, 0.8])
    page = show_photos(TASK, cases, predictions)
    titles = [cell.get_title(loc="left") for cell in page.axes]
    assert [title[0] for title in titles[:3]] in (["e", "c", "b"], ["c", "e", "b"])
    assert "FALSE ALARM" in titles[0] + titles[1] and "MISSED" in titles[0] + titles[1]
    page = show_photos(TASK, cases, predictions, order="probability")
    assert [cell.get_title(loc="left")[0] for cell in page.axes] == ["d", "e", "b", "c", "a"]


def test_a_photo_without_prediction_says_so(tmp_path):
    cases = pd.concat([_photo(tmp_path, name, [(0, "decayed")]) for name in "ab"])
    page = show_photos(TASK, cases, _predictions(["a_0"], [0.9]))
    titles = {cell.get_title(loc="left") for cell in page.axes}
    assert "b\ntruth: decayed, not predicted" in titles
    assert len(_outlines(page, canvas.PREDICTED)) == 1


def test_whole_photos_are_framed(cases):
    photos = cases.drop_duplicates("photo").drop(columns="region").assign(id=lambda c: c["photo"])
    page = show_photos(TASK, photos, _predictions(photos["id"], np.ones(len(photos))), n=3)
    assert len(_outlines(page, canvas.PREDICTED)) == 3


def test_a_sample_holds_every_class(cases):
    titles = [cell.get_title(loc="left") for cell in show_cases(TASK, cases, n=6).axes]
    assert sum("decayed" in title for title in titles) == 3
    again = [cell.get_title(loc="left") for cell in show_cases(TASK, cases, n=6).axes]
    other = [cell.get_title(loc="left") for cell in show_cases(TASK, cases, n=6, seed=1).axes]
    assert titles == again != other


def test_saliency_tells_the_probability_of_the_class():
    images, heat = np.zeros((3, 9, 9, 3), np.uint8), np.zeros((3, 9, 9))
    predictions = _predictions(["가", "나"], [0.83, 0.2])
    given = {"predictions": predictions, "class_name": "decayed"}
    page = show_saliency(TASK, images, heat, titles=["나", "가", "다"], **given)
    titles = [cell.get_title(loc="left") for cell in page.axes]
    assert titles == ["나\ndecayed 0.20", "가\ndecayed 0.83", "다\nnot predicted"]
    assert "the probability of decayed" in page._suptitle.get_text()
    page = show_saliency(TASK, images, heat, titles=["나", "가", "다"], predictions=predictions)
    assert page.axes[0].get_title(loc="left") == "나\ndecayed 0.20"  # the last class
    with pytest.raises(ValueError, match=r"no titles .found \['id', 'sound', 'decayed'\]"):
        show_saliency(TASK, images, heat, **given)
    with pytest.raises(ValueError, match="no column 'decayed'.*class_name that mk.explain"):
        few = {"titles": list("abc"), "predictions": predictions.drop(columns="decayed")}
        show_saliency(TASK, images, heat, class_name="decayed", **few)


def test_the_tooth_table_counts_by_number(tmp_path):
    labels = ["decayed", "decayed", "sound", "sound", None, "sound"]
    cases = _photo(tmp_path, "front_1", [(0, label) for label in labels])
    cases["tooth_number"] = ["11", "11", "11", "46", "11", None]
    predictions = _predictions(cases["id"], [0.9, 0.2, 0.7, 0.1, 0.9, 0.9])
    table = tooth_table(TASK, cases, predictions, threshold=0.5)
    assert table.columns.tolist() == [
        *("tooth_number", "teeth", "decayed", "found", "missed", "false_alarms")
    ]
    assert table.to_numpy().tolist() == [
        ["11", 3, 2, 1, 1, 1],
        ["46", 1, 0, 0, 0, 0],
        ["unknown", 1, 0, 0, 0, 1],
    ]


def test_the_best_epoch_is_marked():
    def marked(page):
        lines = [line for line in page.axes[0].lines if "best" in str(line.get_label())]
        return [line.get_label() for line in lines]

    assert marked(show_history(_history())) == ["best epoch, 2"]
    assert marked(show_history(_history(), best_epoch=4)) == ["best epoch, 4"]
    config, history = type("C", (), {"best_by": "auc"}), _history()
    shown = {"history": history, "config": config, "task": TASK, "__init__": lambda self: None}
    run = type("Shown", (mk.Run,), shown)()
    assert marked(show_history(run)) == ["best epoch, 3"]
    type(run).history, config.best_by = history.assign(mae=[9, 9, 4, 5, 6, 7]), "mae"
    assert marked(show_history(run)) == ["best epoch, 2"]


def test_no_legend_lies_on_a_curve():
    names = ("f1_macro", "auc", "sensitivity", "specificity", "accuracy")
    page = show_history(_history().assign(**{name: np.linspace(0, 1, 6) for name in names}))
    page._repr_png_()  # lays it out
    for axes in page.axes[:2]:
        legend = axes.get_legend().get_window_extent()
        assert not any(legend.overlaps(other.get_window_extent()) for other in page.axes)
    assert len(page.axes[1].get_legend().get_texts()) == 5


def test_intervals_name_the_score_and_what_it_is(predictions):
    (axes,) = show_intervals(_intervals(), metric="auc").axes
    assert axes.get_xlabel() == "auc" and axes.get_title("left") == "score and 95 % interval"
    gains = pd.DataFrame([Comparison(0.02, -0.01, 0.05, 0.9)], index=["소프트 투표"])
    (axes,) = show_intervals(gains, metric="auc").axes  # a table of mk.compare as it is
    assert axes.get_xlabel() == "difference in auc (above 0 is better)"
    assert axes.get_title("left") == "difference and 95 % interval"
    assert axes.texts[0].get_text() == "+0.020  (-0.010 to +0.050)"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["소프트 투표"]
    (axes,) = show_intervals(gains, metric="mae").axes
    assert axes.get_xlabel() == "difference in mae (below 0 is better)"
    (axes,) = show_intervals(gains, metric="our own").axes
    assert axes.get_xlabel() == "difference in our own"


def test_reliability_speaks_plainly(cases, predictions):
    units = TASK.to_units(cases, predictions)
    above, below = show_reliability(TASK, units, bins=4).axes
    assert below.get_xlabel() == "probability of decayed, as the model says"
    assert above.get_ylabel() == "of these, really decayed"
    assert re.search(r"points off on average \(8 scored\)", above.get_title("left"))
    assert sum(int(text.get_text()) for text in below.texts) == 8
    (bars,) = above.containers  # a point a bin, and an interval around each
    table = reliability(TASK, units, bins=4)
    segments = bars[2][0].get_segments()
    ends = [(segment[0][1], segment[1][1]) for segment in segments]
    assert np.allclose(ends, table[["right_low", "right_high"]])


def test_unreadable_pictures_are_counted(cases, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = pd.DataFrame({"path": [str(tmp_path / "bad.png")]})
    page = show_sizes(pd.concat([cases[["path"]], bad]))
    assert "8 pictures" in page.axes[0].get_title(loc="left")
    assert "1 unreadable" in page.axes[0].get_title(loc="left")
    with pytest.raises(ValueError, match="none of 1 pictures could be read"):
        show_sizes(bad)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda c: show_balance(TASK, c.head(0)), "show_balance: the table has no rows"),
        (lambda c: show_balance(TASK, c[["id"]]), r"show_balance: no column 'decayed'"),
        (lambda c: show_sizes(c.head(0)), "show_sizes: the table has no rows"),
        (lambda c: show_teeth(TASK, c.assign(decayed=None)), "with a label: the table has no rows"),
        (lambda c: show_cases(TASK, c.assign(path=None)), "with a picture: the table has no rows"),
        (
            lambda c: show_mistakes(TASK, c, None, order="best"),
            "order 'best' .expected one of errors first, probability, as given",
        ),
        (lambda c: show_folds(TASK, c.drop(columns="fold")), r"show_folds: no column 'fold'"),
        (lambda c: show_folds(TASK, c, label="age"), r"show_folds: no column 'age'"),
        (lambda c: show_history(_history().head(0)), "show_history: the table has no rows"),
        (
            lambda c: show_confusion(TASK, TASK.to_units(c, None)),
            "caries: none of 8 units has both a label and a prediction",
        ),
        (lambda c: show_threshold(TASK, c), "caries: no column 'y_true'"),
        (lambda c: show_intervals(c), r"show_intervals: no column 'value'"),
        (
            lambda c: show_saliency(TASK, np.zeros((0, 9, 9, 3)), np.zeros((0, 9, 9))),
            r"images of shape \(0, 9, 9, 3\)",
        ),
        (lambda c: tooth_table(TASK, c, _predictions(["x"], [1])), "no tooth has both a label"),
    ],
)
def test_bad_input_is_named(cases, make, message):
    with pytest.raises(ValueError, match=message):
        make(cases)


def _units(task, count=300, seed=0):
    """Scored units of any task, somewhat rightly predicted."""
    rng, classes = np.random.default_rng(seed), task.scored.classes
    codes = rng.integers(0, len(classes), count) if classes else None
    units = pd.DataFrame({"id": [str(k) for k in range(count)], "seen": True})
    units["group"] = units["id"]
    if not classes:
        units["y_true"] = rng.normal(50, 20, count)
        units[task.scored.name] = units["y_true"] + rng.normal(0, 8, count)
        return units
    probs = rng.dirichlet(np.ones(len(classes)), count) + np.eye(len(classes))[codes]
    units["y_true"] = np.array(classes)[codes]
    units[list(classes)] = probs / probs.sum(1, keepdims=True)
    return units


STAGES = Task("stages", "s", "s", (Head("stage", ("Wake", "N1", "N2", "N3", "REM")),))
MANY = Task("many", "m", "m", (Head("ans", tuple(map(str, range(18)))),))
AGES = Task("ages", "a", "a", (Head("age"),))


@pytest.mark.parametrize("task", [STAGES, MANY])
def test_many_classes_have_their_figures(task):
    units, classes = _units(task), task.scored.classes
    page = show_confusion(task, units)
    axes = page.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(classes)
    shown = sum(int(text.get_text().split()[0]) for text in axes.texts)
    assert shown == len(units)
    limits = {name: 1.0 + (k == 0) for k, name in enumerate(classes)}
    left, right = show_threshold(task, units, threshold=limits).axes
    assert len(left.patches) == len(classes) and len(right.patches) == 2 * len(classes)
    above, below = show_reliability(task, units).axes
    assert "probability of the class that it chooses" in below.get_xlabel()
    assert above.get_ylabel() == "of these, right"


def test_a_number_has_its_figure_and_no_confusion():
    left, right = show_agreement(AGES, _units(AGES)).axes
    assert left.get_xlabel() == "true age" and "error 6." in right.get_title("left")
    for refused in (show_confusion, show_reliability, partial(show_threshold, threshold=0.5)):
        with pytest.raises(ValueError, match="asks for a number. Use show_answers"):
            refused(AGES, _units(AGES))
    with pytest.raises(ValueError, match="asks for one of 5 classes. Use show_answers"):
        show_agreement(STAGES, _units(STAGES))


def _people(tmp_path, count=24):
    """Cases with a class, a number that one lacks, and another class, in two folds."""
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "p.png")
    number = np.arange(count)
    table = {"id": [f"환자_{k}" for k in number], "group": [f"g{k // 2}" for k in number]}
    table.update(path=str(tmp_path / "p.png"), fold=number // 2 % 2)
    table.update(sex=np.where(number % 3, "f", "m"), age=20.0 + number, worn="no")
    people = pd.DataFrame(table)
    people.loc[2, "age"] = None
    return people


PEOPLE = Task("people", "p", "p", (Head("age"), Head("sex", ("f", "m"))))


def test_a_number_is_shown_by_its_values(tmp_path):
    people = _people(tmp_path)
    ages, sexes = show_balance(PEOPLE, people).axes
    assert ages.get_xlabel() == "age (1 without a label)"
    assert sum(bar.get_height() for bar in ages.patches) == 23
    assert ages.get_legend().get_texts()[0].get_text() == "median 32"
    assert [text.get_text().split()[0] for text in sexes.texts] == ["16", "8"]
    assert show_balance(PEOPLE, people.assign(age=None)).axes[0].get_legend() is None
    titles = [cell.get_title("left") for cell in show_cases(PEOPLE, people, n=5).axes]
    ages = [float(text.split("\n")[1].partition(",")[0]) for text in titles if "label" not in text]
    assert len(ages) == 4 and np.ptp(ages) > 8  # a quarter of the range each


def test_folds_of_a_number_show_where_its_values_lie(tmp_path):
    people = _people(tmp_path)
    page = show_folds(PEOPLE, people)
    parts, _, boxes = page.axes
    names = [text.get_text() for text in page.legends[0].get_texts()]
    assert names[0] == "20 to 26.5" and len(names) == 5 and names[-1] == "no label"
    assert sum(bar.get_height() for bar in parts.patches) == len(people)
    assert boxes.get_title("left") == "age (diamond: mean)"
    same = show_folds(PEOPLE, people.assign(age=3.0)).axes[0]
    assert [text.get_text() for text in same.get_legend().get_texts()] == ["3"]
    show_folds(PEOPLE, people.assign(age=None))._repr_png_()


def test_folds_are_of_the_tasks_head_or_of_any_column(tmp_path):
    people = _people(tmp_path)
    assert show_folds(PEOPLE, people.drop(columns="age")).axes[2].get_title("left") == "share of m"
    assert show_folds(PEOPLE, people, label="sex").axes[2].get_title("left") == "share of m"
    assert show_folds(PEOPLE, people, label="worn").axes[2].get_title("left") == "share of no"
    assert "fold" in show_folds(PEOPLE, people, label="fold").axes[2].get_title("left")


@pytest.mark.parametrize("ask", [show_folds, show_balance, show_teeth, show_photos])
def test_the_task_stands_first(cases, ask):
    with pytest.raises(TypeError, match=rf"{ask.__name__}: found a DataFrame .expected a task"):
        ask(cases, cases)


def test_cases_are_called_what_the_task_calls_them(cases):
    units = TASK.to_units(cases)
    assert [axes.get_title("left") for axes in show_balance(TASK, cases).axes] == [
        f"decayed: {len(cases)} teeth",
        f"decayed: {len(units)} photos",
    ]
    alone = cases["photo"] == cases["photo"].iloc[0]
    unmarked = cases[alone].head(1).assign(region=None, id="x")
    title = show_balance(TASK, pd.concat([cases[~alone], unmarked])).axes[1].get_title("left")
    assert title == f"decayed: {len(units)} photos (1 without marked teeth)"
    photos = units.rename(columns={"y_true": "decayed", "decayed": "_"}).assign(photo=units["id"])
    (axes,) = show_balance(TASK, photos).axes
    assert axes.get_title("left") == f"decayed: {len(units)} photos"
    titles = [cell.get_title("left") for cell in show_cases(TASK, cases, n=3).axes]
    assert all(re.search(r"  \(tooth \d\d\)\n", title) for title in titles)
