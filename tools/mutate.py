"""Small faults put into the code on purpose, one at a time: does a test notice?

    python tools/mutate.py [--count 100] [--seed 0] [--jobs 2] [--only metrics quota] [--list]

Each mutant is made and tested in a copy of the repository. What comes out is the list of those
that no test noticed: some are as good as the original, the others are holes in the tests.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, zip_longest
from pathlib import Path
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
CONTESTS = "every_contest caries handbone mask pathology sinus sleep"
SENDING = "standing handin client form hostile"
TESTS = {  # module: the tests that concern it, the nearest first
    "medkit/metrics.py": f"metrics judging calibrating scoring standings task {CONTESTS}",
    "medkit/tables.py": f"tables reading own_tables splitting ensembling predicting {CONTESTS}",
    "medkit/datasets/kinds.py": f"kinds units task labels splitting counting scoring {CONTESTS}",
    "medkit/splitting.py": f"splitting fingerprints folds {CONTESTS}",
    "medkit/inference/ensembling.py": "ensembling mask_votes weighing task augment",
    "medkit/inference/views.py": f"views predicting {CONTESTS}",
    "medkit/submission/quota.py": f"quota {SENDING} board store contest",
    "medkit/submission/ledger.py": f"ledger quota {SENDING}",
    "medkit/leaderboard/scoring.py": "scoring parsing standings board contest app organising",
    "medkit/inference/predicting.py": "predicting loader devices ensembling shape",
    "medkit/loading/cache.py": f"cache crop loader predicting {CONTESTS}",
}
NOT_COPIED = (".git", ".venv*", "runs", "dataset", "build", "dist", "*.egg-info", "__pycache__")
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow")
LEAST_LIMIT_S = 30.0  # of the tests of a mutant; three times those of the original are added

SIGNS = {ast.Add: "+-", ast.Sub: "-+", ast.Mult: "*/", ast.Div: "/*", ast.FloorDiv: ("//", "*")}
SIGNS.update({ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")})
SIGNS.update({ast.Eq: ("==", "!="), ast.NotEq: ("!=", "==")})
OTHER_AXIS = {0: 1, 1: 0, 2: 1, -1: -2, -2: -1}
ALONG = "all any argmax argmin cumsum flip max mean median min softmax sort stack std sum".split()
WORDS = {ast.And: "and", ast.Or: "or", ast.BitAnd: "&", ast.BitOr: "|"}
Edit = Tuple[int, int, str]  # from here to there of the text, and what stands there instead


class Source:
    """A module's text and tree, and where in the text each node stands."""

    def __init__(self, text: str):
        self.text, self.tree, self.first = text, ast.parse(text), [0]
        self.lines = text.splitlines(keepends=True)
        for line in self.lines:
            self.first.append(self.first[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        ends = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        return tuple(  # the tree counts bytes
            self.first[line - 1] + len(self.lines[line - 1].encode()[:column].decode())
            for line, column in ends
        )

    def of(self, node: ast.AST) -> str:
        return self.text[slice(*self.span(node))]

    def between(self, left: ast.AST, right: ast.AST, word: str) -> int:
        """Where an operator stands between its operands; there are brackets and comments, too."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub("#.*", lambda comment: " " * len(comment.group()), self.text[start:end])
        return start + gap.index(word)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def number(node: ast.AST | None) -> int | None:
    """The whole number that stands there, with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        found = number(node.operand)
        return None if found is None else -found
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def axes(node: ast.AST) -> list[ast.AST]:
    """The nodes below a node that name an axis."""
    found = []
    if isinstance(node, ast.Call):
        found = [k.value for k in node.keywords if k.arg in ("axis", "dim")]
        if isinstance(node.func, ast.Attribute) and node.func.attr in ALONG:
            found += node.args
    elif isinstance(node, ast.Subscript) and getattr(node.value, "attr", None) == "shape":
        is_old = type(node.slice).__name__ == "Index"  # Python 3.8
        found = [node.slice.value if is_old else node.slice]
    return [place for place in found if number(place) in OTHER_AXIS]


def signs(node: ast.AST, source: Source) -> Iterator[Edit]:
    """`+` for `-`, `*` for `/`, `<` for `<=` and back; a minus left out."""
    sides = []
    if isinstance(node, ast.BinOp) and not (is_text(node.left) or is_text(node.right)):
        sides = [(node.left, node.op, node.right)]
    elif isinstance(node, ast.Compare):
        sides = zip([node.left, *node.comparators], node.ops, node.comparators)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        start = source.span(node)[0]
        yield start, start + 1, ""
    for left, operator, right in sides:
        if type(operator) in SIGNS:
            old, new = SIGNS[type(operator)]
            start = source.between(left, right, old)
            yield start, start + len(old), new


def off_by_one(node: ast.AST, source: Source) -> Iterator[Edit]:
    """One more than a whole number, or than the end of a slice."""
    if isinstance(node, ast.Constant) and number(node) is not None:
        yield (*source.span(node), str(node.value + 1))
    elif isinstance(node, ast.Slice):
        for bound in (node.lower, node.upper):
            if isinstance(bound, (ast.Name, ast.Attribute, ast.Call, ast.BinOp, ast.Subscript)):
                end = source.span(bound)[1]
                yield end, end, " + 1"


def other_axis(node: ast.AST, source: Source) -> Iterator[Edit]:
    """Rows for columns: `axis=`, `dim=`, `mean(0)`, `shape[1]`."""
    for place in axes(node):
        yield (*source.span(place), str(OTHER_AXIS[number(place)]))


def conditions(node: ast.AST, source: Source) -> Iterator[Edit]:
    """A condition that always or never holds, that lost a part, or its `not`."""
    if isinstance(node, (ast.If, ast.IfExp)):
        yield from ((*source.span(node.test), word) for word in ("True", "False"))
    elif isinstance(node, ast.comprehension):
        yield from ((*source.span(test), "True") for test in node.ifs)
    elif isinstance(node, ast.BoolOp):
        word, (start, end) = WORDS[type(node.op)], source.span(node)
        at = [source.between(a, b, word) for a, b in zip(node.values, node.values[1:])]
        yield start, at[0] + len(word) + 1, ""
        yield from ((a, b, "") for a, b in zip(at, [*at[1:], end]))
    elif isinstance(node, ast.BinOp) and type(node.op) in WORDS:
        yield source.between(node.left, node.right, WORDS[type(node.op)]), source.span(node)[1], ""
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        start, end = source.span(node)
        yield start, start + len(re.match(r"not\s*", source.text[start:end]).group()), ""


def arguments(node: ast.AST, source: Source) -> Iterator[Edit]:
    """Two neighbouring arguments of a call exchanged."""
    if not isinstance(node, ast.Call) or getattr(node.func, "id", None) in ("min", "max"):
        return
    named = [keyword.value for keyword in node.keywords if keyword.arg]
    for values in ([a for a in node.args if not isinstance(a, ast.Starred)], named):
        for a, b in zip(values, values[1:]):
            middle = source.text[source.span(a)[1] : source.span(b)[0]]
            text = source.of(b) + middle + source.of(a)
            yield source.span(a)[0], source.span(b)[1], text


OPERATORS: dict[str, Callable[[ast.AST, Source], Iterator[Edit]]] = {
    "sign": signs,
    "off by one": off_by_one,
    "axis": other_axis,
    "condition": conditions,
    "arguments": arguments,
}


class Mutant(NamedTuple):
    module: str
    operator: str
    before: str  # the whole module
    start: int
    end: int
    new: str  # instead of what stands from start to end

    @property
    def after(self) -> str:
        return self.before[: self.start] + self.new + self.before[self.end :]

    @property
    def line(self) -> int:
        return self.before.count("\n", 0, self.start) + 1

    def __str__(self) -> str:
        return f"{self.module}:{self.line}, {self.operator}"

    def diff(self) -> str:
        """The lines that change."""
        shown = []
        for sign, text, end in (
            ("-", self.before, self.end),
            ("+", self.after, self.start + len(self.new)),
        ):
            last = self.line + text.count("\n", self.start, end)
            shown += [f"  {sign}{line}" for line in text.splitlines()[self.line - 1 : last]]
        return "\n".join(shown)


def logic(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that decide what is done: no type hints, no texts, no messages of errors."""
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return
    if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "warn":
        return
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in ("annotation", "returns"):
                yield from logic(child)


def mutants_of(module: str, text: str) -> dict[str, list[Mutant]]:
    """Every mutant of a module by operator."""
    source = Source(text)
    nodes = list(logic(source.tree))
    is_axis = {id(part) for node in nodes for place in axes(node) for part in ast.walk(place)}
    found: dict[str, list[Mutant]] = {name: [] for name in OPERATORS}
    for name, edits in OPERATORS.items():
        for node in nodes:
            if name == "off by one" and id(node) in is_axis:
                continue
            found[name] += [Mutant(module, name, text, *edit) for edit in edits(node, source)]
    return found


def is_another(mutant: Mutant) -> bool:
    """Whether it is a program, and not the same one."""
    try:
        return ast.dump(ast.parse(mutant.after)) != ast.dump(ast.parse(mutant.before))
    except SyntaxError:
        return False


def in_turn(piles: Iterable[Iterable[Mutant]]) -> Iterator[Mutant]:
    """One of each pile, then the next of each."""
    return (mutant for row in zip_longest(*piles) for mutant in row if mutant is not None)


def draw(root: Path, modules: Iterable[str], count: int, seed: int) -> list[Mutant]:
    """So many mutants, spread over modules and operators; those of a module by its name alone."""
    drawn = []
    for module in modules:
        rng = random.Random(f"{seed} {module}")
        piles = list(mutants_of(module, (root / module).read_text(encoding="utf-8")).values())
        for pile in (piles, *piles):
            rng.shuffle(pile)
        drawn.append(filter(is_another, in_turn(piles)))
    return list(islice(in_turn(drawn), count))


class Copy:
    """A copy of the repository in which mutants are tested, one after the other."""

    def __init__(self, root: Path, folder: Path):
        self.folder, self.output = folder / "repository", folder / "output.txt"
        shutil.copytree(str(root), str(self.folder), ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.environment = {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"  # two mutants of one second look alike
        for name in ("HOME", "TMPDIR"):  # a mutant may write where it should not
            (folder / name).mkdir()
            self.environment[name] = str(folder / name)

    def run(self, *options: str, limit_s: float | None = None) -> int | None:
        """What Python returns; None when it took too long, and was ended with its children."""
        with open(self.output, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, *options],
                cwd=str(self.folder),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(limit_s)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace").strip()[-3000:]

    def baseline(self, module: str, tests: Sequence[str]) -> float:
        """The seconds that its tests take when nothing is wrong.

        Raises:
            SystemExit: something is, or another copy of the package would be tested.
        """
        package, began = module.partition("/")[0], time.monotonic()
        self.run("-c", f"import {package}; print({package}.__file__)")
        if Path(self.said()).resolve().parent != (self.folder / package).resolve():
            raise SystemExit(f"mutate: {self.said()!r} would be tested, not {self.folder}.")
        if self.run(*PYTEST, *tests) != 0:
            raise SystemExit(f"{self.said()}\nmutate: the tests of {module} fail as it is.")
        return time.monotonic() - began

    def outcome(self, mutant: Mutant, tests: Sequence[str], limit_s: float) -> str:
        path = self.folder / mutant.module
        path.write_text(mutant.after, encoding="utf-8")
        try:
            code = self.run(*PYTEST, *tests, limit_s=limit_s)
        finally:
            path.write_text(mutant.before, encoding="utf-8")
        return {None: "timed out", 0: "survived"}.get(code, "caught")


def judge(
    root: Path, mutants: Sequence[Mutant], tests: Mapping[str, Sequence[str]], jobs: int = 1
) -> list[str]:
    """What became of each: "caught", "timed out" or "survived"."""
    mine = threading.local()  # each thread has a copy of its own

    def baseline(module: str) -> float:
        seconds = mine.copy.baseline(module, tests[module])
        print(f"{module}: {len(tests[module])} files of tests, {seconds:.0f} s", flush=True)
        return LEAST_LIMIT_S + 3 * seconds

    def outcome(k: int, mutant: Mutant) -> str:
        began, module = time.monotonic(), mutant.module
        found = mine.copy.outcome(mutant, tests[module], limits[module])
        seconds = time.monotonic() - began
        print(f"{k}/{len(mutants)} {found} in {seconds:.0f} s: {mutant}", flush=True)
        return found

    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:

        def begin() -> None:
            mine.copy = Copy(root, Path(tempfile.mkdtemp(dir=scratch)))

        with ThreadPoolExecutor(jobs, initializer=begin) as pool:
            modules = list(dict.fromkeys(mutant.module for mutant in mutants))
            limits = dict(zip(modules, pool.map(baseline, modules)))
            return list(pool.map(outcome, range(1, len(mutants) + 1), mutants))


def report(mutants: Sequence[Mutant], outcomes: Sequence[str]) -> None:
    """A line a module, then what survived."""
    print(f"\n{'module':<32} {'mutants':>8} {'caught':>8} {'survived':>8}")
    modules = list(dict.fromkeys(mutant.module for mutant in mutants))
    for name in [*modules, "in all"]:
        of = [o for m, o in zip(mutants, outcomes) if name in (m.module, "in all")]
        survived = of.count("survived")
        print(f"{name:<32} {len(of):>8} {len(of) - survived:>8} {survived:>8}")
    for mutant, outcome in zip(mutants, outcomes):
        if outcome == "survived":
            print(f"\n{mutant}\n{mutant.diff()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of modules, such as metrics")
    parser.add_argument("--list", action="store_true", help="show the mutants and test none")
    options = parser.parse_args()
    modules = [m for m in TESTS if not options.only or Path(m).stem in options.only]
    if not modules:
        known = ", ".join(Path(module).stem for module in TESTS)
        raise SystemExit(f"mutate: no module {options.only} (expected some of {known}).")
    began, tests = time.monotonic(), {}
    for module in modules:
        paths = [f"tests/test_{name}.py" for name in TESTS[module].split()]
        tests[module] = [path for path in paths if (ROOT / path).is_file()]
    mutants = draw(ROOT, modules, options.count, options.seed)
    if options.list:
        print(*(f"{mutant}\n{mutant.diff()}" for mutant in mutants), sep="\n")
        return
    report(mutants, judge(ROOT, mutants, tests, options.jobs))
    print(f"\ndone in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
