"""One file that holds the whole state of a run: tensors and one JSON text, in safetensors.

Pickle is never read: a pickled file can run any code.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from medkit import files

PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts, whole or not at all.

    All facts are one metadata key, since safetensors writes several in random order.
    """
    files.write_whole(path, _packed(tensors, facts))


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and facts of a file that `save_state` wrote; tensors alone of any other safetensors.

    Raises:
        FileNotFoundError, ValueError: naming the file, what is wrong and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file (found {files.listing(path.parent)}).")
    if _is_pickle(path):
        raise ValueError(
            f"{path}: a pickled file can run any code and is never read. Convert it on a machine "
            "of your own: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        return tensors, json.loads(metadata.get("state", "{}"))
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}). Copy it anew, or train it again."
        ) from error


def weights_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the sorted (name, dtype, shape, bytes) of tensors, in hex."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_generation(
    path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]
) -> None:
    """Save a state, and keep the one before it beside it."""
    facts = {**facts, "tensors": weights_hash(tensors)}
    files.write_whole(path, _packed(tensors, facts), keep=previous(path))


def load_newest(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[str]] | None:
    """The newest whole state of two generations, with notes on one passed over.

    That one is put aside: the next save would keep it in place of the whole one.

    Raises:
        ValueError: when there are states and none of them is whole.
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
            with suppress(FileNotFoundError):  # another process of this run was faster
                os.replace(path, path.with_name(f"{path.stem}.damaged{path.suffix}"))
        return tensors, facts, notes
    if notes:
        raise ValueError(f"{' '.join(notes)} Choose another folder to begin anew.")
    return None


def previous(path: Path) -> Path:
    """Where the state before the newest lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _check_whole(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    if "tensors" not in facts:
        raise ValueError(f"{path}: not the state of a run, but other weights.")
    if weights_hash(tensors) != facts["tensors"]:
        raise ValueError(f"{path}: its tensors are not those that were saved.")


def _packed(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> bytes:
    """A safetensors file; tied weights, which it does not know, are written twice."""
    plain, seen = {}, set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        if plain[name].data_ptr() in seen:
            plain[name] = plain[name].clone()
        seen.add(plain[name].data_ptr())
    text = json.dumps(facts)  # in the order of its making, which is the same each time
    return safetensors.torch.save(plain, metadata={"state": text})


def _is_pickle(path: Path) -> bool:
    """By its name, or as torch.save begins a file: a zip, or a pickle of protocol 2 to 5."""
    with open(path, "rb") as file:
        head = file.read(8)
    is_bare = head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5" and head[2:] != bytes(6)
    return path.suffix.lower() in PICKLES or head[:4] == b"PK\3\4" or is_bare
