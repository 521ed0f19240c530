"""What a walk through code holds: names and what they mean, functions and classes, calls."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import Any, Mapping

from medkit.rules.audit.sources import Cell
from medkit.rules.audit.values import Thing, either


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
