"""What a piece of code is known to be without running it: texts, paths, and where names come from.

Texts and paths are put together as Python would (`+`, f-strings, `os.path.join`, `Path / name`);
what is not known in them is written `{?}`. Everything else is a `Thing`: the dotted name of what
was imported, called or looked up, as far as that is known.
"""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Callable, Iterable, Iterator

GAP = "{?}"
MOST = 8  # values that one name may have, after branches
WIDE = re.compile(r"\d{4}|\*")  # in a format: it could ask for any number of characters
LONGEST = 100_000  # characters of a text that is put together


@dataclass(frozen=True)
class Thing:
    """What is no plain value.

    Attributes:
        name: such as "numpy.random.rand" or "requests.Session()"; "?" is unknown.
        marks: what it was made of: "test" (cases of the split), "clock" (time, chance).
    """

    name: str = "?"
    marks: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Thing:
        whole = f"{self.name}.{name}" if len(self.name) < 200 else f"?.{name}"
        return Thing(whole.replace("builtins.", ""), self.marks)


@dataclass(frozen=True)
class AnyOf:
    """One of several, since branches differ."""

    options: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a plain value, such as "{}.csv".format."""

    value: Any
    name: str


UNKNOWN = Thing()
PURE = {  # methods of plain values that change nothing
    str: "capitalize casefold decode encode format join lower lstrip partition replace rstrip "
    "removeprefix removesuffix rsplit split splitlines strip swapcase title upper",
    bytes: "decode hex join lower upper strip replace",
    PurePosixPath: "joinpath with_name with_suffix relative_to as_posix",
    dict: "get keys values items copy",
    list: "copy index",
    tuple: "index",
}
SAME = "resolve absolute expanduser"  # of a path, which stays one


def options(value: Any) -> tuple[Any, ...]:
    return value.options if isinstance(value, AnyOf) else (value,)


def either(values: Iterable[Any]) -> Any:
    """The one value, or one of those that there are."""
    flat: list[Any] = []
    for value in itertools.chain.from_iterable(map(options, values)):
        if not any(value is old or (type(value) is type(old) and value == old) for old in flat):
            flat.append(value)
    if len(flat) == 1:
        return flat[0]
    return AnyOf(tuple(flat[:MOST])) if flat else UNKNOWN


def marks_of(*values: Any) -> frozenset[str]:
    """What values were made of, those inside lists included."""
    found: set[str] = set()
    for value in itertools.chain.from_iterable(map(options, values)):
        if isinstance(value, Thing):
            found |= value.marks
        elif isinstance(value, (list, tuple)):
            found |= marks_of(*value)
        elif isinstance(value, dict):
            found |= marks_of(*value.values())
    return frozenset(found)


def combined(function: Callable[..., Any], *values: Any) -> Any:
    """What a pure function makes of values, for each way that branches could have gone."""
    results = []
    for way in itertools.islice(itertools.product(*map(options, values)), MOST):
        try:
            result = function(*way)
        except Exception:  # whatever plain Python says of such values
            result = UNKNOWN
        is_long = isinstance(result, (str, bytes, list, tuple)) and len(result) > LONGEST
        is_gone = is_long or result is UNKNOWN
        results.append(Thing("?", marks_of(*way)) if is_gone else result)
    return either(results)


def added(left: Any, right: Any) -> Any:
    """left + right, where one side may be unknown in part."""
    if isinstance(left, Thing) and isinstance(right, (str, PurePosixPath)):
        left = GAP
    if isinstance(right, Thing) and isinstance(left, (str, PurePosixPath)):
        right = GAP
    if any(isinstance(side, Thing) for side in (left, right)):
        return UNKNOWN
    return left + right


def joined(*parts: Any) -> Any:
    """A path of parts, as `os.path.join` and `/` make it."""
    if not parts or all(isinstance(part, Thing) for part in parts):
        return UNKNOWN if parts else PurePosixPath(".")
    names = [GAP if isinstance(part, Thing) else part for part in parts]
    if any(str(name).startswith(("http://", "https://", "ftp://", "s3://")) for name in names):
        return "/".join(map(str, names))
    return PurePosixPath(*names)


def formatted(pieces: Iterable[Any]) -> Any:
    return "".join(GAP if isinstance(piece, Thing) else str(piece) for piece in pieces)


def operated(symbol: str, left: Any, right: Any) -> Any:
    """A binary operation of plain values; what could grow without bound is unknown."""
    if symbol == "Add":
        return added(left, right)
    if symbol == "Div" and isinstance(left, (Thing, str, PurePosixPath)):
        return joined(left, right)
    if symbol == "Mod" and isinstance(left, str):
        if WIDE.search(left):
            return UNKNOWN
        fill = right if isinstance(right, tuple) else (right,)
        return left % tuple(GAP if isinstance(part, Thing) else part for part in fill)
    if symbol in ("Sub", "BitXor", "Mult") and all(isinstance(v, int) for v in (left, right)):
        if max(abs(left), abs(right)) < 2**31:
            return {"Sub": left - right, "BitXor": left ^ right, "Mult": left * right}[symbol]
    return UNKNOWN


def method_result(method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a method of a plain value returns, if it is known."""
    kind = type(method.value)
    if kind is PurePosixPath and method.name in SAME.split():
        return method.value
    if kind not in PURE or method.name not in PURE[kind].split():
        return UNKNOWN
    if method.name == "format":
        if WIDE.search(method.value):
            return UNKNOWN
        args = tuple(GAP if isinstance(part, Thing) else part for part in args)
        kwargs = {k: GAP if isinstance(part, Thing) else part for k, part in kwargs.items()}
    if method.name == "join" and args:
        args = ([GAP if isinstance(part, Thing) else part for part in args[0]], *args[1:])
    result = getattr(method.value, method.name)(*args, **kwargs)
    return list(result) if kind is dict and method.name in ("keys", "values", "items") else result


def attribute_of(value: Any, name: str) -> Any:
    """`value.name` of a plain value: a part of a path, or a method."""
    if isinstance(value, PurePosixPath):
        if name == "parent":
            is_up = str(value) != "/" and (not value.name or value.name == "..")
            return value / ".." if is_up else value.parent
        if name == "parents":
            ups = [attribute_of(value, "parent")]
            for _ in range(4):
                ups.append(attribute_of(ups[-1], "parent"))
            return ups
        if name in ("name", "stem", "suffix", "parts"):
            return getattr(value, name)
    return Method(value, name)


def subscripted(value: Any, key: Any) -> Any:
    if isinstance(value, (str, bytes, list, tuple, dict)) and not isinstance(key, Thing):
        return value[key]
    return UNKNOWN


def known_calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions whose result is known where their arguments are."""
    for name in ("os.path.join", "posixpath.join"):
        yield name, joined
    for name in ("Path", "PosixPath", "PurePath", "PurePosixPath"):
        yield f"pathlib.{name}", joined
    for name in ("os.path.abspath", "os.path.realpath", "os.path.normpath", "os.fspath"):
        yield name, lambda path, *_: path
    yield "os.path.expanduser", lambda path: path
    yield "os.path.dirname", lambda path: str(attribute_of(PurePosixPath(path), "parent"))
    yield "os.path.basename", lambda path: PurePosixPath(path).name
    for name in ("os.getcwd", "pathlib.Path.cwd", "os.curdir"):
        yield name, lambda: PurePosixPath(".")
    yield "pathlib.Path.home", lambda: PurePosixPath("~")
    for name in ("base64.b64decode", "base64.urlsafe_b64decode"):
        yield name, lambda text, *_: base64.b64decode(text, altchars=b"-_")
    yield "bytes.fromhex", bytes.fromhex
    yield "bytes", lambda *args: bytes(*args) if isinstance(args[0], (str, list)) else UNKNOWN
    yield "chr", chr
    yield "ord", ord
    yield "reversed", lambda values: list(reversed(values))
    for kind in (str, list, tuple, dict, sorted):
        yield kind.__name__, kind
    yield "range", lambda *args: list(itertools.islice(range(*args), 20))
    yield "enumerate", lambda values, *_: [list(pair) for pair in enumerate(values)]
    yield "zip", lambda *values: [list(row) for row in zip(*values)]


KNOWN = dict(known_calls())
