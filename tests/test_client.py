from __future__ import annotations

import base64
import http.server
import json
import logging
import socket
import threading
import time
import traceback
from contextlib import contextmanager

import pytest

import medkit as mk
from medkit.submission import client
from medkit.submission.credentials import Credentials

SECRETS = {"email": "me@x.kr", "password": "site-secret", "contest_password": "contest-secret"}
MESSAGE = "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 8회/10회 입니다."


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("id,decayed\nfront_1,0\nfront_2,1\n")
    return path


@contextmanager
def serving(reply):
    """A server that answers every POST with `reply(handler)`; yields who, and what it got."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append({"path": self.path, "headers": dict(self.headers), "body": body})
            reply(self)

        do_GET = do_POST

        def log_message(self, *args):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield Credentials(url=url, team="42", **SECRETS), got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(status, body, kind="application/json", **headers):
    def reply(handler):
        data = body.encode("utf-8")
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def said(message):
    return json.dumps({"message": message}, ensure_ascii=False)


def refused(csv, who, **options):
    """The error of a submission, checked for leaks in everything that a notebook would keep."""
    with pytest.raises(mk.SubmitError) as caught:
        mk.submit(csv, credentials=who, **options)
    error = caught.value
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    kept = text + repr(error) + error.answer
    assert all(secret not in kept for secret in SECRETS.values()) and "password=" not in kept
    assert not (csv.parent / "receipt.json").exists()
    return error


def test_the_request_is_the_contests(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        receipt = mk.submit(csv, credentials=who)
    (request,) = got
    assert request["path"] == "/api/direct-report/42?password=contest-secret"
    basic = base64.b64encode(b"me@x.kr:site-secret").decode()
    assert request["headers"]["Authorization"] == f"Basic {basic}"
    assert b'name="files"; filename="submission.csv"' in request["body"]
    assert csv.read_bytes() in request["body"]
    assert (receipt.left, receipt.limit, receipt.message) == (8, 10, MESSAGE)


def test_the_receipt_is_kept_without_secrets(csv):
    with serving(answer(200, said(MESSAGE))) as (who, _):
        receipt = mk.submit(csv, credentials=who)
    kept = (csv.parent / "receipt.json").read_text(encoding="utf-8")
    assert json.loads(kept)["sha256"] == receipt.sha256 and "+09:00" in receipt.time_seoul
    shown = kept + str(receipt) + receipt._repr_html_()
    assert all(secret not in shown for secret in SECRETS.values())
    assert "left today: 8 of 10" in str(receipt) and "could not be checked" in str(receipt)


@pytest.mark.parametrize(
    ("status", "body", "words", "outcome"),
    [
        (401, said("no"), "e-mail or password is wrong", "refused"),
        (403, said("no"), "the contest password is wrong", "refused"),
        (404, said("no"), "no such team", "refused"),
        (413, said("no"), "too large", "refused"),
        (429, said("오늘은 끝"), "the day's submissions are used up.*오늘은 끝", "refused"),
        (400, said("bad rows"), "the server refused the file.*bad rows", "refused"),
        (500, "<h1>Oops</h1>", "the server failed and may have the file.*Oops", "unknown"),
        (200, said("횟수를 초과했습니다"), "did not say that it accepted.*초과", "unknown"),
        (200, "<html>log in</html>", "did not say that it accepted.*log in", "unknown"),
        (200, "", "did not say that it accepted.*nothing", "unknown"),
        (200, '["제출이 완료"]', "did not say that it accepted", "unknown"),
        (200, '{"message": 5}', "did not say that it accepted", "unknown"),
        (201, "null", "did not say that it accepted", "unknown"),
    ],
)
def test_only_the_words_of_success_are_success(csv, status, body, words, outcome):
    with serving(answer(status, body)) as (who, got):
        error = refused(csv, who)
    assert error.outcome == outcome and error.status == status and len(got) == 1
    with pytest.raises(mk.SubmitError, match=words):
        raise error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(csv, status):
    with serving(answer(200, said(MESSAGE))) as (elsewhere, stolen):
        reply = answer(status, "", Location=elsewhere.url + "/other")
        with serving(reply) as (who, got):
            error = refused(csv, who)
    assert "sends to another address" in str(error) and len(got) == 1 and stolen == []


def test_a_server_that_repeats_secrets_is_scrubbed(csv):
    with serving(answer(400, said(f"bad: {SECRETS['contest_password']} me@x.kr"))) as (who, _):
        assert refused(csv, who).answer == "bad: *** ***"


def test_secrets_that_json_or_html_hide_are_scrubbed(csv):
    word = "비밀 & <x>"
    for body in (json.dumps({"message": f"bad {word}"}), "<p>bad 비밀 &amp; &lt;x&gt;</p>"):
        with serving(answer(400, body)) as (who, _):
            who = Credentials(who.url, "42", "me@x.kr", "site-secret", word)
            assert refused(csv, who).answer == "bad ***"


def test_half_a_secret_is_not_shown_where_a_long_answer_is_cut(csv):
    for n in range(480, 500):
        shown = _accepted_words("x" * n + SECRETS["contest_password"])
        assert "contest-" not in shown


def _accepted_words(text):
    who = Credentials("https://host", "42", **SECRETS)
    with pytest.raises(mk.SubmitError) as caught:
        client._accepted(400, text, "ok", who)
    return caught.value.answer


def test_an_accepted_file_stays_accepted_when_its_receipt_cannot_be_kept(csv):
    (csv.parent / "receipt.json").mkdir()
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.warns(UserWarning, match="accepted, but no receipt is kept"):
            assert mk.submit(csv, credentials=who).left == 8
    assert len(got) == 1


def test_a_team_is_one_step_of_the_address(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=Credentials(who.url, "4/2?x", **SECRETS))
    assert got[0]["path"].startswith("/api/direct-report/4%2F2%3Fx?password=")


def test_a_server_that_is_not_there_costs_nothing(csv):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = refused(csv, Credentials(f"http://127.0.0.1:{port}", "42", **SECRETS))
    assert error.outcome == "not sent"
    assert f"127.0.0.1:{port} could not be reached" in str(error) and "no slot spent" in str(error)


def test_a_name_that_is_not_known_costs_nothing(csv, monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = refused(csv, Credentials("https://no.such.host", "42", **SECRETS))
    assert error.outcome == "not sent" and "no.such.host could not be reached" in str(error)


def test_an_address_that_is_none_costs_nothing(csv):
    error = refused(csv, Credentials("http://127.0.0.1:99999", "42", **SECRETS))
    assert error.outcome == "not sent" and "InvalidURL" in str(error)


def test_a_server_without_tls_gets_nothing_over_https(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        safe = Credentials(who.url.replace("http:", "https:"), "42", **SECRETS)
        error = refused(csv, safe)
    assert error.outcome == "not sent" and got == []


def test_a_time_out_after_sending_is_unknown(csv):
    with serving(lambda handler: time.sleep(1.5)) as (who, got):
        error = refused(csv, who, timeout_s=0.3)
    assert error.outcome == "unknown" and "may have the file" in str(error) and len(got) == 1


def test_a_reset_after_sending_is_unknown(csv):
    def reset(handler):
        handler.connection.close()

    with serving(reset) as (who, got):
        error = refused(csv, who)
    assert error.outcome == "unknown" and len(got) == 1


def test_proxies_of_the_environment_are_not_used(csv, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        assert mk.submit(csv, credentials=who).left == 8


def test_debug_logs_show_no_secret(csv, caplog):
    caplog.set_level(logging.DEBUG)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        mk.submit(csv, credentials=who)
        mk.submit(csv, credentials=Credentials(who.url, "42", "me@x.kr", "site-secret", "a b~비"))
    assert caplog.text.count("direct-report/42?password=*** ") == 2
    assert all(secret not in caplog.text for secret in SECRETS.values())


@pytest.mark.parametrize("url", ["http://example.org", "ftp://127.0.0.1", "example.org", ""])
def test_passwords_are_not_sent_in_the_open(csv, url):
    error = refused(csv, Credentials(url, "42", **SECRETS))
    assert error.outcome == "not sent" and "expected https" in str(error)


def test_a_bad_table_is_not_sent(csv):
    csv.write_text("id,decayed\nfront_1,0\nfront_1,1\n")
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.raises(ValueError, match="stand more than once"):
            mk.submit(csv, credentials=who)
    assert got == []


def test_another_contest_may_say_it_otherwise(csv):
    with serving(answer(200, said("Thank you! accepted"))) as (who, _):
        assert mk.submit(csv, credentials=who, success="accepted").left is None
