"""submit: one CSV over the contest's HTTP contract, told honestly and without a leak."""

from __future__ import annotations

import html
import json
import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Iterator
from urllib.parse import quote, urlsplit

from medkit import files
from medkit.submission.credentials import Credentials, load_credentials
from medkit.submission.csv_files import check_submission

SEOUL = timezone(timedelta(hours=9), "Asia/Seoul")  # no summer time since 1988
LOCAL = ("127.0.0.1", "localhost", "::1")
LEFT = re.compile(r"남은 일일 제출 횟수는\s*(\d+)회\s*/\s*(\d+)회")
LONGEST_ANSWER = 65536  # bytes read of an answer
LONGEST_WORDS = 500  # characters shown of it
HANDSHAKE = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "HANDSHAKE_FAILURE")


class SubmitError(RuntimeError):
    """A submission that was not accepted, or whose fate is not known.

    Attributes:
        outcome: "not sent", "refused" or "unknown"; an unknown one may have spent a slot.
        status: the HTTP status, where there was an answer.
        answer: the server's words, without secrets.
    """

    def __init__(self, message: str, *, outcome: str, status: int | None = None, answer: str = ""):
        super().__init__(message)
        self.outcome, self.status, self.answer = outcome, status, answer


@dataclass(frozen=True)
class Receipt:
    """An accepted submission: the server's words, and what is left of the day's quota."""

    message: str
    left: int | None
    limit: int | None
    csv: str
    sha256: str
    time_utc: str
    time_seoul: str
    checks: tuple[str, ...]

    def __str__(self) -> str:
        quota = "" if self.left is None else f"\nleft today: {self.left} of {self.limit}"
        checks = "".join(f"\n{check}" for check in self.checks)
        return f"{self.message}{quota}\n{self.csv} at {self.time_seoul}{checks}"

    def _repr_html_(self) -> str:
        lines = [html.escape(line) for line in str(self).splitlines()]
        return f"<b>{lines[0]}</b><br>" + "<br>".join(lines[1:])


def submit(
    csv: Path | str,
    *,
    credentials: Credentials | None = None,
    success: str = "제출이 완료",
    timeout_s: float = 120.0,
) -> Receipt:
    """Check a CSV, send it once, and return the receipt, also written as `receipt.json` beside it.

    Args:
        credentials: None takes `load_credentials()`. Never type a password in a cell.
        success: accepted means that the server's message holds these words.
        timeout_s: scoring can take minutes before a deadline.

    Raises:
        ValueError: the CSV would be refused; nothing was sent.
        SubmitError: not accepted; says whether a slot may be spent. Nothing is sent twice.
    Source: MAIC briefing 2022, POST /api/direct-report/<team>?password=<contest password>.
    """
    csv = Path(csv)
    checks = check_submission(csv)
    who = load_credentials() if credentials is None else credentials
    check_address(who.url)
    data = csv.read_bytes()
    status, answer = _post(who, csv.name, data, timeout_s)
    message = _accepted(status, answer, success, who)
    left, limit = _quota(message)
    now = datetime.now(timezone.utc)
    receipt = Receipt(
        message=who.scrub(message),
        left=left,
        limit=limit,
        csv=csv.name,
        sha256=files.sha256(data),
        time_utc=now.isoformat(timespec="seconds"),
        time_seoul=now.astimezone(SEOUL).isoformat(timespec="seconds"),
        checks=tuple(checks),
    )
    try:
        files.write_json(csv.parent / "receipt.json", asdict(receipt))
    except OSError as error:  # the slot is spent: an exception would look like a failure
        warnings.warn(f"submit: accepted, but no receipt is kept. {error}", stacklevel=2)
    return receipt


def _post(who: Credentials, name: str, data: bytes, timeout_s: float) -> tuple[int, str]:
    """Status and answer of the one request; every error without address and secrets.

    The answer may still repeat secrets: scrub what is shown of it.
    """
    import requests

    url = f"{who.url.rstrip('/')}/api/direct-report/{quote(who.team, safe='')}"
    with requests.Session() as session, _quiet_log(who):
        session.trust_env = False  # no proxy and no .netrc by accident
        try:
            with session.post(
                url,
                params={"password": who.contest_password},
                auth=(who.email.encode("utf-8"), who.password.encode("utf-8")),
                files={"files": (name, data, "text/csv")},
                timeout=(10.0, timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(LONGEST_ANSWER, decode_content=True)
                return response.status_code, body.decode("utf-8", "replace")
        except (
            Exception
        ) as error:  # requests' own, urllib3's while the answer is read, the socket's
            failed, sent = _failure(error)
    host = urlsplit(who.url).netloc.rpartition("@")[2]
    if not sent:
        raise SubmitError(
            f"submit: {host} could not be reached ({failed}). Nothing was sent and no slot spent; "
            "check the address with mk.save_credentials(), and the network.",
            outcome="not sent",
        )
    raise SubmitError(
        f"submit: the connection to {host} broke after sending ({failed}). The server may have the "
        "file: look at the leaderboard before you send it again.",
        outcome="unknown",
    )


def _failure(error: Exception) -> tuple[str, bool]:
    """What happened, in a word, and whether the server may have the file.

    It surely has not where there was no address, no connection, or no server to be trusted.
    """
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    unsent = isinstance(
        error,
        (
            requests.ConnectTimeout,
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidHeader,
        ),
    )
    unsent = unsent or isinstance(reason, NewConnectionError)  # a name not resolved is one, too
    unsent = unsent or any(word in str(reason) for word in HANDSHAKE)
    return type(reason or error).__name__, not unsent


@contextmanager
def _quiet_log(who: Credentials) -> Iterator[None]:
    """urllib3 logs whole addresses at DEBUG, contest password and all: scrub them meanwhile."""

    def scrub(record: logging.LogRecord) -> bool:
        record.msg, record.args = who.scrub(record.getMessage()), ()
        return True

    log = logging.getLogger("urllib3.connectionpool")
    log.addFilter(scrub)
    try:
        yield
    finally:
        log.removeFilter(scrub)


def _accepted(status: int, answer: str, success: str, who: Credentials) -> str:
    """The server's message as it came, when it says that the file was accepted."""
    try:
        message = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        message = None
    if 200 <= status < 300 and isinstance(message, str) and success in message:
        return message
    words = message if isinstance(message, str) else _plain(answer)
    words = who.scrub(words)[:LONGEST_WORDS]  # in this order: half a secret is one, too
    meaning, outcome = _meaning(status)
    raise SubmitError(
        f"submit: {meaning} (HTTP {status}). The server said: {words or 'nothing'}",
        outcome=outcome,
        status=status,
        answer=words,
    )


def _meaning(status: int) -> tuple[str, str]:
    """What a status means for the person, and for the slot."""
    meanings = {
        401: "e-mail or password is wrong; run mk.save_credentials() again",
        403: "the contest password is wrong, or the team may not submit",
        404: "there is no such team or contest at this address",
        413: "the file is too large for the server",
        429: "the day's submissions are used up; wait for the next day",
    }
    if 200 <= status < 300:
        return (
            "the server did not say that it accepted the file; look at the leaderboard",
            "unknown",
        )
    if 300 <= status < 400:
        return (
            "the server sends to another address, which is not followed; check the URL",
            "refused",
        )
    if status >= 500:
        return "the server failed and may have the file; look at the leaderboard", "unknown"
    return meanings.get(status, "the server refused the file"), "refused"


def _plain(answer: str) -> str:
    """An answer that is not JSON, in one line without mark-up."""
    return " ".join(re.sub(r"<[^>]*>", " ", answer).split())


def _quota(message: str) -> tuple[int | None, int | None]:
    found = LEFT.search(message)
    return (int(found.group(1)), int(found.group(2))) if found else (None, None)


def check_address(url: str) -> None:
    """https only, but for this machine: http would show the passwords to the network."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL):
        return
    raise SubmitError(
        f"submit: the address begins with {parts.scheme or 'nothing'!r} (expected https). "
        "Passwords are not sent in the open; correct it with mk.save_credentials().",
        outcome="not sent",
    )
