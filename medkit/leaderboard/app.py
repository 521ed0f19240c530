"""The practice server: the contest's HTTP contract and a ranking page."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

from medkit.leaderboard.scoring import Answers, Refused
from medkit.leaderboard.store import SEOUL, Store, Team, matches, salted

LIMIT = 10  # submissions a calendar day in Seoul
MOST_BYTES = 20_000_000  # of an upload
NOBODY = salted("nobody")  # compared with when there is no such team, to take the same time


def make_app(
    store: Store,
    answers: Answers,
    *,
    title: str = "medkit practice leaderboard",
    limit: int = LIMIT,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Any:
    """A Flask application for one contest.

    Args:
        clock: the server's time, with a zone.

    Raises:
        ImportError: naming the extra, when Flask is missing.
    Source: MAIC briefing 2022, POST /api/direct-report/<team>?password=<contest password>.
    """
    try:
        from flask import Flask, jsonify, render_template, request
    except ImportError as error:
        raise ImportError(
            "the leaderboard needs Flask: pip install 'medkit[leaderboard]'."
        ) from error
    app = Flask(__name__, template_folder=str(Path(__file__).parent / "templates"))
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES

    def say(message: str, status: int) -> Any:
        return jsonify(message=message), status

    @app.post("/api/direct-report/<int:number>")
    def report(number: int) -> Any:
        who, file = request.authorization, request.files.get("files")
        given = {
            "email": (who.username or "") if who is not None else "",
            "password": (who.password or "") if who is not None else "",
            "contest_password": request.args.get("password", ""),
        }
        refusal = check_team(store.team(number), number, **given)
        if refusal is not None:
            return say(*refusal)
        if file is None:
            return say("파일이 없습니다. (no file in the field 'files')", 400)
        return say(*receive(store, answers, store.team(number), file.read(), limit, clock()))

    @app.get("/")
    def ranking() -> str:
        rows = store.ranking()
        for row in rows:
            row["time"] = datetime.fromisoformat(row["time"]).astimezone(SEOUL)
        return render_template("ranking.html", title=title, rows=rows, limit=limit)

    @app.get("/api/ranking")
    def ranking_as_json() -> Any:
        rows = enumerate(store.ranking(), 1)
        names = {"team": "team", "score": "score", "entries": "count", "time": "time"}
        return jsonify([{"rank": k, **{a: row[b] for a, b in names.items()}} for k, row in rows])

    @app.errorhandler(413)
    def too_large(error: Any) -> Any:
        return say(f"파일이 너무 큽니다. (more than {MOST_BYTES // 1_000_000} MB)", 413)

    @app.after_request
    def headers(response: Any) -> Any:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


def check_team(
    team: Team | None, number: int, *, email: str, password: str, contest_password: str
) -> tuple[str, int] | None:
    """Why a team may not submit, with the status; None when it may."""
    is_known = matches(password, team.password if team else NOBODY)
    if not email or (team is not None and not (is_known and email == team.email)):
        return "이메일 또는 비밀번호가 올바르지 않습니다. (wrong e-mail or password)", 401
    if team is None:
        return f"{number}번 팀이 없습니다. (no such team)", 404
    if not matches(contest_password, team.contest_password):
        return "대회 비밀번호가 올바르지 않습니다. (wrong contest password)", 403
    return None


def receive(
    store: Store, answers: Answers, team: Team, data: bytes, limit: int, now: datetime
) -> tuple[str, int]:
    """Score and keep a file; returns the contest's words and the status."""
    used_up = f"오늘의 제출 횟수 {limit}회를 모두 사용했습니다. (no submission left)", 429
    if store.used(team.number, now) >= limit:
        return used_up
    try:
        scores = answers.score(data)
    except Refused as error:
        return f"채점할 수 없습니다. {error}", 400
    left = store.add(team.number, data, scores, limit, now)
    if left is None:  # another request of the team took the last slot meanwhile
        return used_up
    quota = f"남은 일일 제출 횟수는 {left}회/{limit}회 입니다."
    return f"{team.name}팀 {team.user}님 제출이 완료되었습니다. {quota}", 200
