"""Tokens for the API: made by a user, shown once, good for a bounded time. Source: security.md 4.3."""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.domain.account import Actor, Right, user_actor
from appliance.domain.log import Deed
from appliance.domain.refusal import conflict, invalid, missing
from appliance.operations.accounts import find_user
from appliance.operations.desk import Desk
from appliance.operations.own_account import own
from appliance.store import accounts, log
from appliance.store.accounts import KeptToken
from appliance.store.database import Tx
from appliance.trust import secrets

LONGEST_DAYS = 365
LONGEST_NAME = 64
DAY = 86_400
TOUCH_SECONDS = 60
FORM = re.compile(r"^ocs_([0-9]{1,15})_([A-Za-z0-9_-]{43})$", re.ASCII)


async def make_token(desk: Desk, name: str, days: int = 90, *, user: int | str | None = None) -> str:
    """A token of whoever acts, or (for administrators) of another user: `ocs_<id>_<secret>`, shown this once.

    It can do what its user can. Raises Refusal.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise invalid("name", "it has 1 to {longest} characters, to know the token by.", longest=LONGEST_NAME)
    if not 1 <= days <= LONGEST_DAYS:
        raise invalid("days", "{days} is not from 1 to {longest} days.", days=days, longest=LONGEST_DAYS)
    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        account = await _account(tx, desk, user)
        if any(token.name == name for token in await accounts.tokens(tx, account)):
            raise conflict("there is a token {name!r} already; revoke it, or take another name.", name=name)
        number = await accounts.add_token(tx, account, name, secrets.digest(secret), tx.now + days * DAY)
        whose = await find_user(tx, account)
        await log.append(tx, desk.actor, Deed.TOKEN_CREATED, name, user=whose.name, days=days)
    return f"ocs_{number}_{secret}"


async def list_tokens(desk: Desk, user: int | str | None = None) -> Sequence[KeptToken]:
    """The tokens of whoever acts, or (for administrators) of another user, the newest first. Raises Refusal."""
    async with desk.store.reading() as tx:
        return await accounts.tokens(tx, await _account(tx, desk, user))


async def revoke_token(desk: Desk, number: int, *, user: int | str | None = None) -> None:
    """Revoke a token at once. Raises Refusal."""
    async with desk.store.writing() as tx:
        account = await _account(tx, desk, user)
        found = [token for token in await accounts.tokens(tx, account) if token.id == number]
        if not found:
            raise missing("there is no token {number}; it was revoked already.", number=number)
        await accounts.remove_token(tx, number)
        whose = await find_user(tx, account)
        await log.append(tx, desk.actor, Deed.TOKEN_REVOKED, found[0].name, user=whose.name)


async def actor_of_token(desk: Desk, text: str) -> Actor | None:
    """Whoever a token speaks for; None where it is none, expired or revoked, or its user disabled."""
    form = FORM.match(text)
    if form is None:
        return None
    async with desk.store.reading() as tx:
        found = await accounts.token(tx, int(form.group(1)))
        now = tx.now
    if found is None:
        return None
    token, profile = found
    if not secrets.fits(form.group(2), token.key) or now >= token.expires_at or profile.disabled:
        return None
    if token.used_at is None or now - token.used_at >= TOUCH_SECONDS:
        async with desk.store.writing() as tx:
            await accounts.touch_token(tx, token.id)
    return user_actor(profile.name, "api", profile.role, token.user, profile.tags)


async def _account(tx: Tx, desk: Desk, user: int | str | None) -> int:
    if user is None:
        return (await own(tx, desk)).id
    desk.must_have(Right.ADMINISTRATOR)
    return (await find_user(tx, user)).id
