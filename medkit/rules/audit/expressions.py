"""What expressions are known to be, in the scope where they stand."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any, Callable, Iterable

from medkit.rules.audit import values
from medkit.rules.audit.scopes import Function, Own, Scope
from medkit.rules.audit.sources import Cell
from medkit.rules.audit.values import UNKNOWN, Method, Thing, combined, either, marks_of, options


class Expressions:
    """The half of a walk that asks for values; a `Walker` adds statements and calls."""

    _call: Callable[..., Any]
    cell: Cell
    steps: int
    functions: list[Function]
    named: list[tuple[str, Any, Cell, int]]
    bind: Callable[..., None]
    run: Callable[..., Any]
    each_of: Callable[[Any], Iterable[Any]]

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
