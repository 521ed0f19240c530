"""What the server answers: the contest's HTTP contract, the ranking as JSON and as a page."""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medkit import __version__
from medkit.errors import NotInstalled
from medkit.leaderboard.board import Board
from medkit.leaderboard.pages import LANGUAGES, TICK_HASH, digits, frame, plot, rounded
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.standings import history, ranking, remaining
from medkit.leaderboard.store import told
from medkit.leaderboard.turns import Turns

RECEIVED = "medkit.received"  # in the WSGI environment: nanoseconds, when the last byte arrived
MOST_PARTS = 20  # of a form
AT_WORK = 4  # files at once: scoring is one core's work, and more of them wait for each other
MOST_FORM = 16_384  # bytes of a form around its file
TOO_LARGE = "파일이 너무 큽니다. (the file is larger than any table of this contest; send less)"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    f"script-src '{TICK_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
log = logging.getLogger(__name__)


def make_app(board: Board) -> Any:
    """A Flask application for one contest.

    Raises:
        NotInstalled: naming the extra, when Flask is missing.
    Source: MAIC briefing 2022, POST /api/direct-report/<team>?password=<contest password>.
    """
    try:
        from flask import Flask
    except ImportError as error:
        raise NotInstalled(
            "the leaderboard needs Flask: pip install 'medkit[leaderboard]'."
        ) from error
    folder = str(Path(__file__).parent / "templates")
    app = Flask(__name__, template_folder=folder, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = board.most_bytes + MOST_FORM
    app.config["MAX_FORM_PARTS"] = MOST_PARTS
    app.jinja_env.filters["digits"] = digits
    _add_api(app, board)
    _add_pages(app, board)
    _add_refusals(app, board)

    @app.after_request
    def headers(response: Any) -> Any:
        response.headers.update(HEADERS)
        return response

    return app


def _add_api(app: Any, board: Board) -> None:
    """What programs ask for: submitting, and the ranking as JSON."""
    from flask import jsonify, request

    at_work = Turns(AT_WORK)

    @app.post("/api/direct-report/<int(max=999999999):number>")
    def report(number: int) -> Any:
        received, who = _received(request.environ, board), request.authorization
        team, member = board.guard.admit(  # before the upload is looked at
            number,
            email=(who.username or "") if who is not None else "",
            password=(who.password or "") if who is not None else "",
            contest_password=request.args.get("password", ""),
        )
        with at_work:
            uploads = request.files.getlist("files")
            if len(uploads) != 1:
                raise Refused(
                    "파일이 하나여야 합니다. (send one file in the field 'files', "
                    f"not {len(uploads)})"
                )
            return _say(board.receive(team, member, uploads[0].read(), received), 200)

    @app.get("/api/ranking")
    def ranking_as_json() -> Any:
        rows = []
        for row in ranking(board, board.now()):
            facts = {"rank": row.rank, "team": row.name, "score": rounded(row.score)}
            facts.update(entries=row.entries, time=row.time.isoformat())
            if row.final is not None:
                facts.update(final=rounded(row.final), change=row.change)
            rows.append(facts)
        return jsonify(rows)

    @app.get("/api/medkit")
    def what_it_is() -> Any:
        return jsonify(leaderboard="medkit", version=__version__, contest=board.contest.name)

    @app.get("/api/medkit/scores/<int(max=999999999):number>/<digest>")
    def score_of_file(number: int, digest: str) -> Any:
        """For whoever holds the very file: no other knows its hash."""
        score = board.store.score_of(number, digest)
        if score is None:
            raise Refused("채점된 파일이 아닙니다. (no file of that hash has a score)", 404)
        return jsonify(score=rounded(score))


def _add_pages(app: Any, board: Board) -> None:
    """What people look at: the ranking, and a team's own page after it has logged in."""
    from flask import render_template, request

    def language() -> str:
        asked = request.args.get("lang")
        return asked if asked in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "ko")

    @app.get("/")
    def page() -> str:
        now = board.now()
        rows = ranking(board, now)
        shown = frame(board, language(), now)
        return render_template("ranking.html", rows=rows, here="/", **shown)

    @app.get("/me")
    def own_page() -> Any:
        now, who = board.now(), request.authorization
        shown = {**frame(board, language(), now), "here": "/me"}
        try:
            if who is None:  # nobody has guessed yet
                raise Refused("", 401)
            member = board.guard.member(who.username or "", who.password or "")
        except Refused as error:
            asking = {"WWW-Authenticate": 'Basic realm="leaderboard", charset="UTF-8"'}
            if error.wait_s is not None:
                asking = {"Retry-After": str(error.wait_s)}
            body = render_template("refused.html", message=str(error), **shown)
            return body, error.status, asking
        rows, entries = ranking(board, now), history(board, member.team, now)
        greater = board.answers.greater_is_better
        return render_template(
            "me.html",
            team=board.store.team(member.team),
            member=member,
            row=next((row for row in rows if row.team == member.team), None),
            teams=len(rows),
            remaining=remaining(board, member.team, now)[0],
            entries=entries,
            plot=plot(entries, greater_is_better=greater, counts=board.contest.counts),
            greater_is_better=greater,
            **shown,
        )


def _add_refusals(app: Any, board: Board) -> None:
    """Every error is an answer of one sentence."""
    from werkzeug.exceptions import HTTPException

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Any:
        return _say(str(error), error.status, error.wait_s)

    @app.errorhandler(sqlite3.Error)
    def store_failed(error: sqlite3.Error) -> Any:
        log.error("the store fails: %s", error)
        return refused(told(error))

    @app.errorhandler(HTTPException)
    def not_served(error: HTTPException) -> Any:
        if error.code == 413:
            return _say(TOO_LARGE, 413)
        if error.code in (404, 405):
            return _say(
                "그런 주소가 없습니다. (no such address; check the team and the path)", error.code
            )
        return _say(
            f"요청을 읽을 수 없습니다. ({error.name}; send it as the contest says)", error.code
        )

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Any:
        kind = type(error)  # without its words, which may repeat what was sent
        log.error("a request failed: %s", kind.__name__, exc_info=(kind, None, error.__traceback__))
        return _say("서버 오류입니다. (the server failed; tell the organisers)", 500)


def _say(message: str, status: int, wait_s: int | None = None) -> Any:
    """A sentence as JSON."""
    from flask import jsonify

    answer = jsonify(message=message)
    answer.status_code = status
    if wait_s is not None:
        answer.headers["Retry-After"] = str(wait_s)
    return answer


def _received(environ: dict[str, Any], board: Board) -> datetime:
    """When the request had arrived whole; now, where the server does not say."""
    stamp = environ.get(RECEIVED)
    return board.now() if stamp is None else datetime.fromtimestamp(stamp / 1e9, timezone.utc)
