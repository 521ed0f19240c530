from __future__ import annotations

import base64
import errno
import http.server
import json
import logging
import os
import socket
import threading
import time
import traceback
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from showing import values_of

import medkit as mk
from medkit.submission import answers, client, posting
from medkit.submission.credentials import Credentials
from medkit.submission.ledger import Ledger, ledger_path, opened

SECRETS = {"email": "me@x.kr", "password": "site-secret", "contest_password": "contest-secret"}
MESSAGE = "용감한팀 홍길동님 제출이 완료되었습니다. 남은 일일 제출 횟수는 8회/10회 입니다."


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(posting, "PAUSE_S", 0.001)


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
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
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
        (200, said("횟수를 초과했습니다"), "says that it refused the file.*초과", "refused"),
        (200, said("고맙습니다"), "did not say clearly.*mk.note_outcome.*고맙", "unknown"),
        (503, said("no submission was used"), "could not take the file", "refused"),
        (200, said(MESSAGE)[:-1] + ', "error": "E12"}', "did not say clearly", "unknown"),
        (200, said(MESSAGE)[:-1] + ', "success": false}', "did not say clearly", "unknown"),
        (200, "<html>log in</html>", "did not say that it accepted.*log in", "unknown"),
        (200, "", "did not say anything.*nothing", "unknown"),
        (200, "{}", "did not say that it accepted the file: its JSON has no message", "unknown"),
        (
            200,
            said("제출이 완료되지 않았습니다"),
            "says that it refused the file \\(",
            "refused",
        ),
        (418, said("no"), "the server refused the file", "refused"),
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
    return answers.read_answer(answers.Answer(400, text), who).words


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
    assert error.outcome == "not sent" and "no host that can be read" in str(error)


def test_a_server_without_tls_gets_nothing_over_https(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        safe = Credentials(who.url.replace("http:", "https:"), "42", **SECRETS)
        error = refused(csv, safe)
    assert error.outcome == "not sent" and got == []


def test_a_time_out_after_sending_is_unknown(csv):
    with serving(lambda handler: time.sleep(3)) as (who, got):
        error = refused(csv, who, timeout_s=1.0)
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
        mk.submit(
            csv,
            credentials=Credentials(who.url, "42", "me@x.kr", "site-secret", "a b~비"),
            again=True,
        )
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
    with serving(answer(200, said("Thank you! We have it."))) as (who, _):
        sentence = "Thank you! We have it"
        assert mk.submit(csv, credentials=who, success=sentence).left is None


def test_the_same_bytes_are_sent_once(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=who)
        copy = csv.with_name("another_name.csv")
        copy.write_bytes(csv.read_bytes())
        with pytest.raises(
            mk.SubmitError, match=r"were sent at .* was accepted.*again=True"
        ) as caught:
            mk.submit(copy, credentials=who)
        assert caught.value.outcome == "not sent" and len(got) == 1
        mk.submit(csv, credentials=Credentials(who.url, 43, **SECRETS))  # another team
        mk.submit(csv, credentials=who, again=True)
    assert len(got) == 3 and len(mk.submissions()) == 3


def test_refused_bytes_may_be_sent_again(csv):
    with serving(answer(400, said("no"))) as (who, got):
        for _ in range(2):
            refused(csv, who)
    assert len(got) == 2 and list(mk.submissions()["outcome"]) == ["refused"] * 2


def test_over_the_rule_nothing_is_sent(csv):
    with serving(answer(200, said("제출이 완료되었습니다."))) as (who, got):
        receipt = mk.submit(csv, credentials=who, quota=mk.Quota(1, zone="Asia/Seoul"))
        assert receipt.left is None and "00:00 (Asia/Seoul)" in receipt.next_free
        assert "by the ledger: 0 of 1 left" in str(receipt)
        csv.write_text("id,decayed\nfront_1,1\nfront_2,0\n")
        words = r"not sent, 0 of 1 left .*; the next is free at .*00:00(.|\n)*over_quota=True"
        with pytest.raises(mk.SubmitError, match=words) as caught:
            mk.submit(csv, credentials=who, quota=mk.Quota(1, zone="Asia/Seoul"))
        assert len(got) == 1 and caught.value.outcome == "not sent"
        mk.submit(csv, credentials=who, quota=mk.Quota(1, zone="Asia/Seoul"), over_quota=True)
    assert len(got) == 2 and len(mk.submissions()) == 2


def test_what_the_server_says_is_left_is_believed(csv):
    last = MESSAGE.replace("8회/10회", "0회/5회")
    with serving(answer(200, said(last))) as (who, got):
        receipt = mk.submit(csv, credentials=who)
        assert (receipt.left, receipt.limit) == (0, 5) and "the next is free at" in str(receipt)
        csv.write_text("id,decayed\nfront_1,1\nfront_2,0\n")
        with pytest.raises(mk.SubmitError, match="0 of 5 left"):
            mk.submit(csv, credentials=who)
    assert len(got) == 1


def test_a_rolling_reading_is_a_warning(csv):
    """Yesterday's last submission, in a zone whose day has just begun."""
    now = datetime.now(timezone.utc)
    east = 24 - now.hour if now.hour > 12 else -now.hour
    quota = mk.Quota(1, zone=f"{east:+03d}:00")
    with serving(answer(200, said("제출이 완료되었습니다"))) as (who, _):
        sent = (now - timedelta(hours=2)).isoformat()
        facts = {"host": who.url[7:], "team": "42", "id": "x", "sha256": "0", "time_utc": sent}
        with opened() as ledger:
            ledger.append({"event": "intent", **facts})
        with pytest.warns(UserWarning, match="counts any 24 hours and not days"):
            receipt = mk.submit(csv, credentials=who, quota=quota)
    assert any("any 24 hours" in check for check in receipt.checks)


def test_the_ledger_comes_before_the_request(csv, monkeypatch, tmp_path):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        for place in ("/proc/nowhere/x.jsonl", tmp_path, "/dev/full"):
            monkeypatch.setenv("MEDKIT_LEDGER", str(place))
            error = refused(csv, who)
            assert "no ledger can be kept" in str(error) and "set MEDKIT_LEDGER" in str(error)
            assert error.outcome == "not sent"
    assert got == []


def test_a_full_disk_is_said_before_anything_is_sent(csv, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with serving(answer(200, said(MESSAGE))) as (who, got):
        error = refused(csv, who)
    assert "the disk is full" in str(error) and got == []


def fill_the_disk_after_the_intent(monkeypatch):
    append = Ledger.append

    def full(ledger, event):
        if event["event"] == "outcome":
            raise OSError(errno.ENOSPC, "the disk is full")
        append(ledger, event)

    monkeypatch.setattr(Ledger, "append", full)


def test_an_outcome_that_cannot_be_written_is_a_warning(csv, monkeypatch):
    fill_the_disk_after_the_intent(monkeypatch)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        with pytest.warns(UserWarning, match="accepted, but the ledger could not be written"):
            assert mk.submit(csv, credentials=who).left == 8
    assert list(mk.submissions()["outcome"]) == ["unknown"]


def test_a_ledger_that_is_lost_meanwhile_does_not_hide_success(csv, monkeypatch):
    def lose(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    def reply(handler):
        monkeypatch.setattr(client, "Ledger", lose)
        answer(200, said(MESSAGE))(handler)

    with serving(reply) as (who, _):
        assert "could not be read: Permission denied" in str(mk.submit(csv, credentials=who))


def test_the_ledger_knows_run_and_local_score(csv):
    expected = {"task": "caries", "columns": ["id", "decayed"], "ids": ["front_1", "front_2"]}
    expected.update(labels=[0, 1], filled=[], run="runs/a", local_score={"f1_macro": 0.75, "x": 1})
    expected["sha256"] = mk.files.sha256_file(csv)
    csv.with_suffix(".json").write_text(json.dumps(expected))
    with serving(answer(200, said(MESSAGE))) as (who, _):
        mk.submit(csv, credentials=who)
        csv.write_text("id,decayed\nfront_1,1\nfront_2,0\n")  # by hand: no run's score
        mk.submit(csv, credentials=who)
    table = mk.submissions()
    assert list(table["local_score"].fillna(-1)) == [0.75, -1]
    assert list(table["run"].fillna("")) == ["runs/a", ""]


def test_no_note_is_no_word(csv):
    with serving(answer(200, said(MESSAGE))) as (who, _):
        mk.submit(csv, credentials=who, note=None)
    assert list(mk.submissions()["note"]) == [""]


def test_a_file_that_changes_meanwhile_is_not_sent(csv, monkeypatch):
    check = client.check_submission

    def slow_check(path):
        notes = check(path)
        path.write_text("id,decayed\nfront_1,1\nfront_2,1\n")
        return notes

    monkeypatch.setattr(client, "check_submission", slow_check)
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.raises(ValueError, match="changed while it was checked"):
            mk.submit(csv, credentials=who)
    assert got == []


def test_two_kernels_at_once_send_a_file_once(csv):
    def slow(handler):
        time.sleep(0.3)
        answer(200, said(MESSAGE))(handler)

    with serving(slow) as (who, got):
        outcomes = []

        def send():
            try:
                outcomes.append(mk.submit(csv, credentials=who).left)
            except mk.SubmitError as error:
                outcomes.append(error.outcome)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(str, outcomes)) == ["8", "not sent", "not sent", "not sent"]
    assert len(got) == 1 and len(mk.submissions()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://me:site-secret@host",
        "https://host?password=contest-secret",
        "https://[",
        "https://",
    ],
)
def test_an_address_with_a_password_in_it_is_refused_and_not_shown(csv, url):
    who = Credentials(url, "42", **SECRETS)
    assert "more than that (expected https://host)" in str(refused(csv, who))
    assert "secret" not in repr(who)


def test_an_unknown_outcome_is_settled_by_a_person(csv):
    with serving(answer(200, said("감사합니다."))) as (who, got):
        words = 'then mk.note_outcome\\(\'.*submission.csv\', "accepted" or "refused"\\) settles it'
        with pytest.raises(mk.SubmitError, match=words):
            mk.submit(csv, credentials=who)
        mk.note_outcome(csv, "refused")
        with pytest.raises(mk.SubmitError, match="did not say clearly"):
            mk.submit(csv, credentials=who)  # the same bytes may go again
        mk.note_outcome(csv, "accepted")
        with pytest.raises(mk.SubmitError, match="was accepted"):
            mk.submit(csv, credentials=who)
    assert len(got) == 2 and list(mk.submissions()["outcome"]) == ["refused", "accepted"]


def test_a_broken_connection_names_what_settles_it(csv):
    with serving(lambda handler: handler.connection.close()) as (who, _):
        assert "mk.note_outcome(" in str(refused(csv, who))


@pytest.mark.parametrize("version", ["2.32.0", "2.32.1", "2.31.0", "1.2"])
def test_a_requests_that_tells_nothing_is_refused_by_name(csv, monkeypatch, version):
    monkeypatch.setattr("requests.__version__", version)
    with serving(answer(200, said(MESSAGE))) as (who, got):
        error = refused(csv, who)
        with pytest.warns(UserWarning, match="tells no ranking"):
            mk.standing(who.url)
    assert f"requests {version} is installed (expected 2.32.2 or newer" in str(error)
    assert error.outcome == "not sent" and got == [] and mk.submissions().empty


def test_what_is_not_proven_unsent_counts_as_sent(csv, monkeypatch):
    """As with a release of requests that makes connections in another way."""

    def another_way(line, request, verify, proxies=None, cert=None):
        return line.poolmanager.connection_from_url(request.url)

    with serving(lambda handler: handler.connection.close()) as (who, got):
        line = posting._line

        def unwatched(timeout_s):
            adapter = line(timeout_s)
            adapter.get_connection_with_tls_context = another_way.__get__(adapter)
            return adapter

        monkeypatch.setattr(posting, "_line", unwatched)
        error = refused(csv, who)
    assert error.outcome == "unknown" and len(got) == 1


@pytest.mark.parametrize(
    ("host", "team"),
    [("localhost", "42"), ("127.0.0.1", "042"), ("LOCALHOST.", "٤٢"), ("127.0.0.1", "４２")],
)
def test_the_same_place_under_another_name_is_the_same(csv, host, team):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=who)
        port = who.url.rpartition(":")[2]
        other = Credentials(f"http://{host}:0{port}", team, **SECRETS)
        if host.endswith("."):
            other = Credentials(f"https://{host}:0{port}", team, **SECRETS)
        with pytest.raises(mk.SubmitError, match="these bytes were sent"):
            mk.submit(csv, credentials=other)
    assert len(got) == 1


def test_a_receipt_remembers_what_the_ledger_has_lost(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=who)
        mk.submit(csv, credentials=Credentials(who.url, "43", **SECRETS))  # its receipt lies there
        ledger_path().unlink()
        mk.submit(csv, credentials=who)  # the receipt is another team's
        ledger_path().unlink()
        with pytest.raises(
            mk.SubmitError, match=r"the receipt beside .* though the ledger \(.*again"
        ):
            mk.submit(csv, credentials=who)
        mk.submit(csv, credentials=who, again=True)
    assert len(got) == 4


def test_damaged_lines_of_these_bytes_are_no_leave_to_send_them_again(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=who)
        (csv.parent / "receipt.json").unlink()
        damaged = ledger_path().read_bytes().replace(b'"check"', b'"chock"')
        ledger_path().write_bytes(damaged)
        with pytest.warns(UserWarning, match="2 damaged lines"):
            with pytest.raises(mk.SubmitError, match="a damaged line .* names these bytes.*again="):
                mk.submit(csv, credentials=who)
        csv.write_text("id,decayed\nfront_1,1\nfront_2,1\n")
        with pytest.warns(UserWarning, match="2 damaged lines"):
            mk.submit(csv, credentials=who)
    assert len(got) == 2


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), KeyboardInterrupt()])
def test_an_intent_that_may_not_last_is_not_sent(csv, monkeypatch, error):
    fsync, calls = os.fsync, []

    def fail_once(handle):
        calls.append(handle)
        if len(calls) == 2:  # the first is of the new folder
            raise error
        return fsync(handle)

    monkeypatch.setattr("os.fsync", fail_once)
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.raises((mk.SubmitError, KeyboardInterrupt)):
            mk.submit(csv, credentials=who)
        assert list(mk.submissions()["outcome"]) == ["not sent"] and got == []
        mk.submit(csv, credentials=who)
    assert len(got) == 1


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_a_receipt_is_still_returned(csv, monkeypatch, capsys):
    (csv.parent / "receipt.json").mkdir()
    fill_the_disk_after_the_intent(monkeypatch)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        assert mk.submit(csv, credentials=who).left == 8
    told = capsys.readouterr().err
    assert "accepted, but the ledger could not" in told and "no receipt is kept" in told


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_nothing_is_written_before_one(csv, monkeypatch):
    rest = client.Room(mk.Quota(1, zone="UTC"), 0, 1, 1, datetime.now(timezone.utc), ("careful",))
    monkeypatch.setattr(client, "room", lambda *a: rest)
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.raises(UserWarning, match="careful"):
            mk.submit(csv, credentials=who)
    assert got == [] and mk.submissions().empty


def test_what_is_no_text_is_refused_before_anything_is_written(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        bad = Credentials(who.url, "42", "me@x.kr", "site\udcff-secret", "contest-secret")
        error = refused(csv, bad)
    assert "password cannot be sent" in str(error) and error.outcome == "not sent"
    assert got == [] and mk.submissions().empty and "secret" not in repr(bad)


class Cut(BaseException):
    """What a notebook's own machinery may raise at any time."""


@pytest.mark.parametrize("kind", [Cut, KeyboardInterrupt, SystemExit, MemoryError, UnicodeError])
@pytest.mark.parametrize("place", ["prepared", "urlopen", "read", "scrub"])
def test_no_frame_shows_it_whatever_is_raised(csv, monkeypatch, kind, place):
    def cut(*args, **options):
        raise kind("site-secret")

    def reply(handler):
        answer(400, said("no: site-secret contest-secret me@x.kr"))(handler)

    names = {
        "prepared": "requests.models.PreparedRequest.prepare",
        "urlopen": "urllib3.connectionpool.HTTPConnectionPool.urlopen",
        "read": "urllib3.response.HTTPResponse.read",
        "scrub": "medkit.submission.credentials._scrubbed",
    }
    with serving(reply) as (who, _):
        with monkeypatch.context() as patch, pytest.raises(BaseException) as caught:
            patch.setattr(names[place], cut)
            mk.submit(csv, credentials=who)
    shown = values_of(caught.value, __file__)
    assert "-sec" not in shown and "me@x.kr" not in shown and "127.0.0.1" in shown
    is_read = place == "read" and issubclass(kind, Exception)  # a 400 without its words
    is_before = place in ("prepared", "urlopen")
    expected = "refused" if is_read else "not sent" if is_before else "unknown"
    assert list(mk.submissions()["outcome"]) == [expected]


@pytest.mark.parametrize(
    ("date", "retry"),
    [("Fri, 31 Dec 9999 23:59:59 GMT", ""), ("", "Fri, 31 Dec 9999 23:59:59 GMT")],
)
def test_a_date_that_is_no_clock_is_left_alone(csv, date, retry):
    def reply(handler):
        data = said(MESSAGE).encode()
        handler.send_response_only(429 if retry else 200)
        handler.send_header("Date", date or "soon")
        handler.send_header("Retry-After", retry or "soon")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with serving(reply) as (who, _):
        if retry:
            assert refused(csv, who).outcome == "refused"
        else:
            assert mk.submit(csv, credentials=who).left == 8
        assert mk.quota_left(url=who.url, team="42").left == 8


@pytest.mark.parametrize(
    "wrong",
    [
        *({"success": None}, {"success": [1]}, {"retries": "2"}, {"retries": 2.5}),
        *({"timeout_s": None}, {"timeout_s": 0}, {"timeout_s": float("inf")}, {"timeout_s": 1e10}),
    ],
)
def test_what_would_fail_after_sending_is_refused_before(csv, wrong):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        with pytest.raises(ValueError, match=f"submit: {next(iter(wrong))}:? .*expected a"):
            mk.submit(csv, credentials=who, **wrong)
    assert got == [] and mk.submissions().empty


def test_an_answer_that_cannot_be_read_is_unknown_and_written_down(csv, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(answers, "_read", fail)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        error = refused(csv, who)
    assert error.outcome == "unknown" and "cannot be read (MemoryError" in str(error)
    assert Ledger(ledger_path()).events[-1][1]["outcome"] == "unknown"


def test_half_an_intent_is_taken_back(csv, monkeypatch):
    append = mk.files.append_line

    def half(path, line, **options):
        with open(path, "ab") as file:
            file.write(line.encode()[:200])
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(answer(200, said(MESSAGE))) as (who, got):
        monkeypatch.setattr(mk.files, "append_line", half)
        with pytest.raises(mk.SubmitError, match="no ledger can be kept .*Nothing was sent"):
            mk.submit(csv, credentials=who)
        monkeypatch.setattr(mk.files, "append_line", append)
        assert ledger_path().read_bytes() == b"" and mk.submissions().empty
        mk.submit(csv, credentials=who)
    assert len(got) == 1


def test_an_old_receipt_does_not_speak_for_every_team(csv):
    with serving(answer(200, said(MESSAGE))) as (who, got):
        mk.submit(csv, credentials=who)
        path = csv.parent / "receipt.json"
        old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("host", "team")}
        path.write_text(json.dumps(old))
        mk.submit(csv, credentials=Credentials(who.url, "43", **SECRETS))
        path.write_text(json.dumps(old))
        ledger_path().unlink()
        with pytest.raises(mk.SubmitError, match="the receipt beside the CSV"):
            mk.submit(csv, credentials=Credentials(who.url, "44", **SECRETS))
    assert len(got) == 2


def test_what_is_asked_of_a_place_needs_no_credentials(monkeypatch, tmp_path):
    (tmp_path / "damaged.json").write_text("{")
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(tmp_path / "damaged.json"))
    assert mk.quota_left(url="https://host", team="1").left == 10
