"""Who guesses waits: failures on end are counted by name, known or not, and by address, before a password is tried."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.account import (
    FREE_FAILURES,
    FREE_OF_ADDRESS,
    LONGEST_BLOCK,
    LONGEST_NAME,
    MOST_FAILURES,
    Account,
    Actor,
    wait_after,
)
from appliance.domain.log import Deed
from appliance.domain.network import address_of
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.desk import Desk
from appliance.store import accounts, log
from appliance.store.accounts import Failures
from appliance.store.database import Tx

FORGET_ADDRESS = 3600  # seconds without a failure after which an address begins anew
FORGET = 30 * 86_400  # and after which a name does
AGENT_TRIES = 20  # wrong passwords of agents at one address: so many at once, then one in AGENT_SECONDS
AGENT_SECONDS = 6
LOGGED_NAME = 40  # characters of a name that nobody has: it may be a password in the wrong field


@dataclass(frozen=True)
class Charge:
    """An attempt that counts as failed until it is settled; `before` is what stood there."""

    who: str
    before: Failures
    after: Failures


async def charge(desk: Desk, name: str, address: str = "") -> tuple[Charge, ...]:
    """Count an attempt as failed before it is made, so that a hundred at once are no more than one after another.

    Raises Refusal(BUSY), which says how long to wait, where this name or address has failed too often.
    """
    async with desk.store.writing() as tx:
        await accounts.purge_failures(tx, tx.now - FORGET)
        charges = [_charged(f"name {name[:LONGEST_NAME]}", await _of_name(tx, name), FREE_FAILURES, tx.now)]
        if address:
            who = f"address {_network(address)}"
            before = await accounts.failures(tx, who)
            if before.last_at <= tx.now - FORGET_ADDRESS:
                before = Failures()
            charges.append(_charged(who, before, FREE_OF_ADDRESS, tx.now))
        waits = [one.before.blocked_till - tx.now for one in charges]
        wait = max(seconds for seconds in [0, *waits] if seconds <= LONGEST_BLOCK)  # more: the clock was wrong then
        if charges[0].before.count >= MOST_FAILURES:
            raise Refusal(
                Kind.BUSY,
                "too many failed attempts under this name; an administrator must give it a new password "
                "('ocs.pyz user password' does it on the server).",
            )
        if wait > 0:
            raise Refusal(Kind.BUSY, "too many failed attempts; wait {seconds} s and try again.", seconds=wait)
        for one in charges:
            await accounts.put_failures(tx, one.who, one.after)
    return tuple(charges)


async def failed(desk: Desk, charges: Sequence[Charge], name: str, through: str, **detail: object) -> None:
    """The attempt failed: the charge stays, and the log knows."""
    by_name = charges[0].after
    subject = name[:LOGGED_NAME]
    async with desk.store.writing() as tx:
        nobody = Actor("-", through)
        await log.append(tx, nobody, Deed.SIGN_IN_FAILED, subject, failures=by_name.count, **detail)
        if by_name.count in (FREE_FAILURES + 1, MOST_FAILURES):
            await log.append(tx, nobody, Deed.ACCOUNT_BLOCKED, subject, seconds=by_name.blocked_till - tx.now, **detail)


async def settle(tx: Tx, charges: Sequence[Charge], *, forget: bool = True) -> None:
    """The attempt was good. The name's failures are forgotten, unless there is a second factor to come."""
    for number, one in enumerate(charges):
        if number == 0 and forget:
            await accounts.put_failures(tx, one.who, Failures())
            continue
        stands = await accounts.failures(tx, one.who)  # others may have failed meanwhile
        blocked = one.before.blocked_till if stands.blocked_till == one.after.blocked_till else stands.blocked_till
        last_at = one.before.last_at if stands.last_at == one.after.last_at else stands.last_at
        await accounts.put_failures(tx, one.who, Failures(stands.count - 1, last_at, blocked))


async def forget(tx: Tx, account: Account) -> None:
    """A new password is there: its name begins anew."""
    await accounts.put_failures(tx, f"name {account.name}", Failures())


# Agents. Nobody guesses their passwords, which the server makes; what is bounded is the work. They wait seconds only:
# at the same address may be many whose password is right.


async def agents_wait(tx: Tx, address: str) -> int:
    """Seconds until a password of an agent at that address is looked at again; 0: now."""
    tries, last_at = await _agent_tries(tx, address)
    return last_at + AGENT_SECONDS - tx.now if tries >= AGENT_TRIES else 0


async def agent_failed(tx: Tx, address: str) -> None:
    """An agent at that address brought a wrong password."""
    await accounts.purge_failures_of(tx, "agents", tx.now - AGENT_TRIES * AGENT_SECONDS)
    tries, _ = await _agent_tries(tx, address)
    await accounts.put_failures(tx, f"agents {_network(address)}", Failures(tries + 1, tx.now))


async def _agent_tries(tx: Tx, address: str) -> tuple[int, int]:
    """How many count by now, and when the last one was."""
    kept = await accounts.failures(tx, f"agents {_network(address)}")
    if kept.last_at > tx.now:
        return 0, 0  # the clock was wrong then
    return max(0, kept.count - (tx.now - kept.last_at) // AGENT_SECONDS), kept.last_at


async def _of_name(tx: Tx, name: str) -> Failures:
    return await accounts.failures(tx, f"name {name[:LONGEST_NAME]}")


def _charged(who: str, before: Failures, free: int, now: int) -> Charge:
    count = before.count + 1
    wait = wait_after(count, free)
    return Charge(who, before, Failures(count, now, now + wait if wait else before.blocked_till))


def _network(address: str) -> str:
    """An address, or the network that one IPv6 subscriber has."""
    found = address_of(address)
    if found is None:
        return address[:45]
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
