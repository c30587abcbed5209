"""Activate and unactivate: where agents fetch a package, looked at as an agent would.

Source: the manual, "Activating package" and "Unactivating packages".
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

from appliance.domain.package import Package, PackageId, Protocol
from appliance.domain.refusal import Kind, Refusal, conflict
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package
from appliance.store import configuration, packages
from appliance.store.database import Tx
from appliance.trust import probe
from appliance.wire import info
from appliance.wire.paths import DEPOT, INFO, Location, fragment_name, parse_location


@dataclass(frozen=True)
class Activated:
    """A new activation: its number, its locations, and what people should know about them."""

    id: int
    info_location: str
    fragment_location: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """The locations that this server serves packages at."""

    info_location: str
    fragment_location: str


async def activate(
    desk: Desk,
    package_id: str,
    info_location: str | None,
    fragment_location: str | None,
    *,
    unchecked: bool = False,
) -> Activated:
    """Activate a package at two locations, the proposed ones where None. Raises Refusal with what the check met."""
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        proposed = await _proposal(tx, package.order.protocol)
        info_at = parse_location(info_location or proposed.info_location, "info-url")
        fragments_at = parse_location(fragment_location or proposed.fragment_location, "fragment-url")
        authority = await configuration.credential(tx, "authority")
        marks = await packages.marks(tx, package.id)
        last = package.payload.fragments if package.payload else 0
        pieces = {n: await packages.piece(tx, package.id, n) for n in {1, last} if last}
    if not unchecked:
        if authority is None:
            raise conflict("there are no certificates yet; start the server once, or activate with --unchecked.")
        bundle = authority.certificate

        def look() -> None:
            check_info(package, info_at, bundle, marks.info if marks else "")
            for number, piece in sorted(pieces.items()):
                if piece:
                    check_fragment(package, fragments_at, number, piece.size, piece.sha256, bundle)

        await asyncio.to_thread(look)
    async with desk.store.writing() as tx:
        await find_package(tx, package_id)
        number = await packages.activate(tx, package.id, str(info_at), str(fragments_at))
    warnings = tuple(w for w in (_loopback("info-url", info_at), _loopback("fragment-url", fragments_at)) if w)
    return Activated(number, str(info_at), str(fragments_at), warnings)


async def unactivate(desk: Desk, package_id: str, activation: int | None = None) -> int:
    """Take one activation away, or all: how many went. Affectations stay and wait. Raises Refusal."""
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        gone = await packages.unactivate(tx, package.id, activation)
        if not gone:
            what = f"has no activation {activation}" if activation is not None else "is not activated"
            raise conflict("package {package} {what}.", package=package.id, what=what)
        return gone


def check_info(package: Package, location: Location, authority: str, sha256: str) -> None:
    """Fetch info over verified TLS and hold it against the package. Raises Refusal."""
    found = probe.digest(
        "https",
        location.host,
        location.port,
        f"{location.folder}/{package.id}/{INFO}",
        authority=authority,
        largest=info.LARGEST,
        field="info-url",
    )
    if found != sha256:
        raise _other("info-url", location, package.id, "an info file that is not this package's")


def check_fragment(package: Package, location: Location, number: int, size: int, sha256: str, authority: str) -> None:
    """Fetch one fragment and hold size and SHA-256 against the row. Raises Refusal."""
    found = probe.digest(
        package.order.protocol.value.lower(),
        location.host,
        location.port,
        f"{location.folder}/{package.id}/{fragment_name(package.id, number)}",
        authority=authority,
        largest=size,
        field="fragment-url",
    )
    if found != sha256:
        raise _other("fragment-url", location, package.id, f"a fragment {number} that is not this package's")


def _other(field: str, location: Location, package: PackageId, what: str) -> Refusal:
    return Refusal(
        Kind.UNREACHABLE,
        "{location} serves {what}; copy the folder {package} there again.",
        field,
        location=location,
        what=what,
        package=package,
    )


async def _proposal(tx: Tx, protocol: Protocol) -> Proposal:
    runtime = await configuration.runtime(tx)
    host = runtime.get("server_name", "localhost")
    shown = f"[{host}]" if ":" in host else host
    secure = f"{shown}:{runtime.get('https_port', '4343')}{DEPOT}"
    plain = f"{shown}:{runtime.get('http_port', '8080')}{DEPOT}"
    return Proposal(secure, plain if protocol is Protocol.HTTP else secure)


def _loopback(field: str, location: Location) -> str | None:
    try:
        loopback = ipaddress.ip_address(location.host).is_loopback
    except ValueError:
        loopback = location.host.lower() == "localhost" or location.host.lower().endswith(".localhost")
    if not loopback:
        return None
    return f"{field}: {location.host} is the computer itself for every agent; use a name that agents can reach."
