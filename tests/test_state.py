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
    with pytest.raises(ValueError, match=r"model\.safetensors: a pickled file can run any code"):
        load_state(path)
    for is_zip in (True, False):
        torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(ValueError, match=r"never read\. Convert it on a machine of your own"):
            load_state(path)


def test_a_header_that_looks_like_a_pickle_is_read(tmp_path):
    """A safetensors file begins with the length of its header, here in the bytes of a pickle."""
    header = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'.ljust(0x280)
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header)
    assert (tmp_path / "x").read_bytes()[:2] == b"\x80\x02"
    assert list(load_state(tmp_path / "x")[0]) == ["a"]


def test_tied_weights_are_written_twice(tmp_path):
    weight = torch.arange(4.0)
    save_state(tmp_path / "x", {"a": weight, "b": weight}, {})
    tensors, _ = load_state(tmp_path / "x")
    assert torch.equal(tensors["a"], weight) and torch.equal(tensors["b"], weight)


def test_weights_of_others_are_no_state(tmp_path):
    save_state(tmp_path / "last.safetensors", TENSORS, {})
    with pytest.raises(ValueError, match="not the state of a run, but other weights. Choose"):
        load_newest(tmp_path / "last.safetensors")


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
