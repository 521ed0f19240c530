"""What a call does to a walk: own functions are entered, known ones worked out, all are noted."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import Any, Iterable, Mapping

from medkit.rules.audit import values
from medkit.rules.audit.scopes import Call, Function, Own, Scope
from medkit.rules.audit.sources import Source
from medkit.rules.audit.values import UNKNOWN, Method, Thing, combined, either, marks_of, options
from medkit.rules.audit.walking import Walker

CARRY = (  # functions and methods that hand rows on, from their arguments, too
    "concat concatenate vstack hstack stack append extend merge join update add insert assign "
    "combine_first list tuple dict set sorted copy deepcopy DataFrame Series Subset ConcatDataset "
    "join_groups assign_folds visible chain zip reversed enumerate int float abs round hash str"
).split()
NONE_LEFT = "find_leaks score score_table isin len".split()  # what they return holds no rows
READ = (  # what has read a path or split of test cases holds some
    "read inspect read_csv read_table read_folders read_excel read_masks load loadtxt genfromtxt "
    "imread open glob listdir"
).split()
CLOCK = (  # what differs each time
    "time.time time.time_ns time.perf_counter time.monotonic os.urandom os.getpid uuid.uuid4 id "
    "uuid.uuid1 datetime.datetime.now datetime.now secrets.randbits secrets.randbelow torch.seed "
    "secrets.token_bytes random.SystemRandom torch.initial_seed"
).split()
AS_CODE = "time timeit prun capture debug".split()  # magics whose text is Python
SHELLS = "bash sh script cmd system sx !".split()
QUIET = (  # magics that only decide how things look, or that a rule looks at
    "matplotlib load_ext reload_ext autoreload config precision who whos pinfo pinfo2 tb xmode env "
    "set_env pwd ls html markdown latex svg pip conda run cd"
).split()
OPAQUE = ("ctypes.", "cffi.", "pickle.", "marshal.", "dill.", "setattr")


def walk_all(sources: Iterable[Source]) -> Walker:
    """All sources gone through: each notebook, then the modules that none of them imports."""
    sources = sorted(sources, key=lambda source: not source.is_notebook)
    walker = Walker(called, {s.path.stem: s for s in sources if not s.is_notebook})
    for source in sources:
        if source.is_notebook or source.path.stem not in walker.scopes:
            walker.walk(source, alone=True)
    return walker


def called(walker: Walker, node: ast.Call, scope: Scope) -> Any:
    """What a call returns, as far as it is known."""
    function = walker.value(node.func, scope)
    args: list[Any] = []
    for part in node.args:
        value = walker.value(getattr(part, "value", part) if _is_star(part) else part, scope)
        args += value if _is_star(part) and isinstance(value, (list, tuple)) else [value]
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        value = walker.value(keyword.value, scope)
        named = {keyword.arg: value} if keyword.arg else value if isinstance(value, dict) else {}
        kwargs.update({name: each for name, each in named.items() if isinstance(name, str)})
    walker.line = node.lineno
    for name, value in kwargs.items():
        walker.name(name, value)
    if isinstance(node.func, ast.Attribute) and node.func.attr in CARRY:
        walker.mark(node.func.value, args, scope)
    site = Site(walker, scope)
    return either([site.outcome(way, tuple(args), kwargs) for way in options(function)])


def _is_star(node: ast.expr) -> bool:
    return isinstance(node, ast.Starred)


class Site:
    """One place of the code where something is called."""

    def __init__(self, walker: Walker, scope: Scope):
        self.walker, self.scope = walker, scope

    def outcome(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, Function):
            return self.walker.enter(function, args, kwargs)
        if isinstance(function, Own):  # a class is made, an object is called
            for name in ("__init__", "__call__", "forward"):
                method = self.walker.attribute(function, name)
                if isinstance(method, Function):
                    self.walker.enter(method, args, kwargs)
            return function
        if isinstance(function, Method):
            return self._method(function, args, kwargs)
        return self._thing(function, args, kwargs) if isinstance(function, Thing) else UNKNOWN

    def _method(self, method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, name = method.value, method.name
        if isinstance(value, PurePosixPath):
            self._note(f"pathlib.Path().{name}", (value, *args), kwargs)
        if isinstance(value, list) and name in ("append", "extend") and args:
            many = args[0] if name == "extend" and isinstance(args[0], (list, tuple)) else args[:1]
            value.extend(many)
        return combined(lambda *way: values.method_result(method, way, kwargs), *args)

    def _thing(self, thing: Thing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        special = SPECIAL.get(thing.name)
        if special is not None:
            return special(self, args, kwargs)
        last = thing.name.rpartition(".")[2]
        if last in ("map", "submit", "apply", "partial") and args and not isinstance(args[0], str):
            over = self.walker.each_of(args[1]) if len(args) > 1 else [UNKNOWN]
            return [self.outcome(args[0], (each, *args[2:]), kwargs) for each in over]
        self._note(thing.name, args, kwargs, thing.marks)
        if thing.name.startswith(OPAQUE):
            self.walker.cannot_read(f"what {thing.name[:40]} brings")
        for callback in (*args, *kwargs.values()):  # who is given a function may call it
            if isinstance(callback, Function) and callback.node not in self.walker.entered:
                self.walker.enter(callback, (), {})
        if thing.name in ("medkit.remember", "medkit.recall") and args:
            return tuple(UNKNOWN if value is None else value for value in args)
        known = values.KNOWN.get(thing.name)
        is_open = any(isinstance(arg, Thing) for arg in args) and known is not values.joined
        if known is not None and not is_open:
            return combined(known, *args)
        return thing.then("()", self._marks(thing, last, (*args, *kwargs.values())))

    def _note(self, name: str, args: Any, kwargs: Mapping[str, Any], marks: Any = ()) -> None:
        every = frozenset(marks) | marks_of(*args, *kwargs.values())
        place = (self.walker.cell, self.walker.line)
        self.walker.calls.append(Call(name, tuple(args), kwargs, every, *place))

    def _marks(self, thing: Thing, last: str, given: tuple[Any, ...]) -> frozenset[str]:
        """Of what comes back: the object's, of some functions the arguments', and new ones."""
        if last in NONE_LEFT:
            return frozenset()
        marks = set(thing.marks) | (set(marks_of(*given)) if last in CARRY else set())
        marks |= {"clock"} if thing.name in CLOCK else set()
        if last in READ and any(_is_test(way) for value in given for way in options(value)):
            marks.add("test")
        return frozenset(marks)

    # functions that bring code or names

    def _getattr(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) < 2 or isinstance(args[1], Thing):
            self.walker.cannot_read("getattr with a name that is not known before it runs")
            return UNKNOWN
        ways = [(owner, name) for owner in options(args[0]) for name in options(args[1])]
        return either([self.walker.attribute(owner, str(name)) for owner, name in ways])

    def _import(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        names = options(args[0] if args else UNKNOWN)
        if not all(map(_is_whole, names)):
            self.walker.cannot_read("an import whose name is not known before it runs")
        return either([self.walker.module(name) for name in names if _is_whole(name)])

    def _exec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Code in a text; that of one expression is worth what it is worth."""
        for text in options(args[0] if args else UNKNOWN):
            text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
            if not _is_whole(text):
                self.walker.cannot_read("code that is made only while it runs (exec, eval)")
                continue
            is_value = _is_expression(text)
            self.walker.text(f"_ = ({text.strip()}\n)" if is_value else text, self.scope)
        return self.scope.names.get("_", UNKNOWN)

    def _magic(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`%name text`, and with one more argument `%%name line` with a text below."""
        words = [arg if isinstance(arg, str) else values.GAP for arg in args] or [values.GAP]
        if len(words) == 1:
            words = [*words[0].split(" ", 1), ""][:2]
        name, text = words[0].lstrip("%"), words[-1]
        self._note(f"%{name}", words[1:], {})
        if name in AS_CODE or (name == "writefile" and words[1].strip().endswith(".py")):
            self.walker.text(text, self.scope)
        elif name in SHELLS:
            self._note("get_ipython().system", (text,), {})
        elif name not in QUIET:
            self.walker.cannot_read(f"the magic %{name}")
        return UNKNOWN


SPECIAL = {
    "getattr": Site._getattr,
    **dict.fromkeys(("__import__", "importlib.import_module"), Site._import),
    **dict.fromkeys(("exec", "eval"), Site._exec),
    "compile": lambda site, args, kwargs: args[0] if args else UNKNOWN,
}
MAGICS = ("run_line_magic", "run_cell_magic", "magic", "line_magic", "cell_magic")
SPECIAL.update({f"get_ipython().{name}": Site._magic for name in MAGICS})


def _is_whole(text: Any) -> bool:
    return isinstance(text, str) and values.GAP not in text


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_test(value: Any) -> bool:
    """Whether a split, or a path, is that of the test cases."""
    is_text = isinstance(value, (str, PurePosixPath))
    return is_text and any(part.lower().startswith("test") for part in str(value).split("/"))
