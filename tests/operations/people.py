"""What the tests of accounts share: users with a password that is hashed once, and whoever they act as."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from appliance.domain.account import Profile, Role, user_actor
from appliance.domain.refusal import Refusal
from appliance.operations.desk import Desk, open_desk
from appliance.operations.logbook import read_log
from appliance.store import accounts
from appliance.store.accounts import KeptSession
from appliance.trust import passwords, secrets
from tests.fakes.appliance import SetClock

PASSWORD = "correct horse battery"
OTHER = "mi perro come flores"
HERE = ("192.0.2.9", "Firefox")


class Scene:
    """An open desk with a clock in the test's hand."""

    def __init__(self, desk: Desk, clock: SetClock) -> None:
        self.desk = desk
        self.clock = clock

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows as they lie in the file."""
        async with self.desk.store.reading() as tx:
            return [tuple(row) for row in await tx.rows(sql, values)]


def play(folder: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """Run one scene over an empty data directory."""
    hashed()  # outside of the loop
    clock = SetClock()

    async def work() -> Any:
        async with open_desk(folder / "data", clock) as desk:
            return await script(Scene(desk, clock))

    return asyncio.run(work())


@cache
def hashed() -> str:
    """The hash of PASSWORD."""
    return asyncio.run(passwords.hash_password(PASSWORD))


async def add(desk: Desk, name: str, role: Role = Role.USER, *tags: str, **rest: Any) -> int:
    """A user with PASSWORD: the number."""
    async with desk.store.writing() as tx:
        return await accounts.add(tx, Profile(name, role, tags=frozenset(tags), **rest), hashed())


async def enter(desk: Desk, name: str, user_agent: str = "Firefox", *, complete: bool = True) -> str:
    """A session as a good password leaves it, without the time that hashing takes: its secret."""
    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        account = await accounts.named(tx, name)
        assert account is not None
        await accounts.add_session(
            tx,
            KeptSession(secrets.digest(secret), account.id, tx.now, tx.now, tx.now, complete, "192.0.2.9", user_agent),
        )
    return secret


async def acting(desk: Desk, name: str, through: str = "console") -> Desk:
    """The desk for that user."""
    async with desk.store.reading() as tx:
        account = await accounts.named(tx, name)
    assert account is not None
    profile = account.profile
    return desk.acting(user_actor(profile.name, through, profile.role, account.id, profile.tags))


async def refused(verb: Any) -> Refusal:
    """The Refusal that an operation ends in."""
    try:
        await verb
    except Refusal as refusal:
        return refusal
    raise AssertionError("it was not refused")


async def told(desk: Desk) -> list[tuple[str, str, str, str]]:
    """The log, oldest first: actor, through, deed, subject."""
    entries = (await read_log(desk, limit=1000)).entries
    return [(entry.actor, entry.through, entry.deed, entry.subject) for entry in reversed(entries)]
