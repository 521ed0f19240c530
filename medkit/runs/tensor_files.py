"""One file that holds the whole state of a run: tensors and one JSON text, in safetensors.

Pickle is never read: a pickled file can run any code.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator, Mapping

import torch
from safetensors import SafetensorError, safe_open

from medkit import files
from medkit.errors import DataError, MissingError

PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")
DTYPES = {  # as safetensors names and orders them, the most aligned first
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts, whole or not at all."""
    files.write_whole(path, _pieces(tensors, facts))


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and facts of a file that `save_state` wrote; tensors alone of any other safetensors.

    Raises:
        MissingError, DataError: naming the file, what is wrong and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such file (found {files.listing(path.parent)}).")
    try:
        if not _is_pickle(path):
            with safe_open(str(path), framework="pt") as file:
                facts = _facts(file.metadata() or {})
                return {name: file.get_tensor(name) for name in file.keys()}, facts
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: not a whole safetensors file ({error}). Copy it anew, or train it again."
        ) from error
    raise DataError(
        f"{path}: a pickled file can run any code and is never read. Convert it on a machine "
        "of your own: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
    )


def weights_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the sorted (name, dtype, shape, bytes) of tensors, in hex."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_raw(tensor))
    return digest.hexdigest()


def save_generation(
    path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]
) -> None:
    """Save a state, and keep the one before it beside it."""
    facts = {**facts, "sha256": _whole_hash(tensors, facts)}
    files.write_whole(path, _pieces(tensors, facts), keep=previous(path))


def load_newest(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[str]] | None:
    """The newest whole state of two generations, with notes on one passed over.

    That one is put aside: the next save would keep it in place of the whole one.

    Raises:
        DataError: when there are states and none of them is whole.
    """
    notes = []
    for candidate in (path, previous(path)):
        if not candidate.is_file():
            continue
        try:
            tensors, facts = load_state(candidate)
            _check_whole(candidate, tensors, facts)
        except ValueError as error:
            notes.append(f"passed over a damaged state: {error}")
            continue
        if notes:
            notes.append(f"the damaged state is now {_put_aside(path).name}")
        return tensors, facts, notes
    if notes:
        raise DataError(f"{' '.join(notes)} Choose another folder to begin anew.")
    return None


def previous(path: Path) -> Path:
    """Where the state before the newest lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _put_aside(path: Path) -> Path:
    damaged = path.with_name(f"{path.stem}.damaged{path.suffix}")
    try:
        with suppress(FileNotFoundError):  # another process of this run was faster
            os.replace(path, damaged)
    except OSError as error:
        raise files.explain(error, damaged) from error
    return damaged


def _check_whole(path: Path, tensors: Mapping[str, torch.Tensor], facts: dict[str, Any]) -> None:
    kept = facts.pop("sha256", None)
    if kept is None:
        raise DataError(f"{path}: not the state of a run, but other weights.")
    if _whole_hash(tensors, facts) != kept:
        raise DataError(f"{path}: its tensors or facts are not those that were saved.")


def _whole_hash(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> str:
    return files.sha256(f"{weights_hash(tensors)} {json.dumps(facts)}".encode())


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What `save_state` was given; nothing for the weights of others, whatever they note."""
    try:
        facts = json.loads(metadata.get("state", "{}"))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _pieces(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes that safetensors.torch.save gives, one tensor after the other.

    Its own are all in memory, two or three times. All facts are one metadata key, since it writes
    several in random order; tied weights, which it refuses, are written twice.
    """
    unknown = [f"{name} ({t.dtype})" for name, t in tensors.items() if t.dtype not in DTYPES]
    if unknown:
        raise DataError(f"safetensors cannot hold {', '.join(unknown[:3])}. Change their dtype.")
    ranks = list(DTYPES)
    names = sorted(tensors, key=lambda name: (ranks.index(tensors[name].dtype), name))
    header: dict[str, Any] = {"__metadata__": {"state": json.dumps(facts)}}
    end = 0
    for name in names:
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        shape = {"shape": list(tensor.shape), "data_offsets": [begin, end]}
        header[name] = {"dtype": DTYPES[tensor.dtype], **shape}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield _raw(tensors[name])


def _raw(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor; a copy only of what is on a device or not contiguous."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _is_pickle(path: Path) -> bool:
    """By its name, or as torch.save begins a file: a zip, or a pickle of protocol 2 to 5."""
    with open(path, "rb") as file:
        head = file.read(8)
    is_bare = head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5" and head[2:] != bytes(6)
    return path.suffix.lower() in PICKLES or head[:4] == b"PK\3\4" or is_bare
