from __future__ import annotations

import json
import pickle

import pytest
import safetensors.torch
import torch

from medkit.runs.tensor_files import (
    DTYPES,
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


def test_a_state_is_written_as_the_library_writes_it(tmp_path):
    """In each dtype, with names out of order, nothing, one number, and one that is not in order."""
    tensors = {f"{name}{dtype}": torch.ones(2, 3).to(dtype) for dtype in DTYPES for name in "z가a"}
    tensors.update(TENSORS, none=torch.zeros(0, 3), turned=torch.rand(2, 3).t())
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for length in range(8):  # the header is filled up to a multiple of 8
        facts = {"실행": '"\\\n' + "x" * length, "x": [1.5, None]}
        save_state(tmp_path / "x", tensors, facts)
        wanted = safetensors.torch.save(plain, metadata={"state": json.dumps(facts)})
        assert (tmp_path / "x").read_bytes() == wanted


def test_a_dtype_that_safetensors_does_not_know_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot hold w \(torch\.complex64\)\. Change"):
        save_state(tmp_path / "x", {"w": torch.ones(2, dtype=torch.complex64)}, {})
    assert not list(tmp_path.iterdir())


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
    shared = {"a": weight, "b": weight, "part": weight[1:3], "across": weight[2:]}
    save_state(tmp_path / "x", shared, {})
    tensors, _ = load_state(tmp_path / "x")
    assert all(torch.equal(tensors[name], shared[name]) for name in shared)


def test_weights_of_others_are_no_state(tmp_path):
    save_state(tmp_path / "last.safetensors", TENSORS, {})
    with pytest.raises(ValueError, match="not the state of a run, but other weights. Choose"):
        load_newest(tmp_path / "last.safetensors")


@pytest.mark.parametrize("note", [None, {"format": "pt"}, {"state": "ready"}, {"state": "[1]"}])
def test_weights_of_others_may_note_what_they_like(tmp_path, note):
    safetensors.torch.save_file(TENSORS, str(tmp_path / "x.safetensors"), metadata=note)
    tensors, facts = load_state(tmp_path / "x.safetensors")
    assert weights_hash(tensors) == weights_hash(TENSORS) and facts == {}
    deep = {"state": "[" * 100_000 + "]" * 100_000}
    safetensors.torch.save_file(TENSORS, tmp_path / "x.safetensors", metadata=deep)
    assert load_state(tmp_path / "x.safetensors")[1] == {}


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


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path):
    """In the length, the header, the facts, the hash and the tensors."""
    path = tmp_path / "last.safetensors"
    for epoch in (0, 1):
        save_generation(path, TENSORS, {"epoch": epoch, "loss_sum": 0.1})
    whole = path.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(bytes(data))
        tensors, facts, notes = load_newest(path)
        assert facts == {"epoch": 0, "loss_sum": 0.1} and len(notes) == 2, data
        assert weights_hash(tensors) == weights_hash(TENSORS)
    assert "not those that were saved" in notes[0] and "now last.damaged.safetensors" in notes[1]
