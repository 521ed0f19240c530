from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from datetime import timedelta
from importlib.util import find_spec

import numpy as np
import pytest
from contests import HOUR, NIGHT, TEAMS, TRUTH, Clock, make_board, send
from PIL import Image

from medkit.leaderboard.app import make_app
from medkit.leaderboard.guarding import stretched
from medkit.leaderboard.pages import TEXTS, digits, duration, plot, rounded
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
    is_public = board.answers.is_public
    send(board, [label if seen else 1 for label, seen in zip(TRUTH, is_public)])
    hidden = f"{board.store.submissions(42)[-1].score('private'):.5f}"
    assert hidden == "0.33333"  # which is nobody's public score
    for path in ("/?lang=en", "/me?lang=en", "/me?lang=ko&final=1", "/api/ranking"):
        text = client.get(path, auth=("me@x.kr", "site")).text
        assert hidden[:5] not in text and "Final score" not in text and "▲▼" not in text
    assert "Scores are of 50% of the test rows" in client.get("/?lang=en").get_data(as_text=True)
    clock.now = NIGHT + 24 * HOUR
    closed = client.get("/?lang=en").get_data(as_text=True)
    assert "<th>Final score</th>" in closed and "▲▼" in closed and "<th>Change</th>" in closed
    mine = own(client, query_string={"lang": "en"}).get_data(as_text=True)
    assert "Submissions left" not in mine and hidden in mine
    assert "Final score" in mine and mine.count('class="end"') == 4


def test_a_team_sees_its_own_history_only(contest):
    client, board, _ = contest
    text = own(client).get_data(as_text=True)
    assert "용감한" in text and "홍길동" in text and "김늦음" not in text
    assert text.count('class="dot') == 3 and "<b>7 / 10</b>" in text
    assert board.store.submissions(42)[0].sha256 in text
    other = own(client, email="late@x.kr").get_data(as_text=True)
    assert "용감한" not in other and "<b>9 / 10</b>" in other and other.count('class="dot') == 1


def test_wrong_passwords_are_asked_again_and_those_of_people_slowed_down(contest):
    client, board, _ = contest
    for _ in range(20):
        asked = client.get("/me")
        assert asked.status_code == 401 and "Basic realm" in asked.headers["WWW-Authenticate"]
        assert "로그인이 필요합니다" in asked.get_data(as_text=True)
    assert [own(client, password="wrong").status_code for _ in range(12)] == [401] * 12
    assert own(client).status_code == 200  # no guess of another's shuts anybody out
    kept = stretched("chosen")
    member = {"email": "me@x.kr", "name": "홍길동", "password": kept}
    board.store.add_team(42, "용감한", board.store.team(42).password, [member])
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
    assert [round(x) for x in xs] == [0, 50, 100]
    assert [entry.id for entry in shown] == [entry.id for entry in entries]
    assert [entry.score for entry in shown] == [float(f"{e.score:.5g}") for e in entries]
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


MEASURE = """
<script>onload = () => {
  const over = box => box.scrollWidth - box.clientWidth;
  const pages = [...document.querySelectorAll("iframe")].map(frame => frame.contentDocument);
  document.title = JSON.stringify(pages.map(page => ({
    teams: [...page.querySelectorAll("tbody .name")].map(cell => cell.innerText),
    over: [page.documentElement, ...page.querySelectorAll(".wide")].map(over),
    dots: page.querySelectorAll(".dot").length})));
};</script>"""


def with_fonts(folder):
    """An environment whose programs know the packaged fonts: without any, a browser shows none."""
    import matplotlib

    (korean,) = find_spec("koreanize_matplotlib").submodule_search_locations
    places = [matplotlib.get_data_path(), korean]
    known = "".join(f"<dir>{place}/fonts</dir>" for place in places)
    conf = folder / "fonts.conf"
    conf.write_text(f"<fontconfig>{known}<cachedir>{folder}/fonts</cachedir></fontconfig>")
    return {**os.environ, "FONTCONFIG_FILE": str(conf)}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to look with")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_whole(contest, tmp_path, width):
    client, board, clock = contest
    member = board.store.member("late@x.kr")
    people = [{"email": member.email, "name": member.name, "password": member.password}]
    board.store.add_team(7, "W" * 50, board.store.team(7).password, people)
    pages = [client.get("/").text, own(client).text]
    clock.now = NIGHT + 24 * HOUR
    pages += [client.get("/").text, own(client).text]
    style = f"display: block; border: 0; width: {width}px; height: 900px"  # a window is 500 wide
    frames = [f'<iframe style="{style}" srcdoc="{html.escape(page)}"></iframe>' for page in pages]
    (tmp_path / "all.html").write_text(
        '<!doctype html><meta charset="utf-8"><title></title><body style="margin: 0">'
        + "".join(frames)
        + MEASURE,
        encoding="utf-8",
    )
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    browser += ["--hide-scrollbars", "--disable-background-networking"]
    browser += [f"--user-data-dir={tmp_path / 'profile'}"]
    browser += [f"--window-size={max(width, 500) + 100},3700"]
    run = {"check": True, "capture_output": True, "timeout": 120, "env": with_fonts(tmp_path)}
    url = f"file://{tmp_path}/all.html"
    dump = subprocess.run([*browser, "--dump-dom", url], **run).stdout.decode()
    found = json.loads(html.unescape(re.search("<title>(.*?)</title>", dump).group(1)))
    assert [page["teams"] for page in found[::2]] == [["용감한", "W" * 50]] * 2
    assert [page["dots"] for page in found] == [0, 3, 0, 3]
    assert not any(max(page["over"]) > 0 for page in found)  # nothing to scroll sideways for
    shot = tmp_path / "all.png"
    subprocess.run([*browser, f"--screenshot={shot}", url], **run)
    seen = np.asarray(Image.open(shot).convert("L")).astype(int)
    for top in range(0, 3600, 900):
        part = seen[top : top + 900, :width]
        assert np.ptp(part) > 150 and np.ptp(part[:, -10:]) < 5  # ink, and none at the edge


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (0.9973782, "0.99738"),
        (12345.678, "12346"),
        (1234567.8, "1.2346e+06"),
        (-0.5, "-0.50000"),
        (3.2e-7, "3.2000e-07"),
    ],
)
def test_scores_have_five_digits(score, text):
    assert digits(score) == text and rounded(score) == float(text)
