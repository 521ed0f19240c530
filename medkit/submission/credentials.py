"""Who submits: from the environment, a file that only its owner can read, or password boxes."""

from __future__ import annotations

import base64
import getpass
import json
import os
import re
import stat
import sys
import unicodedata
import warnings
from contextlib import suppress
from dataclasses import dataclass
from html.entities import codepoint2name
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

from medkit import files
from medkit.arguments import check_arguments
from medkit.errors import ConfigError, DataError, RunError, SubmitError
from medkit.progress import kernel
from medkit.submission.addresses import whole_address

NAMES = ("url", "team", "email", "password", "contest_password")
SECRET = ("email", "password", "contest_password")
HIDDEN = "***"


class Secret(str):
    """A text that shows itself to nobody who did not ask for it as text."""

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __getitem__(self, key: Any) -> Secret:
        return Secret(super().__getitem__(key))  # what shows long values shows their beginning

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("secrets are not pickled: a file of pickles hides nothing.")


@dataclass(frozen=True, repr=False)
class Credentials:
    """Address, team and secrets. Printing it shows the host, a traceback with values no secret."""

    url: str
    team: str
    email: str
    password: str
    contest_password: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "team", str(self.team))  # many type a number
        for name in (*SECRET, "url"):  # some paste a password into an address
            object.__setattr__(self, name, Secret(getattr(self, name)))

    def __repr__(self) -> str:
        try:
            host = urlsplit(self.url).netloc.rpartition("@")[2]
        except ValueError:  # a bracket that does not close
            host = ""
        return f"Credentials({host or 'no host'}, {HIDDEN})"

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: Any) -> Credentials:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("Credentials are not pickled: a file of pickles hides nothing.")

    def unreadable(self) -> list[str]:
        """Names of what no request can carry, as it is no text that utf-8 can write."""
        return apart(lambda: [name for name in NAMES if not _is_text(getattr(self, name))])

    def scrub(self, text: str) -> str:
        """A text without the secrets, as they are or as address, header, JSON or HTML hold them."""
        return apart(lambda: _scrubbed(text, self))


def apart(work: Callable[[], Any]) -> Any:
    """Do what holds plain secrets; what it raises comes anew, from here.

    Tracebacks may show the values of every frame (IPython's Verbose mode, rich), and errors hold
    what they are about. A disk's error, an interrupt and a SubmitError are told as they are, others
    by their kind.
    """
    try:
        return work()
    except BaseException as error:
        anew = _anew(error)
    raise anew


def _anew(error: BaseException) -> BaseException:
    if isinstance(error, OSError):
        return type(error)(*error.args)  # number, words, path
    if isinstance(error, (KeyboardInterrupt, EOFError)):
        return type(error)()
    if isinstance(error, SubmitError):  # its words never hold what they are about
        return SubmitError(str(error), outcome=error.outcome)
    return RunError(f"{type(error).__name__}; its words are not shown, they may hold secrets.")


def _is_text(value: str) -> bool:
    try:
        return bool(value.encode("utf-8")) or True
    except UnicodeEncodeError:  # surrogates: bytes of the environment that are not utf-8
        return False


def _scrubbed(text: str, who: Credentials) -> str:
    secrets = [str(getattr(who, name)) for name in SECRET if getattr(who, name)]
    patterns = {_pattern(form) for secret in secrets for form in _normal_forms(secret)}
    for coded in [f"{who.email}:{who.password}", *secrets]:
        data = coded.encode("utf-8", "surrogatepass")
        for code in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
            patterns.add(re.escape(code.decode("ascii").rstrip("=")) + "(?:=|%3D)*")
    longest_first = sorted(patterns, key=len, reverse=True)  # one may hold another
    return re.sub("|".join(longest_first), HIDDEN, text, flags=re.IGNORECASE)


def _normal_forms(secret: str) -> set[str]:
    return {secret} | {unicodedata.normalize(form, secret) for form in ("NFC", "NFD")}


def _pattern(secret: str) -> str:
    """For all that a server might write for a secret: each character in any of its forms."""
    runs = re.findall(r"\s+|\S", secret)  # pages make one space of several
    return "".join(_character(run[0]) + "+" * run.isspace() for run in runs)


def _character(char: str) -> str:
    percent = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
    code, name = ord(char), codepoint2name.get(ord(char), "apos" if char == "'" else "")
    forms = {char, percent, percent.replace("%", "%25"), json.dumps(char)[1:-1], f"\\u{code:04x}"}
    forms |= {f"&{name};"} if name else set()
    forms |= {f"\\{char}"} if char in "/\\\"'" else set()
    forms |= {"+", "&nbsp;"} if char == " " else set()
    patterns = [re.escape(form) for form in forms] + [rf"&#0*{code};", rf"&#x0*{code:x};"]
    patterns += [r"\s+"] if char.isspace() else []
    return "(?:" + "|".join(sorted(patterns, key=len, reverse=True)) + ")"


def load_credentials() -> Credentials:
    """From `MEDKIT_URL`, `MEDKIT_TEAM`, ... ; else the file; else, at a terminal, asked for.

    A notebook never asks here, so that "Run All" does not wait for somebody who has left. A file
    for another address than `MEDKIT_URL` is not used: its secrets are that server's.

    Raises:
        SubmitError: "not sent", when some are missing and nobody is asked.
    """
    given = known()
    missing = [name for name in NAMES if not given[name]]
    if missing and (kernel() is not None or not _can_ask()):
        raise SubmitError(
            f"submit: no {', '.join(missing)} (looked in MEDKIT_* and, for this "
            f"address, in {credentials_path()}). "
            "Run mk.save_credentials() once, in a cell of its own: it asks in boxes.",
            outcome="not sent",
        )
    return Credentials(**{name: given[name] or _ask(name) for name in NAMES})


def known() -> dict[str, str]:
    """What the environment and the file tell, "" for the rest; nobody is asked."""
    given = {name: Secret(os.environ.get(f"MEDKIT_{name.upper()}", "")) for name in NAMES}
    path = credentials_path()
    if not all(given.values()) and path.is_file():
        _check_private(path)
        saved = apart(lambda: _read(path))
        if saved is None:
            raise DataError(f"{path}: not a file of credentials. Run mk.save_credentials() again.")
        if given["url"] in ("", saved.get("url")):
            given = {name: given[name] or saved.get(name, given[name]) for name in NAMES}
    return {**given, "team": str(given["team"])}


def save_credentials(*, change: bool = False) -> None:
    """Ask for what is not known yet, secrets in boxes that show nothing, and keep it in a file.

    The file is yours alone (mode 0600). When all is known nothing is asked.

    Args:
        change: ask for everything; Enter alone keeps what was there. Of another server nothing is
            kept.

    Raises:
        SubmitError: nobody can be asked, or an address that is none or would show the passwords.
        PlaceError: it cannot be written.

    Example:
        >>> mk.save_credentials()  # asks for what is secret  # doctest: +SKIP
    """
    check_arguments(save_credentials, locals())
    path, given = credentials_path(), _kept()
    missing = [name for name in NAMES if not given[name]]
    if not missing and not change:
        where = f"{urlsplit(given['url']).netloc.rpartition('@')[2]}, team {given['team']}"
        print(f"All is known already ({where}); mk.save_credentials(change=True) changes it.")
        return
    if not _can_ask():
        raise SubmitError(
            "save_credentials: nobody can be asked here. Call it in a notebook that you run by "
            "hand, or set MEDKIT_URL, MEDKIT_TEAM, MEDKIT_EMAIL, MEDKIT_PASSWORD and "
            "MEDKIT_CONTEST_PASSWORD.",
            outcome="not sent",
        )
    answers: dict[str, str] = {}
    for name in NAMES:
        asked = change or name in missing
        answers[name] = _ask(name, given[name]) if asked else given[name]
        if name == "url" and asked:
            answers["url"] = apart(lambda: Secret(whole_address(answers["url"])))
            if given["url"] and answers["url"] != given["url"]:
                given = dict.fromkeys(NAMES, "")  # what was there is for the other server
                missing = [other for other in NAMES if other != "url"]
    files.make_private(path.parent)
    apart(lambda: files.write_json(path, answers, mode=0o600))
    files.clear_leftovers(path)
    short = str(path).replace(str(Path.home()), "~", 1)
    print(f"Kept for you alone in {short}; mk.forget_credentials() removes it.")
    if os.environ.get("MEDKIT_URL", answers["url"]) != answers["url"]:
        print("MEDKIT_URL is set to another address, and outranks it until it is removed.")


def _kept() -> dict[str, str]:
    """What is known, without an address that is none; of a damaged file nothing."""
    try:
        given = known()
    except ValueError as error:  # it is about to be written anew
        print(error)
        given = {name: Secret(os.environ.get(f"MEDKIT_{name.upper()}", "")) for name in NAMES}
    if given["url"]:
        try:
            is_whole = apart(lambda: whole_address(given["url"])) == given["url"].rstrip("/")
        except SubmitError:
            is_whole = False
        given["url"] = given["url"] if is_whole else Secret("")
    return given


def forget_credentials() -> None:
    """Remove the file of `save_credentials`, and this kernel's secrets of the environment.

    For the end of a contest, or of a borrowed machine. The ledger stays.

    Example:
        >>> mk.forget_credentials()
    """
    path = credentials_path()
    for name in SECRET:
        os.environ.pop(f"MEDKIT_{name.upper()}", None)
    files.clear_leftovers(path)
    for place in (path.resolve(), path):  # a link and what it leads to
        place.unlink(missing_ok=True)


def credentials_path() -> Path:
    """`MEDKIT_CREDENTIALS`, else `~/.config/medkit/credentials.json`: outside any project."""
    return Path(os.environ.get("MEDKIT_CREDENTIALS") or _default_path())


def _default_path() -> Path:
    return Path.home() / ".config" / "medkit" / "credentials.json"


def _check_private(path: Path) -> None:
    """Refuse a file that another user has laid there; tighten one that others can read."""
    found = path.stat()
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise SubmitError(
            f"{path}: belongs to another user (number {found.st_uid}), so its address may be "
            "anyone's; it is not used. Remove it, or set MEDKIT_CREDENTIALS to a file of yours, "
            "and run mk.save_credentials().",
            outcome="not sent",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        try:
            os.chmod(path, 0o600)
        except OSError as error:
            raise SubmitError(
                f"{path}: others can read it, and it cannot be tightened ({error.strerror}). It is "
                "not used: set MEDKIT_CREDENTIALS to a file on another disk, and run "
                "mk.save_credentials().",
                outcome="not sent",
            ) from error
        warnings.warn(
            f"{path} could be read by others; it is yours alone now (mode 0600). "
            "If anyone shares this machine, change the passwords.",
            stacklevel=5,
        )
    folder = path.parent  # only the default one is the kit's own
    if path == _default_path() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        with suppress(OSError):  # the file itself is this user's, as was seen above
            os.chmod(folder, 0o700)
        warnings.warn(
            f"{folder} could be written to by others, who might have laid their own file there; "
            "it is yours alone now (mode 0700). Look whether the address is right.",
            stacklevel=5,
        )


def _read(path: Path) -> dict[str, Secret] | None:
    """The file's content; None when it is none."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(saved, dict):
        return None
    if not all(isinstance(value, str) or name == "team" for name, value in saved.items()):
        return None
    return {name: Secret(value) for name, value in saved.items()}


def _ask(name: str, kept: str = "") -> Secret:
    """What a person types; Enter alone keeps what was there."""
    label = name.replace("_", " ")
    shown = "it" if name in SECRET else kept
    hint = f" [Enter keeps {shown}]" if kept else ""
    ask = getpass.getpass if name in SECRET else input
    answer = apart(lambda: Secret(str(ask(f"{label}{hint}: ")).strip())) or Secret(kept)
    if not answer or not apart(lambda: _is_text(answer)):
        found = "is empty" if not answer else "is no text that utf-8 can write"
        raise ConfigError(f"submit: {label} {found}. Run the cell again and type it.")
    return answer


def _can_ask() -> bool:
    """Whether a person sits at this kernel or terminal."""
    if kernel() is not None:
        return bool(getattr(kernel(), "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()
