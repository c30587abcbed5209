"""Activate and unactivate: where agents fetch a package, looked at as an agent would.

Source: the manual, "Activating package" and "Unactivating packages".
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.package import Package, Piece, Protocol
from appliance.domain.refusal import Refusal, conflict
from appliance.domain.remark import Remark
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package
from appliance.operations.rotation import bundle_of
from appliance.store import configuration, log, packages
from appliance.store.database import Tx
from appliance.store.packages import Marks
from appliance.trust import probe
from appliance.trust.probe import Stage, Target
from appliance.wire import info
from appliance.wire.paths import DEPOT, INFO, Location, fragment_name, parse_location

INFO_FILE, FIRST_FRAGMENT, LAST_FRAGMENT = "info", "first fragment", "last fragment"

# What each step makes sure of, for people
STAGES = {
    Stage.ADDRESS: "The name resolves to an address that packages may be served from.",
    Stage.CONNECTION: "A web server listens there.",
    Stage.CERTIFICATE: "Its certificate is one that agents accept.",
    Stage.STATUS: "The file is there.",
    Stage.CONTENT: "It is the file that was built.",
}


@dataclass(frozen=True)
class Activated:
    """A new activation: its number, its locations, and what people should know about them."""

    id: int
    info_location: str
    fragment_location: str
    warnings: tuple[Remark, ...]


@dataclass(frozen=True)
class Proposal:
    """Two locations that a package may be activated at. `own`: served by this server; else another package is there."""

    info_location: str
    fragment_location: str
    own: bool = True


@dataclass(frozen=True)
class CheckStep:
    """One step of the look at one file. `refusal` says what was met and how to mend it; None: as it must be."""

    what: str  # INFO_FILE, FIRST_FRAGMENT or LAST_FRAGMENT
    stage: Stage
    url: str
    refusal: Refusal | None = None

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.refusal is None


@dataclass(frozen=True)
class _Plan:
    """A package and where it is to be activated, with all that a look there needs."""

    package: Package
    info: Location
    fragments: Location
    marks: Marks | None
    pieces: dict[int, Piece]
    bundle: str
    own_ports: frozenset[int]


async def proposals(desk: Desk, package_id: str) -> list[Proposal]:
    """Where a package may be activated: at this server first, then where others are, newest first. Raises Refusal."""
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        own = await _proposal(tx, package.order.protocol)
        known = await packages.locations(tx, package.order.protocol)
    others = [Proposal(*pair, own=False) for pair in known if pair != (own.info_location, own.fragment_location)]
    return [own, *others]


async def check_steps(
    desk: Desk, package_id: str, info_location: str | None, fragment_location: str | None
) -> list[CheckStep]:
    """Look at info, the first and the last fragment as an agent would, each step by step to the first that fails.

    Raises Refusal where there is nothing to look at: an unknown package, an address that is none.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        plan = await _plan(tx, package_id, info_location, fragment_location)
    return await asyncio.to_thread(_look, plan)


async def activate(
    desk: Desk,
    package_id: str,
    info_location: str | None,
    fragment_location: str | None,
    *,
    unchecked: bool = False,
) -> Activated:
    """Activate a package at two locations, the proposed ones where None. Raises Refusal with what the check met."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        plan = await _plan(tx, package_id, info_location, fragment_location)
    if not unchecked:
        for step in await asyncio.to_thread(_look, plan):
            if step.refusal:
                raise step.refusal
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        number = await packages.activate(tx, package.id, str(plan.info), str(plan.fragments))
        await log.append(
            tx,
            desk.actor,
            Deed.PACKAGE_ACTIVATED,
            package.id,
            name=package.order.name,
            activation=number,
            info=plan.info,
            fragments=plan.fragments,
            checked="no" if unchecked else "yes",
        )
    found = (str(plan.info), str(plan.fragments))
    return Activated(number, *found, warnings_at(*found))


def warnings_at(*locations: str) -> tuple[Remark, ...]:
    """What people should know of locations before they activate a package there. Raises Refusal where one is none."""
    found = (_loopback(parse_location(location, "info-url")) for location in dict.fromkeys(locations))
    return tuple(warning for warning in found if warning)


async def unactivate(desk: Desk, package_id: str, activation: int | None = None) -> int:
    """Take one activation away, or all: how many went. Affectations stay and wait. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        gone = await packages.unactivate(tx, package.id, activation)
        if not gone and activation is not None:
            raise conflict(
                "package {package} has no activation {activation}.", package=package.id, activation=activation
            )
        if not gone:
            raise conflict("package {package} is not activated.", package=package.id)
        which = "all" if activation is None else activation
        await log.append(
            tx, desk.actor, Deed.PACKAGE_UNACTIVATED, package.id, name=package.order.name, activation=which
        )
        return gone


async def _plan(tx: Tx, package_id: str, info_location: str | None, fragment_location: str | None) -> _Plan:
    package = await find_package(tx, package_id)
    proposed = await _proposal(tx, package.order.protocol)
    last = package.payload.fragments if package.payload else 0
    pieces = {n: await packages.piece(tx, package.id, n) for n in sorted({1, last}) if last}
    runtime = await configuration.runtime(tx)
    ports = [runtime.get(name, "") for name in ("http_port", "https_port")]
    return _Plan(
        package,
        parse_location(info_location or proposed.info_location, "info-url"),
        parse_location(fragment_location or proposed.fragment_location, "fragment-url"),
        await packages.marks(tx, package.id),
        {number: piece for number, piece in pieces.items() if piece},
        await bundle_of(tx),
        frozenset(int(port) for port in ports if port.isdigit()),
    )


def _look(plan: _Plan) -> list[CheckStep]:
    if not plan.bundle:
        raise conflict("there are no certificates yet; start the server once, or activate unchecked.")
    found = []
    for what, target in _targets(plan):
        for step in probe.look(target, authority=plan.bundle, own_ports=plan.own_ports):
            found.append(CheckStep(what, step.stage, target.url, step.refusal))
    return found


def _targets(plan: _Plan) -> list[tuple[str, Target]]:
    package, at = plan.package, plan.info
    path = f"{at.folder}/{package.id}/{INFO}"
    info_sha256 = plan.marks.info if plan.marks else ""
    targets = [(INFO_FILE, Target("https", at.host, at.port, path, "info-url", info.LARGEST, info_sha256))]
    at, scheme = plan.fragments, package.order.protocol.value.lower()
    for number, piece in plan.pieces.items():
        path = f"{at.folder}/{package.id}/{fragment_name(package.id, number)}"
        what = FIRST_FRAGMENT if number == 1 else LAST_FRAGMENT
        targets.append((what, Target(scheme, at.host, at.port, path, "fragment-url", piece.size, piece.sha256)))
    return targets


async def _proposal(tx: Tx, protocol: Protocol) -> Proposal:
    runtime = await configuration.runtime(tx)
    host = runtime.get("server_name", "localhost")
    shown = f"[{host}]" if ":" in host else host
    secure = f"{shown}:{runtime.get('https_port', '4343')}{DEPOT}"
    plain = f"{shown}:{runtime.get('http_port', '8080')}{DEPOT}"
    return Proposal(secure, plain if protocol is Protocol.HTTP else secure)


def _loopback(location: Location) -> Remark | None:
    try:
        loopback = ipaddress.ip_address(location.host).is_loopback
    except ValueError:
        loopback = location.host.lower() == "localhost" or location.host.lower().endswith(".localhost")
    if not loopback:
        return None
    return Remark(
        "{location}: {host} is the computer itself for every agent; use a name that agents can reach.",
        {"location": location, "host": location.host},
    )
