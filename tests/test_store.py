from __future__ import annotations

import os
import sqlite3
import stat
import threading
from datetime import timedelta

import pytest
from contests import HOUR, NIGHT

from medkit.files import sha256
from medkit.leaderboard.guarding import salted
from medkit.leaderboard.store import Store
from medkit.submission.quota import Quota

TEN = Quota(10, zone="Asia/Seoul")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "db" / "contest.sqlite")
    member = {"email": "me@x.kr", "name": "홍길동", "password": salted("site")}
    store.add_team(42, "용감한", salted("contest"), [member])
    yield store
    store.close()


def test_of_many_at_once_only_ten_are_taken(store):
    left, member = [], store.member("me@x.kr")

    def send():
        left.append(store.add(member, b"x", TEN, NIGHT))

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = sorted(kept[1] for kept in left if kept is not None)
    assert taken == list(range(10)) and store.used(42, TEN, NIGHT) == 10


def test_the_bytes_are_kept_with_their_hash(store):
    csv = "id,라벨\r\na,1\n\n".encode()
    name, _ = store.add(store.member("me@x.kr"), csv, TEN, NIGHT)
    assert store.csv(name) == csv and store.submissions()[0].sha256 == sha256(csv)
    assert store.submissions(42)[0].received == NIGHT and store.submissions(7) == []


def test_a_failed_scoring_gives_its_slot_back(store):
    name, left = store.add(store.member("me@x.kr"), b"x", TEN, NIGHT)
    assert left == 9 and store.used(42, TEN, NIGHT) == 1
    store.set_scores([(name, None, "no score")])
    assert store.used(42, TEN, NIGHT) == 0 and store.state(name) == "failed"
    assert store.csv(name) == b"" and store.submissions()[0].sha256 == sha256(b"x")
    store.score_again("one"), store.score_again("two")  # of other answers
    assert store.state(name) == "failed"


def test_a_window_frees_its_slot_to_the_second(store):
    hourly, member = Quota(1, window_s=3600), store.member("me@x.kr")
    assert store.add(member, b"x", hourly, NIGHT) is not None
    assert store.add(member, b"x", hourly, NIGHT + HOUR - timedelta(seconds=1)) is None
    assert store.add(member, b"x", hourly, NIGHT + HOUR) is not None


def test_the_order_is_that_of_receipt(store):
    member = store.member("me@x.kr")
    late, _ = store.add(member, b"late", TEN, NIGHT + timedelta(milliseconds=1))
    early, _ = store.add(member, b"early", TEN, NIGHT)
    assert [s.id for s in store.submissions()] == [early, late]
    assert store.unscored(5) == [(early, b"early"), (late, b"late")]


def test_a_team_can_be_renewed_and_takes_no_other_names(store):
    people = [{"email": "you@x.kr", "name": "너", "password": "x$y"}]
    assert store.add_team(None, "둘째", "a$b", people) == 43
    with pytest.raises(ValueError, match="'셋째': its e-mail is another team's"):
        store.add_team(None, "셋째", "a$b", people)
    with pytest.raises(ValueError, match="its name is another team's"):
        store.add_team(None, "용감한", "a$b", [])
    for name, email in [
        ("용감한 ", "n@x.kr"),
        ("ＴＷＯ", "n@x.kr"),
        ("n", "YOU@x.KR"),
        ("n", "ｙou@x.kr"),
    ]:
        store.add_team(43, "two", "a$b", people)
        taken = "name" if email == "n@x.kr" else "e-mail"
        with pytest.raises(ValueError, match=f"its {taken} is another team's"):
            store.add_team(None, name, "a$b", [{**people[0], "email": email}])
    with pytest.raises(ValueError, match="e-mail"):
        store.add_team(None, "n", "a$b", [{**people[0], "email": e} for e in ("z@x.kr", "Z@x.kr")])
    assert store.member("YOU@X.KR").team == 43 and store.member("us@x.kr") is None
    assert [team.number for team in store.teams()] == [42, 43]
    store.add(store.member("me@x.kr"), b"x", TEN, NIGHT)
    store.add_team(42, "더 용감한", "a$b", people[:0])
    assert store.team(42).name == "더 용감한" and len(store.submissions(42)) == 1


def test_a_damaged_store_says_what_to_do(tmp_path):
    path = tmp_path / "contest.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match=r"contest\.sqlite: the store is damaged .*backup"):
        Store(path)
    path.unlink()
    store = Store(path)
    member = {"email": "a@x.kr", "name": "a", "password": "x"}
    store.add_team(1, "a", "x", [member])
    for k in range(50):
        store.add(store.member("a@x.kr"), bytes([k]) * 2000, Quota(99, zone="UTC"), NIGHT)
    with store._open() as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    data = bytearray(path.read_bytes())
    data[4096 * 9 : 4096 * 12] = b"\xff" * 4096 * 3
    path.write_bytes(data)
    with pytest.raises(ValueError, match="the store is damaged"):
        Store(path)


def test_a_backup_is_whole_and_private_while_the_store_is_used(store, tmp_path):
    store.add(store.member("me@x.kr"), b"abc", TEN, NIGHT)
    store.backup(tmp_path / "copy.sqlite")
    assert stat.S_IMODE((tmp_path / "copy.sqlite").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.glob("*copy*")] == ["copy.sqlite"]
    copy = Store(tmp_path / "copy.sqlite")
    assert copy.csv(1) == b"abc" and copy.submissions() == store.submissions()
    copy.close()


def test_passwords_are_not_in_the_file(store):
    store.close()
    data = store.path.read_bytes()
    rows = sqlite3.connect(store.path)
    kept = str(rows.execute("SELECT * FROM teams, members").fetchall())
    rows.close()
    assert "'site'" not in kept and "'contest'" not in kept and b"me@x.kr" in data


def test_every_change_has_its_version(store):
    versions = [store.version(), store.version()]
    store.add(store.member("me@x.kr"), b"x", TEN, NIGHT)
    versions.append(store.version())
    other = Store(store.path)
    other.add_team(42, "새 이름", "a$b", [])
    other.close()
    versions.append(store.version())
    assert versions[0] == versions[1] and len(set(versions)) == 3


def test_commits_are_on_the_disk(store):
    with store._open() as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_backup_is_private_from_its_first_byte(store, tmp_path, monkeypatch):
    found, connect = [], sqlite3.connect

    def look(path, *args, **options):
        if "copy" in str(path):
            found.append(stat.S_IMODE(os.stat(path).st_mode))
        return connect(path, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", look)
    store.backup(tmp_path / "copy.sqlite")
    assert found == [0o600]


def test_what_is_set_aside_counts_no_more_and_can_come_back(store):
    member = store.member("me@x.kr")
    first, _ = store.add(member, b"a", TEN, NIGHT)
    second, _ = store.add(member, b"b", TEN, NIGHT + timedelta(days=400))
    before = store.submissions()
    store.set_aside([second])
    assert [s.id for s in store.submissions()] == [first] and store.latest() == NIGHT
    assert store.bring_back() == 1 and store.bring_back() == 0
    assert store.submissions() == before and store.csv(second) == b"b"
    store.set_scores([(second, {"public": {"f1": 1.0}}, "")])
    store.set_aside([second])
    store.bring_back()  # the answers may have been corrected meanwhile
    assert store.state(second) == "received" and store.submissions()[1].scores == {}


def test_a_store_of_names_that_only_differ_in_letters_is_still_read(store):
    """As an earlier version let them be."""
    with store._open() as database:
        for email in ("You@x.kr", "you@x.kr"):
            database.execute("INSERT INTO members VALUES (?, 42, 'x', 'a$b')", (email,))
    assert store.member("You@x.kr").email == "You@x.kr"
    assert store.member("YOU@x.kr") is None  # nobody knows whom it means
    members = [{"email": m.email, "name": "x", "password": "c$d"} for m in store.members(42)]
    store.add_team(42, "용감한", "c$d", members)  # and keeps what it has
    with store._open() as database:
        database.execute("INSERT INTO teams VALUES (50, 'AI', 'a$b'), (51, 'ai', 'a$b')")
    store.add_team(50, "AI", "c$d", [])
    with pytest.raises(ValueError, match="its name is another team's"):
        store.add_team(50, "Ai", "c$d", [])
