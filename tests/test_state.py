from __future__ import annotations

import pickle

import pytest
import torch

from medkit.runs.state import (
    load_newest,
    load_state,
    previous,
    save_generation,
    save_state,
    weights_hash,
)

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "c": torch.tensor([True])}


def test_a_state_reads_back(tmp_path):
    save_state(tmp_path / "x.safetensors", TENSORS, {"epoch": 2, "best": {"value": 0.1}})
    tensors, facts = load_state(tmp_path / "x.safetensors")
    assert facts == {"epoch": 2, "best": {"value": 0.1}}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_the_same_state_is_the_same_file(tmp_path):
    for name in "xy":
        save_state(tmp_path / name, TENSORS, {str(i): i for i in range(12)})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_memory_format_does_not_change_the_hash():
    images = torch.rand(2, 3, 4, 4)
    other = images.to(memory_format=torch.channels_last)
    assert weights_hash({"w": images}) == weights_hash({"w": other})


@pytest.mark.parametrize(
    "change",
    [{"a": TENSORS["a"] + 1}, {"a": TENSORS["a"].reshape(3, 2)}, {"a": TENSORS["a"].half()}],
)
def test_every_change_changes_the_hash(change):
    assert weights_hash({**TENSORS, **change}) != weights_hash(TENSORS)
    assert weights_hash({"z": TENSORS["a"]}) != weights_hash({"a": TENSORS["a"]})


def test_a_pickle_is_refused_by_name_and_never_read(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match=r"model\.pth: a pickled file can run any code"):
        load_state(path)
    path = path.rename(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: not a whole safetensors file"):
        load_state(path)


def test_a_missing_state_says_what_is_there(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no such file \(found a\.txt\)"):
        load_state(tmp_path / "x.safetensors")


def test_two_generations_are_kept(tmp_path):
    path = tmp_path / "last.safetensors"
    assert load_newest(path) is None
    for epoch in range(3):
        save_generation(path, TENSORS, {"epoch": epoch})
    assert load_newest(path)[1]["epoch"] == 2
    path.write_bytes(path.read_bytes()[:-7])
    _, facts, notes = load_newest(path)
    assert facts["epoch"] == 1 and "last.safetensors: not a whole" in notes[0]
    previous(path).write_bytes(b"")
    with pytest.raises(ValueError, match="passed over a damaged state.*Choose another folder"):
        load_newest(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "last.safetensors"
    save_generation(path, TENSORS, {"epoch": 0})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="its tensors are not those that were saved"):
        load_newest(path)
