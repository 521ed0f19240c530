"""Why something is refused: one sentence for the participant, Korean first."""

from __future__ import annotations

from medkit.errors import MedkitError


class Refused(MedkitError, ValueError):
    """A request that is not obeyed; it costs no submission.

    Attributes:
        status: of HTTP.
        wait_s: after how many seconds another try makes sense, where that is known.
    """

    def __init__(self, message: str, status: int = 400, wait_s: int | None = None):
        super().__init__(message)
        self.status, self.wait_s = status, wait_s
