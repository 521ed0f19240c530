"""What the pages say, in Korean and in English, and where a plot's points lie."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Sequence

from medkit.leaderboard.board import Board
from medkit.leaderboard.contest import Contest
from medkit.leaderboard.standings import Entry

DIGITS = 5  # of a score
LANGUAGES = ("ko", "en")  # the first for whoever asks for neither
TEXTS = {
    "ranking": ("순위", "Ranking"),
    "ours": ("우리 팀", "Our team"),
    "other": ("English", "한국어"),
    "opens": ("시작", "Opens"),
    "closes": ("마감", "Closes"),
    "closed": ("마감됨", "Closed"),
    "endless": ("마감 시각이 없습니다", "No closing time"),
    "left": ("남음", "left"),
    "day": ("일", " d"),
    "as_of": ("이 페이지를 만든 시각", "when this page was made, at"),
    "rule": ("제출", "Submissions"),
    "ties": ("동점이면 먼저 낸 팀이 위입니다.", "Of equal scores the earlier one ranks higher."),
    "public_part": (
        "지금 점수는 시험 자료의 {share}%로 계산합니다. "
        "최종 순위는 나머지 자료로 마감 뒤에 정합니다.",
        "Scores are of {share}% of the test rows; the others decide after closing.",
    ),
    "final_part": (
        "마감되었습니다. 최종 순위는 공개하지 않았던 자료의 점수로 정했습니다. "
        "▲▼는 공개 순위에서 오르내린 만큼입니다.",
        "Closed. The final ranking is by the rows that were kept secret; "
        "▲▼ is the way from the public ranking.",
    ),
    "rank": ("순위", "Rank"),
    "change": ("변동", "Change"),
    "up": ("계단 상승", " up"),
    "down": ("계단 하락", " down"),
    "same": ("변동 없음", "no change"),
    "team": ("팀", "Team"),
    "score": ("점수", "Score"),
    "public": ("공개 점수", "Public score"),
    "final": ("최종 점수", "Final score"),
    "entries": ("제출 수", "Entries"),
    "time": ("제출 시각", "Received"),
    "nothing": ("아직 제출이 없습니다", "No submissions yet"),
    "place": ("{rank}위", "#{rank}"),
    "of_teams": ("{count}팀 중", "of {count} teams"),
    "remaining": ("남은 제출 횟수", "Submissions left"),
    "best": ("순위에 쓰이는 점수", "Score that ranks"),
    "over_time": ("제출한 점수의 변화", "Scores over time"),
    "each": ("공개 점수 하나하나", "each public score"),
    "each_final": ("최종 점수", "final scores"),
    "ranks_then": ("그때 순위에 쓰인 점수", "the one that ranked then"),
    "higher": ("높을수록 좋습니다.", "Higher is better."),
    "lower": ("낮을수록 좋습니다.", "Lower is better."),
    "history": ("제출 기록", "Submissions so far"),
    "by": ("제출자", "By"),
    "file": ("파일 (SHA-256)", "File (SHA-256)"),
    "counts": ("순위 반영", "ranks"),
    "received": ("채점 대기", "waits for its score"),
    "failed": ("채점 실패, 횟수 차감 없음", "not scored, cost nothing"),
    "log_in": ("로그인이 필요합니다", "Please log in"),
    "log_in_how": (
        "브라우저가 물으면 제출할 때 쓰는 이메일과 비밀번호를 넣으세요. "
        "대회 비밀번호가 아닙니다. 로그아웃하려면 브라우저를 닫습니다.",
        "When the browser asks, give the e-mail and the password that you submit with, "
        "not the contest password. To log out, close the browser.",
    ),
    "again": ("다시 시도", "Try again"),
}
TICK = """
const left = document.getElementById("left"), end = Date.now() + left.dataset.s * 1000;
const two = n => String(Math.floor(n)).padStart(2, "0");
document.getElementById("as-of").hidden = true;
setInterval(() => {
  const s = Math.max(0, Math.round((end - Date.now()) / 1000)), days = Math.floor(s / 86400);
  const clock = [s / 3600 % 24, s / 60 % 60, s % 60].map(two).join(":");
  left.textContent = (days ? days + left.dataset.day + " " : "") + clock;
}, 1000);
"""
TICK_HASH = "sha256-" + base64.b64encode(hashlib.sha256(TICK.encode()).digest()).decode()


@dataclass(frozen=True)
class Plot:
    """Scores over time, in percent of the plot's width and height from its upper left corner.

    Attributes:
        points: (x, y, entry) of each public score.
        finals: (x, y, entry) of each private score, once it is known.
        steps: (x1, y1, x2, y2) of the line of what ranked at each time.
        ticks: (y, label) of the scale.
    """

    points: list[tuple[float, float, Entry]]
    finals: list[tuple[float, float, Entry]]
    steps: list[tuple[float, float, float, float]]
    ticks: list[tuple[float, str]]


def words(language: str) -> dict[str, str]:
    """Every text in one language."""
    return {name: pair[LANGUAGES.index(language)] for name, pair in TEXTS.items()}


def frame(board: Board, language: str, now: datetime) -> dict[str, Any]:
    """What every page shows: the texts, the rules, and what is left until when."""
    contest, zone = board.contest, board.contest.quota().tz()
    phase = contest.phase(now)
    until = contest.opening if phase == "before" else contest.closing
    left_s = 0 if until is None else max(0, math.ceil((until - now).total_seconds()))
    text = words(language)
    return {
        "contest": contest,
        "language": language,
        "other": LANGUAGES[1 - LANGUAGES.index(language)],
        "text": text,
        "rule": rule(contest, language),
        "zone": zone,
        "zone_name": contest.zone or "UTC",
        "phase": phase,
        "until": until,
        "left_s": left_s,
        "left": duration(left_s, text["day"]),
        "now": now,
        "tick": TICK,
    }


def rule(contest: Contest, language: str) -> str:
    """How many submissions there are."""
    limit, is_korean = contest.limit, language == "ko"
    if contest.window_s is None:
        zone = contest.zone
        return f"하루 {limit}회 ({zone} 날짜)" if is_korean else f"{limit} a day ({zone})"
    minutes = f"{contest.window_s / 60:g}"
    return f"{minutes}분에 {limit}회" if is_korean else f"{limit} in any {minutes} minutes"


def duration(seconds: int, day: str) -> str:
    """Such as "3 d 04:05:06"."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}{day} {clock}" if days else clock


def rounded(score: float) -> float:
    """A score as anyone is told it: 5 digits. All 17 of an rmse would tell several labels."""
    return float(f"{score:.{DIGITS}g}")


def digits(score: float) -> str:
    """A score as text, with all its 5 digits."""
    return f"{score:#.{DIGITS}g}".rstrip(".")


def plot(entries: Sequence[Entry], *, greater_is_better: bool, counts: str) -> Plot | None:
    """Where a team's scores lie; None without any.

    Args:
        entries: in the order of receipt.
        counts: "best" or "last", as in the contest's rules.
    """
    scored = [_rounded(entry) for entry in entries if entry.score is not None]
    if not scored:
        return None
    values = [v for e in scored for v in (e.score, e.final) if v is not None]
    low, high = min(values), max(values)
    margin = max(0.08 * (high - low), 1e-3 * abs(high), 1e-3)
    low, high = low - margin, high + margin
    began, span = scored[0].time, (scored[-1].time - scored[0].time).total_seconds()

    def x(entry: Entry) -> float:
        return 100 * (entry.time - began).total_seconds() / span if span else 50.0

    def y(score: float) -> float:
        return 100 * (high - score) / (high - low)

    steps, at, level = [], x(scored[0]), scored[0].score
    better = max if greater_is_better else min
    for entry in scored[1:]:
        after = entry.score if counts == "last" else better(level, entry.score)
        steps.append((at, y(level), x(entry), y(level)))
        steps.append((x(entry), y(level), x(entry), y(after)))
        at, level = x(entry), after
    return Plot(
        points=[(x(e), y(e.score), e) for e in scored],
        finals=[(x(e), y(e.final), e) for e in scored if e.final is not None],
        steps=steps,
        ticks=[(y(value), label) for value, label in _ticks(low, high)],
    )


def _rounded(entry: Entry) -> Entry:
    """An entry whose place in a plot tells no more than its text does."""
    final = None if entry.final is None else rounded(entry.final)
    return replace(entry, score=rounded(entry.score), final=final)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round values within a range: at most six, at least two, as 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10((high - low) / 5))
    step = next(m * 10.0**power for m in (1, 2, 5, 10) if (high - low) / (m * 10.0**power) <= 5)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    whole = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(k * step, f"{k * step:.{digits}f}") for k in whole]
