"""Votes of masks, beside the same votes on whole planes and on masks drawn pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_contests import make_task

import medkit as mk
from medkit.images import crops, masks, rle
from medkit.images.crops import Crops, cropped
from medkit.inference.mask_votes import hard, soft

ONE = make_task("one", ("disc",))
TWO = make_task("two", ("disc", "bar"), kind="exclusive_masks")
SIZES = st.tuples(st.integers(3, 30), st.integers(3, 30))
SMALL = settings(max_examples=40, deadline=None)


def drawn_planes(data, inner, classes=1):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    planes = rng.integers(0, 256, (classes, *inner), dtype=np.uint8)
    planes[rng.random(planes.shape) < data.draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))] = 0
    return planes


def whole(found, name="disc"):
    """A class's plane, all of it."""
    plane = np.zeros(found.inner, np.uint8)
    if name in found.crops:
        x, y, levels = found.crops[name]
        plane[y : y + levels.shape[0], x : x + levels.shape[1]] = levels
    return plane


def shares_of(data, count):
    weights = data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    return np.array(weights) / sum(weights)


def table(folder, *found):
    """Predictions of these crops, in files of their own."""
    rows = []
    for of in found:
        path = Path(folder) / f"{of.id}.safetensors"
        rows.append((of.id, str(path), of.write(path)))
    return pd.DataFrame(rows, columns=["id", "file", "file_sha"])


def plain(seed=0, size=(20, 24), inner=(10, 12), id="x", classes=("disc",)):
    levels = np.random.default_rng(seed).integers(0, 256, (len(classes), *inner), dtype=np.uint8)
    return cropped(id, levels, size, classes)


# soft


@SMALL
@given(st.data())
def test_a_soft_vote_is_that_of_whole_planes(data):
    inner, count = data.draw(SIZES), data.draw(st.integers(1, 4))
    planes = [drawn_planes(data, inner) for _ in range(count)]
    shares = shares_of(data, count)
    found = soft([cropped("x", p, (40, 30), ("disc",)) for p in planes], shares)
    wanted = np.tensordot(shares.astype(np.float32), np.stack(planes), 1)
    assert np.array_equal(whole(found), np.rint(wanted).astype(np.uint8)[0])
    if count == 1:
        assert np.array_equal(whole(found), planes[0][0])


@SMALL
@given(st.data())
def test_planes_of_other_sizes_are_brought_to_the_largest(data):
    size, inners = (40, 30), [data.draw(SIZES) for _ in range(3)]
    planes = [drawn_planes(data, inner) for inner in inners]
    shares = shares_of(data, 3)
    found = soft([cropped("x", p, size, ("disc",)) for p in planes], shares)
    inner = max(inners, key=np.prod)
    assert found.inner == inner and found.size == size
    each = [masks.enlarged(p[0].astype(np.float32), (0, 0), p[0].shape, inner)[0] for p in planes]
    wanted = np.tensordot(shares.astype(np.float32), np.stack(each), 1)
    assert np.abs(whole(found) - wanted).max() <= 0.5 + 2**-9


@SMALL
@given(st.data())
def test_classes_that_exclude_each_other_still_do_at_any_size(data):
    votes = []
    for _ in range(3):
        inner = data.draw(SIZES)
        first = drawn_planes(data, inner)[0]
        first = np.where(data.draw(st.booleans()), 127, first).astype(np.uint8)
        other = np.minimum(254 - first.astype(int), drawn_planes(data, inner)[0])
        planes = np.stack([np.minimum(first, 254), np.maximum(other, 0)]).astype(np.uint8)
        votes.append(cropped("x", planes, (40, 30), ("disc", "bar")))
    found = soft(votes, np.full(3, 1 / 3))
    assert (whole(found, "disc").astype(int) + whole(found, "bar")).max() <= 254
    runs = [found.runs(name, crops.cut_of(0.5)) for name in ("disc", "bar")]
    assert not rle.area(rle.vote(runs))


def test_decided_masks_take_part_in_a_soft_vote():
    mask = np.zeros((20, 24), np.uint8)
    mask[3:9, 5:20] = 1
    decided = Crops("x", (20, 24), (20, 24), ("disc",), {}, {"disc": rle.runs_of(mask)})
    assert np.array_equal(whole(soft([decided], np.ones(1))), 255 * mask)
    nothing = Crops("x", (20, 24), (10, 12), ("disc",))
    half = soft([decided, nothing], np.array([0.5, 0.5]))
    assert half.inner == (20, 24) and np.array_equal(whole(half), 127 * mask)  # a tie is outside


def test_a_soft_vote_of_decided_masks_never_puts_a_pixel_in_two_that_exclude_each_other():
    names, runs = ("disc", "bar"), np.array([50, 60])
    votes = [Crops("x", (20, 24), (20, 24), names, {}, {name: runs}) for name in names]
    for each in (votes, 2 * votes):
        tie = soft(each, np.full(len(each), 1 / len(each)))
        assert not [name for name in names if len(tie.runs(name, crops.cut_of(0.5)))]
    most = soft([*votes, votes[1]], np.full(3, 1 / 3))
    assert [rle.area(most.runs(name, crops.cut_of(0.5))) for name in names] == [0, 10]


def test_who_has_no_weight_has_no_say_and_is_not_opened(tmp_path):
    one, other = plain(0), plain(1, inner=(30, 40))
    both = [table(tmp_path / "a" / "1", one), table(tmp_path / "a" / "2", other)]
    Path(both[1]["file"].iloc[0]).unlink()
    blended = mk.blend(ONE, both, weights=(3, 0))
    assert Path(blended["file"].iloc[0]).read_bytes() == Path(both[0]["file"].iloc[0]).read_bytes()
    assert list(blended["file_sha"]) == list(both[0]["file_sha"])
    assert Path(blended["file"].iloc[0]).parents[1] == tmp_path / "a" / "blended"
    nothing = both[1].assign(file=pd.Series([None], dtype=object), file_sha=None)
    blended = mk.blend(ONE, [nothing, both[0]], weights=(0, 1))
    assert list(blended["file_sha"]) == list(both[0]["file_sha"])
    assert mk.blend(ONE, [nothing, both[0]])["file"].isna().all()


# hard


@SMALL
@given(st.data())
def test_a_hard_vote_is_the_majority_of_masks_drawn_at_the_pictures_size(data):
    size, count = data.draw(SIZES), data.draw(st.integers(1, 5))
    planes = [drawn_planes(data, data.draw(SIZES)) for _ in range(count)]
    shares = shares_of(data, count)
    cuts = data.draw(st.lists(st.integers(1, 255), min_size=count, max_size=count))
    more_than = data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.99]))
    votes = [cropped("x", p, size, ("disc",)) for p in planes]
    found = hard(votes, shares, cuts=[[cut] for cut in cuts], more_than=more_than)
    each = [masks.enlarged(p[0], (0, 0), p[0].shape, size)[0] for p in planes]
    votes = sum(share * (plane >= cut) for share, plane, cut in zip(shares, each, cuts))
    wanted = votes > more_than + 1e-9
    for order in "CF":
        runs = found.runs("disc", 7, order=order)
        assert np.array_equal(runs, rle.runs_of(wanted, order=order))


def test_each_table_has_its_own_thresholds(tmp_path):
    both = [table(tmp_path / str(k), plain(k)) for k in range(2)]
    found = mk.blend(ONE, both, how="hard", threshold=[0.2, 0.7], more_than=0.9)
    one, other = plain(0).runs("disc", 51), plain(1).runs("disc", 179)
    runs = crops.read(found["file"].iloc[0], id="x", classes=("disc",)).decided["disc"]
    assert np.array_equal(runs, rle.vote([one, other]))
    any_ = mk.blend(ONE, both, how="hard", threshold={"disc": 0.7}, more_than=0)
    assert (any_["file"] != found["file"]).all()  # other settings, other files
    again = mk.blend(ONE, both, how="hard", threshold=[0.2, 0.7], more_than=0.9)
    assert again.equals(found)


def test_small_parts_are_gone_and_scored_and_handed_in_so(tmp_path):
    levels = np.zeros((1, 20, 24), np.uint8)
    levels[0, 2:12, 3:15], levels[0, 16, 20:23] = 255, 255
    one = table(tmp_path, cropped("x", levels, (20, 24), ("disc",)))
    for smallest, area in ((0, 123), (3, 123), (4, 120), (121, 0)):
        found = mk.blend(ONE, [one], how="hard", smallest=smallest)
        known = crops.read(found["file"].iloc[0], id="x", classes=("disc",))
        assert rle.area(known.runs("disc", 128)) == area
        assert known.counts("disc", rle.runs_of(levels[0]))[1][128] == area


def test_pictures_that_nobody_could_look_at_stay_without_a_file(tmp_path):
    one = pd.concat([table(tmp_path, plain()), pd.DataFrame({"id": ["y"], "file": [None]})])
    for how in ("soft", "hard"):
        found = mk.blend(ONE, [one, one], how=how)
        assert found.iloc[1].isna().tolist() == [False, True, True]
        assert isinstance(found["file"].iloc[0], str) and len(found["file_sha"].iloc[0]) == 16
    none = pd.DataFrame({"id": ["y"], "file": pd.Series([None], dtype=object)})
    assert mk.blend(ONE, [none])["file"].isna().all()


def test_tables_of_before_know_no_sha(tmp_path):
    old = table(tmp_path, plain()).drop(columns="file_sha")
    assert mk.blend(ONE, [old, old]).columns.tolist() == ["id", "file", "file_sha"]


# what is refused


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"how": "rank"}, "masks is masks; only how='soft' has a meaning"),
        ({"more_than": 0.6}, "more_than=0.6 has no meaning for how='soft' where masks is masks"),
        ({"threshold": [0.5, 0.5]}, "threshold=.* has no meaning for how='soft'"),
        ({"threshold": np.array([0.5, 0.5])}, "threshold=.* has no meaning for how='soft'"),
        ({"smallest": 9}, "smallest=9 .* how='soft'.*Leave it out, or take how='hard'"),
        ({"how": "hard", "more_than": 1.0}, "more_than=1.0 .expected 0.0 to below 1"),
        ({"how": "hard", "more_than": -0.1}, "more_than=-0.1 .expected 0.0 to below 1"),
        ({"how": "hard", "more_than": None}, "more_than: found None .expected"),
        ({"how": "hard", "smallest": -1}, "smallest=-1 .expected whole pixels from 0 on"),
        ({"how": "hard", "smallest": 2.5}, "smallest: found 2.5 .expected a whole n"),
        ({"how": "hard", "threshold": [0.5]}, "1 thresholds for 2 tables .expected one for all"),
        ({"how": "hard", "threshold": [0.5] * 3}, "3 thresholds for 2 tables"),
        ({"how": "hard", "threshold": [0.5, 1.5]}, "threshold: 1.5 .expected a probability"),
        ({"how": "hard", "threshold": None}, "found None .expected a number or numbers"),
        ({"weights": (1, -1)}, r"weights \[1.0, -1.0\] for 2 tables .expected a number from 0"),
        ({"how": "hard", "threshold": {"bar": 0.5}}, "one for each of disc"),
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path, asked, words):
    both = [table(tmp_path / str(k), plain(k)) for k in range(2)]
    with pytest.raises(ValueError, match=words):
        mk.blend(ONE, both, **asked)
    with pytest.raises(ValueError, match="found a DataFrame .expected a list of tables"):
        mk.blend(ONE, both[0], **asked)


def test_a_pixel_is_never_in_two_masks_that_exclude_each_other(tmp_path):
    one = table(tmp_path, plain(classes=("disc", "bar")))
    with pytest.raises(ValueError, match="more_than=0.3 .expected 0.5 to below 1, for one answer"):
        mk.blend(TWO, [one], how="hard", more_than=0.3)
    with pytest.raises(ValueError, match="threshold: 0.3 .expected a probability from 0.5"):
        mk.blend(TWO, [one], how="hard", threshold=0.3)


def test_predictions_of_other_pictures_classes_or_images_are_refused(tmp_path):
    one = table(tmp_path / "0", plain())
    large = table(tmp_path / "1", plain(size=(40, 48)))
    for how in ("soft", "hard"):
        words = r"masks of a picture of 48 x 40 pixels \(expected 24 x 20, .*Predict the same"
        with pytest.raises(ValueError, match=words):
            mk.blend(ONE, [one, large], how=how)
    for number, (other, words) in enumerate(
        [
            (plain(classes=("bar",)), "masks of the classes bar .expected disc"),
            (plain(id="y"), "the masks of 'y' .expected 'x'"),
        ]
    ):
        odd = table(tmp_path / f"odd{number}", other).assign(id="x")
        with pytest.raises(ValueError, match=words):
            mk.blend(ONE, [one, odd])


@pytest.mark.parametrize("how", ["soft", "hard"])
def test_a_vote_is_never_written_over_what_is_voted_on(tmp_path, how):
    one, other = table(tmp_path / "0", plain()), table(tmp_path / "1", plain(1))
    before = Path(other["file"].iloc[0]).read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "1")
    for folder in (tmp_path / "1", tmp_path / "0" / ".." / "1", tmp_path / "link"):
        with pytest.raises(ValueError, match="holds x.safetensors, which is voted on. Choose anot"):
            mk.blend(ONE, [one, other], how=how, folder=folder)
    assert Path(other["file"].iloc[0]).read_bytes() == before
    beside = mk.blend(ONE, [one, other], how=how, folder=tmp_path / "2")
    assert Path(beside["file"].iloc[0]).parent == tmp_path / "2"


@pytest.mark.parametrize("how", ["soft", "hard"])
def test_a_file_that_changed_or_is_gone_is_refused(tmp_path, how):
    one = table(tmp_path / "0", plain())
    plain(5).write(Path(one["file"].iloc[0]))
    with pytest.raises(ValueError, match="changed since it was predicted .found sha"):
        mk.blend(ONE, [one, one], how=how)
    Path(one["file"].iloc[0]).unlink()
    with pytest.raises(FileNotFoundError, match="the predicted masks of 'x' are gone"):
        mk.blend(ONE, [one, one], how=how)
