"""Files that the notebooks would open, and paths that only one machine has.

Free are the data folder, the notebooks' own, and that of the runs. What is only known in part
(`Path(DATA) / name`) is taken for what its beginning says.
"""

from __future__ import annotations

import ast
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Iterator

from medkit.rules.audit.network import URL, shell_text
from medkit.rules.audit.scopes import Call
from medkit.rules.audit.sources import Cell, Finding, Source
from medkit.rules.audit.values import GAP, options
from medkit.rules.audit.walking import Walker
from medkit.runs.folder import Run

OPENS = re.compile(  # what opens the path that it is given, whichever argument that is
    r"((io|os|codecs|gzip|bz2|lzma|tarfile|tifffile|PIL\.Image|zarr)\.)?open|zipfile\.ZipFile|"
    r"h5py\.File|sqlite3\.connect|pandas\.(read_\w+|ExcelFile|HDFStore)|polars\.(read|scan)_\w+|"
    r"numpy\.(load|loadtxt|genfromtxt|fromfile|memmap)|joblib\.load|torch\.(jit\.)?load|"
    r"cv2\.VideoCapture|.*\bimread|torchvision\.(io|datasets)\.\w+|safetensors(\.\w+)*\.\w+|"
    r"pydicom\.\w+|nibabel\.load|SimpleITK\.\w+|pyedflib\.\w+|.*\.(Image|Dataset)Folder|"
    r"glob\.i?glob|os\.(listdir|scandir|walk|chdir|readlink|symlink|link|rename|path\.getsize)|"
    r"shutil\.(copy\w*|move|unpack_archive)|runpy\.run_path|.*(load_source|spec_from_file_location)|"
    r"sys\.path\.(append|insert|extend)|site\.addsitedir|.*(load_model|load_weights|from_pretrained)|"
    r"pathlib\.Path\(\)\.(read_text|read_bytes|open|glob|rglob|iterdir|link_to|replace|\w+link_to)|"
    r".*(InferenceSession|load_from_checkpoint)|medkit\.(Run|list_runs|join_groups|Config|read_\w+)|"
    r"medkit\.(tables\.read|images\.decode|edf|runs\.config)\.?\w+|medkit.*\.(read|inspect)"
)
HARMLESS = re.compile(  # of the system: what a machine has
    r"/proc/(meminfo|cpuinfo|version|loadavg|uptime|self/status)|/sys/fs/cgroup.*|/etc/os-release|"
    r"/dev/(null|shm.*|stdout|stderr|urandom)|.*\.(ttf|otf|ttc)|(/usr/share|~/\.local/share)/fonts.*"
)
REST = r"[^\s'\"<>|;,)\]]"  # of a path in a text
ABSOLUTE = re.compile(
    r"(?<![\w.:/}\\~<])(/(?:home|root|Users|mnt|media|data\d*|dataset\w*|workspace|content|kaggle|"
    r"tmp|var|opt|srv|scratch|storage|nas|nfs|shared?|projects?|(disk|ssd|hdd|raid)\d*|[Vv]olumes?|"
    rf"work|export|etc|usr|net|proc|sys)/{REST}*|~\w*/{REST}+|[A-Za-z]:[\\/]+\w{REST}*)"
)
HOME = re.compile(
    r"(?<![\w.])(/home/|/Users/|[A-Za-z]:\\+Users\\+)(?!\.\.\.|x\b|user\b|jovyan\b)\w+"
)
OF_LIBRARIES = re.compile(r"(site|dist)-packages|/lib/python|ipykernel|<ipython|\.venv|conda")
WORDS = re.compile(r"(?<![\w}])(?:~|/|\.\./)[^\s'\"|;&<>()=]*")  # paths in a command


@dataclass(frozen=True)
class Places:
    """Where files may lie: absolute folders, and the names of such beside the notebooks'."""

    roots: tuple[str, ...]
    names: frozenset[str]

    def is_free(self, path: str) -> bool:
        """Whether a path is in a place that is free, or not known at all."""
        path = os.path.normpath(path).replace("\\", "/")
        if path.startswith(GAP) or HARMLESS.fullmatch(path):
            return True
        if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
            return any(path == root or path.startswith(f"{root}/") for root in self.roots)
        parts = PurePosixPath(path).parts
        rest = [part for part in parts if part != ".."]
        return ".." not in parts or bool(rest and (rest[0] in self.names or rest[0] == GAP))


def places_of(walker: Walker, sources: list[Source], run: Run, data: Any) -> Places:
    """The data folder as the run, its contest.json and the notebooks tell it, and as it is now."""
    known = run.facts["data"]
    roots = {known, *_above(known), *map(os.path.abspath, [] if data is None else [data])}
    for folder in [run.path, *run.path.parents][:4]:
        memory = folder / "contest.json"
        if memory.is_file():
            told = json.loads(memory.read_text(encoding="utf-8"))
            roots.add(str(told.get("data", known)))
    names = {"runs", *(PurePosixPath(root).name for root in roots)}
    for name, value, cell, _ in walker.named:
        for path in options(value) if cell.is_parameters and name in ("DATA", "RUNS") else ():
            if isinstance(path, str):
                is_relative = not path.startswith(("/", "~"))
                is_above = path.count("/") > 1 and f"{known}/".startswith(f"{path.rstrip('/')}/")
                names |= {part for part in PurePosixPath(path).parts if part != ".."}
                roots |= {path.rstrip("/")} if is_relative or is_above or name == "RUNS" else set()
    roots |= {str(source.path.resolve().parent) for source in sources}
    roots |= {str(run.path.resolve().parent)}
    return Places(tuple(roots - {"/", "", ".", "~"}), frozenset(names))


def _above(pictures: str) -> list[str]:
    """The two folders above those of the pictures: at least three levels deep, and no home."""
    ups = [str(up) for up in Path(pictures).parents][:2]
    homes = re.compile(r"/(home|Users)/[^/]+|/root(/[^/]+)?")
    return [up for up in ups if up.count("/") > 1 and not homes.fullmatch(up)]


def check_files(walker: Walker, places: Places) -> Iterator[Finding]:
    """Files that are opened outside of what is free; what is written there is unclear."""
    for call in walker.calls:
        for path, is_write in _opened(call):
            if not places.is_free(path):
                verdict = "unclear" if is_write else "broken"
                what = "written" if is_write else "opened"
                yield Finding(verdict, f"{shown(path)} is {what} ({call.last[:30]})", call.where)


def _opened(call: Call) -> Iterator[tuple[str, bool]]:
    """The paths that a call opens, and whether for writing."""
    text = shell_text(call)
    if text is not None:
        is_fetching = re.match(r"(pip|conda|git|nvidia-smi)\b", text)
        for path in () if is_fetching else WORDS.findall(URL.sub("", text)):
            is_program = path.startswith(("/usr/", "/bin/", "/opt/")) and text.startswith(path)
            if len(path) > 1 and not is_program and not path.startswith("//"):
                yield path, bool(re.search(rf">+\s*{re.escape(path)}", text))
    if OPENS.fullmatch(call.name):
        place = 1 if len(call.args) > 1 else 0  # of the mode; of a path's own method, the path is 0
        mode = call.argument(place, "mode")
        is_write = call.last == "open" and bool(re.fullmatch(r"[bt+]*[wax][bt+]*", str(mode)))
        for value in (*call.args, *call.kwargs.values()):
            for way in options(value):
                if isinstance(way, (str, PurePosixPath)) and not URL.match(str(way)):
                    yield str(way), is_write


def check_absolute(sources: list[Source], places: Places) -> Iterator[Finding]:
    """Paths of one machine in cells, but for the parameters, and of somebody's home in outputs."""
    for source in sources:
        for cell in source.code:
            if not cell.is_parameters:
                yield from _in_code(cell)
            yield from _in_outputs(cell, places)


def _in_code(cell: Cell) -> Iterator[Finding]:
    seen: set[tuple[int, str]] = set()
    nodes = list(ast.walk(cell.tree)) if cell.tree is not None else []
    in_words = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    for node in nodes:
        is_value = isinstance(node, ast.Constant) and id(node) not in in_words
        text = node.value if is_value else None
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        found = ABSOLUTE.search(text) if isinstance(text, str) else None
        if found and not URL.search(text) and (node.lineno, found[0]) not in seen:
            seen.add((node.lineno, found[0]))
            is_plain = not re.search(r"\\[dws]|\(\?|\[\^", text) or text.startswith(("/home", "C:"))
            if is_plain:
                verdict = "unclear" if HARMLESS.fullmatch(found[0]) else "broken"
                yield Finding(verdict, f"{shown(found[0])} is absolute", cell.where(node.lineno))


def _in_outputs(cell: Cell, places: Places) -> Iterator[Finding]:
    told: set[str] = set()
    for line in "\n".join(cell.outputs).splitlines():
        for found in () if OF_LIBRARIES.search(line) else HOME.finditer(line):
            path = re.match(r"[^\s'\"<>;,)\]]*", line[found.start() :])[0].rstrip(".:")
            is_known = path in places.roots or places.is_free(path)
            told.add("unclear" if is_known else "broken")
    for verdict in sorted(told):
        what = "the data folder's" if verdict == "unclear" else "a"
        yield Finding(verdict, f"{what} path in a home is in an output", cell.where())


def shown(path: str) -> str:
    """A path for the table: short, and without the name of a user."""
    path = re.sub(r"((?:/home|/Users|[A-Za-z]:\\+Users)[\\/]+)[^\\/]+", r"\1...", path)
    path = re.sub(r"~\w+", "~...", path)
    return path if len(path) <= 60 else f"{path[:28]}...{path[-28:]}"
