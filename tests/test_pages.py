from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta

import numpy as np
import pytest
from contests import HOUR, NIGHT, TEAMS, TRUTH, Clock, make_board, send
from PIL import Image

from medkit.leaderboard.app import make_app
from medkit.leaderboard.pages import WORDS, plot, rule, time_left, words
from medkit.leaderboard.standings import history
from medkit.submission.quota import Quota

WORSE = [1 - TRUTH[0], *TRUTH[1:]]
WORST = [1 - label for label in TRUTH]
CLOSES = "2026-11-21T12:00:00+09:00"


@pytest.fixture
def contest(tmp_path):
    """A contest in which both teams have submitted."""
    clock = Clock()
    board = make_board(tmp_path / "contest", clock=clock, closes=CLOSES)
    for labels in (WORST, WORSE, TRUTH):
        clock.now += timedelta(minutes=5)
        send(board, labels)
    send(board, WORSE, team=7)
    yield make_app(board).test_client(), board, clock
    board.close()


def own(client, email="me@x.kr", password="site", **options):
    return client.get("/me", auth=(email, password), **options)


def test_the_ranking_speaks_the_readers_language(contest):
    client, _, _ = contest
    korean = client.get("/").get_data(as_text=True)
    assert (
        'lang="ko"' in korean and "순위" in korean and "진행 중 · 마감 2026-11-21 12:00" in korean
    )
    for page in (
        client.get("/", headers={"Accept-Language": "en-GB,en;q=0.9,ko;q=0.2"}),
        client.get("/?lang=en", headers={"Accept-Language": "ko"}),
    ):
        text = page.get_data(as_text=True)
        assert 'lang="en"' in text and "<th>rank</th>" in text and "left" in text
    assert 'lang="ko"' in client.get("/?lang=<script>").get_data(as_text=True)


def test_private_scores_come_with_the_end_and_with_rank_changes(contest):
    client, board, clock = contest
    for page in (client.get("/?lang=en"), own(client, query_string={"lang": "en"})):
        text = page.get_data(as_text=True)
        assert "final" not in text and "closed" not in text
    assert "of a part of the test data" in client.get("/?lang=en").get_data(as_text=True)
    clock.now = NIGHT + 24 * HOUR
    closed = client.get("/?lang=en").get_data(as_text=True)
    assert "<th>final</th>" in closed and ">closed<" in closed and "part of the" not in closed
    assert "<th>final</th>" in own(client, query_string={"lang": "en"}).get_data(as_text=True)


def test_a_team_sees_its_own_history_only(contest):
    client, board, _ = contest
    text = own(client).get_data(as_text=True)
    assert "용감한" in text and "홍길동" in text and "김늦음" not in text
    assert text.count("<circle") == 3 and "<b>7</b> / 10" in text
    assert board.store.submissions(42)[0].sha256[:12] in text
    other = own(client, email="late@x.kr").get_data(as_text=True)
    assert "용감한" not in other and "<b>9</b> / 10" in other and "<svg" not in other


def test_wrong_passwords_are_asked_again_and_slowed_down(contest):
    client, _, _ = contest
    for _ in range(20):
        asked = client.get("/me")
        assert asked.status_code == 401 and "Basic realm" in asked.headers["WWW-Authenticate"]
    codes = [own(client, password="wrong").status_code for _ in range(12)]
    assert codes[0] == 401 and codes[-1] == 429
    assert own(client, email="late@x.kr").status_code == 200


def test_names_cannot_write_into_the_page(tmp_path, monkeypatch):
    monkeypatch.setitem(TEAMS, 42, ("<script>alert(1)</script>", "me@x.kr", "<b>굵은</b>"))
    board = make_board(tmp_path / "contest", name="<i>contest</i>")
    send(board)
    client = make_app(board).test_client()
    for page in (client.get("/"), own(client)):
        text = page.get_data(as_text=True)
        assert "<script" not in text and "<b>굵은" not in text and "<i>" not in text
        assert "&lt;script&gt;" in text and "script-src" not in page.headers
    board.close()


def test_the_plot_goes_up_with_the_best(contest):
    _, board, clock = contest
    entries = history(board, 42, clock.now)
    picture = plot(entries, board.contest.quota().tz(), words("en"))
    places = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', picture)
    ]
    xs, ys = zip(*places)
    assert list(xs) == sorted(xs) and xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert ys[0] > ys[1] >= ys[2]  # a better score stands higher
    assert "best so far" in picture and plot(entries[:1], None, words("en")) == ""
    falling = plot(entries[::-1], board.contest.quota().tz(), words("en"), greater=False)
    assert falling.count("<circle") == 3


def test_what_is_left_is_told_in_two_units():
    assert time_left(2 * 86400 + 3 * 3600 + 59, "ko") == "2일 3시간 남음"
    assert time_left(125, "en") == "2 min left" and time_left(-5, "en") == "0 min left"
    assert all(len(both) == 2 and all(both) for both in WORDS.values())
    assert rule(Quota(10, zone="Asia/Seoul"), "ko") == "하루 10회 (Asia/Seoul)"
    assert rule(Quota(1, window_s=3600), "ko") == "1:00:00 동안 1회"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to look with")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_whole(contest, tmp_path, width):
    client, _, _ = contest
    for name, page in (("ranking", client.get("/")), ("me", own(client))):
        (tmp_path / f"{name}.html").write_bytes(page.data)
        shot, probe = tmp_path / f"{name}.png", tmp_path / "probe.html"
        script = "<script>document.title = document.documentElement.scrollWidth</script>"
        probe.write_bytes(page.data.replace(b"</body>", script.encode() + b"</body>"))
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
        run = {"check": True, "capture_output": True, "timeout": 60}
        subprocess.run([*browser, f"--screenshot={shot}", f"file://{tmp_path}/{name}.html"], **run)
        assert len(np.unique(np.asarray(Image.open(shot).convert("L")))) > 20  # something is there
        dump = subprocess.run([*browser, "--dump-dom", f"file://{probe}"], **run).stdout.decode()
        wide = int(re.search(r"<title>(\d+)</title>", dump).group(1))
        assert wide <= max(width, 500) and "용감한" in dump  # headless pages are 500 wide at least
