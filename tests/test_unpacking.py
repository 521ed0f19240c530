from __future__ import annotations

import os
import re
import struct
import zipfile

import pytest

import medkit as mk
from medkit.rules.replay.unpacking import MOST_BYTES, opened

MARK = "replay_dir/manifest.json"


def packed(path, names=(MARK, "source_dir/x.py"), around=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(around + name, f"content of {name}")
    return path


def entry(path, name, mode=0o100644):
    """A zip with an entry of any name and kind."""
    with zipfile.ZipFile(packed(path), "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    return path


def with_sizes(path, size):
    """A zip whose list of contents tells another size of each file."""
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"PK\1\2", bytes(data)):
        data[found.start() + 24 : found.start() + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("around", ["", "handin/"])
def test_a_zip_is_a_folder_while_it_is_looked_at(tmp_path, around):
    with opened(packed(tmp_path / "a.zip", around=around), MARK) as folder:
        assert (folder / MARK).read_text() == f"content of {MARK}"
        assert (folder / "source_dir/x.py").is_file()
    assert not folder.exists()


def test_a_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "replay_dir").mkdir()
    (tmp_path / MARK).write_text("{}")
    with opened(tmp_path, MARK) as folder:
        assert folder == tmp_path
    assert (tmp_path / MARK).is_file()


@pytest.mark.parametrize(
    "name", ["../out.py", "/tmp/out.py", "a/../../out.py", "..\\out.py", "C:/out.py"]
)
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    path = entry(tmp_path / "a.zip", name)
    with pytest.raises(mk.DataError, match="leads out of the folder. Nothing was unpacked"):
        with opened(path, MARK):
            pass
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = entry(tmp_path / "a.zip", "replay_dir/link", mode=0o120777)
    with pytest.raises(mk.DataError, match="'replay_dir/link' leads out of the folder"):
        with opened(path, MARK):
            pass


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path):
    folder = tmp_path / "handin"
    (folder / "replay_dir").mkdir(parents=True)
    (folder / MARK).write_text("{}")
    os.symlink("/etc/passwd", folder / "users")
    with pytest.raises(mk.DataError, match="'users' is a link that leads out"):
        with opened(folder, MARK):
            pass


def test_a_zip_of_a_hundred_gigabytes_is_not_unpacked(tmp_path):
    names = [f"replay_dir/{k}" for k in range(25)]
    path = with_sizes(packed(tmp_path / "a.zip", [MARK, *names]), 2**32 - 2)
    with pytest.raises(mk.DataError, match=r"it holds 26 files of 111\.7 GB \(expected at most"):
        with opened(path, MARK):
            pass
    assert MOST_BYTES < 100e9


def test_a_file_that_is_larger_than_its_zip_says_is_refused(tmp_path):
    path = with_sizes(packed(tmp_path / "a.zip"), 3)
    with pytest.raises(mk.DataError, match="not a whole zip|larger than the zip says"):
        with opened(path, MARK):
            pass


def test_what_is_no_zip_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(mk.DataError, match="a.zip: not a whole zip"):
        with opened(tmp_path / "a.zip", MARK):
            pass


def test_what_is_no_hand_in_is_named(tmp_path):
    (tmp_path / "source_dir").mkdir()
    with pytest.raises(mk.MissingError, match=r"no replay_dir/manifest.json in it \(found source_"):
        with opened(tmp_path, MARK):
            pass
    with pytest.raises(mk.MissingError, match=r"no such folder or zip \(found source_dir/"):
        with opened(tmp_path / "nowhere", MARK):
            pass
