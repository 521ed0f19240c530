"""Figures of masks: what is drawn, where, in which colour, and what is counted."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from colour_vision import VISIONS, distance
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import PathPatch
from PIL import Image
from small_runs import QUIET

import medkit as mk
from medkit import datasets
from medkit.images import crop, crops, masks, rle
from medkit.inference.answers import ANSWERS
from medkit.inference.calibrating import reliability
from medkit.inference.mask_answers import file_name
from medkit.inference.predicting import load_model
from medkit.metrics import METRICS
from medkit.show import canvas
from medkit.show.answers import show_agreement, show_confusion
from medkit.show.kinds import SHOWN
from medkit.show.masks import BRIGHT, ShownMasks, dice_of, fitted, mask_colour

NAMES = tuple(f"뼈-{k}" for k in range(1, 30))


def contest(folder, count, classes, shape=(60, 40)):
    """A task of so many classes, and cases with discs; the last class is not in every picture."""
    names = NAMES[:classes]
    head = mk.Head("masks", names, kind="masks")
    files = mk.MaskFiles("planes")
    task = mk.Task(f"discs{classes}", "Discs", "drawn", (head,), mask_files=files)
    rng = np.random.default_rng(0)
    for k in range(count):
        picture = rng.integers(20, 60, (*shape, 3), dtype=np.uint8)
        for number, name in enumerate(names):
            mask = np.zeros(shape, np.uint8)
            if number < max(1, classes - 1) or k % 2:
                at = rng.integers(8, shape[1] - 8), rng.integers(8, shape[0] - 8)
                cv2.circle(mask, tuple(map(int, at)), 7, 1, -1)
            picture[mask > 0] = 160
            if mask.any():
                (folder / "planes" / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(255 * mask).save(folder / "planes" / name / f"손_{k:02}.png")
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "images" / f"손_{k:02}.png")
    cases = mk.read_masks(task, folder / "images", folder / "planes")
    cases["group"] = [f"g{k // 2}" for k in range(count)]
    cases["bent"] = ["yes" if k % 4 == 0 else "no" for k in range(count)]
    cases["age"] = 20.0 + np.arange(count)
    return task, mk.assign_folds(task, cases, n_folds=2)


def moved(task, cases, folder, by=(2, 0), size=64):
    """Predictions: what is true, moved by some pixels of a model's size; the last image misses."""
    folder.mkdir()
    rows = []
    for number, case in enumerate(cases.to_dict("records")):
        shape, planes = task.read_masks(case)
        _, _, w, h = crop.place_in_square(shape[1], shape[0], size)
        far = (by[0] + 9 * (number == len(cases) - 1), by[1])
        levels = []
        for name in task.scored.classes:
            plane = cv2.resize(255.0 * rle.to_mask(planes[name], shape), (w, h))
            move = np.float32([[1, 0, far[0]], [0, 1, far[1]]])
            levels.append(cv2.GaussianBlur(cv2.warpAffine(plane, move, (w, h)), (0, 0), 1))
        found = crops.cropped(
            case["id"], np.stack(levels).round().astype(np.uint8), shape, task.scored.classes
        )
        found.write(folder / file_name(case["id"]))
        rows.append((case["id"], str(folder / file_name(case["id"]))))
    return pd.DataFrame(rows, columns=["id", "file"])


@pytest.fixture(scope="module", params=[1, 3, 29], ids=["one class", "three", "29"])
def discs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("손")
    task, cases = contest(folder, 12, request.param)
    return task, cases, moved(task, cases, folder / "predicted")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("셋")
    task, cases = contest(folder, 12, 3)
    return task, cases, moved(task, cases, folder / "predicted")


@pytest.fixture
def known(three, monkeypatch):
    """The same, known by its name."""
    monkeypatch.setattr(datasets, "TASKS", {**datasets.TASKS, three[0].name: three[0]})
    monkeypatch.setattr("medkit.runs.own_tasks.TASKS", datasets.TASKS)
    return three


FIGURES = {
    "balance": lambda t, c, p, u: mk.show_balance(t, c),
    "balance without some masks": lambda t, c, p, u: mk.show_balance(
        t, c.assign(masks=c["masks"].where(c["id"] != c["id"].iloc[0]))
    ),
    "folds": lambda t, c, p, u: mk.show_folds(t, c),
    "structure": lambda t, c, p, u: mk.show_structure(t, c),
    "cases": lambda t, c, p, u: mk.show_cases(t, c, n=5),
    "cases without masks": lambda t, c, p, u: mk.show_cases(t, c.drop(columns="masks"), n=2),
    "mistakes": lambda t, c, p, u: mk.show_mistakes(t, c, p, n=3),
    "mistakes as given": lambda t, c, p, u: mk.show_mistakes(t, c, p, n=2, order="as given"),
    "answers": lambda t, c, p, u: mk.show_answers(t, u),
    "threshold": lambda t, c, p, u: mk.show_threshold(t, u, threshold=0.4),
    "thresholds": lambda t, c, p, u: mk.show_threshold(
        t, u, threshold=mk.choose_threshold(t, c, p)
    ),
    "reliability": lambda t, c, p, u: mk.show_reliability(t, u),
    "by age": lambda t, c, p, u: mk.show_dice(t, c, p, by="age"),
    "by bent": lambda t, c, p, u: mk.show_dice(t, c, p, by="bent"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_of_masks_is_one_whole_png(name, discs):
    task, cases, predictions = discs
    page = FIGURES[name](task, cases, predictions, task.to_units(cases, predictions))
    with Image.open(io.BytesIO(page._repr_png_())) as image:  # a missing glyph warns
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] <= canvas.WIDTH * canvas.DPI + 1
    assert (pixels[0] == 255).all() and pixels.std() > 5
    drawn, whole = page.get_tightbbox(page.canvas.get_renderer()), page.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02, "clipped"
    assert drawn.x1 <= whole[0] + 0.02 and drawn.y1 <= whole[1] + 0.02, "clipped"


def titles(page):
    return [axes.get_title("left") for axes in page.axes]


def outlines(axes):
    return [patch for patch in axes.patches if isinstance(patch, PathPatch)]


def test_each_class_has_its_colour_and_the_legend_tells_it(three):
    task, cases, _ = three
    page = mk.show_cases(task, cases, n=4)
    (legend,) = page.legends
    assert [text.get_text() for text in legend.texts] == list(task.scored.classes)
    shown = [to_hex(patch.get_facecolor()) for patch in legend.legend_handles]
    assert shown == [mask_colour(k).lower() for k in range(3)]
    by_id = cases.set_index("id")
    for axes in page.axes:
        name = axes.get_title("left").split("\n")[0]
        shape, planes = task.read_masks({**by_id.loc[name].to_dict(), "id": name})
        there = [k for k, c in enumerate(task.scored.classes) if len(planes[c])]
        assert [to_hex(line.get_edgecolor()) for line in outlines(axes)] == [
            mask_colour(k).lower() for k in there
        ]
        layer = axes.images[1].get_array()
        union = sum(rle.to_mask(planes[c], shape) for c in task.scored.classes) > 0
        assert layer.shape[:2] == shape and ((layer[..., 3] > 0) == union).all()
        alone = rle.to_mask(planes[task.scored.classes[0]], shape) > 0
        for other in task.scored.classes[1:]:
            alone &= rle.to_mask(planes[other], shape) == 0
        assert np.allclose(layer[alone][:, :3], to_rgb(mask_colour(0)))


def test_the_words_beside_a_picture_fit(discs):
    task, cases, _ = discs
    first = cases.sort_values("id").iloc[0]
    (words,) = [text.split("\n")[1] for text in titles(mk.show_cases(task, cases.loc[[0]]))]
    assert len(words) <= 44
    count = len(task.scored.classes)
    assert words.startswith("뼈-1 ") if count < 4 else words == f"{count - 1} of 29 classes"
    assert first["id"] == cases["id"][0]
    plain = mk.show_cases(task, cases.assign(masks=None), n=1)
    assert titles(plain)[0].endswith("\nno masks")
    assert len(plain.axes[0].images) == 1 and not outlines(plain.axes[0]) and not plain.legends


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_of_masks_differ_from_their_neighbours(vision):
    assert len(set(BRIGHT)) == len(BRIGHT) == 7 and "#000000" not in BRIGHT
    for one in range(29):
        assert distance(mask_colour(one), mask_colour(one + 1), vision) > 15
    assert distance(canvas.REAL, canvas.PREDICTED, vision) > 100


def dice_by_image(task, cases, predictions, threshold=0.5):
    """Mean Dice of each image, counted pixel by pixel."""
    found = {}
    for case in cases.to_dict("records"):
        shape, real = task.read_masks(case)
        path = predictions.set_index("id")["file"][case["id"]]
        guess = crops.read(path, id=case["id"], classes=task.scored.classes)
        cut, scores = crops.cut_of(threshold), []
        for name in task.scored.classes:
            a = rle.to_mask(real[name], shape) > 0
            b = rle.to_mask(guess.runs(name, cut), shape) > 0
            scores.append((2 * (a & b).sum() + 1e-4) / (a.sum() + b.sum() + 1e-4))
        found[case["id"]] = float(np.mean(scores))
    return pd.Series(found)


def test_the_worst_images_come_first(discs):
    task, cases, predictions = discs
    wanted = dice_by_image(task, cases, predictions).sort_values(kind="stable")
    page = mk.show_mistakes(task, cases, predictions, n=4)
    assert [text.split("\n")[0] for text in titles(page)] == list(wanted.index[:4])
    assert wanted.index[0] == cases["id"].iloc[-1]
    first = f"{wanted.iloc[0]:.3f}"
    assert f"Dice {first}" in titles(page)[0]
    assert ("worst: 뼈-" in titles(page)[0]) == (len(task.scored.classes) > 1)
    assert page._suptitle.get_text() == "4 of 12 cases, the lowest Dice first"
    given = mk.show_mistakes(task, cases, predictions, n=3, order="as given")
    assert [text.split("\n")[0] for text in titles(given)] == list(cases["id"][:3])
    assert given._suptitle.get_text() == "3 of 12 cases"


def test_missed_pixels_and_false_alarms_have_their_colours(tmp_path):
    task, cases = contest(tmp_path, 4, 1)
    predictions = moved(task, cases, tmp_path / "predicted")
    page = mk.show_mistakes(task, cases, predictions, n=1, order="as given")
    case = cases.iloc[0].to_dict()
    shape, real = task.read_masks(case)
    guess = crops.read(predictions["file"][0], id=case["id"], classes=task.scored.classes)
    a = rle.to_mask(real["뼈-1"], shape) > 0
    b = rle.to_mask(guess.runs("뼈-1", crops.cut_of(0.5)), shape) > 0
    both = np.asarray(page.axes[0].images[0].get_array()).astype(float)
    plain = np.asarray(Image.open(case["path"]))
    assert (both[:, : shape[1]] == plain).all()  # the picture itself is left as it is
    beside = both[:, -shape[1] :]
    red, blue = beside[..., 0] - beside[..., 2], beside[..., 2] - beside[..., 0]
    assert ((red > 100) == (a & ~b)).all() and ((blue > 100) == (b & ~a)).all()
    lines = outlines(page.axes[0])
    assert [to_hex(line.get_edgecolor()) for line in lines] == [
        canvas.REAL.lower(),
        canvas.PREDICTED.lower(),
    ]
    assert [line.get_linestyle() == "-" for line in lines] == [True, False]
    told = [text.get_text() for text in page.legends[0].texts]
    assert told == ["true outline", "predicted outline", "missed pixels", "false alarms"]


def test_an_image_that_could_not_be_looked_at_is_missed_as_a_whole(three):
    task, cases, predictions = three
    lost = predictions.assign(file=predictions["file"].where(predictions.index != 1, None))
    page = mk.show_mistakes(task, cases, lost, n=1)
    assert titles(page)[0].startswith(f"{cases['id'].iloc[1]}\nmean Dice 0.000")
    assert len({to_hex(line.get_edgecolor()) for line in outlines(page.axes[0])}) == 1
    assert "another class instead" in [text.get_text() for text in page.legends[0].texts]


def test_the_table_of_masks_has_a_row_a_class(discs):
    task, cases, predictions = discs
    table = mk.mistake_table(task, cases, predictions, threshold=0.4)
    assert list(table) == ["class", "images", "found", "area", "dice", "low", "high"]
    assert tuple(table["class"]) == task.scored.classes
    last = 12 if len(table) == 1 else 6
    assert list(table["images"]) == [12] * (len(table) - 1) + [last]
    assert (table["low"] <= table["dice"]).all() and (table["dice"] <= table["high"]).all()
    scores = mk.score(task, cases, predictions, threshold=0.4)
    assert table["dice"].mean() == pytest.approx(scores["dice"])
    units = task.to_units(cases, predictions)
    areas, found = (
        units["y_true"].to_numpy(float),
        task.scored.answer.chosen(task.scored.answer.values(units), 0.4),
    )
    each = dice_of(areas, found[:, 0], found[:, 1])
    assert each.mean() == pytest.approx(METRICS["dice"](areas, found))
    alone = mk.mistake_table(task, cases.assign(group="one"), predictions)
    assert alone[["low", "high"]].isna().all(axis=None)


def test_dice_by_class_has_a_row_each_and_one_of_all(three):
    task, cases, predictions = three
    for page in (
        mk.show_dice(task, cases, predictions),
        mk.show_answers(task, task.to_units(cases, predictions)),
    ):
        (axes,) = page.axes
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == [*task.scored.classes, "all classes"]
        assert axes.get_title("left") == "Dice of 12 cases and 95 % interval"
        value = mk.score(task, cases, predictions)["dice"]
        assert axes.texts[3].get_text().startswith(f"{value:.3f}")


def test_bent_ones_stand_apart(three):
    task, cases, predictions = three
    (axes,) = mk.show_dice(task, cases, predictions, by="bent").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no (9)", "yes (3)"]
    means = dice_by_image(task, cases, predictions).groupby(cases.set_index("id")["bent"]).mean()
    assert [text.get_text()[:5] for text in axes.texts] == [
        f"{means[n]:.3f}" for n in ("no", "yes")
    ]
    some = cases.assign(bent=cases["bent"].where(cases.index > 1))
    names = mk.show_dice(task, some, predictions, by="bent").axes[0].get_yticklabels()
    assert [text.get_text() for text in names] == ["no (8)", "yes (2)", "unknown (2)"]
    (axes,) = mk.show_dice(task, cases, predictions, by="age").axes
    assert axes.get_xlabel() == "age" and len(axes.lines[0].get_xdata()) == 12
    few = cases.assign(year=np.arange(12) % 3)
    assert len(mk.show_dice(task, few, predictions, by="year").axes[0].get_yticklabels()) == 3


def test_what_cannot_be_shown_of_masks_is_named(three):
    task, cases, predictions = three
    units = task.to_units(cases, predictions)
    with pytest.raises(ValueError, match=r"show_dice: no column 'sex'"):
        mk.show_dice(task, cases, predictions, by="sex")
    with pytest.raises(ValueError, match="show_dice: 'bent' is missing in all 12 images. Choose"):
        mk.show_dice(task, cases.assign(bent=None), predictions, by="bent")
    with pytest.raises(ValueError, match="this task asks for masks of 3 classes. Use show_answers"):
        show_confusion(task, units)
    with pytest.raises(ValueError, match="this task asks for masks of 3 classes. Use show_answers"):
        show_agreement(task, units)
    with pytest.raises(ValueError, match="cases with masks: the table has no rows"):
        mk.show_structure(task, cases.assign(masks=None))
    with pytest.raises(ValueError, match=r"show_balance: no column 'masks'"):
        mk.show_balance(task, cases.drop(columns="masks"))
    with pytest.raises(TypeError, match="show_dice: found a DataFrame"):
        mk.show_dice(cases, cases, predictions)
    with pytest.raises(TypeError, match="show_answers: found a DataFrame"):
        mk.show_answers(cases, units)
    ages = mk.Task("ages", "a", "a", (mk.Head("age"),))
    guess = pd.DataFrame({"id": cases["id"], "age": 1.0})
    with pytest.raises(ValueError, match="show_dice: this task asks for a number. Use show_answer"):
        mk.show_dice(ages, cases, guess)


def test_answers_stand_beside_the_truth_by_kind(three):
    cases = three[1].assign(sex=["f", "m"] * 6)
    ages, sexes = (
        mk.Task("own", "o", "o", (head,)) for head in (mk.Head("age"), mk.Head("sex", ("f", "m")))
    )
    guess = pd.DataFrame({"id": cases["id"], "age": 30.0, "f": 0.7, "m": 0.3})
    left, _ = mk.show_answers(ages, ages.to_units(cases, guess)).axes
    assert left.get_xlabel() == "true age"
    (axes,) = mk.show_answers(sexes, sexes.to_units(cases, guess), threshold=0.4).axes
    assert "predicted (m from a probability of 0.4)" in axes.get_xlabel()


def test_the_curve_over_thresholds_is_the_score(three):
    task, cases, predictions = three
    units = task.to_units(cases, predictions)
    chosen = mk.choose_threshold(task, cases, predictions)
    (axes,) = mk.show_threshold(task, units, threshold=chosen).axes
    mean = axes.lines[0]
    for place in (10, 127, 200):
        value = mk.score(task, cases, predictions, threshold=mean.get_xdata()[place])["dice"]
        assert mean.get_ydata()[place] == pytest.approx(value)
    for k, name in enumerate(task.scored.classes):
        curve, dot = axes.lines[1 + 2 * k : 3 + 2 * k]
        assert dot.get_xdata() == [chosen[name]]
        assert dot.get_ydata()[0] == pytest.approx(curve.get_ydata().max())
    told = [text.get_text() for text in axes.figure.legends[0].texts]
    assert told[0].startswith("mean: ") and len(told) == 4


def test_of_many_classes_the_worst_are_named_at_a_threshold(discs):
    task, cases, predictions = discs
    page = mk.show_threshold(task, task.to_units(cases, predictions))
    named = len(page.legends[0].texts) - (len(task.scored.classes) > 1)
    assert named == min(8, len(task.scored.classes))
    is_many = len(task.scored.classes) > 8
    assert ("(21 classes more are thin lines)" in page.axes[0].get_title("left")) == is_many


def test_reliability_of_masks_is_exact(three):
    task, cases, predictions = three
    table = reliability(task, task.to_units(cases, predictions), bins=5)
    said, so = [], []
    for case in cases.to_dict("records"):
        shape, real = task.read_masks(case)
        path = predictions.set_index("id")["file"][case["id"]]
        guess = crops.read(path, id=case["id"], classes=task.scored.classes)
        for name in task.scored.classes:
            level = sum(
                rle.to_mask(guess.runs(name, cut), shape).astype(int) for cut in range(1, 256)
            )
            said.append(level.ravel() / 255)
            so.append(rle.to_mask(real[name], shape).ravel())
    said, so = np.concatenate(said), np.concatenate(so)
    said, so = said[said > 0], so[said > 0]
    assert table["cases"].sum() == len(said)
    for row in table.itertuples():
        inside = (said >= row.low) & ((said < row.high) | (row.high == 1))
        assert row.cases == inside.sum()
        assert row.confidence == pytest.approx(said[inside].mean())
        assert row.right == pytest.approx(so[inside].mean())
        assert row.right_low <= row.right <= row.right_high
    one = reliability(task, task.to_units(cases.assign(group="one"), predictions), bins=5)
    assert one["right_low"].isna().all() and list(one["right"]) == list(table["right"])
    above, below = mk.show_reliability(task, task.to_units(cases, predictions)).axes
    assert below.get_ylabel() == "pixels" and above.get_ylabel() == "of these, really of that class"


def test_a_number_has_no_reliability():
    ages = mk.Task("ages", "a", "a", (mk.Head("age"),))
    units = pd.DataFrame({"id": ["1"], "group": ["1"], "seen": True, "y_true": [3.0], "age": [4.0]})
    with pytest.raises(ValueError, match="reliability: age is a number, which has no probability"):
        reliability(ages, units)


def test_balance_tells_how_many_images_and_how_much(three):
    task, cases, _ = three
    (axes,) = mk.show_balance(task, cases).axes
    assert [text.get_text().split(",")[0] for text in axes.texts] == [
        *["in 12 of 12 images"] * 2,
        "in 6 of 12 images",
    ]
    shares = ShownMasks(task.scored).labels(task, cases)
    shape, planes = task.read_masks(cases.iloc[0].to_dict())
    first = task.scored.classes[0]
    assert shares[first].iloc[0] == rle.area(planes[first]) / (shape[0] * shape[1])
    table = mk.summarize(task, cases.assign(masks=cases["masks"].where(cases.index > 0)))
    assert table.set_index("value")["cases"].to_dict() == {
        "뼈-1": 11, "뼈-2": 11, "뼈-3": 6, "(no label)": 1
    }  # fmt: skip
    assert set(table["column"]) == {"masks"} and table["groups"].max() == 6


def test_folds_of_masks_hold_alike_much(three):
    task, cases, _ = three
    parts, groups, covered = mk.show_folds(task, cases).axes
    assert sum(bar.get_height() for bar in parts.patches) == 12
    assert sum(bar.get_height() for bar in groups.patches) == cases["group"].nunique()
    for k, line in enumerate(covered.lines[:3]):
        share = ShownMasks(task.scored).labels(task, cases).iloc[:, k]
        wanted = share.groupby(cases["fold"]).mean() / share.mean()
        assert np.allclose(line.get_ydata(), wanted)
    some = cases.assign(masks=cases["masks"].where(cases.index > 2))
    page = mk.show_folds(task, some)
    legends = [*page.legends, *filter(None, [axes.get_legend() for axes in page.axes])]
    assert "no label" in [text.get_text() for legend in legends for text in legend.texts]


def test_where_each_class_lies_is_the_structure_of_masks(three):
    task, cases, _ = three
    page = mk.show_structure(task, cases)
    assert [text.split("\n")[0] for text in titles(page)] == list(task.scored.classes)
    assert titles(page)[2].endswith(" of 6")
    groups = mk.Task("own", "o", "o", (mk.Head("bent", ("yes", "no")),))
    assert mk.show_structure(groups, cases).axes[-1].get_ylabel() == "groups"
    assert SHOWN["exclusive_masks"] is SHOWN["masks"]
    spoken = {"figures": "tooth"}
    with pytest.raises(ValueError, match="figures 'tooth' .expected one of .*'masks'"):
        mk.show_structure(replace(task, **spoken), cases)


def test_a_mask_is_fitted_to_where_it_is_shown():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 1
    small = fitted(rle.runs_of(mask), mask.shape, (20, 30))
    assert small.sum() == 100 and small[5:15, 10:20].all()
    assert (fitted(rle.runs_of(mask), mask.shape, (40, 60)) == mask).all()
    assert not fitted(np.zeros(0, np.int64), (4, 6), (2, 3)).any()


CONFIG = mk.Config(
    "discs3", model="test_resnet", image_size=32, epochs=1, batch_size=4, seed=3,
    decoder_channels=(8, 8, 8, 8, 4),
)  # fmt: skip


def test_a_batch_shows_the_masks_that_moved_along(known):
    task, cases, _ = known
    page = mk.show_batch(CONFIG, cases, n=4)
    for axes in page.axes:
        picture, layer = axes.images
        assert picture.get_array().shape == (32, 32, 3) and layer.get_array()[..., 3].any()
        bright = picture.get_array().mean(-1)  # discs are brighter than what is around them
        inside = layer.get_array()[..., 3] > 0
        assert bright[inside].mean() > bright[~inside].mean() + 20
        assert "classes" in axes.get_title("left") or "%" in axes.get_title("left")
    assert [text.get_text() for text in page.legends[0].texts] == list(task.scored.classes)
    page = mk.show_batch(replace(CONFIG, mixup=5.0), cases, n=4)
    assert "mixed: the masks drawn are each picture's own" in page._suptitle.get_text()
    words = [text.split("\n")[1] for text in titles(page)]
    assert all(text.endswith(" of these masks") and 0 < float(text[:4]) < 1 for text in words)


@pytest.fixture
def run(known, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKIT_CACHE", str(tmp_path / "cache"))
    return mk.fit(CONFIG, known[1], tmp_path / "run", fold=0, **QUIET)


def test_what_a_model_sees_is_its_probability(run, known):
    import torch

    task, cases, _ = known
    chosen, name = cases.head(3), task.scored.classes[1]
    images, heat = mk.explain(run, chosen, class_name=name)
    assert images.shape == (3, 32, 32, 3) and heat.shape == (3, 32, 32)
    model = load_model(run, device="cpu")
    with torch.no_grad():
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(model.mean.device)
        levels = ANSWERS["masks"].collect.levels(model(batch, torch.zeros(3, 0)))
    assert np.allclose(heat, levels[:, 1].numpy() / 255)
    with pytest.raises(ValueError, match="explain: no class 'file' .expected one of 뼈-1, 뼈-2"):
        mk.explain(run, chosen, class_name="file")
    told = {"predictions": run.predictions, "class_name": name}
    held_out = cases[cases["fold"] == 0].head(3)
    page = mk.show_saliency(task, images, heat, titles=list(held_out["id"]), **told)
    assert (
        page._suptitle.get_text()
        == "Bright: where the model sees 뼈-2; the brighter, the surer it is."
    )
    assert titles(page) == list(held_out["id"])
    with pytest.raises(ValueError, match="show_saliency: no class 'x' .expected one of 뼈-1"):
        mk.show_saliency(task, images, heat, titles=list("abc"), **{**told, "class_name": "x"})


def test_saliency_tells_a_number_as_it_is():
    task = mk.Task("ages", "a", "a", (mk.Head("age"),))
    predictions = pd.DataFrame({"id": ["가", "나"], "age": [41.25, 3.0]})
    images, heat = np.zeros((2, 9, 9, 3), np.uint8), np.zeros((2, 9, 9))
    page = mk.show_saliency(task, images, heat, titles=["나", "가"], predictions=predictions)
    assert titles(page) == ["나\nage 3", "가\nage 41.25"]
    assert "the prediction of age" in page._suptitle.get_text()


def test_each_kind_says_what_may_be_asked_of_it():
    sex, age = mk.Head("sex", ("f", "m")).answer, mk.Head("age").answer
    bits = mk.Head("masks", ("a", "b"), kind="exclusive_masks").answer
    assert (sex.asked, age.asked, bits.asked) == (("f", "m"), ("age",), ("a", "b"))
    assert (sex.compared_by, age.compared_by, bits.compared_by) == ("auc", "mae", "dice")
    for answer in (sex, age, bits):
        answer.check_metric(answer.compared_by)
    labels = pd.Series(["f", "m", None], dtype=object)
    assert list(sex.is_of(labels, "m")) == [False, True, False]
    assert list(age.is_of(pd.Series([3.0, None]), "age")) == [True, False]
    assert list(bits.is_of(pd.Series(["x.png", None]), "a")) == [True, False]


def test_bits_are_told_in_words():
    shown = ShownMasks(mk.Head("masks", ("a", "b"), kind="masks"))
    bits = np.zeros((2, 8, 8, masks.bytes_of(2)), np.uint8)
    bits[0, :4, :, 0] = 1
    bits[1, :2, :2, 0] = 3
    assert shown.words_of(bits) == ["a 50%, b 0%", "a 6.2%, b 6.2%"]
