"""A notebook's code gone through in its order, without running it: which calls it would make.

Cells follow each other as they stand, both sides of a branch are taken, a loop's body is taken for
the first values, and a function of the notebook's own is entered where it is called, with what is
known of its arguments. What is not known is left open: no call is made up.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterable, Mapping

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

    def argument(self, place: int | None, *names: str) -> Any:
        """An argument by one of its names or by its place; None where it is left out."""
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return None if place is None or place >= len(self.args) else self.args[place]

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def where(self) -> str:
        return self.cell.where(self.line)


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the notebook's own; `owner` is the first argument of a method."""

    node: Any
    scope: Scope
    cell: Cell
    owner: Any = None


@dataclass(eq=False, repr=False)
class Own:
    """A class, one of its objects (told from it by nothing), or a module of the notebook's own."""

    members: dict[str, Any]
    is_module: bool = False


@dataclass(eq=False, repr=False)
class Scope:
    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None
    stars: list[str] = field(default_factory=list)  # modules of which all names are here

    def find(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if self.outer is not None:
            return self.outer.find(name)
        if hasattr(builtins, name) or name == "get_ipython":
            return Thing(name)
        return either(Thing(f"{module}.{name}") for module in self.stars)


class Walker:
    """Goes through sources; what it meets is in its attributes.

    Attributes:
        begins: where in `calls` those of each source begin that has a kernel of its own, and
            whether that is a notebook.
        named: (name, value, cell, line) of what gets a name: variables, arguments, keys.
        unread: {cell: {line: why}} of code that nobody can read without running it.
    """

    def __init__(self, call: Callable[..., Any], modules: Mapping[str, Source]):
        self._call, self.modules = call, modules
        self.calls: list[Call] = []
        self.begins: dict[int, bool] = {}
        self.imports: list[tuple[str, Cell, int]] = []
        self.named: list[tuple[str, Any, Cell, int]] = []
        self.unread: dict[Cell, dict[int, str]] = {}
        self.scopes: dict[str, Scope] = {}
        self.functions: list[Function] = []
        self.entered: set[Any] = set()
        self.steps, self.depth, self.line = 0, 0, 0
        self.cell: Any = None

    def walk(self, source: Source, *, alone: bool) -> None:
        """Go through a source; of one that is run alone at the end into all its functions."""
        scope, before = Scope(), (self.cell, self.line)
        self.scopes[source.path.stem] = scope
        if alone:
            self.begins[len(self.calls)] = source.is_notebook
        for self.cell in source.code:
            try:
                if self.cell.tree is not None:
                    self.run(self.cell.tree.body, scope)
                    continue
                why = self.cell.unread
            except RecursionError:
                why = "it is nested too deep"
            self.unread.setdefault(self.cell, {}).update(dict.fromkeys(self.cell.lines, why))
        for function in self.functions if alone else ():
            if function.node not in self.entered:
                self.enter(function, (), {})
        self.cell, self.line = before

    def text(self, text: str, scope: Scope) -> None:
        """Code that stands in a text, as `exec` and magics have it."""
        tree, why = parse(text)
        if tree is None:
            self.cannot_read(why)
            return
        for node in ast.walk(tree):
            if hasattr(node, "lineno"):
                node.lineno = self.line
        self.run(tree.body, scope)

    def cannot_read(self, why: str) -> None:
        self.unread.setdefault(self.cell, {})[self.line] = why

    def name(self, name: str, value: Any) -> None:
        self.named.append((name, value, self.cell, self.line))

    # statements

    def run(self, body: Iterable[ast.AST], scope: Scope) -> list[Any]:
        """What statements return."""
        returned: list[Any] = []
        for node in body:
            self.line = getattr(node, "lineno", self.line)
            rule = getattr(self, f"_{type(node).__name__}", None)
            if isinstance(node, ast.expr):
                self.value(node, scope)
            elif rule is not None:
                returned += rule(node, scope) or []
            else:
                returned += self.run(ast.iter_child_nodes(node), scope)
        return returned

    def _Import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = self.module(alias.name)
            top = alias.name.partition(".")[0]
            value = module if alias.asname or alias.name == top else Thing(top)
            scope.names[alias.asname or top] = value

    def _ImportFrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        home = self.module(node.module) if node.module else None
        for alias in node.names:
            if alias.name == "*":
                scope.names.update(home.members if isinstance(home, Own) else {})
                scope.stars += [home.name] if isinstance(home, Thing) else []
                continue
            inner = self.module(alias.name) if home is None else self.attribute(home, alias.name)
            scope.names[alias.asname or alias.name] = inner

    def module(self, name: str) -> Own | Thing:
        """A module; one of the notebook's own is gone through on its first import."""
        self.imports.append((name, self.cell, self.line))
        short = name.rpartition(".")[2]
        if short not in self.modules or name.startswith("medkit"):
            return Thing(name)
        if short not in self.scopes:
            self.walk(self.modules[short], alone=False)
        return Own(self.scopes[short].names, is_module=True)

    def _FunctionDef(self, node: Any, scope: Scope) -> None:
        for part in [*node.decorator_list, *node.args.defaults]:
            self.value(part, scope)
        self.functions.append(Function(node, scope, self.cell))
        scope.names[node.name] = self.functions[-1]

    _AsyncFunctionDef = _FunctionDef

    def _ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:
        inner = Scope(outer=scope)
        for base in (self.value(part, scope) for part in node.bases):
            inner.names.update(base.members if isinstance(base, Own) else {})
        self.run(node.body, inner)
        scope.names[node.name] = Own(inner.names)

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
        sides = self.value(node.target, scope), self.value(node.value, scope)
        self.bind(node.target, combined(lambda *s: values.operated(symbol, *s), *sides), scope)

    def _If(self, node: ast.If, scope: Scope) -> list[Any]:
        self.value(node.test, scope)
        is_dead = isinstance(node.test, ast.Constant) and not node.test.value
        before = dict(scope.names)
        returned = [] if is_dead else self.run(node.body, scope)
        one, scope.names = scope.names, before
        returned += self.run(node.orelse, scope)
        for name, value in one.items():
            scope.names[name] = either([value, scope.names.get(name, value)])
        return returned

    def _For(self, node: Any, scope: Scope) -> list[Any]:
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

    def _withitem(self, node: ast.withitem, scope: Scope) -> None:
        value = self.value(node.context_expr, scope)
        if node.optional_vars is not None:
            self.bind(node.optional_vars, value, scope)

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give a value the name, or the names, of a target."""
        if isinstance(target, ast.Name):
            self.name(target.id, value)
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            is_known = isinstance(value, (list, tuple)) and len(value) == len(target.elts)
            parts = value if is_known else [Thing("?", marks_of(value))] * len(target.elts)
            for part, one in zip(target.elts, parts):
                self.bind(part, one, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            self.name(target.attr, value)
            if isinstance(owner, Own):
                owner.members[target.attr] = value
            elif isinstance(owner, Thing) and owner.name.startswith("medkit"):
                self.cannot_read("the notebook changes medkit itself")
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, scope), self.key(target, scope)
            if isinstance(key, str):
                self.name(key, value)
            if isinstance(owner, dict) and isinstance(key, (str, int)):
                owner[key] = value
            self.mark(target.value, value, scope)

    def mark(self, node: ast.expr, value: Any, scope: Scope) -> None:
        """Something was put into what a name holds: its marks are the name's from now on."""
        if isinstance(node, ast.Name) and marks_of(value):
            old = scope.find(node.id)
            scope.names[node.id] = Thing(getattr(old, "name", "?"), marks_of(old, value))

    # expressions

    def value(self, node: Any, scope: Scope) -> Any:
        """What an expression is known to be."""
        self.steps += 1
        rule = getattr(self, f"_{type(node).__name__}", None)
        if rule is not None:
            return rule(node, scope)
        inner = [
            self.value(p, scope) for p in ast.iter_child_nodes(node) if isinstance(p, ast.expr)
        ]
        is_number = isinstance(getattr(node, "op", None), ast.USub) and isinstance(inner[0], int)
        return -inner[0] if is_number else Thing("?", marks_of(*inner))

    def _Constant(self, node: ast.Constant, scope: Scope) -> Any:
        return node.value

    def _Name(self, node: ast.Name, scope: Scope) -> Any:
        return scope.find(node.id)

    def _Attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return either(self.attribute(v, node.attr) for v in options(self.value(node.value, scope)))

    def attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Own):
            found = owner.members.get(name, UNKNOWN)
            is_method = isinstance(found, Function) and not owner.is_module
            return replace(found, owner=owner) if is_method else found
        if isinstance(owner, Thing):
            return owner.then(f".{name}")
        return (
            UNKNOWN if isinstance(owner, (Function, Method)) else values.attribute_of(owner, name)
        )

    def _BinOp(self, node: ast.BinOp, scope: Scope) -> Any:
        sides = self.value(node.left, scope), self.value(node.right, scope)
        return combined(lambda *s: values.operated(type(node.op).__name__, *s), *sides)

    def _BoolOp(self, node: ast.BoolOp, scope: Scope) -> Any:
        return either([self.value(part, scope) for part in node.values])

    def _IfExp(self, node: ast.IfExp, scope: Scope) -> Any:
        self.value(node.test, scope)
        return either([self.value(node.body, scope), self.value(node.orelse, scope)])

    def _JoinedStr(self, node: ast.JoinedStr, scope: Scope) -> Any:
        inner = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
        parts = [self.value(part, scope) for part in inner]
        return combined(lambda *p: "".join(map(str, values.filled(p))), *parts)

    def _List(self, node: Any, scope: Scope) -> list[Any]:
        return [self.value(part, scope) for part in node.elts]

    def _Tuple(self, node: ast.Tuple, scope: Scope) -> tuple[Any, ...]:
        return tuple(self._List(node, scope))

    def _Dict(self, node: ast.Dict, scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, part in zip(node.keys, node.values):
            key = None if name is None else self.value(name, scope)
            value = self.value(part, scope)
            if isinstance(key, str):
                self.named.append((key, value, self.cell, part.lineno))
            if isinstance(key, (str, int)):
                found[key] = value
            elif name is None and isinstance(value, dict):
                found.update(value)
        return found

    def key(self, node: ast.Subscript, scope: Scope) -> Any:
        inner: Any = node.slice
        if isinstance(inner, ast.Slice):
            ends = [e and self.value(e, scope) for e in (inner.lower, inner.upper, inner.step)]
            return slice(*ends)
        is_index = type(inner).__name__ == "Index"  # of Python 3.8
        return self.value(inner.value if is_index else inner, scope)

    def _Subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner, key = self.value(node.value, scope), self.key(node, scope)
        if not isinstance(owner, Thing):
            return combined(values.subscripted, owner, key)
        if isinstance(key, str) and owner.name in ("globals()", "locals()", "vars()"):
            return scope.find(key)
        if isinstance(key, str) and owner.name.endswith(".__dict__"):
            return owner.then(f".{key}")
        return owner.then(f"[{key!r}]") if isinstance(key, str) else Thing("?", owner.marks)

    def _NamedExpr(self, node: Any, scope: Scope) -> Any:
        self.bind(node.target, self.value(node.value, scope), scope)
        return self.value(node.target, scope)

    def _Lambda(self, node: ast.Lambda, scope: Scope) -> Function:
        self.functions.append(Function(node, scope, self.cell))
        return self.functions[-1]

    def _ListComp(self, node: Any, scope: Scope) -> list[Any]:
        return self._turned(node, node.generators, Scope(outer=scope))

    _SetComp = _GeneratorExp = _DictComp = _ListComp

    def _turned(self, node: Any, generators: list[ast.comprehension], scope: Scope) -> list[Any]:
        """The values of a comprehension."""
        if not generators:
            return [self.value(getattr(node, "elt", None) or node.value, scope)]
        found: list[Any] = []
        for each in self.each_of(self.value(generators[0].iter, scope)):
            self.bind(generators[0].target, each, scope)
            self.run(generators[0].ifs, scope)
            found += self._turned(node, generators[1:], scope)
        return found

    def _Call(self, node: ast.Call, scope: Scope) -> Any:
        return self._call(self, node, scope)

    def enter(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function of the notebook's own returns for such arguments."""
        node, inner, before = function.node, Scope(outer=function.scope), (self.cell, self.line)
        self.entered.add(node)
        if self.steps > STEPS:
            self.cannot_read("more code than is gone through")
        if self.depth >= DEEPEST or self.steps > STEPS:
            return UNKNOWN
        args = args if function.owner is None else (function.owner, *args)
        takes = [*getattr(node.args, "posonlyargs", []), *node.args.args]
        usual = [*zip(takes[::-1], node.args.defaults[::-1])]
        usual += zip(node.args.kwonlyargs, node.args.kw_defaults)
        inner.names.update({taken.arg: UNKNOWN for taken in takes})
        for taken, value in usual:
            inner.names[taken.arg] = UNKNOWN if value is None else self.value(value, function.scope)
        inner.names.update({taken.arg: value for taken, value in zip(takes, args)})
        inner.names.update(kwargs)
        for many, rest in ((node.args.vararg, args[len(takes) :]), (node.args.kwarg, kwargs)):
            if many is not None:
                inner.names[many.arg] = rest
        self.depth, self.cell = self.depth + 1, function.cell
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, inner)
            return either(self.run(node.body, inner))
        finally:
            self.depth, (self.cell, self.line) = self.depth - 1, before
