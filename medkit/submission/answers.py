"""What a contest's server answered, and what that means for the slot: never guessed."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Sequence
from urllib.parse import urlsplit

from medkit.errors import SubmitError
from medkit.submission.credentials import Credentials, apart
from medkit.submission.wording import outcome_of, says_unspent

DAY = timedelta(days=1)
SEOUL = timezone(timedelta(hours=9), "Asia/Seoul")  # no summer time since 1988
LONGEST = 65536  # bytes looked at of an answer
LONGEST_WORDS = 500  # characters shown of it
UNTOLD = ("iso-8859-1", "latin-1", "us-ascii", "windows-1252")  # what servers say without knowing
LOOK = "Look at the leaderboard before you send it again"
SETTLE = f'{LOOK}; then mk.note_outcome({{csv!r}}, "accepted" or "refused") settles it.'
MEANINGS = {
    401: "e-mail or password is wrong; run mk.save_credentials(change=True)",
    403: "the contest password is wrong, or the team may not submit; "
    "run mk.save_credentials(change=True) or ask the organisers",
    404: "there is no such team or contest at this address; run mk.save_credentials(change=True)",
    413: "the file is too large for the server; send a smaller one",
}


@dataclass(frozen=True, repr=False)  # it may repeat secrets: only scrubbed words are shown
class Answer:
    """One HTTP answer: status, text, media type, and three headers."""

    status: int
    text: str = ""
    kind: str = ""
    location: str = ""
    retry_after: str = ""
    date: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Attributes:
        outcome: "accepted", "refused" or "unknown".
        meaning: for a person.
        words: the server's, without secrets.
        clock: the server's, in UTC; None where it did not say.
    """

    outcome: str
    meaning: str
    words: str
    status: int
    clock: datetime | None = None


def read_answer(answer: Answer, who: Credentials, success: str | Sequence[str] = ()) -> Verdict:
    """What an answer means for the file; secrets that the server repeats are left behind here.

    Args:
        success: as of `wording.outcome_of`.
    """
    return apart(lambda: _read(answer, who, success))


def _read(answer: Answer, who: Credentials, success: str | Sequence[str]) -> Verdict:
    message, is_doubtful = _message(answer.text)
    words = who.scrub(answer.text if message is None else message)
    words = _plain(words) if message is None else _one_line(words)
    words = who.scrub(words)[:LONGEST_WORDS]  # in this order: half a secret is one, too
    if 200 <= answer.status < 300 and message is not None:
        outcome = "unknown" if is_doubtful else outcome_of(message, success)
        meaning = {"refused": "the server says that it refused the file"}.get(
            outcome, "the server did not say clearly that it accepted the file"
        )
    else:
        meaning, outcome = _meaning(answer, message, who)
    clock = _moment(answer.date, within=DAY)  # another date is no clock's
    return Verdict(outcome, meaning, words, answer.status, clock)


def not_accepted(verdict: Verdict, csv: str) -> SubmitError:
    """The error for every other answer, with the server's words and what to do next."""
    advice = f" {SETTLE.format(csv=csv)}" if verdict.outcome == "unknown" else ""
    return SubmitError(
        f"submit: {verdict.meaning} (HTTP {verdict.status}).{advice} "
        f"The server said: {verdict.words or 'nothing'}",
        outcome=verdict.outcome,
        status=verdict.status,
        answer=verdict.words,
    )


def decode(body: bytes, kind: str, encoding: str = "", longest: int = LONGEST) -> str:
    """An answer's bytes as text: unpacked within bounds, in the first charset that fits.

    Args:
        kind: the Content-Type, which may name a charset; then utf-8, then cp949.
        encoding: the Content-Encoding; asked for is none.
    """
    if encoding.strip().lower() in ("gzip", "deflate"):
        try:
            body = zlib.decompressobj(47).decompress(body, longest)  # 47: gzip or zlib, by its head
        except zlib.error:
            return ""
    found = re.search(r"charset=[\"']?([\w.:-]+)", kind, re.IGNORECASE)
    told = found.group(1).lower() if found else ""
    for charset in [told if told not in UNTOLD else "utf-8", "utf-8", "cp949"]:
        try:
            text = body.decode(charset or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
        if charset != "cp949" or re.search("[가-힣]", text):
            return text.lstrip("\ufeff")
    return body.decode("utf-8", "replace")


def _message(text: str) -> tuple[str | None, bool]:
    """The message of a contest's JSON, and whether something beside it says otherwise."""
    try:
        found = json.loads(text)
        message = found["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, False
    is_doubtful = any(found.get(name) for name in ("error", "errors"))
    is_doubtful = is_doubtful or any(found.get(name) is False for name in ("success", "ok"))
    return (message, is_doubtful) if isinstance(message, str) else (None, False)


def _meaning(answer: Answer, message: str | None, who: Credentials) -> tuple[str, str]:
    """What an answer means for the person, and for the slot."""
    status, wait = answer.status, _wait(answer.retry_after)
    if 200 <= status < 300:
        return _no_message(answer), "unknown"
    if 300 <= status < 400:
        where = f" ({who.scrub(_host(answer.location))})" if _host(answer.location) else ""
        there = f"the server sends to another address{where}, which got nothing"
        if status in (302, 303):  # how a server shows the next page once it has taken a file
            return there, "unknown"
        return f"{there}; correct the URL with mk.save_credentials(change=True)", "refused"
    if status == 429:
        used_up = "the day's submissions are used up; wait for the next day"
        return (f"the server is asked too often; {wait}" if wait else used_up), "refused"
    if status >= 500 and message is not None and says_unspent(message):
        return f"the server could not take the file{wait and '; ' + wait}", "refused"
    if status >= 500:
        return f"the server failed and may have the file{wait and '; ' + wait}", "unknown"
    return MEANINGS.get(status, "the server refused the file"), "refused"


def _no_message(answer: Answer) -> str:
    kind = _one_line(answer.kind.partition(";")[0])[:80] or "no content type"
    if not answer.text.strip():
        return "the server did not say anything, nor that it accepted the file"
    if "json" not in kind.lower():
        return (
            f"the server did not say that it accepted the file: it answered with {kind} (expected "
            "the contest's JSON), perhaps a log-in page"
        )
    return "the server did not say that it accepted the file: its JSON has no message"


def _wait(retry_after: str) -> str:
    """Until when to wait, from a Retry-After of seconds or of a date; "" for neither."""
    found = re.match(r"\s*(\d{1,7})\b", retry_after)
    if found:
        until = datetime.now(timezone.utc) + timedelta(seconds=int(found.group(1)))
    else:
        until = _moment(retry_after, within=366 * DAY)
    return (
        "" if until is None else f"wait until {until.astimezone(SEOUL):%Y-%m-%d %H:%M:%S} (Seoul)"
    )


def _moment(date: str, within: timedelta) -> datetime | None:
    """A date of an HTTP header, in UTC; None for what is none, or is too far from now."""
    try:
        moment = parsedate_to_datetime(date)
        moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
        return moment if abs(moment - datetime.now(timezone.utc)) <= within else None
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _host(address: str) -> str:
    """Scheme and host of an address, without a name, a password or a query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return _one_line(f"{parts.scheme}://{host}")[:80] if host else ""


def _plain(text: str) -> str:
    """A page's words, without mark-up."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", text)
    return _one_line(re.sub(r"<[^>]*>", " ", text))


def _one_line(text: str) -> str:
    """One line without control characters, which a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
