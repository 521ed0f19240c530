"""A notebook's code gone through in its order, without running it: which calls it would make.

Cells follow each other as they stand, both sides of a branch are taken, a loop's body is taken for
the first values, and a function of the notebook's own is entered where it is called, with what is
known of its arguments. What is not known is left open: no call is made up.
"""

from __future__ import annotations

import ast
from typing import Any, Callable, Iterable, Mapping

from medkit.rules.audit import values
from medkit.rules.audit.expressions import Expressions
from medkit.rules.audit.scopes import Call, Function, Own, Scope
from medkit.rules.audit.sources import Cell, Source, parse
from medkit.rules.audit.values import UNKNOWN, Thing, combined, either, marks_of, options

TURNS = 12  # values of a loop that are looked at
STEPS = 100_000  # parts of the code after which functions are no longer entered
DEEPEST = 12  # functions inside each other


class Walker(Expressions):
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
        for part in node.decorator_list:
            self.value(part, scope)
        for taken, usual in zip(node.args.args[::-1], node.args.defaults[::-1]):
            self.name(taken.arg, self.value(usual, scope))
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
        while isinstance(node, (ast.Attribute, ast.Subscript)):  # of `cases.loc[...]`, the cases
            node = node.value
        if isinstance(node, ast.Name) and marks_of(value):
            old = scope.find(node.id)
            scope.names[node.id] = Thing(getattr(old, "name", "?"), marks_of(old, value))

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
