"""HTTP Basic (RFC 7617): the server's question, and what is answered to it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

_SCHEME = "basic "
_LONGEST = 1024


@dataclass(frozen=True)
class Credentials:
    """Who somebody says to be, and the word for it."""

    user: str
    password: str = field(repr=False)


def challenge(realm: str) -> str:
    """The value of WWW-Authenticate."""
    return f'Basic realm="{realm}"'


def encode(credentials: Credentials) -> str:
    """The value of Authorization."""
    return "Basic " + _packed(f"{credentials.user}:{credentials.password}")


def decode(header: str) -> Credentials | None:
    """What an Authorization says; None where it is of another kind, or none at all."""
    if header[: len(_SCHEME)].lower() != _SCHEME or len(header) > _LONGEST:
        return None
    try:
        text = base64.b64decode(header[len(_SCHEME) :].strip(), validate=True).decode("utf-8")
    except ValueError:
        return None
    user, colon, password = text.partition(":")
    return Credentials(user, password) if colon else None


def unix_config(server: str, realm: str, credentials: Credentials) -> str:
    """Lines for ocsinventory-agent.cfg, where user and password are base64. Source: protocol.md 1."""
    lines = {"server": server, "ssl": "1", "realm": realm}
    lines |= {"user": _packed(credentials.user), "password": _packed(credentials.password)}
    return "".join(f"{key}={value}\n" for key, value in lines.items() if value)


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
