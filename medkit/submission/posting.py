"""One request to a contest's server: to a checked address, bounded in time and size."""

from __future__ import annotations

import base64
import logging
import os
import socket
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import quote, urlsplit

from medkit.submission.answers import LONGEST, Answer, SubmitError, decode
from medkit.submission.credentials import Credentials

LOCAL = ("127.0.0.1", "localhost", "::1")
CONNECT_S = 10.0
PAUSE_S = 1.0  # before the second try; twice as long before each further one


def check_address(url: str) -> list[str]:
    """Refuse an address that would show the passwords; returns what a receipt must tell.

    https only, but for this machine and the hosts that `MEDKIT_ALLOW_HTTP` names.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is none, a bracket that does not close
        host = None
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise SubmitError(  # without the address: some paste a password into it
            "submit: the address has no host that can be read, or more than that (expected "
            "https://host). Correct it with mk.save_credentials().",
            outcome="not sent",
        )
    if parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL):
        return []
    allowed = [name.strip() for name in os.environ.get("MEDKIT_ALLOW_HTTP", "").split(",")]
    if parts.scheme == "http" and {host, f"{host}:{port}"} & set(allowed):
        note = f"The passwords go to {host} in the open (http), as MEDKIT_ALLOW_HTTP allows."
        warnings.warn(f"submit: {note} Everyone on the network can read them.", stacklevel=3)
        return [note]
    raise SubmitError(
        f"submit: the address begins with {parts.scheme!r} (expected https). "
        "Passwords are not sent in the open; correct it with mk.save_credentials().",
        outcome="not sent",
    )


def host_of(url: str) -> str:
    """Host and port of a checked address."""
    return urlsplit(url).netloc.lower()


def post(who: Credentials, name: str, data: bytes, *, timeout_s: float, retries: int) -> Answer:
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
        "files": {"files": (name, data, "text/csv")},
    }
    with _quiet_log(who):
        return _send(request, timeout_s, retries)


def get(url: str, *, timeout_s: float, longest: int) -> Answer:
    """Read a public page of the server; nothing secret is sent.

    Raises:
        SubmitError: when there is no answer.
    """
    return _send({"method": "GET", "url": url}, timeout_s, 0, longest)


@dataclass(frozen=True)
class _Failure:
    """Why there is no answer: by its kind alone, whose words would hold the whole address."""

    kind: str
    is_sent: bool  # perhaps
    may_retry: bool = False


def _send(
    request: dict[str, Any], timeout_s: float, retries: int, longest: int = LONGEST
) -> Answer:
    for k in range(max(0, retries) + 1):
        pause_s = PAUSE_S * 2 ** (k - 1) if k else 0.0
        result = _once(request, timeout_s, pause_s, longest)
        if isinstance(result, Answer):
            return result
        if not result.may_retry:
            break
    host, failed = host_of(request["url"]), result.kind
    if result.is_sent:
        raise SubmitError(
            f"submit: the connection to {host} broke after sending ({failed}). The server may have "
            "the file: look at the leaderboard before you send it again.",
            outcome="unknown",
        )
    advice = "check the address with mk.save_credentials(), and the network."
    if "SSL" in failed:
        advice = "name your network's own certificate in MEDKIT_CA if the server is the right one."
    raise SubmitError(
        f"submit: {host} could not be reached ({failed}). Nothing was sent and no slot spent; "
        f"{advice}",
        outcome="not sent",
    )


def _once(
    request: dict[str, Any], timeout_s: float, pause_s: float, longest: int
) -> Answer | _Failure:
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    line = _line(timeout_s)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no .netrc and no authorities by accident
        session.verify = _authorities()
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
        except (Exception, KeyboardInterrupt) as error:  # requests' own, urllib3's, the socket's
            reason = getattr(error.args[0], "reason", None) if error.args else None
            may_retry = isinstance(reason, (NewConnectionError, ConnectTimeoutError))
            return _Failure(type(reason or error).__name__, line.is_connected, may_retry)
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
    )


def _line(timeout_s: float) -> Any:
    """An adapter that knows whether it was ever connected, and that ends when time is up.

    Before it is connected nothing can be sent. The limits of `requests` are for each wait, so that
    a slow drip would never reach them.
    """
    from requests.adapters import HTTPAdapter

    class Line(HTTPAdapter):
        is_connected = False
        late = threading.Timer(timeout_s, lambda: None)

        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool, line = super().get_connection_with_tls_context(*args, **options), self

            class Connection(pool.ConnectionCls):
                debuglevel = 0  # http.client would print the request, passwords and all

                def connect(self) -> None:
                    super().connect()
                    line.is_connected = True
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
        pair = f"{who.email}:{who.password}".encode()
        request.headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
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
