from __future__ import annotations

import base64
import copy
import errno
import json
import os
import pickle
import stat
import sys
import unicodedata

import pytest
from showing import values_of

import medkit as mk
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
    save_credentials()
    path = module.credentials_path()
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


def test_only_what_is_missing_is_asked_for(monkeypatch):
    monkeypatch.setenv("MEDKIT_URL", WHO["url"])
    monkeypatch.setenv("MEDKIT_TEAM", WHO["team"])
    secrets = [WHO["email"], WHO["password"], WHO["contest_password"]]
    answer(monkeypatch, secrets)
    assert load_credentials() == Credentials(**WHO)  # at a terminal
    answer(monkeypatch, secrets)
    save_credentials()
    for name in ("url", "team"):
        monkeypatch.delenv(f"MEDKIT_{name.upper()}")
    answer(monkeypatch, [])
    assert load_credentials() == Credentials(**WHO)  # the file alone suffices


def test_when_all_is_known_nothing_is_asked_so_that_run_all_goes_on(monkeypatch, capsys):
    answer(monkeypatch, WHO.values())
    save_credentials()
    path = module.credentials_path()
    before = path.read_bytes()
    for can_ask in (True, False):
        answer(monkeypatch, [])  # any question would end in StopIteration
        monkeypatch.setattr(module, "_can_ask", lambda can_ask=can_ask: can_ask)
        save_credentials()
        assert path.read_bytes() == before
    assert "All is known already (host, team 7)" in capsys.readouterr().out


def test_a_notebook_asks_in_save_credentials_alone(monkeypatch):
    answer(monkeypatch, WHO.values())
    monkeypatch.setattr(module, "kernel", lambda: object())
    with pytest.raises(mk.SubmitError, match=r"Run mk\.save_credentials\(\) once, in a"):
        load_credentials()
    save_credentials()
    assert load_credentials() == Credentials(**WHO)


def test_enter_keeps_what_was_there(monkeypatch):
    answer(monkeypatch, WHO.values())
    save_credentials()
    labels = []
    typed = iter(["", "", "", "new", ""])

    def ask(label):
        labels.append(label)
        return next(typed)

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(module.getpass, "getpass", ask)
    save_credentials(change=True)
    assert load_credentials() == Credentials(**{**WHO, "password": "new"})
    assert labels[0] == "url [Enter keeps https://host]: "
    assert not any(WHO[name] in label for label in labels for name in module.SECRET)


def test_nothing_is_kept_for_another_server(monkeypatch):
    answer(monkeypatch, WHO.values())
    save_credentials()
    answer(monkeypatch, ["https://other", "", "", "", ""])
    with pytest.raises(ValueError, match="team is empty"):
        save_credentials(change=True)
    assert load_credentials() == Credentials(**WHO)
    answer(monkeypatch, ["https://other", "8", "you@x.kr", "a", "b"])
    save_credentials(change=True)
    assert load_credentials() == Credentials("https://other", "8", "you@x.kr", "a", "b")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("localhost:8765/", "http://localhost:8765"),
        (" contest.kr ", "https://contest.kr"),
        ("https://contest.kr/", "https://contest.kr"),
    ],
)
def test_the_address_is_completed_as_it_is_typed(monkeypatch, typed, kept):
    answer(monkeypatch, [typed, *list(WHO.values())[1:]])
    save_credentials()
    assert load_credentials().url == kept


@pytest.mark.parametrize(
    "typed",
    [
        "http://contest.kr",
        "me:hunter2@host",
        "https://",
        "x][",
        "hunter2 my",
        "https//contest.kr",
        "https:/contest.kr",
        "contest.kr/#hunter2",
        "contest.kr\\\\hunter2",
    ],
)
def test_an_address_that_cannot_be_is_refused_at_once(monkeypatch, typed):
    answer(monkeypatch, [typed])  # no other question comes
    with pytest.raises(mk.SubmitError, match="the address") as caught:
        save_credentials()
    assert "hunter2" not in values_of(caught.value, __file__)
    assert not module.credentials_path().exists()


@pytest.mark.parametrize("kept", ["127.0.0.1:8765", "https://u:hunter2@host", "http://host"])
def test_a_kept_address_that_is_none_is_asked_for_again_and_not_shown(monkeypatch, kept):
    path = module.credentials_path()
    mk.files.write_json(path, {**WHO, "url": kept}, mode=0o600)
    labels = []
    monkeypatch.setattr(module, "_can_ask", lambda: True)
    monkeypatch.setattr("builtins.input", lambda label: labels.append(label) or "https://host")
    save_credentials()
    assert labels == ["url: "] and load_credentials() == Credentials(**WHO)


def test_an_environment_that_outranks_the_file_is_told(monkeypatch, capsys):
    monkeypatch.setenv("MEDKIT_URL", "https://third")
    answer(monkeypatch, ["https://host", *list(WHO.values())[1:]])
    save_credentials(change=True)
    assert "MEDKIT_URL is set to another address" in capsys.readouterr().out


def test_a_damaged_file_is_written_anew(monkeypatch, capsys):
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_text('["hunter2"')
    os.chmod(path, 0o600)
    answer(monkeypatch, WHO.values())
    save_credentials()
    assert load_credentials() == Credentials(**WHO)
    assert "hunter2" not in capsys.readouterr().out


def test_an_error_is_one_sentence_in_a_notebook():
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    shell.run_cell("import medkit as mk")
    with pytest.MonkeyPatch.context() as patch:
        shown = []
        patch.setattr(shell, "_showtraceback", lambda kind, value, lines: shown.extend(lines))
        shell.run_cell("raise mk.SubmitError('submit: not accepted.', outcome='refused')")
    assert shown == ["SubmitError: submit: not accepted."]


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
    with pytest.raises(ValueError, match="url is empty\\. Run the cell again"):
        save_credentials()
    assert not module.credentials_path().exists()


@pytest.mark.parametrize(
    "text",
    [
        *("not json: hunter2", '["hunter2"]', '{"password": "hunter2"', "[" * 60000 + "hunter2"),
        '{"password": null, "email": "hunter2"}',
    ],
)
def test_a_damaged_file_is_named(text):
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_bytes(text.encode() + b"\xff" * text.endswith("json: hunter2"))
    os.chmod(path, 0o600)
    for read in (load_credentials, module.known):
        with pytest.raises(ValueError, match="not a file of credentials") as caught:
            read()
        assert "hunter2" not in values_of(caught.value, __file__)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_saving_shows_nothing_whatever_is_raised(monkeypatch, error):
    answer(monkeypatch, [*WHO.values()])

    def fail(handle):
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)) as caught:
        patch.setattr("os.fsync", fail)
        save_credentials()
    shown = values_of(caught.value, __file__)
    assert not any(WHO[name] in shown for name in module.SECRET)
    assert ("the disk is full" in str(caught.value)) == isinstance(error, OSError)
    assert list(module.credentials_path().parent.iterdir()) == []


def test_an_interrupt_in_a_box_shows_nothing(monkeypatch):
    answer(monkeypatch, [*WHO.values()])

    def interrupted(label):
        typed = "hunter2"
        raise KeyboardInterrupt(typed)

    monkeypatch.setattr(module.getpass, "getpass", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        save_credentials()
    assert "hunter2" not in values_of(caught.value, __file__)


def test_what_is_no_text_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("MEDKIT_PASSWORD", "hunter\udcff2")
    who = Credentials(**{**WHO, "password": module.known()["password"]})
    assert who.unreadable() == ["password"] and who.scrub("a hunter\udcff2") == "a ***"
    answer(monkeypatch, ["https://host", "7", "me@x.kr", "hunter\udcff2"])
    with pytest.raises(ValueError, match="password is no text that utf-8 can write") as caught:
        save_credentials()
    assert "hunter" not in values_of(caught.value, __file__)


def test_secrets_are_not_pickled():
    for value in (Credentials(**WHO), Credentials(**WHO).password):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(value, protocol)
        assert copy.copy(value) is value is copy.deepcopy(value)


def test_the_verbose_mode_of_a_notebook_shows_nothing():
    ultratb = pytest.importorskip("IPython.core.ultratb")
    who, password = Credentials(**WHO), Credentials(**WHO).password
    try:
        raise ValueError(len(password) + len(repr(who)))
    except ValueError:
        text = "".join(ultratb.VerboseTB(include_vars=True).text(*sys.exc_info()))
    assert WHO["password"] not in text and WHO["contest_password"] not in text
    assert repr(password[:2]) == "'***'" and password[:2] == WHO["password"][:2]


def test_forgetting_leaves_nothing_behind(monkeypatch):
    answer(monkeypatch, WHO.values())
    save_credentials()
    path = module.credentials_path()
    (path.parent / f".{path.name}.0a1b2c3d").write_text("of a killed kernel")
    for name, value in WHO.items():
        monkeypatch.setenv(f"MEDKIT_{name.upper()}", value)
    mk.forget_credentials()
    assert list(path.parent.iterdir()) == []
    assert module.known() == {**dict.fromkeys(module.NAMES, ""), "url": "https://host", "team": "7"}
    mk.forget_credentials()  # nothing is there any more
    (path.parent / "real.json").write_text("{}")
    path.symlink_to(path.parent / "real.json")
    mk.forget_credentials()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_is_not_the_kits_own_is_let_be(monkeypatch, tmp_path):
    path = tmp_path / "medkit" / "credentials.json"
    path.parent.mkdir(mode=0o775)
    path.write_text(json.dumps(WHO))
    os.chmod(path, 0o600), os.chmod(path.parent, 0o775)
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(path))
    assert load_credentials() == Credentials(**WHO)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o775


def test_a_file_that_cannot_be_tightened_is_not_used(monkeypatch):
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_text(json.dumps(WHO))
    os.chmod(path, 0o644)

    def refuse(*args):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(RuntimeError, match="others can read it, and it cannot be tightened"):
        load_credentials()


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_of_another_user_is_not_used(mode, monkeypatch):
    path = module.credentials_path()
    path.parent.mkdir()
    path.write_text(json.dumps(WHO))
    os.chmod(path, mode)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(RuntimeError, match=f"belongs to another user .number {owner}.*is not used"):
        load_credentials()
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_without_a_umask_only_the_owner_can_read_or_replace_it(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDKIT_CREDENTIALS")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = module.credentials_path()
    answer(monkeypatch, WHO.values())
    before = os.umask(0)
    try:
        save_credentials()
    finally:
        os.umask(before)
    for place, mode in [(path, 0o600), (path.parent, 0o700), (path.parent.parent, 0o700)]:
        assert stat.S_IMODE(place.stat().st_mode) == mode
    os.chmod(path.parent, 0o777)  # as an earlier version left it
    with pytest.warns(UserWarning, match="could be written to by others"):
        load_credentials()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_printing_shows_the_host_only():
    who = Credentials(**{**WHO, "url": "https://me:hunter2@host:8443/x?password=hunter2"})
    assert repr(who) == str(who) == f"{who}" == "Credentials(host:8443, ***)"
    assert repr(Credentials(**{**WHO, "url": "https://["})) == "Credentials(no host, ***)"


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
    text += " " + base64.b64encode("비밀".encode()).decode()
    assert who.scrub(text) == " ".join([module.HIDDEN] * 10)
    text = "p%c3%a4%20ss p%25C3%25A4%2520ss p%25c3%25a4%2520ss \\uBE44\\uBC00"
    assert who.scrub(text) == " ".join([module.HIDDEN] * 4)


def test_scrubbing_knows_how_pages_write_quotes():
    who = Credentials(**{**WHO, "password": "a'b\"c/d  e"})
    forms = ["a&#x27;b&quot;c/d  e", "a&#39;b&#34;c/d  e", "a&#39;b&quot;c/d  e", "a'b\"c/d e"]
    forms += ["a'b\\\"c\\/d  e", "a'b\"c/d  e"]
    forms += ["a&apos;b\\u0022c&#x2F;d&#32;&#32;e", "a%27b%22c%2fd++e", "&#97;'b\"c/d&nbsp; e"]
    for form in forms:
        assert who.scrub(f"<{form}>") == "<***>", form
    who = Credentials(**{**WHO, "password": "pà<s&비밀"})
    for form in [
        "p&#224;&#60;s&#38;비밀",
        "pà\\u003cs\\u0026비밀",
        unicodedata.normalize("NFD", "pà<s&비밀"),
    ]:
        assert who.scrub(f"<{form}>") == "<***>", form
    pair = base64.urlsafe_b64encode("me@x.kr:pà<s&비밀".encode()).decode()
    assert who.scrub(pair) == "***"


def test_the_default_place_is_outside_any_project(monkeypatch):
    monkeypatch.delenv("MEDKIT_CREDENTIALS")
    assert module.credentials_path().parts[-3:] == (".config", "medkit", "credentials.json")
