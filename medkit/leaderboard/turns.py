"""So many at a time, the others in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from medkit.leaderboard.refusing import Refused


class Turns:
    """A door for threads; `threading.Semaphore` lets newcomers overtake those who wait.

    Args:
        at_once: how many are let in.
        most_waiting: how many may wait; None for any number.
    """

    def __init__(self, at_once: int, most_waiting: int | None = None):
        self._free, self._most = at_once, most_waiting
        self._lock, self._waiting = threading.Lock(), deque()

    def __enter__(self) -> None:
        """Wait for a turn.

        Raises:
            Refused: too many wait already.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if self._most is not None and len(self._waiting) >= self._most:
                raise Refused(
                    "서버가 바쁩니다. 제출 횟수는 차감되지 않았습니다. 잠시 뒤에 다시 보내세요. "
                    "(The server is busy; no submission was used. Send it again in a moment.)",
                    503,
                    2,
                )
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the place goes from hand to hand
            else:
                self._free += 1
