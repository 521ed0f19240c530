"""One request to a contest's server: to a checked address, bounded in time and size."""

from __future__ import annotations

import base64
import logging
import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import quote, urlsplit

from medkit.errors import SubmitError
from medkit.submission.addresses import LOCAL, host_of
from medkit.submission.answers import LONGEST, SETTLE, Answer, decode
from medkit.submission.credentials import Credentials, apart

OLDEST = (2, 32, 2)  # of requests; 2.32.0 and 2.32.1 were withdrawn
CONNECT_S = 10.0
PAUSE_S = 1.0  # before the second try; twice as long before each further one


def check_requests() -> None:
    """Refuse releases of requests that never ask how a connection is made.

    With them neither "not sent" nor the time limit would hold.

    Raises:
        SubmitError: "not sent", naming what is installed.
    """
    import requests

    if tuple(int(part) for part in re.findall(r"\d+", requests.__version__)[:3]) < OLDEST:
        raise SubmitError(
            f"submit: requests {requests.__version__} is installed (expected 2.32.2 or newer, as "
            "older ones do not tell whether anything was sent). Nothing was sent: install a newer "
            "one and restart the kernel.",
            outcome="not sent",
        )


def post(who: Credentials, csv: Path, data: bytes, *, timeout_s: float, retries: int) -> Answer:
    """Send a file; only a server that could not be reached is tried again.

    Args:
        timeout_s: from the connection to the end of the answer.

    Raises:
        SubmitError: without address and secrets; "not sent" or "unknown".
    Source: MAIC briefing 2022, POST /api/direct-report/<team>?password=<contest password>.
    """
    url = f"{who.url.rstrip('/')}/api/direct-report/{quote(who.team, safe='')}"
    request = {
        "method": "POST",
        "url": url,
        "params": {"password": who.contest_password},
        "auth": _basic(who),
        "files": {"files": (csv.name, data, "text/csv")},
    }
    with _quiet_log(who):
        answer = _send(request, timeout_s, retries)
    if isinstance(answer, Answer):
        return answer
    if answer.is_sent:
        raise SubmitError(
            f"submit: the connection to {host_of(url)} broke after sending ({answer.kind}), so "
            f"the server may have the file. {SETTLE.format(csv=str(csv))}",
            outcome="unknown",
        )
    raise _not_reached(url, answer)


def get(url: str, *, timeout_s: float, longest: int) -> Answer:
    """Read a public page of the server; nothing secret is sent.

    Raises:
        SubmitError: when there is no answer.
    """
    check_requests()
    answer = _send({"method": "GET", "url": url}, timeout_s, 0, longest)
    if isinstance(answer, Answer):
        return answer
    raise _not_reached(url, answer)


@dataclass(frozen=True)
class _Failure:
    """Why there is no answer: by its kind alone, whose words would hold the whole address."""

    kind: str
    is_sent: bool  # perhaps
    may_retry: bool = False


def _send(
    request: dict[str, Any], timeout_s: float, retries: int, longest: int = LONGEST
) -> Answer | _Failure:
    verify = _authorities()
    for k in range(max(0, retries) + 1):
        pause_s = PAUSE_S * 2 ** (k - 1) if k else 0.0
        result = apart(partial(_once, request, verify, timeout_s, pause_s, longest))
        if isinstance(result, Answer) or not result.may_retry:
            break
    return result


def _not_reached(url: str, failure: _Failure) -> SubmitError:
    advice = "check the address with mk.save_credentials(change=True), and the network."
    if "SSL" in failure.kind:
        advice = "name your network's own certificate in MEDKIT_CA if the server is the right one."
    return SubmitError(
        f"submit: {host_of(url)} could not be reached ({failure.kind}). Nothing was sent and no "
        f"slot spent; {advice}",
        outcome="not sent",
    )


def _once(
    request: dict[str, Any], verify: bool | str, timeout_s: float, pause_s: float, longest: int
) -> Answer | _Failure:
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    line = _line(timeout_s)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no .netrc and no authorities by accident
        session.verify = verify
        session.proxies = _proxies(request["url"])
        session.mount("https://", line)
        session.mount("http://", line)
        try:
            time.sleep(pause_s)
            with session.request(
                **request,
                headers={"Accept-Encoding": "identity"},
                timeout=(CONNECT_S, timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(response, longest)
        except BaseException as error:  # requests' own, urllib3's, the socket's, an interrupt
            reason = getattr(error.args[0], "reason", None) if error.args else None
            may_retry = isinstance(reason, (NewConnectionError, ConnectTimeoutError))
            kind = type(reason if reason is not None else error).__name__
            return _Failure(kind, line.may_have_sent, may_retry and not line.may_have_sent)
        finally:
            line.late.cancel()


def _read(response: Any, longest: int) -> Answer:
    """What is read of an answer; a body that breaks off leaves what the status says."""
    headers = response.headers
    try:
        body = response.raw.read(longest, decode_content=False)
    except Exception:  # as above; an unread 200 is unknown, an unread 401 a refusal
        body = b""
    kind = headers.get("Content-Type", "")
    return Answer(
        status=response.status_code,
        text=decode(body, kind, headers.get("Content-Encoding", ""), longest),
        kind=kind,
        location=headers.get("Location", ""),
        retry_after=headers.get("Retry-After", ""),
        date=headers.get("Date", ""),
    )


def _line(timeout_s: float) -> Any:
    """An adapter that knows whether it may have sent anything, and that ends when time is up.

    Before it is connected nothing can be sent; a request counts as sent unless each connection was
    asked for here and none was made. The limits of `requests` are for each wait, so that a slow
    drip would never reach them.
    """
    from requests.adapters import HTTPAdapter

    class Line(HTTPAdapter):
        may_have_sent = False
        late = threading.Timer(timeout_s, lambda: None)

        def send(self, *args: Any, **options: Any) -> Any:
            self.may_have_sent = True  # until it is seen that connections are made below
            return super().send(*args, **options)

        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool, line = super().get_connection_with_tls_context(*args, **options), self
            line.may_have_sent = False

            class Connection(pool.ConnectionCls):
                debuglevel = 0  # http.client would print the request, passwords and all

                def connect(self) -> None:
                    super().connect()
                    line.may_have_sent = True
                    line.late = threading.Timer(timeout_s, _cut, (self.sock,))
                    line.late.daemon = True
                    line.late.start()

            pool.ConnectionCls = Connection
            return pool

    return Line()


def _cut(line: socket.socket) -> None:
    with suppress(OSError):  # it has ended meanwhile
        line.shutdown(socket.SHUT_RDWR)


def _basic(who: Credentials) -> Callable[[Any], Any]:
    """HTTP Basic in utf-8, in a function: a tuple would show in a traceback with values."""

    def sign(request: Any) -> Any:
        pair = base64.b64encode(f"{who.email}:{who.password}".encode())
        request.headers["Authorization"] = f"Basic {pair.decode('ascii')}"
        return request

    return sign


def _authorities() -> bool | str:
    """Who vouches for servers: the usual authorities, or those of a closed network."""
    path = os.environ.get("MEDKIT_CA", "")
    if path and not Path(path).is_file():
        raise SubmitError(
            f"submit: MEDKIT_CA names {path!r}, which is not a file (expected the network's "
            "certificate, PEM). Correct it; nothing was sent.",
            outcome="not sent",
        )
    return path or True


def _proxies(url: str) -> dict[str, str]:
    proxy = os.environ.get("MEDKIT_PROXY", "")
    if not proxy or urlsplit(url).hostname in LOCAL:
        return {}
    return {"http": proxy, "https": proxy}


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
