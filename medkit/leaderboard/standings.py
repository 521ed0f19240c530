"""Who stands where: what anyone may see, and what only a team itself may see.

A private score leaves this module only once the contest is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Mapping, Sequence

from medkit.leaderboard.board import Board
from medkit.leaderboard.store import Submission
from medkit.submission.quota import Quota


@dataclass(frozen=True)
class Row:
    """One team's place.

    Attributes:
        score: the public score that ranks before closing.
        scores: the public scores by name.
        final: the private score that ranks after closing; None before, or without a private part.
        change: how many places were won (or, below 0, lost) against the public ranking.
    """

    rank: int
    team: int
    name: str
    score: float
    scores: Mapping[str, float]
    entries: int
    time: datetime
    final: float | None = None
    change: int | None = None


@dataclass(frozen=True)
class Entry:
    """One submission as its own team sees it."""

    id: int
    time: datetime
    by: str
    sha256: str
    state: str
    score: float | None
    final: float | None
    counts: bool


def ranking(board: Board, now: datetime) -> list[Row]:
    """Teams in their order: by the public score, after closing by the private one.

    The same submission of a team counts on both: that with the best public score, or its last. Of
    equal scores the earlier submission ranks higher.
    """
    is_final = _is_final(board, now)
    version = board.store.version(), is_final  # read before the rows: they may be newer
    kept = board.kept_ranking
    if kept is None or kept[0] != version:
        kept = board.kept_ranking = version, _ranking(board, is_final)
    return kept[1]


def final_ranking(board: Board) -> list[Row]:
    """The ranking as it will be after closing: for the organiser, never for a page."""
    return _ranking(board, board.contest.has_private)


def history(board: Board, team: int, now: datetime) -> list[Entry]:
    """A team's own submissions in the order of receipt; private scores after closing only."""
    submissions = board.store.submissions(team)
    scored = [s for s in submissions if s.state == "scored"]
    counting = _counting(board, scored) if scored else None
    names = {member.email: member.name for member in board.store.members(team)}
    is_final = _is_final(board, now)
    return [
        Entry(
            id=s.id,
            time=s.received,
            by=names.get(s.email, s.email),
            sha256=s.sha256,
            state=s.state,
            score=s.score("public"),
            final=s.score("private") if is_final else None,
            counts=s is counting,
        )
        for s in submissions
    ]


def remaining(board: Board, team: int, now: datetime) -> tuple[int, Quota]:
    """How many submissions a team has left now, and the rule."""
    quota = board.contest.quota()
    return max(0, quota.limit - board.store.used(team, quota, now)), quota


def _ranking(board: Board, is_final: bool) -> list[Row]:
    by_team: dict[int, list[Submission]] = {}
    for submission in board.store.submissions():
        if submission.state == "scored":
            by_team.setdefault(submission.team, []).append(submission)
    teams = {team.number: team.name for team in board.store.teams()}
    counting = {number: _counting(board, own) for number, own in by_team.items()}
    public = _ordered(board, counting, "public")
    order = _ordered(board, counting, "private") if is_final else public
    rows = []
    for rank, number in enumerate(order, 1):
        entry = counting[number]
        rows.append(
            Row(
                rank=rank,
                team=number,
                name=teams[number],
                score=entry.score("public"),
                scores=entry.scores["public"],
                entries=len(by_team[number]),
                time=entry.received,
                final=entry.score("private") if is_final else None,
                change=public.index(number) + 1 - rank if is_final else None,
            )
        )
    return rows


def _is_final(board: Board, now: datetime) -> bool:
    return board.contest.has_private and board.contest.phase(now) == "closed"


def _counting(board: Board, own: Sequence[Submission]) -> Submission:
    """Which of a team's scored submissions ranks."""
    if board.contest.counts == "last":
        return own[-1]
    return min(own, key=lambda s: _order(board, s, "public"))


def _ordered(board: Board, counting: Mapping[int, Submission], part: str) -> list[int]:
    return sorted(counting, key=lambda number: _order(board, counting[number], part))


def _order(board: Board, submission: Submission, part: str) -> tuple[float, datetime, int]:
    """Smaller is better: the score, then who was earlier."""
    score = submission.score(part)
    sign = -1 if board.answers.greater_is_better else 1
    return sign * score, submission.received, submission.id
