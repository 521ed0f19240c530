"""A server that misbehaves on purpose: a right ledger, no leak, nothing sent twice."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
import tracemalloc
import zlib
from contextlib import contextmanager, suppress

import pytest

import medkit as mk
from medkit.submission import posting
from medkit.submission.credentials import Credentials
from medkit.submission.ledger import Ledger, ledger_path

SECRETS = {"email": "me@x.kr", "password": "site-secret", "contest_password": "contest-secret"}
BASIC = "bWVAeC5rcjpzaXRlLXNlY3JldA=="
MESSAGE = "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 8회/10회 입니다."
SAID = json.dumps({"message": MESSAGE}, ensure_ascii=False)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(posting, "PAUSE_S", 0.001)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("id,decayed\n" + "".join(f"front_{k},{k % 2}\n" for k in range(3000)))
    return path


@contextmanager
def serving(behave, *, tls=None):
    """A server that does as `behave(connection, got)` likes; yields who, and all that it got."""
    got, listener = [], socket.create_server(("127.0.0.1", 0))

    def handle(connection):
        with suppress(OSError, ssl.SSLError):  # the client may leave at any time
            with tls.wrap_socket(connection, server_side=True) if tls else connection as line:
                behave(line, got)

    def accept():
        with suppress(OSError):  # the test has ended
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    scheme = "https" if tls else "http"
    try:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        yield Credentials(url, "42", **SECRETS), got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def receive(line, got):
    """Read a whole request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += line.recv(65536)
    got.append((head, body))


def answering(body, *headers, status="200 OK", length=True):
    data = body.encode("utf-8") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *headers]
    lines += [f"Content-Length: {len(data)}"] * length
    lines += [] if any("ontent-Type" in h for h in headers) else ["Content-Type: application/json"]

    def behave(line, got):
        receive(line, got)
        line.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + data)

    return behave


def silence(line, got):
    receive(line, got)
    time.sleep(4)


def reset_in_the_middle(line, got):
    got.append((line.recv(4096), b""))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def reset_in_the_answer(line, got):
    receive(line, got)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + SAID.encode()[:40])
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def hang_up(line, got):
    receive(line, got)


def drip_headers(line, got):
    receive(line, got)
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    for k in range(200):
        line.sendall(f"X-{k}: 1\r\n".encode())
        time.sleep(0.05)


def drip_body(line, got):
    receive(line, got)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    for _ in range(200):
        line.sendall(b" ")
        time.sleep(0.05)


def endless_body(line, got):
    receive(line, got)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        line.sendall(b" " * 65536)


def endless_headers(line, got):
    receive(line, got)
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        line.sendall(b"X: 1\r\n" * 1000)


def no_http(line, got):
    receive(line, got)
    line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def bomb(megabytes):
    packing = zlib.compressobj(9, wbits=31)
    return b"".join([packing.compress(b" " * 2**20) for _ in range(megabytes)] + [packing.flush()])


PAGE = "<html><style>b{}</style><b>Please log in</b><script>x()</script></html>"
HTML = "Content-Type: text/html; charset=utf-8"
CASES = {  # name: (what the server does, outcome, words of the error)
    "page": (answering(PAGE, HTML), "unknown", "answered with text/html .*: Please log in$"),
    "text": (answering("ok", "Content-Type: text/plain"), "unknown", "answered with text/plain"),
    "empty": (answering(""), "unknown", "did not say anything"),
    "no content": (
        answering("", status="204 No Content", length=False),
        "unknown",
        "did not say anything",
    ),
    "silence": (silence, "unknown", "broke after sending"),
    "reset in the middle": (reset_in_the_middle, "unknown", "broke after sending"),
    "reset in the answer": (reset_in_the_answer, "unknown", "did not say anything"),
    "hang up": (hang_up, "unknown", "broke after sending"),
    "drip of headers": (drip_headers, "unknown", "did not say anything"),
    "drip of a body": (drip_body, "unknown", "did not say anything"),
    "endless body": (endless_body, "unknown", "did not say anything"),
    "endless headers": (endless_headers, "unknown", "broke after sending"),
    "another protocol": (no_http, "unknown", "broke after sending"),
    "two lengths": (
        answering(SAID, "Content-Length: 5"),
        "unknown",
        "Look at the leaderboard|look",
    ),
    "bomb": (answering(bomb(20), "Content-Encoding: gzip"), "unknown", "did not say anything"),
    "broken gzip": (answering("xx", "Content-Encoding: gzip"), "unknown", "did not say anything"),
    "unknown coding": (
        answering(SAID.encode("utf-16"), "Content-Encoding: br"),
        "unknown",
        "no message",
    ),
    "deep JSON": (answering("[" * 60_000), "unknown", "its JSON has no message"),
    "long number": (answering('{"message": ' + "9" * 60_000 + "}"), "unknown", "no message"),
    "half of it": (answering(SAID[:-9]), "unknown", "its JSON has no message"),
    "other key": (answering(SAID.replace("message", "msg")), "unknown", "no message"),
    "no charset": (
        answering("{}", "Content-Type: application/json; charset=rot13"),
        "unknown",
        "no message",
    ),
    "found": (answering("", "Location: /ranking", status="302 Found"), "unknown", "got nothing"),
    "later": (
        answering("{}", "Retry-After: 90", "Retry-After: 7", status="429 No"),
        "refused",
        r"asked too often; wait until 20\d\d-.* \(Seoul\)",
    ),
    "used up": (answering("{}", status="429 No"), "refused", "used up; wait for the next day"),
    "a date": (
        answering("", "Retry-After: Sat, 21 Nov 2026 03:00:00 GMT", status="503 Busy"),
        "unknown",
        "may have the file; wait until 2026-11-21 12:00:00",
    ),
    "no date": (answering("", "Retry-After: soon", status="503 Busy"), "unknown", r"file \(HTTP"),
    "terminal codes": (
        answering('{"message": "a\\u001b[2Jb\\u202ec\\nd"}', status="400 No"),
        "refused",
        r"said: a \[2Jb c d$",
    ),
}


def leaks(text):
    return [word for word in (*SECRETS.values(), BASIC) if word in text]


@pytest.mark.parametrize("name", CASES)
def test_the_ledger_is_right_and_nothing_leaks(csv, name, caplog, capfd, monkeypatch):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)  # a common recipe
    caplog.set_level(logging.DEBUG)
    behave, outcome, words = CASES[name]
    began = time.monotonic()
    with serving(behave) as (who, got):
        with pytest.raises(mk.SubmitError, match=words) as caught:
            mk.submit(csv, credentials=who, timeout_s=1.0)
        if outcome == "unknown":
            with pytest.raises(mk.SubmitError, match="the file may have arrived"):
                mk.submit(csv, credentials=who)
    assert time.monotonic() - began < 9 and len(got) == 1  # a dripping answer takes 10
    error = caught.value
    assert error.outcome == outcome and "\n" not in str(error)
    assert list(mk.submissions()["outcome"]) == [outcome]
    events = [event["event"] for _, event in Ledger(ledger_path()).events]
    assert events == ["intent", "outcome"]
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    shown += caplog.text + "".join(capfd.readouterr()) + ledger_path().read_text(encoding="utf-8")
    assert not leaks(shown) and not (csv.parent / "receipt.json").exists()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_arrives_where_a_redirect_leads(csv, status):
    with serving(answering(SAID)) as (elsewhere, stolen):
        target = f"Location: {elsewhere.url}/x?password=contest-secret"
        with serving(answering("", target, status=f"{status} Go")) as (who, got):
            with pytest.raises(
                mk.SubmitError, match=r"\(http://127.0.0.1:\d+\), which got"
            ) as caught:
                mk.submit(csv, credentials=who)
    assert len(got) == 1 and stolen == [] and not leaks(str(caught.value))
    outcome = "unknown" if status in (302, 303) else "refused"
    assert list(mk.submissions()["outcome"]) == [outcome] == [caught.value.outcome]


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        ("utf-8", "application/json"),
        ("utf-8", "text/html; charset=iso-8859-1"),
        ("utf-8-sig", "application/json; charset=utf-8"),
        ("cp949", "application/json; charset=euc-kr"),
        ("cp949", "application/json"),
        ("cp949", "application/json; charset=utf-8"),
        ("utf-16", 'application/json; charset="utf-16"'),
    ],
)
def test_success_is_read_in_every_charset(csv, codec, kind):
    with serving(answering(SAID.encode(codec), f"Content-Type: {kind}")) as (who, _):
        receipt = mk.submit(csv, credentials=who)
    assert (receipt.message, receipt.left) == (MESSAGE, 8)
    assert list(mk.submissions()["left"]) == [8]


def test_success_is_read_when_packed_and_in_chunks(csv):
    packed = gzip.compress(SAID.encode())
    with serving(answering(packed, "Content-Encoding: gzip")) as (who, _):
        assert mk.submit(csv, credentials=who).left == 8
    chunk = f"{len(SAID.encode()):x}\r\n{SAID}\r\n0\r\n\r\n"
    chunked = answering(chunk, "Transfer-Encoding: chunked", length=False)
    with serving(chunked) as (who, _):
        assert mk.submit(csv, credentials=who).left == 8


def test_a_bomb_takes_little_memory(csv):
    with serving(answering(bomb(200), "Content-Encoding: gzip")) as (who, _):
        tracemalloc.start()
        with pytest.raises(mk.SubmitError):
            mk.submit(csv, credentials=who)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 20_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=contest -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")
    return context


def test_a_server_nobody_vouches_for_gets_nothing(csv, tls, certificate, monkeypatch):
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with serving(answering(SAID), tls=tls) as (who, got):
        with pytest.raises(mk.SubmitError, match="no slot spent; .*MEDKIT_CA") as caught:
            mk.submit(csv, credentials=who)
        with pytest.warns(UserWarning, match="tells no ranking"):
            mk.standing(who.url)
    assert got == [] and caught.value.outcome == "not sent"


def test_a_closed_networks_own_certificate_is_trusted(csv, tls, certificate, monkeypatch):
    monkeypatch.setenv("MEDKIT_CA", str(certificate / "ca.pem"))
    with serving(answering(SAID), tls=tls) as (who, got):
        assert mk.submit(csv, credentials=who).left == 8
        other = Credentials(who.url.replace("127.0.0.1", "localhost"), "42", **SECRETS)
        with pytest.raises(mk.SubmitError, match="could not be reached") as caught:
            mk.submit(csv, credentials=other, again=True)  # the certificate is for another name
    assert len(got) == 1 and caught.value.outcome == "not sent"


def test_a_certificate_that_is_not_there_is_named(csv, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDKIT_CA", str(tmp_path / "none.pem"))
    with serving(answering(SAID)) as (who, got):
        with pytest.raises(mk.SubmitError, match=r"MEDKIT_CA names '.*none\.pem', which is not"):
            mk.submit(csv, credentials=who)
    monkeypatch.setenv("MEDKIT_CA", str(csv))  # a file, but no certificate
    with pytest.raises(mk.SubmitError, match="Nothing was sent"):
        mk.submit(csv, credentials=Credentials(who.url.replace("http:", "https:"), "42", **SECRETS))
    assert got == [] and set(mk.submissions()["outcome"]) == {"not sent"}


def test_open_http_is_loud_and_a_proxy_is_only_the_one_that_is_named(csv, monkeypatch):
    monkeypatch.setenv("MEDKIT_ALLOW_HTTP", "other.invalid, contest.invalid")
    who = Credentials("http://contest.invalid", "42", **SECRETS)
    with serving(answering(SAID)) as (proxy, got):
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.warns(UserWarning, match="to contest.invalid in the open .* can read them"):
            with pytest.raises(mk.SubmitError, match="could not be reached"):
                mk.submit(csv, credentials=who)
        assert got == []
        monkeypatch.setenv("MEDKIT_PROXY", proxy.url)
        with pytest.warns(UserWarning, match="in the open"):
            receipt = mk.submit(csv, credentials=who)
    assert got[0][0].startswith(b"POST http://contest.invalid/api/direct-report/42?")
    assert any("in the open (http), as MEDKIT_ALLOW_HTTP" in check for check in receipt.checks)
    kept = (csv.parent / "receipt.json").read_text(encoding="utf-8")
    assert "MEDKIT_ALLOW_HTTP" in kept and not leaks(kept)


def test_only_a_server_that_is_not_reached_is_tried_again(csv, monkeypatch):
    tried = []
    reach = socket.socket.connect

    def count(line, address):
        tried.append(address)
        return reach(line, address)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(socket.socket, "connect", count)
    who = Credentials(f"http://127.0.0.1:{port}", "42", **SECRETS)
    with pytest.raises(mk.SubmitError, match="could not be reached"):
        mk.submit(csv, credentials=who, retries=3)
    assert len(tried) == 4 and list(mk.submissions()["outcome"]) == ["not sent"]


def test_a_server_that_comes_up_late_is_reached(csv, monkeypatch):
    monkeypatch.setattr(posting, "PAUSE_S", 1.0)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    got = []

    def later():
        time.sleep(0.15)
        listener.listen()
        line, _ = listener.accept()
        with line:
            answering(SAID)(line, got)

    threading.Thread(target=later, daemon=True).start()
    who = Credentials(f"http://127.0.0.1:{listener.getsockname()[1]}", "42", **SECRETS)
    assert mk.submit(csv, credentials=who).left == 8
    listener.close()
    assert len(got) == 1 and list(mk.submissions()["outcome"]) == ["accepted"]


def test_an_interrupt_while_sending_is_unknown_and_shows_nothing(csv):
    def interrupt(line, got):
        receive(line, got)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(1)

    with serving(interrupt) as (who, got):
        with pytest.raises(mk.SubmitError, match=r"broke after sending \(KeyboardInterrupt\)"):
            mk.submit(csv, credentials=who, timeout_s=3)
    assert len(got) == 1 and list(mk.submissions()["outcome"]) == ["unknown"]
