from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_runs import QUIET, TWO_EPOCHS
from tiny_tables import make

import medkit as mk
from medkit.splitting import split

TASK = mk.get_task("caries")


def test_folds_keep_groups_together_and_balance_labels():
    cases = make(600)
    folds = mk.assign_folds(TASK, cases, n_folds=5, seed=3)
    assert "fold" not in cases and set(folds["fold"]) == set(range(5))
    assert folds.groupby("group")["fold"].nunique().max() == 1
    shares = folds.groupby("fold")["decayed"].agg(lambda labels: (labels == "decayed").mean())
    assert shares.max() - shares.min() < 0.03
    assert folds["fold"].equals(mk.assign_folds(TASK, cases, n_folds=5, seed=3)["fold"])
    assert not folds["fold"].equals(mk.assign_folds(TASK, cases, n_folds=5, seed=4)["fold"])


def test_folds_are_the_same_on_both_lanes():
    folds = mk.assign_folds(TASK, make(30, per_group=2), n_folds=3, seed=0)["fold"]
    assert "".join(map(str, folds[::2])) == "110120202020012"


def test_too_many_folds_are_refused():
    with pytest.raises(ValueError, match=r"9 folds of 4 groups are not possible\. Use 2 to 4"):
        mk.assign_folds(TASK, make(12), n_folds=9)


def test_a_fold_without_positives_is_told():
    cases = make(30).assign(decayed="sound")
    cases.loc[0, "decayed"] = "decayed"
    with pytest.warns(UserWarning, match=r"hold no decayed 'decayed' \(1 cases in all\)"):
        mk.assign_folds(TASK, cases, n_folds=3)


def test_cases_without_labels_can_be_split():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = mk.assign_folds(TASK, make(30).assign(decayed=None), n_folds=3)
    assert set(folds["fold"]) == {0, 1, 2}
    with pytest.raises(
        ValueError, match=r"caries: no column 'decayed' .* Did you mean 'decaye'\?$"
    ):
        mk.assign_folds(TASK, make(30).rename(columns={"decayed": "decaye"}), n_folds=3)
    with pytest.raises(
        ValueError, match=r"stratify: no column 'group_' .* Did you mean 'group'\?$"
    ):
        mk.assign_folds(TASK, make(30), n_folds=3, stratify=["group_"])


def test_folds_are_balanced_by_the_labels_of_the_task_and_by_nothing_else():
    rng = np.random.default_rng(0)
    cases = make(300, per_group=1).assign(scanner=rng.choice(list("abcdef"), 300))
    plain = mk.assign_folds(TASK, cases.drop(columns="scanner"), n_folds=3)["fold"]
    assert plain.equals(mk.assign_folds(TASK, cases, n_folds=3)["fold"])
    by_scanner = mk.assign_folds(TASK, cases, n_folds=3, stratify=["scanner"])
    shares = pd.crosstab(by_scanner["fold"], by_scanner["scanner"])
    assert (shares.max() - shares.min()).max() <= 1
    ages = mk.Task("ages", "a", "a", (mk.Head("years_old"), mk.Head("ill", ("no", "yes"))))
    people = cases.assign(years_old=rng.random(300) * 90, ill=rng.choice(["no", "yes"], 300))
    means = mk.assign_folds(ages, people, n_folds=3).groupby("fold")["years_old"].mean()
    assert means.max() - means.min() < 3
    one = people.drop(columns="ill").assign(years_old=7.0)  # a number that is always the same
    for odd in (
        one,
        one.assign(years_old=None),
        pd.concat([one[:150], one[150:].set_axis(range(150))]),
    ):
        assert set(mk.assign_folds(ages, odd, n_folds=3)["fold"]) == {0, 1, 2}


@pytest.mark.parametrize("ask", [mk.assign_folds, mk.summarize])
def test_the_task_stands_first(ask):
    words = (
        rf"{ask.__name__}: found a DataFrame \(expected a task first\)\. Write mk\.{ask.__name__}"
    )
    with pytest.raises(TypeError, match=words):
        ask(make(60), make(60))


@pytest.fixture
def twins(tmp_path):
    """Six photos: 1 is 0 to the byte, 2 is 0 as a smaller JPEG, 5 has the group of 4."""
    rng = np.random.default_rng(0)
    for k in (0, 3, 4, 5):
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((240, 180), Image.BICUBIC)
        picture.save(tmp_path / f"{k}.png")
    shutil.copy(str(tmp_path / "0.png"), str(tmp_path / "1.png"))
    picture = Image.open(tmp_path / "0.png")
    picture.resize((160, 120)).save(tmp_path / "2.jpg", quality=60)
    names = ["0.png", "1.png", "2.jpg", "3.png", "4.png", "5.png"]
    return pd.DataFrame(
        {
            "id": list("abcdef"),
            "path": [str(tmp_path / name) for name in names],
            "group": ["g0", "g1", "g2", "g3", "g4", "g4"],
            "fold": [0, 1, 1, 0, 0, 1],
        }
    )


def test_leaks_name_their_pairs(twins):
    found = mk.find_leaks(twins)
    pairs = {(row.id_a, row.id_b): row.kind for row in found.itertuples()}
    assert pairs == {("a", "b"): "same file", ("a", "c"): "same picture", ("e", "f"): "same group"}
    assert found["path_b"][0].endswith("1.png")
    quick = mk.find_leaks(twins, near=False)
    assert set(quick["kind"]) == {"same file", "same group"}


def test_leaks_between_train_and_test_are_found(twins):
    train, test = twins.iloc[[0, 3]], twins.iloc[[1, 2, 4]]
    found = mk.find_leaks(train, other=test)
    assert set(zip(found["id_a"], found["id_b"])) == {("a", "b"), ("a", "c")}
    no_folds = [table.drop(columns="fold") for table in (train, test)]
    assert mk.find_leaks(no_folds[0], other=no_folds[1]).equals(found)


def test_on_one_side_nothing_leaks(twins):
    assert mk.find_leaks(twins.assign(fold=0)).empty
    with pytest.raises(ValueError, match="find_leaks: no column 'group'"):
        mk.find_leaks(twins.drop(columns="group"))


def test_without_folds_twins_of_two_groups_are_pairs_that_a_split_could_part(twins):
    found = mk.find_leaks(twins.drop(columns="fold"))
    pairs = set(zip(found["id_a"], found["id_b"]))
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}  # e and f are of one group


@pytest.mark.filterwarnings("ignore:assign_folds")  # six cases hold few labels
def test_twins_are_joined_and_no_split_parts_them(twins, tmp_path):
    cases = twins.drop(columns="fold")
    leaks = mk.find_leaks(cases)
    joined = mk.join_groups(cases, leaks)
    assert list(joined["group"]) == ["g0", "g0", "g0", "g3", "g4", "g4"]
    assert list(cases["group"]) == list(twins["group"])  # a copy
    assert mk.find_leaks(joined).empty
    for seed in range(4):
        folds = mk.assign_folds(TASK, joined.assign(decayed=list("010101")), n_folds=3, seed=seed)
        assert mk.find_leaks(folds).empty
    mk.tables.write_csv(leaks, tmp_path / "leaks.csv")  # as the notebooks hand them on
    again = mk.join_groups(cases, tmp_path / "leaks.csv")
    pd.testing.assert_frame_equal(again, joined)
    one = leaks[(leaks["id_a"] == "a") & (leaks["id_b"] == "c")]  # a person took the others out
    assert list(mk.join_groups(cases, one)["group"]) == ["g0", "g1", "g0", "g3", "g4", "g4"]


def test_joining_goes_through_pictures_that_are_not_among_the_cases(twins):
    cases = twins.drop(columns="fold")
    leaks = mk.find_leaks(cases)
    chain = leaks[leaks["id_a"] + leaks["id_b"] != "ac"]  # a is b, and b is c
    joined = mk.join_groups(cases[cases["id"] != "b"], chain)
    assert list(joined["group"]) == ["g0", "g0", "g3", "g4", "g4"]
    across = mk.find_leaks(cases.iloc[:1], other=cases.iloc[1:])
    with pytest.raises(ValueError, match="none of 2 pairs is of these cases"):
        mk.join_groups(cases.iloc[3:], across)
    pd.testing.assert_frame_equal(mk.join_groups(cases, leaks[:0]), cases)
    with pytest.raises(ValueError, match="join_groups: leaks: no column 'path_a'"):
        mk.join_groups(cases, leaks.drop(columns="path_a"))


def test_one_picture_in_two_groups_joins_them(twins):
    cases = twins.drop(columns="fold").iloc[[0, 0, 3, 4]].assign(id=list("abcd"))
    cases = cases.assign(group=["u", "v", "w", "x"])  # one X-ray listed under two patients
    leaks = mk.find_leaks(cases)
    assert len(leaks) == 1 and leaks["path_a"][0] == leaks["path_b"][0]
    joined = mk.join_groups(cases, leaks)
    assert list(joined["group"]) == ["u", "u", "w", "x"] and mk.find_leaks(joined).empty


def test_groups_may_be_numbers_and_a_twin_without_one_is_named(twins):
    cases = twins.drop(columns="fold").assign(group=[7, 3, 5, 1, 2, 2])
    leaks = mk.find_leaks(cases)
    assert list(mk.join_groups(cases, leaks)["group"]) == [7, 7, 7, 1, 2, 2]
    with pytest.raises(ValueError, match=r"join_groups: 1 cases of the pairs have no group, e\.g"):
        mk.join_groups(cases.assign(group=[None, *"bcdef"]), leaks)


def test_pairs_that_notebook_01_did_not_keep_are_told(twins, tmp_path):
    with pytest.raises(FileNotFoundError, match="Run 01_eda.ipynb to its end, which writes it"):
        mk.join_groups(twins, tmp_path / "leaks.csv")


def test_cases_without_picture_or_group_are_left_as_they_are(twins):
    cases = twins.drop(columns="fold")
    leaks = mk.find_leaks(cases)
    cases.loc[3, "path"], cases.loc[4, "group"] = None, None
    joined = mk.join_groups(cases.set_index(cases.index[::-1]), leaks)
    assert list(joined["group"][:4]) == ["g0", "g0", "g0", "g3"] and joined["group"].isna().sum()
    assert list(joined.index) == [5, 4, 3, 2, 1, 0]


def test_a_group_that_swallows_the_others_is_told():
    cases = make(20, per_group=1).assign(path=[f"{k}.png" for k in range(20)])
    leaks = pd.DataFrame({"path_a": ["0.png"] * 9, "path_b": [f"{k}.png" for k in range(1, 10)]})
    with pytest.warns(
        UserWarning, match=r"10 of 20 groups are one now, '0+'\. Look at mk\.show_leaks"
    ):
        mk.join_groups(cases, leaks)


def test_teeth_of_one_photo_are_one_picture(twins):
    teeth = pd.concat([twins, twins.assign(id=[f"{k}2" for k in "abcdef"])], ignore_index=True)
    assert len(mk.find_leaks(teeth)) == 3


def test_a_case_without_a_group_is_refused():
    cases = make(12)
    cases.loc[3, "group"] = None
    with pytest.raises(ValueError, match=r"1 of 12 cases have no group, e\.g\. \['000003'\]"):
        mk.assign_folds(TASK, cases, n_folds=2)


def test_one_class_only_is_told():
    with pytest.warns(UserWarning, match=r"'decayed' has one class only \('sound'\)"):
        mk.assign_folds(TASK, make(30).assign(decayed="sound"), n_folds=3)


def test_labels_too_rare_to_balance_do_not_stop_the_split():
    cases = make(6, per_group=1).assign(decayed=list("aabbcc"))
    with pytest.warns(UserWarning, match="hold no decayed"):
        assert set(mk.assign_folds(TASK, cases, n_folds=3)["fold"]) == {0, 1, 2}


def test_a_broken_picture_does_not_stop_the_leak_check(twins):
    path = twins["path"][2]
    with open(path, "r+b") as file:
        file.truncate(800)
    with pytest.warns(UserWarning, match=r"1 of 6 pictures cannot be compared, e\.g\. .*2\.jpg"):
        assert set(mk.find_leaks(twins)["kind"]) == {"same file", "same group"}


def test_a_fold_is_held_out_and_what_has_no_picture_is_left_out(cases):
    task, lost = mk.get_task("caries"), cases.copy()
    lost.loc[cases.index[3], "path"] = None
    seen, held_out = split(task, lost, 1)
    assert set(seen["id"]) == set(cases["id"]) - {cases["id"].iloc[3]}
    assert (held_out == (seen["fold"] == 1)).all() and held_out.any()
    assert not set(seen["group"][held_out]) & set(seen["group"][~held_out])
    everything, none = split(task, cases, None)
    assert len(everything) == len(cases) and not none.any()


def test_more_than_two_classes_may_lack_one_in_a_fold(cases):
    task = replace(mk.get_task("caries"), heads=(mk.Head("view", ("front", "left", "upper")),))
    task = replace(task, scored=task.heads[0])
    few = cases[cases["view"].isin(["front", "upper"])].assign(view="front", fold=1)
    few.loc[few.index[::3], "view"] = "upper"
    other = few.assign(group="another", fold=0, id=few["id"] + "+")
    other.loc[other.index[::2], "view"] = "left"
    with pytest.raises(ValueError, match="the training cases of caries hold no case labelled"):
        split(task, pd.concat([few, other]), 0)
    with pytest.warns(UserWarning, match="fold 1 holds no view 'left'"):
        split(task, pd.concat([few, other]), 1)


def test_cases_without_folds_are_refused(cases, tmp_path):
    with pytest.raises(ValueError, match="no column 'fold'"):
        mk.fit(TWO_EPOCHS, cases.drop(columns="fold"), tmp_path / "run", **QUIET)
    with pytest.raises(ValueError, match=r"no fold 8 \(found \[0, 1, 2\]\)"):
        mk.fit(TWO_EPOCHS, cases, tmp_path / "run", fold=8, **QUIET)


def test_a_group_on_both_sides_is_refused(cases, tmp_path):
    torn = cases.assign(fold=np.arange(len(cases)) % 3)
    with pytest.raises(ValueError, match="groups are on both sides of fold 0"):
        mk.fit(TWO_EPOCHS, torn, tmp_path / "run", **QUIET)


def test_a_missing_class_is_refused(cases, tmp_path):
    sound = cases[cases["decayed"] == "sound"]
    with pytest.raises(ValueError, match="the training cases of caries hold no case .*'decayed'"):
        mk.fit(TWO_EPOCHS, sound, tmp_path / "run", **QUIET)
    lacking = cases[(cases["decayed"] == "sound") | (cases["fold"] != 0)]
    with pytest.raises(ValueError, match="fold 0 of caries hold no case labelled 'decayed'"):
        mk.fit(TWO_EPOCHS, lacking, tmp_path / "run", **QUIET)
