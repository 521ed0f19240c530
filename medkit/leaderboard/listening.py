"""A waitress server that strangers may reach: bounded headers, bodies and patience, a clean end."""

from __future__ import annotations

import json
import logging
import re
import signal
import threading
import time
from typing import Any, Callable

from medkit.errors import NotInstalled
from medkit.leaderboard.app import HEADERS, MOST_FORM, RECEIVED, TOO_LARGE

HOST = "127.0.0.1"
THREADS = 72  # most of them wait: for a slow hash, or for their turn at the work
MOST_CONNECTIONS = 900  # at once; two hundred teams may press at the same second
MOST_HEADER = 16_384  # bytes
PATIENCE_S, HURRIED_S = 10, 2  # for a whole request; less when most connections are taken
CROWDED = 0.75  # of the connections
MOST_SLOW = 100  # requests that may take longer than that: the fastest of them
DRAIN_S = 20  # at the end, for answering what came in
WORK_S = 40  # after that, for what has begun; systemd waits 90 s
KNOWN = re.compile(r"/|/me|/api/ranking|/api/direct-report/\d{1,9}")
SENTENCES = {
    400: "요청을 읽을 수 없습니다. (the request cannot be read; send it as the contest says)",
    413: TOO_LARGE,
    431: f"머리글이 너무 큽니다. (the headers are larger than {MOST_HEADER // 1024} KB)",
    501: "지원하지 않는 요청입니다. (the server does not know this way of sending)",
}
_STAMP = "MEDKIT_RECEIVED"
_HEADER = f"HTTP_{_STAMP}"
log = logging.getLogger(__name__)


def make_server(
    app: Callable, *, host: str, port: int, longest: int, most: int, is_behind_proxy: bool
) -> Any:
    """A waitress server for one application, not running yet.

    Args:
        longest: bytes of a file that are taken in, before anyone knows whose it is.
        most: bytes that are read and thrown away, so that a client hears why.

    Raises:
        NotInstalled: naming the extra, when waitress is missing.
    """
    try:
        from waitress.server import create_server
    except ImportError as error:
        raise NotInstalled(
            "the leaderboard needs waitress: pip install 'medkit[leaderboard]'."
        ) from error
    proxy: dict[str, Any] = {}
    if is_behind_proxy:
        proxy = {"trusted_proxy": HOST, "trusted_proxy_headers": {"x-forwarded-for"}}
        proxy["trusted_proxy_count"] = 1
    server = create_server(
        logged(app),
        host=host,
        port=port,
        threads=THREADS,
        connection_limit=MOST_CONNECTIONS,
        channel_timeout=PATIENCE_S,  # without a byte in either direction
        cleanup_interval=1,
        asyncore_use_poll=True,
        max_request_header_size=MOST_HEADER,
        max_request_body_size=longest + MOST_FORM,
        clear_untrusted_proxy_headers=True,
        ident=None,
        **proxy,
    )
    usual = server.maintenance

    def maintain(now: float) -> None:
        usual(now)
        close_slow(list(server.active_channels.values()), now)

    server.maintenance = maintain
    server.channel_class = _channels(server.channel_class, most + MOST_FORM)
    logging.getLogger("waitress").addFilter(_without_path)
    return server


def run(server: Any) -> None:
    """Serve until SIGTERM or Ctrl-C; whatever came in whole before that is answered.

    What still waits in line after `DRAIN_S` is dropped, before any of it is kept. A second signal
    ends it at once.
    """
    ends: list[int] = []

    def end(number: int, frame: Any) -> None:
        ends.append(number)
        server.pull_trigger()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
    loop = {"timeout": 1, "map": server._map, "use_poll": True, "count": 1}
    while not ends:
        server.asyncore.loop(**loop)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    until = time.monotonic() + DRAIN_S
    server.asyncore.dispatcher.close(server)  # nobody new, and nothing more from who is here
    for channel in list(server.active_channels.values()):
        if not (channel.requests or channel.total_outbufs_len):
            channel.will_close = True
    while _is_busy(server) and time.monotonic() < until:
        server.asyncore.loop(**loop)
    server.task_dispatcher.set_thread_count(0)  # what has begun is finished and answered
    until = time.monotonic() + WORK_S
    while (server.task_dispatcher.threads or _is_sending(server)) and time.monotonic() < until:
        server.asyncore.loop(**loop)
    server.trigger.close()


def _is_busy(server: Any) -> bool:
    is_asked = any(channel.requests for channel in list(server.active_channels.values()))
    return is_asked or _is_sending(server)


def _is_sending(server: Any) -> bool:
    return any(channel.total_outbufs_len for channel in list(server.active_channels.values()))


def close_slow(channels: list[Any], now: float) -> None:
    """Close connections whose request takes too long, but for the fastest few.

    A connection that says nothing costs a place as well. Whoever is being served is let be.
    """
    is_crowded = len(channels) > CROWDED * MOST_CONNECTIONS
    patience_s = HURRIED_S if is_crowded else PATIENCE_S
    waiting = [c for c in channels if not (c.requests or c.total_outbufs_len or c.will_close)]
    late, slow = [], []
    for channel in waiting:
        parser = channel.request
        age_s = now - (channel.last_activity if parser is None else parser.began)
        if age_s > patience_s and parser is None:
            late.append(channel)
        elif age_s > patience_s:
            slow.append((parser.got / age_s, channel))
    slow.sort(key=lambda each: each[0])
    late += [channel for _, channel in slow[: max(0, len(slow) - MOST_SLOW)]]
    for channel in late:
        channel.will_close = True
    if late:
        log.info("closed %d of %d connections: too slow", len(late), len(channels))


def logged(app: Callable) -> Callable:
    """The application with a line a request: no query, no name, no path but the known ones."""
    access = logging.getLogger("medkit.leaderboard.access")

    def call(environ: dict[str, Any], start_response: Callable) -> Any:
        began = time.monotonic()
        stamp = environ.pop(_HEADER, None)
        if stamp is not None:
            environ[RECEIVED] = int(stamp)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")

        def answer(status: str, *rest: Any) -> Any:
            took = time.monotonic() - began
            known = path if KNOWN.fullmatch(path) else "(another path)"
            known_method = method if method in ("GET", "HEAD", "POST") else "(another method)"
            who = environ.get("REMOTE_ADDR")
            access.info("%s %s %s %s %.3f s", who, known_method, known, status[:3], took)
            return start_response(status, *rest)

        return app(environ, answer)

    return call


def _without_path(record: logging.LogRecord) -> bool:
    """waitress repeats what a client wrote: a path, a proxy's header; a password may be in it."""
    words = re.sub(r"(?s)( while serving ).*", r"\1it", record.getMessage())
    record.msg, record.args = re.sub(r"(?s)^(Malformed proxy header|Unknown ).*", r"\1", words), ()
    return True


def _channels(channel_class: type, most: int) -> type:
    """Channels for one request each, which knows when it began and was whole.

    Of several in a row the answers could be left unread, which would hold threads and memory.
    """

    class Parser(channel_class.parser_class):
        """`began` and `got`: since when, and how many bytes."""

        path = ""  # waitress asks for it also where nothing could be read
        _rest = 0  # bytes of a body that is too long, still to be thrown away

        def __init__(self, adj: Any):
            super().__init__(adj)
            self.began, self.got = time.time(), 0

        def received(self, data: bytes) -> int:
            self.got += len(data)
            if self._rest:
                count = min(self._rest, len(data))
                self._rest -= count
                self.completed = not self._rest
                return count
            count = super().received(data)
            if self.error is not None:
                self._refuse()
            if self.completed:  # a busy server gets round to it only later, perhaps after closing
                self.headers[_STAMP] = str(time.time_ns())
            return count

        def parse_header(self, header_plus: bytes) -> None:
            lengths = [rb"(?im)^content-length[ \t]*:", rb"(?im)^transfer-encoding[ \t]*:"]
            if all(re.search(pattern, header_plus) for pattern in lengths):
                from waitress.parser import ParsingError

                raise ParsingError("both a length and chunks")  # two readings of one request
            super().parse_header(header_plus)
            self.headers["CONNECTION"] = "close"

        def _refuse(self) -> None:
            is_asking, self.expect_continue = self.expect_continue, False
            is_short = 0 < self.content_length <= most  # nobody knows how long chunks will be
            if self.error.code == 413 and is_short and not is_asking:
                self._rest = self.content_length
                self.completed = False
            self.error = _Sentence(self.error)

    class Channel(channel_class):
        parser_class = Parser

    return Channel


class _Sentence:
    """An error of waitress as the application would tell it."""

    def __init__(self, error: Any):
        self.code = error.code
        self.status = f"{error.code} {error.reason}"
        self.sentence = SENTENCES.get(error.code, SENTENCES[400])

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        body = json.dumps({"message": self.sentence}, ensure_ascii=False).encode("utf-8")
        return self.status, [("Content-Type", "application/json"), *HEADERS.items()], body
