"""Joining: tokens, a certificate for whoever brings one, and the next certificate before that one ends.

The server makes the keys: agents have the standard library only, which makes none. What that costs, and why it is
right all the same: docs/decisions/0012-joining.md.
"""

from __future__ import annotations

import asyncio

from appliance.domain.account import Right
from appliance.domain.computer import ComputerId
from appliance.domain.log import Deed
from appliance.domain.messages import DeviceId
from appliance.domain.refusal import Refusal, conflict, forbidden, invalid, missing
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller, posting
from appliance.operations.rotation import lasting_authorities
from appliance.operations.selection import find_group
from appliance.store import computers, configuration, groups, identity, log
from appliance.store.database import Tx
from appliance.trust import secrets
from appliance.trust.authority import Issued
from appliance.trust.membership import RENEW_DAYS, Issuance, issue_member
from appliance.wire import paths
from appliance.wire.joining import MOST_AUTHORITIES, Application, Membership, Token, encode_token

DAY = 86_400
MOST_USES, MOST_DAYS = 100_000, 365
LONGEST_TAG = 255
UNTAGGED = "NA"


async def make_token(desk: Desk, *, uses: int = 1, days: int = 1, tag: str = "", group: str = "") -> str:
    """A token with which so many computers can join for so many days; they get the TAG, and are put into the group.

    It is told once: its secret is not kept. Raises Refusal.
    """
    desk.must_have(Right.ADMINISTRATOR)
    tag = tag.strip()
    if not 1 <= uses <= MOST_USES:
        raise invalid("uses", "{text!r} is not a number from {low} to {high}.", text=str(uses), low=1, high=MOST_USES)
    if not 1 <= days <= MOST_DAYS:
        raise invalid("days", "{text!r} is not a number from {low} to {high}.", text=str(days), low=1, high=MOST_DAYS)
    if len(tag) > LONGEST_TAG or not tag.isprintable():
        raise invalid("tag", "it has more than {longest} characters, or odd ones.", longest=LONGEST_TAG)
    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        chosen = await find_group(tx, desk.actor, group) if group.strip() else None
        if chosen is not None and chosen.is_dynamic:
            raise invalid("group", "{name} is a dynamic group: its search says who is in.", name=chosen.name)
        authorities, known = await lasting_authorities(tx), await configuration.runtime(tx)
        if not authorities or "https_port" not in known or "server_name" not in known:
            raise conflict("the server was never started; start it once, so that the token can say where it is.")
        address = str(paths.Location(known["server_name"], int(known["https_port"]), ""))
        expires_at = tx.now + days * DAY
        number = await identity.add_token(
            tx,
            secrets.digest(secret),
            desk.actor.name,
            expires_at,
            uses,
            tag,
            chosen.id if chosen else None,
        )
        group_name = chosen.name if chosen else ""
        values = {"uses": uses, "days": days, "tag": tag, "group": group_name}
        await log.append(tx, desk.actor, Deed.JOIN_TOKEN_CREATED, str(number), **values)
    return encode_token(Token(address, tuple(authorities[:MOST_AUTHORITIES]), secret))


async def revoke_token(desk: Desk, number: int) -> None:
    """Nobody joins with that token any more. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        if not await identity.drop_token(tx, number):
            raise missing("there is no such token; it was used up, has ended or was revoked.")
        await log.append(tx, desk.actor, Deed.JOIN_TOKEN_REVOKED, str(number))


async def join(desk: Desk, application: Application, caller: Caller) -> Membership:
    """A certificate for a computer that brings a token. Raises Refusal.

    A computer that joined already is nobody's to take over: its membership has to be ended first.
    """
    device_id = DeviceId(application.device_id)
    key = secrets.digest(application.secret)
    async with desk.store.reading() as tx:  # before the work of making a key
        if not await identity.is_token(tx, key):
            raise _no_token()
        await _must_be_free(tx, device_id)
        now = tx.now
    made = await _issued(desk, device_id, now)
    async with desk.store.writing() as tx:
        known = await _must_be_free(tx, device_id)
        token = await identity.use_token(tx, key)
        if token is None:
            raise _no_token()
        if known is None:
            known = await computers.add(tx, device_id, device_id.rsplit("-", 6)[0], token.tag or UNTAGGED)
            await computers.seen(tx, known, caller.user_agent, caller.address)
        elif token.tag:
            await computers.put_tag(tx, known, token.tag)
        if token.group is not None:
            await groups.put_in(tx, token.group, [known])
        await identity.let_in(tx, known, token.created_by)
        await identity.add_member(tx, known)
        await identity.add_certificate(tx, known, made.fingerprint, made.serial, made.expires_at)
        values = {"token": token.id, "address": caller.address, "serial": made.serial}
        await log.append(tx, desk.actor, Deed.COMPUTER_JOINED, device_id, **values)
    return _membership(device_id, made, now)


async def renew(desk: Desk, device_id: DeviceId, caller: Caller) -> Membership:
    """The next certificate of a computer that shows its present one, which is good until the next was used.

    Raises Refusal.
    """
    if not caller.certificate:
        raise forbidden("this computer did not join.")
    async with posting(desk, device_id, caller) as tx:
        now = tx.now
    made = await _issued(desk, device_id, now)
    async with posting(desk, device_id, caller) as tx:
        computer = await computers.find(tx, device_id)
        assert computer is not None  # or the certificate would be nobody's
        await identity.add_certificate(tx, computer.id, made.fingerprint, made.serial, made.expires_at)
    return _membership(device_id, made, now)


async def _must_be_free(tx: Tx, device_id: DeviceId) -> ComputerId | None:
    """The computer, where it is there. One whose certificate was never used has not heard that it joined."""
    computer = await computers.find(tx, device_id)
    if computer is not None and await identity.has_proven_itself(tx, computer.id):
        raise conflict("a computer of this DEVICEID joined already; end that in the console, then join again.")
    return computer.id if computer else None


async def _issued(desk: Desk, device_id: DeviceId, now: int) -> Issuance:
    async with desk.store.reading() as tx:
        root = await configuration.credential(tx, "authority")
    if root is None:
        raise conflict("there are no certificates yet; start the server once, and it makes them.")
    return await asyncio.to_thread(issue_member, Issued(root.certificate, root.private_key), device_id, now)


def _no_token() -> Refusal:
    return forbidden("this token is unknown, used up or has ended; ask for another one.")


def _membership(device_id: DeviceId, made: Issuance, now: int) -> Membership:
    renew_after = min(now + RENEW_DAYS * DAY, now + (made.expires_at - now) * 2 // 3)
    return Membership(device_id, made.certificate, made.private_key, renew_after, made.expires_at)
