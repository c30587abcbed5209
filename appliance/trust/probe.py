"""Look at a file at an activation's address as an agent would: verified TLS, no redirect, bounded; step by step.

It reaches no other service than a depot: the name is resolved once and that address connected to, addresses and ports
that no depot has are refused before, and nothing that was answered is ever shown (security.md A21, R32).
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.domain.refusal import Kind, Refusal

SECONDS = 5.0
READ = 256 * 1024
WEB_PORTS = frozenset({80, 443})
FIRST_FREE_PORT = 1024

Address = tuple[socket.AddressFamily, Any]  # what connect() takes


class Stage(StrEnum):
    """The steps of one look, in order; `certificate` over https only."""

    ADDRESS = "address"
    CONNECTION = "connection"
    CERTIFICATE = "certificate"
    STATUS = "status"
    CONTENT = "content"


@dataclass(frozen=True)
class Target:
    """What is to be there: a file of at most `largest` bytes with that SHA-256. `field` is the form's."""

    scheme: str
    host: str
    port: int | None
    path: str
    field: str
    largest: int
    sha256: str

    @property
    def url(self) -> str:
        """The address as people write it."""
        return f"{self.scheme}://{self.where}{self.path}"

    @property
    def where(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def real_port(self) -> int:
        """The port, the scheme's own where none is said."""
        return self.port or (443 if self.scheme == "https" else 80)


@dataclass(frozen=True)
class Looked:
    """One step. `refusal` says what was met and how to mend it; None: as it must be."""

    stage: Stage
    refusal: Refusal | None = None


def look(target: Target, *, authority: str, own_ports: Collection[int]) -> list[Looked]:
    """The steps as far as they came; the last one is the first that failed, or all went well.

    `authority`: PEM, what agents verify with. `own_ports`: of our own agents' listeners, on this machine.
    """
    steps: list[Looked] = []
    try:
        for stage in _steps(target, authority, own_ports):
            steps.append(Looked(stage))
    except _Fault as fault:
        steps.append(Looked(fault.stage, fault.refusal))
    return steps


class _Fault(Exception):
    def __init__(self, stage: Stage, target: Target, sentence: str, **values: object) -> None:
        self.stage = stage
        self.refusal = Refusal(Kind.UNREACHABLE, sentence, target.field, **values)
        super().__init__(sentence)


def _steps(target: Target, authority: str, own_ports: Collection[int]) -> Iterator[Stage]:
    addresses = _addresses(target, own_ports)
    yield Stage.ADDRESS
    link = _connected(target, addresses)
    try:
        yield Stage.CONNECTION
        if target.scheme == "https":
            link = _wrapped(target, link, authority)
            yield Stage.CERTIFICATE
        connection = http.client.HTTPConnection(target.host, target.real_port, timeout=SECONDS)
        connection.sock = link
        response = _answer(target, connection)
        yield Stage.STATUS
        _compare(target, response)
        yield Stage.CONTENT
    finally:
        link.close()


def _addresses(target: Target, own_ports: Collection[int]) -> list[Address]:
    try:
        found = socket.getaddrinfo(target.host, target.real_port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _Fault(
            Stage.ADDRESS,
            target,
            "{url} has a host name that does not resolve; correct it, or enter it in the DNS.",
            url=target.url,
        ) from None
    port = target.real_port
    for _, _, _, _, where in found:
        address = ipaddress.ip_address(str(where[0]).split("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_link_local or address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
            raise _Fault(
                Stage.ADDRESS,
                target,
                "{url} is no address that agents can fetch from; write the web server's own.",
                url=target.url,
            )
        if address.is_loopback and port not in own_ports and port not in WEB_PORTS:
            raise _Fault(
                Stage.ADDRESS,
                target,
                "{url} is on this server itself, which serves packages on other ports; correct the port.",
                url=target.url,
            )
    if port < FIRST_FREE_PORT and port not in WEB_PORTS and port not in own_ports:
        raise _Fault(
            Stage.ADDRESS,
            target,
            "port {port} belongs to another service; packages are served on 80, 443, or a port above 1023.",
            port=port,
        )
    return [(family, where) for family, _, _, _, where in found]


def _connected(target: Target, addresses: list[Address]) -> socket.socket:
    met: OSError | None = None
    for family, where in addresses[:4]:
        link = socket.socket(family, socket.SOCK_STREAM)
        link.settimeout(SECONDS)
        try:
            link.connect(where)
            return link
        except OSError as error:
            link.close()
            met = error
    if isinstance(met, TimeoutError):
        raise _slow(Stage.CONNECTION, target) from None
    if isinstance(met, ConnectionRefusedError):
        raise _Fault(
            Stage.CONNECTION,
            target,
            "nothing listens at {url}; start the web server there, or correct the port.",
            url=target.url,
        ) from None
    raise _Fault(
        Stage.CONNECTION,
        target,
        "{url} cannot be reached from this server; look at the network between them.",
        url=target.url,
    ) from None


def _wrapped(target: Target, link: socket.socket, authority: str) -> socket.socket:
    try:
        context = ssl.create_default_context(cadata=authority)
        return context.wrap_socket(link, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        raise _Fault(
            Stage.CERTIFICATE,
            target,
            "{url} shows a certificate that agents refuse ({why}); it takes one for this name, from an authority "
            "in cacert.pem.",
            url=target.url,
            why=error.verify_message,
        ) from None
    except TimeoutError:
        raise _slow(Stage.CERTIFICATE, target) from None
    except OSError:
        raise _Fault(
            Stage.CERTIFICATE,
            target,
            "{url} does not speak TLS as agents do; it takes the port that serves https.",
            url=target.url,
        ) from None


def _answer(target: Target, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    try:
        connection.request("GET", target.path, headers={"User-Agent": "ocs.pyz activation check"})
        response = connection.getresponse()
    except TimeoutError:
        raise _slow(Stage.STATUS, target) from None
    except (OSError, http.client.HTTPException):
        raise _Fault(
            Stage.STATUS, target, "{url} does not answer as a web server does; correct the port.", url=target.url
        ) from None
    if response.status == 404:
        raise _Fault(
            Stage.STATUS,
            target,
            "{url} is not there (404); copy the package's folder to that place, or correct the folder.",
            url=target.url,
        )
    if response.status != 200:
        raise _Fault(
            Stage.STATUS,
            target,
            "{url} is answered with {status}; agents take 200 only, without a password and without being sent on.",
            url=target.url,
            status=response.status,
        )
    return response


def _compare(target: Target, response: http.client.HTTPResponse) -> None:
    found, done = hashlib.sha256(), 0
    try:
        while done <= target.largest and (piece := response.read(min(READ, target.largest + 1 - done))):
            found.update(piece)
            done += len(piece)
    except TimeoutError:
        raise _slow(Stage.CONTENT, target) from None
    except (OSError, http.client.HTTPException):
        done = -1  # it broke off
    if done > target.largest or done < 0 or found.hexdigest() != target.sha256:
        raise _Fault(
            Stage.CONTENT,
            target,
            "{url} is not the file that was built; copy the package's folder there again.",
            url=target.url,
        )


def _slow(stage: Stage, target: Target) -> _Fault:
    return _Fault(
        stage,
        target,
        "{url} does not answer within {seconds} s; look at the web server and at the firewalls on the way.",
        url=target.url,
        seconds=int(SECONDS) or 1,
    )
