"""Uploads that nobody would think of: each is answered with a sentence, soon, never with 500."""

from __future__ import annotations

import base64
import time
from io import BytesIO

import pytest
from contests import IDS, TRUTH, Clock, make_board, table
from hypothesis import HealthCheck, configuration, example, given, settings
from hypothesis import strategies as st

from medkit.leaderboard.app import make_app

SLOWEST_S = 2.0
URL = "/api/direct-report/42?password=contest"
ME = ("me@x.kr", "site")
tries = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    configuration.set_hypothesis_home_dir(folder / "hypothesis")
    board = make_board(folder / "contest", clock=Clock(), limit=10**9, most_bytes=200_000)
    yield make_app(board).test_client()
    board.close()


def answered(client, *args, **kwargs):
    """The status, once the answer is known to be in time and a sentence."""
    began = time.process_time()
    answer = client.post(*args, **kwargs)
    assert time.process_time() - began < SLOWEST_S
    assert answer.status_code < 500 and answer.json["message"], answer.data
    return answer.status_code


def upload(client, data):
    return answered(client, URL, data={"files": (BytesIO(data), "s.csv")}, auth=ME)


cells = st.one_of(
    st.sampled_from([*IDS, *map(str, TRUTH), "", "nan", "1e999", "-0", '"', "\ufeffid", "٣"]),
    st.text(max_size=30),
)
rows = st.lists(st.lists(cells, max_size=4), max_size=30)


@tries
@given(st.binary(max_size=3000))
@example(b"\xef\xbb\xbf" * 3)
@example(b'"' * 5000)
@example(b"\0" * 5000)
@example(b"," * 100_000)
@example(b"\n" * 150_000)
@example(b"id,decayed\n" + b'"\n' * 50_000)
def test_any_bytes_are_answered(client, data):
    assert upload(client, data) == (400 if len(data) < 10_000 else 413)  # unread


@tries
@given(rows, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_table_is_answered(client, rows, separator, end):
    text = end.join(separator.join(row) for row in rows)
    data = text.encode("utf-8", "surrogatepass")
    assert upload(client, data) in (200, 400)


@tries
@given(st.integers(0, len(table().encode()) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_any_damage_to_a_good_table_is_answered(client, at, put, cut):
    data = table().encode()
    assert upload(client, data[:at] + put + data[at + cut :]) in (200, 400)


@tries
@given(
    st.binary(max_size=2000),
    st.sampled_from(["", "text/csv", "application/json", "multipart/form-data; boundary=x"]),
)
@example(b"--x\r\n" * 500, "multipart/form-data; boundary=x")
@example(
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="../x"\r\n\r\n1\r\n--x--',
    "multipart/form-data; boundary=x",
)
@example(b"--x\r\n\r\n", "multipart/form-data")
def test_any_body_is_answered(client, body, kind):
    assert answered(client, URL, data=body, content_type=kind, auth=ME) == 400


@tries
@given(st.text(max_size=40), st.binary(max_size=40), st.integers(-9, 10**40))
def test_any_team_password_and_name_are_answered(client, password, name, number):
    elsewhere = {"REMOTE_ADDR": base64.b64encode(name).decode()}  # or it would soon have to wait
    who = {"Authorization": "Basic " + base64.b64encode(name).decode()}
    answer = answered(
        client,
        f"/api/direct-report/{number}",
        query_string={"password": password},
        headers=who,
        environ_overrides=elsewhere,
    )
    assert answer in (401, 403, 404, 429)


def test_a_file_name_leads_nowhere(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("stolen.csv", str(tmp_path / "stolen.csv"), "..\\x", "a\0b", "x" * 5000):
        data = {"files": (BytesIO(table().encode()), name)}
        assert answered(client, URL, data=data, auth=ME) == 200
    assert not list(tmp_path.iterdir())
