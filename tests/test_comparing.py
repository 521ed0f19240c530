from __future__ import annotations

import pytest

from medkit.rules.replay.comparing import departs, tables_differ


def differ(tmp_path, was, now):
    for name, text in (("was", was), ("now", now)):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tables_differ(tmp_path / "was", tmp_path / "now")


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("id,a\nx,1\n", "id,a\nx,1\n", ""),
        ("id,a\nx,1\n", "id,a\nx,2\n", "line 2 (x), a: '1' handed in, '2' here"),
        ("id,a\nx,1\n", "id,a\n", "2 lines handed in, 1 here"),
        ("id,a\nx,1\n", "id,a\nx,1,2\n", "line 2: 2 cells handed in, 3 here"),
        ("N1\nN2\n", "N1\nN3\n", "line 2 (N2), N1: 'N2' handed in, 'N3' here"),
        ("id,a\nx,1\n", "id,a\r\nx,1\r\n", "the same cells in other bytes (line ends?)"),
        ("id,a\n", None, "none came of it here"),
        (None, "id,a\n", "it was not handed in"),
    ],
)
def test_what_differs_between_two_tables_is_named(tmp_path, was, now, words):
    assert differ(tmp_path, was, now) == words


def test_of_many_cells_three_are_named(tmp_path):
    rows = [f"{k},0" for k in range(9)], [f"{k},1" for k in range(9)]
    words = differ(tmp_path, *("\n".join(["id,a", *part]) for part in rows))
    assert words.count("handed in") == 3 and words.endswith(" and 6 more")


def test_the_first_step_at_which_losses_depart_is_named():
    assert departs([0.5, 0.25], [0.5, 0.25], "two") == ""
    assert departs([0.5, 0.25], [0.5, 0.125], "two") == "two depart at step 2 (loss 0.25 and 0.125)"
    nearly = departs([0.1 + 0.2], [0.3], "two")
    assert nearly.startswith("two depart at step 1")
