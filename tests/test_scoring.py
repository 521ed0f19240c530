from __future__ import annotations

import numpy as np
import pytest
from contests import IDS, TRUTH, table
from sklearn.metrics import f1_score, roc_auc_score

import medkit as mk
from medkit.datasets import TASKS, get_task
from medkit.leaderboard.contest import read_answers
from medkit.leaderboard.founding import new_contest
from medkit.leaderboard.reading import Numbers, taken
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.scoring import Answers, split
from medkit.metrics import METRICS

PUBLIC = {"frac": "101001010110", "two": "101011010100"}
FINGERPRINTS = {
    "frac": "0f998814d156c026934ba4bf1d4c65a536c3b7a244aaa4027b9b9c9a98fe7feb",
    "two": "449c08c5b2f36fa8a19c3fe05aa9be75d7456919af969e70ae8ae7610d48cfde",
}


def answers_of(tmp_path, text, **rules):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    rules = {"public_share": 1.0, **rules}
    contest = new_contest(tmp_path / "contest", tmp_path / "a.csv", **rules)
    return Answers(contest, read_answers(tmp_path / "contest" / "answers.csv"), "answers.csv")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", r"not utf-8 \(utf-16, perhaps\)"),
        ("id,decayed\n앞니,1\n".encode("cp949"), r"not utf-8 \(cp949, perhaps\)"),
        (table().encode("utf-16-le"), "zero bytes"),
        (table().encode("utf-8-sig"), "byte order mark"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"id,decayed\n", "header and no rows"),
        (table().replace("\n", "\r").encode(), r"end in \\r alone"),
        (table().replace(",", ";").encode(), "separated by ';'"),
        (table().replace(",", "\t").encode(), r"separated by '\\t'"),
        (table().replace("decayed", "label").encode(), r"columns are \['id', 'label'\]"),
        (table([0, 1, 2, *TRUTH[3:]]).encode(), r"1 labels are none of 0, 1, e\.g\. \['2'\]"),
        (table(["nan", *TRUTH[1:]]).encode(), r"1 rows have an empty cell, e\.g\. \['front_0'\]"),
        (table(["", *TRUTH[1:]]).encode(), "1 rows have an empty cell"),
        (table(TRUTH, ["x", *IDS[1:]]).encode(), r"are missing.*'front_0'.*not of this contest"),
        (table(TRUTH, [IDS[1], *IDS[1:]]).encode(), r"stand more than once, e\.g\. \['front_1'\]"),
        ((table() + "front_0,1,2\n").encode(), "another number of cells, e.g. line 10"),
        (b"id,decayed\n" + b"a,1\n" * 100, "far larger than 8 rows"),
        (b"id,decayed\n" + b"," * 1000, "far larger than 8 rows"),
        (b"id,decayed\na," + b"1" * 300, "An answer has 300 characters"),
        (b'id,decayed\n"a' + b"1" * 200_000, "not a CSV"),
    ],
)
def test_files_that_cannot_be_scored_say_why(tmp_path, data, words):
    with pytest.raises(Refused, match=words) as caught:
        answers_of(tmp_path, table()).check(data)
    assert str(caught.value).startswith("채점할 수 없습니다. ") and caught.value.status == 400


def test_neither_the_order_of_rows_nor_windows_line_ends_matter(tmp_path):
    answers = answers_of(tmp_path, table())
    shuffled = table(TRUTH[::-1], IDS[::-1]).replace("\n", "\r\n").encode()
    scores = answers.score(answers.check(shuffled))
    assert scores["public"]["f1_macro"] == 1.0 and list(scores["public"])[0] == "f1_macro"
    assert list(scores) == ["public"]


def test_several_classes_are_scored_as_by_scikit_learn(tmp_path):
    truth, guess = list("NRWNRWNRWW"), list("NRWRRWNNWN")
    ids = [f"{k}" for k in range(10)]
    answers = answers_of(tmp_path, table(truth, ids), metrics=["f1_macro", "accuracy"])
    scores = answers.score(answers.check(table(guess, ids).encode()))["public"]
    assert scores["f1_macro"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert scores["accuracy"] == 0.7


def test_numbers_and_probabilities_are_scored(tmp_path):
    (tmp_path / "n").mkdir(), (tmp_path / "p").mkdir()
    values = [1.5, 2.5, 3.5, 4.0, 5.5, 6.0, 7.0, 8.0]
    answers = answers_of(tmp_path / "n", table(values))
    assert answers.contest.metrics == ("mae", "rmse") and not answers.greater_is_better
    guess = table([value + 0.5 for value in values]).encode()
    assert answers.score(answers.check(guess))["public"]["mae"] == 0.5
    with pytest.raises(Refused, match=r"1 answers are no numbers, e\.g\. \['inf'\]"):
        answers.check(table(["inf", *values[1:]]).encode())
    answers = answers_of(tmp_path / "p", table(), metrics=["auc"])
    probs = [0.1, 0.9, 0.4, 0.5, 0.7, 0.2, 0.3, 0.6]
    scores = answers.score(answers.check(table(probs).encode()))
    assert scores["public"]["auc"] == pytest.approx(roc_auc_score(TRUTH, probs))
    with pytest.raises(Refused, match=r"no probabilities \(0 to 1\), e\.g\. \['1\.5'\]"):
        answers.check(table([1.5, *probs[1:]]).encode())


@pytest.mark.parametrize("values", [["0", "0", "1", "2"] * 3, [k + 0.5 for k in range(12)]])
def test_a_task_of_numbers_is_ranked_as_numbers_also_where_all_are_whole(
    tmp_path, monkeypatch, values
):
    task = mk.Task("ages", "ages", "here", (mk.Head("age"),))
    monkeypatch.setitem(TASKS, "ages", task)
    truth = table(values, [f"{k}" for k in range(12)])
    answers = answers_of(tmp_path, truth, task="ages", public_share=0.5)
    assert answers.contest.metrics == ("mae", "rmse") and answers.contest.labels == ()
    assert answers.score(answers.check(truth.encode()))["private"] == {"mae": 0.0}


@pytest.mark.parametrize(
    ("metrics", "task", "labels", "wanted"),
    [
        (["f1_macro"], None, ["a", "b"], "labels"),
        (["f1_macro"], None, [], "probabilities"),
        (["f1_macro", "auc"], None, ["a", "b"], "probabilities"),
        (["accuracy", "mae"], None, [], "numbers"),
        (["auc", "mae"], None, [], "numbers"),  # which is refused
        ([], "caries", ["0", "1"], "labels"),
        (["nonsense"], None, ["0.5", "1"], "numbers"),
    ],
)
def test_what_scores_take_decides_how_answers_are_read(metrics, task, labels, wanted):
    assert taken(metrics, task and get_task(task), labels) == wanted


def test_numbers_beyond_all_measure_are_refused_and_those_like_the_truth_are_not(tmp_path):
    values = [1e14, 2.5, 3.5, -4.0, 5.5, 6.0, 7.0, 8.0]
    answers = answers_of(tmp_path, table(values))
    assert answers.check(table([9e14, *values[1:]]).encode())[0] == "900000000000000.0"
    with pytest.raises(
        Refused, match=r"1 answers are beyond all measure, e\.g\. \['-1100000000000000\.0'\]"
    ):
        answers.check(table([-1.1e15, *values[1:]]).encode())
    few = Numbers(["1", "2"])
    assert few.problems(["1e12", "-1e12", "1.01e12"]) == [
        "1 answers are beyond all measure, e.g. ['1.01e12']."
    ]


def test_the_public_rows_are_those_of_the_first_version(tmp_path):
    """A change of what strata are would tell teams which rows are private."""
    ids = [f"case {k}" for k in range(12)]
    kinds = {"frac": [k * 1.5 for k in range(12)], "two": ["0", "1", "1"] * 4}
    found = {}
    for name, values in kinds.items():
        (tmp_path / name).mkdir()
        answers = answers_of(tmp_path / name, table(values, ids), public_share=0.5, seed=7)
        found[name] = "".join(map(str, answers.is_public.astype(int)))
        assert answers.fingerprint == FINGERPRINTS[name]
    assert found == PUBLIC


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_of_the_kit_can_rank(tmp_path, name):
    others = {
        "numbers": [k + 0.5 for k in range(8)],
        "areas": ["", *(f"1 {k}" for k in range(1, 8))],
    }
    truth = others.get(METRICS[name].kind, TRUTH)
    answers = answers_of(tmp_path, table(truth), metrics=[name], public_share=0.5)
    scores = answers.score(answers.check(table(truth).encode()))
    best = 1.0 if METRICS[name].greater_is_better else 0.0
    assert scores["public"][name] == scores["private"][name] == pytest.approx(best)


def test_a_task_of_the_kit_is_scored_by_its_own_labels(tmp_path):
    answers = answers_of(tmp_path, table(), task="caries", public_share=0.5)
    scores = answers.score(answers.check(table().encode()))
    assert list(scores["public"])[0] == "f1_macro" and scores["private"]["f1_macro"] == 1.0


@pytest.mark.parametrize("line", ["front_0,1,0", "front_0"])
def test_a_row_with_a_cell_too_many_or_too_few_is_refused_of_a_task_too(tmp_path, line):
    answers = answers_of(tmp_path, table(), task="caries", public_share=0.5)
    with pytest.raises(Refused, match=r"1 lines have another number of cells, e\.g\. line 2"):
        answers.check(table().replace("front_0,0", line).encode())


@pytest.mark.parametrize("name", sorted(n for n in TASKS if not TASKS[n].layout.answer))
def test_every_contest_of_the_kit_can_be_run(tmp_path, name):
    task = get_task(name)
    labels = list(task.submission_labels) * 4 or [k + 0.5 for k in range(12)]
    keys = task.layout.key_columns
    ids = [[f"case-{k}", "l"][: max(1, keys)] for k in range(len(labels))]
    truth = "id,answer\n" + "".join(f'"{",".join(i)}",{y}\n' for i, y in zip(ids, labels))
    answers = answers_of(tmp_path, truth, task=name, public_share=0.5)
    between = ["x"] if keys == 2 else []
    rows = [[*i[:keys], *between, str(y)] for i, y in zip(ids, labels)]
    rows = [["a", "b"][-len(rows[0]) :]] * task.layout.header + rows
    csv = "".join(task.layout.separator.join(row) + "\n" for row in rows).encode()
    scores = answers.score(answers.check(csv))
    assert list(scores["public"].values())[0] == list(scores["private"].values())[0]
    with pytest.raises(Refused):
        answers.check(csv[: len(csv) // 2])


def test_the_split_is_fixed_and_alike_for_each_label():
    ids = [f"case {k}" for k in range(1000)]
    strata = np.array([k % 10 == 0 for k in range(1000)])
    first = split(ids, strata, 0.3, seed=5)
    assert first.sum() == 300 and first[strata].sum() == 30
    order = np.random.default_rng(0).permutation(1000)
    assert (split([ids[k] for k in order], strata[order], 0.3, seed=5) == first[order]).all()
    assert (split(ids, strata, 0.3, seed=6) != first).any()
    assert split(ids, strata, 1, seed=5).all()


def test_public_and_private_scores_are_of_their_own_rows(tmp_path):
    answers = answers_of(tmp_path, table(), public_share=0.5, seed=3)
    flipped = [1 - y if k else y for y, k in zip(TRUTH, answers.is_public)]
    scores = answers.score([str(label) for label in flipped])
    assert scores["private"]["f1_macro"] == 1.0 and scores["public"]["f1_macro"] == 0.0
