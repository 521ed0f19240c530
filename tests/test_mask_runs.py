"""Runs whose answer is masks: learnt, exact through stops and workers, predicted, blended."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mask_contests import CLASSES, TINY, draw, make_task, read, write
from PIL import Image

import medkit as mk
from medkit import tables
from medkit.images import crops, masks, rle
from medkit.inference import predicting
from medkit.metrics import SMOOTH
from medkit.runs.tensor_files import load_state, weights_hash
from medkit.training import pacing
from medkit.training.state import State

QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
CONFIG = mk.Config(
    "shapes",
    epochs=3,
    seed=3,
    ema_decay=0.8,
    mixup=0.3,
    drop_rate=0.1,
    deep_supervision=1,
    **{**TINY, "augment": "xray"},
)


@pytest.fixture(scope="module", autouse=True)
def task():
    made = mk.add_task(make_task())
    yield made
    mk.datasets.TASKS.pop(made.name)


@pytest.fixture(scope="module")
def cases(task, tmp_path_factory):
    return read(task, draw(tmp_path_factory.mktemp("data"), 16))


@pytest.fixture(scope="module")
def straight(cases, tmp_path_factory):
    """A run without a stop."""
    return mk.fit(CONFIG, cases, tmp_path_factory.mktemp("runs") / "straight", **QUIET)


def held_out(run):
    cases = run.cases()
    return cases[cases["fold"] == run.fold]


def result(run):
    """All that must be equal bit for bit; the files of masks, too."""
    names = ["history.csv", "predictions.csv", "best.safetensors"]
    names += [path.relative_to(run.path) for path in sorted(run.path.glob("valid/*/*"))]
    found = {str(name): (run.path / name).read_bytes() for name in names}
    return {**found, "weights": weights_hash(load_state(run.last)[0])}


class Stop(Exception):
    pass


@pytest.mark.parametrize(("epoch", "step", "workers"), [(0, 1, 1), (1, 0, 2), (2, 1, 0)])
def test_a_stopped_run_goes_on_to_the_same_bits(
    straight, cases, tmp_path, monkeypatch, epoch, step, workers
):
    whole = State.set_rate

    def set_rate(self):
        if (self.epoch, self.step) == (epoch, step):
            raise Stop
        return whole(self)

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(State, "set_rate", set_rate)
        patched.setattr(pacing, "SAVES_APART", 0)
        mk.fit(CONFIG, cases, tmp_path / "run", save_every_s=0, **QUIET)
    run = mk.fit(CONFIG, cases, tmp_path / "run", **{**QUIET, "num_workers": workers})
    assert result(run) == result(straight) and run.history["bit_exact"].all()


def test_the_files_of_the_best_epoch_alone_are_kept(straight):
    best = straight.history["valid_loss"].idxmin() + 1
    assert [path.name for path in straight.path.glob("valid/*")] == [f"epoch{best:03d}"]
    assert len(list(straight.path.glob("valid/*/*.safetensors"))) == len(held_out(straight))


def test_what_is_validated_is_what_is_predicted_and_handed_in(straight, task):
    cases = held_out(straight)
    told = straight.history.iloc[straight.history["valid_loss"].idxmin()]
    scores = mk.score(task, cases, straight.predictions)
    assert scores["dice"] == pytest.approx(told["dice"], abs=1e-12)
    predictions = mk.predict(straight, cases, **{"device": "cpu"})
    assert mk.score(task, cases, predictions) == scores
    table = task.submission_table(cases, predictions)
    truth = task.true_table(cases)
    one, other, shared = rle.overlaps(list(table["rle"]), list(truth["rle"]), None)
    found = (2 * shared + SMOOTH) / (one + other + SMOOTH)
    assert np.mean(found) == pytest.approx(scores["dice"], abs=1e-12)


def test_a_run_folder_that_was_moved_still_finds_its_files(straight, task, tmp_path):
    shutil.copytree(straight.path, tmp_path / "elsewhere" / "run")
    run = mk.Run(tmp_path / "elsewhere" / "run")
    assert all(str(tmp_path) in file for file in run.predictions["file"])
    assert mk.score(task, held_out(run), run.predictions)


def test_data_that_was_moved_is_found_with_its_masks(straight, cases, tmp_path):
    data = tmp_path / "moved"
    shutil.copytree(straight.path.parents[1] / "data0", data)
    moved = straight.cases(data=data)
    assert moved["masks"].str.startswith(str(data)).all()
    assert mk.tables.cases_hash(moved) == mk.tables.cases_hash(cases)
    shutil.copytree(straight.path, tmp_path / "run")
    mk.fit(CONFIG, cases, tmp_path / "run", data=data, **QUIET)


def test_any_number_of_images_at_once_gives_the_same_masks(straight, task):
    cases = held_out(straight)
    some = mk.predict(straight, cases, batch_size=3, folder=straight.path / "a", device="cpu")
    all_ = mk.predict(straight, cases, batch_size=8, folder=straight.path / "b", device="cpu")
    assert (some["file"] != all_["file"]).all()
    a, b = (mk.score(task, cases, table)["dice"] for table in (some, all_))
    assert a == pytest.approx(b, abs=1e-3)


def test_views_are_turned_back(straight, task):
    cases = held_out(straight)
    plain = mk.predict(straight, cases, device="cpu")
    views = mk.predict(straight, cases, views="all", device="cpu")
    assert plain["file"].iloc[0] != views["file"].iloc[0]
    a, b = (mk.score(task, cases, table)["dice"] for table in (plain, views))
    assert abs(a - b) < 0.2


def test_a_picture_that_nobody_can_look_at_has_no_mask(straight, task):
    cases = held_out(straight).copy()
    cases["path"] = cases["path"].astype(object)
    cases.loc[cases.index[0], "path"] = None
    with pytest.warns(UserWarning, match="1 cases cannot be looked at"):
        predictions = mk.predict(straight, cases, device="cpu")
    assert predictions["file"].isna().sum() == 1
    table = task.submission_table(cases, predictions)
    assert (table[table["id"] == cases["id"].iloc[0]]["rle"] == "").all()


def test_shapes_can_be_learnt(cases, task, tmp_path):
    config = mk.Config("shapes", epochs=25, peak_lr=1e-2, **{**TINY, "image_size": 48})
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    rows = held_out(run)
    threshold = mk.choose_threshold(task, rows, run.predictions)
    scores = mk.score(task, rows, run.predictions, threshold=threshold)
    assert scores["disc_dice"] > 0.6 and scores["bar_dice"] > 0.6, scores


def test_one_class_a_pixel(tmp_path):
    folder = draw(tmp_path / "data", 12)
    from mask_contests import planes

    for number in range(12):
        disc, bar, _ = planes(number, ((40, 56), (48, 32))[number % 2])
        write(folder / "index" / f"p{number:02d}.png", np.where(bar, 2, disc).astype(np.uint8))
    kind, files = "exclusive_masks", mk.MaskFiles()
    task = mk.add_task(make_task("index", ("disc", "bar"), kind, files))
    cases = mk.read_masks(task, folder / "images", folder / "index")
    cases = mk.assign_folds(task, cases, n_folds=2, seed=0)
    config = mk.Config("index", epochs=2, **TINY)
    run = mk.fit(config, cases, tmp_path / "run", **QUIET)
    mk.datasets.TASKS.pop("index")
    assert {"dice", "iou", "disc_dice", "bar_dice"} <= set(run.history)
    for id, file, _ in run.predictions.itertuples(index=False):
        found = crops.read(file, id=id, classes=("disc", "bar"))
        size = found.size
        both = [rle.to_mask(found.runs(name, crops.cut_of(0.5)), size) for name in found.classes]
        assert (both[0] & both[1]).sum() == 0


def test_a_batch_is_shown_to_the_model_with_its_masks(cases, task):
    data = predicting.make_dataset(task, CONFIG, cases, progress=False)
    item = data[0, 0, 3]
    shape, truth = task.read_masks(cases.iloc[3].to_dict())
    wanted = masks.to_bits([truth[name] for name in CLASSES], shape, 32)
    assert np.array_equal(item.labels.numpy(), wanted)
    moved = data.augmented("xray")[0, 0, 3]
    assert moved.labels.shape == (32, 32, 1) and not np.array_equal(moved.labels.numpy(), wanted)
    blind = predicting.make_dataset(task, CONFIG, cases.drop(columns="masks"), progress=False)
    assert blind[0, 0, 3].labels.shape == (0,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cutmix": 0.5}, "cutmix=0.5 has no meaning where masks is masks of 3 classes"),
        ({"peers": 2}, "peers=2 has no meaning"),
        ({"teacher": "x"}, "teacher=.* has no meaning"),
        ({"balanced": True}, "balanced=True"),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1 has no meaning"),
        ({"loss": "class_balanced"}, "loss='class_balanced', and masks is masks of 3 classes"),
        ({"decoder": "u-net"}, "there is no decoder 'u-net' .*unet"),
        ({"best_by": "auc"}, "no score 'auc' to choose the best epoch by"),
        ({"contrast": "clae"}, "there is no contrast 'clae'.*clahe"),
    ],
)
def test_what_has_no_meaning_for_masks_is_refused(cases, tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        mk.fit(replace(CONFIG, **change), cases, tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()


def test_a_share_of_windows_that_are_none_is_a_warning(cases):
    with pytest.warns(UserWarning, match="patch_foreground=0.5 has no meaning without patches"):
        mk.estimate(replace(CONFIG, patch_foreground=0.5), cases, device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "test_vit"}, "'test_vit' cannot be the encoder"),
        ({"decoder_channels": (8, 8)}, "channels=.8, 8. do not fit"),
    ],
)
def test_what_the_network_refuses_leaves_a_folder_for_better_settings(
    cases, tmp_path, change, words
):
    with pytest.raises(ValueError, match=words):
        mk.fit(replace(CONFIG, **change), cases, tmp_path / "run", **QUIET)
    run = mk.fit(replace(CONFIG, epochs=1), cases, tmp_path / "run", **QUIET)
    assert run.state == "finished" and run.config.model == CONFIG.model


def test_unlabelled_pictures_are_refused(cases, tmp_path):
    lost = cases.copy()
    lost.loc[3, "masks"] = None
    with pytest.raises(ValueError, match=r"1 of \d+ have no masks.*notna"):
        mk.fit(CONFIG, lost, tmp_path / "run", **QUIET)


def test_masks_that_have_changed_are_refused(task, tmp_path):
    folder = draw(tmp_path / "data", 8)
    cases = read(task, folder)
    write(folder / "masks" / "disc" / "p03.png", np.zeros((48, 32), np.uint8))
    with pytest.raises(ValueError, match="p03.png: changed since the cases were read. Read"):
        mk.fit(CONFIG, cases, tmp_path / "run", **QUIET)


def test_masks_that_exclude_each_other_and_overlap_are_refused(tmp_path):
    task = mk.add_task(make_task("overlap", CLASSES, "exclusive_masks"))
    cases = read(task, draw(tmp_path / "data", 4))
    with pytest.raises(ValueError, match=r"pixels are in two masks \(expected one a pixel\)"):
        mk.fit(mk.Config("overlap", epochs=1, **TINY), cases, tmp_path / "run", **QUIET)
    mk.datasets.TASKS.pop("overlap")


def test_a_class_that_is_nowhere_is_told(tmp_path, task):
    folder = draw(tmp_path / "data", 8)
    for path in (folder / "masks" / "both").iterdir():
        write(path, 0 * np.asarray(Image.open(path)))
    cases = read(task, folder)
    with pytest.warns(UserWarning, match="none of 8 cases has a pixel of 'both'"):
        mk.fit(replace(CONFIG, epochs=1), cases, tmp_path / "run", **QUIET)


def test_sizes_and_times_are_told_of_masks_too(cases):
    found = mk.find_batch_size(CONFIG, most=2, device="cpu", progress=False)
    assert list(found.table["batch_size"]) == [2]
    told = mk.estimate(CONFIG, cases, device="cpu")
    assert told.steps == 2 and told.epoch_s > 0


def test_other_pictures_of_the_same_names_have_files_of_their_own(straight, task, tmp_path):
    other = read(task, draw(tmp_path / "data", 16, first=0, sizes=((44, 44),)))
    mine = held_out(straight)
    other = other[other["id"].isin(mine["id"])]
    first = mk.predict(straight, mine, device="cpu")
    before = mk.score(task, mine, first)
    second = mk.predict(straight, other, device="cpu")
    assert not set(first["file"]) & set(second["file"]) and mk.score(task, mine, first) == before


def test_another_reader_makes_another_store(cases, tmp_path):
    source = "def read_masks(case):\n    return case['shape'], {{'disc': np.array([0, {}])}}\n"
    stores = []
    for end in (3, 9):
        path = tmp_path / f"reader{end}.py"
        path.write_text("import numpy as np\n" + source.format(end))
        space: dict = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        own = make_task("own", read_masks=space["read_masks"])
        shaped = cases.assign(shape=[(40, 56), (48, 32)] * 8)
        data = predicting.make_dataset(
            own, CONFIG, shaped, cache_folder=tmp_path / "cache", progress=False
        )
        stores.append(data.cache.path)
    assert stores[0] != stores[1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "is NoneType .expected"),
        (((40, 56), {"bone": np.array([0, 3])}), "has 'bone' .expected some of disc, bar, both"),
        (((40, 56), {"disc": np.array([5, 3])}), "of 'disc' are no runs in order"),
        (((40, 56), {"disc": np.ones((40, 56))}), "of 'disc' are no runs in order"),
        (((41, 56), {}), "masks of 56 x 41 pixels .expected 56 x 40"),
    ],
)
def test_what_a_reader_of_ones_own_returns_is_checked(cases, answer, words):
    own = make_task(read_masks=lambda case: answer)
    with pytest.raises(ValueError, match=words):
        own.read_masks(cases.iloc[0].to_dict())
    quiet = make_task(read_masks=lambda case: ((40, 56), {}))
    assert list(quiet.read_masks(cases.iloc[0].to_dict())[1]) == list(CLASSES)


# several models


def test_a_vote_of_one_model_is_that_model(straight, task):
    cases, one = held_out(straight), straight.predictions
    soft = mk.blend(task, [one, one])
    assert mk.score(task, cases, soft) == mk.score(task, cases, one)
    cuts = {"disc": 0.3, "bar": 0.5, "both": 0.7}
    hard = mk.blend(task, [one, one, one], how="hard", threshold=cuts)
    decided = mk.score(task, cases, hard)
    assert decided == mk.score(task, cases, one, threshold=cuts)
    assert decided == mk.score(task, cases, hard, threshold=0.9)
    table = task.submission_table(cases, hard)
    assert table.equals(task.submission_table(cases, one, threshold=cuts))
    assert mk.show_mistakes(task, cases, hard)


def test_weights_and_means_of_weights_work_for_masks(straight, cases, task, tmp_path):
    runs = [straight, mk.fit(CONFIG, cases, tmp_path / "fold1", fold=1, **QUIET)]
    table = mk.concat_predictions(runs)
    before = len(list(straight.path.glob("blended/*")))
    found = mk.choose_weights(task, cases, [table, table], rounds=2)
    after = len(list(straight.path.glob("blended/*")))
    assert after - before <= 2  # of the vote, and of the fold's; trials leave no files
    assert found.nested_score == pytest.approx(mk.score(task, cases, table)["dice"], abs=1e-9)
    soup = mk.soup(runs, tmp_path / "soup")
    predictions = mk.predict(soup, cases, device="cpu")
    assert 0 <= mk.score(task, cases, predictions)["dice"] <= 1


def test_levels_of_masks_that_exclude_each_other_never_meet():
    from medkit.inference.mask_answers import ExclusiveMasks

    logits = torch.randn(4, 6, 9, 9, generator=torch.Generator().manual_seed(0))
    logits[:, 1] = logits[:, 2]  # ties
    levels = ExclusiveMasks.levels(logits).to(torch.int64)
    top = levels.topk(2, dim=1).values
    assert levels.shape == (4, 5, 9, 9) and int(top.sum(1).max()) <= 254
    sure = levels.max(1).values >= 128
    assert torch.equal(levels.argmax(1)[sure], (logits.argmax(1) - 1)[sure])


# what predictions know of their files


def test_predictions_know_their_files_through_tables_and_folds(straight, cases, task, tmp_path):
    table = straight.predictions
    assert list(table) == ["id", "file", "file_sha"]
    assert list(table["file_sha"]) == [crops.sha_of(file) for file in table["file"]]
    assert list(mk.predict(straight, held_out(straight), device="cpu")) == list(table)
    config = replace(CONFIG, epochs=1)
    folds = mk.fit_folds(config, cases, tmp_path / "folds", **QUIET)
    both = mk.concat_predictions(folds.runs)
    assert both.equals(folds.predictions) and both["file_sha"].map(len).eq(16).all()
    shutil.move(str(tmp_path / "folds"), str(tmp_path / "moved"))
    moved = tables.read_predictions(tmp_path / "moved" / "predictions.csv")
    scores = mk.score(task, cases, moved)
    assert scores["dice"] == pytest.approx(folds.scores["value"].iloc[-1], abs=1e-9)
    early = mk.concat_predictions([straight]).drop(columns="file_sha")  # of an older version
    some = cases[cases["id"].isin(early["id"])]
    assert mk.score(task, some, early) == mk.score(task, some, table)
    mixed = tables.files_of(pd.concat([early.head(1), moved.tail(1)], ignore_index=True))
    assert [sha is None for _, sha in mixed.values()] == [True, False]


def test_files_that_changed_or_are_gone_are_told(straight, task, tmp_path):
    shutil.copytree(straight.path, tmp_path / "run")
    run = mk.Run(tmp_path / "run")
    rows, table = held_out(run), run.predictions
    first = table["file"].iloc[0]
    known = crops.read(first, id=table["id"].iloc[0], classes=CLASSES)
    replace(known, crops={}).write(first)
    asks = (
        lambda: mk.score(task, rows, table),
        lambda: task.submission_table(rows, table),
        lambda: mk.blend(task, [table, table]),
        lambda: mk.blend(task, [table], how="hard"),
        lambda: mk.show_mistakes(task, rows, table.iloc[:1]),
    )
    for ask in asks:
        with pytest.raises(ValueError, match=r"changed since it was predicted \(found sha .*again"):
            ask()
    Path(first).unlink()
    with pytest.raises(FileNotFoundError, match="are gone"):
        mk.blend(task, [table])


def test_a_search_works_for_masks(cases, task, tmp_path):
    config = replace(CONFIG, epochs=1)
    found = mk.tune(
        config, cases, tmp_path / "search", space={"peak_lr": [1e-3, 3e-3]}, trials=2, **QUIET
    )
    assert list(found.trials["state"]) == ["finished"] * 2
    dice = mk.score(task, held_out(found.run), found.run.predictions)["dice"]
    assert dice == pytest.approx(found.run.history["dice"].iloc[-1], abs=1e-9)
