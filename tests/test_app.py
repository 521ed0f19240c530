from __future__ import annotations

import logging
import sqlite3
from datetime import timedelta
from io import BytesIO

import pytest
from contests import HOUR, IDS, NIGHT, TRUTH, Clock, make_board, post, send, table

from medkit.leaderboard.app import RECEIVED, make_app
from medkit.leaderboard.guarding import stretched


@pytest.fixture
def contest(tmp_path):
    """A server's parts: client, board, clock."""
    clock = Clock()
    board = make_board(tmp_path / "contest", clock=clock)
    yield make_app(board).test_client(), board, clock
    board.close()


def test_the_answer_is_in_the_contests_words(contest):
    response = post(contest[0])
    assert response.status_code == 200 and list(response.json) == ["message"]
    wanted = "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 9회/10회 입니다."
    assert response.json["message"] == wanted


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"password": "wrong"}, 401, "wrong e-mail or password"),
        ({"email": "you@x.kr"}, 401, "wrong e-mail or password"),
        ({"email": "late@x.kr"}, 401, "wrong e-mail or password"),
        ({"email": ""}, 401, "wrong e-mail or password"),
        ({"contest": "wrong"}, 403, "wrong contest password"),
        ({"team": 43}, 404, "no team 43"),
        ({"team": 10**30}, 404, "no such address"),
        ({"text": table(TRUTH[:-1])}, 400, "ids are missing"),
        ({"files": {"other": (BytesIO(b""), "s.csv")}}, 400, "one file in the field 'files'"),
        (
            {"files": {"files": [(BytesIO(b"a"), "1.csv"), (BytesIO(b"b"), "2.csv")]}},
            400,
            "not 2",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_costs_nothing(contest, change, status, words):
    client, board, clock = contest
    response = post(client, **change)
    assert response.status_code == status and words in response.json["message"]
    assert board.store.submissions() == []
    assert board.store.used(42, board.contest.quota(), clock.now) == 0


def test_passwords_are_asked_before_the_upload_is_read(contest, monkeypatch):
    monkeypatch.setattr("werkzeug.formparser.FormDataParser.parse", lambda *a, **k: 1 / 0)
    assert post(contest[0], password="wrong").status_code == 401
    assert contest[0].post("/api/direct-report/42?password=contest").status_code == 401


def test_the_eleventh_of_a_day_is_refused_and_the_day_is_seouls(contest):
    client, _, clock = contest
    answers = [post(client) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert "10 a calendar day in Asia/Seoul" in answers[-1].json["message"]
    assert "Retry-After" not in answers[-1].headers  # which would say "asked too often"
    clock.now = NIGHT + timedelta(seconds=2)
    assert "9회/10회" in post(client).json["message"]


def test_before_opening_and_after_closing_nothing_is_taken(tmp_path):
    rules = {"opens": "2026-11-20T20:00:00+09:00", "closes": "2026-11-21T00:00:00+09:00"}
    clock = Clock()
    clock.now = NIGHT - 5 * HOUR
    board = make_board(tmp_path / "contest", clock=clock, **rules)
    client = make_app(board).test_client()
    assert "opens at 2026-11-20 20:00" in post(client).json["message"]
    clock.now = NIGHT
    assert post(client).status_code == 200
    clock.now = NIGHT + timedelta(seconds=1)
    late = post(client)
    assert late.status_code == 403 and "closed at 2026-11-21 00:00" in late.json["message"]
    stamp = {RECEIVED: int(NIGHT.timestamp() * 1e9)}  # it had arrived before
    data = {"files": (BytesIO(table().encode()), "s.csv")}
    url, auth = "/api/direct-report/42?password=contest", ("me@x.kr", "site")
    assert client.post(url, data=data, auth=auth, environ_overrides=stamp).status_code == 200
    board.close()


def test_a_header_cannot_bring_its_own_time(contest):
    client, board, _ = contest
    data = {"files": (BytesIO(table().encode()), "s.csv")}
    client.post(
        "/api/direct-report/42?password=contest",
        data=data,
        auth=("me@x.kr", "site"),
        headers={"Medkit-Received": "1", "medkit.received": "1"},
    )
    assert board.store.submissions()[0].received == NIGHT


def test_a_clock_that_moved_back_is_noticed(contest):
    client, board, clock = contest
    post(client)
    clock.now = NIGHT - HOUR
    answer = post(client)
    assert answer.status_code == 503 and "clock moved back" in answer.json["message"]
    assert len(board.store.submissions()) == 1


def test_too_large_a_file_is_refused_unread(tmp_path):
    board = make_board(tmp_path / "contest", most_bytes=2000)
    answer = post(make_app(board).test_client(), b"x" * 30_000)
    assert answer.status_code == 413
    assert "larger than any table of this contest" in answer.json["message"]
    board.close()


def test_a_locked_store_says_so_and_spends_nothing(contest, tmp_path, monkeypatch, caplog):
    client, board, clock = contest
    monkeypatch.setattr("medkit.leaderboard.store.WAIT_S", 0.05)
    other = sqlite3.connect(board.store.path, isolation_level=None)
    board.store._idle.clear()
    other.execute("BEGIN IMMEDIATE")
    answer = post(client)
    other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503 and "no submission was used" in answer.json["message"]
    assert answer.headers["Retry-After"] == "60" and "locked" in caplog.text
    assert "9회/10회" in post(client).json["message"]


def test_a_full_disk_says_so_and_spends_nothing(tmp_path, caplog):
    text = table(ids=[f"{name:x<150}" for name in IDS])
    board = make_board(tmp_path / "contest", text)
    client = make_app(board).test_client()
    with board.store._open() as database:
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
    answers = [post(client, text) for _ in range(9)]
    codes = [answer.status_code for answer in answers]
    kept = codes.index(507)
    assert codes == [200] * kept + [507] * (9 - kept) and "disk is full" in caplog.text
    assert "disk is full" in answers[-1].json["message"]
    assert len(board.store.submissions()) == kept
    with board.store._open() as database:
        database.execute("PRAGMA max_page_count = 1000000")
    assert f"{9 - kept}회/10회" in post(client, text).json["message"]
    board.close()


def test_a_failure_of_the_server_is_told_without_its_words(contest, monkeypatch, caplog):
    def fail(*_):
        raise KeyError("secret " + "words")

    monkeypatch.setattr(contest[1], "receive", fail)
    answer = post(contest[0])
    assert answer.status_code == 500 and "secret" not in answer.get_data(as_text=True)
    assert "a request failed: KeyError" in caplog.text and "receive" in caplog.text
    assert "secret words" not in caplog.text


def test_the_page_shows_ranks_and_escapes_names(tmp_path):
    board = make_board(tmp_path / "contest")
    client = make_app(board).test_client()
    assert "아직 제출이 없습니다" in client.get("/").get_data(as_text=True)
    people = [{"email": "me@x.kr", "name": "x", "password": board.store.member("me@x.kr").password}]
    board.store.add_team(42, "<script>alert(1)</script>", board.store.team(42).password, people)
    send(board)
    page = client.get("/")
    text = page.get_data(as_text=True)
    assert "&lt;script&gt;" in text and "<script>" not in text and "1.0000" in text
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "http:" not in text and "https:" not in text  # no asset from elsewhere
    board.close()


@pytest.mark.parametrize(
    "path", ["/answers.csv", "/../answers.csv", "/static/answers.csv", "/contest.json", "/db"]
)
def test_answers_are_never_served(contest, path):
    answer = contest[0].get(path)
    assert answer.status_code == 404 and "no such address" in answer.json["message"]


def test_private_scores_stay_hidden_until_closing(tmp_path):
    clock = Clock()
    board = make_board(tmp_path / "contest", clock=clock, closes="2026-11-21T09:00:00+09:00")
    client = make_app(board).test_client()
    private = [k for k in range(8) if not board.answers.is_public[k]]
    labels = [1 - y if k == private[0] else y for k, y in enumerate(TRUTH)]
    send(board, labels)
    hidden = f"{board.store.submissions()[0].score('private'):.4f}"
    open_ = [client.get(path) for path in ("/", "/api/ranking")]
    of_file = f"/api/medkit/scores/42/{board.store.submissions()[0].sha256}"
    open_ += [post(client), client.get("/api/direct-report/42"), client.get(of_file)]
    assert open_[-1].json == {"score": 1.0}  # the public one
    assert not any(hidden in answer.get_data(as_text=True) for answer in open_)
    assert set(open_[1].json[0]) == {"rank", "team", "score", "entries", "time"}
    clock.now = NIGHT + 10 * HOUR
    after = client.get("/api/ranking").json[0]
    assert f"{after['final']:.4f}" == hidden and (after["score"], after["change"]) == (1.0, 0)
    assert hidden in client.get("/").get_data(as_text=True)
    board.close()


def test_a_score_is_told_by_the_hash_of_a_file_of_the_team_and_by_nothing_else(contest):
    client, board = contest[:2]
    assert client.get("/api/medkit").json["leaderboard"] == "medkit"
    assert post(client).status_code == 200
    digest = board.store.submissions()[0].sha256
    assert client.get(f"/api/medkit/scores/42/{digest}").json["score"] == 1.0
    for path in (f"7/{digest}", f"42/{digest[:-1]}", f"42/{digest.upper()}", "42/%", "x/y", "42/"):
        assert client.get(f"/api/medkit/scores/{path}").status_code == 404


def test_guessing_a_chosen_password_is_made_slow_for_its_email_alone(contest, caplog):
    client, board = contest[:2]
    member = {"email": "me@x.kr", "name": "홍길동", "password": stretched("site")}
    board.store.add_team(42, "용감한", board.store.team(42).password, [member])
    caplog.set_level(logging.DEBUG)
    answers = [post(client, password=f"guess-{k}") for k in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert post(client).status_code == 429  # the right one has to wait, too
    assert post(client, team=7).status_code == 200
    assert "guess-" not in caplog.text


def test_an_email_may_be_written_in_any_letters(contest):
    assert post(contest[0], email="ＭＥ@X.kr").json["message"].startswith("용감한팀 홍길동님")
    assert [s.email for s in contest[1].store.submissions()] == ["me@x.kr"]


def test_scores_are_told_in_five_digits(tmp_path):
    answers = "id,y\n" + "".join(f"r{k},{k / 7}\n" for k in range(40))
    board = make_board(tmp_path / "contest", answers)
    client = make_app(board).test_client()
    guess = "id,y\n" + "".join(f"r{k},{k / 9}\n" for k in range(40))
    assert post(client, guess).status_code == 200
    exact = board.store.submissions()[0].score("public")
    told = client.get("/api/ranking").json[0]["score"]
    digest = board.store.submissions()[0].sha256
    assert client.get(f"/api/medkit/scores/42/{digest}").json["score"] == told
    assert told == float(f"{exact:.5g}") != exact
    for page in (client.get("/"), client.get("/me", auth=("me@x.kr", "site"))):
        text = page.get_data(as_text=True)
        assert f"{exact:.5g}" in text and f"{exact:.8g}" not in text
    board.close()


def test_numbers_that_would_overflow_are_refused_for_no_slot_and_tell_nothing(tmp_path):
    answers = "id,y\n" + "".join(f"r{k},{k / 7}\n" for k in range(40))
    board = make_board(tmp_path / "contest", answers, metrics=("mae", "rmse"))
    client = make_app(board).test_client()
    for row in range(0, 40, 2):
        guess = [f"r{k},{1.7e308 if k in (row, row + 1) else 0.5}" for k in range(40)]
        answer = post(client, "id,y\n" + "\n".join(guess))
        assert answer.status_code == 400 and "2 answers are beyond all measure" in answer.text
    assert board.store.submissions() == []
    assert post(client, "id,y\n" + "".join(f"r{k},1e12\n" for k in range(40))).status_code == 200
    board.close()
