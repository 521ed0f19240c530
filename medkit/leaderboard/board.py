"""A contest that runs: its rules applied to what comes in, by the server's clock."""

from __future__ import annotations

import logging
import sqlite3
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable

from medkit.leaderboard.contest import ANSWERS, STORE, Contest, read_answers, read_contest
from medkit.leaderboard.guarding import Guard
from medkit.leaderboard.refusing import Refused
from medkit.leaderboard.scoring import Answers
from medkit.leaderboard.store import Member, Store, Team, told

BACK = timedelta(seconds=5)  # a clock that is set right by a little is no clock that moved back
AT_ONCE = 50  # submissions that are held in memory
AT_ONCE_BYTES = 400_000_000  # of these together, as far as they are more than one
log = logging.getLogger(__name__)


class Board:
    """One contest's rules, answers, store and guard.

    Args:
        folder: of `new_contest`.
        clock: the server's time, with a zone.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ):
        self.folder = Path(folder)
        self.contest: Contest = read_contest(folder)
        path = Path(folder) / ANSWERS
        self.answers = Answers(self.contest, read_answers(path), path)
        self.store = Store(Path(folder) / STORE)
        self.guard = Guard(self.store)
        self.now = clock
        self.kept_ranking: tuple[tuple[int, bool], list] | None = None  # of `standings.ranking`
        self._latest = self.store.latest() or clock()
        self._scoring = threading.Lock()
        self._guesses: dict[int, list[str]] = {}  # of what waits for its score, read once

    def catch_up(self) -> None:
        """Score what a killed server left, and everything anew when the answers changed."""
        if self.store.score_again(self.answers.fingerprint):
            log.warning("answers or rules are others than last time: scoring everything anew")
        self._score_waiting()

    def close(self) -> None:
        self.store.close()

    @property
    def most_bytes(self) -> int:
        """Of a file that is taken in: twice the longest table that the contest could want."""
        return min(self.contest.most_bytes, 2 * self.answers.longest)

    def receive(self, team: Team, member: Member, csv: bytes, received: datetime) -> str:
        """Check a file, keep it, score it; returns the contest's words of success.

        Args:
            received: when its last byte arrived; it decides, however long the server was busy.

        Raises:
            Refused: it is not kept, and no slot is spent.
        """
        self._check_time(received)
        try:
            self._check_quota(team, received)
            guesses = self.answers.check(csv)
            kept = self.store.add(member, csv, self.contest.quota(), received)
            if kept is None:  # another request of the team took the last slot meanwhile
                raise _used_up(self.contest)
        except sqlite3.Error as error:
            log.error("the store cannot be written: %s", error)
            raise told(error) from error
        name, left = kept
        self._guesses[name] = guesses
        try:
            self._score_now(name)
        finally:
            self._guesses.pop(name, None)
        quota = f"남은 일일 제출 횟수는 {left}회/{self.contest.limit}회 입니다."
        return f"{team.name}팀 {member.name}님 제출이 완료되었습니다. {quota}"

    def _score_now(self, name: int) -> None:
        """Score, with what else waits; a store that fails now is tried again with the next one.

        Raises:
            Refused: it cannot be scored; the slot is given back.
        """
        try:
            self._score_waiting()
            found = self.store.state(name)
        except sqlite3.Error as error:  # it is kept and will be scored: that is success
            log.error("submission %d waits for its score: %s", name, error)
            return
        if found == "failed":
            raise Refused(
                "채점 중 오류가 발생했습니다. 제출 횟수는 차감되지 않았습니다. "
                "(The file could not be scored; no submission was used. Tell the organisers.)",
                422,
            )

    def _score_waiting(self) -> None:
        """Score all that waits, in the order of receipt."""
        at_once = max(1, min(AT_ONCE, AT_ONCE_BYTES // self.most_bytes))
        with self._scoring:
            while True:
                waiting = self.store.unscored(at_once)
                if not waiting:
                    return
                self.store.set_scores([self._scored(name, csv) for name, csv in waiting])

    def _scored(self, name: int, csv: bytes) -> tuple[int, dict | None, str]:
        try:
            guesses = self._guesses.pop(name, None) or self.answers.check(csv)
            return name, self.answers.score(guesses), ""
        except Exception as error:  # a metric of a task may raise anything
            log.error("submission %d cannot be scored: %s", name, error)
            return name, None, str(error)

    def _check_time(self, received: datetime) -> None:
        now = self.now()
        if now < self._latest - BACK:
            log.error(
                "the clock moved back: it says %s after %s. Set it right; if it was wrong then, "
                "stop the server and run: python -m medkit.leaderboard mend %s",
                now,
                self._latest,
                self.folder,
            )
            raise Refused(
                "서버의 시계가 잘못되었습니다. 제출 횟수는 차감되지 않았습니다. "
                "(The server's clock moved back; no submission was used. Tell the organisers.)",
                503,
            )
        self._latest = max(self._latest, now)
        phase, zone = self.contest.phase(received), self.contest.quota().tz()
        if phase == "before":
            opens = f"{self.contest.opening.astimezone(zone):%Y-%m-%d %H:%M}"
            raise Refused(f"대회가 아직 시작되지 않았습니다. (the contest opens at {opens})", 403)
        if phase == "closed":
            closes = f"{self.contest.closing.astimezone(zone):%Y-%m-%d %H:%M}"
            raise Refused(f"대회가 종료되었습니다. (the contest closed at {closes})", 403)

    def _check_quota(self, team: Team, now: datetime) -> None:
        quota = self.contest.quota()
        if self.store.used(team.number, quota, now) >= quota.limit:
            raise _used_up(self.contest)


def _used_up(contest: Contest) -> Refused:
    return Refused(
        f"오늘의 제출 횟수 {contest.limit}회를 모두 사용했습니다. "
        f"(no submission left: {contest.quota()})",
        429,
    )
