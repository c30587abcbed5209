"""Opening a connection: address, proxy, TLS, and a deadline that no slow peer can push back.

Source: security.md R1, A4, A5. There is no way to leave the verification out.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Optional, cast
from urllib.parse import SplitResult, unquote, urlsplit

from appliance.agent.failure import Unreachable, Unusable
from appliance.agent.ownership import guard_root
from appliance.clock import Clock
from appliance.wire import basic
from appliance.wire.basic import Credentials

_CLOCK = Clock()
LARGEST_BUNDLE = 4 * 1024 * 1024


@dataclass(frozen=True)
class Patience:
    """How long another party may take."""

    connect: float = 30.0  # seconds; also for any single silence
    grace: float = 30.0  # seconds before the first byte counts
    rate: float = 1024.0  # bytes per second at least, on average


class Guard:
    """A socket as http.client uses it, on which everything ends at `deadline` (seconds of time.monotonic)."""

    def __init__(self, real: socket.socket, patience: Patience) -> None:
        self.real = real
        self.patience = patience
        self.deadline = 0.0
        self.extend(0)

    def extend(self, expected: int) -> None:
        """Give time for `expected` bytes from now."""
        self.deadline = _CLOCK.monotonic() + self.patience.grace + expected / self.patience.rate

    def arm(self) -> None:
        """Bound the next operation. Raises socket.timeout when there is no time left."""
        left = self.deadline - _CLOCK.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self.real.settimeout(min(left, self.patience.connect))

    def sendall(self, data: Any) -> None:
        """Send; a peer that does not take it ends at the deadline too."""
        self.arm()
        self.real.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What answers are read from."""
        return io.BufferedReader(_Reader(self, self.real.makefile("rb", buffering=0)), 64 * 1024)

    def close(self) -> None:
        """Close; an answer that is still read keeps the connection until it is done."""
        self.real.close()


class _Reader(io.RawIOBase):
    def __init__(self, guard: Guard, raw: Any) -> None:
        self.guard = guard
        self.raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.guard.arm()
        return cast(Optional[int], self.raw.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self.raw.close()
        super().close()


class Connection(http.client.HTTPConnection):
    """http.client's protocol over a guarded socket that `dial` opens."""

    def __init__(self, url: SplitResult, proxy: str, context: ssl.SSLContext | None, patience: Patience) -> None:
        super().__init__(url.hostname or "", port_of(url))
        self.url = url
        self.proxy = proxy
        self.context = context
        self.patience = patience
        self.guard: Guard | None = None

    def connect(self) -> None:
        """Called by http.client where there is no connection. Raises Unreachable, OSError."""
        if self.url.scheme == "https" and self.context is None:
            raise Unreachable("There is no cacert.pem to verify the server with; nothing is fetched over TLS.")
        near = urlsplit(self.proxy) if self.proxy else self.url
        real = socket.create_connection((near.hostname or "", port_of(near)), self.patience.connect)
        try:
            real.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.guard = Guard(real, self.patience)
            if self.url.scheme == "https" and self.context is not None:
                if self.proxy:
                    _tunnel(self.guard, self.url, near)
                self.guard.arm()
                self.guard.real = self.context.wrap_socket(real, server_hostname=self.url.hostname)
        except BaseException:
            real.close()
            raise
        self.sock = cast(socket.socket, self.guard)


def port_of(url: SplitResult) -> int:
    """The port that a URL means."""
    return url.port or (443 if url.scheme == "https" else 80)


def proxy_authorization(proxy: str) -> dict[str, str]:
    """The header for a proxy URL that names a user."""
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    credentials = Credentials(unquote(parts.username), unquote(parts.password or ""))
    return {"Proxy-Authorization": basic.encode(credentials)}


def context_of(bundle: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or later, verified against this bundle and nothing else; None where there is no usable bundle."""
    if bundle is None:
        return None
    try:
        guard_root(bundle)
        with bundle.open("rb") as file:
            return context_for(file.read(LARGEST_BUNDLE).decode("ascii", errors="replace"))
    except (OSError, ValueError, Unusable):  # ssl.SSLError is an OSError
        return None


def context_for(pem: str) -> ssl.SSLContext:
    """TLS 1.2 or later, verified with these certificates and nothing else. OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and the right name in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pem)
    return context


def _tunnel(guard: Guard, url: SplitResult, proxy: SplitResult) -> None:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    target = f"{host}:{port_of(url)}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    lines += [f"{name}: {value}" for name, value in proxy_authorization(proxy.geturl()).items()]
    guard.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    reply = http.client.HTTPResponse(cast(socket.socket, guard), method="CONNECT")
    reply.begin()
    status = reply.status
    cast(BinaryIO, reply.fp).close()
    if status != 200:
        raise Unreachable(f"The proxy does not connect to {target}: it answered {status}.")


def reason(error: OSError | http.client.HTTPException, host: str) -> str:
    """What an error of the network means to an administrator."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {host} is refused: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"No TLS with {host}: {error.reason or error}."
    if isinstance(error, socket.timeout):
        return f"{host} is too slow or does not answer."
    if isinstance(error, socket.gaierror):
        return f"The name {host} is not known: {error.strerror}."
    if isinstance(error, http.client.HTTPException):
        return f"{host} does not speak HTTP as it must: {type(error).__name__}."
    return f"{host} cannot be reached: {error.strerror or error}."
