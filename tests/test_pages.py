from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from datetime import timedelta

import numpy as np
import pytest
from contests import HOUR, NIGHT, TEAMS, TRUTH, Clock, make_board, send
from PIL import Image

from medkit.leaderboard.app import make_app
from medkit.leaderboard.pages import TEXTS, duration, plot
from medkit.leaderboard.standings import history

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
    assert 'lang="ko"' in korean and "<th>순위</th>" in korean
    assert "마감 2026-11-21 12:00" in korean and "하루 10회 (Asia/Seoul 날짜)" in korean
    for page in (
        client.get("/", headers={"Accept-Language": "en-GB,en;q=0.9,ko;q=0.2"}),
        client.get("/?lang=en", headers={"Accept-Language": "ko"}),
    ):
        text = page.get_data(as_text=True)
        assert 'lang="en"' in text and "<th>Rank</th>" in text and "10 a day (Asia/Seoul)" in text
    assert '<html lang="ko">' in client.get("/?lang=<script>").get_data(as_text=True)


def test_private_scores_come_with_the_end_and_with_rank_changes(contest):
    client, board, clock = contest
    for page in (client.get("/?lang=en"), own(client, query_string={"lang": "en"})):
        text = page.get_data(as_text=True)
        assert "Final score" not in text and "▲▼" not in text
    assert "Scores are of 50% of the test rows" in client.get("/?lang=en").get_data(as_text=True)
    clock.now = NIGHT + 24 * HOUR
    closed = client.get("/?lang=en").get_data(as_text=True)
    assert "<th>Final score</th>" in closed and "▲▼" in closed and "<th>Change</th>" in closed
    mine = own(client, query_string={"lang": "en"}).get_data(as_text=True)
    assert "Final score" in mine and mine.count('class="end"') == 3


def test_a_team_sees_its_own_history_only(contest):
    client, board, _ = contest
    text = own(client).get_data(as_text=True)
    assert "용감한" in text and "홍길동" in text and "김늦음" not in text
    assert text.count('class="dot') == 3 and "<b>7 / 10</b>" in text
    assert board.store.submissions(42)[0].sha256 in text
    other = own(client, email="late@x.kr").get_data(as_text=True)
    assert "용감한" not in other and "<b>9 / 10</b>" in other and other.count('class="dot') == 1


def test_wrong_passwords_are_asked_again_and_slowed_down(contest):
    client, _, _ = contest
    for _ in range(20):
        asked = client.get("/me")
        assert asked.status_code == 401 and "Basic realm" in asked.headers["WWW-Authenticate"]
        assert "로그인이 필요합니다" in asked.get_data(as_text=True)
    answers = [own(client, password="wrong") for _ in range(12)]
    assert answers[0].status_code == 401 and answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert own(client, email="late@x.kr").status_code == 200


def test_names_cannot_write_into_the_page(tmp_path, monkeypatch):
    monkeypatch.setitem(TEAMS, 42, ("<script>alert(1)</script>", "me@x.kr", "<b>굵은</b>"))
    board = make_board(tmp_path / "contest", name="<i>contest</i>")
    send(board)
    client = make_app(board).test_client()
    for page in (client.get("/"), own(client)):
        text = page.get_data(as_text=True)
        assert "<script>alert" not in text and "<b>굵은" not in text and "<i>contest" not in text
        assert "&lt;script&gt;" in text
    board.close()


def test_only_the_clock_may_run(contest):
    """The page's one script is allowed by its hash, so that no other can run."""
    page = contest[0].get("/")
    (script,) = re.findall("<script>(.*?)</script>", page.get_data(as_text=True), re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.headers["Content-Security-Policy"]
    assert "http:" not in page.text and "https:" not in page.text  # no asset from elsewhere


def test_the_plot_goes_up_with_the_best(contest):
    _, board, clock = contest
    entries = history(board, 42, clock.now)
    found = plot(entries, greater_is_better=True, counts="best")
    xs, ys, shown = zip(*found.points)
    assert [round(x) for x in xs] == [0, 50, 100] and list(shown) == entries
    assert ys[0] > ys[1] >= ys[2]  # a better score stands higher
    assert found.steps[-1][3] == ys[2] and found.steps[0][:2] == (xs[0], ys[0])
    assert all(0 <= y <= 100 for y, _ in found.ticks) and 2 <= len(found.ticks) <= 6
    assert plot([], greater_is_better=True, counts="best") is None
    falling = plot(entries, greater_is_better=False, counts="best")
    assert falling.steps[-1][3] == ys[0]  # the least so far


def test_what_is_left_is_told():
    assert duration(2 * 86400 + 3 * 3600 + 59, "일") == "2일 03:00:59"
    assert duration(125, " d") == "00:02:05"
    assert all(len(both) == 2 and all(both) for both in TEXTS.values())


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
