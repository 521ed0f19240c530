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
from typing import Any, Callable, Iterable

GAP = "{?}"
MOST = 8  # values that one name may have, after branches
LONGEST = 100_000  # characters of a text that is put together
WIDE = re.compile(r"\d{4}|\*")  # in a format: it could ask for any number of characters
PURE = (  # methods of texts, paths, lists and dictionaries that change nothing
    "capitalize casefold decode encode format get hex items join joinpath keys lower lstrip "
    "partition relative_to removeprefix removesuffix replace rsplit rstrip split splitlines strip "
    "swapcase title upper values with_name with_suffix"
).split()


@dataclass(frozen=True)
class Thing:
    """What is no plain value.

    Attributes:
        name: such as "numpy.random.rand" or "requests.Session()"; "?" is unknown.
        marks: what it was made of: "test" (cases of that split), "clock" (time, chance).
    """

    name: str = "?"
    marks: frozenset[str] = frozenset()

    def then(self, more: str, marks: frozenset[str] | None = None) -> Any:
        """What has the same name and some more; where that is known, its value."""
        name = f"{self.name if len(self.name) < 200 else '?'}{more}"
        name = re.sub(r"^builtins\.|\.__dict__(?=\.)", "", name)
        if name in PLAIN:
            return PLAIN[name]
        return Thing(name, self.marks if marks is None else marks)


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
PLAIN = {  # names that stand for a text
    "os.sep": "/",
    "os.path.sep": "/",
    "os.pardir": "..",
    "os.environ['HOME']": "~",
    "os.environ['USERPROFILE']": "~",
}


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
        inner = value.values() if isinstance(value, dict) else value
        if isinstance(value, Thing):
            found |= value.marks
        elif isinstance(value, (list, tuple, dict)):
            found |= marks_of(*inner)
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


def filled(values: Iterable[Any]) -> list[Any]:
    """Values for a text, with a gap for each that is not plain."""
    plain = (str, bytes, int, float, PurePosixPath, type(None))
    return [value if isinstance(value, plain) else GAP for value in values]


def joined(*parts: Any) -> Any:
    """A path of parts, as `os.path.join` and `/` make it; an address stays one."""
    if parts and all(isinstance(part, Thing) for part in parts):
        return UNKNOWN
    names = filled(parts)
    if any(re.match(r"\w+://", str(name)) for name in names):
        return "/".join(map(str, names))
    return PurePosixPath(*names)


def operated(symbol: str, left: Any, right: Any) -> Any:
    """A binary operation of plain values; what could grow without bound is unknown."""
    is_text = any(isinstance(side, (str, bytes, PurePosixPath)) for side in (left, right))
    if symbol == "Add" and is_text:
        left, right = filled((left, right))
        return left + right
    if symbol == "Div" and is_text:
        return joined(left, right)
    if symbol == "Mod" and is_text and not WIDE.search(left):
        return left % tuple(filled(right if isinstance(right, tuple) else (right,)))
    if symbol == "Add" and isinstance(left, (list, tuple)):
        return left + right
    if all(isinstance(side, int) and abs(side) < 2**31 for side in (left, right)):
        known = {"Add": left + right, "Sub": left - right, "BitXor": left ^ right}
        return known.get(symbol, UNKNOWN)
    return UNKNOWN


def method_result(method: Method, args: Iterable[Any], kwargs: dict[str, Any]) -> Any:
    """What a method of a plain value returns, if it is known."""
    value, name, args = method.value, method.name, list(args)
    if isinstance(value, PurePosixPath) and name in ("resolve", "absolute", "expanduser"):
        return value
    if name not in PURE or (name == "format" and WIDE.search(value)):
        return UNKNOWN
    if name == "join" and args:
        args = [filled(args[0])]
    kwargs = dict(zip(kwargs, filled(kwargs.values())))
    result = getattr(value, name)(*filled(args), **kwargs)
    return list(result) if isinstance(value, dict) and name != "get" else result


def attribute_of(value: Any, name: str) -> Any:
    """`value.name` of a plain value: a part of a path, or a method."""
    if isinstance(value, PurePosixPath):
        if name == "parent" and str(value) != "/" and value.name in ("", ".."):
            return value / ".."
        if name in ("name", "stem", "suffix", "parent"):
            return getattr(value, name)
    return Method(value, name)


def subscripted(value: Any, key: Any) -> Any:
    return UNKNOWN if isinstance(key, Thing) else value[key]


KNOWN: dict[str, Callable[..., Any]] = {  # functions whose result is known where arguments are
    **dict.fromkeys(("os.path.join", "posixpath.join", "pathlib.Path", "pathlib.PurePath"), joined),
    **{
        f"os.path.{n}": lambda path, *_: path
        for n in "abspath realpath normpath expanduser".split()
    },
    **dict.fromkeys(("os.getcwd", "pathlib.Path.cwd"), lambda: PurePosixPath(".")),
    "os.path.dirname": lambda path: str(attribute_of(PurePosixPath(path), "parent")),
    "os.path.basename": lambda path: PurePosixPath(path).name,
    "os.getenv": lambda name, *_: PLAIN.get(f"os.environ[{name!r}]", UNKNOWN),
    "os.environ.get": lambda name, *_: PLAIN.get(f"os.environ[{name!r}]", UNKNOWN),
    "os.fspath": lambda path: str(path),
    "pathlib.Path.home": lambda: PurePosixPath("~"),
    "base64.b64decode": lambda text, *_: base64.b64decode(text),
    "bytes.fromhex": bytes.fromhex,
    "bytes": lambda values, *_: UNKNOWN if isinstance(values, int) else bytes(values),
    "chr": chr,
    "ord": ord,
    "reversed": lambda values: list(reversed(values)),
    "range": lambda *args: list(itertools.islice(range(*args), 20)),
    "enumerate": lambda values, *_: [list(pair) for pair in enumerate(values)],
    "zip": lambda *values: [list(row) for row in zip(*values)],
    **{kind.__name__: kind for kind in (list, tuple, dict, sorted)},
    "str": lambda value, *_: str(filled([value])[0]),
}
