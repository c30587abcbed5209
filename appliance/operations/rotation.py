"""The change of authority: a new one beside the old one, who knows it by now, and the end of the old one.

Source: security.md 4.5 and F25; docs/decisions/0011-authority.md. While a change is under way the server shows the new
authority's certificate together with the new authority as the old one signed it, so that computers verify it which know
either; cacert.pem has both.
"""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.package import Action, Order, Package, System
from appliance.domain.refusal import conflict
from appliance.operations.build_package import build_package
from appliance.operations.desk import Desk
from appliance.store import certificates as kept
from appliance.store import configuration, log
from appliance.store.configuration import Credential
from appliance.store.database import Tx
from appliance.trust import authority, chains
from appliance.trust.authority import Issued
from appliance.trust.chains import Facts, facts_of
from appliance.wire import pack

LOG = logging.getLogger("ocs.certificates")

DAY = 86_400
SEEN_DAYS = 90  # computers that were silent for longer are not waited for
OVERLAP_DAYS = 30  # at least so long by itself: computers that are away come back
MEMBER = "cacert.pem"
# Where genuine agents look for cacert.pem (protocol.md 1): INSTALL_PATH is their own folder on Unix
FOLDERS = {
    System.WINDOWS: r"%ProgramData%\OCS Inventory NG\Agent",
    System.LINUX: "INSTALL_PATH",
    System.MACOS: "INSTALL_PATH",
}
FORMATS = {System.WINDOWS: "zip", System.LINUX: "tar.gz", System.MACOS: "tar.gz"}


@dataclass(frozen=True)
class Rotation:
    """A change of authority that is under way. Computers: seen lately, and those of them that know the new one."""

    former: Facts
    began_at: int
    seen: int
    knowing: int
    packages: tuple[str, ...]  # that bring the new one to other agents

    @property
    def missing(self) -> int:
        """Computers that would refuse this server if the old authority were taken out now, as far as is known."""
        return self.seen - self.knowing


async def rotate_authority(desk: Desk, *, any_name: bool = False) -> None:
    """Make a new authority, signed by the present one, and a server certificate of it. Raises Refusal.

    `any_name`: not bound to the site's domains. The old authority's key is forgotten: it signs nothing any more.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        root = await configuration.credential(tx, "authority")
        server = await configuration.credential(tx, "server")
        change = await kept.change(tx)
    if root is None or server is None:
        raise conflict("there are no certificates yet; start the server once, and it makes them.")
    if change is not None:
        raise conflict("the authority is being changed already; end that change first.")
    now = desk.clock.now()
    if facts_of(root.certificate, now).days_left < 0:
        raise conflict("the authority has ended: no computer would follow it to another one.")
    before = facts_of(server.certificate, now).names
    is_own = chains.is_issued_by(server.certificate, root.certificate)

    def make() -> tuple[Issued, str, Issued | None]:
        former = Issued(root.certificate, root.private_key)
        new = authority.make_authority(now, () if any_name else before)
        crossed = authority.cross_sign(former, new.certificate, now)
        names = authority.permitted([root.certificate, new.certificate], before)
        return new, crossed, authority.issue_server(new, names, now) if is_own else None

    new, crossed, leaf = await asyncio.to_thread(make)
    async with desk.store.writing() as tx:
        if await configuration.credential(tx, "authority") != root or await kept.change(tx):
            raise conflict("the authority is being changed already; end that change first.")
        if is_own and await configuration.credential(tx, "server") != server:
            raise conflict("the server's certificate was changed meanwhile; try again.")
        await kept.begin_change(tx, root.certificate, crossed)
        await configuration.put_credential(tx, "authority", Credential(new.certificate, new.private_key))
        if leaf is not None:
            shown = Credential(leaf.certificate + crossed, leaf.private_key)
            await configuration.put_credential(tx, "server", shown)
        facts = facts_of(new.certificate, now)
        former = facts_of(root.certificate, now).fingerprint
        await log.append(
            tx, desk.actor, Deed.AUTHORITY_CHANGED, facts.subject, sha256=facts.fingerprint, former_sha256=former
        )


async def finish_rotation(desk: Desk, *, force: bool = False) -> None:
    """Take the old authority out of cacert.pem and of what the server shows. Raises Refusal.

    Computers that know only the old one refuse the server from then on; `force`: although there are such.
    """
    desk.must_have(Right.ADMINISTRATOR)
    rotation = await rotation_of(desk)
    if rotation is None:
        raise conflict("no change of authority is under way.")
    if rotation.missing and not force:
        raise conflict(
            "{missing} of {seen} computers are not known to have the new cacert.pem: they would refuse this server.",
            missing=rotation.missing,
            seen=rotation.seen,
        )
    async with desk.store.writing() as tx:
        change = await kept.change(tx)
        server = await configuration.credential(tx, "server")
        if change is None or server is None:
            return  # somebody else was faster
        await kept.end_change(tx)
        shown = server.certificate.replace(change.crossed, "")
        if shown != server.certificate:
            await configuration.put_credential(tx, "server", Credential(shown, server.private_key))
        former = facts_of(change.former, tx.now)
        values = {"sha256": former.fingerprint, "seen": rotation.seen, "without": rotation.missing}
        await log.append(tx, desk.actor, Deed.AUTHORITY_RETIRED, former.subject, **values)


async def finish_in_time(desk: Desk) -> None:
    """End a change of authority by itself: the old one has ended, or everybody seen has known the new one for long."""
    rotation = await rotation_of(desk)
    if rotation is None:
        return
    is_long = desk.clock.now() - rotation.began_at > OVERLAP_DAYS * DAY
    if rotation.former.days_left < 0 or (is_long and not rotation.missing):
        await finish_rotation(desk, force=True)
        LOG.warning("the old authority %s is taken out of cacert.pem", rotation.former.subject)


async def rotation_of(desk: Desk) -> Rotation | None:
    """The change of authority that is under way, and who knows the new one."""
    async with desk.store.reading() as tx:
        change = await kept.change(tx)
        root = await configuration.credential(tx, "authority")
        if change is None or root is None:
            return None
        sha256 = chains.fingerprint_of(root.certificate)
        seen, knowing = await kept.adoption(tx, sha256, _name(sha256), tx.now - SEEN_DAYS * DAY)
        packages = await kept.packages_named(tx, _name(sha256))
        return Rotation(facts_of(change.former, tx.now), change.began_at, seen, knowing, tuple(packages))


async def build_bundle_package(desk: Desk, system: System, folder: str = "") -> Package:
    """A Store package that puts cacert.pem where genuine agents of that system look for it. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        bundle = await bundle_of(tx)
        root = await configuration.credential(tx, "authority")
    if root is None:
        raise conflict("there are no certificates yet; start the server once, and it makes them.")
    order = bundle_order(system, chains.fingerprint_of(root.certificate), folder)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"cacert.{FORMATS[system]}"
        with file.open("wb") as out:
            data = bundle.encode()
            pack.pack(out, FORMATS[system], MEMBER, io.BytesIO(data), len(data), lambda _, __: None)
        return await build_package(desk, order, file, None, lambda _, __, ___: None)


def bundle_order(system: System, sha256: str, folder: str = "") -> Order:
    """What such a package is. By its name it is known for one that brings that authority."""
    return Order(
        name=f"{_name(sha256)}{system.value.lower()}",
        system=system,
        action=Action.STORE,
        argument=folder or FOLDERS[system],
        description="The authorities that this server is verified with.",
        priority=1,
    )


def _name(sha256: str) -> str:
    return f"cacert.pem {sha256[:8]} "


async def note_known(tx: Tx, computer: int, told: Sequence[str]) -> None:
    """Our agent on a computer said which authorities it knows, by their digests."""
    root = await configuration.credential(tx, "authority") if told else None
    if root is not None and (sha256 := chains.fingerprint_of(root.certificate)) in told:
        await kept.knows(tx, computer, sha256)


async def bundle_of(tx: Tx) -> str:
    """Our own authority, during a change the one before it too, and the roots of others, PEM; empty before all."""
    root = await configuration.credential(tx, "authority")
    if root is None:
        return ""
    change = await kept.change(tx)
    return "".join([root.certificate, *([change.former] if change else []), *await kept.foreign_roots(tx)])


async def lasting_authorities(tx: Tx) -> list[str]:
    """SHA-256 of what the server is verified with from now on: our own authority and the roots of others.

    Not the one before it during a change: it is on its way out, perhaps since its key was stolen.
    """
    root = await configuration.credential(tx, "authority")
    if root is None:
        return []
    return [chains.fingerprint_of(pem) for pem in (root.certificate, *await kept.foreign_roots(tx))]


async def issuers_of_clients(tx: Tx) -> str:
    """The authorities that issued certificates for computers, PEM: our own and all before it.

    What a former one issued stays good until it ends, or computers that were away could not renew it; a certificate
    that is in no row proves nothing anyway.
    """
    root = await configuration.credential(tx, "authority")
    return "".join([root.certificate, *await kept.former_authorities(tx)]) if root else ""


async def issued_server(desk: Desk, root: Issued, names: Sequence[str], *, must: Sequence[str] = ()) -> Issued:
    """A server certificate of our own authority, with what leads to it. PEM.

    It is for those of `names` that the authority may issue for. Raises Refusal where one of `must` is not among them.
    """
    async with desk.store.reading() as tx:
        change = await kept.change(tx)
    good = await permitted_names(desk, root, names)
    if left_out := [name for name in names if name not in good]:
        LOG.warning("the authority may not issue for %s; `tls rotate` makes one that may", ", ".join(left_out))
    if not good or (left_out := [name for name in must if name not in good]):
        raise conflict(
            "our authority is bound to other domains and may not issue for {names}; 'tls rotate' makes one that may.",
            names=", ".join(left_out),
        )
    made = await asyncio.to_thread(authority.issue_server, root, good, desk.clock.now())
    return Issued(made.certificate + (change.crossed if change else ""), made.private_key)


async def permitted_names(desk: Desk, root: Issued, names: Sequence[str]) -> list[str]:
    """Those of `names` that our authority, and during a change the one before it, may issue for."""
    async with desk.store.reading() as tx:
        change = await kept.change(tx)
    return authority.permitted([root.certificate, *([change.former] if change else [])], names)
