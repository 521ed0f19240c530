"""Whether what a public function was given is of the kinds that its signature tells.

The first line of such a function is `check_arguments(fit, locals())`. It reads the annotations, so
that they, the help and what is refused cannot differ. Whether a value is one of those that are
allowed is asked where it is used. No decorator: it would stand in every traceback, and every
warning that names its caller's line would have to count it.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple, Union, get_args, get_origin

from medkit.errors import WrongType

SHOWN = 40  # characters of a value in a message
NAMES = {  # of the kinds, in messages, one and many; of others their own
    "str": ("a text", "texts"),
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "bool": ("True or False", "True or False"),
    "NoneType": ("None", "None"),
    "Path": ("a path", "paths"),
    "DataFrame": ("a table", "tables"),
    "Task": ("a task first", "tasks"),
    "Run": ("a run", "runs"),
    "Any": ("anything", "anything"),
}
ADVICE = {  # by the word of an argument: where a right one comes from
    "task": "Write mk.{where}(task, ...) with task = mk.get_task(name), or a mk.Task of your own.",
    "cases": "Read them with task.read(data, split).",
    "predictions": "Pass what mk.predict(run, cases) returns.",
    "config": "Make one by mk.Config(task=...).",
    "run": "Open it by mk.Run(folder).",
    "runs": "Pass a list of runs, such as [mk.Run(folder)].",
    "threshold": "Pass what mk.choose_threshold returns.",
    "values": 'Write values={{"class": 1}}, or {{"class": "any"}} for all that are not ignored.',
}


def check_arguments(called: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse an argument of another kind than the signature tells.

    Args:
        called: the function, or the class that is being made.
        given: its arguments by name, or the fields of a dataclass.

    Raises:
        WrongType: naming function and argument, what was found and what is expected.
    """
    for name, (kind, usual) in _kinds(called).items():
        if name in given and given[name] is not usual and not _fits(given[name], kind):
            where = called.__qualname__
            is_task = getattr(kind, "__name__", "") == "Task"
            advice = ADVICE.get(name, "").format(where=where)
            raise WrongType(
                f"{where}: {'' if is_task else name + ': '}found {_found(name, given[name])} "
                f"(expected {_expected(kind)}). {advice}".rstrip()
            )


@lru_cache(maxsize=None)
def _kinds(called: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """By argument what its annotation means, and its default, which is right as it is."""
    annotations = (called.__init__ if isinstance(called, type) else called).__annotations__
    told = inspect.signature(called).parameters
    names = {**vars(sys.modules[called.__module__]), "Union": Union}
    names.update(tuple=Tuple, list=List, dict=Dict)  # which Python 3.8 cannot subscript
    return {
        name: (eval(_as_union(annotation), names), told[name].default)
        for name, annotation in annotations.items()
        if name in told and told[name].kind is not inspect.Parameter.VAR_KEYWORD
    }


def _as_union(annotation: str) -> Any:
    """`a | b` as `Union[a, b]`, for Python 3.8."""
    tree = ast.parse(annotation, mode="eval")
    return compile(ast.fix_missing_locations(_Unions().visit(tree)), "<annotation>", "eval")


class _Unions(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        union = ast.parse("Union[a, b]", mode="eval").body
        pair = getattr(union.slice, "value", union.slice)  # 3.8 has an Index around it
        pair.elts = [node.left, node.right]
        return union


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or kind is ...:
        return True
    if origin is Union:
        return any(_fits(value, each) for each in inner)
    if origin is None:
        return _is(value, kind)
    if origin is tuple and inner[-1] is not ...:
        return _is_list(value) and len(value) == len(inner) and all(map(_fits, value, inner))
    if issubclass(origin, Mapping):
        if type(value).__name__ == "Series":  # by its index
            value = value.to_dict()
        return isinstance(value, Mapping) and all(_fits(each, inner[1]) for each in value.values())
    if origin in (list, tuple) or origin.__name__ == "Sequence":
        return _is_list(value) and all(_fits(each, inner[0]) for each in value)
    if origin.__name__ == "Iterable":
        return _is_list(value) or hasattr(value, "__next__") or isinstance(value, (Mapping, set))
    return callable(value) if origin.__name__ == "Callable" else isinstance(value, origin)


def _is(value: Any, kind: Any) -> bool:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # an array of one number
    if kind is str and type(value).__name__ == "device":
        return True  # torch's: it is told by its name
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    if kind is bool:
        return isinstance(value, bool) or (isinstance(value, Integral) and value in (0, 1))
    if kind is Path:
        return isinstance(value, os.PathLike)
    return not isinstance(kind, type) or isinstance(value, kind)


def _is_list(value: Any) -> bool:
    """What has an order: no text, no table, no mapping."""
    return (
        hasattr(value, "__len__")
        and hasattr(value, "__iter__")
        and getattr(value, "ndim", 1) > 0
        and not (isinstance(value, (str, bytes, Mapping, set)) or hasattr(value, "columns"))
    )


def _found(name: str, value: Any) -> str:
    """A value in a message: itself where it is short and no secret, else of what kind it is."""
    is_few = (_is_list(value) or isinstance(value, dict)) and len(value) < 4
    is_plain = value is None or is_few or isinstance(value, (str, Real))
    text = repr(value) if is_plain and name != "credentials" else ""
    if text and len(text) <= SHOWN and "\n" not in text:
        return text
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _expected(kind: Any, *, many: bool = False) -> str:
    """A kind in words: one of it, or several."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Union:
        kinds = [each for each in inner if not (each is str and Path in inner)]
        return " or ".join(_expected(each, many=many) for each in kinds)
    if origin is None:
        name = getattr(kind, "__name__", None) or str(kind).rpartition(".")[2]
        return NAMES.get(name, (f"a {name}", f"{name}s"))[many]
    if issubclass(origin, Mapping):
        return f"{_expected(inner[1], many=True)} by name"
    if origin is tuple and inner[-1] is not ...:
        return f"({', '.join(map(_expected, inner))})"
    if origin in (list, tuple) or origin.__name__ in ("Sequence", "Iterable"):
        return f"a list of {_expected(inner[0], many=True)}"
    return "a function" if origin.__name__ == "Callable" else f"a {origin.__name__}"
