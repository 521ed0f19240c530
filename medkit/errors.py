"""What is raised for people: one tree, in which each error is also a built-in one.

    MedkitError         all of them: `except mk.MedkitError` catches what can be put right
      DataError         what lies in files, tables, pictures or labels; a ValueError
        MissingError    what should lie somewhere; a FileNotFoundError, too
      ConfigError       an argument or a setting; a ValueError
        WrongType       of another kind; a TypeError, too
      RunError          a run, a search or a server that cannot go on; a RuntimeError
        NotTrusted      since it brings code of its own; a PermissionError, too
      Stopped           a run, on somebody's wish: its state is saved
      SubmitError       a submission that was not accepted; a RuntimeError
      PlaceError        where nothing can be written; a PermissionError
      WaitError         somebody who does not let go, or not answer, in time; a TimeoutError
      NotInstalled      a package of an extra; an ImportError

A notebook shows one sentence of them, below it the same in Korean where that is known, and `%tb`
the lines. A cause that no sentence foresaw is a mistake of the kit or of somebody's own function:
then the lines are shown at once.
"""

from __future__ import annotations

import sys
import traceback
from functools import partial
from typing import Any


class MedkitError(Exception):
    """Something that a person can put right: what was found, what is expected, what to do next."""

    _told: tuple[type[Exception], ...] = (OSError, ValueError, ImportError)  # causes, by the words

    @property
    def korean(self) -> str:
        """The same in Korean; "" where there is none."""
        from medkit.korean.saying import in_korean

        return in_korean(str(self))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it."""
        if _is_tb() or self._is_mistake():
            return _lines(self)
        return [self._sentence(), *self.korean.splitlines()]

    def _sentence(self) -> str:
        return f"{type(self).__name__}: {self}"

    def _is_mistake(self) -> bool:
        """Whether it comes of something that its words did not foresee."""
        cause = self.__cause__
        if isinstance(cause, MedkitError):
            return cause._is_mistake()
        return cause is not None and not isinstance(cause, self._told)


class DataError(MedkitError, ValueError):
    """Something is wrong in a file, a table, a picture or a label."""

    _told = (Exception,)  # a library may choke on a damaged file in any way


class MissingError(DataError, FileNotFoundError):
    """A file or folder is not there."""


class ConfigError(MedkitError, ValueError):
    """An argument or a setting is none, or does not go with the others."""

    _told = (Exception,)  # torch, timm and zoneinfo refuse each in their way


class WrongType(ConfigError, TypeError):
    """An argument is of another kind than is expected."""


class RunError(MedkitError, RuntimeError):
    """A run, a search or a server that cannot begin, or cannot go on."""

    _told = (*MedkitError._told, RuntimeError)  # torch's word for want of memory


class Stopped(MedkitError):
    """The run was asked to stop; its state is saved."""

    def _sentence(self) -> str:
        return str(self)  # nothing has gone wrong


class NotTrusted(RunError, PermissionError):
    """A run brings code that nobody here has said to trust."""


class SubmitError(MedkitError, RuntimeError):
    """A submission that was not accepted, or whose fate is not known.

    Attributes:
        outcome: "not sent", "refused" or "unknown"; an unknown one may have spent a slot.
        status: the HTTP status, where there was an answer.
        answer: the server's words, without secrets.
        korean: what it says, in Korean.

    Example:
        >>> path = mk.write_submission(task, test_cases, predictions, "submission.csv", run=run)
        >>> try:
        ...     mk.submit(path)
        ... except mk.SubmitError as error:
        ...     print(error.outcome)
        not sent
    """

    def __init__(self, message: str, *, outcome: str, status: int | None = None, answer: str = ""):
        super().__init__(message)
        self.outcome, self.status, self.answer = outcome, status, answer

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {"outcome": self.outcome, "status": self.status, "answer": self.answer}
        return partial(type(self), **facts), self.args


class PlaceError(MedkitError, PermissionError):
    """Nothing can be written there: it is not allowed, the disk is full, or a file is in the way.

    Its words alone, or like any OSError its number, words and path.
    """

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class WaitError(MedkitError, TimeoutError):
    """Another process does not let go, or does not answer, in time."""


class NotInstalled(MedkitError, ImportError, RuntimeError):
    """A package is not installed that an extra of the kit would bring."""


def _is_tb() -> bool:
    """Whether IPython's `%tb` is what asks."""
    frame = sys._getframe()
    while frame is not None:
        home = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "tb" and home == "IPython.core.magics.execution":
            return True
        frame = frame.f_back
    return False


def _lines(error: MedkitError) -> list[str]:
    """The whole traceback, in the colours and by the mode of this notebook."""
    kind, lines = type(error), error.__traceback__
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return traceback.format_exception(kind, error, lines)
    return shell.InteractiveTB.structured_traceback(kind, error, lines)
