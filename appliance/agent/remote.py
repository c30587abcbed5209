"""What the agent asks of servers: the Remote port, and its form over HTTP. What is asked when is not decided here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from appliance import __version__
from appliance.agent import bundle as bundles
from appliance.agent import dial
from appliance.agent.dial import Patience
from appliance.agent.failure import Rejected, Unreachable
from appliance.agent.transport import Answer, Transport
from appliance.domain.package import PackageId
from appliance.domain.refusal import Refusal
from appliance.wire import basic, envelope, info, manifest, paths
from appliance.wire.basic import Credentials
from appliance.wire.malformed import Malformed

LARGEST_REPLY = 1024 * 1024
LARGEST_FRAGMENT = 64 * 1024**3  # without a manifest nobody says how large a fragment is
HASTE = Patience(connect=5, grace=5)  # for what may be lost
USER_AGENT = "OCS-NG_unified_unix_agent_v2.0.0"  # genuine servers refuse names that they do not know
OUR_SERVER = "ocs.pyz"  # the start of its Server header
OURSELVES = f"ocs.pyz/{__version__}"

_RANGE = re.compile(r"^bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)$")
_REALM = re.compile(r'realm\s*=\s*(?:"([^"]*)"|([^\s,]+))', re.IGNORECASE)


@dataclass(frozen=True)
class Incoming:
    """A fragment on its way: where in it the bytes start, how long all of it is, and the bytes."""

    start: int
    size: int | None
    pieces: Iterator[bytes]  # raises Unreachable where they end early


class Remote(Protocol):
    """The servers, as the driver sees them. Every verb raises Unreachable."""

    server: str  # whom `contact` speaks to: its URL
    is_genuine: bool  # whether it was a genuine OCS server that answered last

    def contact(self, xml: bytes) -> bytes:
        """Send one uncompressed message; the uncompressed answer, empty where there is none."""

    def mention(self, xml: bytes) -> None:
        """Send one uncompressed message that may be lost, to our own server: once, and in seconds."""

    def info(self, location: str, package: PackageId) -> bytes:
        """A package's info file, over verified TLS."""

    def manifest(self, location: str, package: PackageId) -> bytes | None:
        """The manifest beside it; None where the server has none."""

    def fragment(self, url: str, *, start: int, size: int | None) -> Incoming:
        """One fragment from byte `start` on where the server can do that. `size`: its length, where it is known."""

    def refresh(self) -> None:
        """Look again at what servers are verified with."""


@dataclass(frozen=True)
class Account:
    """Who the agent is to a server that asks (HTTP Basic)."""

    user: str = ""
    password: str = ""
    realm: str = ""


class HttpRemote:
    """The real servers."""

    def __init__(
        self,
        server: str,
        *,
        bundle: Path | None,
        proxy: str = "",
        account: Account | None = None,
        patience: Patience | None = None,
        haste: Patience = HASTE,
        member: Path | None = None,
        owns_bundle: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """`member`: certificate and key of a computer that joined.

        `owns_bundle`: the bundle is the agent's own file, and follows the server's; else it is left alone.
        """
        self.server = server
        self.is_genuine = True
        self.bundle = bundle
        self._member = member
        self.account = account or Account()
        self.transport = Transport(proxy=proxy, patience=patience)
        self.hasty = Transport(proxy=proxy, patience=haste)
        self._headers = {"User-Agent": USER_AGENT, "OCS-Agent": OURSELVES}
        self._authorization: dict[str, str] = {}
        self._stamp: object = None
        self._owns_bundle = owns_bundle
        self._tell = tell or (lambda _: None)
        self._looked_at: object = None
        self._told = ""
        self.refresh()

    def refresh(self) -> None:
        """Take up cacert.pem, and this computer's own certificate, where it was put there, replaced or removed."""
        self._looked_at = None
        stamp = (_stamp(self.bundle), _stamp(self._member))
        if stamp != self._stamp or self.transport.context is None:
            self._stamp = stamp
            context = dial.context_of(self.bundle)
            if context is not None and self._member is not None:
                with contextlib.suppress(OSError):  # ssl.SSLError is one; then the server says what is missing
                    context.load_cert_chain(self._member)
            self.transport.use(context)
            self.hasty.use(context)
            self._told = bundles.told(self.bundle)

    def close(self) -> None:
        """Close what is kept open."""
        self.transport.close()
        self.hasty.close()

    def contact(self, xml: bytes) -> bytes:
        """POST one message to the server; the password only where the right realm asked for it."""
        body = envelope.pack(xml)
        answer = self._post(self.transport, body)
        if answer.status == 401 and self._may_answer(answer.header("WWW-Authenticate")):
            answer.abandon()
            self._authorization = {"Authorization": basic.encode(Credentials(self.account.user, self.account.password))}
            answer = self._post(self.transport, body)
        if not 200 <= answer.status < 300:
            answer.abandon()
            raise Rejected(answer.status, f"{answer.host} answers {answer.status} to {self.server}.")
        self.is_genuine = not answer.header("Server").startswith(OUR_SERVER)
        packed = answer.body(LARGEST_REPLY)
        if not self.is_genuine:
            self._follow(bundles.offer_of(self.server, answer.header(bundles.HEADER)))
        if not packed:
            return b""
        try:
            return envelope.unpack(packed, LARGEST_REPLY)[0]
        except Malformed as error:
            raise Unreachable(f"{answer.host} answers something that is no message: {error}.") from None

    def mention(self, xml: bytes) -> None:
        """POST one message on a connection of its own, which is closed; a password only where it was asked for before.

        Raises Rejected also where the server is no longer one of ours.
        """
        answer = self._post(self.hasty, envelope.pack(xml))
        answer.abandon()
        if not 200 <= answer.status < 300 or not answer.header("Server").startswith(OUR_SERVER):
            raise Rejected(answer.status, f"{answer.host} answers {answer.status} to {self.server}.")

    def info(self, location: str, package: PackageId) -> bytes:
        """GET the info file."""
        answer = self.transport.get(paths.info_url(checked_location(location), package), headers=self._headers)
        return answer.body(info.LARGEST)

    def manifest(self, location: str, package: PackageId) -> bytes | None:
        """GET the manifest; 404 and 410 mean that there is none, anything else that we do not know."""
        try:
            answer = self.transport.get(paths.manifest_url(checked_location(location), package), headers=self._headers)
        except Rejected as error:
            if error.status in (404, 410):
                return None
            raise
        return answer.body(manifest.LARGEST)

    def fragment(self, url: str, *, start: int, size: int | None) -> Incoming:
        """GET a fragment or the rest of it. Its length must be declared, and must be `size` where that is known."""
        headers = dict(self._headers)
        if start:
            headers["Range"] = f"bytes={start}-"
        answer = self.transport.get(url, headers=headers)
        if answer.status == 206:
            match = _RANGE.match(answer.header("Content-Range"))
            if not match or int(match.group(1)) != start or (size and match.group(2) not in (str(size), "*")):
                answer.abandon()
                raise Unreachable(f"{answer.host} sends another part of the fragment than was asked for.")
        else:
            start = 0
        if answer.size is None:
            answer.abandon()
            raise Unreachable(f"{answer.host} does not say how long the fragment is.")
        whole = start + answer.size
        if size is not None and whole != size:
            answer.abandon()
            raise Unreachable(f"{answer.host} has {whole} bytes for a fragment of {size}.")
        return Incoming(start, whole, answer.pieces(answer.size if size is not None else LARGEST_FRAGMENT))

    def _follow(self, offer: bundles.Offer | None) -> None:
        """Take the server's cacert.pem where it has another one now. Nothing that goes wrong here is an error."""
        looked_at = (offer, self._stamp)
        if offer is None or self.bundle is None or self.transport.context is None or looked_at == self._looked_at:
            return
        self._looked_at = looked_at  # once in a contact, which begins with refresh()
        if not bundles.is_news(self.bundle, offer):
            return
        if not self._owns_bundle:
            self._tell(f"The server has a new cacert.pem; {self.bundle} is not the agent's own and stays as it is.")
            return
        try:
            fetched = self.hasty.get(offer.url, headers=self._headers).body(bundles.LARGEST)
            text = bundles.merged(self.bundle, fetched)
            context = dial.context_for(text)
            trial = Transport(proxy=self.hasty.proxy, patience=self.hasty.patience)
            trial.use(context)
            trial.get(offer.url, headers=self._headers).abandon()  # what locks the agent out is not kept
            bundles.keep(self.bundle, text, fetched)
        except (Unreachable, OSError, ValueError) as error:
            self._tell(f"The server's new cacert.pem is not taken: {error}")
            return
        self._tell(f"{self.bundle} is the server's new one, which came over the trust of the one before it.")
        self.refresh()

    def _post(self, transport: Transport, body: bytes) -> Answer:
        headers = {
            **self._headers,
            **self._authorization,
            "Content-Type": "application/x-compress",
            "Pragma": "no-cache",
        }
        if self._told:
            headers[bundles.HEADER] = self._told
        return transport.ask("POST", self.server, headers=headers, body=body)

    def _may_answer(self, challenge: str) -> bool:
        if not self.account.user or self._authorization or not challenge.lower().startswith("basic"):
            return False
        match = _REALM.search(challenge)
        realm = (match.group(1) or match.group(2) or "") if match else ""
        return not self.account.realm or self.account.realm == realm


def checked_location(text: str) -> str:
    """A location that URLs can be made of, without its scheme. Raises Unreachable."""
    try:
        return str(paths.parse_location(text, "location"))
    except Refusal:
        raise Unreachable(f"{text[:80]!r} is no place to fetch from.") from None


def _stamp(bundle: Path | None) -> object:
    try:
        status = bundle.stat() if bundle else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None
