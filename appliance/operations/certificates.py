"""Certificates: made at the first start, renewed in time, or an own PKI's; what is installed, and until when.

Source: product.md 6, security.md 4.5. What is installed is taken up by a running server, whichever process did it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.refusal import Refusal, conflict, invalid
from appliance.domain.remark import Remark
from appliance.operations.desk import Desk
from appliance.operations.rotation import (
    Rotation,
    bundle_of,
    finish_in_time,
    issued_server,
    issuers_of_clients,
    permitted_names,
    rotation_of,
)
from appliance.store import certificates as kept
from appliance.store import configuration, log
from appliance.store.configuration import Credential
from appliance.store.database import Tx
from appliance.trust import authority, chains, requests
from appliance.trust.authority import Issued
from appliance.trust.chains import Facts, facts_of
from appliance.trust.contexts import Front
from appliance.trust.requests import Subject

LOG = logging.getLogger("ocs.certificates")

LOOK_SECONDS = 2.0  # between two looks at the database for a certificate that another process installed
DAY = 86_400
EARLY_DAYS, LATE_DAYS = 30, 7
CHANGE_DAYS = 180  # before an authority ends another one is to be there: computers take months to know it


@dataclass(frozen=True)
class Installed:
    """What the server shows and what agents verify it with. `own`: from our own authority, so renewed by itself."""

    server: Facts
    authority: Facts
    foreign_roots: tuple[Facts, ...]
    own: bool
    server_name: str  # as which agents know this server
    request: str  # PEM of a request whose certificate is not installed yet; empty: none
    request_names: tuple[str, ...]
    request_at: int
    remarks: tuple[Remark, ...]
    rotation: Rotation | None = None  # a change of authority that is under way


async def ensure_certificates(desk: Desk, names: Sequence[str], *, site: Sequence[str] = ()) -> None:
    """Make the authority where there is none, and a server certificate where it is missing, old or lacks a name.

    `site`: names that somebody gave the server; to their domains a new authority is bound. A certificate of another
    authority is left alone: only who installed it can renew it. What ends soon goes into the log.
    """
    await _ensure(desk, names, site)
    for remark in await ends(desk):
        LOG.warning("%s", remark)


async def _ensure(desk: Desk, names: Sequence[str], site: Sequence[str]) -> None:
    async with desk.store.reading() as tx:
        root = await configuration.credential(tx, "authority")
        server = await configuration.credential(tx, "server")
    now = desk.clock.now()
    if root and server:
        if not chains.is_issued_by(server.certificate, root.certificate):
            return
        if authority.still_good(_issued(server), await permitted_names(desk, _issued(root), names), now):
            return
    bound = [*site, *names] if site else ()
    issuer = _issued(root) if root else await asyncio.to_thread(authority.make_authority, now, bound)
    made = await issued_server(desk, issuer, names)
    async with desk.store.writing() as tx:
        if root is None:
            if await configuration.credential(tx, "authority"):
                return  # another start was faster; its certificates are as good
            await configuration.put_credential(tx, "authority", Credential(issuer.certificate, issuer.private_key))
        elif await configuration.credential(tx, "server") != server:
            return  # somebody installed another one meanwhile
        await configuration.put_credential(tx, "server", Credential(made.certificate, made.private_key))
        if server is not None:
            await log.append(tx, desk.actor, Deed.CERTIFICATE_RENEWED, names[0], **_told(made.certificate, now))


async def ends(desk: Desk) -> list[Remark]:
    """What ends within 30 days, or has ended: the server's certificate, our authority within 180."""
    async with desk.store.reading() as tx:
        found = [await configuration.credential(tx, name) for name in ("server", "authority")]
        is_changing = await kept.change(tx) is not None
    now = desk.clock.now()
    remarks: list[Remark] = []
    for name, credential in zip(("server", "authority"), found, strict=True):
        if credential is not None:
            facts = facts_of(credential.certificate, now)
            remarks += _end_remarks(facts)
            if name == "authority" and EARLY_DAYS <= facts.days_left < CHANGE_DAYS and not is_changing:
                remarks.append(
                    Remark(
                        "{subject} ends in {days} days: change the authority now, computers take time to know it.",
                        {"subject": facts.subject, "days": facts.days_left},
                    )
                )
    return remarks


async def certificates(desk: Desk) -> Installed:
    """What is installed, until when, and what is to be done about it. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        root, server, name = await _credentials(tx)
        roots = await kept.foreign_roots(tx)
        asked = await kept.pending(tx)
    now = desk.clock.now()
    facts, own = facts_of(server.certificate, now), chains.is_issued_by(server.certificate, root.certificate)
    remarks = await ends(desk)
    if not chains.covers(facts.names, name):
        remarks.append(Remark("The certificate is not for {name}, as which agents know this server.", {"name": name}))
    rotation = await rotation_of(desk)
    if rotation is not None:
        remarks.append(
            Remark(
                "The authority is being changed: {knowing} of {seen} computers are known to have the new cacert.pem.",
                {"knowing": rotation.knowing, "seen": rotation.seen},
            )
        )
    return Installed(
        facts,
        facts_of(root.certificate, now),
        tuple(facts_of(pem, now) for pem in roots),
        own,
        name,
        asked.request if asked else "",
        tuple(requests.names_of(asked.request)) if asked else (),
        asked.made_at if asked else 0,
        tuple(remarks),
        rotation,
    )


async def request_certificate(desk: Desk, names: Sequence[str] = (), **subject: str) -> str:
    """A certificate request for an own PKI, PEM; its key stays in the database. Raises Refusal.

    Without names it asks for the one as which agents know this server. `subject`: organisation, unit, place, region,
    country. A request before it keeps its key, so that the certificate of either can be installed.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        before = await kept.pending(tx)
        known_as = (await configuration.runtime(tx)).get("server_name", "")
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip())) or [
        known_as or authority.own_names()[0]
    ]
    made = await asyncio.to_thread(
        requests.make_request, wanted, Subject(**subject), before.private_key if before else None
    )
    async with desk.store.writing() as tx:
        await kept.put_pending(tx, made.request, made.private_key)
        await log.append(tx, desk.actor, Deed.CERTIFICATE_REQUESTED, wanted[0], names=", ".join(wanted))
    return made.request


async def install_certificate(desk: Desk, certificate: str, chain: str = "", key: str | None = None) -> Installed:
    """Install what an own PKI issued: for the key of the request that was made here, or with `key`. PEM texts.

    Its root is put into cacert.pem beside our own authority, so that agents which get the new file know either. Raises
    Refusal with the first thing that is wrong; then all stays as it was.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        root, server, name = await _credentials(tx)
        asked = await kept.pending(tx)
        roots = await kept.foreign_roots(tx)
    now = desk.clock.now()
    keys = [key] if key else [*([asked.private_key] if asked else []), server.private_key]

    def check() -> chains.Chain:
        known = [root.certificate, *roots, *chains.system_roots()]
        return chains.fitted(certificate, chain, keys, name=name, known_roots=known, now=now)

    fit = await asyncio.to_thread(check)
    async with desk.store.writing() as tx:
        is_new = False
        if chains.fingerprint_of(fit.root) != chains.fingerprint_of(root.certificate):
            is_new = await kept.add_foreign_root(tx, chains.fingerprint_of(fit.root), fit.root)
        await configuration.put_credential(tx, "server", Credential(fit.certificate, fit.private_key))
        if asked and asked.private_key == fit.private_key:
            await kept.drop_pending(tx)
        await log.append(tx, desk.actor, Deed.CERTIFICATE_INSTALLED, name, **_told(fit.certificate, now))
    installed = await certificates(desk)
    if not is_new:
        return installed
    note = Remark(
        "Agents need the new cacert.pem: it has {root} in it, which those that they have do not know.",
        {"root": facts_of(fit.root, now).subject},
    )
    return replace(installed, remarks=(*installed.remarks, note))


async def renew_certificate(desk: Desk, names: Sequence[str] = ()) -> Installed:
    """A new server certificate from our own authority, for `names` and those of the one before it. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        root, server, name = await _credentials(tx)
    now = desk.clock.now()
    before = [known for known in facts_of(server.certificate, now).names if not known.startswith("*.")]
    wanted = list(dict.fromkeys([*names, name, *before]))
    for one in wanted:
        if not requests.is_name(one):
            raise invalid("name", "{name!r} is neither a DNS name nor an address.", name=one[:80])
    made = await issued_server(desk, _issued(root), wanted, must=[*names, name])
    async with desk.store.writing() as tx:
        if await configuration.credential(tx, "authority") != root:
            raise conflict("the authority was changed meanwhile; try again.")
        await configuration.put_credential(tx, "server", Credential(made.certificate, made.private_key))
        await log.append(tx, desk.actor, Deed.CERTIFICATE_RENEWED, wanted[0], **_told(made.certificate, now))
    return await certificates(desk)


async def export_authority(desk: Desk) -> str:
    """`cacert.pem`: what agents verify this server with. Makes the authority where there is none."""
    async with desk.store.reading() as tx:
        bundle = await bundle_of(tx)
    if not bundle:
        await ensure_certificates(desk, authority.own_names())
        async with desk.store.reading() as tx:
            bundle = await bundle_of(tx)
    return bundle


@asynccontextmanager
async def shown_certificate(
    desk: Desk, names: Sequence[str], announce: Callable[[str], None] | None = None
) -> AsyncIterator[Front]:
    """What the listeners show, during the block: a new certificate is taken up, our own is renewed in time.

    No connection is dropped for it. The certificates must be there. `announce` is given the digests of what is in
    cacert.pem, at once and whenever that changes.
    """
    async with desk.store.reading() as tx:
        server = await configuration.credential(tx, "server")
    if server is None:
        raise conflict("the server's certificate cannot be read; restore a backup: ocs.pyz restore FILE --replace")
    front = Front(server.certificate, server.private_key)
    await _trust(desk, front)
    if announce is not None:
        announce(await bundle_digests(desk))
    task = asyncio.create_task(_follow(desk, front, names, announce))
    try:
        yield front
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def bundle_digests(desk: Desk) -> str:
    """SHA-256 of each certificate in cacert.pem, with commas: our agents see by them that there is a new one."""
    async with desk.store.reading() as tx:
        return ",".join(chains.fingerprints_of(await bundle_of(tx)))


async def _follow(desk: Desk, front: Front, names: Sequence[str], announce: Callable[[str], None] | None) -> None:
    seen, looked = front.certificate, desk.clock.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if desk.clock.monotonic() - looked > DAY:
                looked = desk.clock.monotonic()
                await finish_in_time(desk)
                await ensure_certificates(desk, names)
            if announce is not None:
                announce(await bundle_digests(desk))
            await _trust(desk, front)
            async with desk.store.reading() as tx:
                server = await configuration.credential(tx, "server")
            if server is None or server.certificate == seen:
                continue
            seen = server.certificate
            await asyncio.to_thread(front.show, server.certificate, server.private_key)
            LOG.info("a new certificate is shown from now on: %s", facts_of(seen, desk.clock.now()).subject)
        except Refusal as refusal:
            LOG.warning("the certificate could not be looked at: %s", refusal)
        except (ssl.SSLError, ValueError) as error:
            LOG.error("the certificate in the database cannot be shown, the one before it stays: %s", error)


async def _trust(desk: Desk, front: Front) -> None:
    """Computers that joined have certificates of our own authority, or of one before it."""
    async with desk.store.reading() as tx:
        authorities = await issuers_of_clients(tx)
    if authorities and authorities != front.authorities:
        await asyncio.to_thread(front.trust, authorities)


def server_names(asked: Sequence[str]) -> list[str]:
    """The names of the certificate: those asked for first, then what this machine is called."""
    return list(dict.fromkeys([*asked, *authority.own_names()]))


async def _credentials(tx: Tx) -> tuple[Credential, Credential, str]:
    """Our authority, the server's certificate, and the name as which agents know the server. Raises Refusal."""
    root = await configuration.credential(tx, "authority")
    server = await configuration.credential(tx, "server")
    if root is None or server is None:
        raise conflict("there are no certificates yet; start the server once, and it makes them.")
    names = facts_of(server.certificate, tx.now).names
    known_as = (await configuration.runtime(tx)).get("server_name", "")
    return root, server, known_as or (names[0] if names else authority.own_names()[0])


def _end_remarks(facts: Facts) -> list[Remark]:
    values = {"subject": facts.subject, "days": facts.days_left}
    if facts.days_left < 0:
        return [Remark("{subject} has ended: agents deploy nothing until there is a new certificate.", values)]
    if facts.days_left < LATE_DAYS:
        return [Remark("{subject} ends in {days} days: renew it now.", values)]
    if facts.days_left < EARLY_DAYS:
        return [Remark("{subject} ends in {days} days.", values)]
    return []


def _told(certificate: str, now: int) -> dict[str, object]:
    facts = facts_of(certificate, now)
    return {
        "certificate": facts.subject,
        "issuer": facts.issuer,
        "names": ", ".join(facts.names),
        "sha256": facts.fingerprint,
    }


def _issued(credential: Credential) -> Issued:
    return Issued(credential.certificate, credential.private_key)
