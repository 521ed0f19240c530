"""Who submits: from the environment, a file that only its owner can read, or password boxes."""

from __future__ import annotations

import base64
import getpass
import html
import json
import os
import re
import stat
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from medkit import files

NAMES = ("url", "team", "email", "password", "contest_password")
SECRET = ("email", "password", "contest_password")
HIDDEN = "***"


class Secret(str):
    """A text that shows itself to nobody who did not ask for it as text."""

    def __repr__(self) -> str:
        return repr(HIDDEN)


@dataclass(frozen=True, repr=False)
class Credentials:
    """Address, team and secrets. Printing it shows no secret, nor does a traceback with values."""

    url: str
    team: str
    email: str
    password: str
    contest_password: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "team", str(self.team))  # many type a number
        for name in SECRET:
            object.__setattr__(self, name, Secret(getattr(self, name)))

    def __repr__(self) -> str:
        url = self.scrub(re.sub(r"//.*@|\?.*", "", self.url))  # where some paste a password
        return f"Credentials(url={url!r}, team={self.team!r}, email={HIDDEN!r}, ...)"

    def scrub(self, text: str) -> str:
        """A text without the secrets, as they are or as address, header, JSON or HTML hold them."""
        secrets = [getattr(self, name) for name in SECRET]
        forms = {base64.b64encode(f"{self.email}:{self.password}".encode()).decode()}
        for secret in filter(None, secrets):
            forms |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
            forms |= {json.dumps(secret)[1:-1], html.escape(secret)}
        for form in sorted(forms, key=len, reverse=True):  # the longest first: it may hold others
            text = text.replace(form, HIDDEN)
        return text


def load_credentials() -> Credentials:
    """From `MEDKIT_URL`, `MEDKIT_TEAM`, ... ; else the file; else boxes.

    A file for another address than `MEDKIT_URL` is not used: its secrets are that server's.

    Raises:
        RuntimeError: when nobody can be asked.
    """
    given = known()
    missing = [name for name in NAMES if not given[name]]
    if missing and not _can_ask():
        raise RuntimeError(
            f"submit: no {', '.join(missing)} (looked in MEDKIT_* and, for this "
            f"address, in {credentials_path()}). "
            "Run mk.save_credentials() once, in a notebook of your own."
        )
    return Credentials(**{name: given[name] or _ask(name) for name in NAMES})


def known() -> dict[str, str]:
    """What the environment and the file tell, "" for the rest; nobody is asked."""
    given = {name: os.environ.get(f"MEDKIT_{name.upper()}", "") for name in NAMES}
    path = credentials_path()
    if not all(given.values()) and path.is_file():
        saved = _read(path)
        if given["url"] in ("", saved.get("url")):
            given = {name: given[name] or saved.get(name, "") for name in NAMES}
    return {name: Secret(value) if name in SECRET else value for name, value in given.items()}


def save_credentials() -> Path:
    """Ask for everything, secrets in boxes that show nothing, and write the file (mode 0600).

    Raises:
        RuntimeError: when nobody can be asked.
    """
    if not _can_ask():
        raise RuntimeError(
            "save_credentials: nobody can be asked here. Call it in a notebook that you run by "
            "hand, or set MEDKIT_URL, MEDKIT_TEAM, MEDKIT_EMAIL, MEDKIT_PASSWORD and "
            "MEDKIT_CONTEST_PASSWORD."
        )
    path = credentials_path()
    files.write_json(path, {name: _ask(name) for name in NAMES}, mode=0o600)
    return path


def credentials_path() -> Path:
    """`MEDKIT_CREDENTIALS`, else `~/.config/medkit/credentials.json`: outside any project."""
    default = Path.home() / ".config" / "medkit" / "credentials.json"
    return Path(os.environ.get("MEDKIT_CREDENTIALS") or default)


def _read(path: Path) -> dict[str, str]:
    """The file's content; tightened first, when others can read it."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        os.chmod(path, 0o600)
        warnings.warn(
            f"{path} could be read by others; it is yours alone now (mode 0600). "
            "If anyone shares this machine, change the passwords.",
            stacklevel=5,
        )
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        saved = None
    if not isinstance(saved, dict):
        raise ValueError(f"{path}: not a file of credentials. Run mk.save_credentials() again.")
    return {name: str(value) for name, value in saved.items()}


def _ask(name: str) -> str:
    label = name.replace("_", " ")
    answer = getpass.getpass(f"{label}: ") if name in SECRET else input(f"{label}: ")
    if not answer.strip():
        raise ValueError(f"submit: {label} is empty. Run the cell again and type it.")
    return answer.strip()


def kernel() -> Any:
    """The notebook kernel that this runs in; None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def _can_ask() -> bool:
    """Whether a person sits at this kernel or terminal."""
    if kernel() is not None:
        return bool(getattr(kernel(), "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()
