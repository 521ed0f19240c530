"""What is raised when a submission was not accepted."""

from __future__ import annotations


class SubmitError(RuntimeError):
    """A submission that was not accepted, or whose fate is not known; a sentence in a notebook.

    Attributes:
        outcome: "not sent", "refused" or "unknown"; an unknown one may have spent a slot.
        status: the HTTP status, where there was an answer.
        answer: the server's words, without secrets.
    """

    def __init__(self, message: str, *, outcome: str, status: int | None = None, answer: str = ""):
        super().__init__(message)
        self.outcome, self.status, self.answer = outcome, status, answer

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: its words. Where it was raised helps nobody to submit."""
        return [f"{type(self).__name__}: {self}"]
