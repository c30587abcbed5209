"""Whom mode closed answers though they did not join: agents in named networks, and those that bring a password.

Passwords are for agents that can do HTTP Basic and nothing better. They are taken over HTTPS only, open the agents'
address and nothing else, and say nothing of which computer it is. Source: security.md 5.2;
docs/decisions/0013-closed-mode.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.domain.account import Right
from appliance.domain.identity import REALM, AgentPassword, checked_agent_name
from appliance.domain.log import Deed
from appliance.domain.network import kept_networks, lies_in
from appliance.domain.refusal import Kind, Refusal, conflict, forbidden, missing
from appliance.operations.desk import Desk
from appliance.operations.throttle import agent_failed, agents_wait
from appliance.settings import Settings
from appliance.store import agent_passwords, configuration, log
from appliance.store.database import Tx
from appliance.trust import secrets
from appliance.wire import basic, paths
from appliance.wire.basic import Credentials

TOUCH_SECONDS = 3600
NO_DIGEST = "-" * 64  # of nobody: an unknown name takes as long as a wrong password


@dataclass(frozen=True)
class MadePassword:
    """A password that was made, told this once, and how agents are given it. `server`: the URL for them."""

    name: str
    password: str = field(repr=False)
    server: str
    realm: str = REALM

    @property
    def unix(self) -> str:
        """Lines for ocsinventory-agent.cfg."""
        return basic.unix_config(self.server, self.realm, Credentials(self.name, self.password))

    @property
    def windows(self) -> str:
        """Options for the installer of the OCS Windows agent."""
        server = f"/SERVER={self.server} " if self.server else ""
        return f"{server}/SSL=1 /USER={self.name} /PWD={self.password}"


async def make_password(desk: Desk, name: str) -> MadePassword:
    """A password for agents under that user name. It is told once: it is not kept. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    name, password = checked_agent_name(name), secrets.new_password()
    async with desk.store.writing() as tx:
        if await agent_passwords.named(tx, name) is not None:
            raise conflict("there is a password for {name!r} already; revoke it, or take another name.", name=name)
        await agent_passwords.add(tx, name, secrets.digest(password), desk.actor.name)
        await log.append(tx, desk.actor, Deed.AGENT_PASSWORD_CREATED, name)
        known = await configuration.runtime(tx)
    server = ""
    if "server_name" in known and "https_port" in known:
        server = f"https://{paths.Location(known['server_name'], int(known['https_port']), paths.CONTACT)}"
    return MadePassword(name, password, server)


async def list_passwords(desk: Desk) -> list[AgentPassword]:
    """The passwords for agents, by user name. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await agent_passwords.every(tx)


async def revoke_password(desk: Desk, which: str | int) -> None:
    """No agent is answered with that password any more; by its user name or number. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        if isinstance(which, int):
            found = await agent_passwords.of_id(tx, which)
        else:
            found, _ = await agent_passwords.named(tx, which) or (None, "")
        if found is None:
            raise missing("there is no password for agents {which!r}; it was revoked already.", which=str(which)[:60])
        await agent_passwords.remove(tx, found.id)
        await log.append(tx, desk.actor, Deed.AGENT_PASSWORD_REVOKED, found.name)


async def turned_away(
    tx: Tx, settings: Settings, address: str, credentials: Credentials | None, *, is_secure: bool
) -> Refusal | None:
    """Why mode closed does not answer whoever shows no certificate; None where it does."""
    if lies_in(address, kept_networks(settings.text("IDENTITY_NETWORKS"))):
        return None
    if not is_secure:
        return forbidden("only computers that joined are answered here; with a password for agents, use https.")
    if credentials is None:
        return Refusal(
            Kind.UNAUTHORIZED, "only computers that joined are answered here, and agents that bring their password."
        )
    if wait := await agents_wait(tx, address):
        return Refusal(Kind.BUSY, "too many wrong passwords; wait {seconds} s and try again.", seconds=wait)
    found = await agent_passwords.named(tx, credentials.user)
    if not secrets.fits(credentials.password, found[1] if found else NO_DIGEST) or found is None:
        await agent_failed(tx, address)
        return Refusal(Kind.UNAUTHORIZED, "the user name for agents is unknown, or the password wrong.")
    if found[0].used_at is None or not 0 <= tx.now - found[0].used_at < TOUCH_SECONDS:
        await agent_passwords.used(tx, found[0].id)
    return None
