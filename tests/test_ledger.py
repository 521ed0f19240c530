from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

import medkit as mk
from medkit.submission import ledger as module
from medkit.submission.ledger import Ledger, clock, ledger_path, opened

FACTS = {
    "host": "host:1",
    "team": "42",
    "csv": "제출.csv",
    "sha256": "ab" * 32,
    "run": "runs/a",
    "local_score": 0.875,
}


def write(name="one", outcome=None, **more):
    """An intent and, where it is told, its outcome."""
    facts = {**FACTS, "id": name, **clock(), **more}
    with opened() as ledger:
        ledger.append({"event": "intent", **facts})
        if outcome is not None:
            event = {**facts, "event": "outcome", "outcome": outcome, **clock("closed")}
            ledger.append({**event, "left": 8, "limit": 10, "words": "제출이 완료"})


def test_intent_and_outcome_are_one_row():
    write(outcome="accepted")
    write("two")
    table = mk.submissions()
    assert list(table["outcome"]) == ["accepted", "unknown"]  # a kernel died before the second's
    row = table.iloc[0]
    assert (row["csv"], row["run"], row["local_score"], row["left"]) == (
        "제출.csv",
        "runs/a",
        0.875,
        8,
    )
    assert row["sha256"] == "ab" * 6 and row["time"][:2] == "20" and row["words"] == "제출이 완료"
    assert table["leaderboard_score"].isna().all() and table["left"].isna().iloc[1]


def test_the_time_of_sending_is_not_the_time_of_the_answer():
    write("one", "accepted", time_utc="2020-01-01T00:00:00+00:00")
    write("two", time_utc="2020-01-02T00:00:00+00:00")
    answered, lost = Ledger(ledger_path()).entries
    assert answered.time.year == 2020 < answered.closed_time.year
    assert lost.time == lost.closed_time
    assert list(mk.submissions()["time"]) == ["2020-01-01 09:00:00", "2020-01-02 09:00:00"]


def test_nothing_sent_is_an_empty_table():
    table = mk.submissions()
    assert table.empty and list(table) == module.COLUMNS and not ledger_path().exists()


def test_it_is_private_and_each_line_is_json_with_a_checksum():
    write(outcome="refused")
    assert stat.S_IMODE(ledger_path().stat().st_mode) == 0o600
    lines = [json.loads(line) for line in ledger_path().read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["intent", "outcome"]
    assert all(len(line["check"]) == 16 and line["time_seoul"][-6:] == "+09:00" for line in lines)
    assert "제출.csv" in ledger_path().read_text(encoding="utf-8")


def test_a_score_is_noted_by_file_and_by_hash(tmp_path):
    csv = tmp_path / "x.csv"
    csv.write_text("id,x\na,1\n")
    digest = mk.files.sha256_file(csv)
    write("one", "accepted", sha256=digest)
    write("two", "refused", sha256=digest)
    mk.note_score(csv, 0.9)
    assert list(mk.submissions()["leaderboard_score"].fillna(-1)) == [0.9, -1]
    mk.note_score(digest[:12], 0.91)  # private, after the closing
    assert mk.submissions()["leaderboard_score"][0] == 0.91
    for other in ("ab" * 6, digest[:5], tmp_path / "none.csv"):
        with pytest.raises(ValueError, match=r"was not sent from here .*mk\.submissions\(\)"):
            mk.note_score(other, 0.5)
    with pytest.raises(ValueError, match="nan is no score"):
        mk.note_score(csv, float("nan"))


def test_a_line_that_was_cut_short_is_closed_with_a_note():
    write("one", "accepted")
    whole = ledger_path().read_bytes()
    for keep in (1, 20, 150):
        ledger_path().write_bytes(whole + whole.splitlines()[0][:keep])
        with pytest.warns(UserWarning, match="line 3 was cut short .* It was closed"):
            write("two", "unknown")
        assert list(mk.submissions()["outcome"]) == ["accepted", "unknown"]  # no warning any more
        assert ledger_path().read_bytes().startswith(whole + whole[:keep] + b"\n")
        ledger = Ledger(ledger_path())
        assert [event["event"] for _, event in ledger.events][2] == "repair"


def test_a_whole_line_without_its_end_still_counts():
    write("one", "accepted")
    ledger_path().write_bytes(ledger_path().read_bytes()[:-1])
    assert list(mk.submissions()["outcome"]) == ["accepted"]
    write("two", "refused")
    assert list(mk.submissions()["outcome"]) == ["accepted", "refused"]


def test_a_damaged_line_is_named_and_never_fatal():
    write("one", "accepted")
    write("two", "accepted")
    write("three", "accepted")
    lines = ledger_path().read_bytes().splitlines()
    lines[2] = lines[2].replace(b"0.875", b"0.999")  # still JSON, but not what was written
    lines[4] = b"\xff\x00[[["
    ledger_path().write_bytes(b"\n".join(lines) + b"\n")
    with pytest.warns(UserWarning, match=r"2 damaged lines are not counted \(line 3, 5\)"):
        table = mk.submissions()
    assert list(table["outcome"]) == ["accepted"] * 3  # an outcome repeats its intent
    with pytest.warns(UserWarning, match="damaged"):
        write_and_tell("four")
    assert ledger_path().read_bytes().splitlines()[:6] == lines


def write_and_tell(name):
    write(name, "accepted")
    mk.submissions()


@pytest.mark.parametrize("line", [b"null", b"[1]", b"5", b"{}", b"[" * 60000, b'{"check": 1}'])
def test_no_line_can_break_it(line):
    write("one", "accepted")
    ledger_path().write_bytes(line + b"\n" + ledger_path().read_bytes())
    with pytest.warns(UserWarning, match=r"\(line 1\)"):
        assert len(mk.submissions()) == 1


def test_a_damaged_outcome_reads_as_unknown():
    write("one", "accepted")
    lines = ledger_path().read_bytes().splitlines()
    ledger_path().write_bytes(lines[0] + b"\n" + lines[1][:-9] + b"\n")
    with pytest.warns(UserWarning, match=r"\(line 2\)"):
        assert list(mk.submissions()["outcome"]) == ["unknown"]


def test_file_names_may_hold_any_byte():
    write("one", "accepted", csv=os.fsdecode(b"x\xff\n.csv"))
    assert os.fsencode(mk.submissions()["csv"][0]) == b"x\xff\n.csv"


def test_a_folder_that_is_read_only_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDKIT_LEDGER", "/proc/nowhere/x.jsonl")
    with pytest.raises(OSError, match="not written"):
        write()
    monkeypatch.setenv("MEDKIT_LEDGER", str(tmp_path))
    with pytest.raises(OSError, match="not written"):
        write()


def test_a_disk_without_locks_is_said_and_used(monkeypatch):
    import fcntl

    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="this disk has no locks. Submit from one notebook"):
        write("one", "accepted")
    assert len(mk.submissions()) == 1


def test_a_ledger_that_is_held_is_waited_for_and_then_said(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    with opened():
        with pytest.raises(TimeoutError, match="another process holds it"):
            write()
    write()


def test_the_default_place_is_in_the_home_folder(monkeypatch):
    monkeypatch.delenv("MEDKIT_LEDGER", raising=False)
    assert ledger_path().parts[-4:] == (".local", "share", "medkit", "submissions.jsonl")


def test_several_processes_check_and_write_as_one_step():
    """Each takes the last free number under the lock: none is taken twice, none is lost."""
    code = """
import sys
from medkit.submission.ledger import clock, opened
sys.stdout.write("ready"), sys.stdout.flush(), sys.stdin.read()
for _ in range(25):
    with opened() as ledger:
        ledger.append({"event": "intent", "id": str(len(ledger.entries)), **clock()})
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(3)]
    assert [process.stdout.read(5) for process in running] == [b"ready"] * 3
    for process in running:
        process.stdin.close()
        process.stdout.close()
    assert [process.wait(300) for process in running] == [0, 0, 0]
    ledger = Ledger(ledger_path())
    assert [entry.facts["id"] for entry in ledger.entries] == [str(k) for k in range(75)]
    assert ledger.damaged == [] and len(ledger.events) == 75


def test_an_unknown_outcome_is_settled_and_may_be_corrected(tmp_path):
    csv = tmp_path / "x.csv"
    csv.write_text("id,x\na,1\n")
    digest = mk.files.sha256_file(csv)
    write("one", sha256=digest)  # its kernel died
    mk.note_outcome(csv, "accepted")
    assert list(mk.submissions()["outcome"]) == ["accepted"]
    mk.note_outcome(digest[:12], "refused")
    assert list(mk.submissions()["outcome"]) == ["refused"]
    write("two", "unknown", sha256=digest)
    mk.note_outcome(csv, "accepted")
    assert list(mk.submissions()["outcome"]) == ["refused", "accepted"]


def test_each_of_two_unknown_ones_is_settled(tmp_path, capsys):
    csv = tmp_path / "x.csv"
    csv.write_text("id,x\na,1\n")
    for name in ("one", "two"):
        write(name, "unknown" if name == "one" else None, sha256=mk.files.sha256_file(csv))
    mk.note_outcome(csv, "accepted")
    said = capsys.readouterr().out
    assert "What was sent to host:1 at " in said and "1 of the same bytes are still unknown" in said
    mk.note_outcome(csv, "refused")
    assert list(mk.submissions()["outcome"]) == ["refused", "accepted"]
    assert Ledger(ledger_path()).entries[1].closed == 4  # where it was settled


def test_what_the_server_said_is_not_settled_anew(tmp_path):
    csv = tmp_path / "x.csv"
    csv.write_text("id,x\na,1\n")
    write("one", "refused", sha256=mk.files.sha256_file(csv))
    with pytest.raises(ValueError, match="the server told .*: it was refused. Nothing is left"):
        mk.note_outcome(csv, "accepted")
    with pytest.raises(ValueError, match="'done' .expected 'accepted' or 'refused'"):
        mk.note_outcome(csv, "done")
    with pytest.raises(ValueError, match="note_outcome: .* was not sent from here"):
        mk.note_outcome("ab" * 7 + "cd", "accepted")


def test_a_ledger_that_others_can_read_is_tightened_with_a_note(monkeypatch, tmp_path):
    path = tmp_path / "share" / "medkit" / "submissions.jsonl"
    monkeypatch.setenv("MEDKIT_LEDGER", str(path))
    before = os.umask(0)
    try:
        write("one", "accepted")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o666)
    with pytest.warns(UserWarning, match="could be read by others; it is yours alone now"):
        write("two", "accepted")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_what_is_ones_own_is_taken_back():
    """A disk without locks lets another notebook write in between."""
    write("one", "accepted")
    before = ledger_path().read_bytes()
    with opened() as ledger:
        for cut in (0, 5, 200):
            event = {"event": "intent", "id": "mine", **clock()}
            line = (module._line(event) + "\n").encode()
            ledger_path().write_bytes(before + line[:cut])
            ledger.take_back(event, len(before))
            assert ledger_path().read_bytes() == before
            ledger_path().write_bytes(before + line[:cut] + b"of another\n")
            ledger.take_back(event, len(before))
            assert ledger_path().read_bytes() == before + line[:cut] + b"of another\n"
        ledger_path().write_bytes(before)
