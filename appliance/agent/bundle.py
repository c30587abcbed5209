"""cacert.pem kept up to date: what our server has there now is taken over the trust that the old file gives.

Our server says with each answer which authorities are in its cacert.pem (docs/decisions/0011-authority.md). That may
have come over plain HTTP and is only a reason to look: the file itself comes over TLS, verified with what is here
already, and is kept once it verifies the same server too. Certificates of other servers in the file stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from appliance import disk
from appliance.agent.dial import LARGEST_BUNDLE
from appliance.agent.failure import Unreachable

HEADER = "OCS-Bundle"
PATH = "/cacert.pem"
LARGEST = 256 * 1024  # of a server's file
MOST = 16  # certificates that are told of
SERVER = ".server"  # beside the bundle: digests of what was the server's in it

_OFFER = re.compile(r"^(\d{1,5}) ([0-9a-f]{64}(?:,[0-9a-f]{64}){0,15})$")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")


@dataclass(frozen=True)
class Offer:
    """Where the server has its cacert.pem, and what is in it: SHA-256 of each certificate."""

    url: str
    digests: frozenset[str]


def certificates_in(text: str) -> dict[str, str]:
    """The certificates of a PEM text by their SHA-256, in order."""
    found = {}
    for pem in _PEM.findall(text):
        with contextlib.suppress(ValueError):  # what is none verifies nothing either
            found[hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()] = pem + "\n"
    return found


def told(bundle: Path | None) -> str:
    """What is said to the server of this file; empty where it is not there or has too many certificates."""
    digests = list(certificates_in(_read(bundle))) if bundle else []
    return ",".join(digests) if len(digests) <= MOST else ""


def offer_of(server: str, header: str) -> Offer | None:
    """What an answer of `server`, a URL, says of its cacert.pem; None where it says nothing."""
    match = _OFFER.match(header)
    if match is None or not 0 < int(match.group(1)) < 65536:
        return None
    parts = urlsplit(server)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    where = parts.netloc if parts.scheme == "https" else f"{host}:{match.group(1)}"
    return Offer(f"https://{where}{PATH}", frozenset(match.group(2).split(",")))


def is_news(bundle: Path, offer: Offer) -> bool:
    """Whether something is missing here, or something of the server's is here that the server no longer has."""
    here = certificates_in(_read(bundle))
    return not offer.digests <= set(here) or bool(_of_server(bundle) & set(here) - offer.digests)


def merged(bundle: Path, fetched: bytes) -> str:
    """The file as it is to be: the server's certificates, and those here that were never the server's.

    Raises Unreachable where what was fetched holds no certificate.
    """
    new = certificates_in(fetched.decode("ascii", errors="replace"))
    if not new:
        raise Unreachable("The server's cacert.pem holds no certificate.")
    gone = _of_server(bundle) - set(new)
    others = {digest: pem for digest, pem in certificates_in(_read(bundle)).items() if digest not in gone}
    return "".join({**new, **others}.values())


def keep(bundle: Path, text: str, fetched: bytes) -> None:
    """Put it in place, whole; killed anywhere, the old file or the new one is there. OSError."""
    mode = stat.S_IMODE(os.stat(bundle).st_mode) & 0o644
    digests: Sequence[str] = sorted(certificates_in(fetched.decode("ascii", errors="replace")))
    disk.keep(_record(bundle), "\n".join([*sorted(_of_server(bundle) - set(digests)), *digests]).encode() + b"\n")
    disk.keep(bundle, text.encode("ascii"), mode)
    disk.keep(_record(bundle), "\n".join(digests).encode() + b"\n")


def _of_server(bundle: Path) -> set[str]:
    return set(_read(_record(bundle)).split())


def _record(bundle: Path) -> Path:
    return bundle.with_name(bundle.name + SERVER)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_BUNDLE).decode("ascii", errors="replace")
    except OSError:
        return ""
