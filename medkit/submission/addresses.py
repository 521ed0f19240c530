"""Where a contest's server is: which addresses are safe, and which mean the same place."""

from __future__ import annotations

import ipaddress
import os
import re
import unicodedata
import warnings
from contextlib import suppress
from urllib.parse import urlsplit

from medkit.errors import SubmitError

LOCAL = ("127.0.0.1", "localhost", "::1")  # this machine


def check_address(url: str) -> list[str]:
    """Refuse an address that would show the passwords; returns what a receipt must tell.

    https only, but for this machine and the hosts that `MEDKIT_ALLOW_HTTP` names.
    """
    scheme, host, port = _parts(url)
    if not host:
        raise SubmitError(  # without the address: some paste a password into it
            "submit: the address has no host that can be read, or more than that (expected "
            "https://host). Correct it with mk.save_credentials(change=True).",
            outcome="not sent",
        )
    if scheme == "https" or (scheme == "http" and host in LOCAL):
        return []
    allowed = [name.strip() for name in os.environ.get("MEDKIT_ALLOW_HTTP", "").split(",")]
    if scheme == "http" and {host, f"{host}:{port}"} & set(allowed):
        note = f"The passwords go to {host} in the open (http), as MEDKIT_ALLOW_HTTP allows."
        warnings.warn(f"submit: {note} Everyone on the network can read them.", stacklevel=3)
        return [note]
    raise SubmitError(
        f"submit: the address begins with {scheme!r} (expected https). "
        "Passwords are not sent in the open; correct it with mk.save_credentials(change=True).",
        outcome="not sent",
    )


def whole_address(text: str) -> str:
    """An address as a person types it, with the scheme that is left out; checked.

    Raises:
        SubmitError: it is none, or would show the passwords.

    Example:
        >>> whole_address("127.0.0.1:8765"), whole_address("contest.kr/")
        ('http://127.0.0.1:8765', 'https://contest.kr')
    """
    url = text.strip()
    if "://" not in url and not re.match("https?:?/", url, re.IGNORECASE):  # half a scheme
        host = _parts(f"https://{url}")[1]
        url = f"http{'' if host in LOCAL else 's'}://{url}"
    check_address(url)
    return url.rstrip("/")


def _parts(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; no host where more stands there, which may be a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is none, a bracket that does not close
        return "", "", None
    is_more = "@" in parts.netloc or re.search(r"[\s\\?#]", url)
    return parts.scheme, "" if is_more else host or "", port


def host_of(url: str) -> str:
    """Host and port of a checked address."""
    return urlsplit(url).netloc.lower()


def place(host: str, team: str) -> tuple[str, str]:
    """One key for a team at a server, however the two are written.

    `localhost` and 127.0.0.1, port 0443 and 443 and none, team 01 and 1 are the same.
    """
    host = unicodedata.normalize("NFKC", str(host)).strip().casefold().rstrip(":")
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():  # no port; a colon may be an address's own
        name, port = f"{name}:{port}" if name else port, ""
    name, number = name.rstrip(".").strip("[]"), int(port or 443)
    with suppress(UnicodeError):
        name = name.encode("idna").decode("ascii")
    with suppress(ValueError):
        name = ipaddress.ip_address(name).compressed
    name = "localhost" if name in LOCAL else name
    team = unicodedata.normalize("NFKC", str(team)).strip()
    return f"{name}:{443 if number == 80 else number}", str(int(team)) if team.isdecimal() else team
