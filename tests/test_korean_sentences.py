"""Every refusal of a submission has a Korean sentence below it, with the same values in it."""

from __future__ import annotations

import ast
import html
import pickle
import re
import string
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path

import pytest
from test_client import MESSAGE, SECRETS, answer, csv, refused, said, serving  # noqa: F401

import medkit as mk
from medkit.korean.checks import NOTES, PROBLEMS, REFUSED_TABLES
from medkit.korean.refusals import PARTS
from medkit.korean.saying import SENTENCES, both, in_korean
from medkit.submission import answers, client
from medkit.submission.credentials import Credentials
from medkit.submission.quota import Quota, Room

FOLDER = Path(client.__file__).parent
NOW = datetime(2026, 3, 4, 5, 6, tzinfo=timezone.utc)
VALUES = re.compile(
    r"(?<!\w)'[^']+'(?!\w)|[\w./:-]*\d(?:[\w./:-]*\w)?|MEDKIT_\w+|mk\.\w+\(|\w+=\w+|\*\*\*"
)


def tree_of(name):
    return ast.parse((FOLDER / name).read_text(encoding="utf-8"))


def wordings(tree):
    """The sentences in a piece of source, without docstrings: those of f-strings as patterns."""
    inside = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    inside |= {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    inside |= {id(n.format_spec) for n in ast.walk(tree) if isinstance(n, ast.FormattedValue)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.JoinedStr, ast.Constant)) and id(node) not in inside:
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            words = [getattr(part, "value", None) for part in parts]
            words = [re.escape(w) if isinstance(w, str) else "(?s:.*)" for w in words]
            if " " in "".join(words) and len("".join(words)) > 12 and "%Y" not in words[0]:
                yield "".join(words)


def rooms():
    """What a quota says that leaves nothing, with all that may stand below it."""
    day, window = Quota(10, zone="Asia/Seoul", idle_days=3), Quota(1, window_s=3600)
    notes = (
        "The clock moved back: the ledger's newest time is 2026-03-05 01:02 (UTC), and now is "
        "2026-03-04 14:06 (UTC). The count may be wrong; set the clock right.",
        "12 were sent within 24 hours: if the contest counts any 24 hours and not days, the next "
        "is free at 2026-03-05 07:08 (UTC).",
    )
    yield Room(day, 10, 0, 10, NOW, notes)
    yield Room(day, 0, 0, 17, NOW, last=NOW - timedelta(days=2))
    yield Room(day, 0, 4, 17, NOW)
    yield Room(day, 0, 10, 10, NOW)
    yield Room(window, 1, 0, 1, NOW)


def meanings():
    """What every kind of answer means for a file."""
    who = Credentials("https://h.kr", "7", "a@b.kr", "p", "q")
    told = ("제출에 실패했습니다.", "음", "제출 횟수는 차감되지 않습니다.")
    headers = [{"retry_after": "60"}, {"location": "https://other.kr/x"}, {"kind": "text/json"}]
    for status in (200, 302, 301, 401, 403, 404, 413, 429, 418, 503):
        for text, more in product(["", "{}", *map(said, told)], [{}, *headers]):
            yield answers.read_answer(answers.Answer(status, text, **more), who).meaning
    yield "the answer cannot be read (RecursionError; its words are not shown.)"


BEFORE = [
    "these bytes were sent at 2026-03-04 05:06 (Seoul), and the file was accepted.",
    "these bytes were sent at 2026-03-04 05:06 (Seoul), and the file may have arrived.",
    "the receipt beside the CSV says that these bytes were accepted at 2026-03-04T05:06, though "
    "the ledger (/집/a1.jsonl) does not.",
    "a damaged line of the ledger (/집/a1.jsonl) names these bytes: they may be there.",
]
ADVICE = [
    "check the address with mk.save_credentials(change=True), and the network.",
    "name your network's own certificate in MEDKIT_CA if the server is the right one.",
]
SETTLE = answers.SETTLE.format(csv="결과/out_7.csv")
SAMPLES = {  # by what stands for it in the source
    **{"before": BEFORE, "rest": list(map(str, rooms())), "SETTLE.format": [SETTLE]},
    **{"verdict.meaning": sorted(set(meanings())), "verdict.status": ["418"]},
    **{"answers advice": ["", f" {SETTLE}"], "posting advice": ADVICE},
    "verdict.words": ["nothing", "제출에 실패했습니다. The server said: nothing (HTTP 500). *** 3"],
    **{"who.unreadable": ["email, password2"], "error.strerror": ["No space left on device 28"]},
    **{"requests.__version__": ["2.28.1"], "host_of": ["contest.kr:8443"]},
    **{"answer.kind": ["ReadTimeout2"], "failure.kind": ["SSLError2"], "scheme": ["'ftp'"]},
    **{"path": ["'/내 폴더/ca2.pem'"], "credentials_path": ["/집/credentials2.json"]},
    **{"missing": ["url, team2"], "found.st_uid": ["1002"]},
}


def name_of(node):
    """What an expression in an f-string is about: "verdict.meaning", "before", "host_of"."""
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
            return f"{n.value.id}.{n.attr}"
    return next(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def raised():
    """(where, message) of every SubmitError in the room, with all values that SAMPLES has."""
    for path in sorted(FOLDER.glob("*.py")):
        tree = tree_of(path.name)
        texts = {
            node.targets[0].id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SubmitError":
                words = texts.get(getattr(node.args[0], "id", ""), node.args[0])
                if getattr(words, "func", None) is not None:  # made anew of another one
                    continue
                where = f"{path.name}, line {node.lineno}"
                for parts in product(*choices(path.stem, words)):
                    yield where, "".join(parts)


def choices(stem, words):
    """Per part of a message, the texts that may stand there."""
    for part in words.values if isinstance(words, ast.JoinedStr) else [words]:
        if isinstance(part, ast.FormattedValue):
            name = name_of(part.value)
            yield SAMPLES[f"{stem} {name}" if f"{stem} {name}" in SAMPLES else name]
        else:
            yield [part.value]


def test_every_submit_error_has_a_korean_sentence_with_the_same_values():
    seen = set()
    for where, message in raised():
        seen.add(where)
        error = mk.SubmitError(message, outcome="not sent")
        assert len(error.korean.splitlines()) == len(message.splitlines()), f"{where}: {message}"
        assert re.search("[가-힣]", error.korean) and str(error) == message
        lost = [found for found in VALUES.findall(message) if found not in error.korean]
        assert not lost, f"{where}: {lost} of {message!r} in {error.korean!r}"
    sites = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    made_anew = 1  # in credentials: apart()
    assert len(seen) == sites.count(" SubmitError(") - made_anew >= 14


def test_nothing_that_a_refusal_may_hold_is_left_out_of_the_samples():
    """The phrases within sentences: a new one must come into SAMPLES, and so into Korean."""
    parts = {
        "answers.py": {"_meaning", "_no_message", "_wait", "MEANINGS", "not_accepted"},
        "client.py": {"_sent_before"},
        "posting.py": {"_not_reached"},
        "quota.py": {"Room", "_clock_notes", "_rolling_notes", "__str__"},
    }
    said = "\n".join(message for _, message in raised())
    for file, names in parts.items():
        found = set()
        for node in ast.walk(tree_of(file)):
            targets = [getattr(t, "id", "") for t in getattr(node, "targets", [])]
            name = ({getattr(node, "name", ""), *targets} & names) or {""}
            found |= name
            for wording in wordings(node) if name != {""} else ():
                assert re.search(wording, said), f"{file}: {wording}"
        assert names <= found


@pytest.mark.parametrize("file", ["checking.py", "parsing.py", "cells.py"])
def test_every_sentence_on_a_table_has_a_korean_one(file):
    rows = [*PROBLEMS, *NOTES, *REFUSED_TABLES]
    for wording in wordings(tree_of(file)):
        if re.search(r"\\?[.:]$|\.\*\)$", wording) and wording[:1] in "ACIW{(":
            assert any(re.fullmatch(wording, row) for row in rows), wording


def test_both_languages_of_a_row_hold_the_same_fields():
    tables = [SENTENCES, PROBLEMS, *PARTS.values()]
    for english, korean in [pair for table in tables for pair in table.items()]:
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(t)} for t in (english, korean)
        ]
        assert fields[0] - {None, "what"} == fields[1] - {None}, english
        assert re.search("[가-힣]", korean) or english in ("{words}", "{elsewhere}"), english


def test_each_table_error_is_told_whole():
    words = (
        "out.csv would be refused: 3 of 50 ids are missing, e.g. ['a. It', 'b']. 2 ids are not of "
        "this contest, e.g. ['c']. It has 49 rows (expected 50). Somebody is here."
    )
    assert mk.DataError(words).korean == (
        "out.csv: 이대로 보내면 거절됩니다. id 50개 중 3개가 빠졌습니다(예: ['a. It', 'b']). "
        "이 대회에 없는 id가 2개 있습니다(예: ['c']). "
        "It has 49 rows (expected 50). Somebody is here."
    )


def test_what_has_no_korean_stays_as_it_is():
    assert mk.ConfigError("retries -1").korean == "" == in_korean("")
    assert both("retries -1\nmore") == "retries -1\nmore"
    assert in_korean("0 of 10 left {x}") == "" and mk.ConfigError("x")._render_traceback_() == [
        "ConfigError: x"
    ]


def test_a_notebook_shows_english_and_below_it_korean(csv):  # noqa: F811
    with serving(answer(401, said("이메일이 다릅니다"))) as (who, _):
        error = refused(csv, who)
    english, korean = error._render_traceback_()
    assert english == f"SubmitError: {error}" and "\n" not in str(error)
    assert korean == (
        "이메일이나 비밀번호가 틀렸습니다. mk.save_credentials(change=True)로 다시 입력하세요"
        "(HTTP 401). 서버의 답: 이메일이 다릅니다"
    )
    assert pickle.loads(pickle.dumps(error)).korean == korean


def test_korean_holds_no_secret_that_english_does_not(csv):  # noqa: F811
    body = said(f"bad: {SECRETS['contest_password']} me@x.kr site-secret")
    for status in (200, 400, 401, 503):
        with serving(answer(status, body)) as (who, _):
            error = refused(csv, who, again=True)
        assert "서버의 답: bad: *** *** ***" in error.korean
        assert not any(secret in error.korean for secret in SECRETS.values())


def test_a_receipt_ends_with_a_korean_line(csv):  # noqa: F811
    with serving(answer(200, said(MESSAGE))) as (who, _):
        receipt = mk.submit(csv, credentials=who)
    last = str(receipt).splitlines()[-1]
    assert last == (
        f"접수되었습니다: {receipt.csv}, {receipt.time_seoul}. 오늘 남은 제출은 10번 중 8번입니다."
    )
    assert html.escape(last) in receipt._repr_html_()
    bare = client.Receipt(
        **{**vars(receipt), "left": None, "limit": None, "next_free": "2026-03-05 00:00"}
    )
    assert str(bare).endswith(". 다음 제출은 2026-03-05 00:00부터 할 수 있습니다.")
