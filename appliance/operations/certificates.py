"""The authority and the server certificate: made at the first start, renewed in time, exported."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from appliance.operations.desk import Desk
from appliance.store import configuration
from appliance.store.configuration import Credential
from appliance.trust import authority, contexts
from appliance.trust.authority import Issued


async def ensure_certificates(desk: Desk, names: Sequence[str]) -> None:
    """Make the authority where there is none, and a server certificate where it is missing, old or lacks a name."""
    async with desk.store.reading() as tx:
        root = await configuration.credential(tx, "authority")
        server = await configuration.credential(tx, "server")
    now = desk.clock.now()
    if root and server and authority.still_good(_issued(server), names, now):
        return

    def make() -> tuple[Issued, Issued]:
        issuer = _issued(root) if root else authority.make_authority(now)
        return issuer, authority.issue_server(issuer, names, now)

    new_root, new_server = await asyncio.to_thread(make)
    async with desk.store.writing() as tx:
        if root is None:
            if await configuration.credential(tx, "authority"):
                return  # another start was faster; its certificates are as good
            await configuration.put_credential(tx, "authority", Credential(new_root.certificate, new_root.private_key))
        await configuration.put_credential(tx, "server", Credential(new_server.certificate, new_server.private_key))


async def export_authority(desk: Desk) -> str:
    """`cacert.pem`: what agents verify this server with. Makes the authority where there is none."""
    async with desk.store.reading() as tx:
        root = await configuration.credential(tx, "authority")
    if root is None:
        await ensure_certificates(desk, authority.own_names())
        async with desk.store.reading() as tx:
            root = await configuration.credential(tx, "authority")
    assert root is not None
    return root.certificate


async def listener_context(desk: Desk) -> ssl.SSLContext:
    """The TLS context of the listeners. The certificates must be there."""
    async with desk.store.reading() as tx:
        server = await configuration.credential(tx, "server")
    assert server is not None
    return contexts.server_context(server.certificate, server.private_key)


def server_names(asked: Sequence[str]) -> list[str]:
    """The names of the certificate: those asked for first, then what this machine is called."""
    return list(dict.fromkeys([*asked, *authority.own_names()]))


def _issued(credential: Credential) -> Issued:
    return Issued(credential.certificate, credential.private_key)
