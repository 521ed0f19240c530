from __future__ import annotations

import base64
import json
import os
import stat

import pytest

from medkit.submission import credentials as module
from medkit.submission.credentials import Credentials, load_credentials, save_credentials

WHO = {
    "url": "https://host",
    "team": "7",
    "email": "me@x.kr",
    "password": "pä ss",
    "contest_password": "비밀",
}


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No credentials but those of the test."""
    for name in module.NAMES:
        monkeypatch.delenv(f"MEDKIT_{name.upper()}", raising=False)
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(tmp_path / "home" / "credentials.json"))
    monkeypatch.setattr(module, "_can_ask", lambda: False)


def answer(monkeypatch, answers):
    """A person who types."""
    monkeypatch.setattr(module, "_can_ask", lambda: True)
    typed = iter(answers)
    monkeypatch.setattr("builtins.input", lambda label: next(typed))
    monkeypatch.setattr(module.getpass, "getpass", lambda label: next(typed))


def test_the_environment_comes_first(monkeypatch):
    for name, value in WHO.items():
        monkeypatch.setenv(f"MEDKIT_{name.upper()}", value)
    assert load_credentials() == Credentials(**WHO)


def test_saved_credentials_are_private_and_read_back(monkeypatch):
    answer(monkeypatch, WHO.values())
    path = save_credentials()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setattr(module, "_can_ask", lambda: False)
    assert load_credentials() == Credentials(**WHO)


def test_a_file_that_others_can_read_is_tightened_with_a_note():
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_text(json.dumps(WHO))
    os.chmod(path, 0o644)
    with pytest.warns(UserWarning, match="could be read by others; it is yours alone now"):
        load_credentials()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_missing_is_asked_for_in_boxes(monkeypatch):
    monkeypatch.setenv("MEDKIT_URL", WHO["url"])
    monkeypatch.setenv("MEDKIT_TEAM", WHO["team"])
    answer(monkeypatch, [WHO["email"], WHO["password"], WHO["contest_password"]])
    assert load_credentials() == Credentials(**WHO)


def test_nobody_to_ask_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("MEDKIT_URL", WHO["url"])
    with pytest.raises(RuntimeError, match=r"no team, email, password, .*Run mk\.save_credentials"):
        load_credentials()
    with pytest.raises(RuntimeError, match="nobody can be asked here"):
        save_credentials()


def test_a_file_for_another_address_is_not_used(monkeypatch):
    answer(monkeypatch, WHO.values())
    save_credentials()
    monkeypatch.setattr(module, "_can_ask", lambda: False)
    monkeypatch.setenv("MEDKIT_URL", "https://elsewhere")
    with pytest.raises(RuntimeError, match=r"no team, email, .*for this address, in "):
        load_credentials()
    monkeypatch.setenv("MEDKIT_URL", WHO["url"])
    assert load_credentials() == Credentials(**WHO)


def test_an_empty_answer_is_refused(monkeypatch):
    answer(monkeypatch, ["", "7"])
    with pytest.raises(ValueError, match="url is empty"):
        save_credentials()
    assert not module.credentials_path().exists()


def test_a_damaged_file_is_named():
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_text("not json: hunter2")
    os.chmod(path, 0o600)
    with pytest.raises(ValueError, match="not a file of credentials") as caught:
        load_credentials()
    assert "hunter2" not in str(caught.value)


def test_printing_shows_no_secret():
    shown = repr(Credentials(**WHO)) + str(Credentials(**WHO)) + f"{Credentials(**WHO)}"
    assert all(WHO[name] not in shown for name in module.SECRET)


def test_a_traceback_with_values_shows_no_secret():
    who = Credentials(**WHO)
    assert all(repr(getattr(who, name)) == "'***'" for name in module.SECRET)
    assert who.password == WHO["password"] and f"{who.password}" == WHO["password"]


def test_an_address_with_a_password_in_it_is_not_printed():
    for url in ("https://me:hunter2@host", "https://host/x?password=hunter2"):
        assert "hunter2" not in repr(Credentials(**{**WHO, "url": url}))


def test_what_is_known_is_told_without_asking(monkeypatch):
    monkeypatch.setenv("MEDKIT_PASSWORD", WHO["password"])
    assert module.known() == {**dict.fromkeys(module.NAMES, ""), "password": WHO["password"]}
    assert WHO["password"] not in repr(module.known())


def test_secrets_are_scrubbed_in_every_form():
    who = Credentials(**WHO)
    text = "pä ss p%C3%A4%20ss p%C3%A4+ss 비밀 %EB%B9%84%EB%B0%80 \\ube44\\ubc00 me@x.kr me%40x.kr"
    text += " " + base64.b64encode("me@x.kr:pä ss".encode()).decode()
    assert who.scrub(text) == " ".join([module.HIDDEN] * 9)


def test_the_default_place_is_outside_any_project(monkeypatch):
    monkeypatch.delenv("MEDKIT_CREDENTIALS")
    assert module.credentials_path().parts[-3:] == (".config", "medkit", "credentials.json")
