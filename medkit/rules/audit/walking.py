"""A notebook's code gone through in its order, without running it: which calls it would make.

Cells follow each other as they stand, both sides of a branch are taken, a loop's body is taken for
the first values, and a function of the notebook's own is entered where it is called, with what is
known of its arguments. What is not known is left open: no call is made up.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Callable, Iterable, Iterator, Mapping

from medkit.rules.audit import values
from medkit.rules.audit.sources import Cell, Source, parse
from medkit.rules.audit.values import UNKNOWN, Method, Thing, combined, either, marks_of, options

TURNS = 12  # values of a loop that are looked at
STEPS = 100_000  # parts of the code after which functions are no longer entered
DEEPEST = 12  # functions inside each other


@dataclass(frozen=True, eq=False)
class Call:
    """One call that the code would make.

    Attributes:
        name: dotted, as far as it is known: "pandas.read_csv().sample", "?.fit".
        marks: of the object and of all arguments.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    marks: frozenset[str]
    cell: Cell
    line: int

    def argument(self, place: int, *names: str) -> Any:
        """An argument by its place or by one of its names; None where it is left out."""
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return self.args[place] if 0 <= place < len(self.args) else None

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def where(self) -> str:
        return self.cell.where(self.line)


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the notebook's own; `owner` is what its first argument is, of a method."""

    node: Any
    scope: Scope
    owner: Any = None


@dataclass(eq=False)
class Thereof:
    """An object of a class of the notebook's own, or the class (`of` is None)."""

    members: dict[str, Any]
    of: Thereof | None = None


@dataclass(eq=False)
class Scope:
    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None
    is_global: set[str] = field(default_factory=set)

    def find(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if self.outer is not None:
            return self.outer.find(name)
        return Thing(name if hasattr(builtins, name) or name == "get_ipython" else "?")

    def set(self, name: str, value: Any) -> None:
        top = self
        while name in self.is_global and top.outer is not None:
            top = top.outer
        top.names[name] = value


class Walker:
    """Goes through sources; what it meets is in `calls`, `imports`, `named` and `unread`.

    Attributes:
        named: (name, value, cell, line) of what gets a name: variables, arguments, keys.
        unread: {cell: {line: why}} of code that nobody can read without running it.
        begins: where in `calls` those of each notebook begin, which run in kernels of their own.
    """

    def __init__(self, call: Callable[..., Any], modules: Mapping[str, Source]):
        self._call, self.modules = call, modules
        self.calls: list[Call] = []
        self.imports: list[tuple[str, Cell, int]] = []
        self.named: list[tuple[str, Any, Cell, int]] = []
        self.unread: dict[Cell, dict[int, str]] = {}
        self.begins: list[int] = []
        self.scopes: dict[str, Scope] = {}
        self.functions: list[Function] = []
        self.entered: set[Any] = set()
        self.steps, self.depth, self.line = 0, 0, 0
        self.cell: Cell = Cell(PurePosixPath("."), 0, "code", "")  # type: ignore[arg-type]

    def walk(self, source: Source) -> Scope:
        """Go through a source, and at the end into functions that nothing in it has called."""
        scope, before, first = Scope(), (self.cell, self.line), len(self.functions)
        self.scopes[source.path.stem] = scope
        if source.is_notebook:
            self.begins.append(len(self.calls))
        for cell in source.code:
            self.cell = cell
            if cell.tree is None:
                self.unread.setdefault(cell, {}).update(dict.fromkeys(cell.lines, cell.unread))
                continue
            try:
                self.run(cell.tree.body, scope)
            except RecursionError:
                why = "it is nested too deep"
                self.unread.setdefault(cell, {}).update(dict.fromkeys(cell.lines, why))
        if source.is_notebook:
            self.enter_the_rest(first)
        self.cell, self.line = before
        return scope

    def enter_the_rest(self, first: int = 0) -> None:
        for function in self.functions[first:]:
            if function.node not in self.entered:
                self.enter(function, (), {})

    def text(self, text: str, scope: Scope) -> None:
        """Code that stands in a text, as `exec` and magics have it."""
        tree, why = parse(text)
        if tree is None:
            self.cannot_read(why)
        else:
            line = self.line
            for node in ast.walk(tree):
                if hasattr(node, "lineno"):
                    node.lineno = line
            self.run(tree.body, scope)

    def cannot_read(self, why: str) -> None:
        self.unread.setdefault(self.cell, {})[self.line] = why

    # statements

    def run(self, body: Iterable[ast.stmt], scope: Scope) -> list[Any]:
        """What statements return."""
        returned: list[Any] = []
        for node in body:
            self.line = node.lineno
            self.steps += 1
            returned += getattr(self, f"_{type(node).__name__}", self._any)(node, scope) or []
        return returned

    def _any(self, node: ast.AST, scope: Scope) -> list[Any]:
        """Whatever is inside of a statement that needs no rule of its own."""
        returned: list[Any] = []
        for _, inner in ast.iter_fields(node):
            parts = inner if isinstance(inner, list) else [inner]
            returned += self.run([p for p in parts if isinstance(p, ast.stmt)], scope)
            for part in parts:
                if isinstance(part, ast.expr):
                    self.value(part, scope)
                elif isinstance(part, ast.AST) and not isinstance(part, ast.stmt):
                    returned += self._any(part, scope)
        return returned

    def _Import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = self.module(alias.name)
            top = alias.name.partition(".")[0]
            if alias.asname or module is not None and "." not in alias.name:
                scope.set(alias.asname or alias.name, module or Thing(alias.name))
            else:
                scope.set(top, Thing(top))

    def _ImportFrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        home = node.module or ""
        module = self.module(home) if home else None
        for alias in node.names:
            inner = self.module(alias.name) if node.level and not home else None
            if alias.name == "*":
                own = module.members if isinstance(module, Thereof) else {}
                scope.names.update(own)
                continue
            value = inner or Thing(f"{home}.{alias.name}")
            if isinstance(module, Thereof):
                value = module.members.get(alias.name, UNKNOWN)
            scope.set(alias.asname or alias.name, value)

    def module(self, name: str) -> Thereof | None:
        """A module of the notebook's own, gone through on its first import."""
        self.imports.append((name, self.cell, self.line))
        short = name.rpartition(".")[2]
        if short not in self.modules or name.startswith("medkit"):
            return None
        if short not in self.scopes:
            self.walk(self.modules[short])
        return Thereof(self.scopes[short].names)

    def _FunctionDef(self, node: ast.FunctionDef, scope: Scope) -> None:
        for part in [
            *node.decorator_list,
            *node.args.defaults,
            *filter(None, node.args.kw_defaults),
        ]:
            self.value(part, scope)
        function = Function(node, scope)
        self.functions.append(function)
        scope.set(node.name, function)

    _AsyncFunctionDef = _FunctionDef

    def _ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:
        inner = Scope(outer=scope)
        for base in node.bases:
            value = self.value(base, scope)
            if isinstance(value, Thereof):
                inner.names.update(value.members)
        self.run(node.body, inner)
        scope.set(node.name, Thereof(inner.names))

    def _Return(self, node: ast.Return, scope: Scope) -> list[Any]:
        return [self.value(node.value, scope)] if node.value else []

    def _Assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)

    def _AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, scope), scope)

    def _AugAssign(self, node: ast.AugAssign, scope: Scope) -> None:
        symbol = type(node.op).__name__
        old, new = self.value(node.target, scope), self.value(node.value, scope)
        self.bind(
            node.target, combined(lambda a, b: values.operated(symbol, a, b), old, new), scope
        )

    def _Global(self, node: ast.Global, scope: Scope) -> None:
        scope.is_global.update(node.names)

    def _If(self, node: ast.If, scope: Scope) -> list[Any]:
        self.value(node.test, scope)
        before = dict(scope.names)
        returned = self.run(node.body, scope)
        one, scope.names = scope.names, before
        returned += self.run(node.orelse, scope)
        other = dict(scope.names)
        for name in one:
            is_same = name in other and other[name] is one[name]
            scope.names[name] = (
                one[name]
                if is_same
                else either(side[name] for side in (one, other) if name in side)
            )
        return returned

    def _For(self, node: ast.For, scope: Scope) -> list[Any]:
        returned: list[Any] = []
        for each in self.each_of(self.value(node.iter, scope)):
            self.bind(node.target, each, scope)
            returned += self.run(node.body, scope)
        return returned + self.run(node.orelse, scope)

    _AsyncFor = _For

    def each_of(self, several: Any) -> list[Any]:
        """The first values that a loop goes through; one unknown one where they are not known."""
        found: list[Any] = []
        for way in options(several):
            is_list = isinstance(way, (list, tuple, dict)) and len(way)
            found += list(way)[:TURNS] if is_list else [Thing("?", marks_of(way))]
        return found

    def _With(self, node: ast.With, scope: Scope) -> list[Any]:
        for item in node.items:
            value = self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, scope)
        return self.run(node.body, scope)

    _AsyncWith = _With

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give a value the name, or the names, of a target."""
        if isinstance(target, ast.Name):
            self.named.append((target.id, value, self.cell, self.line))
            scope.set(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            known = isinstance(value, (list, tuple)) and len(value) == len(target.elts)
            parts = value if known else [Thing("?", marks_of(value))] * len(target.elts)
            for part, one in zip(target.elts, parts):
                self.bind(part.value if isinstance(part, ast.Starred) else part, one, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            self.named.append((target.attr, value, self.cell, self.line))
            if isinstance(owner, Thereof):
                owner.members[target.attr] = value
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, scope), self.key(target, scope)
            if isinstance(key, str):
                self.named.append((key, value, self.cell, self.line))
                if isinstance(owner, dict):
                    owner[key] = value
            if marks_of(value):
                self.mark(target.value, value, scope)

    def mark(self, node: ast.expr, value: Any, scope: Scope) -> None:
        """Something was put into what a name holds: its marks are the name's from now on."""
        if isinstance(node, ast.Name):
            old = scope.find(node.id)
            name = old.name if isinstance(old, Thing) else "?"
            scope.set(node.id, Thing(name, marks_of(old, value)))

    # expressions

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """What an expression is known to be."""
        self.steps += 1
        known = getattr(self, f"_{type(node).__name__}", None)
        if known is not None:
            return known(node, scope)
        parts = [
            self.value(p, scope) for p in ast.iter_child_nodes(node) if isinstance(p, ast.expr)
        ]
        return Thing("?", marks_of(*parts))

    def _Constant(self, node: ast.Constant, scope: Scope) -> Any:
        return node.value

    def _Name(self, node: ast.Name, scope: Scope) -> Any:
        return scope.find(node.id)

    def _Attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return either(self.attribute(v, node.attr) for v in options(self.value(node.value, scope)))

    def attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Thereof):
            kind = owner.of.members if owner.of else {}
            found = owner.members.get(name, kind.get(name, UNKNOWN))
            is_method = owner.of is not None and isinstance(found, Function) and name in kind
            return Function(found.node, found.scope, owner) if is_method else found
        if isinstance(owner, Thing):
            return owner.attribute(name)
        if isinstance(owner, (Function, Method)):
            return UNKNOWN
        return values.attribute_of(owner, name)

    def _BinOp(self, node: ast.BinOp, scope: Scope) -> Any:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        return combined(lambda a, b: values.operated(type(node.op).__name__, a, b), left, right)

    def _BoolOp(self, node: ast.BoolOp, scope: Scope) -> Any:
        return either([self.value(part, scope) for part in node.values])

    def _IfExp(self, node: ast.IfExp, scope: Scope) -> Any:
        self.value(node.test, scope)
        return either([self.value(node.body, scope), self.value(node.orelse, scope)])

    def _JoinedStr(self, node: ast.JoinedStr, scope: Scope) -> Any:
        parts = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
        return combined(lambda *p: values.formatted(p), *[self.value(p, scope) for p in parts])

    def _List(self, node: ast.List, scope: Scope) -> list[Any]:
        return [self.value(part, scope) for part in node.elts]

    def _Tuple(self, node: ast.Tuple, scope: Scope) -> tuple[Any, ...]:
        return tuple(self.value(part, scope) for part in node.elts)

    def _Dict(self, node: ast.Dict, scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, part in zip(node.keys, node.values):
            key = self.value(name, scope) if name is not None else None
            value = self.value(part, scope)
            if isinstance(key, str):
                self.named.append((key, value, self.cell, part.lineno))
            if isinstance(key, (str, int)):
                found[key] = value
            elif isinstance(value, dict):
                found.update(value)
        return found

    def key(self, node: ast.Subscript, scope: Scope) -> Any:
        inner = node.slice
        inner = getattr(inner, "value", inner) if type(inner).__name__ == "Index" else inner  # 3.8
        if isinstance(inner, ast.Slice):
            ends = [
                self.value(e, scope) if e else None for e in (inner.lower, inner.upper, inner.step)
            ]
            is_known = all(end is None or isinstance(end, int) for end in ends)
            return slice(*ends) if is_known else UNKNOWN
        return self.value(inner, scope) if isinstance(inner, ast.expr) else UNKNOWN

    def _UnaryOp(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        is_number = isinstance(node.op, ast.USub) and isinstance(value, (int, float))
        return -value if is_number else Thing("?", marks_of(value))

    def _Subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner, key = self.value(node.value, scope), self.key(node, scope)
        if isinstance(owner, Thing):
            if owner.name in ("globals()", "locals()", "vars()") and isinstance(key, str):
                return scope.find(key)
            named = f"{owner.name}[{key!r}]" if isinstance(key, str) else "?"
            return Thing(named if len(named) < 200 else "?", owner.marks)
        return combined(values.subscripted, owner, key)

    def _NamedExpr(self, node: Any, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        self.bind(node.target, value, scope)
        return value

    def _Lambda(self, node: ast.Lambda, scope: Scope) -> Function:
        function = Function(node, scope)
        self.functions.append(function)
        return function

    def _ListComp(self, node: Any, scope: Scope) -> list[Any]:
        inner, found = Scope(outer=scope), []
        for _ in self._turns(node.generators, inner):
            found.append(self.value(node.elt, inner))
        return found

    _SetComp = _GeneratorExp = _ListComp

    def _DictComp(self, node: ast.DictComp, scope: Scope) -> dict[Any, Any]:
        inner, found = Scope(outer=scope), {}
        for _ in self._turns(node.generators, inner):
            key, value = self.value(node.key, inner), self.value(node.value, inner)
            found[key if isinstance(key, (str, int)) else GAP] = value
        return found

    def _turns(self, generators: list[ast.comprehension], scope: Scope) -> Iterator[None]:
        if not generators:
            yield
            return
        for each in self.each_of(self.value(generators[0].iter, scope)):
            self.bind(generators[0].target, each, scope)
            for test in generators[0].ifs:
                self.value(test, scope)
            yield from self._turns(generators[1:], scope)

    def _Call(self, node: ast.Call, scope: Scope) -> Any:
        return self._call(self, node, scope)

    def enter(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function of the notebook's own returns for such arguments."""
        node, inner = function.node, Scope(outer=function.scope)
        self.entered.add(node)
        if self.depth >= DEEPEST or (self.steps > STEPS and args):
            return UNKNOWN
        args = args if function.owner is None else (function.owner, *args)
        takes = [*getattr(node.args, "posonlyargs", []), *node.args.args]
        for taken, usual in zip(reversed(takes), reversed(node.args.defaults)):
            inner.names[taken.arg] = self.value(usual, function.scope)
        for taken, usual in zip(node.args.kwonlyargs, node.args.kw_defaults):
            inner.names[taken.arg] = UNKNOWN if usual is None else self.value(usual, function.scope)
        for number, taken in enumerate(takes):
            inner.names.setdefault(taken.arg, UNKNOWN)
            if number < len(args):
                inner.names[taken.arg] = args[number]
        inner.names.update({name: value for name, value in kwargs.items() if isinstance(name, str)})
        for many, rest in ((node.args.vararg, list(args[len(takes) :])), (node.args.kwarg, kwargs)):
            if many is not None:
                inner.names[many.arg] = rest
        self.depth += 1
        line = self.line
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, inner)
            return either(self.run(node.body, inner))
        finally:
            self.depth, self.line = self.depth - 1, line


GAP = values.GAP
