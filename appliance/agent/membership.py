"""Joining a server, and the certificate with which this computer proves who it is from then on.

Nothing is said to a server before it was verified with an authority that the token names. Source: security.md 5.2, R38;
docs/decisions/0012-joining.md. What it leaves in the base directory:

    cacert.pem   the server's authorities
    member.pem   0600: four facts as `name: value`, then certificate and key, which OpenSSL finds behind them
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from appliance import disk
from appliance.agent import basedir, dial
from appliance.agent import bundle as bundles
from appliance.agent.dial import Patience
from appliance.agent.failure import Rejected, Unreachable, Unusable
from appliance.agent.files import open_read
from appliance.agent.transport import Transport
from appliance.domain.messages import DeviceId
from appliance.wire import joining, paths
from appliance.wire.certificate import serial_of
from appliance.wire.joining import Application, Membership, Token
from appliance.wire.malformed import Malformed

FILE = "member.pem"
LARGEST = 64 * 1024

_FACT = re.compile(r"^(deviceid|server|renew-after|expires): (\S[^\r\n]*)$", re.MULTILINE)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+-----END CERTIFICATE-----\s+-----BEGIN [A-Z ]*PRIVATE KEY-----", re.S)


@dataclass(frozen=True)
class Member:
    """What this computer is to the server that it joined. Moments in seconds since 1970."""

    path: Path
    device_id: DeviceId
    server: str  # the whole URL
    renew_after: int
    expires_at: int
    serial: str  # of the certificate, hexadecimal


def load(folder: Path) -> Member | None:
    """What was joined; None where nothing was. Raises Unusable where that cannot be read."""
    path = folder / FILE
    try:
        with open_read(path) as file:
            status, data = os.fstat(file.fileno()), file.read(LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from None
    if os.name != "nt" and status.st_mode & 0o077:
        raise Unusable(f"{path} holds a key and can be read by others; chmod 600 it.")
    text = data.decode("utf-8", errors="replace")
    facts = dict(_FACT.findall(text.partition("-----")[0]))
    try:
        return Member(
            path,
            DeviceId(facts["deviceid"]),
            facts["server"],
            int(facts["renew-after"]),
            int(facts["expires"]),
            serial_of(text),
        )
    except (KeyError, ValueError):
        raise Unusable(f"{path} is damaged; `agent join` with a new token puts it right.") from None


def join(folder: Path, word: str, device_id: DeviceId, proxy: str = "", patience: Patience | None = None) -> Member:
    """Join with a token. Raises Unusable, with a sentence that says what to do."""
    try:
        token = joining.decode_token(word)
    except Malformed as error:
        raise Unusable(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    try:
        named = _named_authorities(token, proxy, patience)
        transport = Transport(proxy=proxy, patience=patience)
        transport.use(dial.context_for(named))
        bundle = _bundle(transport, token)
        transport.use(dial.context_for(bundle.decode("ascii")))  # what locks the agent out is not kept
        answer = _ask(transport, f"https://{token.address}{joining.JOIN}", Application(token.secret, device_id))
        disk.keep(folder / basedir.BUNDLE, bundle)
        return _keep(folder, answer, device_id, f"https://{token.address}{paths.CONTACT}")
    except (Unreachable, ValueError, ssl.SSLError) as error:
        raise Unusable(f"This computer did not join. {error}") from None
    except OSError as error:
        raise Unusable(f"This computer did not join: {error.strerror or error}.") from None


def is_due(member: Member, bundle: Path, now: int) -> bool:
    """Whether it is time for the next certificate: the present one is old, or the server has another authority."""
    try:
        return now >= member.renew_after or bundle.stat().st_mtime_ns > member.path.stat().st_mtime_ns
    except OSError:
        return False


def renew(folder: Path, member: Member, bundle: Path, proxy: str = "", patience: Patience | None = None) -> Member:
    """Get the next certificate with the present one. Raises Unreachable; then the present one stays."""
    context = dial.context_of(bundle)
    transport = Transport(proxy=proxy, patience=patience)
    transport.use(context)
    try:
        if context is not None:
            context.load_cert_chain(member.path)
        url = member.server[: -len(paths.CONTACT)] + joining.RENEW
        answer = _ask(transport, url, Application("", member.device_id))
        return _keep(folder, answer, member.device_id, member.server)
    except (OSError, ValueError) as error:
        raise Unreachable(f"The next certificate could not be kept: {error}.") from None
    finally:
        transport.close()


def _named_authorities(token: Token, proxy: str, patience: Patience | None) -> str:
    """Those in the server's cacert.pem that the token names, PEM. The server may be anybody, and the rest anything."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    anybody.minimum_version = ssl.TLSVersion.TLSv1_2
    transport = Transport(proxy=proxy, patience=patience)
    transport.use(anybody)
    try:
        shown = bundles.certificates_in(_bundle(transport, token).decode("ascii", errors="replace"))
    finally:
        transport.close()
    named = [pem for digest, pem in shown.items() if digest in token.authorities]
    if not named:
        raise Unreachable(
            f"{token.address} is not the server that the token is from, or changed its authority since: nothing was "
            "said to it. Ask for a new token."
        )
    return "".join(named)


def _bundle(transport: Transport, token: Token) -> bytes:
    return transport.get(f"https://{token.address}{bundles.PATH}", headers={}).body(bundles.LARGEST)


def _ask(transport: Transport, url: str, application: Application) -> Membership:
    headers = {"Content-Type": "application/json"}
    answer = transport.ask("POST", url, headers=headers, body=joining.encode(application))
    if answer.status != 200:
        why = answer.body(joining.LARGEST).decode("utf-8", errors="replace").strip()
        said = "".join(c for c in why if c.isprintable())[:300]
        raise Rejected(answer.status, f"{answer.host} answers {answer.status}: {said}")
    try:
        return joining.decode_membership(answer.body(joining.LARGEST))
    except Malformed as error:
        raise Unreachable(f"{answer.host} answers something that is no membership: {error}.") from None


def _keep(folder: Path, answer: Membership, device_id: DeviceId, server: str) -> Member:
    facts = {
        "deviceid": device_id,
        "server": server,
        "renew-after": str(answer.renew_after),
        "expires": str(answer.expires_at),
    }
    pem = f"{answer.certificate}\n{answer.private_key}\n"
    if answer.device_id != device_id or not _PEM.match(pem):
        raise Unreachable("The server's answer is no certificate for this computer.")
    text = "".join(f"{name}: {value}\n" for name, value in facts.items()) + pem
    disk.keep(folder / FILE, text.encode("utf-8"), 0o600)
    made = load(folder)
    assert made is not None
    return made
