"""Joining: the token that a person carries to a computer, and what computer and server say to each other. JSON.

The token is one word: where the server is, the SHA-256 of each authority that may verify it, and a secret.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import TypeVar

from appliance.domain.messages import is_device_id
from appliance.domain.refusal import Refusal
from appliance.wire import paths
from appliance.wire.malformed import Malformed

JOIN = "/join"
RENEW = "/join/renew"
LARGEST = 64 * 1024  # bytes, of a question or an answer
MOST_AUTHORITIES = 16
_BEGIN = "ocs-join-"
_LONGEST_TOKEN = 2000
_LONGEST_TEXT = 32 * 1024
_AUTHORITIES = re.compile(rf"^[0-9a-f]{{64}}(?:,[0-9a-f]{{64}}){{0,{MOST_AUTHORITIES - 1}}}\Z")

Message = TypeVar("Message")


@dataclass(frozen=True)
class Token:
    """What a join token says."""

    address: str  # host:port, over TLS
    authorities: tuple[str, ...]  # SHA-256 of their certificates, hexadecimal
    secret: str


@dataclass(frozen=True)
class Application:
    """A computer wants to join."""

    secret: str
    device_id: str


@dataclass(frozen=True)
class Membership:
    """What a computer that joined is given: its certificate with the key, PEM, and when to ask for the next one."""

    device_id: str
    certificate: str
    private_key: str
    renew_after: int  # seconds since 1970
    expires_at: int


def encode_token(token: Token) -> str:
    """One word that survives mail, chat and a shell."""
    text = "\n".join((token.address, ",".join(token.authorities), token.secret))
    return _BEGIN + base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def decode_token(text: str) -> Token:
    """The Token in a word. Raises Malformed."""
    word = text.strip()
    if not word.startswith(_BEGIN) or len(word) > _LONGEST_TOKEN:
        raise Malformed("it is no join token; `computer token` on the server makes one")
    packed = word[len(_BEGIN) :]
    try:
        plain = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True).decode("ascii")
        address, authorities, secret = plain.split("\n")
        where = paths.parse_location(address, "address")
    except (ValueError, Refusal):
        raise Malformed("the join token is damaged; copy the whole of it") from None
    fits = _AUTHORITIES.match(authorities) and re.fullmatch(r"[\w-]{20,200}", secret, re.ASCII)
    if not fits or where.folder or not where.port:
        raise Malformed("the join token is damaged; copy the whole of it")
    return Token(address, tuple(authorities.split(",")), secret)


def encode(message: Application | Membership) -> bytes:
    """One JSON object."""
    return json.dumps(asdict(message), separators=(",", ":")).encode()


def decode_application(data: bytes) -> Application:
    """What a computer sent. Raises Malformed."""
    application = _decode(Application, data)
    if not is_device_id(application.device_id):
        raise Malformed("the DEVICEID is not NAME-YYYY-MM-DD-hh-mm-ss")
    return application


def decode_membership(data: bytes) -> Membership:
    """What the server answered. Raises Malformed."""
    return _decode(Membership, data)


def _decode(kind: type[Message], data: bytes) -> Message:
    try:
        document = json.loads(data.decode("utf-8"))
        values = {field.name: document[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise Malformed("it is not the JSON that is expected here") from None
    for field in fields(kind):  # type: ignore[arg-type]
        value, wanted = values[field.name], int if field.type in (int, "int") else str
        if type(value) is not wanted or (isinstance(value, str) and len(value) > _LONGEST_TEXT):
            raise Malformed(f"{field.name} is not what it must be")
    return kind(**values)
