from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from test_client import MESSAGE, answer, said, serving

import medkit as mk
from medkit.submission import form as module
from medkit.submission import posting
from medkit.submission.credentials import Secret
from medkit.submission.form import Form, find_csvs
from medkit.submission.ledger import ledger_path

TYPED = {
    "team": "42",
    "email": "me@x.kr",
    "password": "site-secret",
    "contest_password": "contest-secret",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two CSVs, one of which is sound, and nobody's credentials."""
    monkeypatch.setattr(posting, "PAUSE_S", 0.001)
    monkeypatch.setenv("MEDKIT_CREDENTIALS", str(tmp_path / "none.json"))
    for name in ("URL", *map(str.upper, TYPED)):
        monkeypatch.delenv(f"MEDKIT_{name}", raising=False)
    (tmp_path / "runs" / "a" / "fold0").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "fold0" / "history.csv").write_text("epoch,lr\n1,2\n")
    (tmp_path / "runs" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "runs" / ".ipynb_checkpoints" / "submission.csv").write_text("id,x\na,1\n")
    (tmp_path / "runs" / "broken.csv").write_text("id,x\na,1\na,<b>\n")
    csv = tmp_path / "runs" / "a" / "submission.csv"
    csv.write_text("id,x\na,1\nb,0\n")
    expected = {"task": "caries", "columns": ["id", "x"], "ids": ["a", "b"], "labels": [0, 1]}
    expected.update(filled=[], run=None, local_score={"f1_macro": 0.75})
    expected["local_interval"] = [0.7, 0.8]
    expected["sha256"] = mk.files.sha256_file(csv)
    csv.with_suffix(".json").write_text(json.dumps(expected))
    return tmp_path / "runs"


def choose(folder, quota=None, options=None):
    """A form in which the sound file is chosen."""
    form = Form(folder, quota or mk.Quota(10, zone="UTC"), options or {})
    form.picker.value = folder / "a" / "submission.csv"
    return form


def type_in(form, url, **other):
    """What a browser sends when boxes are left."""
    for name, value in {"url": url, **TYPED, **other}.items():
        form.boxes[name].set_state({"value": value})


def test_it_shows_check_score_and_quota(folder, monkeypatch):
    form = Form(folder, mk.Quota(3, zone="UTC"), {})
    score = "f1_macro 0.7500 (0.7000 to 0.8000) held out"
    labels = [label for label, _ in form.picker.options]
    assert labels == ["Choose a file", "a/submission.csv (f1_macro 0.7500)", "broken.csv"]
    assert (
        form.picker.label == "Choose a file" and form.button.disabled
    )  # never the newest by itself
    form.picker.value = folder / "a" / "submission.csv"
    assert "All 2 ids" in form.about.value and f"Local score: {score}" in form.about.value
    assert "no address or no team" in form.about.value and not form.button.disabled
    type_in(form, "https://host")
    assert "3 of 3 left (3 a calendar day in UTC)." in form.about.value
    form.picker.value = folder / "broken.csv"
    assert "1 ids stand more than once" in form.about.value and form.button.disabled


def test_a_double_click_sends_once(folder):
    with serving(answer(200, said(MESSAGE + "<script>"))) as (who, got):
        form = choose(folder)
        type_in(form, who.url)
        form.button.click()
        form.button.click()
        assert len(got) == 1 and form.button.disabled
        assert "제출이 완료" in form.result.value and "<script>" not in form.result.value
        assert "left today: 8 of 10" in form.result.value
        assert "8 of 10 left" in form.about.value
        assert (folder / "a" / "receipt.json").is_file()
        form.again.click()  # it stays the same file, which is refused twice
        type_in(form, who.url)
        form.button.click()
        assert len(got) == 1 and "these bytes were sent" in form.result.value


def test_boxes_are_emptied_as_soon_as_they_are_left(folder):
    form = choose(folder)
    sent = []
    for box in form.boxes.values():
        box._send = lambda message, buffers=None: sent.append(message)
    type_in(form, "https://host")
    for name in ("email", "password", "contest_password"):
        assert form.boxes[name].value == "" and "in memory" in form.boxes[name].placeholder
        assert TYPED[name] not in repr(form.boxes[name]) and TYPED[name] not in repr(form.typed)
        assert TYPED[name] not in str(sent)  # not even as an echo
    assert str(sent).count("'value': ''") == 3


def test_what_is_missing_is_said_and_nothing_sent(folder):
    form = choose(folder)
    form.button.click()
    words = "Type url, team, email, password, contest password first; nothing was sent."
    said, korean = form.result.value.split("<br>")
    assert said == words and korean.startswith("먼저 입력하세요: url, team, email, ")
    assert "no address or no team." in form.about.value and "서버 주소나 팀" in form.about.value
    assert form.button.description == "Submit 제출" and form.boxes["team"].placeholder == "팀 번호"
    assert not ledger_path().exists()


def test_secrets_are_forgotten_after_sending_and_asked_for_again(folder):
    with serving(answer(401, said("no"))) as (who, got):
        form = choose(folder)
        type_in(form, who.url)
        form.button.click()
        assert "e-mail or password is wrong" in form.result.value
        assert set(form.typed) == {"url", "team"} and form.button.disabled
        type_in(form, who.url)
        form.button.click()
    assert len(got) == 2 and list(mk.submissions()["outcome"]) == ["refused"] * 2


def test_only_what_is_not_known_is_asked_for(folder, monkeypatch):
    for name, value in {"url": "https://host", **TYPED}.items():
        monkeypatch.setenv(f"MEDKIT_{name.upper()}", value)
    monkeypatch.delenv("MEDKIT_CONTEST_PASSWORD")
    form = choose(folder)
    assert list(form.boxes) == ["contest_password"] and "10 of 10 left" in form.about.value


def test_options_and_warnings_reach_the_form(folder, monkeypatch):
    def send(csv, **options):
        module.warnings.warn("careful <now>", stacklevel=2)
        assert options["success"] == "fine" and isinstance(options["credentials"].email, Secret)
        return SimpleNamespace(_repr_html_=lambda: "<b>ok</b>")

    monkeypatch.setattr(module, "submit", send)
    form = choose(folder, options={"success": "fine"})
    type_in(form, "https://host")
    form.button.click()
    assert form.result.value.startswith("<b>ok</b><br>careful &lt;now&gt;<br>For another")


def test_one_file_alone_is_chosen_and_what_was_chosen_stays(folder):
    (folder / "broken.csv").unlink()
    form = Form(folder, mk.Quota(10, zone="UTC"), {})
    assert form.picker.value == folder / "a" / "submission.csv"
    (folder / "newer.csv").write_text("id,x\na,1\nb,1\n")
    form.again.click()
    assert form.picker.value == folder / "a" / "submission.csv"


def test_what_write_submission_did_not_write_is_never_chosen_by_itself(folder):
    for path in folder.rglob("*.csv"):
        path.unlink()
    (folder / "leaks.csv").write_text("kind,id_a,id_b,path_a,path_b\nsame file,a,b,c,d\n")
    with pytest.raises(FileNotFoundError, match="no CSV below"):
        find_csvs(folder)  # notebook 01 keeps it there
    (folder / "mine.csv").write_text("id,x\na,1\nb,0\n")
    form = Form(folder, mk.Quota(10, zone="UTC"), {})
    assert form.picker.label == "Choose a file" and form.button.disabled


def test_with_nothing_left_it_cannot_be_pressed(folder):
    message = MESSAGE.replace("8회", "0회")
    with serving(answer(200, said(message))) as (who, got):
        form = choose(folder)
        type_in(form, who.url)
        form.note.value = "첫 번째"
        assert not form.button.disabled
        form.button.click()
        assert "0 of 10 left" in form.about.value and "For another" not in form.result.value
        form.again.click()
        assert form.button.disabled and len(got) == 1
    assert list(mk.submissions()["note"]) == ["첫 번째"]


def test_an_address_is_completed_or_refused_as_it_is_typed(folder):
    form = choose(folder)
    type_in(form, "http://contest.kr")
    assert "Passwords are not sent in the open" in form.result.value and "url" not in form.typed
    form.boxes["url"].set_state({"value": "contest.kr"})
    assert form.typed["url"] == "https://contest.kr"


class Shown:
    """Stands for IPython's outputs: what was displayed, and what each shows now."""

    def __init__(self, monkeypatch):
        import IPython.display

        self.kept, self.bundles = [], []
        monkeypatch.setattr(module, "new_output", self.keep)
        monkeypatch.setattr(IPython.display, "display", lambda b, raw: self.bundles.append(b))

    def keep(self, text):
        self.kept.append(text)
        return SimpleNamespace(update=self.kept.append)


def test_a_server_without_widgets_and_a_saved_notebook_show_the_call(folder, monkeypatch):
    shown = Shown(monkeypatch)
    with serving(answer(200, said(MESSAGE))) as (who, _):
        form = choose(folder)
        form._ipython_display_()
        (bundle,) = shown.bundles
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == form.box.model_id
        assert "VBox(" not in bundle["text/plain"]
        assert "this server shows no widgets" in bundle["text/plain"]
        assert "mk.submit(csv) does the same.\n이 서버에서는" in bundle["text/plain"]
        call = f"mk.submit({str(folder / 'a' / 'submission.csv')!r})  # f1_macro 0.7500 (0.7000"
        assert repr(shown.kept[0]).startswith("Without a form: send a file with\n  " + call)
        assert repr(shown.kept[0]).endswith("broken.csv')")
        type_in(form, who.url)
        form.button.click()
    assert repr(shown.kept[-1]).startswith("sent: ") and "제출이 완료" in repr(shown.kept[-1])
    assert not any(secret in repr(shown.kept) for secret in list(TYPED.values())[1:])


def test_without_a_notebook_it_tells_what_to_call(folder, capsys):
    assert mk.submit_form(folder) is None
    shown = capsys.readouterr().out
    assert "there is no notebook here" in shown
    assert f"mk.submit({str(folder / 'a' / 'submission.csv')!r})" in shown


def test_a_folder_without_a_csv_says_what_is_there(tmp_path):
    (tmp_path / "history.csv").write_text("epoch\n")
    with pytest.raises(FileNotFoundError, match=r"no CSV below .* \(found history\.csv\)"):
        mk.submit_form(tmp_path)


def test_a_file_of_write_submission_comes_first(folder):
    assert [path.name for path in find_csvs(folder)] == ["submission.csv", "broken.csv"]
