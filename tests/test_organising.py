from __future__ import annotations

import csv
import io
import re
import stat
import sys
from datetime import datetime, timedelta, timezone

import pytest
from contests import NIGHT, Clock, make_board, make_contest, send, table

from medkit.leaderboard import __main__ as commands
from medkit.leaderboard.app import make_app
from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import held
from medkit.leaderboard.organising import safe_cell
from medkit.leaderboard.refusing import Refused


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command of the organiser and return what it prints."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["medkit.leaderboard", *map(str, arguments)])
        commands.main()
        return capsys.readouterr().out

    return call


def test_from_new_to_a_submission_with_the_printed_passwords(run, tmp_path):
    (tmp_path / "a.csv").write_text(table())
    folder = tmp_path / "가을 대회"
    rules = ["--task", "caries", "--closes", "2099-01-01T00:00:00+09:00", "--limit", "3"]
    said = run("new", folder, "--answers", tmp_path / "a.csv", "--public-share", "0.5", *rules)
    assert "8 rows (4 public), 3 a calendar day in Asia/Seoul" in said
    said = run("teams", "add", folder, "용감한", "--member", "a@x.kr:가", "--member", "b@x.kr")
    found = re.search(
        r"team 1: 용감한\ncontest password: (\S+)\na@x.kr: (\S+)\nb@x.kr: (\S+)", said
    )
    contest, first, second = found.groups()
    board = Board(folder)
    assert first not in str(board.store.members(1)) and contest not in str(board.store.team(1))
    client = make_app(board).test_client()

    def post(email, password):
        data = {"files": (io.BytesIO(table().encode()), "s.csv")}
        url = f"/api/direct-report/1?password={contest}"
        return client.post(url, data=data, auth=(email, password))

    assert post("a@x.kr", first).json["message"].startswith("용감한팀 가님 제출이 완료")
    assert "1회/3회" in post("b@x.kr", second).json["message"]
    said = run("teams", "renew", folder, "1")
    assert post("a@x.kr", first).status_code == 401 and "contest password:" in said
    assert run("teams", "list", folder) == "1\t용감한\t가 <a@x.kr>, b <b@x.kr>\n"
    board.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "x"], r"0 members \(expected 1 to 4\)"),
        (["add", "x", *["--member", "a@x.kr"] * 5], "5 members"),
        (["add", "x", "--member", "nobody"], "'nobody' is no e-mail"),
        (["add", "x", "--member", "me@x.kr"], "its e-mail is another team's"),
        (["add", "용감한", "--member", "n@x.kr"], "its name is another team's"),
        (["add", " ", "--member", "n@x.kr"], "no name for a ranking"),
        (["add", "a\nb", "--member", "n@x.kr"], "no name for a ranking"),
        (["renew", "5"], r"no such number \(there are \[7, 42\]\)"),
    ],
)
def test_teams_that_cannot_be_are_refused(run, tmp_path, arguments, words):
    folder = make_contest(tmp_path / "c")
    with pytest.raises(SystemExit, match=words):
        run("teams", arguments[0], folder, *arguments[1:])


def test_a_whole_class_is_added_from_a_table(run, tmp_path):
    folder = make_contest(tmp_path / "c", members=(1, 2))
    people = "team,email,name\n하나,a@x.kr,가\n둘,b@x.kr,나\n하나,c@x.kr,다\n"
    (tmp_path / "class.csv").write_text(people, encoding="utf-8-sig")
    said = run("teams", "add", folder, "--table", tmp_path / "class.csv")
    assert said.count("contest password: ") == 2 and said.count("@x.kr: ") == 3
    assert "하나\t가 <a@x.kr>, 다 <c@x.kr>\n" in run("teams", "list", folder)
    (tmp_path / "class.csv").write_text("team,mail\na,b\n")
    with pytest.raises(SystemExit, match=r"lacks \['email', 'name'\]"):
        run("teams", "add", folder, "--table", tmp_path / "class.csv")


def test_a_backup_of_a_served_contest_can_be_served(run, tmp_path):
    board = make_board(tmp_path / "c")
    send(board)
    assert "It can be served as it is" in run("backup", tmp_path / "c", tmp_path / "b")
    send(board)
    board.close()
    copy = Board(tmp_path / "b", clock=Clock())
    assert [s.score("public") for s in copy.store.submissions()] == [1.0]
    copy.close()
    for path in (tmp_path / "b").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SystemExit, match="not empty. Choose a new folder"):
        run("backup", tmp_path / "c", tmp_path / "b")


def test_results_open_safely_in_a_spreadsheet(run, tmp_path):
    board = make_board(tmp_path / "c")
    people = [{"email": "=me@x.kr", "name": "x", "password": "x$y"}]
    board.store.add_team(42, '=HYPERLINK("http://x")', "x$y", people)
    member = board.store.member("=me@x.kr")
    board.receive(board.store.team(42), member, table().encode(), board.now())
    send(board, [0] * 8, team=7)
    board.close()
    run("export", tmp_path / "c")
    data = (tmp_path / "c" / "results.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["team"] for row in rows] == ['\'=HYPERLINK("http://x")', "늦은"]
    assert rows[0]["final"] == "1.0" and rows[1]["change"] == "0"
    text = (tmp_path / "c" / "submissions.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["email"] == "'=me@x.kr" and len(rows[0]["sha256"]) == 64
    assert {row["state"] for row in rows} == {"scored"} and rows[0]["private"] == "1.0"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        (" \t@SUM(A1)", "'@SUM(A1)"),
        ("\r\n-2", "'-2"),
        ("＋1", "'＋1"),
        ("a=b", "a=b"),
        (-0.5, -0.5),
        (None, ""),
    ],
)
def test_formulas_are_text(value, cell):
    assert safe_cell(value) == cell


def test_a_wrong_folder_is_one_line(run, tmp_path):
    with pytest.raises(SystemExit, match="no contest .*Make one: python -m medkit.leaderboard new"):
        run("serve", tmp_path / "no")


def test_a_row_from_the_future_is_shown_and_set_aside(run, tmp_path, caplog):
    folder = tmp_path / "c"
    clock = Clock()
    clock.now = NIGHT + timedelta(days=3650)  # a clock that was wrong once
    board = make_board(folder, clock=clock)
    send(board)
    clock.now = datetime.now(timezone.utc)
    board.close()
    board = Board(folder)
    with pytest.raises(Refused, match="The server's clock moved back"):
        send(board)
    assert f"python -m medkit.leaderboard mend {folder}" in caplog.text
    with held(folder), pytest.raises(SystemExit, match="a server has it already"):
        run("mend", folder)
    board.close()
    said = run("mend", folder)
    assert "team 42 용감한\t2036-11-17 14:59:59" in said and "1 submissions are later" in said
    assert "set aside: they rank no more" in said
    board = Board(folder)
    assert "9회/10회" in send(board)
    board.close()
    assert "0 submissions are later" in run("mend", folder)
    assert "1 submissions count again" in run("mend", folder, "--back")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="no contest"):
        run("mend", tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
