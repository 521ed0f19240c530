"""Passwords, tokens and keys in cells, comments, outputs and metadata. They are never repeated."""

from __future__ import annotations

import io
import json
import re
import tokenize
from typing import Any, Iterator

from medkit.rules.audit.sources import Cell, Finding, Source
from medkit.rules.audit.values import GAP, options
from medkit.rules.audit.walking import Walker

KINDS = {  # what it looks like, wherever it stands
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*",
    "a bearer token": r"\b[Bb]earer\s+(?=\S*\d)[A-Za-z0-9._~+/-]{16,}",
    "a basic log-in": r"\bBasic\s+(?=\S*\d)[A-Za-z0-9+/]{12,}={0,2}(?![\w/])",
    "an address with a password": r"\w+://[^\s/:@'\"{}]+:[^\s/@'\"{}]+@",
    "an address with a secret": r"(?:[?&]|(?<=['\"]))(password|passwd|pwd|pw|token|api_?key|"
    r"secret|access_token)=(?!\{|%|<|\.\.\.|\*)[^&\s'\"<>{}()]{4,}(?!\()",
}
SAID = re.compile(  # in words: comments, text cells, outputs
    r"(?<![?&])(?:password|passwd|\bpwd|\bpw|passphrase|api[ _-]?key|secret[ _-]?key|"
    r"access[ _-]?token|비밀번호|암호|패스워드)['\"]?"
    r"\s*(?:is\b|은|는|[:=])\s*['\"]?([^\s'\",]{5,})",
    re.I,
)
EMPTY = re.compile(  # what stands where a secret would
    r"[*.·•●x_\-<>\[\]{} ]*|<.*>|\{.*\}|\$\{?\w+\}?|your.*|my[_-]?(password|token|key)|none|null|"
    r"true|false|changeme|example.*|todo|password|passwd|pwd|token|secret|api_?key|key|getpass.*|input.*|"
    r"os\..*|ask.*|\[.*\]",
    re.I,
)
STRONG = {"password", "passwd", "pwd", "passphrase", "passcode", "비밀번호", "암호", "pw"}
STRONG |= {"apikey", "credential", "credentials", "secret"}
WEAK = {"token", "key", "auth", "authorization"}  # may name harmless things
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


def check_secrets(walker: Walker, sources: list[Source]) -> Iterator[Finding]:
    """What looks like a secret, by its look or by the name that it has."""
    for source in sources:
        for cell in source.cells:
            for place, text in _texts(cell):
                for kind in _kinds(text, is_said=place != "the code"):
                    yield Finding("broken", f"{kind} in {place}", cell.where())
        for kind in _kinds(json.dumps(source.metadata, ensure_ascii=False), is_said=True):
            yield Finding("broken", f"{kind} in the metadata", source.path.name)
    for name, value, cell, line in walker.named:
        pairs = [(name, value)]
        if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
            pairs += [(one, two) for one, two in zip(value, value[1:]) if one.startswith("--")]
        for kind in filter(None, (_named(*pair) for pair in pairs)):
            yield Finding("broken", kind, cell.where(line))
    for call in walker.calls:
        if call.name == "%env" and call.args:
            name, _, value = re.sub(r"[= ]+", " ", str(call.args[-1])).partition(" ")
            if _named(name, value.strip()):
                yield Finding("broken", "a password or token set by %env", call.where)
        for values in [
            call.args,
            *(v for v in call.kwargs.values() if isinstance(v, (list, tuple))),
        ]:
            if _is_pair(values):
                found = "an e-mail address and beside it what may be its password"
                yield Finding("broken", found, call.where)


def _texts(cell: Cell) -> Iterator[tuple[str, str]]:
    if cell.kind == "code":
        yield "the code", cell.text
        yield "a comment", "\n".join(_comments(cell.text))
    else:
        yield "the text", cell.text
    for output in cell.outputs:
        yield "an output", output
    yield "the metadata", json.dumps(cell.metadata, ensure_ascii=False)


def _comments(text: str) -> Iterator[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string
    except (tokenize.TokenError, SyntaxError):  # magics, or half a cell: what was read is enough
        return


def _kinds(text: str, *, is_said: bool) -> Iterator[str]:
    for kind, pattern in KINDS.items():
        if re.search(pattern, text):
            yield kind
    if is_said and any(_is_secret(found) for found in SAID.findall(text)):
        yield "a password-like text"


def _is_secret(text: str) -> bool:
    """Whether words could be a password: letters with digits or signs, and no placeholder."""
    text = text.strip(".,;:)(`'\"\\")
    is_mixed = re.search(r"[A-Za-z가-힣]", text) and re.search(r"[\d!@#$%^&*?+~]", text)
    return bool(is_mixed) and len(text) >= 5 and not EMPTY.fullmatch(text) and "(" not in text


def _named(name: str, value: Any) -> str:
    """A kind of secret, where a name tells that its value is one."""
    words = [
        w for w in re.split(r"[\W_\d]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()) if w
    ]
    joined = "".join(words)
    is_strong = bool(STRONG & {*words, joined}) or joined.endswith(("apikey", "secretkey"))
    is_weak = bool(words) and words[-1] in WEAK
    for way in options(value):
        text = way.decode("utf-8", "replace") if isinstance(way, bytes) else way
        if not isinstance(text, str) or GAP in text or len(text) > 500 or EMPTY.fullmatch(text):
            continue
        if is_strong and 4 <= len(text) and not re.search(r"\s\w+\s|[/\\].*\.\w+$", text):
            if words[-1] not in (
                "field",
                "column",
                "label",
                "name",
                "prompt",
                "path",
                "file",
                "url",
            ):
                return "a password-like text"
        has_both = re.search(r"\d", text) and re.search(r"[A-Za-z]", text)
        if is_weak and has_both and re.fullmatch(r"[A-Za-z\d.+/=-]{16,}", text):
            return "a token-like text"
    return ""


def _is_pair(values: Any) -> bool:
    """Whether an e-mail address is followed by a word."""
    for one, next_ in zip(values, values[1:]):
        if isinstance(one, str) and isinstance(next_, str) and MAIL.fullmatch(one):
            if 6 <= len(next_) and not re.search(r"\s|^[a-z_]+$", next_) and "@" not in next_[1:-1]:
                return True
    return False
