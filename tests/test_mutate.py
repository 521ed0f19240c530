"""tools/mutate.py: mutants are small, repeatable and of the logic; what no test sees is told."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import mutate  # noqa: E402

COUNT = 5 * len(mutate.TESTS)
DRAWN = mutate.draw(ROOT, mutate.TESTS, COUNT, seed=0)


def statements(text):
    return [ast.dump(node) for node in ast.parse(text).body]


def test_a_mutant_is_a_program_that_differs_in_one_place():
    for mutant in DRAWN:
        before, after = statements(mutant.before), statements(mutant.after)
        assert len(before) == len(after), mutant
        assert sum(a != b for a, b in zip(before, after)) == 1, mutant
        assert mutant.before == (ROOT / mutant.module).read_text(encoding="utf-8")
        removed, added = (
            [line[3:] for line in mutant.diff().splitlines() if line[2] == sign] for sign in "-+"
        )
        assert mutant.before.splitlines()[mutant.line - 1] == removed[0], mutant
        assert mutant.after.splitlines()[mutant.line - 1] == added[0] and removed != added, mutant


def test_mutants_are_the_same_for_a_seed_and_for_a_module_alone():
    assert mutate.draw(ROOT, mutate.TESTS, COUNT, seed=0) == DRAWN
    assert mutate.draw(ROOT, mutate.TESTS, COUNT, seed=1) != DRAWN
    alone = [mutant for mutant in DRAWN if mutant.module == "medkit/tables.py"]
    assert mutate.draw(ROOT, ["medkit/tables.py"], 5, seed=0) == alone


def test_mutants_are_spread_over_modules_and_operators():
    assert set(Counter(mutant.module for mutant in DRAWN).values()) == {5}
    operators = Counter(mutant.operator for mutant in DRAWN)
    assert set(operators) == set(mutate.OPERATORS) and min(operators.values()) >= 5
    assert len(set(DRAWN)) == COUNT


def test_every_module_has_tests_that_are_there():
    for module, names in mutate.TESTS.items():
        nearest = names.split()[0]
        assert (ROOT / f"tests/test_{nearest}.py").is_file() and nearest == Path(module).stem


@pytest.mark.parametrize(
    ("operator", "text", "wanted"),
    [
        ("sign", "(a) - b", ["(a) + b"]),
        ("sign", "(a  # not + but\n - b)", ["(a  # not + but\n + b)"]),
        ("sign", "가 // b * 나", ["가 // b / 나", "가 * b * 나"]),
        ("sign", "a < b <= c == d", ["a <= b <= c == d", "a < b < c == d", "a < b <= c != d"]),
        ("sign", "x[-1]", ["x[1]"]),
        ("sign", "a / 'name' + f'{a + b}'", []),
        ("off by one", "x[1:n]", ["x[1:n + 1]", "x[2:n]"]),
        ("off by one", "f(True, 9, '1', 1.5)", ["f(True, 10, '1', 1.5)"]),
        ("off by one", "x.mean(0) + f(axis=1) + x.shape[-1]", []),
        ("axis", "x.mean(0)", ["x.mean(1)"]),
        ("axis", "x.flip(-1)", ["x.flip(-2)"]),
        ("axis", "f(x, axis=1, dim=0)", ["f(x, axis=0, dim=0)", "f(x, axis=1, dim=1)"]),
        ("axis", "x.shape[1] + y[1] + max(0, 1)", ["x.shape[0] + y[1] + max(0, 1)"]),
        ("condition", "a if b else c", ["a if True else c", "a if False else c"]),
        ("condition", "a and (b) and c", ["(b) and c", "a and c", "a and (b) "]),
        ("condition", "(a or b)", ["(b)", "(a )"]),
        ("condition", "not (a & b)", ["(a & b)", "not (a )"]),
        ("condition", "[x for x in y if x > 1]", ["[x for x in y if True]"]),
        ("arguments", "f(a, (b, c), *d)", ["f((b, c), a, *d)"]),
        ("arguments", "f(x=a,\n  y=b, **c)", ["f(x=b,\n  y=a, **c)"]),
        ("arguments", "min(a, b)", []),
    ],
)
def test_every_operator_does_what_it_says(operator, text, wanted):
    found = mutate.mutants_of("x.py", text)[operator]
    assert sorted(mutant.after for mutant in found) == sorted(wanted)
    assert all(mutate.is_another(mutant) for mutant in found)


def test_hints_texts_and_messages_are_left_alone():
    text = '''
def f(a: Literal[1, -2] = None, *, b: Literal[3] = ()) -> Literal[4]:
    """1 + 1 < 3, and not 4."""
    c: Literal[5] = {}
    if a:
        raise ValueError(f"{a + 6}: not {b}" % (a - 7), 8)
    warnings.warn("not" + a, stacklevel=9)
    return f"{a - 10}"
'''
    found = [m.diff() for mutants in mutate.mutants_of("x.py", text).values() for m in mutants]
    assert found == ["  -    if a:\n  +    if True:", "  -    if a:\n  +    if False:"]


CODE = """
def checked(a, b):
    return a - b

def used(a, b):
    return a - b

def emptied(n):
    while n > 0:
        n = n - 1
    return n
"""
TEST = """
from kit.sums import checked, emptied, used

def test_all():
    assert checked(3, 2) == 1 and used(3, 0) == 3 and emptied(2) == 0
"""


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """A repository of one module and one test, whose pytest starts in no time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, text in {"kit/__init__": "", "kit/sums": CODE, "tests/test_sums": TEST}.items():
        path = tmp_path / "repository" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "repository"


def test_what_no_test_notices_is_told(kit, monkeypatch, capsys):
    monkeypatch.setattr(mutate, "LEAST_LIMIT_S", 0.0)
    signs = mutate.mutants_of("kit/sums.py", CODE)["sign"]
    mutants = [mutant for mutant in signs if mutant.new == "+"]
    outcomes = mutate.judge(kit, mutants, {"kit/sums.py": ["tests/test_sums.py"]}, jobs=2)
    assert outcomes == ["caught", "survived", "timed out"]
    assert (kit / "kit" / "sums.py").read_text() == CODE
    mutate.report(mutants, outcomes)
    told = capsys.readouterr().out
    assert "kit/sums.py: 1 files of tests" in told and "survived in" in told
    assert told.split("\n\n")[1].splitlines()[1].split() == ["kit/sums.py", "3", "2", "1"]
    assert told.endswith("\nkit/sums.py:6, sign\n  -    return a - b\n  +    return a + b\n")


def test_tests_that_fail_as_it_is_are_refused(kit):
    (kit / "tests" / "test_sums.py").write_text(TEST.replace("== 3", "== 4"))
    mutants = mutate.mutants_of("kit/sums.py", CODE)["sign"]
    with pytest.raises(SystemExit, match=r"3 == 4[\s\S]*tests of kit/sums\.py fail as it"):
        mutate.judge(kit, mutants, {"kit/sums.py": ["tests/test_sums.py"]})


def test_a_package_from_elsewhere_is_not_tested(kit):
    (kit / "json").mkdir()
    (kit / "json" / "sums.py").write_text(CODE)  # without __init__: the standard library's wins
    mutants = mutate.mutants_of("json/sums.py", CODE)["sign"]
    with pytest.raises(SystemExit, match=r"json/__init__\.py' would be tested, not"):
        mutate.judge(kit, mutants, {"json/sums.py": ["tests/test_sums.py"]})
