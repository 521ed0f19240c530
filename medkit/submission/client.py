"""submit: one CSV over the contest's HTTP contract, written down before and after, sent once."""

from __future__ import annotations

import html
import json
import secrets
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Sequence

from medkit import files
from medkit.arguments import check_arguments
from medkit.errors import ConfigError, DataError, SubmitError
from medkit.korean.saying import accepted
from medkit.submission.addresses import check_address, host_of, place
from medkit.submission.answers import SEOUL, Verdict, not_accepted, read_answer
from medkit.submission.checking import check_submission, read_expected
from medkit.submission.credentials import Credentials, Secret, known, load_credentials
from medkit.submission.ledger import Entry, Ledger, clock, ledger_path, opened, tell_damage
from medkit.submission.posting import check_requests, post
from medkit.submission.quota import DAY_S, MAIC, Quota, Room, room, show_time
from medkit.submission.wording import left_today

__all__ = ["Receipt", "SubmitError", "quota_left", "submit"]

RECEIPT = "receipt.json"


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
    next_free: str = ""
    host: str = ""
    team: str = ""

    def __str__(self) -> str:
        quota = "" if self.left is None else f"\nleft today: {self.left} of {self.limit}"
        free = self.next_free and f"\nthe next is free at {self.next_free}"
        checks = "".join(f"\n{check}" for check in self.checks)
        said = f"{self.message}{quota}{free}\n{self.csv} at {self.time_seoul}{checks}"
        korean = accepted(self.csv, self.time_seoul, self.left, self.limit, self.next_free)
        return f"{said}\n{korean}"

    def _repr_html_(self) -> str:
        lines = [html.escape(line) for line in str(self).splitlines()]
        return f"<b>{lines[0]}</b><br>" + "<br>".join(lines[1:])


def submit(
    csv: Path | str,
    *,
    credentials: Credentials | None = None,
    quota: Quota = MAIC,
    over_quota: bool = False,
    again: bool = False,
    success: str | Sequence[str] = (),
    note: str | None = "",
    retries: int = 2,
    timeout_s: float = 120.0,
) -> Receipt:
    """Check a CSV, send it once, and return the receipt, also written as `receipt.json` beside it.

    Args:
        credentials: None takes `load_credentials()`. Never type a password in a cell.
        quota: the contest's rule. `over_quota=True` sends even so; `again=True` the same bytes.
        success: whole sentences of this contest's server that mean accepted, beside the usual
            ones; so does `MEDKIT_SUCCESS`, with a | between two.
        note: words of your own, for `mk.submissions()` ("ResNet, five folds"); they are not sent.
        retries: only for a server that cannot be reached, when nothing was sent.
        timeout_s: scoring can take minutes before a deadline.

    Raises:
        DataError: the CSV would be refused; nothing was sent.
        SubmitError: not accepted; says whether a slot may be spent. See `mk.submissions()`.
    Source: MAIC briefing 2022: the address, ten a day.

    Example:
        >>> answers = mk.leaderboard.write_answers(task, held_out, "answers.csv")
        >>> csv = mk.write_submission(task, held_out, run.predictions, "submission.csv")
        >>> board = mk.leaderboard.start(answers, "board")  # a server to practise on
        >>> mk.submit(csv).left
        9
        >>> board.stop()
    """
    check_arguments(submit, locals())
    csv = Path(csv)
    _check_options(retries, timeout_s)
    data, checks = _checked(csv)
    who = load_credentials() if credentials is None else credentials
    checks += check_address(who.url)
    check_requests()
    if who.unreadable():
        raise SubmitError(
            f"submit: {', '.join(who.unreadable())} cannot be sent, being no text in utf-8. "
            "Nothing was sent; type it again with mk.save_credentials(change=True).",
            outcome="not sent",
        )
    facts = {**_facts(csv, data, who), "note": str(note or ""), **clock()}
    checks += _write_intent(facts, quota, over_quota, again, _kept_receipt(csv))
    try:
        answer = post(who, csv, data, timeout_s=timeout_s, retries=retries)
    except SubmitError as error:
        _write_outcome(facts, Verdict(error.outcome, "", error.answer, error.status))
        raise
    try:
        verdict = read_answer(answer, who, success)
    except RuntimeError as error:  # it came, and nobody can read it
        verdict = Verdict("unknown", f"the answer cannot be read ({error})", "", answer.status)
    _write_outcome(facts, verdict)
    if verdict.outcome != "accepted":
        raise not_accepted(verdict, str(csv))
    receipt = _receipt(facts, verdict.words, checks, quota)
    try:
        files.write_json(csv.parent / RECEIPT, asdict(receipt))
    except OSError as error:  # the slot is spent: an exception would look like a failure
        _tell(f"submit: accepted, but no receipt is kept. {error}")
    return receipt


def quota_left(*, quota: Quota = MAIC, url: str = "", team: str = "") -> Room:
    """What is left of the quota: by what the server last said, and by what was sent since.

    Nothing is sent, and nobody is asked.

    Args:
        url, team: by default those of the environment or of `mk.save_credentials()`.

    Raises:
        SubmitError: address or team is not known yet.

    Example:
        >>> room = mk.quota_left(url="https://contest.example", team="7")
        >>> room.left
        10
    """
    check_arguments(quota_left, locals())
    given = known() if not (url and team) else {}
    url, team = Secret(url or given["url"]), team or given["team"]
    if not (url and team):
        words = "quota_left: no address or no team. Run mk.save_credentials() once."
        raise SubmitError(words, outcome="not sent")
    check_address(url)
    ledger = Ledger(ledger_path())
    tell_damage(ledger)
    return room(quota, ledger.of(host_of(url), team), datetime.now(timezone.utc))


def _check_options(retries: int, timeout_s: float) -> None:
    """Refuse what would be found out only after sending."""
    if retries < 0:
        raise ConfigError(f"submit: retries {retries!r} (expected a whole number of at least 0).")
    if not 0 < timeout_s <= DAY_S:
        raise ConfigError(
            f"submit: timeout_s {timeout_s!r} (expected a number of seconds above 0)."
        )


def _checked(csv: Path) -> tuple[bytes, list[str]]:
    """The bytes that will be sent, and what was checked of them."""
    before = csv.read_bytes() if csv.is_file() else b""  # the check names what is not there
    checks = check_submission(csv)
    if csv.read_bytes() != before:
        raise DataError(f"{csv.name} changed while it was checked. Wait until it is written.")
    return before, checks


def _facts(csv: Path, data: bytes, who: Credentials) -> dict[str, Any]:
    """What the ledger keeps of a submission; run and score only of the bytes they belong to."""
    digest = files.sha256(data)
    expected = read_expected(csv)
    made = expected if expected is not None and expected["sha256"] == digest else {}
    scores = made.get("local_score") or {}
    low, high = made.get("local_interval") or (None, None)
    return {
        "id": secrets.token_hex(6),
        "host": host_of(who.url),
        "team": who.team,
        "csv": csv.name,
        "sha256": digest,
        "run": made.get("run"),
        "local_score": next(iter(scores.values()), None),  # the contest's own stands first
        "local_low": low,
        "local_high": high,
    }


def _kept_receipt(csv: Path) -> dict[str, Any]:
    """The receipt beside a CSV, of this or an earlier one; {} where there is none."""
    try:
        kept = json.loads((csv.parent / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_intent(
    facts: dict[str, Any], quota: Quota, over_quota: bool, again: bool, receipt: dict[str, Any]
) -> list[str]:
    """Look what was sent before and write down what will be, as one step; returns notes.

    Raises:
        SubmitError: "not sent", for the same bytes, for no slot left, for no ledger.
    """
    try:
        with opened() as ledger:
            tell_damage(ledger)
            entries = ledger.of(facts["host"], facts["team"])
            before = _sent_before(facts, entries, ledger, receipt)
            if before and not again:
                raise SubmitError(
                    f"submit: {before} Look at the leaderboard; again=True sends it again and "
                    "spends a slot.",
                    outcome="not sent",
                )
            rest = room(quota, entries, datetime.now(timezone.utc))
            if not rest.left and not over_quota:
                raise SubmitError(
                    f"submit: not sent, {rest}\nIf the contest's page shows that there is room, "
                    "pass over_quota=True.",
                    outcome="not sent",
                )
            for note in rest.notes:  # where warnings are errors, nothing is written yet
                warnings.warn(f"submit: {note}", stacklevel=3)
            _append_intent(ledger, facts)
    except OSError as error:
        raise SubmitError(
            f"submit: no ledger can be kept ({error.strerror or error}). Nothing was sent; set "
            "MEDKIT_LEDGER to a file that you may write.",
            outcome="not sent",
        ) from error
    return list(rest.notes)


def _append_intent(ledger: Ledger, facts: dict[str, Any]) -> None:
    """Write the intent down; one that stands there in half, or may not last, is taken back."""
    size = ledger.path.stat().st_size
    try:
        ledger.append({"event": "intent", **facts})
    except BaseException:  # a full disk, an interrupt
        back = {**facts, "event": "outcome", "outcome": "not sent", **clock("closed")}
        with suppress(OSError):  # the first error is the one to tell
            ledger.take_back({"event": "intent", **facts}, size)
            try:
                ledger.append(back)
            except OSError:
                ledger.take_back(back, size)
        raise


def _sent_before(
    facts: dict[str, Any], entries: Sequence[Entry], ledger: Ledger, receipt: dict[str, Any]
) -> str:
    """That these bytes were sent to this place, as far as anything tells; "" otherwise."""
    digest = facts["sha256"]
    same = [e for e in entries if e.is_spent and e.facts["sha256"] == digest]
    if same:
        sent = same[-1].time.astimezone(SEOUL).strftime("%Y-%m-%d %H:%M")
        fate = "was accepted" if same[-1].outcome == "accepted" else "may have arrived"
        return f"these bytes were sent at {sent} (Seoul), and the file {fate}."
    whose = place(receipt.get("host") or facts["host"], receipt.get("team") or facts["team"])
    is_old = "host" not in receipt  # of a version that did not say where
    is_told = is_old and any(e.facts.get("sha256") == digest for e in ledger.entries)
    is_here = whose == place(facts["host"], facts["team"]) and not is_told
    if receipt.get("sha256") == digest and is_here:
        return (
            f"the receipt beside the CSV says that these bytes were accepted at "
            f"{receipt.get('time_seoul')}, though the ledger ({ledger.path}) does not."
        )
    known_ids = [str(e.facts.get("id")).encode() for e in ledger.entries]
    lost = [line for line in ledger.lost if not any(name in line for name in known_ids)]
    if any(digest.encode() in line for line in lost):
        return f"a damaged line of the ledger ({ledger.path}) names these bytes: they may be there."
    return ""


def _receipt(facts: dict[str, Any], message: str, checks: list[str], quota: Quota) -> Receipt:
    left, limit = left_today(message)
    next_free = ""
    try:
        entries = Ledger(ledger_path()).of(facts["host"], facts["team"])
        rest = room(quota, entries, datetime.now(timezone.utc))
    except (OSError, ValueError, OverflowError) as error:  # it is accepted all the same
        checks.append(f"The ledger could not be read: {getattr(error, 'strerror', 0) or error}.")
    else:
        next_free = "" if rest.left else show_time(rest.next_free, quota)
        if left is None:
            checks.append(f"The server did not say what is left; by the ledger: {rest}")
    return Receipt(
        message=message,
        left=left,
        limit=limit,
        csv=facts["csv"],
        sha256=facts["sha256"],
        time_utc=facts["time_utc"],
        time_seoul=facts["time_seoul"],
        checks=tuple(checks),
        next_free=next_free,
        host=facts["host"],
        team=facts["team"],
    )


def _write_outcome(facts: dict[str, Any], verdict: Verdict) -> None:
    left, limit = left_today(verdict.words)
    event = {**facts, "event": "outcome", "outcome": verdict.outcome, "words": verdict.words}
    event.update(status=verdict.status, left=left, limit=limit, **clock("closed"))
    if verdict.clock is not None:
        event["server_utc"] = verdict.clock.isoformat()
    try:
        with opened() as ledger:
            ledger.append(event)
    except (OSError, Warning) as error:  # what became of the file matters more
        found = getattr(error, "strerror", None) or error
        _tell(
            f"submit: {verdict.outcome}, but the ledger could not be written and says unknown "
            f"({found})."
        )


def _tell(words: str) -> None:
    """Warn, also where warnings are errors: the slot is spent, and the receipt is due."""
    try:
        warnings.warn(words, stacklevel=4)
    except Warning:
        print(words, file=sys.stderr)
