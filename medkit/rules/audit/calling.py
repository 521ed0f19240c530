"""What a call does to a walk: own functions are entered, known ones worked out, all noted."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Iterable, Mapping

from medkit.rules.audit import values
from medkit.rules.audit.sources import Source
from medkit.rules.audit.values import UNKNOWN, Method, Thing, combined, either, marks_of, options
from medkit.rules.audit.walking import Call, Function, Scope, Thereof, Walker

CARRY = (  # functions and methods that hand rows on, from their arguments, too
    "concat concatenate vstack hstack stack append extend merge join update add insert assign "
    "combine_first list tuple dict set sorted copy deepcopy DataFrame Series Subset ConcatDataset "
    "join_groups assign_folds visible from_dict chain zip reversed enumerate"
).split()
NUMBERS = "int float abs round hash str pow divmod".split()  # of what was the clock
CLOCK = ("time.time", "time.perf_counter", "time.monotonic", "os.urandom", "os.getpid", "secrets.")
CLOCK += ("uuid.uuid4", "uuid.uuid1", "datetime.datetime.now", "datetime.now", "id")
CLOCK += ("random.SystemRandom", "torch.seed", "torch.initial_seed")
AS_CODE = ("time", "timeit", "prun", "capture", "memit", "debug")  # magics whose text is Python
SHELLS = ("bash", "sh", "script", "cmd", "system", "sx", "!")
QUIET = (  # magics that decide no more than how things look
    "matplotlib load_ext autoreload config precision who whos who_ls pinfo pinfo2 tb xmode "
    "reload_ext pylab pprint env set_env pwd ls lsmagic html HTML markdown latex svg "
    "SVG pip conda run cd pdb colors reset reset_selective"
).split()


@dataclass(frozen=True, eq=False)
class Partial:
    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def walk_all(sources: Iterable[Source]) -> Walker:
    """All sources gone through: each notebook, then the modules that none of them imports."""
    sources = list(sources)
    modules = {source.path.stem: source for source in sources if not source.is_notebook}
    walker = Walker(called, modules)
    for source in sources:
        if source.is_notebook:
            walker.walk(source)
    for name, source in modules.items():
        if name not in walker.scopes:
            walker.begins.append(len(walker.calls))
            walker.walk(source)
    walker.enter_the_rest()
    return walker


def called(walker: Walker, node: ast.Call, scope: Scope) -> Any:
    """What a call returns, as far as it is known."""
    function = walker.value(node.func, scope)
    args: list[Any] = []
    for part in node.args:
        value = walker.value(part.value if isinstance(part, ast.Starred) else part, scope)
        is_many = isinstance(part, ast.Starred) and isinstance(value, (list, tuple))
        args += value if is_many else [value]
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        value = walker.value(keyword.value, scope)
        if keyword.arg is None:
            kwargs.update(value if isinstance(value, dict) else {})
        else:
            kwargs[keyword.arg] = value
            walker.named.append((keyword.arg, value, walker.cell, node.lineno))
    walker.line = node.lineno
    if isinstance(node.func, ast.Attribute) and node.func.attr in CARRY and marks_of(*args):
        walker.mark(node.func.value, args, scope)
    done = Site(walker, scope)
    return either(done.outcome(way, tuple(args), kwargs) for way in options(function))


class Site:
    """One place of the code where something is called."""

    def __init__(self, walker: Walker, scope: Scope):
        self.walker, self.scope = walker, scope

    def outcome(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, Partial):
            return self.outcome(
                function.function, (*function.args, *args), {**function.kwargs, **kwargs}
            )
        if isinstance(function, Function):
            return self.walker.enter(function, args, kwargs)
        if isinstance(function, Thereof):
            return self._made(function, args, kwargs)
        if isinstance(function, Method):
            if isinstance(function.value, PurePosixPath):
                self._note(f"pathlib.Path().{function.name}", (function.value, *args), kwargs)
            known = combined(lambda *a: values.method_result(function, a, kwargs), *args)
            return self._of_list(function, args) or known
        if isinstance(function, Thing):
            return self._of_thing(function, args, kwargs)
        return UNKNOWN

    def _of_list(self, method: Method, args: tuple[Any, ...]) -> Any:
        """A list that grows is known afterwards, too."""
        if isinstance(method.value, list) and method.name in ("append", "extend") and args:
            more = args[:1] if method.name == "append" else args[0]
            method.value.extend(more if isinstance(more, (list, tuple)) else [UNKNOWN])
            return UNKNOWN
        return None

    def _made(self, kind: Thereof, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An object of an own class; calling an object enters its `__call__` or `forward`."""
        if kind.of is None:
            made = Thereof({}, kind)
            begin = self.walker.attribute(made, "__init__")
            if isinstance(begin, Function):
                self.walker.enter(begin, args, kwargs)
            return made
        for name in ("__call__", "forward"):
            function = self.walker.attribute(kind, name)
            if isinstance(function, Function):
                return self.walker.enter(function, args, kwargs)
        return UNKNOWN

    def _of_thing(self, thing: Thing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        special = getattr(self, f"_{thing.name.replace('.', '_').replace('()', '')}", None)
        if special is not None and thing.name in SPECIAL:
            return special(args, kwargs)
        if thing.name == "map" or thing.name.endswith((".map", ".submit", ".apply")):
            if args and not isinstance(args[0], (str, Thing)):
                over = self.walker.each_of(args[1]) if len(args) > 1 else [UNKNOWN]
                return [self.outcome(args[0], (each,), {}) for each in over]
            if len(args) > 1 and isinstance(args[0], Thing):
                return [self.outcome(args[0], (each,), {}) for each in self.walker.each_of(args[1])]
        self._note(thing.name, args, {**kwargs}, thing.marks)
        for callback in (*args, *kwargs.values()):  # who gets a function may call it
            if isinstance(callback, Function) and callback.node not in self.walker.entered:
                self.walker.enter(callback, (), {})
        if thing.name in ("medkit.remember", "medkit.recall"):
            return tuple(value if value is not None else UNKNOWN for value in args) or UNKNOWN
        known = values.KNOWN.get(thing.name)
        is_open = any(isinstance(arg, Thing) for arg in args) and known is not values.joined
        if known is not None and not is_open:
            return combined(known, *args)
        name = f"{thing.name}()" if len(thing.name) < 200 else "?"
        return Thing(name, self._marks(thing, args, kwargs))

    def _note(self, name: str, args: Any, kwargs: Mapping[str, Any], marks: Any = ()) -> None:
        every = frozenset(marks) | marks_of(*args, *kwargs.values())
        place = (self.walker.cell, self.walker.line)
        self.walker.calls.append(Call(name, tuple(args), kwargs, every, *place))

    def _marks(self, thing: Thing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> frozenset[str]:
        """Of what comes back: the object's, of few functions the arguments', and new ones."""
        last = thing.name.rpartition(".")[2]
        marks = set(thing.marks)
        if last == "find_leaks" or last in ("score", "score_table", "len", "isin"):
            return frozenset()
        if last in CARRY:
            marks |= marks_of(*args, *kwargs.values())
        if thing.name in NUMBERS:
            marks |= marks_of(*args)
        if any(thing.name == c or (c[-1] == "." and thing.name.startswith(c)) for c in CLOCK):
            marks.add("clock")
        if last in ("read", "inspect", "read_csv", "read_table", "read_folders", "read_excel"):
            said = (*args, *kwargs.values())
            marks |= {"test"} if any(is_test(way) for v in said for way in options(v)) else set()
        return frozenset(marks)

    # functions that bring code or names

    def _getattr(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) > 1 and not isinstance(args[1], Thing):
            ways = [(a, n) for a in options(args[0]) for n in options(args[1])]
            return either(self.walker.attribute(a, str(n)) for a, n in ways)
        self.walker.cannot_read("getattr with a name that is not known before it runs")
        return UNKNOWN

    def ___import__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = []
        for name in options(args[0] if args else UNKNOWN):
            if isinstance(name, str) and values.GAP not in name:
                found.append(self.walker.module(name) or Thing(name))
            else:
                self.walker.cannot_read("an import whose name is not known before it runs")
        return either(found)

    _importlib_import_module = ___import__

    def _exec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for text in options(args[0] if args else UNKNOWN):
            if isinstance(text, bytes):
                text = text.decode("utf-8", "replace")
            if isinstance(text, str) and values.GAP not in text:
                self.walker.text(text, self.scope)
            else:
                self.walker.cannot_read("code that is made only while it runs (exec, eval)")
        return UNKNOWN

    def _compile(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[0] if args else UNKNOWN

    def _eval(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) == 1 and isinstance(args[0], str) and values.GAP not in args[0]:
            try:
                return self.walker.value(ast.parse(args[0].strip(), mode="eval").body, self.scope)
            except (SyntaxError, ValueError):
                return UNKNOWN
        return self._exec(args, kwargs)

    def _functools_partial(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return Partial(args[0], args[1:], kwargs) if args else UNKNOWN

    def _get_ipython_run_line_magic(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`%name text`, and with one more argument `%%name line` with a text below."""
        known = all(isinstance(arg, str) for arg in args) and len(args) > 1
        name, text = (args[0], args[-1]) if known else ("?", "")
        self._note(f"%{name}", args[1:], {})
        if name in AS_CODE or (name == "writefile" and args[1].strip().endswith(".py")):
            self.walker.text(text, self.scope)
        elif name in SHELLS:
            self._note("get_ipython().system", (text,), {})
        elif name not in QUIET:
            self.walker.cannot_read(f"the magic %{name}")
        return UNKNOWN

    _get_ipython_run_cell_magic = _get_ipython_run_line_magic


SPECIAL = ("getattr", "__import__", "importlib.import_module", "exec", "eval", "compile")
SPECIAL += ("functools.partial", "get_ipython().run_line_magic", "get_ipython().run_cell_magic")


def is_test(value: Any) -> bool:
    """Whether a split, or a path, is that of the test cases."""
    if isinstance(value, (str, PurePosixPath)):
        return any(part.lower().startswith("test") for part in str(value).split("/"))
    return False
